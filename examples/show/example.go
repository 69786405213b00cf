// Package show runs the example images as pods on a private node and says what came
// of it. The demonstration prints it, the integration tests check it.
package show

import (
	"context"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Example is one pod with what is expected of it.
type Example struct {
	// Name is that of the pod.
	Name string
	// About is one line for people.
	About string
	// Handler is the pod's runtime handler, that of wasm pods when empty.
	Handler string
	// Annotations of the pod.
	Annotations map[string]string
	// Slow examples work before they say anything: their cold start ends with the answer
	// to StartContainer.
	Slow bool
	// Containers are started in this order.
	Containers []Container
}

// Container is one container of an example.
type Container struct {
	// Image is the name of an example image, without registry and tag, or the whole name
	// of another that the node has.
	Image string
	// Name of the container; that of the image when empty.
	Name    string
	Command []string
	Args    []string
	Env     map[string]string
	// Mounts are container paths by the name of a volume that the pod has for this
	// run; one whose name ends in ":ro" is read-only.
	Mounts map[string]string
	// Memory is the limit in bytes, 0 for none.
	Memory int64
	// Do is done once the container has said Ready (anything, when that is empty);
	// nothing, when nil.
	Ready string
	Do    func(ctx context.Context, r *Running) (string, error)
	// Stop stops the container so much later, with so many seconds of grace.
	Stop *Stop
	// Code is the exit code that is expected, Says what the log must contain,
	// Reason the reason in the status if it matters.
	Code   int32
	Says   []string
	Reason string
}

// Stop is how a container that does not end by itself is ended.
type Stop struct {
	// Grace is in seconds; 0 is SIGKILL at once.
	Grace int
}

// Result is what came of a container.
type Result struct {
	Example, Container string
	ExitCode           int32
	Reason             string
	Message            string
	Log                string
	// Did is what Do returned.
	Did string
	// ColdStart is the time from RunPodSandbox, for later containers of a pod from
	// CreateContainer, to the first byte in the log, or to the answer of StartContainer
	// if the example is Slow. FirstStart is the same for the first pod of an image on a
	// node, which may have to compile the module.
	FirstStart, ColdStart time.Duration
	Slow                  bool
	// Wrong says what differs from what was expected; empty when nothing does.
	Wrong string
}

// ImageName is the name under which the example images are imported; whole names stay
// what they are.
func ImageName(image string) string {
	if strings.Contains(image, "/") {
		return image
	}
	return "blazar.example/" + image + ":latest"
}

func (e *Example) handler() string {
	if e.Handler != "" {
		return e.Handler
	}
	return Handler
}

func (c *Container) name() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Image
}

// config is CRI's configuration of the container.
func (c *Container) config(volume func(string) string) *runtime.ContainerConfig {
	config := &runtime.ContainerConfig{
		Metadata: &runtime.ContainerMetadata{Name: c.name()},
		Image:    &runtime.ImageSpec{Image: ImageName(c.Image), UserSpecifiedImage: ImageName(c.Image)},
		Command:  c.Command,
		Args:     c.Args,
		LogPath:  c.name() + ".log",
		Linux:    &runtime.LinuxContainerConfig{},
	}
	for key, value := range c.Env {
		config.Envs = append(config.Envs, &runtime.KeyValue{Key: key, Value: []byte(value)})
	}
	for name, path := range c.Mounts {
		config.Mounts = append(config.Mounts, mount(volume, name, path))
	}
	if c.Memory > 0 {
		config.Linux.Resources = &runtime.LinuxContainerResources{MemoryLimitInBytes: c.Memory}
	}
	return config
}
