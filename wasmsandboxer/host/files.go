package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
	"blazar/wasmsandboxer/hostapi"
)

// rootfsName is the container's root below its directory.
const rootfsName = "rootfs"

func rootfsInTask(id string) string { return "/" + containersDir + "/" + id + "/" + rootfsName }

// files is a container's mounted root with what the guest may open of it.
type files struct {
	root     *os.File // the mounted root file system; nil while that is put off
	layers   string   // names the read-only layers
	mapped   bool     // its owners are the pod's
	preopens []hostapi.Preopen
	notes    []string
	message  *os.File // takes the container's last words
}

func (f *files) close() {
	if f.root != nil {
		_ = f.root.Close() // only a path
	}
	if f.message != nil {
		_ = f.message.Close() // nothing was written to it here
	}
}

// openFiles is the root of a container that is mounted already.
func (s *Service) openFiles(id string) (*files, error) {
	path := filepath.Join(s.containerDir(id), rootfsName)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("files of container %s: %w", id, kindOf(err))
	}
	return &files{root: os.NewFile(uintptr(fd), path)}, nil
}

// planned is what a container's files are to be made of.
type planned struct {
	rec      *Container
	root     []mnt.Mount
	mounts   []*plannedMount
	readOnly bool
}

// planFiles asks containerd for the root file system and looks at what the
// specification puts into it.
func (s *Service) planFiles(ctx context.Context, rec *Container) (*planned, error) {
	root, err := s.node.Containers.Rootfs(ctx, s.pod.Namespace, rec)
	if err != nil {
		return nil, err
	}
	return &planned{
		rec: rec, root: root, mounts: s.plan(rec), readOnly: rec.Spec.Root != nil && rec.Spec.Root.Readonly,
	}, nil
}

// close lets go of what was mounted and not attached.
func (p *planned) close() {
	for _, m := range p.mounts {
		m.close()
	}
}

// preopens are the directories that the guest gets, in the order of the mounts, a
// later one in the place of one before it.
func (p *planned) preopens() []hostapi.Preopen {
	var all []hostapi.Preopen
	if p.rec.Spec.Root != nil { // CRI's always have one; without, the module is all that is taken from it
		all = []hostapi.Preopen{{Guest: "/", ReadOnly: p.readOnly}}
	}
	for _, m := range p.mounts {
		if m.dir {
			all = slices.DeleteFunc(all, func(o hostapi.Preopen) bool { return o.Guest == m.target })
			all = append(all, hostapi.Preopen{Guest: m.target, ReadOnly: m.attr.ReadOnly})
		}
	}
	return all
}

// mountFiles mounts the root file system and everything that the specification
// puts into it, owned by the pod's user where the process's user should own it.
func (s *Service) mountFiles(p *planned) (_ *files, err error) {
	id := p.rec.ID
	idmap, err := s.idmap(p.rec.Spec.Process.User.UID, p.rec.Spec.Process.User.GID)
	if err != nil {
		return nil, err
	}
	d, note, err := s.makeRoot(p.root, idmap)
	if err != nil {
		return nil, fmt.Errorf("root file system of container %s: %w", id, err)
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	for _, m := range p.mounts {
		if err := m.makeTarget(d.Root(), s.pod.UID); err != nil {
			return nil, fmt.Errorf("mount point %s: %w", m.target, err)
		}
	}
	if p.readOnly {
		if err := d.SetReadOnly(false); err != nil {
			return nil, fmt.Errorf("root file system of container %s: %w", id, err)
		}
	}
	target := filepath.Join(s.containerDir(id), rootfsName)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, err
	}
	if err := d.AttachAt(target); err != nil {
		return nil, fmt.Errorf("root file system of container %s: %w", id, err)
	}
	f, err := s.openFiles(id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	f.mapped = note == ""
	if note != "" {
		f.notes = append(f.notes, note)
	}
	f.layers, f.preopens = layersOf(p.root), p.preopens()
	for _, m := range p.mounts {
		if err := s.attach(f, m, idmap); err != nil {
			return nil, fmt.Errorf("mount %s at %s: %w", m.source, m.target, err)
		}
	}
	f.message = openMessage(f.root, p.rec.Spec, s.pod.UID)
	return f, nil
}

// layersOf names what a root file system is made of, for memos.
func layersOf(all []mnt.Mount) string {
	if len(all) == 0 {
		return ""
	}
	for _, o := range all[0].Options {
		if l, ok := strings.CutPrefix(o, "lowerdir="); ok {
			return l
		}
	}
	return all[0].Source
}

// attach makes one mount, unless that was done, and attaches it.
func (s *Service) attach(f *files, m *plannedMount, idmap *mnt.IDMap) error {
	if err := s.makeMount(m, idmap); err != nil {
		return err
	}
	defer m.close() // attached, or not wanted
	target, err := m.openTarget(f.root, s.pod.UID)
	if err != nil {
		return fmt.Errorf("mount point: %w", err)
	}
	defer func() { _ = target.Close() }() // only a path
	if err := m.made.Attach(target); err != nil {
		return err
	}
	if m.note != "" {
		f.notes = append(f.notes, m.note)
	}
	return nil
}

// messagePath is where a kubelet mounts the file for a container's last words, empty if
// it did not.
func messagePath(spec *specs.Spec) string {
	path := spec.Annotations["io.kubernetes.container.terminationMessagePath"]
	if path == "" {
		path = "/dev/termination-log"
	}
	if !slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == path && isBind(m) }) {
		return ""
	}
	return path
}

// messageFlags open the file for last words.
const messageFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY

// openMessage opens the file for last words, nil if there is none. It is opened where
// the guest sees it, and only if the guest could write it too: the path is the pod
// author's choice, who may have mounted something else there, read-only perhaps.
func openMessage(root *os.File, spec *specs.Spec, uid uint32) *os.File {
	path := messagePath(spec)
	if path == "" {
		return nil
	}
	f, err := mnt.OpenIn(root, path, messageFlags|unix.O_NOFOLLOW)
	if err != nil {
		return nil // it is a courtesy; stderr says the same
	}
	return checkMessage(f, uid)
}

// checkMessage closes a file that is none for last words.
func checkMessage(f *os.File, uid uint32) *os.File {
	fd, err := descriptor(f)
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || !writableBy(&st, uid) {
		_ = f.Close() // nothing was written
		return nil
	}
	return f
}

// writableBy says whether a process of that user and group may write a file.
func writableBy(st *unix.Stat_t, id uint32) bool {
	switch id {
	case st.Uid:
		return st.Mode&unix.S_IWUSR != 0
	case st.Gid:
		return st.Mode&unix.S_IWGRP != 0
	}
	return st.Mode&unix.S_IWOTH != 0
}

// environment tells the guest its working directory the only way preview 1 has:
// the variable that Go's runtime and others read.
func environment(env []string, cwd string) []string {
	if cwd == "" || cwd == "/" || slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PWD=") }) {
		return env
	}
	return append(env[:len(env):len(env)], "PWD="+cwd)
}

// detach unmounts what is mounted at path, everything below included, at once and
// also while a guest has files open. That nothing is mounted is no error.
func detach(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil:
			continue // mounts may lie upon one another
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		}
		return fmt.Errorf("%w: %w", err, errdefs.ErrFailedPrecondition)
	}
}
