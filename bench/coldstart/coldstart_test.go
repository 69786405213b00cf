package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blazar/bench/environment"
)

// sampled is a result with ten samples of each phase: 10 to 100 ms, the second
// contestant in a tenth of the time.
func sampled() *result {
	r := newResult(options{iterations: 10, warmup: 1})
	for i := range 10 {
		for c, unit := range []time.Duration{time.Millisecond * 10, time.Millisecond} {
			s := sample{}
			for _, phase := range phases {
				s[phase] = time.Duration(i+1) * unit
			}
			r.add(c, s)
		}
	}
	r.Environment = environment.Begin()
	r.Environment.End()
	return r
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := sampled().table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| runc, pause container | wasm |\n|---|---:|---:|\n",
		"| cold start | 55.0 / 91.0 / 99.1 | 5.5 / 9.1 / 9.9 (0.10) |\n",
		"10 pods of each contestant",
		"the machine was noisy",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "NaN") {
		t.Error(b.String())
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results") // made at the first measurement
	if err := sampled().save(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := filepath.Glob(filepath.Join(dir, "coldstart-*.json"))
	if err != nil || len(raw) != 1 {
		t.Fatalf("%v, %v", raw, err)
	}
	b, err := os.ReadFile(raw[0])
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Contestants) != 2 || len(r.Contestants[1].Samples[cold]) != 10 || r.Environment.Kernel == "" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(strings.TrimSuffix(raw[0], "json") + "md"); err != nil {
		t.Error(err)
	}
}

func TestLogWatch(t *testing.T) {
	dir := t.TempDir()
	w, err := watchLog(dir, "a.log")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// Another file and an empty one do not count.
	if err := os.WriteFile(filepath.Join(dir, "b.log"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if at, err := w.first(ctx); err == nil {
		t.Fatalf("a byte at %v", at)
	}
	before := time.Now()
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // asked for late, answered with the time it was
	at, err := w.first(t.Context())
	if err != nil || at.Before(before) || at.Sub(before) > 400*time.Millisecond {
		t.Errorf("%v after, %v", at.Sub(before), err)
	}
	if _, err := watchLog(filepath.Join(dir, "none"), "a.log"); err == nil {
		t.Error("watches a directory that is not there")
	}
}
