package wasmsandboxer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/log"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/sandbox"
	"blazar/wasmsandboxer/host"
)

// record is what survives the daemon.
type record struct {
	// UID is the pod's user and group, the first of its id range.
	UID uint32 `json:"uid"`
	// Prepared names the wasm-task that was started before the pod was known, and whose
	// directory, sockets and ids are the pod's, whether it came to use the process or not;
	// Waiting is the process. Cold says why a pod has none.
	Prepared string        `json:"prepared,omitempty"`
	Waiting  *proc.Ref     `json:"waiting,omitempty"`
	Cold     string        `json:"cold,omitempty"`
	Cgroup   *cgroup.State `json:"cgroup,omitempty"`
	// Process is the pod's wasm-task.
	Process *proc.Ref `json:"process,omitempty"`
	// WasmEdge says that it was started with libwasmedge.
	WasmEdge bool `json:"wasmedge,omitempty"`
	// Workers are those of its containers that have one, by container. The map is
	// replaced, never changed.
	Workers map[string]record `json:"workers,omitempty"`
	// Why is set for a worker alone.
	Why string `json:"why,omitempty"`
}

// pod is one wasm-task and all it has: a wasm pod, the calls of which the shell
// serializes, or a worker, whose calls take turns.
type pod struct {
	s *Sandboxer
	r *sandbox.Request
	// worker is nil for a pod.
	worker *worker
	// task is the prepared wasm-task that Start is to use; nil if there is none.
	task *prepared
	// ground is what Create has begun for Start; nil for nothing. It does not change.
	ground *groundwork
	// settled is closed when a prepared task is wholly the pod's: see settle. Nil for any
	// other. unsettled is why it could not be made so, set before.
	settled   chan struct{}
	unsettled error
	// saving holds one token: who has it may save the record.
	saving chan struct{}

	mu       sync.Mutex                 // guards the fields below
	linux    *cri.LinuxPodSandboxConfig // with the limits as they are now
	record   record
	group    *cgroup.Group
	process  *proc.Handle
	service  *host.Service
	control  io.Closer // the connection wasm-task was born with
	tail     *tail
	oom      bool // the pod's cgroup ran out of memory
	stopping bool // Stop was called
	deleted  bool // the id range was given back
	workers  map[string]*pod
	exit     *sandbox.Exit

	ended chan struct{} // closed when exit is set
	once  sync.Once     // closes ended

	// ctx lives until the pod is deleted or its process has ended; the goroutines
	// under it are counted by work.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// idle is closed when work is done; idleOnce starts waiting for it.
	idle     chan struct{}
	idleOnce sync.Once
}

var _ sandbox.Sandbox = (*pod)(nil)

func newPod(s *Sandboxer, r *sandbox.Request, rec record, w *worker) *pod {
	p := &pod{
		s: s, r: r, linux: r.Config.GetLinux(), record: rec, worker: w, ended: make(chan struct{}),
		idle: make(chan struct{}), tail: &tail{},
		saving: make(chan struct{}, 1), workers: map[string]*pod{},
	}
	logger := log.L.WithField("sandbox_id", r.ID)
	if w != nil {
		logger = logger.WithField("container_id", w.container)
	}
	p.ctx, p.cancel = context.WithCancel(log.WithLogger(context.Background(), logger))
	s.add(p)
	return p
}

// release lets go of the pod: the goroutines that follow it end, its process, if it
// runs, does not. When ctx ends before the last of them has, which waits for a file
// system that does not answer perhaps, it may be called again.
func (p *pod) release(ctx context.Context) error {
	p.cancel()
	p.idleOnce.Do(func() {
		go func() { // ends with them
			defer close(p.idle)
			p.work.Wait()
		}()
	})
	select {
	case <-p.idle:
	case <-ctx.Done():
		return fmt.Errorf("a request of wasm-task is still being worked on (does a volume's server not answer?): %w", ctx.Err())
	}
	if err := p.dropTask(); err != nil {
		return err
	}
	p.mu.Lock()
	h, conn, service := p.process, p.control, p.service
	p.mu.Unlock()
	if h != nil {
		_ = h.Close() // only the handle
	}
	if conn != nil {
		_ = conn.Close() // closed already by whoever served it
	}
	if service != nil {
		service.Close()
	}
	return nil
}

