package wasmsandboxer_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/testneeds"
	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
)

// logged is what the daemon logs meanwhile.
type logged struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// besiege runs a pod whose wasm-task was taken over, for a while, and returns what the
// daemon logged. However it behaves, the pod stops and goes at once, nothing of it
// stays, and it took next to nothing of the daemon.
func besiege(t *testing.T, id string, while func(log *logged)) *logged {
	testneeds.Root(t)
	h := newHarness(t)
	for _, d := range []string{"t", "p"} {
		if err := os.Mkdir(filepath.Join(h.Root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := &records{}
	for c, pod := range map[string]string{id + "-c": id, "victim": "other"} {
		spec := &specs.Spec{Process: process(sandboxtest.Program{Args: []string{"x"}}), Root: &specs.Root{Path: "rootfs"}}
		if err := r.put(c, record{sandbox: pod, spec: spec, upper: filepath.Join(h.Root, "t", c)}); err != nil {
			t.Fatal(err)
		}
	}
	l := &logged{}
	log.L.Logger.SetOutput(l)
	defer log.L.Logger.SetOutput(os.Stderr)
	honest := built.task
	built.task = built.hostile
	s, closeKind := newSandboxer(t, r, filepath.Join(h.Root, "k"), filepath.Join(h.Root, "t", "state"), 0)
	built.task = honest
	defer closeKind()
	config, _ := h.Config(t, id)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := s.Create(ctx, &sandbox.Request{
		ID: id, Namespace: "k8s.io", Dir: filepath.Join(h.Root, "p"), Config: config,
		Save: func(context.Context, any) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	deleted := false
	defer func() {
		if !deleted {
			_ = p.Delete(context.WithoutCancel(ctx))
		}
	}()
	goroutines := runtime.NumGoroutine()
	if _, err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	while(l)
	if n := runtime.NumGoroutine() - goroutines; n > 60 {
		t.Errorf("%d goroutines for one pod", n)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 64<<20 {
		t.Errorf("the daemon holds %d MiB", m.HeapAlloc>>20)
	}
	begin := time.Now()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	deleted = true
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("it took %v to end", d)
	}
	if left := h.Leaks(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return l
}

func aWhile(d time.Duration) func(*logged) { return func(*logged) { time.Sleep(d) } }

func TestHostileSilence(t *testing.T) { besiege(t, "silence", aWhile(time.Second)) }

func TestHostileBabble(t *testing.T) {
	l := besiege(t, "babble", aWhile(3*time.Second))
	const most = 600 << 10 // what may be said at once, what the FIFO holds, and what the lines begin with
	if n := len(l.String()); n > most {
		t.Errorf("%d KiB in the log", n>>10)
	}
}

func TestHostileRequests(t *testing.T) {
	for _, attack := range []string{"flood", "garbage", "descriptors"} {
		t.Run(attack, func(t *testing.T) {
			before := forwarded.count("/tasks/exit")
			l := besiege(t, attack, aWhile(3*time.Second))
			if n := forwarded.count("/tasks/exit") - before; n != 0 {
				t.Errorf("%d exits of another pod's container were published", n)
			}
			if lines := strings.Count(l.String(), "\n"); lines > 20 {
				t.Errorf("%d lines in the log:\n%.2000s", lines, l.String())
			}
		})
	}
}

// The terminals of the host are few, and everybody's.
func TestHostileTerminals(t *testing.T) {
	kept := regexp.MustCompile(`kept (\d+) terminals.*`)
	l := besiege(t, "terminals", func(l *logged) {
		for begin := time.Now(); !kept.MatchString(l.String()); time.Sleep(10 * time.Millisecond) {
			if time.Since(begin) > 30*time.Second {
				t.Fatal(l.String())
			}
		}
	})
	if m := kept.FindStringSubmatch(l.String()); m == nil || m[1] != "64" {
		t.Errorf("%q", m)
	}
}
