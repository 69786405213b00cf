package wasip1

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

// confinedEnv makes the test binary run confinedMain instead of tests.
const confinedEnv = "WASIP1_TEST_CONFINED"

// TestInEmptyRoot uses the layer as it is used in product: in a process without
// /proc, in an empty root, without privileges.
func TestInEmptyRoot(t *testing.T) {
	testneeds.Root(t)
	dir := filepath.Join(t.TempDir(), "data")
	plant(t, dir, "file", "sub/", "link -> sub/../file")
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"file", "sub"} {
		if err := os.Chown(filepath.Join(dir, f), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = []string{confinedEnv + "=" + t.TempDir()}
	cmd.ExtraFiles = []*os.File{openDir(t, dir)}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func confinedMain(root string) int {
	if err := confine(root); err != nil {
		fmt.Println("confine:", err)
		return 1
	}
	s, err := New(Config{Preopens: []Preopen{{Guest: "/", Dir: os.NewFile(3, "data")}}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	w := &world{System: s, mem: make([]byte, memSize)}
	var failed []string
	check := func(what string, errno Errno) {
		if errno != ErrnoSuccess {
			failed = append(failed, fmt.Sprintf("%s: errno %d", what, errno))
		}
	}
	fd, errno := w.open(3, "new", oflagCreat, true, 0)
	check("path_open", errno)
	_, errno = w.write(fd, "text")
	check("fd_write", errno)
	check("fd_filestat_set_times", w.call("fd_filestat_set_times", fd, 1, 2, fstAtim|fstMtim))
	check("fd_filestat_set_size", w.call("fd_filestat_set_size", fd, 2))
	p, n := w.put(atPath, "link")
	check("path_filestat_set_times", w.call("path_filestat_set_times", 3, 1, p, n, 1, 2, fstAtim|fstMtim))
	check("path_filestat_set_times of a link", w.call("path_filestat_set_times", 3, 0, p, n, 0, 0, 0))
	p2, n2 := w.put(atPath2, "hard")
	check("path_link", w.call("path_link", 3, lookupSymlinkFollow, p, n, 3, p2, n2))
	check("path_rename", w.call("path_rename", 3, p2, n2, 3, p2, n2))
	check("path_create_directory", w.at("path_create_directory", 3, "sub/deeper"))
	check("path_filestat_get", w.stat(3, "link", lookupSymlinkFollow))
	check("fd_readdir", w.call("fd_readdir", 3, atData, 4096, 0, atResult))
	_, errno = w.poll(sub{kind: eventClock, d: 1000})
	check("poll_oneoff", errno)
	if err := s.Close(); err != nil {
		failed = append(failed, err.Error())
	}
	if len(failed) > 0 {
		fmt.Println(strings.Join(failed, "\n"))
		return 1
	}
	fmt.Println("ok")
	return 0
}

func confine(root string) error {
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Setgroups(nil); err != nil {
		return err
	}
	if err := unix.Setresgid(65534, 65534, 65534); err != nil {
		return err
	}
	return unix.Setresuid(65534, 65534, 65534)
}
