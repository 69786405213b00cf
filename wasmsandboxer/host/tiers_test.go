package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/podspec"
)

// twoTiers is an engine as the daemon knows it: what it compiles, a child does.
type twoTiers struct {
	engines.Engine
	name string
	lack error // of a baseline engine
}

func (e twoTiers) Info() engines.Info { return engines.Info{Name: e.name, Version: "1", Settings: "s"} }

func (e twoTiers) Baseline() (engines.Engine, error) {
	return twoTiers{name: e.name + engines.BaselineSuffix}, e.lack
}

// gated is a compiler that compiles when it is told to.
type gated struct {
	mu   sync.Mutex // guards all
	all  []string   // engines, in order
	full chan struct{}
	fail map[string]error
}

func (g *gated) Compile(ctx context.Context, engine string, module *os.File, dir string) error {
	g.mu.Lock()
	g.all = append(g.all, engine)
	g.mu.Unlock()
	if !strings.HasSuffix(engine, engines.BaselineSuffix) {
		select {
		case <-g.full:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := g.fail[engine]; err != nil {
		return err
	}
	return oneFile{}.Compile(ctx, engine, module, dir)
}

func (g *gated) compiled() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.all)
}

// tiers is a service over a cache of its own, with a module.
type tiers struct {
	*Service
	compiler *gated
	module   *found
	closed   chan struct{}
}

func newTiers(t *testing.T) *tiers {
	t.Helper()
	x := &tiers{compiler: &gated{full: make(chan struct{}), fail: map[string]error{}}, closed: make(chan struct{})}
	cache, err := ociwasm.OpenCache(filepath.Join(t.TempDir(), "cache"), ociwasm.CacheOptions{Compiler: x.compiler})
	if err != nil {
		t.Fatal(err)
	}
	x.Service = New(&Node{Cache: cache}, Pod{Config: &runtime.PodSandboxConfig{}, Notes: t.TempDir()})
	t.Cleanup(func() {
		x.Close()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	b := []byte(t.Name())
	x.module = &found{
		name: "/m.wasm", digest: digest.FromBytes(b), size: 1 << 20, open: opened(b),
		close: sync.OnceFunc(func() { close(x.closed) }),
	}
	return x
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come true that %s", what)
		}
	}
}

func (x *tiers) compile(t *testing.T, c podspec.Container, e engines.Engine) (*compiledModule, error) {
	t.Helper()
	m, err := x.compiled(t.Context(), &c, e, x.module, false)
	if err == nil {
		t.Cleanup(m.Release)
	}
	return m, err
}

