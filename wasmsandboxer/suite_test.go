package wasmsandboxer_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines"
	"blazar/engines/wazero"
	"blazar/internal/idrange"
	"blazar/internal/testneeds"
	ociwasm "blazar/oci-wasm"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/sandbox/task/taskapi"
	"blazar/wasmsandboxer"
	"blazar/wasmsandboxer/host"
	"blazar/wasmsandboxer/podspec"
)

// TestSuite runs wasm pods, with real wasm-tasks, through everything that a kind of
// sandbox must stand.
func TestSuite(t *testing.T) {
	testneeds.Root(t)
	sandboxtest.Run(t, sandboxtest.Kind{
		New: newHarness,
		Lacks: []sandboxtest.Ability{
			sandboxtest.Pausing,     // a thread cannot be frozen
			sandboxtest.HostPids,    // containers are threads of one process
			sandboxtest.LateFailure, // the module is found and loaded by Create
		},
	})
}

// TestPreparedSuite does the same with wasm-tasks that were started before their pods
// were known.
func TestPreparedSuite(t *testing.T) {
	testneeds.Root(t)
	sandboxtest.Run(t, sandboxtest.Kind{
		New:   func(t *testing.T) *sandboxtest.Harness { return newAnnotated(t, nil, 2) },
		Lacks: []sandboxtest.Ability{sandboxtest.Pausing, sandboxtest.HostPids, sandboxtest.LateFailure},
	})
}

// TestIsolatedSuite does the same with every container in a process of its own.
func TestIsolatedSuite(t *testing.T) {
	testneeds.Root(t)
	sandboxtest.Run(t, sandboxtest.Kind{
		New: func(t *testing.T) *sandboxtest.Harness {
			return newAnnotated(t, map[string]string{podspec.AnnotationIsolation: "process"}, 0)
		},
		Lacks: []sandboxtest.Ability{sandboxtest.Pausing, sandboxtest.LateFailure},
	})
}

var cases atomic.Int32

func newHarness(t *testing.T) *sandboxtest.Harness { return newAnnotated(t, nil, 0) }

// newAnnotated is a node of which every container has these annotations, with a number
// of prepared wasm-tasks.
func newAnnotated(t *testing.T, annotations map[string]string, prepared int) *sandboxtest.Harness {
	root, err := os.MkdirTemp("/tmp", "wk")
	if err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(root, "k")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	parent := fmt.Sprintf("/blazar-test-%d-%d", os.Getpid(), cases.Add(1))
	t.Cleanup(func() {
		for _, dir := range cgroups(parent) { // as of a kubelet, that of all its pods
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	r := &records{}
	state := filepath.Join(root, "t", "state")
	return &sandboxtest.Harness{
		Root: root,
		NewSandboxer: func(t testing.TB) (sandbox.Sandboxer, func()) {
			return newSandboxer(t, r, sockets, state, prepared)
		},
		Config: func(_ testing.TB, id string) (*cri.PodSandboxConfig, string) {
			return &cri.PodSandboxConfig{
				Metadata: &cri.PodSandboxMetadata{Name: id, Namespace: "default", Uid: id},
				Linux:    &cri.LinuxPodSandboxConfig{CgroupParent: parent},
			}, ""
		},
		Bundle: func(t testing.TB, pod, container, bundle string, p sandboxtest.Program) *taskapi.CreateTaskRequest {
			spec := &specs.Spec{Process: process(p), Annotations: map[string]string{}, Root: &specs.Root{Path: "rootfs"}}
			maps.Copy(spec.Annotations, annotations)
			if p.Args[0] == "deaf" { // a guest can be deaf to SIGTERM only if it has a listener
				spec.Annotations["blazar/listen"] = "tcp:" + freeAddress(t)
			}
			if err := r.put(container, record{sandbox: pod, spec: spec, upper: bundle}); err != nil {
				t.Fatal(err)
			}
			return &taskapi.CreateTaskRequest{}
		},
		IO: func(t testing.TB, _, container string) string {
			dir := filepath.Join(state, "io.containerd.grpc.v1.cri", "containers", container, "io")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		Exec:  func(_ testing.TB, p sandboxtest.Program) *specs.Process { return process(p) },
		Leaks: func() []string { return leaks(root, parent) },
	}
}

func process(p sandboxtest.Program) *specs.Process {
	module := "/guest.wasm"
	if p.Args[0] == "unstartable" {
		module = "/missing.wasm"
	}
	return &specs.Process{Args: append([]string{module}, p.Args...), Terminal: p.Terminal, Cwd: "/"}
}

func newSandboxer(t testing.TB, r *records, sockets, state string, prepared int, change ...func(*wasmsandboxer.Config)) (*wasmsandboxer.Sandboxer, func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	registry := &engines.Registry{}
	registry.Register(wazero.Name, wazero.New)
	cache, err := ociwasm.OpenCache(built.cache, ociwasm.CacheOptions{Compiler: &ociwasm.ExecCompiler{Binary: built.blazar}})
	must(err)
	ids, err := idrange.New(idrange.DefaultFirst, idrange.DefaultLast)
	must(err)
	config := wasmsandboxer.Config{
		Node: &host.Node{
			Containers: r, Engines: registry, Cache: cache, Events: &forwarded, ContainerdState: state,
		},
		Binary: built.task, Sockets: sockets, IDs: ids, LogLevel: "debug", Prepared: prepared,
	}
	for _, c := range change {
		c(&config)
	}
	s, err := wasmsandboxer.New(config)
	must(err)
	return s, func() {
		s.Close()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// leaks looks for mounts below root and cgroups below parent.
func leaks(root, parent string) (found []string) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], root+"/") {
			found = append(found, "mount "+f[4])
		}
	}
	for _, dir := range cgroups(parent + "/*") {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			found = append(found, "cgroup "+dir)
		}
	}
	return found
}

// cgroups are the directories of a cgroup in all hierarchies.
func cgroups(name string) (dirs []string) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, err := filepath.Glob(root + name)
		if err != nil {
			panic(err) // a bad pattern
		}
		dirs = append(dirs, found...)
	}
	return dirs
}
