package wasip1

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadWriteSeek(t *testing.T) {
	w, dir := preopened(t, "/", false)
	fd, errno := w.open(3, "file", oflagCreat|oflagExcl, true, 0)
	w.must(errno)
	for _, part := range []string{"hello ", "world"} {
		if n, errno := w.write(fd, part); n != len(part) || errno != ErrnoSuccess {
			t.Fatalf("wrote %d, errno %d", n, errno)
		}
	}
	w.must(w.call("fd_tell", fd, atResult))
	if w.u64(atResult) != 11 {
		t.Errorf("at %d", w.u64(atResult))
	}
	back := int64(-5)
	w.must(w.call("fd_seek", fd, uint64(back), 2, atResult))
	if got, _ := w.read(fd, 100); got != "world" {
		t.Errorf("read %q", got)
	}
	w.iovec(5)
	w.must(w.call("fd_pread", fd, atIovecs, 1, 0, atResult))
	if got := string(w.mem[atData : atData+5]); got != "hello" {
		t.Errorf("pread %q", got)
	}
	copy(w.mem[atData:], "HELLO")
	w.must(w.call("fd_pwrite", fd, atIovecs, 1, 0, atResult))
	w.want(w.call("fd_pwrite", fd, atIovecs, 1, 1<<63, atResult), ErrnoInval, "pwrite at a negative offset")
	w.want(w.call("fd_seek", fd, uint64(back), 0, atResult), ErrnoInval, "seek to a negative offset")
	w.want(w.call("fd_seek", fd, 0, 3, atResult), ErrnoInval, "seek from nowhere")
	w.must(w.call("fd_filestat_set_size", fd, 8))
	w.want(w.call("fd_filestat_set_size", fd, 1<<63), ErrnoInval, "a negative size")
	w.must(w.call("fd_sync", fd))
	w.must(w.call("fd_datasync", fd))
	w.must(w.call("fd_advise", fd, 0, 0, 5))
	w.want(w.call("fd_advise", fd, 0, 0, 6), ErrnoInval, "an advice that is none")
	w.want(w.call("fd_allocate", fd, 1<<62, 1<<62), ErrnoFbig, "allocate past the end of the world")
	w.want(w.call("fd_seek", 3, 0, 0, atResult), ErrnoBadf, "seek in a directory")
	w.want(w.call("fd_seek", 1, 0, 0, atResult), ErrnoSpipe, "seek in a stream")
	_, errno = w.read(3, 1)
	w.want(errno, ErrnoIsdir, "read of a directory")
	if got := readFile(t, filepath.Join(dir, "file")); got != "HELLO wo" {
		t.Errorf("the file is %q", got)
	}
}

func TestTransfersInParts(t *testing.T) {
	w, dir := preopened(t, "/", false)
	fd, errno := w.open(3, "file", oflagCreat, true, 0)
	w.must(errno)
	// Three buffers, the middle one empty, the others around the limit.
	const size = maxTransfer + 12345
	w.mem = make([]byte, 2*size+4096)
	le := binary.LittleEndian
	for i, b := range []struct{ at, n uint32 }{{4096, size}, {4096, 0}, {4096 + size, size}} {
		le.PutUint32(w.mem[1024+8*i:], b.at)
		le.PutUint32(w.mem[1028+8*i:], b.n)
	}
	for i := 4096; i < len(w.mem); i++ {
		w.mem[i] = byte(i * 7 >> 3)
	}
	w.must(w.call("fd_write", fd, 1024, 3, 0))
	if w.u32(0) != 2*size {
		t.Errorf("wrote %d", w.u32(0))
	}
	if got := readFile(t, filepath.Join(dir, "file")); got != string(w.mem[4096:]) {
		t.Error("the file differs")
	}
	want := string(w.mem[4096:])
	clear(w.mem[4096:])
	w.must(w.call("fd_pread", fd, 1024, 3, 0, 0))
	if w.u32(0) != 2*size || string(w.mem[4096:]) != want {
		t.Errorf("read %d, same %v", w.u32(0), string(w.mem[4096:]) == want)
	}
}

