package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines/wasitestsuite"
	"blazar/internal/node"
)

// suiteTable is where the results stand that the documentation promises.
const suiteTable = "../docs/wasi-testsuite.md"

// suiteHead precedes the table.
const suiteHead = `# WASI test suite

Which cases of the public [WASI test suite](https://github.com/WebAssembly/wasi-testsuite)
(preview 1) pass on which engine, each run as a container of a pod, through CRI and the Task
API. The guest's "/" is the case's fixtures in a root file system of its own. The integration
tests compare their results with this page; ` + "`UPDATE_DOCS=1`" + ` has them write it. They find the
suite where WASI_TESTSUITE says, or beside the repository.

Four cases take a world that no container of a pod has: CRI adds PATH and HOSTNAME to every
environment (environ_*), and "/" is descriptor 3, which one case wants to be closed
(sock_shutdown-invalid_fd). ` + "`blazar run`" + ` passes them too.

`

// TestWASITestSuite runs the suite case by case through CRI and the Task API: one pod
// per engine, one container per case.
func TestWASITestSuite(t *testing.T) {
	dir, err := wasitestsuite.Find("..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if dir == "" {
		t.Skipf("the WASI test suite is not present: set WASI_TESTSUITE, or put it at ../%s", wasitestsuite.Tarball)
	}
	cases, err := wasitestsuite.Cases(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < wasitestsuite.Size {
		t.Errorf("%d cases, the suite has %d", len(cases), wasitestsuite.Size)
	}
	images := suiteImages(t, cases)
	got := &wasitestsuite.Table{}
	for _, engine := range registeredEngines(t) {
		t.Run(engine, func(t *testing.T) {
			s := startSuite(t, engine, images)
			begin := time.Now()
			passed := 0
			for i, err := range s.run(t.Context(), cases) {
				got.Set(engine, cases[i].Name, err == nil)
				if err == nil {
					passed++
					continue
				}
				t.Logf("%s: %v", cases[i].Name, err) // the table says whether that is an error
			}
			t.Logf("%d of %d cases pass in %s", passed, len(cases), time.Since(begin).Round(time.Millisecond))
		})
	}
	checkSuite(t, got)
}

// checkSuite compares with the table in docs/, or writes it.
func checkSuite(t *testing.T, got *wasitestsuite.Table) {
	t.Helper()
	page := suiteHead + got.Markdown()
	if os.Getenv("UPDATE_DOCS") == "1" {
		if err := os.WriteFile(suiteTable, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(suiteTable)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range wasitestsuite.ParseTable(string(b)).Difference(got) {
		t.Error(d)
	}
}

// registeredEngines are those of the daemon, in its order.
func registeredEngines(t *testing.T) []string {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), startPod(t).ID)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := i.Info["engines"].(string) // crictl takes a list as text
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil || len(names) == 0 {
		t.Fatalf("engines %q: %v", text, err)
	}
	return names
}

// suiteModules is where the modules are in the guest's file system.
const suiteModules = "modules-of-the-suite"

// suiteImages makes one image per directory of fixtures, with its cases' modules in it,
// and returns their names by that directory. containerd gives each container a copy
// of its own.
func suiteImages(t *testing.T, cases []wasitestsuite.Case) map[string]string {
	t.Helper()
	files := map[string]map[string][]byte{}
	for _, c := range cases {
		f := files[c.Fixtures()]
		if f == nil {
			f = readTree(t, c.Fixtures())
			files[c.Fixtures()] = f
		}
		module, err := os.ReadFile(c.Module)
		if err != nil {
			t.Fatal(err)
		}
		f[suiteModules+"/"+c.Name+".wasm"] = module
	}
	names := map[string]string{}
	for dir, f := range files {
		names[dir] = fmt.Sprintf("test.invalid/wasi-testsuite:%d", len(names))
		load(t, rootfsImage(names[dir], linux, f, "/none"))
	}
	return names
}

// readTree is what is below dir; nothing for "".
func readTree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	if dir == "" {
		return files
	}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// suite runs cases in one pod.
type suite struct {
	cri    runtime.RuntimeServiceClient
	pod    *pod
	images map[string]string
}

func startSuite(t *testing.T, engine string, images map[string]string) *suite {
	t.Helper()
	conn, err := theNode.CRI()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &suite{
		cri:    runtime.NewRuntimeServiceClient(conn),
		pod:    startPod(t, annotate("blazar/engine", engine)),
		images: images,
	}
}

// run runs all cases, a few at once, and returns what was wrong with each.
func (s *suite) run(ctx context.Context, cases []wasitestsuite.Case) []error {
	errs := make([]error, len(cases))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range next {
				errs[i] = s.one(ctx, &cases[i])
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	workers.Wait()
	return errs
}

// one runs a case in a container, which is removed.
func (s *suite) one(ctx context.Context, c *wasitestsuite.Case) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := node.Container(strings.NewReplacer("/", "-", "_", "-").Replace(c.Name), s.images[c.Fixtures()], "/"+suiteModules+"/"+c.Name+".wasm")
	config.Args = c.Args
	for name, value := range c.Env {
		config.Envs = append(config.Envs, &runtime.KeyValue{Key: name, Value: []byte(value)})
	}
	made, err := s.cri.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: s.pod.ID, Config: config, SandboxConfig: s.pod.Config})
	if err != nil {
		return err
	}
	defer func() {
		_, rerr := s.cri.RemoveContainer(context.WithoutCancel(ctx), &runtime.RemoveContainerRequest{ContainerId: made.ContainerId})
		err = errors.Join(err, rerr)
	}()
	if _, err := s.cri.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: made.ContainerId}); err != nil {
		return err
	}
	code, err := s.wait(ctx, made.ContainerId)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(filepath.Join(s.pod.Config.LogDirectory, config.LogPath))
	if err != nil {
		return err
	}
	return c.Check(code, stream(log, "stdout"), stream(log, "stderr"))
}

// wait returns the exit code; by then the log is complete (containerd waits for the
// streams before it says that a container has exited).
func (s *suite) wait(ctx context.Context, id string) (int, error) {
	for {
		r, err := s.cri.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return 0, err
		}
		if r.Status.State == runtime.ContainerState_CONTAINER_EXITED {
			return int(r.Status.ExitCode), nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("it does not end: %w", ctx.Err())
		}
	}
}

// stream is what was written to one stream, byte by byte, from a log as CRI wants it:
// time, stream, P where a line goes on and F where it ends, and the text.
func stream(log []byte, name string) string {
	var out bytes.Buffer
	for line := range bytes.Lines(log) {
		fields := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 4)
		if len(fields) < 4 || string(fields[1]) != name {
			continue
		}
		out.Write(fields[3])
		if slices.Contains(strings.Split(string(fields[2]), ":"), "F") {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
