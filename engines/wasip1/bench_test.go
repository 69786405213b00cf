package wasip1

import (
	"os"
	"testing"
)

// BenchmarkCall is the cost of the layer itself, without an engine.
func BenchmarkCall(b *testing.B) {
	dir := b.TempDir()
	plant(b, dir, "file", "a/b/file")
	w := newWorld(b, Config{
		Stdin:    openDir(b, os.DevNull),
		Preopens: []Preopen{{Guest: "/", Dir: openDir(b, dir)}},
	})
	file, errno := w.open(3, "file", 0, true, 0)
	w.must(errno)
	path, n := w.put(atPath, "a/b/file")
	w.iovec(10)
	for _, c := range []struct {
		name string
		args []uint64
	}{
		{"clock_time_get", []uint64{1, 0, atResult}},
		{"fd_pwrite", []uint64{file, atIovecs, 1, 0, atResult}},
		{"fd_read", []uint64{0, atIovecs, 1, atResult}},
		{"path_filestat_get", []uint64{3, 1, path, n, atResult}},
	} {
		f := byName[c.name]
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Call(w.System, w.mem, c.args)
			}
		})
	}
}

// BenchmarkBlockedRead is a read that waits for its data every time.
func BenchmarkBlockedRead(b *testing.B) {
	r, feed := pair(b)
	back, out := pair(b)
	w := newWorld(b, Config{Stdin: r, Stdout: out})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1)
		for {
			if _, err := feed.Write(buf); err != nil {
				return
			}
			if _, err := back.Read(buf); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		if _, errno := w.read(0, 1); errno != ErrnoSuccess {
			b.Fatal(errno)
		}
		if _, errno := w.write(1, "x"); errno != ErrnoSuccess {
			b.Fatal(errno)
		}
	}
	_, _ = feed.Close(), back.Close()
	<-done
}

// BenchmarkNew is the cost of a System with stdio and one preopen.
func BenchmarkNew(b *testing.B) {
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		s, err := New(Config{Preopens: []Preopen{{Guest: "/", Dir: openDir(b, dir)}}})
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}
