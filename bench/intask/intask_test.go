package intask

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"blazar/bench/internal/report"
)

func fifo(t *testing.T) *output {
	t.Helper()
	o, err := newOutput(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFirstByte(t *testing.T) {
	o := fifo(t)
	w, err := os.OpenFile(o.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // asked for late, answered with the time it was
	after := time.Now()
	at, err := o.wait(t.Context())
	if err != nil || at.Before(before) || !at.Before(after) {
		t.Errorf("%v after, %v", at.Sub(before), err)
	}
	// It goes on reading: more than a pipe holds.
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(w.Close(), o.close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(o.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the FIFO is still there: %v", err)
	}
}

func TestNoByte(t *testing.T) {
	o := fifo(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if at, err := o.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a byte at %v, %v", at, err)
	}
	if err := o.close(); err != nil { // nobody ever wrote
		t.Error(err)
	}

	o = fifo(t)
	w, err := os.OpenFile(o.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.wait(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("%v", err)
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
}

func TestNative(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "hello")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho hello\nexit ${CODE-0}\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := &nativeRunner{program: program, dir: dir}
	samples, err := r.batch(t.Context(), 3)
	if err != nil || len(samples) != 3 {
		t.Fatalf("%v, %v", samples, err)
	}
	for _, s := range samples {
		if s.created <= 0 || s.first <= 0 || s.first > time.Minute {
			t.Errorf("%+v", s)
		}
	}
	t.Setenv("CODE", "3")
	if _, err := r.batch(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a program that fails: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil || len(left) > 0 {
		t.Errorf("FIFOs left: %q, %v", left, err)
	}
}

// Every engine of this process runs a guest, several at a time too.
func TestEngineAlone(t *testing.T) {
	module := filepath.Join("..", "..", ".cache", "images", "hello-c.wasm")
	if err := unix.Access(module, unix.R_OK); err != nil {
		t.Fatalf("run `make examples` first: %v", err)
	}
	for name, factory := range inProcess {
		t.Run(name, func(t *testing.T) {
			r, err := newEngineRunner(t.Context(), factory, module, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			samples, err := r.batch(t.Context(), 4)
			if err != nil || len(samples) != 4 {
				t.Fatalf("%v, %v", samples, err)
			}
			for _, s := range samples {
				if s.created <= 0 || s.first <= 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

func TestRatios(t *testing.T) {
	one := newTable(Guests[0], 1)
	one.Add(forkExec, firstByte, 100e3, 200e3, 300e3)
	one.Add("wasmtime", firstByte, 50e3, 100e3, 900e3)
	one.Add("wazero, engine alone", firstByte, 400e3)
	eight := newTable(Guests[1], 8)
	eight.Add("wasmtime", firstByte, 1)
	got := map[string]report.Ratio{}
	for _, r := range ratios(&report.Section{Tables: []*report.Table{one, eight}}) {
		got[r.Name] = r
	}
	if r := got["intask/hello-c-1/wasmtime"]; r.Value != 0.5 {
		t.Errorf("%+v", got)
	}
	if r := got["intask/hello-c-1/wazero-engine-alone"]; r.Value != 2 {
		t.Errorf("%+v", got)
	}
	if r := got["intask/hello-c-1/first-byte"]; r.Value != 100e3 || r.Goal != 300e3 || !r.Met() {
		t.Errorf("%+v", r)
	}
	if _, ok := got["intask/hello-go-8/first-byte"]; ok {
		t.Error("a goal for eight at a time")
	}
}
