package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// patience bounds every wait for something that ought to take milliseconds.
const patience = 30 * time.Second

// pod is a running pod, removed when its test ends.
type pod struct {
	ID     string
	Config *runtime.PodSandboxConfig
}

// container is a started container of a pod.
type container struct {
	ID  string
	log string
}

// startPod runs a wasm pod; each change is made to its configuration first.
func startPod(t *testing.T, changes ...func(*runtime.PodSandboxConfig)) *pod {
	t.Helper()
	return startPodOf(t, "blazar-wasm", changes...)
}

func startPodOf(t *testing.T, handler string, changes ...func(*runtime.PodSandboxConfig)) *pod {
	t.Helper()
	p := &pod{Config: podConfig(t, changes...)}
	id, err := theNode.RunPod(t.Context(), handler, p.Config)
	if err != nil {
		t.Fatal(err)
	}
	p.ID = id
	t.Cleanup(func() { p.remove(t) })
	return p
}

func podConfig(t *testing.T, changes ...func(*runtime.PodSandboxConfig)) *runtime.PodSandboxConfig {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "#", "-").Replace(t.Name()))
	c := theNode.Pod(name)
	isolateIn(t, c)
	for _, change := range changes {
		change(c)
	}
	return c
}

// annotate is a change of a pod's configuration.
func annotate(key, value string) func(*runtime.PodSandboxConfig) {
	return func(c *runtime.PodSandboxConfig) { c.Annotations[key] = value }
}

// remove stops and removes the pod; once more does no harm.
func (p *pod) remove(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if out, err := theNode.Crictl(ctx, "pods", "-q", "--id", p.ID); err == nil && out == "" {
		return
	}
	if _, err := theNode.Crictl(ctx, "rmp", "-f", p.ID); err != nil {
		t.Errorf("remove pod: %v", err)
	}
}

// create makes a container of one of the tests' images.
func (p *pod) create(t *testing.T, c *runtime.ContainerConfig) *container {
	t.Helper()
	id, err := theNode.CreateContainer(t.Context(), p.ID, c, p.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &container{ID: id, log: filepath.Join(p.Config.LogDirectory, c.LogPath)}
}

// start creates and starts a container.
func (p *pod) start(t *testing.T, c *runtime.ContainerConfig) *container {
	t.Helper()
	k := p.create(t, c)
	if err := theNode.StartContainer(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	return k
}

// run starts a container of the busy guest.
func (p *pod) run(t *testing.T, args ...string) *container {
	t.Helper()
	return p.start(t, busy(args...))
}

// refuse creates and starts a container that must not start, and returns why.
func (p *pod) refuse(t *testing.T, c *runtime.ContainerConfig) string {
	t.Helper()
	id, err := theNode.CreateContainer(t.Context(), p.ID, c, p.Config)
	if err == nil {
		err = theNode.StartContainer(t.Context(), id)
	}
	if err == nil {
		t.Fatal("the container started")
	}
	return err.Error()
}

// busy is a container of the busy guest, raw one of the raw guest.
func busy(args ...string) *runtime.ContainerConfig { return guest(busyImage, args...) }
func raw(args ...string) *runtime.ContainerConfig  { return guest(rawImage, args...) }

func guest(image string, args ...string) *runtime.ContainerConfig {
	c := node.Container("main", image)
	c.Args = args
	return c
}

// named gives a container a name of its own in its pod, and a log.
func named(name string, c *runtime.ContainerConfig) *runtime.ContainerConfig {
	c.Metadata.Name, c.LogPath = name, name+".log"
	return c
}

// inspect returns the container's status.
func (c *container) inspect(t *testing.T) node.ContainerStatus {
	t.Helper()
	i, err := theNode.InspectContainer(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	return i.Status
}

// exit waits until the container has exited.
func (c *container) exit(t *testing.T) node.ContainerStatus {
	t.Helper()
	var s node.ContainerStatus
	eventually(t, "the container has exited", func() bool {
		s = c.inspect(t)
		return s.State == "CONTAINER_EXITED"
	})
	return s
}

// exits checks the exit code and returns the status.
func (c *container) exits(t *testing.T, code int32) node.ContainerStatus {
	t.Helper()
	s := c.exit(t)
	if s.ExitCode != code {
		t.Fatalf("exit code %d, expected %d: %s: %s\nlog:\n%s", s.ExitCode, code, s.Reason, s.Message, c.logs(t))
	}
	return s
}

// stop stops the container with so many seconds of grace and says how long it took.
func (c *container) stop(t *testing.T, grace string) time.Duration {
	t.Helper()
	start := time.Now()
	crictl(t, "stop", "--timeout", grace, c.ID)
	return time.Since(start)
}

// logs is what crictl shows of both streams.
func (c *container) logs(t *testing.T) string {
	t.Helper()
	out, err := theNode.CrictlCommand(t.Context(), "logs", c.ID).CombinedOutput()
	if err != nil {
		t.Fatalf("logs: %v: %s", err, out)
	}
	return string(out)
}

// says waits until the container's log contains text.
func (c *container) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the log says "+text, func() bool {
		b, err := os.ReadFile(c.log)
		return err == nil && strings.Contains(string(b), text)
	})
}

// exec runs crictl exec in the container.
func (c *container) exec(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return theNode.Crictl(t.Context(), append([]string{"exec", "--sync", c.ID}, args...)...)
}

// crictl runs crictl, which must succeed.
func crictl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := theNode.Crictl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s", patience, what)
		}
	}
}

// contains checks that text has every part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}
