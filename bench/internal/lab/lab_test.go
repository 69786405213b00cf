package lab

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestContestants(t *testing.T) {
	names, images := map[string]bool{}, map[string]string{}
	for _, c := range Contestants() {
		if names[c.Name] || c.Name == "" || c.What == "" || c.Handler == "" || c.Image == "" {
			t.Errorf("%+v", c)
		}
		names[c.Name] = true
		// Evicting the artifacts of one must not make another compile.
		if other := images[c.Image]; c.Uncached && other != "" {
			t.Errorf("%s and %s share an image", c.Name, other)
		}
		images[c.Image] = c.Name
		if cache := c.Cache(); (cache == "miss") != c.Uncached || (cache == "") != (c.Engine == "") {
			t.Errorf("%s: cache %q", c.Name, cache)
		}
	}
	for _, name := range []string{Runc, Floor, Wasm, BlazarRunc} {
		if !names[name] {
			t.Errorf("no contestant %s", name)
		}
	}
}

func TestWants(t *testing.T) {
	for _, c := range []struct {
		o    Options
		from Effort
		want bool
	}{
		{Options{Effort: Quick}, Quick, true},
		{Options{Effort: Quick}, Full, false},
		{Options{Effort: Smoke, Contestants: []string{"a"}}, Full, true},
		{Options{Effort: Full, Contestants: []string{"b"}}, Smoke, false},
	} {
		if got := New(c.o).Wants("a", c.from); got != c.want {
			t.Errorf("%+v, from %d: %v", c.o, c.from, got)
		}
		c.o.Tables, c.o.Contestants = c.o.Contestants, nil
		if got := New(c.o).Measures("a", c.from); got != c.want {
			t.Errorf("%+v, from %d: %v", c.o, c.from, got)
		}
	}
}

func TestSamples(t *testing.T) {
	for o, want := range map[int]Options{7: {N: 7, Effort: Smoke}, 1: {Effort: Smoke}, 30: {Effort: Quick}, 200: {Effort: Full}} {
		if got := New(want).Samples(30, 200); got != o {
			t.Errorf("%+v: %d, want %d", want, got, o)
		}
	}
}

func TestWithSection(t *testing.T) {
	empty := []byte("\x00asm\x01\x00\x00\x00")
	got := withSection(empty, "ab")
	if want := append(bytes.Clone(empty), 0, 3, 2, 'a', 'b'); !bytes.Equal(got, want) {
		t.Errorf("%s, want %s", hex.EncodeToString(got), hex.EncodeToString(want))
	}
	if len(empty) != 8 {
		t.Error("changed what it was given")
	}
}

func TestEvictModule(t *testing.T) {
	dir := t.TempDir()
	mine, other := digest.FromString("mine"), digest.FromString("other")
	for name, d := range map[string]digest.Digest{"1": mine, "2": other, "3": mine} {
		artifact := filepath.Join(dir, name)
		if err := os.Mkdir(artifact, 0o700); err != nil {
			t.Fatal(err)
		}
		manifest := "01234567\n" + `{"version":"1","digest":"` + d.Encoded() + `"}`
		if err := os.WriteFile(filepath.Join(artifact, "engine.json"), []byte(manifest), 0o400); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(artifact, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := evictModule(dir, mine); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "2" {
		t.Errorf("left %v, %v", left, err)
	}
	if err := evictModule(dir, mine); err == nil {
		t.Error("evicted what is not there")
	}
	if err := os.Chmod(filepath.Join(dir, "2"), 0o700); err != nil { // or the folder cannot be removed
		t.Error(err)
	}
}
