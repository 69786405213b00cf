package wasip1

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secret is what no guest may ever read.
const secret = "the secret of the host"

// besideSecret is a directory for a guest with links of every kind that lead out
// of it to where a secret lies, and a function that checks that nothing out there
// was changed.
func besideSecret(t testing.TB) (dir string, check func()) {
	t.Helper()
	outside := t.TempDir()
	dir = filepath.Join(outside, "inside")
	plant(t, dir, hostileEntries...)
	name := filepath.Join(outside, "secret")
	if err := os.WriteFile(name, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	var before unix.Stat_t
	if err := unix.Stat(name, &before); err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		t.Helper()
		var after unix.Stat_t
		if err := unix.Stat(name, &after); err != nil {
			t.Fatal(err)
		}
		if after.Ctim != before.Ctim || after.Nlink != 1 {
			t.Fatalf("the secret was touched: %+v", after)
		}
		names, err := os.ReadDir(outside)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) != 2 {
			t.Fatalf("outside are %v", names)
		}
	}
}

// FuzzCall calls any function with any arguments on any memory.
func FuzzCall(f *testing.F) {
	for i, fn := range Functions() {
		args := make([]byte, 8*len(fn.Params))
		f.Add(uint8(i), args, []byte("file"))
		for j := range fn.Params {
			binary.LittleEndian.PutUint64(args[8*j:], uint64(j+3))
		}
		f.Add(uint8(i), args, []byte("../secret\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00"))
		for j := range args {
			args[j] = 0xff
		}
		f.Add(uint8(i), args, []byte{})
	}
	f.Fuzz(func(t *testing.T, index uint8, raw, memory []byte) {
		fn := Functions()[int(index)%len(Functions())]
		args := make([]uint64, len(fn.Params))
		for i := range args {
			if len(raw) >= 8*i+8 {
				args[i] = binary.LittleEndian.Uint64(raw[8*i:])
			}
		}
		if fn.Name == "fd_allocate" {
			args[1], args[2] = args[1]%(1<<20), args[2]%(1<<20) // the disk is not the target
		}
		dir, check := besideSecret(t)
		r, out := pair(t)
		defer func() { _ = r.Close() }()
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = feed.Close() }()
		s, err := New(Config{
			Args: []string{"a", "b"}, Env: []string{"A=b"}, Stdin: in, Stdout: out,
			Preopens: []Preopen{{Guest: "/", Dir: openDir(t, dir)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{System: s, t: t, mem: make([]byte, 1<<16)}
		w.open(3, "file", 0, true, 0)
		w.open(3, "a", oflagDirectory, false, 0)
		copy(w.mem, memory)
		timer := time.AfterFunc(20*time.Millisecond, s.Kill)
		fn.Call(s, w.mem, args)
		fn.Call(s, w.mem[:min(len(memory), len(w.mem))], args)
		timer.Stop()
		if n := s.panics.Load(); n > 0 {
			t.Errorf("%s%v panicked", fn.Name, args)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if strings.Contains(string(w.mem), secret) {
			t.Error("the secret was read")
		}
		check()
	})
}

// FuzzPath uses any path in every way a path can be used.
func FuzzPath(f *testing.F) {
	for _, p := range hostile {
		f.Add(p, false)
		f.Add(p, true)
	}
	f.Fuzz(func(t *testing.T, path string, rooted bool) {
		if len(path) > 0x1000 {
			return
		}
		guest := "/data"
		if rooted {
			guest = "/"
		}
		dir, check := besideSecret(t)
		w := newWorld(t, Config{Preopens: []Preopen{{Guest: guest, Dir: openDir(t, dir)}}})
		for _, oflags := range []uint64{0, oflagDirectory, oflagCreat, oflagTrunc} {
			if fd, errno := w.open(3, path, oflags, oflags == oflagTrunc, fdflagNonblock); errno == ErrnoSuccess {
				if got, _ := w.read(fd, 100); got == secret {
					t.Fatal("the secret was read")
				}
				w.must(w.call("fd_close", fd))
			}
		}
		w.stat(3, path, 0)
		w.stat(3, path, lookupSymlinkFollow)
		if errno := w.stat(3, path, lookupSymlinkFollow); errno == ErrnoSuccess && w.u64(atResult+32) == uint64(len(secret)) {
			t.Fatal("the secret was seen")
		}
		p, n := w.put(atPath, path)
		p2, n2 := w.put(atPath2, "file")
		p3, n3 := w.put(atData, "new")
		w.call("path_filestat_set_times", 3, 1, p, n, 1, 1, fstAtim|fstMtim)
		w.call("path_readlink", 3, p, n, atResult+100, 100, atResult)
		w.call("path_link", 3, 1, p, n, 3, p3, n3)
		w.call("path_link", 3, 0, p2, n2, 3, p, n)
		w.call("path_symlink", p, n, 3, p3, n3)
		w.call("path_symlink", p2, n2, 3, p, n)
		w.call("path_create_directory", 3, p, n)
		w.call("path_rename", 3, p2, n2, 3, p, n)
		w.call("path_rename", 3, p, n, 3, p3, n3)
		w.call("path_remove_directory", 3, p, n)
		w.call("path_unlink_file", 3, p, n)
		check()
	})
}
