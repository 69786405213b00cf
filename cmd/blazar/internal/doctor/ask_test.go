package doctor

import (
	"path/filepath"
	"slices"
	"testing"

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
