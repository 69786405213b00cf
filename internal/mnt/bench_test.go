package mnt

import (
	"os"
	"testing"
)

func BenchmarkNewIDMap(b *testing.B) {
	for b.Loop() {
		m, err := NewIDMap(base, 1000, 1000)
		check(b, err)
		check(b, m.Close())
	}
}

func BenchmarkOverlay(b *testing.B) {
	lower := []string{tree(b, map[string]string{"a": "a"}), tree(b, map[string]string{"b": "b"}), tree(b, map[string]string{"c": "c"})}
	m := idmap(b, 0, 0)
	root := podRoot(b)
	check(b, os.Mkdir(root+"/m", 0o755))
	b.Run("mapped, attached, unmounted", func(b *testing.B) {
		upper, work := b.TempDir(), b.TempDir()
		for b.Loop() {
			d, err := Overlay(Layers{Lower: lower, Upper: upper, Work: work}, m, Attr{NoSUID: true}, "")
			check(b, err)
			check(b, d.AttachAt(root+"/m"))
			check(b, d.Close())
			check(b, UnmountAll(root+"/m"))
		}
	})
	b.Run("mapped bind", func(b *testing.B) {
		for b.Loop() {
			d, err := Bind(lower[0], false, m, Attr{})
			check(b, err)
			check(b, d.Close())
		}
	})
	b.Run("OpenIn", func(b *testing.B) {
		f := must(openPath(lower[0], 0))(b)
		defer closed(b, f)
		for b.Loop() {
			g, err := OpenIn(f, "/a", os.O_RDONLY)
			check(b, err)
			check(b, g.Close())
		}
	})
}
