package recipe

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ociwasm "blazar/oci-wasm"
)

// folder writes a recipe with its files.
func folder(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	cSource = "int main(void) { return 0; }\n"
	cRecipe = "sources = [\"main.c\"]\n[[image]]\nname = \"thing\"\ncmd = [\"x\"]\nmkdir = [\"/data\"]\n[[image]]\nname = \"thing-d\"\nshape = \"d\"\n"
)

func build(t *testing.T, dir, out string) *Built {
	t.Helper()
	r, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Build(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildIsIncremental(t *testing.T) {
	dir, out := folder(t, "thing", map[string]string{"main.c": cSource, File: cRecipe}), t.TempDir()
	b := build(t, dir, out)
	if !b.Changed || len(b.Tars) != 2 || filepath.Base(b.Module) != "thing.wasm" {
		t.Fatalf("%+v", b)
	}
	if build(t, dir, out).Changed {
		t.Fatal("built again for nothing")
	}
	first, err := os.ReadFile(b.Tars[0])
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"main.c": "int main(void) { return 7; }\n", File: strings.Replace(cRecipe, `"x"`, `"y"`, 1)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if !build(t, dir, out).Changed || build(t, dir, out).Changed {
			t.Fatalf("%s was changed", file)
		}
	}
	if second, err := os.ReadFile(b.Tars[0]); err != nil || bytes.Equal(first, second) {
		t.Fatalf("the image stayed the same, %v", err)
	}
	if err := os.Remove(b.Module); err != nil {
		t.Fatal(err)
	}
	if !build(t, dir, out).Changed {
		t.Fatal("a module that is gone is not built")
	}
	left, err := filepath.Glob(filepath.Join(out, ".[cgn]*-*"))
	if err != nil || len(left) > 0 {
		t.Fatalf("left: %v, %v", left, err)
	}
}

func TestBuiltImages(t *testing.T) {
	b := build(t, folder(t, "thing", map[string]string{"main.c": cSource, File: cRecipe}), t.TempDir())
	for i, want := range []ociwasm.Shape{ociwasm.ShapeLinux, ociwasm.ShapeArtifact} {
		l, err := ociwasm.OpenLayout(t.Context(), b.Tars[i])
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Image(b.Recipe.Images[i].Ref())
		if err != nil {
			t.Fatal(err)
		}
		image, err := ociwasm.Inspect(t.Context(), l, d)
		if err != nil || image.Shape != want {
			t.Fatalf("%+v, %v", image, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildsAtTheSameTime(t *testing.T) {
	dir, out := folder(t, "thing", map[string]string{"main.c": cSource, File: cRecipe}), t.TempDir()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			r, err := Load(dir)
			if err == nil {
				_, err = r.Build(context.Background(), out)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMistakesAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ recipe, says string }{
		"no toml":      {"[", File},
		"unknown word": {cRecipe + "colour = \"red\"\n", "strict mode"},
		"nothing":      {"[[image]]\nname = \"x\"\n", "either go = true or sources"},
		"both":         {"go = true\n" + cRecipe, "either go = true or sources"},
		"no image":     {"go = true\n", "no [[image]]"},
	} {
		if _, err := Load(folder(t, "thing", map[string]string{File: c.recipe})); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ source, recipe, says string }{
		"bad C":     {"int main(", cRecipe, "main.c:1"},
		"bad shape": {cSource, strings.Replace(cRecipe, `"d"`, `"e"`, 1), `shape "e"`},
		"no source": {cSource, strings.Replace(cRecipe, "main.c", "other.c", 1), "other.c"},
	} {
		r, err := Load(folder(t, "thing", map[string]string{"main.c": c.source, File: c.recipe}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Build(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
