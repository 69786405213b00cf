package ociwasm

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"blazar/internal/testneeds"
)

func niceIn(t *testing.T, a *Artifact) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.Dir, "nice"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLowPriority(t *testing.T) {
	c, _ := openCache(t, cacheDir(t), CacheOptions{})
	k, open := mod("lowly", 1)
	a, err := c.Artifact(WithLowPriority(t.Context()), k, open)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	if n := niceIn(t, a); n != "19" {
		t.Fatalf("nice %s", n)
	}
}

// TestRaisedPriority has somebody wait for what nobody waited for.
func TestRaisedPriority(t *testing.T) {
	testneeds.Root(t) // others may only lower a priority
	dir := cacheDir(t)
	c, x := openCache(t, dir, CacheOptions{})
	k, open := mod("raised", 1)
	low := make(chan error, 1)
	go func() {
		a, err := c.Artifact(WithLowPriority(t.Context()), k, open)
		if err == nil {
			a.Release()
		}
		low <- err
	}()
	awaitLow(t, dir)
	a, err := c.Artifact(t.Context(), k, open)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	if err := <-low; err != nil {
		t.Fatal(err)
	}
	if n := niceIn(t, a); n != "0" || x.n.Load() != 1 {
		t.Fatalf("nice %s after %d compilations", n, x.n.Load())
	}
}

// TestLowPriorityTakesNoTurn compiles for who waits while the one turn there is
// would be taken.
func TestLowPriorityTakesNoTurn(t *testing.T) {
	c, _ := openCache(t, cacheDir(t), CacheOptions{Parallel: 1})
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	k, open := mod("lowly", 2)
	a, err := c.Artifact(WithLowPriority(t.Context()), k, open)
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
}

// TestLowPriorityFailureIsNotRemembered lets who waits try again at once.
func TestLowPriorityFailureIsNotRemembered(t *testing.T) {
	c, x := openCache(t, cacheDir(t), CacheOptions{NegativeTTL: time.Hour})
	k, open := mod("invalid", 1)
	if _, err := c.Artifact(WithLowPriority(t.Context()), k, open); err == nil {
		t.Fatal("it compiled")
	}
	for range 2 {
		if _, err := c.Artifact(t.Context(), k, open); err == nil {
			t.Fatal("it compiled")
		}
	}
	if x.n.Load() != 2 {
		t.Fatalf("%d compilations", x.n.Load())
	}
}

// TestPromote gives a compilation the usual priority for somebody who does not wait.
func TestPromote(t *testing.T) {
	testneeds.Root(t) // others may only lower a priority
	dir := cacheDir(t)
	c, _ := openCache(t, dir, CacheOptions{})
	k, open := mod("raised", 3)
	c.Promote(k) // nobody compiles it yet
	done := make(chan error, 1)
	go func() {
		a, err := c.Artifact(WithLowPriority(t.Context()), k, open)
		if err == nil {
			a.Release()
		}
		done <- err
	}()
	awaitLow(t, dir)
	c.Promote(k)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// awaitLow waits until the compiler says that it was made to wait.
func awaitLow(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(dir, tmpDir, "*", "nice")); len(found) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the compiler's priority is not low")
		}
	}
}
