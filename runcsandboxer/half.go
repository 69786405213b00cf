package runcsandboxer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/proc"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

// MixedKind names the directory of the Linux halves of other kinds' pods.
const MixedKind = "mixed"

// halfRecord is the file in a half's directory that says what it has.
const halfRecord = "half.json"

// Whole is a pod of another kind that has Linux containers too.
type Whole struct {
	ID     string
	Config *cri.PodSandboxConfig
	// NetNS is the path of the pod's network namespace, empty for the host's.
	NetNS string
	// Process is one whose ipc and uts namespaces are the pod's.
	Process *proc.Handle
	// Group is the pod's cgroup. The reaper is born in it, and the containers of a pod
	// for which CRI names no parent are below or beside it.
	Group *cgroup.Group
}

// JoinHalf makes the Linux half of a pod, unless that was done: what its Linux containers
// share. The containers join the pod's network, ipc and uts namespaces; pids they
// share, where the pod shares them, among themselves. stateDir is the daemon's. Calls
// about one pod must take turns.
func (s *Sandboxer) JoinHalf(ctx context.Context, stateDir string, w Whole) error {
	old, err := s.findHalf(stateDir, w.ID)
	if err == nil && old.record.Started {
		return old.leave()
	}
	if err == nil { // of a try that a daemon did not survive
		err = old.Delete(ctx)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	r := halfRequest(stateDir, w.ID)
	r.Config, r.NetNS = w.Config, w.NetNS
	plan, err := newPlan(r, &s.config)
	if err != nil {
		return err
	}
	if plan.user != nil {
		return fmt.Errorf("the pod has a user namespace (hostUsers: false), which its Linux containers could not share with the others: %w", errdefs.ErrNotImplemented)
	}
	plan.hostname = "" // set, or not, by whoever made the namespace
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return err
	}
	p := newPod(s, r, plan, record{})
	p.of = &w
	_, err = p.Start(ctx)
	if err != nil {
		return errors.Join(err, p.Delete(context.WithoutCancel(ctx)), removeHalf(r.Dir))
	}
	return p.leave()
}

// leave lets go of a half, which is found again when it is needed.
func (p *pod) leave() error {
	p.s.remove(p)
	return p.release()
}

// EndHalf ends every Linux process of a pod. A pod without a Linux half is no error.
func (s *Sandboxer) EndHalf(ctx context.Context, stateDir, id string) error {
	p, err := s.findHalf(stateDir, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	return errors.Join(p.Stop(ctx), p.leave())
}

// DeleteHalf ends every Linux process of a pod and frees all that they have. A pod
// without a Linux half is no error.
func (s *Sandboxer) DeleteHalf(ctx context.Context, stateDir, id string) error {
	p, err := s.findHalf(stateDir, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if err := p.Delete(ctx); err != nil {
		return errors.Join(err, p.leave())
	}
	return removeHalf(p.r.Dir)
}

// findHalf finds the Linux half of a pod again; errdefs.ErrNotFound if it has none.
// release lets go of it.
func (s *Sandboxer) findHalf(stateDir, id string) (*pod, error) {
	r := halfRequest(stateDir, id)
	b, err := os.ReadFile(filepath.Join(r.Dir, halfRecord))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the Linux half of pod %s: %w", id, errdefs.ErrNotFound)
	}
	var rec record
	if err == nil {
		err = json.Unmarshal(b, &rec)
	}
	if err != nil {
		return nil, fmt.Errorf("the Linux half of pod %s: %w", id, err)
	}
	p := newPod(s, r, &plan{}, rec)
	p.of = &Whole{}
	if rec.Cgroup != nil {
		if p.group, err = cgroup.Load(*rec.Cgroup); err != nil && p.group == nil {
			s.remove(p)
			return nil, err
		}
	}
	if rec.Reaper == nil {
		return p, nil
	}
	h, err := proc.Open(*rec.Reaper)
	switch {
	case errdefs.IsNotFound(err): // it has ended
	case err != nil:
		s.remove(p)
		return nil, err
	default:
		p.adopt(h)
	}
	return p, nil
}

// halfRequest keeps the record in a file: the half is no sandbox of its own.
func halfRequest(stateDir, id string) *sandbox.Request {
	dir := podfile.Dir(stateDir, MixedKind, id)
	return &sandbox.Request{ID: id, Dir: dir, Save: func(_ context.Context, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		temp := filepath.Join(dir, halfRecord+".new")
		if err := os.WriteFile(temp, b, 0o600); err != nil {
			return err
		}
		return os.Rename(temp, filepath.Join(dir, halfRecord))
	}}
}

// removeHalf removes the directory of a half of which nothing is left.
func removeHalf(dir string) error {
	for _, name := range []string{halfRecord, halfRecord + ".new"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// processDir is the directory in /proc of the process whose namespaces are the pod's. The
// process is held: what is read there afterwards is checked with alive.
func (w *Whole) processDir() string { return fmt.Sprintf("/proc/%d", w.Process.Ref().Pid) }

// alive says that the process has not ended, so that its pid was its own.
func (w *Whole) alive() error {
	if err := w.Process.Signal(0); err != nil {
		return fmt.Errorf("the pod's process: %w", err)
	}
	return nil
}
