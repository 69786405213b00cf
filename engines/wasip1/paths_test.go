package wasip1

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// preopened is a world with one directory, at descriptor 3, and the directory's
// path; beside it lies a secret that no guest may see.
func preopened(t testing.TB, guest string, readOnly bool, entries ...string) (*world, string) {
	t.Helper()
	outside := t.TempDir()
	dir := filepath.Join(outside, "inside")
	plant(t, outside, "secret", "inside/")
	plant(t, dir, entries...)
	w := newWorld(t, Config{Preopens: []Preopen{{Guest: guest, Dir: openDir(t, dir), ReadOnly: readOnly}}})
	return w, dir
}

// hostile are paths that lead, or try to, to the secret beside a preopen or
// elsewhere on the host.
var hostile = []string{
	"/", "/etc/passwd", "//etc/passwd", "..", "../", "../secret", "../inside/../secret",
	"a/../../secret", "a/../../inside/file", "./../secret", "up", "up/", "up/secret", "secretlink",
	"abs", "abs/", "abs/etc/passwd", "etc/passwd", "deep/up/up", "deep/link/secret", "passwd", "chain", "chain/secret",
	"proc/self/root", "a/b/../../../secret", "...//../../secret",
}

var hostileEntries = []string{
	"file", "a/b/", "up -> ..", "secretlink -> ../secret", "abs -> /", "etc -> /etc", "passwd -> /etc/passwd",
	"deep/up -> ../..", "deep/link -> ../..", "chain -> a/c", "a/c -> ../up",
	"proc/self/", "proc/self/root -> /proc/self/root",
}

func TestHostilePathsStayInside(t *testing.T) {
	w, dir := preopened(t, "/data", false, hostileEntries...)
	before := snapshot(t, filepath.Dir(dir))
	for _, p := range hostile {
		for _, oflags := range []uint64{0, oflagCreat, oflagDirectory, oflagCreat | oflagTrunc} {
			if fd, errno := w.open(3, p, oflags, oflags&oflagTrunc != 0, 0); errno == ErrnoSuccess {
				t.Errorf("path_open of %q succeeded", p)
				w.must(w.call("fd_close", fd))
			}
		}
		if errno := w.stat(3, p, lookupSymlinkFollow); errno == ErrnoSuccess {
			t.Errorf("path_filestat_get of %q succeeded", p)
		}
		ptr, n := w.put(atPath, p)
		if errno := w.call("path_filestat_set_times", 3, 1, ptr, n, 1, 1, fstAtim|fstMtim); errno == ErrnoSuccess {
			t.Errorf("path_filestat_set_times of %q succeeded", p)
		}
		ptr2, n2 := w.put(atPath2, "stolen")
		if errno := w.call("path_link", 3, lookupSymlinkFollow, ptr, n, 3, ptr2, n2); errno == ErrnoSuccess {
			t.Errorf("path_link of %q succeeded", p)
		}
		// Below it nothing can be made, moved or removed either.
		for _, f := range []string{"path_create_directory", "path_remove_directory", "path_unlink_file"} {
			if errno := w.at(f, 3, p+"/secret"); errno == ErrnoSuccess {
				t.Errorf("%s of %q succeeded", f, p+"/secret")
			}
		}
	}
	if after := snapshot(t, filepath.Dir(dir)); after != before {
		t.Errorf("the host changed from\n%s\nto\n%s", before, after)
	}
}

// snapshot lists names, kinds, times and sizes of everything beside the preopen.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"secret", "inside", "stolen"} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			b.WriteString(name + " missing\n")
			continue
		}
		if name == "secret" {
			b.WriteString(strings.Join([]string{name, string(rune('0' + st.Nlink)), readFile(t, filepath.Join(dir, name))}, " ") + "\n")
			if st.Mtim.Sec == 0 {
				b.WriteString("touched\n")
			}
		}
	}
	return b.String()
}

