package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
)

// plannedMount is one mount of a container.
type plannedMount struct {
	kind, source, target string
	dir                  bool // what is mounted is a directory
	recursive            bool
	attr                 mnt.Attr
	size                 uint64 // of a tmpfs
	mode                 uint32
	plain                bool // needs no idmap: made by the daemon for the pod
	err                  error

	made *mnt.Detached // once it was made, until it is attached
	note string        // what is weaker than it should be
	// pinned counts it, if it was made long before it is attached.
	pinned *atomic.Int64
}

// close lets go of a mount that was made. Idempotent.
func (m *plannedMount) close() {
	if m.made != nil {
		_ = m.made.Close() // attached, or not wanted
		m.made = nil
	}
	if m.pinned != nil {
		m.pinned.Add(-1)
		m.pinned = nil
	}
}

// makeMount makes the mount, unless that was done.
func (s *Service) makeMount(m *plannedMount, idmap *mnt.IDMap) (err error) {
	if m.made == nil {
		m.made, m.note, err = s.build(m, idmap)
	}
	return err
}

// meaningless are file systems that tell a Linux process about its kernel; a wasm
// guest has no use for them and gets none.
var meaningless = map[string]bool{
	"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "mqueue": true, "devpts": true, "devtmpfs": true,
}

// plan lists what is to be mounted, in the order of the specification, and behind
// it the files that a pod's container expects and nobody mounted.
func (s *Service) plan(rec *Container) []*plannedMount {
	var all []*plannedMount
	seen := map[string]bool{}
	for _, m := range rec.Spec.Mounts {
		target := path.Join("/", m.Destination)
		switch {
		case target == "/" || meaningless[m.Type]:
			continue
		case target == "/dev" && m.Type == "tmpfs":
			continue // would hold devices, which a guest gets none of
		}
		seen[target] = true
		all = append(all, planMount(m, target))
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		src := filepath.Join(s.pod.Root, filesDir, name)
		if _, err := os.Lstat(src); err != nil || seen["/etc/"+name] {
			continue
		}
		all = append(all, &plannedMount{
			kind: "bind", source: src, target: "/etc/" + name, plain: true,
			attr: mnt.Attr{ReadOnly: true, NoSUID: true, NoDev: true, NoExec: true},
		})
	}
	return all
}

func planMount(m specs.Mount, target string) *plannedMount {
	p := &plannedMount{
		kind: m.Type, source: m.Source, target: target, mode: 0o755,
		attr: mnt.Attr{NoSUID: true, NoDev: true, NoExec: true},
	}
	if isBind(m) {
		p.kind = "bind"
	}
	for _, o := range m.Options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "ro", "rro":
			p.attr.ReadOnly = true
		case "rbind":
			p.recursive = true
		case "slave", "rslave", "shared", "rshared":
			p.attr.Propagation = mnt.Slave // what a guest has no way to mount cannot go back
		case "size":
			p.size = parseSize(value)
		case "mode":
			if n, err := strconv.ParseUint(value, 8, 12); err == nil {
				p.mode = uint32(n)
			}
		}
	}
	switch p.kind {
	case "tmpfs":
		p.dir = true
	case "bind":
		st, err := os.Stat(p.source)
		if err != nil {
			p.err = fmt.Errorf("source of the mount: %w", err)
			if errors.Is(err, os.ErrNotExist) {
				p.err = fmt.Errorf("%w: %w", p.err, errdefs.ErrNotFound)
			}
			return p
		}
		p.dir = st.IsDir()
	default:
		p.err = fmt.Errorf("a wasm pod cannot mount the type %q: %w", clip(p.kind), errdefs.ErrNotImplemented)
	}
	return p
}

// isBind tells bind mounts as runc does: by the type or by an option.
func isBind(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// parseSize reads the size of a tmpfs: bytes with k, m or g, or percent of nothing
// known here, which means the default.
func parseSize(s string) uint64 {
	shift := 0
	switch {
	case strings.HasSuffix(s, "k"), strings.HasSuffix(s, "K"):
		shift = 10
	case strings.HasSuffix(s, "m"), strings.HasSuffix(s, "M"):
		shift = 20
	case strings.HasSuffix(s, "g"), strings.HasSuffix(s, "G"):
		shift = 30
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0
	}
	return n << shift
}

// build makes the mount, attached nowhere yet. The note says what is weaker than it
// should be.
func (s *Service) build(m *plannedMount, idmap *mnt.IDMap) (d *mnt.Detached, note string, err error) {
	switch {
	case m.err != nil:
		return nil, "", m.err
	case m.kind == "tmpfs":
		d, err = mnt.Tmpfs(mnt.TmpfsOptions{Size: m.size, Mode: m.mode, UID: s.pod.UID, GID: s.pod.UID}, m.attr)
		return d, "", err
	case m.plain:
		d, err = mnt.Bind(m.source, false, nil, m.attr)
		return d, "", err
	}
	d, err = mnt.Bind(m.source, m.recursive, idmap, m.attr)
	if !errors.Is(err, errdefs.ErrNotImplemented) {
		return d, "", err
	}
	if s.node.RefuseUnmapped {
		return nil, "", fmt.Errorf("%w (unmapped_volumes = \"allow\" in the configuration mounts it with its owners as they are)", err)
	}
	note = fmt.Sprintf("volume %s is mounted without idmapping: the guest is uid %d there (%v)", m.target, s.pod.UID, err)
	d, err = mnt.Bind(m.source, m.recursive, nil, m.attr)
	return d, note, err
}

// makeTarget makes the mount point in a root file system that is not mounted yet,
// as far as it is not hidden below another mount.
func (m *plannedMount) makeTarget(root *os.File, uid uint32) error {
	f, err := m.openTarget(root, uid)
	if err != nil {
		return err
	}
	return f.Close()
}

// openTarget opens the mount point inside root, making it if it is not there.
func (m *plannedMount) openTarget(root *os.File, uid uint32) (*os.File, error) {
	f, err := mnt.OpenIn(root, m.target, unix.O_PATH)
	if err == nil || !errors.Is(err, errdefs.ErrNotFound) {
		return f, err
	}
	if m.dir {
		return mnt.MkdirIn(root, m.target, 0o755, uid, uid)
	}
	return mnt.TouchIn(root, m.target, 0o644, uid, uid)
}
