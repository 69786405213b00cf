package runcsandboxer

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/sandbox"
)

// record is what survives the daemon.
type record struct {
	// Cgroup is the group that the daemon made, if it made one.
	Cgroup *cgroup.State `json:"cgroup,omitempty"`
	// Reaper is the first process of the pod's pid namespace, if it has one.
	Reaper *proc.Ref `json:"reaper,omitempty"`
	// Started is set when all is in place.
	Started bool `json:"started,omitempty"`
}

// pod is one pod; the shell serializes Start, Stop and Delete.
type pod struct {
	s    *Sandboxer
	r    *sandbox.Request
	plan *plan
	// of is set if it is the Linux half of another kind's pod.
	of *Whole

	mu     sync.Mutex                 // guards the fields below
	linux  *cri.LinuxPodSandboxConfig // with the limits as they are now
	record record
	group  *cgroup.Group // the daemon's own, nil if there is none
	reaper *proc.Handle
	// stopping: Stop was called.
	stopping bool
	exit     *sandbox.Exit

	ended chan struct{} // closed when exit is set
	once  sync.Once     // closes ended

	watching sync.WaitGroup // of the reaper
}

var _ sandbox.Sandbox = (*pod)(nil)

func newPod(s *Sandboxer, r *sandbox.Request, plan *plan, rec record) *pod {
	p := &pod{s: s, r: r, plan: plan, linux: r.Config.GetLinux(), record: rec, ended: make(chan struct{})}
	s.add(p)
	return p
}

// Names of a pod's files below its directory.
const (
	etcName = "etc"
	nsName  = "ns"
	shmName = "shm"
)

// Names of the pins below ns.
const (
	ipcName  = "ipc"
	utsName  = "uts"
	pidName  = "pid"
	userName = "user"
)

var pinNames = []string{ipcName, utsName, pidName, userName}

func (p *pod) path(name string) string { return filepath.Join(p.r.Dir, name) }

func (p *pod) pin(name string) string { return filepath.Join(p.r.Dir, nsName, name) }

// Wait blocks until the pod was stopped or the process that holds its pid namespace
// has ended, and with it every container.
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

// adopt follows the reaper to its end.
func (p *pod) adopt(h *proc.Handle) {
	p.mu.Lock()
	p.reaper = h
	p.mu.Unlock()
	p.watching.Go(func() {
		e, err := h.Wait(context.Background())
		if err != nil {
			return // the handle was closed: the daemon lets go of the pod
		}
		p.mu.Lock()
		stopping := p.stopping
		p.mu.Unlock()
		out := sandbox.Exit{Status: e.Status, At: e.At}
		if !stopping {
			out.Reason = "pod-reaper, the first process of the pod's pid namespace, has ended, and with it every container"
		}
		p.finish(out)
	})
}

// lost is the end of a pod that nobody saw.
func (p *pod) lost(reason string) {
	const unknown = 137 // how a process mostly ends that nobody has seen end
	p.finish(sandbox.Exit{Status: unknown, At: time.Now(), Reason: reason})
}

// release lets go of the pod, which runs on.
func (p *pod) release() error {
	p.mu.Lock()
	h := p.reaper
	p.mu.Unlock()
	var err error
	if h != nil {
		err = h.Close() // only the handle
	}
	p.watching.Wait()
	return err
}
