//go:build cgo

package wasmtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

func guests(b *testing.B) map[string][]byte {
	all := map[string][]byte{}
	for name, file := range map[string]string{"hello": "hello-c.wasm", "gohello": "hello-go.wasm"} {
		m, err := os.ReadFile(filepath.Join("..", "..", ".cache", "images", file))
		if err != nil {
			b.Fatal(err)
		}
		all[name] = m
	}
	return all
}

func firstByte(b testing.TB, m engines.Module) (first, whole time.Duration) {
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	got := make(chan time.Time, 1)
	go func() {
		_, _ = r.Read(make([]byte, 64))
		got <- time.Now()
	}()
	begin := time.Now()
	s, err := wasip1.New(wasip1.Config{Args: []string{"hello"}, Stdout: w})
	if err != nil {
		b.Fatal(err)
	}
	i, err := m.New(b.Context(), engines.Config{System: s, MemoryLimit: 256 << 20})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	exit := <-done
	if exit.Err != nil || exit.Trap != nil || exit.OOM {
		b.Fatalf("%+v", exit)
	}
	_ = i.Close()
	whole = time.Since(begin)
	first = (<-got).Sub(begin)
	_ = s.Close()
	_ = r.Close()
	return
}

func BenchmarkFirstByte(b *testing.B) {
	for name, module := range guests(b) {
		b.Run(name, func(b *testing.B) {
			e, err := New(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			if err := e.Compile(b.Context(), module, dir); err != nil {
				b.Fatal(err)
			}
			m, err := e.Load(b.Context(), dir)
			if err != nil {
				b.Fatal(err)
			}
			var first, whole []time.Duration
			for b.Loop() {
				f, w := firstByte(b, m)
				first, whole = append(first, f), append(whole, w)
			}
			slices.Sort(first)
			slices.Sort(whole)
			b.ReportMetric(float64(first[len(first)/2].Microseconds()), "first-p50-µs")
			b.ReportMetric(float64(first[len(first)*99/100].Microseconds()), "first-p99-µs")
			b.ReportMetric(float64(whole[len(whole)/2].Microseconds()), "whole-p50-µs")
			_ = m.Close()
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, module := range guests(b) {
		b.Run(name, func(b *testing.B) {
			e, err := New(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			if err := e.Compile(b.Context(), module, dir); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m, err := e.Load(b.Context(), dir)
				if err != nil {
					b.Fatal(err)
				}
				_ = m.Close()
			}
		})
	}
}

// BenchmarkFirstInProcess is what a pod's first container costs: a fresh process,
// already running, makes the engine, loads the artifact and runs one guest.
func BenchmarkFirstInProcess(b *testing.B) {
	for name, module := range guests(b) {
		b.Run(name, func(b *testing.B) {
			e, err := New(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			if err := e.Compile(b.Context(), module, dir); err != nil {
				b.Fatal(err)
			}
			var steps [4][]float64
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestFirstInProcess$")
				cmd.Env = append(os.Environ(), firstEnv+"="+dir)
				out, err := cmd.Output()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				for i := range steps {
					var v float64
					if _, err := fmt.Sscan(strings.Fields(string(out))[i], &v); err != nil {
						b.Fatal(err)
					}
					steps[i] = append(steps[i], v)
				}
			}
			for i, unit := range []string{"engine-µs", "load-µs", "first-byte-µs", "sum-µs"} {
				slices.Sort(steps[i])
				b.ReportMetric(steps[i][len(steps[i])/2], unit)
			}
		})
	}
}

const firstEnv = "BLAZAR_TEST_FIRST_IN_PROCESS"

// TestFirstInProcess is the child of the benchmark above.
func TestFirstInProcess(t *testing.T) {
	dir := os.Getenv(firstEnv)
	if dir == "" {
		return
	}
	begin := time.Now()
	e, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made := time.Now()
	m, err := e.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded := time.Now()
	first, _ := firstByte(t, m)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	fmt.Println(us(made.Sub(begin)), us(loaded.Sub(made)), us(first), us(loaded.Sub(begin)+first))
	os.Exit(0)
}