// A guest starts on baseline code; when the other is there, the next one gets that.
func TestFirstTierThenOptimised(t *testing.T) {
	x := newTiers(t)
	for range 2 { // the second finds the first one's
		m, err := x.compile(t, podspec.Container{}, twoTiers{name: "e"})
		if err != nil || m.by.Name != "e-baseline" || !strings.Contains(m.firstTier, "large module") {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	select {
	case <-x.closed:
	default:
		t.Error("the module of the second, which nobody reads, is left open")
	}
	close(x.compiler.full)
	x.compiling.work.Wait()
	if got := x.compiler.compiled(); !slices.Equal(got, []string{"e-baseline", "e"}) {
		t.Errorf("compiled: %q", got)
	}
	m, err := x.compile(t, podspec.Container{}, twoTiers{name: "e"})
	if err != nil || m.by.Name != "e" || m.firstTier != "" || !m.Hit {
		t.Errorf("%+v, %v", m, err)
	}
}

// Whoever is not meant to get it waits for optimised code, and so does whom the
// baseline compiler fails.
func TestNoFirstTier(t *testing.T) {
	on, off := map[string]string{podspec.AnnotationFirstTier: "on"}, map[string]string{podspec.AnnotationFirstTier: "off"}
	for name, c := range map[string]struct {
		pod    map[string]string
		engine engines.Engine
		fail   error
		want   []string
	}{
		"Off":     {off, twoTiers{name: "e"}, nil, []string{"e"}},
		"None":    {on, twoTiers{name: "e", lack: errdefs.ErrNotImplemented}, nil, []string{"e"}},
		"OneTier": {on, struct{ engines.Engine }{twoTiers{name: "e"}}, nil, []string{"e"}},
		"Refused": {on, twoTiers{name: "e"}, fmt.Errorf("tail calls: %w", errdefs.ErrNotImplemented), []string{"e-baseline", "e"}},
		"Crashed": {on, twoTiers{name: "e"}, fmt.Errorf("signal 11: %w", errdefs.ErrInternal), []string{"e-baseline", "e"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTiers(t)
			x.compiler.fail["e-baseline"] = c.fail
			close(x.compiler.full)
			m, err := x.compile(t, podspec.Container{Pod: c.pod}, c.engine)
			if err != nil || m.by.Name != "e" || m.firstTier != "" {
				t.Errorf("%+v, %v", m, err)
			}
			<-x.closed
			if got := x.compiler.compiled(); !slices.Equal(got, c.want) {
				t.Errorf("compiled: %q, want %q", got, c.want)
			}
		})
	}
}

// What is wrong with a module, the optimising compiler says in the end.
func TestFirstTierOfNoModule(t *testing.T) {
	x := newTiers(t)
	close(x.compiler.full)
	x.compiler.fail["e-baseline"] = errdefs.ErrInternal
	x.compiler.fail["e"] = fmt.Errorf("no wasm: %w", errdefs.ErrInvalidArgument)
	if _, err := x.compile(t, podspec.Container{}, twoTiers{name: "e"}); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	if _, err := x.compile(t, podspec.Container{Pod: map[string]string{podspec.AnnotationFirstTier: "?"}}, twoTiers{name: "e"}); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
}

// The end of a pod waits for no compiler, which goes on for those that come later.
func TestFirstTierOfPodThatEnds(t *testing.T) {
	x := newTiers(t)
	if _, err := x.compile(t, podspec.Container{}, twoTiers{name: "e"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the optimised code is being made", func() bool { return len(x.compiler.compiled()) == 2 })
	x.Close()
	other := New(x.node, Pod{Config: &runtime.PodSandboxConfig{}, Notes: t.TempDir()})
	defer other.Close()
	close(x.compiler.full)
	eventually(t, "it is there", func() bool {
		m, err := other.compiled(t.Context(), &podspec.Container{}, twoTiers{name: "e"}, x.module, false)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Release()
		return m.by.Name == "e"
	})
	if got := x.compiler.compiled(); !slices.Equal(got, []string{"e-baseline", "e"}) {
		t.Errorf("compiled: %q", got)
	}
}

// Later has bounds, and tries nothing again at once that failed.
func TestLater(t *testing.T) {
	var l later
	pod := newCompiling()
	var dropped, ran int
	drop := func() { dropped++ }
	fails := func(context.Context) bool { ran++; return false }
	l.do(pod, "a", fails, drop)
	pod.work.Wait()
	l.do(pod, "a", fails, drop)
	if ran != 1 || dropped != 1 {
		t.Errorf("what failed ran %d times, dropped %d times", ran, dropped)
	}
	release, ended := make(chan struct{}), make(chan error, 1)
	l.do(pod, "b", func(ctx context.Context) bool { <-release; ended <- ctx.Err(); return true }, drop)
	eventually(t, "b runs", func() bool { return len(l.turn) == 1 })
	for i := range 2 * maxLaterOfPod { // one of the pod's runs, the others wait
		l.do(pod, fmt.Sprint(i), fails, func() {})
	}
	if n := len(l.known); n != 1+maxLaterOfPod {
		t.Errorf("%d are known", n)
	}
	pod.cancel()
	close(release)
	pod.work.Wait()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the end of the pod: %v", err)
	}
	if ran != 1 || pod.later != 0 || len(l.known) != 1 {
		t.Errorf("ran %d, %d of the pod, known %v", ran, pod.later, l.known)
	}
}
