package wasmsandboxer

import (
	"os"

	"blazar/internal/cgroup"
)

// MoveFromOutside makes the daemon move prepared tasks, as it does on cgroup v2.
func (s *Sandboxer) MoveFromOutside() {
	s.tasks = func(*cgroup.Group) ([]*os.File, error) { return nil, nil }
}

// Idle counts the prepared wasm-tasks that no pod has, by pid.
func (s *Sandboxer) Idle() (pids []int) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	for _, t := range s.pool.idle {
		pids = append(pids, t.process.Pid)
	}
	return pids
}