func TestAppend(t *testing.T) {
	w, dir := preopened(t, "/", false, "file")
	fd, errno := w.open(3, "file", 0, true, fdflagAppend)
	w.must(errno)
	_, errno = w.write(fd, "+1")
	w.must(errno)
	w.must(w.call("fd_fdstat_set_flags", fd, 0))
	w.must(w.call("fd_seek", fd, 0, 0, atResult))
	_, errno = w.write(fd, "F")
	w.must(errno)
	w.must(w.call("fd_fdstat_set_flags", fd, uint64(fdflagAppend)))
	_, errno = w.write(fd, "+2")
	w.must(errno)
	if got := readFile(t, filepath.Join(dir, "file")); got != "File+1+2" {
		t.Errorf("the file is %q", got)
	}
	w.want(w.call("fd_fdstat_set_flags", fd, uint64(fdflagSync)), ErrnoNotsup, "sync after open")
	w.want(w.call("fd_fdstat_set_flags", fd, 1<<10), ErrnoInval, "a flag that is none")
}

func TestTimes(t *testing.T) {
	w, dir := preopened(t, "/", false, "file", "link -> file")
	stat := func(name string) (st unix.Stat_t) {
		t.Helper()
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	p, n := w.put(atPath, "link")
	w.must(w.call("path_filestat_set_times", 3, lookupSymlinkFollow, p, n, 1_000_000_007, 2_000_000_009, fstAtim|fstMtim))
	if st := stat("file"); st.Atim.Nano() != 1_000_000_007 || st.Mtim.Nano() != 2_000_000_009 {
		t.Errorf("the file: %v, %v", st.Atim, st.Mtim)
	}
	w.must(w.call("path_filestat_set_times", 3, 0, p, n, 0, 5_000_000_000, fstMtim))
	if st := stat("link"); st.Mtim.Sec != 5 || st.Atim.Sec == 0 {
		t.Errorf("the link: %v, %v", st.Atim, st.Mtim)
	}
	if st := stat("file"); st.Mtim.Nano() != 2_000_000_009 {
		t.Errorf("the file behind the link: %v", st.Mtim)
	}
	fd, errno := w.open(3, "file", 0, false, 0)
	w.must(errno)
	w.must(w.call("fd_filestat_set_times", fd, 3_000_000_000, 0, fstAtim|fstMtimNow))
	if st := stat("file"); st.Atim.Sec != 3 || st.Mtim.Sec < 1_000_000 {
		t.Errorf("by descriptor: %v, %v", st.Atim, st.Mtim)
	}
	w.want(w.call("fd_filestat_set_times", fd, 0, 0, fstAtim|fstAtimNow), ErrnoInval, "a time and now")
	w.want(w.call("fd_filestat_set_times", fd, 0, 0, 1<<4), ErrnoInval, "a flag that is none")
	w.want(w.call("fd_filestat_set_times", fd, 1<<63, 0, fstAtim), ErrnoInval, "a time too late")
	w.must(w.call("fd_filestat_get", fd, atResult))
	if w.u64(atResult+32) != 4 || w.u64(atResult+40) != 3_000_000_000 || filetype(w.mem[atResult+16]) != filetypeRegular {
		t.Errorf("stat: size %d, atime %d, kind %d", w.u64(atResult+32), w.u64(atResult+40), w.mem[atResult+16])
	}
}

func TestRightsOnlyShrink(t *testing.T) {
	w, _ := preopened(t, "/", false, "file", "dir/file")
	fd, errno := w.open(3, "file", 0, true, 0)
	w.must(errno)
	less := uint64(rightFdRead | rightFdSeek)
	w.must(w.call("fd_fdstat_set_rights", fd, less, 0))
	w.want(w.call("fd_fdstat_set_rights", fd, less|uint64(rightFdWrite), 0), ErrnoNotcapable, "more rights")
	_, errno = w.write(fd, "x")
	w.want(errno, ErrnoBadf, "write without the right")
	w.want(w.call("fd_filestat_get", fd, atResult), ErrnoNotcapable, "stat without the right")

	// A directory passes on no more than it may, and refuses what it may not.
	dir, errno := w.open(3, "dir", oflagDirectory, false, 0)
	w.must(errno)
	w.must(w.call("fd_fdstat_set_rights", dir, uint64(rightPathOpen), uint64(rightFdRead)))
	p, n := w.put(atPath, "file")
	open := func(base rights) Errno {
		return w.call("path_open", dir, 0, p, n, 0, uint64(base), 0, 0, atResult)
	}
	w.want(open(rightFdRead|rightFdWrite), ErrnoNotcapable, "open with more than the directory passes on")
	w.must(open(rightFdRead))
	w.want(w.call("path_open", dir, 0, p, n, oflagCreat, 0, 0, 0, atResult), ErrnoNotcapable, "create")
	w.want(w.call("path_open", dir, 0, p, n, oflagTrunc, 0, 0, 0, atResult), ErrnoNotcapable, "truncate")
	for _, f := range []string{"path_create_directory", "path_remove_directory", "path_unlink_file"} {
		w.want(w.at(f, dir, "file"), ErrnoNotcapable, f)
	}
	w.want(w.call("path_unlink_file", fd, p, n), ErrnoNotdir, "a path below a file")
	w.want(w.call("path_unlink_file", 99, p, n), ErrnoBadf, "a path below nothing")
}

func TestRenumber(t *testing.T) {
	w, _ := preopened(t, "/", false, "a", "b")
	a, errno := w.open(3, "a", 0, false, 0)
	w.must(errno)
	b, errno := w.open(3, "b", 0, false, 0)
	w.must(errno)
	w.must(w.call("fd_renumber", a, a))
	w.must(w.call("fd_renumber", a, b))
	if got, errno := w.read(b, 10); got != "a" || errno != ErrnoSuccess {
		t.Errorf("read %q, errno %d", got, errno)
	}
	_, errno = w.read(a, 10)
	w.want(errno, ErrnoBadf, "the old number")
	w.want(w.call("fd_renumber", b, a), ErrnoBadf, "renumbering to a number that is free")
}

func TestReadlinkIsCut(t *testing.T) {
	target := strings.Repeat("t", 100)
	w, _ := preopened(t, "/", false, "link -> "+target)
	p, n := w.put(atPath, "link")
	for _, size := range []uint64{0, 1, 50, 100, 200} {
		w.must(w.call("path_readlink", 3, p, n, atData, size, atResult))
		if got := uint64(w.u32(atResult)); got != min(size, 100) {
			t.Errorf("%d bytes of %d", got, size)
		}
	}
	p2, n2 := w.put(atPath2, "/etc/passwd")
	w.want(w.call("path_symlink", p2, n2, 3, p, n), ErrnoNotcapable, "a link with an absolute target")
}

// TestFifoInside opens a FIFO of the guest's own directory from both sides.
func TestFifoInside(t *testing.T) {
	w, dir := preopened(t, "/", false)
	name := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, errno := w.open(3, "fifo", 0, false, 0)
	w.must(errno)
	var got string
	errno, _ = blocked(t, func() (e Errno) { got, e = w.read(fd, 10); return e }, func() {
		f := openFile(t, name, unix.O_WRONLY)
		if _, err := f.WriteString("data"); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if got != "data" || errno != ErrnoSuccess {
		t.Errorf("read %q, errno %d", got, errno)
	}
	if got, errno := w.read(fd, 10); got != "" || errno != ErrnoSuccess {
		t.Errorf("after the writer left: %q, errno %d", got, errno)
	}
	p, n := w.put(atPath, "fifo")
	open := func(flags fdflags) Errno {
		return w.call("path_open", 3, 0, p, n, 0, uint64(rightFdWrite), 0, uint64(flags), atResult)
	}
	w.must(w.call("fd_close", fd))
	w.want(open(fdflagNonblock), ErrnoNxio, "not waiting for a reader")
	errno, _ = blocked(t, func() Errno { return open(0) }, func() {
		f := openFile(t, name, unix.O_RDONLY|unix.O_NONBLOCK)
		t.Cleanup(func() { _ = f.Close() })
	})
	w.must(errno)
}
