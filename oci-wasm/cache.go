package ociwasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Compiler turns a module into an artifact.
type Compiler interface {
	// Compile fills the empty directory dir, which it need not clean up after an
	// error, from module, positioned at its beginning. Invalid modules are
	// errdefs.ErrInvalidArgument, those the engine cannot run ErrNotImplemented,
	// those that take more than they may ErrResourceExhausted.
	Compile(ctx context.Context, engine string, module *os.File, dir string) error
}

// CacheOptions configures a Cache. Zero values are replaced as documented.
type CacheOptions struct {
	// Compiler makes what is not there. Required for Artifact, not for Lookup.
	Compiler Compiler
	// MaxBytes is the size from which on the least recently used artifacts that
	// nobody uses are removed. 0: 4 GiB. Negative: no limit.
	MaxBytes int64
	// Parallel is how many compilations run at once in this process. 0: GOMAXPROCS.
	Parallel int
	// Timeout bounds reading and compiling one module. 0: 5 minutes.
	Timeout time.Duration
	// NegativeTTL is how long a failed compilation is not tried again. 0: 30 s.
	// Negative: not at all.
	NegativeTTL time.Duration
}

func (o *CacheOptions) defaults() {
	if o.MaxBytes == 0 {
		o.MaxBytes = 4 << 30
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = 30 * time.Second
	}
}

// Cache holds compiled modules in a directory that only its owner may enter,
// since they are native code. Several processes may share the directory: locks on
// files keep them apart, and vanish with a process that dies. Safe for concurrent
// use; Close it last.
type Cache struct {
	opts    CacheOptions
	dir     string // absolute
	root    *os.Root
	slots   chan struct{} // one per compilation that may run
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	closed   bool
	leases   map[string]*lease
	flights  map[string]*flight
	failures failures
}

// flight is a compilation under way.
type flight struct {
	done     chan struct{} // closed after err was set
	err      error
	priority *priority
}

// Artifact is a compiled module on disk, in use until Release.
type Artifact struct {
	// Dir is the directory that the engine wrote: files 0444, directories 0555,
	// below a directory that only the cache's owner may enter.
	Dir string
	// Hit says that it was there already.
	Hit bool

	release func()
	once    sync.Once
}

// Release lets the cache remove the artifact when it needs the room. What was
// mapped or opened stays usable. Idempotent.
func (a *Artifact) Release() { a.once.Do(a.release) }

// OpenCache opens the cache in dir, making the directory (0700) when there is
// none. A directory that belongs to someone else or that others may write is
// errdefs.ErrPermissionDenied. What killed processes left half done is removed.
func OpenCache(dir string, o CacheOptions) (*Cache, error) {
	o.defaults()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := openOwned(dir)
	if err != nil {
		return nil, fmt.Errorf("compile cache %s: %w", dir, err)
	}
	c := &Cache{
		opts: o, dir: dir, root: root,
		slots:  make(chan struct{}, o.Parallel),
		leases: map[string]*lease{}, flights: map[string]*flight{},
		failures: failures{ttl: o.NegativeTTL, m: map[string]failure{}},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("compile cache %s: %w", dir, err), root.Close())
	}
	return c, nil
}

// Close ends the compilations of this process, waits for them and gives up every
// lease. Idempotent.
func (c *Cache) Close() error {
	c.mu.Lock()
	done := c.closed
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.workers.Wait()
	if done {
		return nil
	}
	c.mu.Lock()
	leases := c.leases
	c.leases = map[string]*lease{}
	c.mu.Unlock()
	for _, l := range leases {
		_ = l.file.Close() // gives up the lock, which is all it is for
	}
	return c.root.Close()
}

// Lookup returns the artifact if it is there, else errdefs.ErrNotFound.
func (c *Cache) Lookup(k Key) (*Artifact, error) {
	name, err := k.name()
	if err != nil {
		return nil, err
	}
	a, err := c.lease(name)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, fmt.Errorf("no artifact of %s for %s: %w", k.Digest, k.Engine, errdefs.ErrNotFound)
	}
	return a, nil
}

// maxRounds bounds how often an artifact may be evicted between its compilation
// and its first use before Artifact gives up.
const maxRounds = 5

// Artifact returns the compiled module, compiling it once however many ask. open
// gives the module's bytes, which are checked against k.Digest; it is called at
// most once, maybe after the caller's ctx has ended: its own context carries ctx's
// values but ends with the compilation. A failure is answered from memory for
// NegativeTTL.
func (c *Cache) Artifact(ctx context.Context, k Key, open func(context.Context) (io.ReadCloser, error)) (*Artifact, error) {
	name, err := k.name()
	if err != nil {
		return nil, err
	}
	hit := true
	for range maxRounds {
		a, err := c.lease(name)
		if err != nil {
			return nil, err
		}
		if a != nil {
			a.Hit = hit
			return a, nil
		}
		hit = false
		f, err := c.fly(ctx, name, k, open)
		if err != nil {
			return nil, err
		}
		select {
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the compilation of %s with %s: %w", k.Digest, k.Engine, context.Cause(ctx))
		}
	}
	return nil, fmt.Errorf("the artifact of %s was evicted %d times before it could be used, give the compile cache more room: %w",
		k.Digest, maxRounds, errdefs.ErrResourceExhausted)
}

// fly joins the compilation of name or starts it.
func (c *Cache) fly(ctx context.Context, name string, k Key, open func(context.Context) (io.ReadCloser, error)) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("compile cache %s is closed: %w", c.dir, errdefs.ErrUnavailable)
	}
	if err := c.failures.get(name, time.Now()); err != nil {
		return nil, err
	}
	low := priorityOf(ctx).isLow()
	if f := c.flights[name]; f != nil {
		if !low {
			f.priority.raise()
		}
		return f, nil
	}
	f := &flight{done: make(chan struct{})}
	if low { // one of its own: the context may be used for more than one
		ctx = WithLowPriority(ctx)
		f.priority = priorityOf(ctx)
	}
	c.flights[name] = f
	c.workers.Add(1)
	go func() {
		defer c.workers.Done()
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		stop := context.AfterFunc(c.ctx, cancel)
		remember, err := c.compile(cctx, name, k, open)
		stop()
		cancel()
		c.mu.Lock()
		// What failed while nobody waited may have failed for want of time.
		if err != nil && remember && !f.priority.isLow() && c.ctx.Err() == nil {
			c.failures.put(name, err, time.Now())
		}
		delete(c.flights, name)
		c.mu.Unlock()
		f.err = err
		close(f.done)
	}()
	return f, nil
}
