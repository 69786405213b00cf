package wasip1

import (
	"time"

	"golang.org/x/sys/unix"
)

// opening is one path_open.
type opening struct {
	d          *descriptor
	path       string
	oflags     uint32
	fdflags    fdflags
	base       rights
	inheriting rights
	follow     bool
}

func pathOpen(s *System, m memory, a []uint64) Errno {
	o, errno := s.newOpening(m, a)
	if errno != ErrnoSuccess {
		return errno
	}
	if errno := m.putUint32(uint32(a[8]), 0); errno != ErrnoSuccess {
		return errno
	}
	if s.table.full() { // before a file is made
		return ErrnoMfile
	}
	d, errno := s.openPath(o)
	if errno != ErrnoSuccess {
		return errno
	}
	fd, errno := s.table.insert(d)
	if errno != ErrnoSuccess {
		return errno
	}
	return m.putUint32(uint32(a[8]), fd)
}

func (s *System) newOpening(m memory, a []uint64) (*opening, Errno) {
	oflags, flags := uint32(a[4])&0xffff, fdflags(a[7])
	need := rightPathOpen
	if oflags&oflagCreat != 0 {
		need |= rightPathCreateFile
	}
	if oflags&oflagTrunc != 0 {
		need |= rightPathFilestatSetSize
	}
	d, errno := s.directory(a[0], need)
	if errno != ErrnoSuccess {
		return nil, errno
	}
	path, errno := m.path(uint32(a[2]), uint32(a[3]))
	if errno != ErrnoSuccess {
		return nil, errno
	}
	if oflags&^oflagsAll != 0 || flags&^fdflagsAll != 0 ||
		oflags&oflagDirectory != 0 && oflags&(oflagCreat|oflagExcl|oflagTrunc) != 0 {
		return nil, ErrnoInval
	}
	o := &opening{
		d: d, path: path, oflags: oflags, fdflags: flags,
		// Bits that mean nothing are not asked for, they are there by mistake.
		base: rights(a[5]) & rightsAll, inheriting: rights(a[6]) & rightsAll,
		follow: a[1]&lookupSymlinkFollow != 0,
	}
	if (o.base|o.inheriting)&^d.inheriting != 0 {
		return nil, ErrnoNotcapable
	}
	return o, ErrnoSuccess
}

// writes says that the guest wants to write, which no directory allows. Rights
// that go with writing are no reason to refuse a directory.
func (o *opening) writes() bool {
	return o.base&rightFdWrite != 0 || o.oflags&oflagDirectory == 0 && o.base&rightsWriting != 0
}

func (o *opening) hostFlags() int {
	flags := unix.O_NONBLOCK | unix.O_NOCTTY
	switch {
	case o.writes() && o.base&rightFdRead != 0:
		flags |= unix.O_RDWR
	case o.writes():
		flags |= unix.O_WRONLY
	}
	for _, f := range []struct {
		set  bool
		host int
	}{
		{!o.follow, unix.O_NOFOLLOW},
		{o.oflags&oflagCreat != 0, unix.O_CREAT},
		{o.oflags&oflagDirectory != 0, unix.O_DIRECTORY},
		{o.oflags&oflagExcl != 0, unix.O_EXCL},
		{o.oflags&oflagTrunc != 0, unix.O_TRUNC},
		{o.fdflags&fdflagAppend != 0, unix.O_APPEND},
		{o.fdflags&fdflagDsync != 0, unix.O_DSYNC},
		{o.fdflags&(fdflagSync|fdflagRsync) != 0, unix.O_SYNC},
	} {
		if f.set {
			flags |= f.host
		}
	}
	return flags
}

func (s *System) openPath(o *opening) (*descriptor, Errno) {
	if o.d.readOnly {
		if errno := s.checkReadOnly(o); errno != ErrnoSuccess {
			return nil, errno
		}
	}
	flags := o.hostFlags()
	var mode uint32
	if flags&unix.O_CREAT != 0 {
		mode = 0o666
	}
	fd, errno := s.open(o.d, o.path, flags, mode)
	for wait := time.Millisecond; errno == ErrnoNxio && s.waitsForReader(o); wait = min(2*wait, 50*time.Millisecond) {
		s.sleep(wait)
		fd, errno = s.open(o.d, o.path, flags, mode)
	}
	if errno == ErrnoNxio && s.Done() {
		errno = ErrnoCanceled
	}
	if errno != ErrnoSuccess {
		return nil, errno
	}
	f, err := newFile(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fromHost(err)
	}
	d := &descriptor{
		file: f, base: o.base & rightsOf(f), inheriting: o.inheriting,
		flags: o.fdflags, readOnly: o.d.readOnly,
	}
	if !o.writes() {
		d.base &^= rightFdFilestatSetSize
	}
	if f.kind == filetypeDirectory {
		d.base = o.base & rightsDirectory
		path := join(o.d.dir.path, o.path)
		d.dir = &directory{tree: o.d.dir.tree, path: path, pathless: o.d.dir.pathless || len(path) >= maxPath}
	}
	return d, ErrnoSuccess
}

// checkReadOnly answers as a read-only file system does: what is there or not
// matters first, then that it would be changed. It takes out of o what is not
// needed to open what exists.
func (s *System) checkReadOnly(o *opening) Errno {
	changes := o.writes() || o.oflags&oflagTrunc != 0
	if !changes && o.oflags&oflagCreat == 0 {
		return ErrnoSuccess
	}
	flags := unix.O_PATH
	if !o.follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, errno := s.open(o.d, o.path, flags, 0)
	if errno != ErrnoSuccess {
		if errno == ErrnoNoent && o.oflags&oflagCreat != 0 {
			return ErrnoRofs
		}
		return errno
	}
	f, err := newFile(fd)
	_ = unix.Close(fd)
	switch {
	case err != nil:
		return fromHost(err)
	case o.oflags&(oflagCreat|oflagExcl) == oflagCreat|oflagExcl:
		return ErrnoExist
	case f.kind == filetypeDirectory && changes:
		return ErrnoIsdir
	case f.kind == filetypeSymlink:
		return ErrnoLoop
	case changes:
		return ErrnoRofs
	}
	o.oflags &^= oflagCreat
	return ErrnoSuccess
}

// waitsForReader says whether what cannot be opened for writing is a FIFO that
// nobody reads, and the guest means to wait.
func (s *System) waitsForReader(o *opening) bool {
	if s.Done() || o.fdflags&fdflagNonblock != 0 {
		return false
	}
	fd, errno := s.open(o.d, o.path, unix.O_PATH, 0)
	if errno != ErrnoSuccess {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
