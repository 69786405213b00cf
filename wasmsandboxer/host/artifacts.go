package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"blazar/internal/mnt"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/hostapi"
)

// maxArtifacts bounds the artifacts that one pod keeps in the cache, and mounted. It
// is more than a wasm-task can be about to load: what is loaded needs its files no
// more.
const maxArtifacts = 2 * hostapi.MaxInFlight

// artifacts are those that are mounted in the pod, by name below artifactsDir.
type artifacts struct {
	held map[string]*ociwasm.Artifact
	used []string // the latest last
}

// put keeps the artifact, as the one used last.
func (l *artifacts) put(name string, a *ociwasm.Artifact) {
	if l.held == nil {
		l.held = map[string]*ociwasm.Artifact{}
	}
	if old := l.held[name]; old != nil {
		old.Release()
	}
	l.held[name] = a
	if i := slices.Index(l.used, name); i >= 0 {
		l.used = slices.Delete(l.used, i, i+1)
	}
	l.used = append(l.used, name)
}

// surplus takes the one that was not used for the longest time, if there are too many.
func (l *artifacts) surplus() (name string, a *ociwasm.Artifact, ok bool) {
	if len(l.used) <= maxArtifacts {
		return "", nil, false
	}
	name = l.used[0]
	l.used = slices.Delete(l.used, 0, 1)
	a = l.held[name]
	delete(l.held, name)
	return name, a, true
}

// release gives all of them up; they stay mounted.
func (l *artifacts) release() {
	for _, a := range l.held {
		a.Release()
	}
	*l = artifacts{}
}

// mountArtifact binds the artifact into the pod, once, and keeps it in the cache as
// long as the pod lives, or until it has used many others.
func (s *Service) mountArtifact(a *ociwasm.Artifact) (path string, err error) {
	name := filepath.Base(a.Dir)
	target := filepath.Join(s.pod.Root, artifactsDir, name)
	s.mu.Lock()
	defer s.mu.Unlock() // a few system calls on local files, nothing that waits
	defer func() {
		if err != nil {
			a.Release()
		}
	}()
	if !sameFile(a.Dir, target) { // else mounted already, by a daemon before this one perhaps
		if err := bindArtifact(a.Dir, target); err != nil {
			return "", fmt.Errorf("artifact %s: %w", a.Dir, err)
		}
	}
	s.artifacts.put(name, a)
	if old, a, ok := s.artifacts.surplus(); ok {
		_ = takeAway(filepath.Join(s.pod.Root, artifactsDir, old)) // what cannot go now goes with the pod's root
		a.Release()
	}
	return "/" + artifactsDir + "/" + name, nil
}

// takeAway undoes bindArtifact.
func takeAway(target string) error {
	if err := detach(target); err != nil {
		return err
	}
	return os.Remove(target)
}

func bindArtifact(dir, target string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := detach(target); err != nil { // an evicted one under the same name
		return err
	}
	d, err := mnt.Bind(dir, false, nil, mnt.Attr{ReadOnly: true, NoSUID: true, NoDev: true})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	return d.AttachAt(target)
}
