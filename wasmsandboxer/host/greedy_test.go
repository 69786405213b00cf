package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"blazar/internal/mnt"
	"blazar/internal/testneeds"
	ociwasm "blazar/oci-wasm"
)

// By asking, hanging up and asking again a pod gets no more compilers than are its.
func TestCompilationsOfOnePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCompiling()
		var running, most atomic.Int32
		compile := func(ctx context.Context) (*ociwasm.Artifact, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-time.After(time.Minute):
				return nil, errors.New("made nothing")
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := c.do(ctx, "m", compile); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		if n := most.Load(); n != maxCompiling {
			t.Errorf("%d at a time", n)
		}
		begin := time.Now()
		c.close()
		if running.Load() != 0 || time.Since(begin) > 0 {
			t.Errorf("%d run on, after %v", running.Load(), time.Since(begin))
		}
	})
}

// oneFile is a compiler that makes a file of everything.
type oneFile struct{}

func (oneFile) Compile(_ context.Context, _ string, _ *os.File, dir string) error {
	return os.WriteFile(filepath.Join(dir, "code"), []byte("x"), 0o600)
}

// A pod that runs ever other modules does not hold on to all of them: their mounts
// are the host's, and what is held the cache cannot remove.
func TestArtifactsOfOnePod(t *testing.T) {
	testneeds.Root(t)
	s, _ := newService(t)
	defer func() {
		if err := mnt.UnmountAll(s.pod.Root); err != nil {
			t.Error(err)
		}
	}()
	cache, err := ociwasm.OpenCache(filepath.Join(t.TempDir(), "cache"), ociwasm.CacheOptions{Compiler: oneFile{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	}()
	make := func(i int) *ociwasm.Artifact {
		t.Helper()
		module := []byte(fmt.Sprint("module ", i))
		key := ociwasm.Key{Digest: digest.FromBytes(module), Engine: "none", Version: "1"}
		a, err := cache.Artifact(t.Context(), key, opened(module))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var paths []string
	for i := range maxArtifacts + 10 {
		path, err := s.mountArtifact(make(i))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		if _, err := s.mountArtifact(make(0)); err != nil { // used again and again
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.pod.Root, artifactsDir))
	if err != nil || len(entries) != maxArtifacts || len(s.artifacts.held) != maxArtifacts {
		t.Errorf("%d artifacts are mounted, %d held, %v", len(entries), len(s.artifacts.held), err)
	}
	for i, want := range map[int]bool{0: true, 1: false, 5: false, maxArtifacts + 9: true} {
		_, err := os.Stat(filepath.Join(s.pod.Root, paths[i], "code"))
		if (err == nil) != want {
			t.Errorf("artifact %d: %v", i, err)
		}
	}
}

func opened(b []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// Modules that are files are read one after the other: hashing takes the daemon's time,
// and a guest can make ever new ones.
func TestModulesAreReadInTurn(t *testing.T) {
	s, _ := newService(t)
	s.reading <- struct{}{}
	f, err := os.Create(filepath.Join(t.TempDir(), "m.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.checkFile(ctx, f, "/m.wasm", "", ociwasm.Abilities{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another is read: %v", err)
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file was left open: %v", err)
	}
}
