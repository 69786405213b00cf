package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// What a pod does, it does on WasmEdge too. The library is found or the tests fail.
func TestWasmEdge(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/engine", "wasmedge"))

	t.Run("hello", func(t *testing.T) {
		k := p.start(t, named("hello", busy("hello")))
		k.exits(t, 0)
		contains(t, k.logs(t), "hello from wasm")
		contains(t, verbose(t, p), `"engine":"wasmedge`, `"version":"0.14.`, "pod annotation blazar/engine")
	})
	t.Run("exit code", func(t *testing.T) { p.start(t, named("exit", busy("exit", "42"))).exits(t, 42) })
	t.Run("trap", func(t *testing.T) {
		k := p.start(t, named("trap", raw("trap")))
		k.exits(t, 134)
		contains(t, k.logs(t), "about to trap", "unreachable", "raw.wasm")
	})
	t.Run("stack overflow", func(t *testing.T) {
		k := p.start(t, named("recurse", raw("recurse")))
		k.exits(t, 134)
		contains(t, k.logs(t), "call stack exhausted")
	})
	t.Run("out of memory", func(t *testing.T) {
		k := p.start(t, limited(named("grow", busy("grow", "96", "/never", "0")), &runtime.LinuxContainerResources{MemoryLimitInBytes: 64 << 20}))
		if s := k.exits(t, 137); s.Reason != "OOMKilled" {
			t.Errorf("reason %q: %q", s.Reason, s.Message)
		}
	})
	for name, c := range blockers() {
		t.Run("SIGKILL "+name, func(t *testing.T) {
			k := p.start(t, named("kill-"+name, c))
			k.says(t, "ing")
			if took := k.stop(t, "0"); took > endsWithin {
				t.Errorf("SIGKILL took %s", took)
			}
			k.exits(t, 137)
		})
	}
	t.Run("exec and statistics", func(t *testing.T) {
		k := p.start(t, named("sleep", busy("sleep")))
		k.says(t, "sleeping")
		out, err := k.exec(t, "/raw.wasm", "hello")
		if err != nil {
			t.Fatal(err)
		}
		contains(t, out, "hello from raw wasm")
		if out, err := k.exec(t, "/app.wasm", "exit", "9"); err == nil {
			t.Errorf("exec succeeded: %s", out)
		}
		eventually(t, "there are statistics", func() bool {
			u := containerUsage(t, k)
			return u.CPU.UsageCoreNanoSeconds.uint(t) > 0 && u.Memory.WorkingSetBytes.uint(t) > 0
		})
	})
}

// The runtime handler chooses it as the annotation does.
func TestWasmEdgeHandler(t *testing.T) {
	t.Parallel()
	p := startPodOf(t, "blazar-wasmedge")
	p.start(t, raw("hello")).exits(t, 0)
	contains(t, verbose(t, p), `"engine":"wasmedge`, "runtime handler blazar-wasmedge")
}

// Three containers of one pod run on three engines at the same time.
func TestThreeEnginesInOnePod(t *testing.T) {
	t.Parallel()
	names := []string{"wasmtime", "wazero", "wasmedge"}
	var changes []func(*runtime.PodSandboxConfig)
	for _, engine := range names {
		changes = append(changes, annotate("blazar/engine.on-"+engine, engine))
	}
	p := startPod(t, changes...)
	pid := podPid(t, p)
	var all []*container
	for _, engine := range names {
		all = append(all, p.start(t, named("on-"+engine, busy("spin"))))
	}
	for i, engine := range names {
		all[i].says(t, "spinning")
		contains(t, verbose(t, p), `"engine":"`+engine, "pod annotation blazar/engine.on-"+engine)
		// One traps beside them.
		k := p.start(t, annotated(named("trap-"+engine, raw("trap")), engine))
		k.exits(t, 134)
	}
	for _, k := range all {
		if s := k.inspect(t); s.State != "CONTAINER_RUNNING" {
			t.Errorf("%s beside those that trapped", s.State)
		}
		k.stop(t, "0")
		k.exits(t, 137)
	}
	if now := podPid(t, p); now != pid {
		t.Errorf("the pod's process was %d and is %d", pid, now)
	}
}

// annotated puts the choice of an engine on the container.
func annotated(c *runtime.ContainerConfig, engine string) *runtime.ContainerConfig {
	c.Annotations = map[string]string{"blazar/engine": engine}
	return c
}

