package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"

	"blazar/wasmsandboxer/hostapi"
)

// note changes what is known of a container of this pod, and writes it down for
// people who ask after the daemon was restarted.
func (s *Service) note(id string, change func(*Entry)) error {
	s.mu.Lock()
	forgotten := s.history.add(id)
	e := s.history.get(id)
	change(e)
	b, err := json.Marshal(e)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if forgotten != "" {
		_ = os.Remove(filepath.Join(s.pod.Notes, forgotten)) // goes with the pod at the latest
	}
	return os.WriteFile(filepath.Join(s.pod.Notes, id), b, 0o600)
}

// recall reads what services before this one noted. What cannot be read is left
// out: it is for people only.
func (s *Service) recall() {
	entries, err := os.ReadDir(s.pod.Notes)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range entries {
		var e Entry
		b, err := os.ReadFile(filepath.Join(s.pod.Notes, f.Name()))
		if errors.Join(err, json.Unmarshal(b, &e), identifiers.Validate(f.Name())) == nil {
			s.history.add(f.Name())
			*s.history.get(f.Name()) = e
		}
	}
}

// History is what is known of the containers that the pod has or had, by id.
func (s *Service) History() map[string]Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]Entry{}
	for id, e := range maps.All(s.history.entries) {
		out[id] = *e
	}
	return out
}

// maxReport bounds what is kept of a report.
const maxReport = 4 << 10

// report notes how a process ended.
func (s *Service) report(q *hostapi.ReportRequest) error {
	s.mu.Lock()
	known := s.history.get(q.Container) != nil
	s.mu.Unlock()
	if !known {
		return fmt.Errorf("container %q: %w", clip(q.Container), errdefs.ErrNotFound)
	}
	message := q.Message
	if q.Exec != "" {
		message = "exec " + clip(q.Exec) + ": " + message
	}
	if len(message) > maxReport {
		message = message[:maxReport]
	}
	return s.note(q.Container, func(e *Entry) { e.Exit = &End{Status: q.Status, Message: message} })
}
