package install

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/internal/wasmedgelib"
)

func options(t *testing.T) Options {
	return Options{Root: t.TempDir(), Prefix: "/usr/local", From: built(t), ContainerdConfig: "/etc/containerd/config.toml", StateDir: "/run/blazar", Systemd: true}
}

func apply(t *testing.T, p *Plan, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
}

// files lists everything below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestInterruptedInstall stops after every step and lets the next run complete
// it; what is then removed is everything.
func TestInterruptedInstall(t *testing.T) {
	for steps := range 7 {
		o := options(t)
		p, err := Install(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.writeManifest(p.before); err != nil {
			t.Fatal(err)
		}
		for _, a := range p.actions[:min(steps, len(p.actions))] {
			if err := p.do(a); err != nil {
				t.Fatal(err)
			}
		}
		if steps%2 == 0 { // half of the time the next one is a removal
			p, err = Install(o)
			apply(t, p, err)
			if p, err = Install(o); err != nil || p.Changes() {
				t.Fatalf("after %d steps: not complete: %v", steps, err)
			}
		}
		p, err = Uninstall(o)
		apply(t, p, err)
		if left := files(t, o.Root); len(left) != 1 {
			t.Errorf("after %d steps: left %q", steps, left)
		}
	}
}

func TestInstallKeepsWhatWasThereAlready(t *testing.T) {
	o := options(t)
	same, err := os.ReadFile(filepath.Join(o.From, "blazar"))
	if err != nil {
		t.Fatal(err)
	}
	path := o.real(o.binary("blazar"))
	writeTest(t, path, string(same))
	if err := os.Chmod(path, modeBinary); err != nil {
		t.Fatal(err)
	}
	p, err := Install(o)
	apply(t, p, err)
	p, err = Uninstall(o)
	apply(t, p, err)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("removed a file that was there before: %v", err)
	}
	if _, err := os.Stat(o.real(o.binary("wasm-task"))); err == nil {
		t.Error("left a file of its own")
	}
}

func TestInstallSetsModes(t *testing.T) {
	o := options(t)
	p, err := Install(o)
	apply(t, p, err)
	path := o.real(o.binary(shimBinary))
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err = Install(o)
	apply(t, p, err)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != modeBinary {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for _, path := range files(t, o.Root) {
		if strings.HasPrefix(filepath.Base(path), ".") {
			t.Errorf("left a temporary file: %s", path)
		}
	}
}

func TestManifestOfAnotherRelease(t *testing.T) {
	for _, text := range []string{`{"version":99}`, `{`} {
		o := options(t)
		writeTest(t, o.real(o.manifest()), text)
		if _, err := Install(o); err == nil {
			t.Errorf("%s: installed over it", text)
		}
		if _, err := Uninstall(o); err == nil {
			t.Errorf("%s: uninstalled", text)
		}
	}
}

// TestBusy runs the installed wasm-task, and again after it was replaced; by itself, and
// by a loader, as where it has libwasmedge.
func TestBusy(t *testing.T) {
	t.Run("itself", func(t *testing.T) { testBusy(t) })
	if runtime.GOARCH == "amd64" {
		t.Run("loader", func(t *testing.T) { testBusy(t, "/lib64/"+wasmedgelib.Loader) })
	}
}

func testBusy(t *testing.T, loader ...string) {
	t.Helper()
	o := options(t)
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	writeTest(t, filepath.Join(o.From, "wasm-task"), string(sleep))
	p, err := Install(o)
	apply(t, p, err)
	if err := Busy(o); err != nil {
		t.Fatalf("busy with nothing: %v", err)
	}
	line := append(loader, o.real(o.binary("wasm-task")), "60")
	pod := exec.CommandContext(t.Context(), line[0], line[1:]...)
	if err := pod.Start(); err != nil {
		t.Fatal(err)
	}
	busy := func() {
		t.Helper()
		if err := Busy(o); !errors.Is(err, errdefs.ErrFailedPrecondition) || !strings.Contains(err.Error(), "1 pods still run") {
			t.Errorf("a pod runs: %v", err)
		}
	}
	busy()
	writeTest(t, filepath.Join(o.From, "wasm-task"), "a newer one")
	p, err = Install(o)
	apply(t, p, err)
	busy()
	if err := pod.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = pod.Wait() // killed
	if err := Busy(o); err != nil {
		t.Errorf("busy after the pod's end: %v", err)
	}
}

func TestImports(t *testing.T) {
	o := options(t)
	for _, c := range []struct{ name, config, want string }{
		{"empty", "", "imports = [\"/etc/containerd/conf.d/*.toml\"]\n"},
		{"no version", "root = '/x'\n", "imports = [\"/etc/containerd/conf.d/*.toml\"]\nroot = '/x'\n"},
		{"no newline", "version = 3", "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n"},
		{"version in a table", "[a]\nversion = 3\n", "imports = [\"/etc/containerd/conf.d/*.toml\"]\n[a]\nversion = 3\n"},
		{"empty list", "imports = []\n", "imports = [\"/etc/containerd/conf.d/*.toml\"]\n"},
		{"trailing comma", "imports = [ 'a', ]\n", "imports = [ 'a', \"/etc/containerd/conf.d/*.toml\"]\n"},
		{"several lines", "imports = [\n'a']\n", ""},
		{"in a string", "x = '''\nversion = 3\n'''\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, text, err := o.addImport([]byte(c.config))
			if c.want == "" {
				if !errors.Is(err, errdefs.ErrFailedPrecondition) {
					t.Fatalf("changed to %q, %v", got, err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Fatalf("%q, %v, want %q", got, err, c.want)
			}
			if done, err := o.imported(got); err != nil || !done {
				t.Errorf("does not import the drop-in: %v", err)
			}
			if back, ok := o.removeImport(got, text); !ok || strings.TrimSpace(string(back)) == strings.TrimSpace(string(got)) {
				t.Errorf("undone: %q, %v", back, ok)
			}
		})
	}
}

func TestUnionKeepsBoth(t *testing.T) {
	a := &manifest{Files: map[string][]string{"/a": {"1"}, "/b": {"1"}}}
	b := &manifest{Files: map[string][]string{"/a": {"2"}, "/c": {"3"}}}
	u := union(a, b)
	if !slices.Equal(u.Files["/a"], []string{"1", "2"}) || !slices.Equal(u.Files["/b"], []string{"1"}) || !slices.Equal(u.Files["/c"], []string{"3"}) {
		t.Errorf("%v", u.Files)
	}
	if len(a.Files["/a"]) != 1 {
		t.Error("changed what it was given")
	}
}

// TestExample keeps the drop-in of the examples what is installed.
func TestExample(t *testing.T) {
	const path = "../../../../examples/kubernetes/containerd/blazar.toml"
	o := options(t)
	o.LocalImagePull = true
	want, err := o.render("containerd.toml.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what is installed:\n%s", path, want)
	}
}
