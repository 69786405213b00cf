package wasip1

import (
	"bytes"
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"
)

// Bounds of the buffer for the kernel's directory entries, in bytes. The smaller
// one holds the longest name.
const (
	minDirents = 1 << 10
	maxDirents = 32 << 10
)

// Where Linux's struct linux_dirent64 keeps what.
const (
	direntOff  = 8
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// fdReaddir lists a directory. A cookie is the file system's own position behind
// an entry, which stays valid while the directory changes; every call therefore
// seeks, and nothing is remembered in between.
func fdReaddir(s *System, m memory, a []uint64) Errno {
	d, errno := s.directory(a[0], rightFdReaddir)
	if errno != ErrnoSuccess {
		return errno
	}
	out, ok := m.bytes(uint32(a[1]), uint32(a[2]))
	if !ok {
		return ErrnoFault
	}
	if errno := m.putUint32(uint32(a[4]), 0); errno != ErrnoSuccess {
		return errno
	}
	if a[3] > math.MaxInt64 {
		return ErrnoInval
	}
	dir, err := d.list()
	if err != nil {
		return fromHost(err)
	}
	if _, err := unix.Seek(dir, int64(a[3]), unix.SEEK_SET); err != nil {
		return fromHost(err)
	}
	used := 0
	for used < len(out) && !s.Done() {
		entries := s.scratch.direntBuffer(len(out) - used)
		n, err := unix.Getdents(dir, entries)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fromHost(err)
		}
		if n == 0 {
			break
		}
		for entries = entries[:n]; len(entries) > 0 && used < len(out); {
			size := binary.NativeEndian.Uint16(entries[direntLen:])
			used += putDirent(out[used:], d, entries[:size])
			entries = entries[size:]
		}
	}
	return m.putUint32(uint32(a[4]), uint32(used))
}

// list is the host's descriptor to read the directory from.
func (d *descriptor) list() (int, error) {
	if d.owner == nil {
		return d.fd, nil
	}
	if d.dir.listing == nil {
		fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		d.dir.listing = (&file{fd: fd}).hold()
	}
	return d.dir.listing.fd, nil
}

func (c *scratch) direntBuffer(wanted int) []byte {
	wanted = min(max(wanted, minDirents), maxDirents)
	if len(c.dirents) < wanted {
		c.dirents = make([]byte, wanted)
	}
	return c.dirents[:wanted]
}

// putDirent writes one entry, as much of it as fits: an entry cut short is how a
// guest sees that there are more.
func putDirent(out []byte, d *descriptor, e []byte) int {
	name := e[direntName:]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	ino := binary.NativeEndian.Uint64(e)
	if d.dir.preopen && string(name) == ".." {
		// What is above a preopen is none of the guest's business.
		var st unix.Stat_t
		if unix.Fstat(d.fd, &st) == nil {
			ino = st.Ino
		}
	}
	var head [sizeDirent]byte
	binary.LittleEndian.PutUint64(head[:], binary.NativeEndian.Uint64(e[direntOff:]))
	binary.LittleEndian.PutUint64(head[8:], ino)
	binary.LittleEndian.PutUint32(head[16:], uint32(len(name)))
	head[20] = byte(direntKind(d, string(name), e[direntType]))
	n := copy(out, head[:])
	return n + copy(out[n:], name)
}

func direntKind(d *descriptor, name string, t byte) filetype {
	if t == unix.DT_UNKNOWN { // some file systems do not say
		var st unix.Stat_t
		if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return filetypeUnknown
		}
		return kindOf(st.Mode)
	}
	return kindOf(uint32(t) << 12) // DT_X is S_IFX >> 12
}
