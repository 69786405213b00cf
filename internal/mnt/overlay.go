package mnt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
)

// Layers are the directories of an overlay.
type Layers struct {
	// Lower are the read-only layers, the uppermost first.
	Lower []string
	// Upper and Work are of a writable overlay, or both empty.
	Upper, Work string
	// Options are further ones of overlayfs ("index=off", "userxattr").
	Options []string
}

// Overlay makes an overlay of layers. A mapping goes for the lower layers, the only
// ones that overlayfs takes idmapped; what is written into the upper one is owned
// by ids of the pod's range. The upper directory itself is given the owner that
// the mapping gives it, once.
//
// Kernels before 6.13 take layers by path only: they are mounted at scratch, an
// existing, empty, root-only directory of the caller's, for a moment.
// errdefs.ErrNotImplemented if there is a mapping and the kernel is before 5.19.
func Overlay(l Layers, m *IDMap, a Attr, scratch string) (*Detached, error) {
	return l.make(m, a, scratch, overlayByFd)
}

// method puts layers that are mounted, detached, together.
type method func(l Layers, lower []*Detached, a Attr, scratch string) (*Detached, error)

// errNoFd says that the kernel does not take layers by descriptor.
var errNoFd = errors.New("overlayfs takes no descriptors")

func (l Layers) make(m *IDMap, a Attr, scratch string, how method) (_ *Detached, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("overlay of %d layers: %w", len(l.Lower), err)
		}
	}()
	if len(l.Lower) == 0 || (l.Upper == "") != (l.Work == "") {
		return nil, fmt.Errorf("at least one lower layer is needed, and both of upper and work or none: %w", errdefs.ErrInvalidArgument)
	}
	if len(l.Lower) == 1 && l.Upper == "" { // which overlayfs refuses, there being nothing to overlay
		a.ReadOnly = true
		return Bind(l.Lower[0], false, m, a)
	}
	var lower []*Detached
	defer func() {
		for _, d := range lower {
			_ = d.Close() // the overlay has its own
		}
	}()
	for _, dir := range l.Lower {
		d, err := Bind(dir, false, m, Attr{})
		if err != nil {
			return nil, err
		}
		lower = append(lower, d)
	}
	if m != nil && l.Upper != "" {
		if err := m.own(l.Upper); err != nil {
			return nil, err
		}
	}
	d, err := how(l, lower, a, scratch)
	if errors.Is(err, errNoFd) {
		d, err = overlayByPath(l, lower, a, scratch)
	}
	if m != nil && errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: idmapped layers need Linux 5.19: %w", err, errdefs.ErrNotImplemented)
	}
	return d, err
}

// own gives the root of an upper layer the owner that the mapping gives it. One
// that is out of the mapping has been given it before.
func (m *IDMap) own(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if st.Uid >= rangeSize || st.Gid >= rangeSize {
		return nil
	}
	return os.Lchown(dir, int(m.UID(st.Uid)), int(m.GID(st.Gid)))
}

// overlayByFd is the way of Linux 6.13: no path is looked up, of any length.
func overlayByFd(l Layers, lower []*Detached, a Attr, _ string) (*Detached, error) {
	fs, err := openFS("overlay")
	if err != nil {
		return nil, err
	}
	defer fs.close()
	set := func(key string, f *os.File) error {
		return openfile.Control(f, func(fd int) error { return unix.FsconfigSetFd(fs.fd, key, fd) })
	}
	for i, d := range lower {
		if err := set("lowerdir+", d.file); err != nil {
			// EINVAL before Linux 6.13, EOPNOTSUPP before 6.5, where overlayfs does not
			// know the new way of mounting at all.
			if i == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)) {
				return nil, errNoFd
			}
			return nil, fs.fail("layer "+d.file.Name(), err)
		}
	}
	if l.Upper != "" {
		for _, x := range []struct{ key, dir string }{{"upperdir", l.Upper}, {"workdir", l.Work}} {
			f, err := openPath(x.dir, unix.O_DIRECTORY)
			if err != nil {
				return nil, err
			}
			err = set(x.key, f)
			_ = f.Close() // only a path
			if err != nil {
				return nil, fs.fail(x.key+" "+x.dir, err)
			}
		}
	}
	for _, s := range l.Options {
		k, v, _ := strings.Cut(s, "=")
		if err := fs.set(option{k, v}); err != nil {
			return nil, err
		}
	}
	return fs.mount(a)
}

// overlayByPath mounts the layers below a private tmpfs at scratch, under names so
// short that all of them fit into one mount(2), takes a detached copy of the
// overlay of them and unmounts everything again.
func overlayByPath(l Layers, lower []*Detached, a Attr, scratch string) (_ *Detached, err error) {
	tmp, err := Tmpfs(TmpfsOptions{Mode: 0o700}, Attr{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tmp.Close() }() // unmounted below
	if err := tmp.AttachAt(scratch); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, os.NewSyscallError("umount2", unix.Unmount(scratch, unix.MNT_DETACH)))
	}()
	if err := unix.Mount("", scratch, "", unix.MS_PRIVATE, ""); err != nil { // nobody else need see
		return nil, os.NewSyscallError("mount", err)
	}
	names := make([]string, len(lower))
	for i, d := range lower {
		names[i] = filepath.Join(scratch, strconv.Itoa(i))
		if err := os.Mkdir(names[i], 0o700); err != nil {
			return nil, err
		}
		if err := d.AttachAt(names[i]); err != nil {
			return nil, err
		}
		names[i] = escape(names[i], `\:,`)
	}
	data := append([]string{"lowerdir=" + strings.Join(names, ":")}, l.Options...)
	if l.Upper != "" {
		data = append(data, "upperdir="+escape(l.Upper, `\,`), "workdir="+escape(l.Work, `\,`))
	}
	whole := filepath.Join(scratch, "overlay")
	if err := os.Mkdir(whole, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("overlay", whole, "overlay", 0, strings.Join(data, ",")); err != nil {
		return nil, os.NewSyscallError("mount", err)
	}
	return Bind(whole, false, nil, a)
}

// escape puts a backslash before special characters, as overlayfs reads paths.
func escape(path, special string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte(special, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
