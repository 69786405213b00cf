package host

import (
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/mnt"
)

// overlayOf plans a container with the layers below dir, and mounts at targets.
func overlayOf(dir string, readOnly bool, targets ...string) *planned {
	p := &planned{readOnly: readOnly, root: []mnt.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"index=off", "workdir=" + filepath.Join(dir, "work"), "upperdir=" + filepath.Join(dir, "upper"),
		"lowerdir=" + filepath.Join(dir, "two") + ":" + filepath.Join(dir, "one"),
	}}}}
	for _, t := range targets {
		p.mounts = append(p.mounts, &plannedMount{kind: "bind", target: t, dir: true})
	}
	return p
}

func makeLayers(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{"one", "two", "upper", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRootKey(t *testing.T) {
	dir := t.TempDir()
	makeLayers(t, dir)
	key := func(p *planned) rootKey {
		t.Helper()
		k, ok := p.key()
		if !ok {
			t.Fatal("not known")
		}
		return k
	}
	first := key(overlayOf(dir, false, "/data"))
	if key(overlayOf(dir, false, "/data")) != first {
		t.Error("the same is another")
	}
	for name, p := range map[string]*planned{
		"read-only": overlayOf(dir, true, "/data"), "no mount": overlayOf(dir, false),
		"another mount point": overlayOf(dir, false, "/other"), "two": overlayOf(dir, false, "/data", "/other"),
	} {
		if key(p) == first {
			t.Errorf("%s is taken for the same", name)
		}
	}
	// Another layer at the same path, as after all images were removed.
	if err := os.Remove(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	makeLayers(t, filepath.Join(dir, "in between"))
	makeLayers(t, dir)
	if key(overlayOf(dir, false, "/data")) == first {
		t.Error("another layer is taken for the one that was there")
	}
	// What was written may hide the module, or a mount point.
	if err := os.WriteFile(filepath.Join(dir, "upper", "app.wasm"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := overlayOf(dir, false, "/data").key(); ok {
		t.Error("a root that was written to is known")
	}
	for name, root := range map[string][]mnt.Mount{
		"nothing": nil, "view": {{Type: "overlay", Options: []string{"lowerdir=" + dir}}}, "erofs": {{Type: "erofs", Source: dir}},
	} {
		if _, ok := (&planned{root: root}).key(); ok {
			t.Errorf("%s is known", name)
		}
	}
}

func TestRootMemoIsBounded(t *testing.T) {
	var r rootMemo
	for i := range 2 * maxRoots {
		root := rootKey{byte(i), byte(i >> 8)}
		for j := range 2 * maxRootModules {
			r.put(root, moduleKey{byte(j)}, knownModule{name: "m"})
		}
		if _, ok := r.get(root, moduleKey{2*maxRootModules - 1}); !ok {
			t.Fatal("the latest is forgotten")
		}
		if len(r.m) > maxRoots || len(r.m[root]) > maxRootModules {
			t.Fatalf("%d roots, %d modules", len(r.m), len(r.m[root]))
		}
	}
}

// The file for last words is opened before it is mounted only where nothing is mounted
// over it afterwards.
func TestMessageBeforeItIsMounted(t *testing.T) {
	const at = "/dev/termination-log"
	spec := &specs.Spec{Mounts: []specs.Mount{{Destination: at, Source: "/x", Type: "bind"}}}
	plan := func(targets ...string) *planned {
		p := &planned{rec: &Container{Spec: spec}}
		for _, t := range targets {
			p.mounts = append(p.mounts, &plannedMount{kind: "bind", target: t})
		}
		return p
	}
	if _, ok := (&planned{rec: &Container{Spec: &specs.Spec{}}}).message(1); !ok {
		t.Error("a container without one is refused")
	}
	for name, p := range map[string]*planned{
		"over it": plan(at, "/dev"), "over all": plan(at, "/"), "not made": plan(at), "not planned": plan("/other"),
	} {
		if _, ok := p.message(1); ok {
			t.Errorf("%s: opened", name)
		}
	}
	for _, c := range []struct {
		name, dir string
		want      bool
	}{
		{"/a/b", "/a", true}, {"/a/b", "/a/b", true}, {"/a/b", "/", true}, {"/ab", "/a", false}, {"/a", "/a/b", false},
	} {
		if below(c.name, c.dir) != c.want {
			t.Errorf("%s below %s: %v", c.name, c.dir, !c.want)
		}
	}
}
