package wasip1

// descriptor is what a number of the guest stands for.
type descriptor struct {
	*file
	base, inheriting rights
	flags            fdflags
	// undecided is a listener whose flags nobody has asked for or set: it is
	// non-blocking from then on, and makes accept wait until then.
	undecided bool
	// readOnly refuses every change, whatever the rights.
	readOnly bool

	// dir is set for directories.
	dir *directory
}

// close ends the descriptor, and its file after the last.
func (d *descriptor) close() error {
	if d.dir != nil && d.dir.listing != nil {
		_ = d.dir.listing.release() // read only: nothing can be lost
		d.dir.listing = nil
	}
	return d.release()
}

// directory is what a descriptor of a directory knows besides.
type directory struct {
	tree *tree
	// path is where below the tree's root the directory was opened, for symbolic
	// links that have to be resolved from there; pathless if it is not known.
	path     string
	pathless bool
	// preopen says that this is the tree's root as New made it.
	preopen bool
	// listing is the same directory opened once more, to be read: a position
	// of its own, whoever else has Preopen.Dir. nil until needed.
	listing *file
}

// tree is everything below a preopen.
type tree struct {
	guest string
	root  *file
	// rooted is a tree that is the guest's root directory.
	rooted bool
}

// Numbers of descriptors.
const (
	firstPreopen   = 3
	maxDescriptors = 1 << 16
)

// table maps numbers to descriptors; the lowest free number is given next, as
// POSIX has it. Guarded by System.run.
type table struct {
	slots []*descriptor
	// free is not above the lowest free number.
	free  int
	limit int
}

func (t *table) get(fd uint32) *descriptor {
	if uint64(fd) >= uint64(len(t.slots)) {
		return nil
	}
	return t.slots[fd]
}

// full says that insert would fail.
func (t *table) full() bool {
	t.advance()
	return t.free >= t.limit
}

func (t *table) advance() {
	for t.free < len(t.slots) && t.slots[t.free] != nil {
		t.free++
	}
}

// insert takes over d's file, also when it fails.
func (t *table) insert(d *descriptor) (uint32, Errno) {
	d.hold()
	if t.full() {
		_ = d.close()
		return 0, ErrnoMfile
	}
	if t.free == len(t.slots) {
		t.slots = append(t.slots, nil)
	}
	t.slots[t.free] = d
	t.free++
	return uint32(t.free - 1), ErrnoSuccess
}

// remove frees a number and returns what it stood for.
func (t *table) remove(fd uint32) *descriptor {
	d := t.get(fd)
	if d != nil {
		t.slots[fd] = nil
		t.free = min(t.free, int(fd))
	}
	return d
}

// descriptor finds fd and checks that it has all the rights needed.
func (s *System) descriptor(fd uint64, need rights) (*descriptor, Errno) {
	d, errno := s.known(fd, need)
	if errno == ErrnoSuccess {
		errno = s.opened(d)
	}
	return d, errno
}

// known is descriptor for a function that does not use the file.
func (s *System) known(fd uint64, need rights) (*descriptor, Errno) {
	d := s.table.get(uint32(fd))
	if d == nil {
		return nil, ErrnoBadf
	}
	if d.base&need != need {
		return nil, ErrnoNotcapable
	}
	return d, ErrnoSuccess
}

// directory finds fd, which must be a directory with all the rights needed.
func (s *System) directory(fd uint64, need rights) (*descriptor, Errno) {
	d := s.table.get(uint32(fd))
	switch {
	case d == nil:
		return nil, ErrnoBadf
	case d.dir == nil:
		return nil, ErrnoNotdir
	case d.base&need != need:
		return nil, ErrnoNotcapable
	}
	return d, s.opened(d)
}
