package wasmsandboxer

// Idle counts the prepared wasm-tasks that no pod has, by pid.
func (s *Sandboxer) Idle() (pids []int) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	for _, t := range s.pool.idle {
		pids = append(pids, t.process.Pid)
	}
	return pids
}
