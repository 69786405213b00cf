package host

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/identifiers"

	"blazar/wasmsandboxer/hostapi"
)

// remember notes which module and engine a container got, for people who ask after
// the daemon was restarted, and that the container is the pod's.
func (s *Service) remember(id string, c *container, m hostapi.Module) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.pod.Choices, id), b, 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.module = m
	return nil
}

// forget is called when the container is gone.
func (s *Service) forget(id string) {
	_ = os.Remove(filepath.Join(s.pod.Choices, id)) // goes with the pod at the latest
}

// recall reads what services before this one remembered. What cannot be read is
// left out: it is for people only.
func (s *Service) recall() {
	entries, err := os.ReadDir(s.pod.Choices)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		var m hostapi.Module
		b, err := os.ReadFile(filepath.Join(s.pod.Choices, e.Name()))
		if err = errors.Join(err, json.Unmarshal(b, &m), identifiers.Validate(e.Name())); err != nil {
			continue
		}
		s.containers[e.Name()] = &container{turn: make(chan struct{}, 1), module: m}
		s.known.add(e.Name())
	}
}
