package ociwasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"blazar/internal/testdir"
	"blazar/internal/testneeds"
)

// counting is an ExecCompiler that counts.
type counting struct {
	ExecCompiler
	n atomic.Int32
}

func (c *counting) Compile(ctx context.Context, engine string, m *os.File, dir string) error {
	c.n.Add(1)
	return c.ExecCompiler.Compile(ctx, engine, m, dir)
}

func openCache(t *testing.T, dir string, o CacheOptions) (*Cache, *counting) {
	t.Helper()
	x := &counting{ExecCompiler: *execCompiler(CompileLimits{})}
	if o.Compiler == nil {
		o.Compiler = x
	}
	c, err := OpenCache(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, x
}

func cacheDir(t *testing.T) string { return filepath.Join(testdir.New(t), "cache") }

// mod makes a module of its own with its key.
func mod(engine string, n int) (Key, func(context.Context) (io.ReadCloser, error)) {
	data := append(bytes.Clone(module), 0, 1, byte(n))
	return Key{Digest: digest.FromBytes(data), Engine: engine, Version: "1", CPU: HostCPU()},
		func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

func get(t *testing.T, c *Cache, engine string, n int) *Artifact {
	t.Helper()
	k, open := mod(engine, n)
	a, err := c.Artifact(t.Context(), k, open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
	return a
}

func TestCacheCompilesOnceAndHits(t *testing.T) {
	dir := cacheDir(t)
	c, x := openCache(t, dir, CacheOptions{})
	a := get(t, c, "good", 1)
	if a.Hit || !filepath.IsAbs(a.Dir) {
		t.Fatalf("got %+v", a)
	}
	code, err := os.ReadFile(filepath.Join(a.Dir, "code"))
	if err != nil || !bytes.HasPrefix(code, []byte("compiled:\x00asm")) {
		t.Fatalf("got %q, %v", code, err)
	}
	for _, p := range []struct {
		name string
		mode os.FileMode
	}{{a.Dir, 0o555}, {filepath.Join(a.Dir, "code"), 0o444}, {dir, 0o700}, {filepath.Join(dir, artifactsDir), 0o700}} {
		info, err := os.Stat(p.name)
		if err != nil || info.Mode().Perm() != p.mode {
			t.Errorf("%s has mode %v, %v", p.name, info.Mode(), err)
		}
	}
	if b := get(t, c, "good", 1); !b.Hit || b.Dir != a.Dir || x.n.Load() != 1 {
		t.Fatalf("got %+v after %d compilations", b, x.n.Load())
	}
	other, y := openCache(t, dir, CacheOptions{})
	if b := get(t, other, "good", 1); !b.Hit || y.n.Load() != 0 {
		t.Fatalf("another process got %+v after %d compilations", b, y.n.Load())
	}
	if b := get(t, c, "slow", 1); b.Hit || b.Dir == a.Dir {
		t.Fatalf("another engine got %+v", b)
	}
	k, _ := mod("good", 1)
	k.CPU = "other"
	if _, err := c.Lookup(k); !errdefs.IsNotFound(err) {
		t.Fatalf("another CPU got %v", err)
	}
}

// TestCacheStampede asks from many goroutines of what stands for two processes,
// which have nothing but the file system in common. Nobody gives up what he got
// before everybody has it.
func TestCacheStampede(t *testing.T) {
	dir := cacheDir(t)
	c1, x1 := openCache(t, dir, CacheOptions{})
	c2, x2 := openCache(t, dir, CacheOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var wg, all sync.WaitGroup
	all.Add(40)
	for i := range 40 {
		c := c1
		if i%2 == 1 {
			c = c2
		}
		wg.Go(func() {
			k, open := mod("slow", 1)
			a, err := c.Artifact(ctx, k, open)
			all.Done()
			all.Wait()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(a.Dir, "code")); err != nil {
				t.Error(err)
			}
			a.Release()
			a.Release()
		})
	}
	wg.Wait()
	if n := x1.n.Load() + x2.n.Load(); n != 1 {
		t.Fatalf("compiled %d times", n)
	}
	assertEmpty(t, filepath.Join(dir, tmpDir))
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Fatalf("%s holds %v, %v", dir, entries, err)
	}
}

func TestCacheFailures(t *testing.T) {
	for engine, kind := range map[string]error{
		"invalid": errdefs.ErrInvalidArgument, "nothing": errdefs.ErrInternal,
		"link": errdefs.ErrPermissionDenied, "fifo": errdefs.ErrPermissionDenied, "double": errdefs.ErrPermissionDenied,
		"deep": errdefs.ErrResourceExhausted,
	} {
		t.Run(engine, func(t *testing.T) {
			dir := cacheDir(t)
			c, x := openCache(t, dir, CacheOptions{NegativeTTL: 200 * time.Millisecond})
			k, open := mod(engine, 1)
			_, first := c.Artifact(t.Context(), k, open)
			_, second := c.Artifact(t.Context(), k, open)
			if !errors.Is(first, kind) || !errors.Is(second, kind) || !strings.Contains(second.Error(), first.Error()) {
				t.Fatalf("got %v, then %v", first, second)
			}
			if x.n.Load() != 1 {
				t.Fatalf("tried %d times", x.n.Load())
			}
			time.Sleep(250 * time.Millisecond)
			if _, err := c.Artifact(t.Context(), k, open); !errors.Is(err, kind) || x.n.Load() != 2 {
				t.Fatalf("got %v after %d tries", err, x.n.Load())
			}
			assertEmpty(t, filepath.Join(dir, tmpDir))
			assertEmpty(t, filepath.Join(dir, artifactsDir))
		})
	}
}

func TestCacheReadFailuresAreNotRemembered(t *testing.T) {
	c, x := openCache(t, cacheDir(t), CacheOptions{})
	k, open := mod("good", 1)
	_, other := mod("good", 2)
	if _, err := c.Artifact(t.Context(), k, other); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "another digest") {
		t.Fatalf("another module under the digest gave %v", err)
	}
	fails := func(context.Context) (io.ReadCloser, error) { return nil, fmt.Errorf("gone: %w", errdefs.ErrNotFound) }
	if _, err := c.Artifact(t.Context(), k, fails); !errdefs.IsNotFound(err) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Artifact(t.Context(), k, open); err != nil || x.n.Load() != 1 {
		t.Fatalf("got %v after %d compilations", err, x.n.Load())
	}
}

func TestCacheBadKeys(t *testing.T) {
	c, _ := openCache(t, cacheDir(t), CacheOptions{})
	for _, k := range []Key{{}, {Digest: "sha256:../../x", Engine: "e"}, {Digest: digest.FromString("x")}} {
		if _, err := c.Lookup(k); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%+v: %v", k, err)
		}
	}
}

