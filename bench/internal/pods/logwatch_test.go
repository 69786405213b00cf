package pods

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

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
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.end(ctx); err == nil {
		t.Error("closed while it was open")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.end(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := watchLog(filepath.Join(dir, "none"), "a.log"); err == nil {
		t.Error("watches a directory that is not there")
	}
}
