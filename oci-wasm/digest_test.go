package ociwasm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// A file that has only just changed may change again without getting another time.
func TestYoungFilesAreHashedAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(name, module, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var memo DigestMemo
	if _, err := memo.Of(t.Context(), "chain", "/m", f); err != nil || len(memo.m) > 0 {
		t.Errorf("%d remembered, %v", len(memo.m), err)
	}
}

func TestDigestMemo(t *testing.T) {
	defer func(d time.Duration) { settled = d }(settled)
	settled = 0
	name := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(name, module, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var memo DigestMemo
	want := digest.FromBytes(module)
	if got, err := memo.Of(t.Context(), "chain", "/m", f); err != nil || got != want {
		t.Fatalf("got %s, %v", got, err)
	}
	// A cancelled context cannot hash: the answer is the remembered one.
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := memo.Of(cancelled, "chain", "/m", f); err != nil || got != want {
		t.Fatalf("got %s, %v", got, err)
	}
	if _, err := memo.Of(cancelled, "other", "/m", f); !errors.Is(err, context.Canceled) {
		t.Fatalf("other layers: %v", err)
	}
	// The same length and time of modification, as a guest might arrange.
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // a change time of its own
	other := append([]byte(nil), module...)
	other[len(other)-1] ^= 1
	if err := errors.Join(os.WriteFile(name, other, 0o600), os.Chtimes(name, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if got, err := memo.Of(t.Context(), "chain", "/m", f); err != nil || got != digest.FromBytes(other) {
		t.Fatalf("a changed file: %s, %v", got, err)
	}
	// Another file in the same place, of the same size and times as far as can be seen.
	for k := range memo.m {
		k.ino++
		delete(memo.m, k)
		memo.m[k] = want
	}
	if got, err := memo.Of(t.Context(), "chain", "/m", f); err != nil || got != digest.FromBytes(other) {
		t.Fatalf("another file's digest: %s, %v", got, err)
	}
	for i := range memoEntries + 10 {
		memo.m[memoKey{size: int64(i)}] = want
	}
	if _, err := memo.Of(t.Context(), "last", "/m", f); err != nil || len(memo.m) > memoEntries {
		t.Fatalf("%d entries, %v", len(memo.m), err)
	}
}
