package wasip1

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSymlinkRace swaps a directory for a link that leads out while every kind of
// path call goes through it. None may ever touch what is outside.
func TestSymlinkRace(t *testing.T) {
	for _, guest := range []string{"/data", "/"} {
		t.Run(guest, func(t *testing.T) { symlinkRace(t, guest) })
	}
}

func symlinkRace(t *testing.T, guest string) {
	w, dir := preopened(t, guest, false, "dir/file", "spare -> ..")
	outside := filepath.Dir(dir)
	// Outside lies a file of the same name, which a call that was tricked finds.
	plant(t, outside, "file", "victim/")
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	swaps := 0
	wg.Go(func() {
		root := openDir(t, dir)
		defer func() { _ = root.Close() }()
		fd := int(root.Fd())
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := unix.Renameat2(fd, "dir", fd, "spare", unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			swaps++
		}
	})
	inside := 0
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		if fd, errno := w.open(3, "dir/file", 0, true, 0); errno == ErrnoSuccess {
			if got, _ := w.read(fd, 20); got == "outside" {
				t.Fatal("read a file outside")
			}
			inside++
			w.must(w.call("fd_close", fd))
		}
		if fd, errno := w.open(3, "dir/created", oflagCreat, true, 0); errno == ErrnoSuccess {
			w.must(w.call("fd_close", fd))
			w.at("path_unlink_file", 3, "dir/created")
		}
		if w.stat(3, "dir/file", lookupSymlinkFollow) == ErrnoSuccess && w.u64(atResult+32) == uint64(len("outside")) {
			t.Fatal("saw a file outside")
		}
		p, n := w.put(atPath, "dir/file")
		w.call("path_filestat_set_times", 3, 1, p, n, 1, 1, fstMtim)
		p2, n2 := w.put(atPath2, "dir/moved")
		if w.call("path_link", 3, lookupSymlinkFollow, p, n, 3, p2, n2) == ErrnoSuccess {
			w.at("path_unlink_file", 3, "dir/moved")
		}
		w.at("path_remove_directory", 3, "dir/victim")
		w.at("path_create_directory", 3, "dir/made")
		w.at("path_remove_directory", 3, "dir/made")
	}
	close(stop)
	wg.Wait()
	if swaps < 100 || inside < 10 {
		t.Errorf("%d swaps, %d opens inside: nothing was raced", swaps, inside)
	}
	entries, err := os.ReadDir(outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case "secret", "file", "inside", "victim":
		default:
			t.Errorf("%s was made outside", e.Name())
		}
	}
	if len(entries) != 4 {
		t.Errorf("outside are %v", entries)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(outside, "file"), &st); err != nil || st.Mtim.Sec == 0 || st.Nlink != 1 {
		t.Errorf("the file outside was changed: %+v, %v", st, err)
	}
}
