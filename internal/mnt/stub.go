package mnt

import (
	"os"

	"github.com/containerd/errdefs"
)

type IDMap struct{}

func NewIDMap(base, uid, gid uint32) (*IDMap, error) { return nil, errdefs.ErrNotImplemented }
func (m *IDMap) UID(disk uint32) uint32              { return 0 }
func (m *IDMap) GID(disk uint32) uint32              { return 0 }
func (m *IDMap) Close() error                        { return nil }

// Overlay; scratch is an empty private directory, used on kernels before 6.13 only.
func Overlay(l Layers, m *IDMap, a Attr, scratch string) (*Detached, error) {
	return nil, errdefs.ErrNotImplemented
}
func Bind(source string, recursive bool, m *IDMap, a Attr) (*Detached, error) {
	return nil, errdefs.ErrNotImplemented
}
func BindFile(source *os.File, recursive bool, m *IDMap, a Attr) (*Detached, error) {
	return nil, errdefs.ErrNotImplemented
}
func Tmpfs(o TmpfsOptions, a Attr) (*Detached, error) { return nil, errdefs.ErrNotImplemented }

// FromContainerd makes the first mount of the list, e.g. a rootfs; more than one or one with a target below is refused.
func FromContainerd(ms []Mount, m *IDMap, a Attr, scratch string) (*Detached, error) {
	return nil, errdefs.ErrNotImplemented
}

func (d *Detached) Attach(target *os.File) error { return errdefs.ErrNotImplemented }
func (d *Detached) AttachAt(path string) error   { return errdefs.ErrNotImplemented }
func (d *Detached) SetReadOnly() error           { return errdefs.ErrNotImplemented }
func (d *Detached) Root() *os.File               { return d.file } // usable with OpenIn etc. before and after attaching
func (d *Detached) Close() error                 { return nil }

// OpenIn resolves path inside root (openat2 RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS).
func OpenIn(root *os.File, path string, flags int) (*os.File, error) {
	return nil, errdefs.ErrNotImplemented
}

// MkdirIn makes the directory and missing parents, owned uid:gid, and returns it (O_PATH); an existing one is returned as it is.
func MkdirIn(root *os.File, path string, mode, uid, gid uint32) (*os.File, error) {
	return nil, errdefs.ErrNotImplemented
}

// TouchIn makes an empty file (target of a file bind) and missing parents and returns it (O_PATH).
func TouchIn(root *os.File, path string, mode, uid, gid uint32) (*os.File, error) {
	return nil, errdefs.ErrNotImplemented
}
func UnmountAll(prefix string) error { return errdefs.ErrNotImplemented }
