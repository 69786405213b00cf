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
	root     *os.File // the mounted root file system
	layers   string   // names the read-only layers
	preopens []hostapi.Preopen
	notes    []string
	message  *os.File // takes the container's last words
}

func (f *files) close() {
	_ = f.root.Close() // only a path
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

// mountFiles mounts the root file system and everything that the specification
// puts into it, owned by the pod's user where the process's user should own it.
func (s *Service) mountFiles(ctx context.Context, rec *Container) (_ *files, err error) {
	idmap, err := s.idmap(rec.Spec.Process.User.UID, rec.Spec.Process.User.GID)
	if err != nil {
		return nil, err
	}
	readOnly := rec.Spec.Root != nil && rec.Spec.Root.Readonly
	mounts := s.plan(rec)

	rootMounts, err := s.node.Containers.Rootfs(ctx, s.pod.Namespace, rec)
	if err != nil {
		return nil, err
	}
	d, note, err := s.makeRoot(rootMounts, idmap)
	if err != nil {
		return nil, fmt.Errorf("root file system of container %s: %w", rec.ID, err)
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	for _, m := range mounts {
		if err := m.makeTarget(d.Root(), s.pod.UID); err != nil {
			return nil, fmt.Errorf("mount point %s: %w", m.target, err)
		}
	}
	if readOnly {
		if err := d.SetReadOnly(false); err != nil {
			return nil, fmt.Errorf("root file system of container %s: %w", rec.ID, err)
		}
	}
	target := filepath.Join(s.containerDir(rec.ID), rootfsName)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, err
	}
	if err := d.AttachAt(target); err != nil {
		return nil, fmt.Errorf("root file system of container %s: %w", rec.ID, err)
	}
	f, err := s.openFiles(rec.ID)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if note != "" {
		f.notes = append(f.notes, note)
	}
	f.layers = layersOf(rootMounts)
	if rec.Spec.Root != nil { // CRI's always have one; without, the module is all that is taken from it
		f.preopens = []hostapi.Preopen{{Guest: "/", ReadOnly: readOnly}}
	}
	for _, m := range mounts {
		if err := s.attach(f, m, idmap); err != nil {
			return nil, fmt.Errorf("mount %s at %s: %w", m.source, m.target, err)
		}
	}
	f.message = openMessage(f.root, rec.Spec, s.pod.UID)
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

// attach makes one mount and lets the guest know of it.
func (s *Service) attach(f *files, m *plannedMount, idmap *mnt.IDMap) error {
	d, note, err := s.build(m, idmap)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	target, err := m.openTarget(f.root, s.pod.UID)
	if err != nil {
		return fmt.Errorf("mount point: %w", err)
	}
	defer func() { _ = target.Close() }() // only a path
	if err := d.Attach(target); err != nil {
		return err
	}
	if note != "" {
		f.notes = append(f.notes, note)
	}
	if m.dir {
		f.preopens = slices.DeleteFunc(f.preopens, func(p hostapi.Preopen) bool { return p.Guest == m.target })
		f.preopens = append(f.preopens, hostapi.Preopen{Guest: m.target, ReadOnly: m.attr.ReadOnly})
	}
	return nil
}

// openMessage opens the file that a kubelet mounts for a container's last words, nil
// if there is none. It is opened where the guest sees it, and only if the guest could
// write it too: the path is the pod author's choice, who may have mounted something
// else there, read-only perhaps.
func openMessage(root *os.File, spec *specs.Spec, uid uint32) *os.File {
	path := spec.Annotations["io.kubernetes.container.terminationMessagePath"]
	if path == "" {
		path = "/dev/termination-log"
	}
	if !slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == path && isBind(m) }) {
		return nil
	}
	f, err := mnt.OpenIn(root, path, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil // it is a courtesy; stderr says the same
	}
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
