package integration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines"
	"blazar/engines/wasitestsuite"
)

// suiteTable is where the results stand that the documentation promises.
const suiteTable = "../docs/wasi-testsuite.md"

// suiteHead precedes the table.
const suiteHead = `# WASI test suite

Which cases of the public [WASI test suite](https://github.com/WebAssembly/wasi-testsuite)
(preview 1) pass on which engine, each run as a container of a pod, through containerd and the
Task API. The guest's "/" is the case's fixtures in a root file system of its own; a case without
fixtures has no "/". The integration tests compare their results with this page;
` + "`UPDATE_DOCS=1`" + ` has them write it. They find the suite where WASI_TESTSUITE says, or beside the
repository.

`

// TestWASITestSuite runs the suite case by case through containerd and the Task API: one pod
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
	// Modules that were never compiled run on baseline code where a pod wants it.
	images, fresh := suiteImages(t, cases, "suite", nil), suiteImages(t, cases, "fresh", customSection())
	got := &wasitestsuite.Table{}
	for _, engine := range append(registeredEngines(t), tieredEngine+engines.BaselineSuffix) {
		t.Run(engine, func(t *testing.T) {
			s := startSuite(t, engine, images)
			if base, ok := strings.CutSuffix(engine, engines.BaselineSuffix); ok {
				s = startSuite(t, base, fresh, annotate("blazar/first-tier", "on"))
				defer s.allOn(t, engine, len(cases))
			}
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
// of its own. Each module gets the section behind its own.
func suiteImages(t *testing.T, cases []wasitestsuite.Case, tag string, section []byte) map[string]string {
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
		f[suiteModules+"/"+c.Name+".wasm"] = append(module, section...)
	}
	names := map[string]string{}
	for dir, f := range files {
		names[dir] = fmt.Sprintf("test.invalid/wasi-testsuite:%s-%d", tag, len(names))
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

// suite runs cases in one pod. Its containers are made with containerd's own API, as
// ctr and nerdctl make theirs, and not CRI's, which adds variables to every
// environment.
type suite struct {
	client   *containerd.Client
	pod      *pod
	endpoint string // of the pod's Task API
	images   map[string]containerd.Image
}

func startSuite(t *testing.T, engine string, names map[string]string, changes ...func(*runtime.PodSandboxConfig)) *suite {
	t.Helper()
	client, err := containerd.New(theNode.Containerd(), containerd.WithDefaultNamespace("k8s.io"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	s := &suite{client: client, pod: startPod(t, append(changes, annotate("blazar/engine", engine))...), images: map[string]containerd.Image{}}
	i, err := theNode.InspectPod(t.Context(), s.pod.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.endpoint, _ = i.Info["address"].(string)
	for dir, name := range names {
		if s.images[dir], err = client.GetImage(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// allOn checks that all containers ran on the engine.
func (s *suite) allOn(t *testing.T, engine string, want int) {
	n := 0
	for _, c := range containersOf(t, s.pod) {
		if c.Engine == engine {
			n++
		}
	}
	if n != want {
		t.Errorf("%d containers ran on %s, want %d", n, engine, want)
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
	id := "suite-" + strings.ToLower(rand.Text())
	options := []containerd.NewContainerOpts{
		containerd.WithSandbox(s.pod.ID),
		containerd.WithRuntime("io.containerd.blazar.v1", nil),
		containerd.WithImage(s.images[c.Fixtures()]),
		containerd.WithNewSnapshot(id, s.images[c.Fixtures()]),
		containerd.WithSpec(spec(c)),
	}
	made, err := s.client.NewContainer(ctx, id, options...)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, made.Delete(context.WithoutCancel(ctx), containerd.WithSnapshotCleanup))
	}()
	var stdout, stderr bytes.Buffer
	streams := cio.NewCreator(cio.WithStreams(nil, &stdout, &stderr), cio.WithFIFODir(filepath.Join(theNode.Dir, "state", "fifo")))
	task, err := made.NewTask(ctx, streams, containerd.WithTaskAPIEndpoint(s.endpoint, 3))
	if err != nil {
		return err
	}
	code, err := await(ctx, task)
	if err == nil {
		task.IO().Wait() // Delete would cut off what has not been read yet
	}
	if _, derr := task.Delete(context.WithoutCancel(ctx), containerd.WithProcessKill); err != nil || derr != nil {
		return errors.Join(err, derr)
	}
	return c.Check(code, stdout.String(), stderr.String())
}

// spec is a container's specification with the world that the case is to have, and
// nothing else.
func spec(c *wasitestsuite.Case) *specs.Spec {
	p := &specs.Process{Cwd: "/", Args: append([]string{"/" + suiteModules + "/" + c.Name + ".wasm"}, c.Args...)}
	for name, value := range c.Env {
		p.Env = append(p.Env, name+"="+value)
	}
	s := &specs.Spec{Version: specs.Version, Process: p, Linux: &specs.Linux{}}
	if c.Fixtures() != "" {
		s.Root = &specs.Root{Path: "rootfs"}
	}
	return s
}

// await starts the task and returns its exit code.
func await(ctx context.Context, task containerd.Task) (int, error) {
	exit, err := task.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := task.Start(ctx); err != nil {
		return 0, err
	}
	status := <-exit
	code, _, err := status.Result()
	return int(code), err
}
