package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"

	"blazar/wasmsandboxer/hostapi"
)

// note changes what is known of a container of this pod, and writes it down for
// people who ask.
func (s *Service) note(id string, change func(*Entry)) error {
	if s.pod.Parent != nil {
		return s.pod.Parent.note(id, change)
	}
	s.remember(id)
	s.notes.Lock()
	defer s.notes.Unlock()
	e, err := s.noted(id)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	change(&e)
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.pod.Notes, id), b, 0o600)
}

// remember adds a container to the history.
func (s *Service) remember(id string) {
	s.mu.Lock()
	forgotten := s.history.add(id)
	s.mu.Unlock()
	if forgotten != "" {
		_ = os.Remove(filepath.Join(s.pod.Notes, forgotten)) // goes with the pod at the latest
	}
}

// known says whether a container is in the history.
func (s *Service) known(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.has(id)
}

// noted reads what is known of a container.
func (s *Service) noted(id string) (e Entry, err error) {
	b, err := os.ReadFile(filepath.Join(s.pod.Notes, id))
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(b, &e)
}

// recall remembers the containers that services before this one noted, in the order
// of the last notes.
func (s *Service) recall() {
	entries, err := os.ReadDir(s.pod.Notes)
	if err != nil {
		return
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return written(a).Compare(written(b)) })
	for _, f := range entries {
		if identifiers.Validate(f.Name()) == nil {
			s.remember(f.Name())
		}
	}
}

func written(e os.DirEntry) time.Time {
	i, err := e.Info()
	if err != nil {
		return time.Time{}
	}
	return i.ModTime()
}

// History is what is known of the containers that the pod has or had, by id. What
// cannot be read is empty.
func (s *Service) History() map[string]Entry {
	s.mu.Lock()
	ids := slices.Clone(s.history.order)
	s.mu.Unlock()
	s.notes.Lock()
	defer s.notes.Unlock()
	out := map[string]Entry{}
	for _, id := range ids {
		out[id], _ = s.noted(id)
	}
	return out
}

// maxReport bounds what is kept of a report.
const maxReport = 4 << 10

// report notes how a process ended.
func (s *Service) report(q *hostapi.ReportRequest) error {
	if !s.known(q.Container) {
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