func TestCacheWaiterGivesUpAlone(t *testing.T) {
	c, x := openCache(t, cacheDir(t), CacheOptions{})
	k, open := mod("slow", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Artifact(ctx, k, open); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if a := get(t, c, "slow", 1); a.Dir == "" || x.n.Load() != 1 {
		t.Fatalf("compiled %d times", x.n.Load())
	}
}

func TestCacheEvictsLeastRecentlyUsedButNothingInUse(t *testing.T) {
	dir := cacheDir(t)
	c, _ := openCache(t, dir, CacheOptions{MaxBytes: 3 * 4096}) // three artifacts: ext4 and tmpfs count blocks
	held := get(t, c, "good", 0)
	for n := 1; n <= 5; n++ {
		get(t, c, "good", n).Release()
		time.Sleep(5 * time.Millisecond) // the times of use differ
		if n == 3 {
			continue
		}
		k, _ := mod("good", 1)
		if a, err := c.Lookup(k); err == nil { // used again and again
			a.Release()
		}
	}
	there := ""
	for n := range 6 {
		k, _ := mod("good", n)
		if a, err := c.Lookup(k); err == nil {
			there += fmt.Sprint(n)
			a.Release()
		}
	}
	if !strings.HasPrefix(there, "0") || !strings.HasSuffix(there, "5") || len(there) > 3 || strings.Contains(there, "2") {
		t.Fatalf("left: %s", there)
	}
	if _, err := os.Stat(filepath.Join(held.Dir, "code")); err != nil {
		t.Fatalf("an artifact in use: %v", err)
	}
	assertEmpty(t, filepath.Join(dir, tmpDir))
	locks, err := os.ReadDir(filepath.Join(dir, locksDir))
	if err != nil || len(locks) != len(there) {
		t.Fatalf("%d locks for %s, %v", len(locks), there, err)
	}
}

func TestCacheSweepsWhatAKilledProcessLeft(t *testing.T) {
	dir := cacheDir(t)
	c, _ := openCache(t, dir, CacheOptions{})
	kept := get(t, c, "good", 1)
	k, _ := mod("good", 2)
	name, err := k.name()
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, tmpDir, name+".X")
	if err := os.MkdirAll(filepath.Join(half, "sub", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(filepath.Join(half, "sub"), 0o500), os.Chmod(half, 0o500)); err != nil {
		t.Fatal(err)
	}
	openCache(t, dir, CacheOptions{})
	assertEmpty(t, filepath.Join(dir, tmpDir))
	if _, err := os.Stat(kept.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, locksDir, name)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a lock of nothing: %v", err)
	}
}

