package wasip1

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// opener opens dir when it is asked to, and counts.
type opener struct {
	dir  string
	n    int
	fail error
}

func (o *opener) open(context.Context) (*os.File, error) {
	o.n++
	if o.fail != nil {
		return nil, o.fail
	}
	return os.Open(o.dir)
}

func laterWorld(t *testing.T, o *opener) *world {
	return newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Open: o.open}}})
}

// TestLaterIsNotOpenedForItsName: what every libc asks at its start opens nothing.
func TestLaterIsNotOpenedForItsName(t *testing.T) {
	o := &opener{dir: t.TempDir()}
	w := laterWorld(t, o)
	w.must(w.call("fd_prestat_get", firstPreopen, atResult))
	w.must(w.call("fd_prestat_dir_name", firstPreopen, atPath, 1))
	w.must(w.call("fd_fdstat_get", firstPreopen, atResult))
	if kind := filetype(w.mem[atResult]); kind != filetypeDirectory {
		t.Errorf("it is a %d", kind)
	}
	w.must(w.call("fd_fdstat_set_rights", firstPreopen, uint64(rightsDirectory), uint64(rightsAll)))
	w.want(w.call("fd_prestat_get", firstPreopen+1, atResult), ErrnoBadf, "the next descriptor")
	w.must(w.call("fd_close", firstPreopen))
	if o.n != 0 {
		t.Errorf("opened %d times", o.n)
	}
}

// TestLaterIsOpenedOnce: by whatever uses it first.
func TestLaterIsOpenedOnce(t *testing.T) {
	path := func(w *world, name string) (ptr, n uint64) {
		return atPath, uint64(copy(w.mem[atPath:], name))
	}
	for name, use := range map[string]func(w *world) Errno{
		"path_open": func(w *world) Errno {
			p, n := path(w, "file")
			return w.call("path_open", firstPreopen, 0, p, n, 0, uint64(rightFdRead), 0, 0, atResult)
		},
		"path_filestat_get": func(w *world) Errno {
			p, n := path(w, "file")
			return w.call("path_filestat_get", firstPreopen, 0, p, n, atResult)
		},
		"fd_filestat_get": func(w *world) Errno { return w.call("fd_filestat_get", firstPreopen, atResult) },
		"fd_readdir":      func(w *world) Errno { return w.call("fd_readdir", firstPreopen, atData, 4096, 0, atResult) },
		"fd_sync":         func(w *world) Errno { return w.call("fd_sync", firstPreopen) },
		"path_create_directory": func(w *world) Errno {
			p, n := path(w, "new")
			return w.call("path_create_directory", firstPreopen, p, n)
		},
		"path_rename": func(w *world) Errno {
			p, n := path(w, "file")
			q := uint64(copy(w.mem[atPath2:], "moved"))
			return w.call("path_rename", firstPreopen, p, n, firstPreopen, atPath2, q)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := &opener{dir: t.TempDir()}
			if err := os.WriteFile(filepath.Join(o.dir, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w := laterWorld(t, o)
			w.must(use(w))
			if o.n != 1 {
				t.Errorf("opened %d times", o.n)
			}
			w.must(w.call("fd_filestat_get", firstPreopen, atResult))
			if o.n != 1 {
				t.Errorf("opened %d times after the second use", o.n)
			}
		})
	}
}

// TestLaterFails: the guest gets EIO, and the next use tries again.
func TestLaterFails(t *testing.T) {
	o := &opener{dir: t.TempDir(), fail: errors.New("no daemon")}
	w := laterWorld(t, o)
	w.want(w.call("fd_filestat_get", firstPreopen, atResult), ErrnoIo, "an open that fails")
	o.fail = nil
	w.must(w.call("fd_filestat_get", firstPreopen, atResult))
	if o.n != 2 {
		t.Errorf("opened %d times", o.n)
	}
	o.dir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(o.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.want(laterWorld(t, o).call("fd_filestat_get", firstPreopen, atResult), ErrnoIo, "a file for a directory")
}

// TestKillEndsLater: a guest that waits for its directory is killed at once, also if
// whoever opens it takes no notice.
func TestKillEndsLater(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds its context": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			asked, let, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
			w := newWorld(t, Config{Preopens: []Preopen{{Guest: "/", Open: func(ctx context.Context) (*os.File, error) {
				defer close(left)
				close(asked)
				if heeds {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				<-let
				return os.Open(t.TempDir())
			}}}})
			end := make(chan Errno)
			go func() { end <- w.call("fd_filestat_get", firstPreopen, atResult) }()
			<-asked
			w.Kill()
			select {
			case errno := <-end:
				w.want(errno, ErrnoCanceled, "a killed guest's open")
			case <-time.After(30 * time.Second):
				t.Error("the call goes on")
			}
			close(let)
			<-left
		})
	}
}
