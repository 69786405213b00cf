package wasmsandboxer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/containerd/log"

	"blazar/internal/cgroup"
	"blazar/sandbox"
)

var _ sandbox.Recovered = (*Sandboxer)(nil)

// groupName is the file that names the cgroup of prepared tasks, below preparedName.
const groupName = "cgroup.json"

// Recovered takes away what the last daemon had prepared and gave to no pod, and begins
// to prepare anew.
func (s *Sandboxer) Recovered(ctx context.Context) {
	if err := s.sweep(ctx); err != nil {
		log.G(ctx).WithError(err).Warn("something of the last daemon's prepared wasm-tasks stays")
	}
	if err := s.pool.begin(ctx); err != nil {
		log.G(ctx).WithError(err).Warn("no wasm-tasks are prepared, pods start without")
	}
}

// sweep removes prepared tasks that are no pod's. They have ended with their daemon, or
// are about to: those that do not are killed, found by their cgroup.
func (s *Sandboxer) sweep(ctx context.Context) error {
	root := filepath.Join(s.config.Sockets, preparedName)
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return os.Mkdir(root, 0o700)
	}
	if err != nil {
		return err
	}
	errs := []error{s.sweepGroup(ctx, filepath.Join(root, groupName))}
	mine := s.preparedPods()
	for _, e := range entries {
		if e.IsDir() && !mine[e.Name()] {
			errs = append(errs, s.erasePrepared(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// preparedPods are the names of prepared tasks that pods have.
func (s *Sandboxer) preparedPods() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for p := range s.pods {
		names[p.record.Prepared] = true
	}
	return names
}

// sweepGroup ends what is in the cgroup that the file names, and removes both.
func (s *Sandboxer) sweepGroup(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var state cgroup.State
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		return fmt.Errorf("cgroup of prepared wasm-tasks: %w", err)
	}
	g, err := cgroup.Load(state)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		err = errors.Join(g.Kill(ctx), g.Delete(ctx))
	} else if g != nil { // it is gone
		err = nil
	}
	return errors.Join(err, os.Remove(file))
}

// makeGroup makes the cgroup of tasks that no pod has, and says first which it is.
func (p *pool) makeGroup(ctx context.Context) (*cgroup.Group, error) {
	parent, err := cgroup.Parent(p.s.config.CgroupParent)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("prepared-%d", os.Getpid())
	if err := p.recordGroup(cgroup.State{Path: path.Join(parent.Path(), name)}); err != nil {
		return nil, err
	}
	g, err := cgroup.Create(ctx, p.s.config.CgroupParent, name, nil)
	if err != nil {
		return nil, err
	}
	if g.State().Scope != "" {
		return nil, errors.Join(errors.New("systemd manages their parent: wasm.cgroup_parent can name another one"), g.Delete(ctx))
	}
	return g, p.recordGroup(g.State()) // with the parents that it has made
}

func (p *pool) recordGroup(s cgroup.State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.root(), groupName), b, 0o600)
}
