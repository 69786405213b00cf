package precompile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/engines/wazero"
	ociwasm "blazar/oci-wasm"
)

// fakeImages is a containerd that comes and goes.
type fakeImages struct {
	mu     sync.Mutex // guards the fields below
	up     chan struct{}
	images map[string]Image // by namespace/name
	blobs  map[string]ociwasm.Packed
	subs   []*fakeSubscription
	lists  int
}

type fakeSubscription struct {
	ctx    context.Context
	up     chan struct{} // closed when containerd goes
	events chan [2]string
}

func newFakeImages() *fakeImages {
	return &fakeImages{up: make(chan struct{}), images: map[string]Image{}, blobs: map[string]ociwasm.Packed{}}
}

func (f *fakeImages) List(_ context.Context, namespace string) ([]Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	var all []Image
	for _, i := range f.images {
		if i.Namespace == namespace {
			all = append(all, i)
		}
	}
	return all, nil
}

func (f *fakeImages) Get(_ context.Context, namespace, name string) (Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, ok := f.images[namespace+"/"+name]
	if !ok {
		return Image{}, fmt.Errorf("image %s: %w", name, errdefs.ErrNotFound)
	}
	return i, nil
}

// Content serves every blob: blobs are found by digest.
func (f *fakeImages) Content(namespace string) content.Provider {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := ociwasm.Memory{}
	for key, p := range f.blobs {
		if strings.HasPrefix(key, namespace+"/") {
			for d, b := range p.Memory {
				all[d] = b
			}
		}
	}
	return all
}

func (f *fakeImages) Subscribe(ctx context.Context, _ []string) (Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.up == nil {
		return nil, errdefs.ErrUnavailable
	}
	s := &fakeSubscription{ctx, f.up, make(chan [2]string, 100)}
	f.subs = append(f.subs, s)
	return s, nil
}

func (s *fakeSubscription) Next() (namespace, name string, err error) {
	select {
	case e := <-s.events:
		return e[0], e[1], nil
	case <-s.up:
		return "", "", errdefs.ErrUnavailable
	case <-s.ctx.Done():
		return "", "", s.ctx.Err()
	}
}

// put adds an image, tells subscribers and returns it.
func (f *fakeImages) put(namespace, name string, p *ociwasm.Packed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images[namespace+"/"+name] = Image{Namespace: namespace, Name: name, Target: p.Manifest}
	f.blobs[namespace+"/"+name] = *p
	for _, s := range f.subs {
		s.events <- [2]string{namespace, name}
	}
}

// stop ends all subscriptions and refuses new ones until start.
func (f *fakeImages) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.up)
	f.up, f.subs = nil, nil
}

func (f *fakeImages) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = make(chan struct{})
}

// records are the log of one test, taken by a hook.
type records struct {
	test string

	mu  sync.Mutex // guards all
	all []string
}

// Levels implements the logger's hook.
func (r *records) Levels() []log.Level { return []log.Level{log.WarnLevel, log.InfoLevel} }

// Fire implements the logger's hook.
func (r *records) Fire(e *log.Entry) error {
	if e.Data["test"] != r.test {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf("%s: %s: %v", e.Level, e.Message, e.Data))
	return nil
}

func (r *records) count(s string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.all {
		if strings.Contains(line, s) {
			n++
		}
	}
	return n
}

// watch runs a Watcher until the test ends.
func watch(t *testing.T, w *Watcher) *records {
	t.Helper()
	out := &records{test: t.Name()}
	log.L.Logger.AddHook(out)
	ctx, cancel := context.WithCancel(log.WithLogger(t.Context(), log.L.WithField("test", t.Name())))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
		if t.Failed() {
			t.Log(strings.Join(out.all, "\n"))
		}
	})
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come true that %s", what)
		}
	}
}

func TestWatcher(t *testing.T) {
	c, x := newCompiler(t)
	f := newFakeImages()
	f.put("k8s.io", "before", pack(t, ociwasm.PackOptions{Module: guest(1)}))
	f.put("elsewhere", "not-ours", pack(t, ociwasm.PackOptions{Module: guest(100)}))
	logged := watch(t, &Watcher{Compiler: c, Images: f, Namespaces: []string{"k8s.io", "more"}})
	compilations := func(n int32) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d modules are compiled", n), func() bool { return x.n.Load() == n })
	}
	compilations(1)

	f.put("k8s.io", "new", pack(t, ociwasm.PackOptions{Module: guest(2), Shape: ociwasm.ShapeArtifact}))
	compilations(2)
	f.put("more", "other-namespace", pack(t, ociwasm.PackOptions{Module: guest(3)}))
	compilations(3)

	// One that cannot be compiled is told of once, whatever its names, and harms none.
	bad := pack(t, ociwasm.PackOptions{Module: append(guest(4), "\x0a\x02\x01\x00"...), Shape: ociwasm.ShapeArtifact})
	for _, name := range []string{"bad", "bad@sha256", "bad"} {
		f.put("k8s.io", name, bad)
	}
	f.put("k8s.io", "linux", pack(t, ociwasm.PackOptions{Module: guest(5), Path: "/bin/app"}))
	f.put("k8s.io", "after", pack(t, ociwasm.PackOptions{Module: guest(6)}))
	eventually(t, "what came last is compiled", func() bool { return logged.count("compiled ahead") == 4 })
	if n := logged.count("warning: "); n != 1 {
		t.Errorf("%d warnings about one image", n)
	}

	// What comes while containerd is away is found afterwards.
	f.stop()
	f.put("k8s.io", "meanwhile", pack(t, ociwasm.PackOptions{Module: guest(7)}))
	eventually(t, "the absence is told of", func() bool { return logged.count("containerd is away") == 1 })
	time.Sleep(3 * firstWait)
	f.start()
	eventually(t, "what came meanwhile is compiled", func() bool { return logged.count("compiled ahead") == 5 })
	if n := logged.count("containerd is away"); n != 1 {
		t.Errorf("one absence is told of %d times", n)
	}
	if n := logged.count("warning: "); n != 1 {
		t.Errorf("%d warnings after the images were listed again", n)
	}
}