// Names of a pod's files below its directory.
const (
	rootName    = "root"
	scratchName = "scratch"
	notesName   = "containers"
	stderrName  = "stderr"
	workersName = "workers"
)

func (p *pod) path(name string) string {
	if p.record.Prepared != "" {
		return filepath.Join(p.s.config.Sockets, preparedName, p.record.Prepared, name)
	}
	return filepath.Join(p.r.Dir, name)
}

// The two sockets of a pod.
const (
	taskSocket = ".task"
	hostSocket = ".host"
)

// socket is the path of a socket. It is short whatever the id is: a socket's path
// has 107 bytes at most, and ids have 64.
func (p *pod) socket(suffix string) string {
	key := p.r.Namespace + "/" + p.r.ID
	switch {
	case p.worker != nil:
		key += "/" + p.worker.container
	case p.record.Prepared != "":
		key = preparedKey(p.record.Prepared)
	}
	return p.s.socketOf(key, suffix)
}

// preparedKey names a prepared task; no namespace does.
func preparedKey(name string) string { return "/" + name }

func (s *Sandboxer) socketOf(key, suffix string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.config.Sockets, hex.EncodeToString(sum[:10])+suffix)
}

// Wait blocks until wasm-task has ended, or Stop was called on a pod that never
// started.
func (p *pod) Wait(ctx context.Context) (*sandbox.Exit, error) {
	select {
	case <-p.ended:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.exit, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// finish records how the pod ended, once.
func (p *pod) finish(e sandbox.Exit) {
	p.once.Do(func() {
		p.mu.Lock()
		p.exit = &e
		p.mu.Unlock()
		close(p.ended)
	})
}

// lost is the end of a pod that nobody saw.
func (p *pod) lost(reason string) {
	p.finish(sandbox.Exit{Status: statusUnknown, At: time.Now(), Reason: reason})
}

// statusUnknown is what is reported when it cannot be known how wasm-task ended:
// the same as for SIGKILL, which is how it usually does.
const statusUnknown = 137

// hasEnded is told of the process's end.
func (p *pod) hasEnded(e proc.Exit, err error) {
	if err != nil {
		return // the daemon lets go of the pod
	}
	p.finish(p.explain(e))
	p.mu.Lock()
	service, oom := p.service, p.oom && !p.stopping && p.worker == nil
	p.mu.Unlock()
	if oom {
		service.OutOfMemory(p.ctx)
	}
	p.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), stopTimeout)
	defer cancel()
	if err := errors.Join(p.stopWorkers(ctx), p.endLinux(ctx)); err != nil {
		log.G(p.ctx).WithError(err).Error("workers or Linux containers of a pod that has ended run on until it is removed")
	}
}

// explain says how a wasm-task ended and why, as far as that can be known.
func (p *pod) explain(e proc.Exit) sandbox.Exit {
	p.mu.Lock()
	stopping, unsettled := p.stopping, p.unsettled
	p.mu.Unlock()
	oom := !stopping && p.oomKilled() // which reads a dozen files
	out := sandbox.Exit{Status: e.Status, At: e.At}
	if !e.Known {
		out.Status = statusUnknown
	}
	switch {
	case stopping:
	case unsettled != nil:
		out.Reason = unsettled.Error()
	case oom:
		out.Reason = "OOMKilled: " + p.cgroupName() + " ran out of memory and wasm-task was killed"
	case !e.Known:
		out.Reason = "wasm-task ended, how is unknown"
	case e.Status > 128:
		out.Reason = fmt.Sprintf("wasm-task was killed by signal %d", e.Status-128)
	default:
		out.Reason = fmt.Sprintf("wasm-task ended with exit code %d", e.Status)
	}
	if last := p.tail.String(); out.Reason != "" && last != "" {
		out.Reason += ": " + last
	}
	return out
}
