package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/cmd/blazar/internal/install"
	"blazar/internal/node"
	"blazar/internal/testneeds"
)

// TestAskContainerd asks the pinned containerd, and reads its configuration.
func TestAskContainerd(t *testing.T) {
	testneeds.Root(t)
	tools, err := filepath.Abs("../../../../.cache/bin")
	if err != nil {
		t.Fatal(err)
	}
	testneeds.File(t, filepath.Join(tools, "containerd"), "`make tools` builds it")
	n, err := node.Start(t.Context(), node.Config{Tools: tools, LinuxOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()

	c, err := Ask(t.Context(), n.Containerd())
	if err != nil {
		t.Fatal(err)
	}
	if v, known := parseRelease(c.Version); !known || !v.atLeast(2, 3) {
		t.Errorf("version %q", c.Version)
	}
	if !slices.Contains(c.Path, tools) {
		t.Errorf("shims are looked for in %v, not in containerd's own directory %s", c.Path, tools)
	}
	if !slices.Contains(c.Sandboxers, "shim") {
		t.Errorf("sandboxers %v", c.Sandboxers)
	}
	if c.CRIErr != nil {
		t.Fatal(c.CRIErr)
	}
	if r, ok := c.CRI.Containerd.Runtimes[node.Handler]; !ok || r.Type != "io.containerd.runc.v2" || r.Sandboxer != "podsandbox" {
		t.Errorf("runtimes %+v", c.CRI.Containerd.Runtimes)
	}
	if conf, bin := c.CRI.cniDirs(); conf != filepath.Join(n.Dir, "cni") || len(bin) != 1 {
		t.Errorf("cni in %s, %v", conf, bin)
	}

	file, err := ReadConfig("", filepath.Join(n.Dir, "containerd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	// The daemon and its files say the same.
	if r := file.Runtimes[node.Handler]; r.Type != c.CRI.Containerd.Runtimes[node.Handler].Type {
		t.Errorf("file %+v", r)
	}
	h := &Host{Containerd: c, File: file}
	run(t, checkContainerd, []one{{"daemon", h, []Level{OK, OK}, nil}})
	run(t, checkRuntimes, []one{{"daemon", h, []Level{Fail}, []string{"blazar install"}}})
	run(t, checkCNI, []one{{"daemon", h, []Level{OK}, nil}})
	run(t, checkOOMScore, []one{{"daemon", h, []Level{OK}, nil}})
}

func TestAskNobody(t *testing.T) {
	if c, err := Ask(t.Context(), filepath.Join(t.TempDir(), "none.sock")); err == nil {
		t.Errorf("answered %+v", c)
	}
}

// TestInstalledConfiguration lets the pinned containerd load what install writes
// into a configuration that was there before, asks it, and has it call the shim.
func TestInstalledConfiguration(t *testing.T) {
	testneeds.Root(t)
	tools, err := filepath.Abs("../../../../.cache/bin")
	if err != nil {
		t.Fatal(err)
	}
	testneeds.File(t, filepath.Join(tools, "containerd"), "`make tools` builds it")
	from := filepath.Dir(goBuild(t, shimBinary, "blazar/cmd/containerd-shim-blazar-v1", "0"))
	for _, name := range []string{"blazar", "blazard", "wasm-task", "pod-reaper"} { // not run here
		if err := os.WriteFile(filepath.Join(from, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	n, err := node.Start(t.Context(), node.Config{Bin: from, Tools: tools, LinuxOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	config := filepath.Join(n.Dir, "containerd.toml")
	plan, err := install.Install(install.Options{
		Prefix: filepath.Join(n.Dir, "usr"), From: from, ContainerdConfig: config, StateDir: "/run/blazar", LocalImagePull: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Apply(); err != nil {
		t.Fatal(err)
	}
	// A mistake that is easily made: no sandboxer.
	broken := "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.blazar-broken]\nruntime_type = \"io.containerd.blazar.v1\"\n"
	if err := os.WriteFile(filepath.Join(n.Dir, "conf.d/broken.toml"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := ReadConfig("", config)
	if err != nil {
		t.Fatal(err)
	}

	// The daemon does not know yet, and doctor says so.
	c, err := Ask(t.Context(), n.Containerd())
	if err != nil {
		t.Fatal(err)
	}
	run(t, checkRuntimes, []one{{"before a restart", &Host{Containerd: c, File: file}, []Level{Fail}, []string{"restart containerd"}}})

	if err := n.RestartContainerd(t.Context(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if c, err = Ask(t.Context(), n.Containerd()); err != nil {
		t.Fatal(err)
	}
	h := &Host{Containerd: c, File: file}
	run(t, checkRuntimes, []one{{"after a restart", h, []Level{Fail, OK, OK, OK, OK, OK}, []string{"runtime blazar-broken: sandboxer is", "runtime blazar-wasm: sandboxer wasm"}}})
	run(t, checkImagePull, []one{{"after a restart", h, []Level{OK}, nil}})
	run(t, checkShim, []one{{"installed", h, []Level{OK}, nil}})
	askedShim(t, n)
	_, err = n.RunPod(t.Context(), "blazar-broken", n.Pod("broken"))
	if err == nil || !strings.Contains(err.Error(), "this runtime has no shim process of its own: set `sandboxer`") {
		t.Errorf("a pod without a sandboxer: %v", err)
	}
}

// askedShim checks that CRI has read the shim's answer to -info, which it asks every
// runtime for at its start.
func askedShim(t *testing.T, n *node.Node) {
	t.Helper()
	conn, err := n.CRI()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // everything has been answered by then
	r, err := cri.NewRuntimeServiceClient(conn).Status(t.Context(), &cri.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, handler := range r.RuntimeHandlers {
		if handler.Name == "blazar-wasm" {
			if f := handler.Features; f == nil || f.UserNamespaces || f.RecursiveReadOnlyMounts {
				t.Errorf("features of blazar-wasm: %v", f)
			}
			return
		}
	}
	t.Errorf("no handler blazar-wasm: %v", r.RuntimeHandlers)
}