// TestWatcherSettles finds what came between the subscription and its beginning.
func TestWatcherSettles(t *testing.T) {
	c, x := newCompiler(t)
	f := newFakeImages()
	watch(t, &Watcher{Compiler: c, Images: f, Namespaces: []string{"k8s.io"}})
	eventually(t, "the images were listed", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.lists == 1 })
	f.mu.Lock()
	f.subs = nil // nobody is told
	f.mu.Unlock()
	f.put("k8s.io", "unheard", pack(t, ociwasm.PackOptions{Module: guest(1)}))
	eventually(t, "it is compiled", func() bool { return x.n.Load() == 1 })
}

// TestWatcherCompilesAgain makes anew what was evicted since.
func TestWatcherCompilesAgain(t *testing.T) {
	c, x := newCompiler(t)
	f := newFakeImages()
	w := &Watcher{Compiler: c, Images: f, Namespaces: []string{"k8s.io"}}
	p := pack(t, ociwasm.PackOptions{Module: guest(1)})
	f.put("k8s.io", "app", p)
	image, err := f.Get(t.Context(), "k8s.io", "app")
	if err != nil {
		t.Fatal(err)
	}
	m := memo{}
	for range 2 {
		w.compile(t.Context(), image, m)
	}
	if x.n.Load() != 1 || len(m) != 1 {
		t.Fatalf("%d compilations, memo %v", x.n.Load(), m)
	}
	other, y := newCompiler(t) // an empty cache
	w.Compiler.Cache = other.Cache
	w.compile(t.Context(), image, m)
	if y.n.Load() != 1 {
		t.Fatalf("%d compilations", y.n.Load())
	}
}

// TestWatcherEnds does not wait for an answer.
func TestWatcherEnds(t *testing.T) {
	c, x := newCompiler(t)
	c.Engines = []string{wazero.Name}
	block := make(chan struct{})
	c.Scratch = t.TempDir()
	f := newFakeImages()
	f.put("k8s.io", "app", pack(t, ociwasm.PackOptions{Module: guest(1)}))
	slow := &slowImages{fakeImages: f, block: block, reached: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&Watcher{Compiler: c, Images: slow, Namespaces: []string{"k8s.io"}}).Run(ctx)
	}()
	<-slow.reached
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("Run waits")
	}
	close(block)
	if x.n.Load() != 0 {
		t.Error("it compiled")
	}
}

// slowImages answers only when ctx ends or block is closed.
type slowImages struct {
	*fakeImages
	block, reached chan struct{}
}

func (s *slowImages) List(ctx context.Context, namespace string) ([]Image, error) {
	close(s.reached)
	select {
	case <-s.block:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.fakeImages.List(ctx, namespace)
}

func TestQueue(t *testing.T) {
	q := newQueue()
	for range 2 {
		for n := range maxQueue {
			if !q.add(item{"k8s.io", fmt.Sprint(n)}) {
				t.Fatalf("no room for %d", n)
			}
		}
	}
	if q.add(item{"k8s.io", "one too many"}) {
		t.Fatal("there is no bound")
	}
	<-q.wake
	for n := range maxQueue {
		if i, ok := q.take(); !ok || i.name != fmt.Sprint(n) {
			t.Fatalf("got %v, %v as number %d", i, ok, n)
		}
	}
	if _, ok := q.take(); ok {
		t.Fatal("it is not empty")
	}
	if !q.add(item{"k8s.io", "0"}) || len(q.wake) != 1 {
		t.Fatal("what was taken cannot come again")
	}
}

func TestMemoIsBounded(t *testing.T) {
	m := memo{}
	for n := range maxMemo + 10 {
		m.put(fmt.Sprint(n), outcome{})
	}
	if len(m) != maxMemo {
		t.Fatalf("%d entries", len(m))
	}
}
