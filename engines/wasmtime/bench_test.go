//go:build cgo

package wasmtime

import (
	"context"
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

// artifacts compiles the example images' modules, which `make examples` builds: a C
// guest of 14 KiB and a Go guest of 2.5 MB.
func artifacts(b *testing.B, run func(b *testing.B, e engines.Engine, dir string)) {
	for name, file := range map[string]string{"hello": "hello-c.wasm", "gohello": "hello-go.wasm"} {
		b.Run(name, func(b *testing.B) {
			module, err := os.ReadFile(filepath.Join("..", "..", ".cache", "images", file))
			if err != nil {
				b.Fatalf("run `make examples` first: %v", err)
			}
			e, err := New(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			if err := e.Compile(b.Context(), module, dir); err != nil {
				b.Fatal(err)
			}
			run(b, e, dir)
		})
	}
}

// firstByte runs a guest of m: the time until its first byte has been read, and
// until it has been freed.
func firstByte(ctx context.Context, m engines.Module) (first, whole time.Duration, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = r.Close() }() // only read from
	got := make(chan time.Time, 1)
	go func() {
		_, _ = r.Read(make([]byte, 64)) // the end counts as well
		got <- time.Now()
	}()
	begin := time.Now()
	s, err := wasip1.New(wasip1.Config{Args: []string{"hello"}, Stdout: w})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = s.Close() }() // holds a pipe
	i, err := m.New(ctx, engines.Config{System: s, MemoryLimit: 256 << 20})
	if err != nil {
		return 0, 0, err
	}
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	exit := <-done
	err = i.Close()
	whole = time.Since(begin)
	first = (<-got).Sub(begin)
	if exit.Err != nil || exit.Trap != nil || exit.OOM || exit.Code != 0 {
		err = fmt.Errorf("the guest ended with %+v", exit)
	}
	return first, whole, err
}

// BenchmarkFirstByte is what one more guest of a loaded module costs.
func BenchmarkFirstByte(b *testing.B) {
	artifacts(b, func(b *testing.B, e engines.Engine, dir string) {
		m, err := e.Load(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		var first, whole []float64
		for b.Loop() {
			f, w, err := firstByte(b.Context(), m)
			if err != nil {
				b.Fatal(err)
			}
			first, whole = append(first, microseconds(f)), append(whole, microseconds(w))
		}
		slices.Sort(first)
		slices.Sort(whole)
		b.ReportMetric(first[len(first)/2], "first-p50-µs")
		b.ReportMetric(first[len(first)*99/100], "first-p99-µs")
		b.ReportMetric(whole[len(whole)/2], "whole-p50-µs")
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	artifacts(b, func(b *testing.B, e engines.Engine, dir string) {
		for b.Loop() {
			m, err := e.Load(b.Context(), dir)
			if err != nil {
				b.Fatal(err)
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// firstEnv names the artifact for the children of BenchmarkFirstInProcess.
const firstEnv = "BLAZAR_TEST_FIRST_IN_PROCESS"

// BenchmarkFirstInProcess is what a pod's first container costs: a new process,
// already running, makes the engine, loads the artifact and runs one guest.
func BenchmarkFirstInProcess(b *testing.B) {
	artifacts(b, func(b *testing.B, _ engines.Engine, dir string) {
		var steps [4][]float64
		for b.Loop() {
			cmd := exec.CommandContext(b.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), firstEnv+"="+dir)
			out, err := cmd.CombinedOutput()
			words := strings.Fields(string(out))
			if err != nil || len(words) != len(steps) {
				b.Fatalf("%v\n%s", err, out)
			}
			for i := range steps {
				var v float64
				if _, err := fmt.Sscan(words[i], &v); err != nil {
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

// firstInProcess is the child of BenchmarkFirstInProcess.
func firstInProcess(dir string) error {
	ctx, begin := context.Background(), time.Now()
	e, err := New(ctx)
	if err != nil {
		return err
	}
	made := time.Now()
	m, err := e.Load(ctx, dir)
	if err != nil {
		return err
	}
	loaded := time.Now()
	first, _, err := firstByte(ctx, m)
	if err != nil {
		return err
	}
	fmt.Println(microseconds(made.Sub(begin)), microseconds(loaded.Sub(made)), microseconds(first), microseconds(loaded.Sub(begin)+first))
	return m.Close()
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