func TestPathErrnos(t *testing.T) {
	w, _ := preopened(t, "/data", false, "file", "dir/inner", "link -> file", "dirlink -> dir", "dangling -> nowhere", "loop -> loop", "out -> ..")
	open := func(oflags uint64, write bool) func(string) Errno {
		return func(p string) Errno {
			fd, errno := w.open(3, p, oflags, write, 0)
			if errno == ErrnoSuccess {
				w.must(w.call("fd_close", fd))
			}
			return errno
		}
	}
	at := func(f string) func(string) Errno { return func(p string) Errno { return w.at(f, 3, p) } }
	nofollow := func(p string) Errno {
		ptr, n := w.put(atPath, p)
		return w.call("path_open", 3, 0, ptr, n, 0, uint64(rightFdRead), 0, 0, atResult)
	}
	readlink := func(p string) Errno {
		ptr, n := w.put(atPath, p)
		return w.call("path_readlink", 3, ptr, n, atData, 100, atResult)
	}
	symlink := func(p string) Errno {
		ptr, n := w.put(atPath, p)
		return w.call("path_symlink", uint64(atPath), 1, 3, ptr, n)
	}
	for _, c := range []struct {
		what string
		call func(string) Errno
		path string
		want Errno
	}{
		{"open", open(0, false), "", ErrnoNoent},
		{"open", open(0, false), "file\x00", ErrnoInval},
		{"open", open(0, false), strings.Repeat("a/", 3000), ErrnoNametoolong},
		{"open", open(0, false), strings.Repeat("a", 256), ErrnoNametoolong},
		{"open", open(0, false), "missing", ErrnoNoent},
		{"open", open(0, false), "file/", ErrnoNotdir},
		{"open", open(0, false), "file/x", ErrnoNotdir},
		{"open", open(0, false), "dangling", ErrnoNoent},
		{"open", open(0, false), "loop", ErrnoLoop},
		{"open", open(0, false), "out/secret", ErrnoNotcapable},
		{"open", open(0, false), "dir/../dirlink/./inner", ErrnoSuccess},
		{"open for writing", open(0, true), "dir", ErrnoIsdir},
		{"open O_DIRECTORY", open(oflagDirectory, false), "file", ErrnoNotdir},
		{"open O_DIRECTORY", open(oflagDirectory, false), "dirlink", ErrnoSuccess},
		{"open O_DIRECTORY|O_CREAT", open(oflagDirectory|oflagCreat, false), "new", ErrnoInval},
		{"open O_CREAT|O_EXCL", open(oflagCreat|oflagExcl, true), "file", ErrnoExist},
		{"open O_CREAT", open(oflagCreat, true), "new/", ErrnoIsdir},
		{"open nofollow", nofollow, "link", ErrnoLoop},
		{"open nofollow", nofollow, "dirlink/inner", ErrnoSuccess},
		{"mkdir", at("path_create_directory"), "dir", ErrnoExist},
		{"mkdir", at("path_create_directory"), ".", ErrnoExist},
		{"mkdir", at("path_create_directory"), "..", ErrnoNotcapable},
		{"mkdir", at("path_create_directory"), "made/", ErrnoSuccess},
		{"rmdir", at("path_remove_directory"), ".", ErrnoInval},
		{"rmdir", at("path_remove_directory"), "dir/..", ErrnoInval},
		{"rmdir", at("path_remove_directory"), "..", ErrnoNotcapable},
		{"rmdir", at("path_remove_directory"), "dir", ErrnoNotempty},
		{"rmdir", at("path_remove_directory"), "file", ErrnoNotdir},
		{"rmdir", at("path_remove_directory"), "dirlink/", ErrnoNotdir},
		{"rmdir", at("path_remove_directory"), "made/", ErrnoSuccess},
		{"unlink", at("path_unlink_file"), "dir", ErrnoIsdir},
		{"unlink", at("path_unlink_file"), "..", ErrnoNotcapable},
		{"unlink", at("path_unlink_file"), ".", ErrnoIsdir},
		{"unlink", at("path_unlink_file"), "file/", ErrnoNotdir},
		{"readlink", readlink, "link", ErrnoSuccess},
		{"readlink", readlink, "file", ErrnoInval},
		{"readlink", readlink, "out/inside", ErrnoNotcapable},
		{"symlink", symlink, "file", ErrnoExist},
		{"symlink", symlink, "..", ErrnoNotcapable},
		{"symlink", symlink, ".", ErrnoExist},
		{"symlink", symlink, "out/new", ErrnoNotcapable},
	} {
		if got := c.call(c.path); got != c.want {
			t.Errorf("%s %.40q: errno %d, want %d", c.what, c.path, got, c.want)
		}
	}
}

