package precompile

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	ociwasm "blazar/oci-wasm"
)

// Watcher compiles the modules of images that are in containerd or appear there, one
// at a time and at low priority. Its fields do not change while it runs.
type Watcher struct {
	Compiler *Compiler
	Images   Images
	// Namespaces are those of containerd in which images are looked for.
	Namespaces []string
}

// How long a Watcher waits.
const (
	firstWait = 100 * time.Millisecond // before it tries again to reach containerd
	lastWait  = 5 * time.Second        // at most, doubled from try to try
	settled   = time.Second            // until a new subscription misses nothing for sure
	perImage  = 10 * time.Minute       // for one image, compilation included
	perAnswer = 30 * time.Second       // for a list
)

// Run watches until ctx ends. It returns nothing: what goes wrong is logged, once per
// image or absence of containerd.
func (w *Watcher) Run(ctx context.Context) {
	q := newQueue()
	var worker sync.WaitGroup
	worker.Go(func() { w.work(ctx, q) })
	defer worker.Wait()
	away := false
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		began := time.Now()
		err := w.follow(ctx, q)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastWait {
			wait, away = firstWait, false
		}
		if !away {
			log.G(ctx).WithError(err).Info("containerd is away: images that appear are compiled when it is back")
			away = true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// follow queues what there is and then what appears, until the connection ends.
func (w *Watcher) follow(ctx context.Context, q *queue) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := w.Images.Subscribe(ctx, w.Namespaces)
	if err != nil {
		return err
	}
	list := func() {
		for _, n := range w.Namespaces {
			w.add(ctx, q, item{namespace: n})
		}
	}
	list()
	// containerd does not say when a subscription has begun.
	again := time.AfterFunc(settled, list)
	defer again.Stop()
	for {
		namespace, name, err := s.Next()
		if err != nil {
			return err
		}
		w.add(ctx, q, item{namespace, name})
	}
}

func (w *Watcher) add(ctx context.Context, q *queue, i item) {
	if !q.add(i) {
		log.G(ctx).WithField("image", i.name).Warn("too many images wait to be compiled: this one is when a pod runs it")
	}
}

// work takes from the queue until ctx ends.
func (w *Watcher) work(ctx context.Context, q *queue) {
	m := memo{}
	for {
		i, ok := q.take()
		switch {
		case ctx.Err() != nil:
			return
		case !ok:
			select {
			case <-q.wake:
			case <-ctx.Done():
				return
			}
		case i.name == "":
			w.list(ctx, i.namespace, m)
		default:
			w.appeared(ctx, i, m)
		}
	}
}

func (w *Watcher) list(ctx context.Context, namespace string, m memo) {
	lctx, cancel := context.WithTimeout(ctx, perAnswer)
	all, err := w.Images.List(lctx, namespace)
	cancel()
	if err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).Debug("images are not listed") // the connection's end is told elsewhere
	}
	// CRI gives each image its id as a second name, which says less in the log.
	slices.SortStableFunc(all, func(a, b Image) int { return isID(a.Name) - isID(b.Name) })
	for _, image := range all {
		if ctx.Err() != nil {
			return
		}
		w.compile(ctx, image, m)
	}
}

func isID(name string) int {
	if strings.HasPrefix(name, "sha256:") {
		return 1
	}
	return 0
}

func (w *Watcher) appeared(ctx context.Context, i item, m memo) {
	gctx, cancel := context.WithTimeout(ctx, perAnswer)
	defer cancel()
	image, err := w.Images.Get(gctx, i.namespace, i.name)
	if err == nil {
		w.compile(ctx, image, m)
	} else if ctx.Err() == nil && !errdefs.IsNotFound(err) { // it may be gone again
		log.G(ctx).WithError(err).Debug("image is not looked at")
	}
}

// compile compiles the modules of one image, unless it is known what that would give.
func (w *Watcher) compile(ctx context.Context, i Image, m memo) {
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("image", i.Name))
	key := i.Namespace + "@" + i.Target.Digest.String()
	known, seen := m[key]
	if seen && (known.final || known.report != nil && w.Compiler.compiled(ctx, known.report)) {
		return
	}
	began := time.Now()
	cctx, cancel := context.WithTimeout(ociwasm.WithLowPriority(ctx), perImage)
	report, err := w.Compiler.Image(cctx, w.Images.Content(i.Namespace), i.Target)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = report.Err()
	}
	switch {
	case errors.Is(err, ErrNoModule):
		log.G(ctx).WithError(err).Debug("nothing to compile")
	case err != nil && !known.told:
		log.G(ctx).WithError(err).Warn("image is not compiled before a pod runs it")
		known.told = true
	}
	if report != nil {
		for _, r := range report.Results {
			if r.Err == nil && !r.Hit {
				log.G(ctx).WithField("engine", r.Engine).WithField("module", report.Digest).
					WithField("took", time.Since(began).Round(time.Millisecond)).Info("compiled ahead")
			}
		}
	}
	known.final = hopeless(err)
	known.report = report
	m.put(key, known)
}

// hopeless says that trying again gives the same.
func hopeless(err error) bool {
	return errors.Is(err, ErrNoModule) || errdefs.IsInvalidArgument(err) || errdefs.IsNotImplemented(err) || errdefs.IsResourceExhausted(err)
}

// memo remembers, by namespace and digest, what became of images.
type memo map[string]outcome

type outcome struct {
	report *Report
	final  bool // it would be the same again
	told   bool // of what failed
}

// maxMemo bounds a memo.
const maxMemo = 4096

func (m memo) put(key string, o outcome) {
	for old := range m {
		if len(m) < maxMemo {
			break
		}
		delete(m, old) // any: looking again costs little
	}
	m[key] = o
}
