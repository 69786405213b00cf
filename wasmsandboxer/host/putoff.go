package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/wasmsandboxer/artifact"
	"blazar/wasmsandboxer/hostapi"
)

// Most guests use no files but those that they are given open. Where it is known from
// an earlier container that its root file system can be mounted, and which module is
// in it, that is put off until the guest uses it: making and removing an overlay takes
// longer than all the rest of a start. What the daemon is asked to mount there, volumes,
// is made at once all the same, so that it is what it was when the container
// started.

// laterName marks, in a container's directory, that its files are not mounted yet.
const laterName = "later"

// maxPinned bounds the mounts that are made and attached nowhere, of all pods: each is
// an open descriptor.
const maxPinned = 4096

// seenModule finds the module of a container that is like one before it, if it is in the
// cache; nil if anything about it is new.
func (s *Service) seenModule(root rootKey, q *search) (*module, error) {
	k, ok := s.node.roots.get(root, q.key())
	if !ok {
		return nil, nil
	}
	a, err := s.node.Cache.Lookup(artifact.Key(k.digest, q.engine.Info()))
	if err != nil {
		return nil, nil //nolint:nilerr // the files say what to make it of
	}
	path, err := s.mountArtifact(a)
	if err != nil {
		return nil, err
	}
	return q.module(&compiledModule{Artifact: a, by: q.engine.Info()}, k, path), nil
}

// furnishLater finds the module and puts mounting off; nil where that cannot be done.
func (s *Service) furnishLater(plan *planned, root rootKey, q *search) (*files, *module, error) {
	m, err := s.seenModule(root, q)
	if m == nil {
		return nil, nil, err
	}
	f, ok, err := s.putOff(plan)
	if !ok {
		return nil, nil, err
	}
	return f, m, nil
}

// putOff is mountFiles for later. ok is false where that would make a difference.
func (s *Service) putOff(p *planned) (_ *files, ok bool, err error) {
	f := &files{layers: layersOf(p.root), preopens: p.preopens()}
	for _, m := range p.mounts {
		if m.kind != "bind" || m.plain {
			continue
		}
		if s.node.pinned.Load() >= maxPinned {
			return nil, false, nil
		}
		idmap, err := s.idmap(p.rec.Spec.Process.User.UID, p.rec.Spec.Process.User.GID)
		if err != nil {
			return nil, false, err
		}
		if err := s.makeMount(m, idmap); err != nil {
			return nil, false, fmt.Errorf("mount %s at %s: %w", m.source, m.target, err)
		}
		m.pinned = &s.node.pinned
		m.pinned.Add(1)
		if m.note != "" {
			f.notes = append(f.notes, m.note)
		}
	}
	if f.message, ok = p.message(s.pod.UID); !ok {
		return nil, false, nil
	}
	if err := s.mark(p.rec.ID); err != nil {
		f.close()
		return nil, false, err
	}
	return f, true, nil
}

func (s *Service) mark(id string) error {
	dir := s.containerDir(id)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, laterName), nil, 0o600)
}

// appear mounts the files of a container of which that was put off. The caller has
// the container's turn.
func (s *Service) appear(ctx context.Context, id string, c *container) error {
	marker := filepath.Join(s.containerDir(id), laterName)
	if err := unix.Access(marker, unix.F_OK); err != nil {
		return nil //nolint:nilerr // they are mounted, or it has none
	}
	if c.later == nil { // put off by a daemon before this one
		rec, err := s.lookup(ctx, id)
		if err != nil {
			return err
		}
		if c.later, err = s.planFiles(ctx, rec); err != nil {
			return err
		}
		c.record = rec
	}
	if err := detach(filepath.Join(s.containerDir(id), rootfsName)); err != nil { // of a daemon that was killed meanwhile
		return err
	}
	f, err := s.mountFiles(c.later)
	if err != nil {
		return err
	}
	for _, note := range f.notes {
		log.G(ctx).Warn(note)
	}
	f.close()
	if err := os.Remove(marker); err != nil {
		return err
	}
	c.forgetLater()
	return nil
}

// files answers a guest that uses its files for the first time.
func (s *Service) files(ctx context.Context, q *hostapi.FilesRequest) error {
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("container_id", q.Container))
	c, leave, err := s.enter(ctx, q.Container)
	if err != nil {
		return err
	}
	defer leave()
	err = s.appear(ctx, q.Container, c)
	if c.record == nil {
		s.drop(q.Container, c)
	}
	if err != nil {
		return fmt.Errorf("files of container %s: %w", q.Container, err)
	}
	return nil
}

// forgetLater lets go of what was kept to mount the files.
func (c *container) forgetLater() {
	if c.later != nil {
		c.later.close()
		c.later = nil
	}
}