func TestLinksFollowedInside(t *testing.T) {
	w, dir := preopened(t, "/data", false, "file", "sub/", "link -> file", "sub/up -> ../link", "out -> ../secret", "abs -> /etc/passwd")
	link := func(path, name string) Errno {
		p, n := w.put(atPath, path)
		p2, n2 := w.put(atPath2, name)
		return w.call("path_link", 3, lookupSymlinkFollow, p, n, 3, p2, n2)
	}
	w.must(link("sub/up", "hard"))
	if info, err := os.Lstat(filepath.Join(dir, "hard")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the link is %v, %v", info, err)
	}
	w.want(link("out", "hard2"), ErrnoNotcapable, "link to a link that leads out")
	w.want(link("abs", "hard3"), ErrnoNotcapable, "link to a link with an absolute target")
	w.want(link("sub", "hard4"), ErrnoPerm, "link to a directory")
	w.want(link("sub/", "hard5"), ErrnoPerm, "link to a directory")
	w.want(link("file/", "hard6"), ErrnoNotdir, "link to a file with a slash")
}

func TestRootedPreopenFollowsAbsoluteLinks(t *testing.T) {
	entries := []string{"usr/share/zone/utc", "etc/ssl/", "etc/localtime -> /usr/share/zone/utc",
		"etc/ssl/cert -> /usr/share/zone/utc", "etc/ssl/rel -> ../../usr/share/zone/utc",
		"above -> ../../../../usr/share/zone/utc", "escape -> /../secret", "bin -> /usr/share"}
	w, dir := preopened(t, "/", false, entries...)
	check := func(fd uint64, path string, want Errno) {
		t.Helper()
		f, errno := w.open(fd, path, 0, false, 0)
		if errno != want {
			t.Errorf("%s: errno %d, want %d", path, errno, want)
		}
		if errno != ErrnoSuccess {
			return
		}
		if got, _ := w.read(f, 100); got != "utc" {
			t.Errorf("%s: read %q", path, got)
		}
		w.must(w.call("fd_close", f))
	}
	check(3, "etc/localtime", ErrnoSuccess)
	check(3, "above", ErrnoSuccess) // as in a container: the root is its own parent
	check(3, "bin/zone/utc", ErrnoSuccess)
	check(3, "escape", ErrnoNoent)
	check(3, "../usr/share/zone/utc", ErrnoNotcapable)
	ssl, errno := w.open(3, "etc/ssl", oflagDirectory, false, 0)
	w.must(errno)
	check(ssl, "cert", ErrnoSuccess)
	check(ssl, "rel", ErrnoSuccess)
	check(ssl, "../localtime", ErrnoNotcapable)
	// Once the directory is no longer where it was opened, its links lead nowhere
	// rather than to what took its place.
	if err := os.Rename(filepath.Join(dir, "etc/ssl"), filepath.Join(dir, "etc/old")); err != nil {
		t.Fatal(err)
	}
	plant(t, dir, "etc/ssl/cert -> /usr/share/zone/utc")
	check(ssl, "cert", ErrnoNotcapable)
	// The root stays when its descriptor is closed.
	etc, errno := w.open(3, "etc", oflagDirectory, false, 0)
	w.must(errno)
	w.must(w.call("fd_close", 3))
	check(etc, "localtime", ErrnoSuccess)
}

