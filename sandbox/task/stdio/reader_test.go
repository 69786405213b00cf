package stdio

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAwaitReader writes and closes at once, as a container that ends at once does,
// while the reader comes late: nothing may be lost.
func TestAwaitReader(t *testing.T) {
	for range 100 {
		path := newFIFO(t)
		got := make(chan string, 1)
		go func() {
			time.Sleep(time.Millisecond)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			got <- string(b)
		}()
		reader, err := AwaitReader(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Output(path, ForGo)
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, "done"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != "done" {
			t.Fatalf("read %q", s)
		}
	}
}

func TestAwaitReaderNobody(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := AwaitReader(ctx, newFIFO(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a reader: %v", err)
	}
	if _, err := AwaitReader(t.Context(), filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("without a FIFO: %v", err)
	}
}