func TestCacheSweepSparesACompilationUnderWay(t *testing.T) {
	dir := cacheDir(t)
	c, _ := openCache(t, dir, CacheOptions{})
	k, open := mod("slow", 1)
	done := make(chan error, 1)
	go func() {
		a, err := c.Artifact(t.Context(), k, open)
		if err == nil {
			a.Release()
		}
		done <- err
	}()
	for {
		if e, err := os.ReadDir(filepath.Join(dir, tmpDir)); err != nil || len(e) > 0 && strings.Contains(e[0].Name(), ".") && len(e[0].Name()) > 64 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	openCache(t, dir, CacheOptions{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCacheCloseEndsCompilations(t *testing.T) {
	c, err := OpenCache(cacheDir(t), CacheOptions{Compiler: execCompiler(CompileLimits{})})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	k, open := mod("hang", 1)
	go func() { _, err := c.Artifact(t.Context(), k, open); done <- err }()
	time.Sleep(100 * time.Millisecond)
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Fatal("compiled")
	}
	if _, err := c.Artifact(t.Context(), k, open); err == nil {
		t.Fatal("a closed cache compiles")
	}
}

func TestCacheRefusesForeignDirectories(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"readable by others": func(dir string) error { return os.Chmod(dir, 0o755) },
		"writable by others": func(dir string) error { return os.Chmod(dir, 0o770) },
		"a writable part":    func(dir string) error { return os.Chmod(filepath.Join(dir, artifactsDir), 0o777) },
		"another owner":      func(dir string) error { return os.Chown(dir, 12345, 0) },
		"a link": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir))
		},
		"a part that is a link": func(dir string) error {
			a := filepath.Join(dir, artifactsDir)
			return errors.Join(os.Remove(a), os.Symlink("/tmp", a))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "another owner" {
				testneeds.Root(t)
			}
			dir := cacheDir(t)
			c, err := OpenCache(dir, CacheOptions{})
			if err == nil {
				err = errors.Join(c.Close(), spoil(dir))
			}
			if err != nil {
				t.Fatal(err)
			}
			if c, err := OpenCache(dir, CacheOptions{}); err == nil {
				_ = c.Close()
				t.Fatal("accepted")
			} else if !strings.Contains(err.Error(), dir) {
				t.Fatalf("does not name the directory: %v", err)
			}
		})
	}
}