func TestReadOnlyPreopen(t *testing.T) {
	w, dir := preopened(t, "/", true, "file", "dir/", "link -> file")
	rw := filepath.Join(filepath.Dir(dir), "rw")
	plant(t, rw, "other")
	two := newWorld(t, Config{Preopens: []Preopen{
		{Guest: "/ro", Dir: openDir(t, dir), ReadOnly: true}, {Guest: "/rw", Dir: openDir(t, rw)}}})
	between := func(f string, from uint64, a string, to uint64, b string) Errno {
		p, n := two.put(atPath, a)
		p2, n2 := two.put(atPath2, b)
		if f == "path_link" {
			return two.call(f, from, 0, p, n, to, p2, n2)
		}
		return two.call(f, from, p, n, to, p2, n2)
	}
	for _, f := range []string{"path_link", "path_rename"} {
		two.want(between(f, 3, "file", 4, "taken"), ErrnoRofs, f+" out of a read-only preopen")
		two.want(between(f, 4, "other", 3, "brought"), ErrnoRofs, f+" into a read-only preopen")
	}
	for _, c := range []struct {
		path   string
		oflags uint64
		write  bool
		want   Errno
	}{
		{"file", 0, false, ErrnoSuccess}, {"file", 0, true, ErrnoRofs}, {"file", oflagTrunc, false, ErrnoRofs},
		{"file", oflagCreat, false, ErrnoSuccess}, {"file", oflagCreat | oflagExcl, false, ErrnoExist},
		{"new", oflagCreat, false, ErrnoRofs}, {"new", 0, true, ErrnoNoent}, {"dir", 0, true, ErrnoIsdir},
		{"link", 0, true, ErrnoRofs}, {"dir", oflagDirectory, false, ErrnoSuccess},
	} {
		_, errno := w.open(3, c.path, c.oflags, c.write, 0)
		if errno != c.want {
			t.Errorf("open %s, oflags %d, write %v: errno %d, want %d", c.path, c.oflags, c.write, errno, c.want)
		}
	}
	sub, errno := w.open(3, "dir", oflagDirectory, false, 0)
	w.must(errno)
	file, errno := w.open(3, "file", 0, false, 0)
	w.must(errno)
	ptr, n := w.put(atPath, "file")
	for what, errno := range map[string]Errno{
		"mkdir":       w.at("path_create_directory", 3, "new"),
		"mkdir below": w.at("path_create_directory", sub, "new"),
		"rmdir":       w.at("path_remove_directory", 3, "dir"),
		"unlink":      w.at("path_unlink_file", 3, "link"),
		"symlink":     w.call("path_symlink", ptr, n, sub, ptr, n),
		"path_filestat_set_times": func() Errno {
			p, n := w.put(atPath, "file")
			return w.call("path_filestat_set_times", 3, 0, p, n, 1, 1, fstAtim)
		}(),
		"fd_filestat_set_times":                w.call("fd_filestat_set_times", file, 1, 1, fstMtim),
		"fd_filestat_set_times of a directory": w.call("fd_filestat_set_times", sub, 1, 1, fstMtim),
	} {
		w.want(errno, ErrnoRofs, what)
	}
	w.want(w.call("fd_filestat_set_size", file, 0), ErrnoNotcapable, "fd_filestat_set_size")
	w.want(w.call("fd_allocate", file, 0, 10), ErrnoNotcapable, "fd_allocate")
	if _, errno := w.write(file, "x"); errno != ErrnoBadf {
		t.Errorf("fd_write: errno %d", errno)
	}
	if got := readFile(t, filepath.Join(dir, "file")); got != "file" {
		t.Errorf("the file is now %q", got)
	}
}