// A pod that was started without the library says what it takes, and runs on.
func TestWasmEdgeTooLate(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	contains(t, p.refuse(t, annotated(named("late", raw("hello")), "wasmedge")),
		"container annotation blazar/engine", "this pod was started without it", "blazar/engine.late: wasmedge")
	if maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", podPid(t, p))); err != nil || strings.Contains(string(maps), "libwasmedge") {
		t.Errorf("a pod that does not want the library has it, or %v", err)
	}
	// crun's word is a hint: it is passed over.
	c := named("hint", raw("hello"))
	c.Annotations = map[string]string{"run.oci.handler": "wasmedge"}
	p.start(t, c).exits(t, 0)
}

// The daemon itself never loads the library, and finds the pods that have it again.
func TestWasmEdgePodSurvivesServe(t *testing.T) {
	p := startPod(t, annotate("blazar/engine", "wasmedge"))
	k := p.start(t, named("first", raw("sleep")))
	k.says(t, "sleeping")
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", theNode.ServePid()))
	if err != nil || strings.Contains(string(maps), "libwasmedge") {
		t.Errorf("blazar serve has the library, or %v", err)
	}
	if err := theNode.RestartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.start(t, named("second", raw("hello"))).exits(t, 0)
	k.stop(t, "0")
	k.exits(t, 137)
}

// Without the library the other engines run, and a container that asks for it is told
// how to get it.
func TestWasmEdgeMissing(t *testing.T) {
	t.Parallel()
	n, err := startNode(t.Context(), "--wasmedge", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if err := loadImages(t.Context(), n, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	create := func(engine string) error {
		config := n.Pod("pod-" + engine)
		config.Annotations["blazar/engine"] = engine
		id, err := n.RunPod(t.Context(), "blazar-wasm", config)
		if err != nil {
			return err
		}
		c := node.Container("main", rawImage)
		c.Args = []string{"hello"}
		k, err := n.CreateContainer(t.Context(), id, c, config)
		if err == nil {
			err = n.StartContainer(t.Context(), k)
		}
		return err
	}
	if err := create("wazero"); err != nil {
		t.Error(err)
	}
	err = create("wasmedge")
	if err == nil {
		t.Fatal("a container started on an engine whose library is missing")
	}
	contains(t, err.Error(), "libwasmedge", "no such file", "libwasmedge0", "docs/engines.md")
}

// command runs blazar with BLAZAR_WASMEDGE as given, or as it is.
func command(t *testing.T, library string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../bin/blazar", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if library != "" {
		cmd.Env = append(cmd.Env, "BLAZAR_WASMEDGE="+library)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// unpacked is the directory that the node was given, empty where the library is
// installed.
func unpacked(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if args := libraries(root); len(args) > 0 {
		return args[1]
	}
	return ""
}

// The command line finds the library as the daemon does.
func TestWasmEdgeOnTheCommandLine(t *testing.T) {
	t.Parallel()
	library, module := unpacked(t), filepath.Join(guests, "raw.wasm")
	run := []string{"run", "--engine", "wasmedge", module}
	if out, err := command(t, library, append(run, "hello")...); err != nil {
		t.Errorf("%v: %s", err, out)
	} else {
		contains(t, out, "hello from raw wasm")
	}
	out, err := command(t, library, append(run, "trap")...)
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != 134 {
		t.Errorf("a trap ended with %v: %s", err, out)
	}
	out, err = command(t, t.TempDir(), append(run, "hello")...)
	if err == nil {
		t.Error("it ran without the library")
	}
	contains(t, out, "libwasmedge", "docs/engines.md")
	out, _ = command(t, library, "doctor") // which finds fault with this host
	contains(t, out, "0.14.", "native code by LLVM")
}

// The compiler's user may not be able to walk to the library.
func TestWasmEdgeLibraryBehindClosedDoors(t *testing.T) {
	t.Parallel()
	from := unpacked(t)
	if from == "" {
		return // installed, where everybody may read
	}
	// Beside the library, for links; open to nobody but its owner.
	closed, err := os.MkdirTemp(filepath.Dir(from), "closed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(closed); err != nil {
			t.Error(err)
		}
	})
	to := filepath.Join(closed, "lib")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(from + "/*.so*")
	if err != nil || len(all) < 10 {
		t.Fatal(all, err)
	}
	for _, file := range all {
		if err := os.Link(file, filepath.Join(to, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	out, err := command(t, to, "image", "precompile", "--engine", "wasmedge", "--root", t.TempDir(), filepath.Join(guests, "raw.wasm"))
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	contains(t, out, "wasmedge: compiled in")
}

// A container in a process of its own has the library there.
func TestWasmEdgeIsolated(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/engine", "wasmedge"), annotate("blazar/isolation", "process"))
	k := p.start(t, named("hello", raw("hello")))
	k.exits(t, 0)
	contains(t, k.logs(t), "hello from raw wasm")
	p.start(t, named("trap", raw("trap"))).exits(t, 134)
	contains(t, verbose(t, p), `"engine":"wasmedge"`)
}
