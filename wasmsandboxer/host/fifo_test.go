package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// fifo makes a FIFO and the directories above it.
func fifo(t *testing.T, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFIFOsOfTheContainerOpen(t *testing.T) {
	state := t.TempDir()
	d := newFIFODirs(state)
	for _, path := range []string{
		fifo(t, state, criContainers, "mine/io/123/mine-stdout"),
		fifo(t, state, criContainers, "mine/io/456/exec1-stderr"),
		fifo(t, state, "fifo/789/mine-stdin"),
	} {
		f, _, err := d.open(t.Context(), "mine", path, false)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		// It neither blocked nor ends without a writer.
		if _, err := unix.Read(int(f.Fd()), make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%s: read says %v", path, err)
		}
		_ = f.Close()
	}
}

// An output waits for its reader: what is written and closed at once must not vanish.
func TestOutputWaitsForItsReader(t *testing.T) {
	state := t.TempDir()
	path := fifo(t, state, criContainers, "mine/io/1/mine-stdout")
	got := make(chan string, 1)
	go func() {
		time.Sleep(20 * time.Millisecond)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
	f, end, err := newFIFODirs(state).open(t.Context(), "mine", path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("all"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), end.Close()); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "all" {
		t.Errorf("the reader got %q", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := newFIFODirs(state).open(ctx, "mine", path, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a reader: %v", err)
	}
}

// Everything that a wasm-task that was taken over could name instead.
func TestForgedFIFOsAreRefused(t *testing.T) {
	state := t.TempDir()
	d := newFIFODirs(state)
	mine := filepath.Join(state, criContainers, "mine/io/1")
	own := fifo(t, mine, "mine-stdout")
	other := fifo(t, state, criContainers, "other/io/1/other-stdout")
	plain := fifo(t, state, "fifo/1/other-stdout")
	deep := fifo(t, state, "fifo/1/2/mine-stdout")
	outside := fifo(t, state, "elsewhere/mine-stdout")
	file := filepath.Join(mine, "mine-stderr")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(target, name string) string {
		path := filepath.Join(mine, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"another container's":        {other, errdefs.ErrPermissionDenied},
		"another's, by ..":           {mine + "/../../../other/io/1/other-stdout", errdefs.ErrInvalidArgument},
		"another's among plain ones": {plain, errdefs.ErrPermissionDenied},
		"plain, too deep":            {deep, errdefs.ErrPermissionDenied},
		"outside":                    {outside, errdefs.ErrPermissionDenied},
		"a file":                     {file, errdefs.ErrPermissionDenied},
		"a directory":                {mine, errdefs.ErrPermissionDenied},
		"a host file":                {"/etc/shadow", errdefs.ErrPermissionDenied},
		"a device":                   {"/dev/null", errdefs.ErrPermissionDenied},
		"a link to a FIFO":           {link(own, "mine-stdin"), errdefs.ErrPermissionDenied},
		"a link to another's":        {link(other, "x"), errdefs.ErrPermissionDenied},
		"a linked directory":         {filepath.Join(link(filepath.Dir(other), "dir"), "other-stdout"), errdefs.ErrPermissionDenied},
		"not there":                  {filepath.Join(mine, "no"), errdefs.ErrNotFound},
		"relative":                   {"mine-stdout", errdefs.ErrInvalidArgument},
		"a stream of another kind":   {"ttrpc+unix:///run/x.sock?streaming_id=1", errdefs.ErrInvalidArgument},
		"a prefix of the directory":  {filepath.Join(state, criContainers, "mine2/io/1/mine-stdout"), errdefs.ErrPermissionDenied},
		"the directory itself":       {filepath.Join(state, criContainers, "mine/io"), errdefs.ErrPermissionDenied},
		"NUL":                        {mine + "/a\x00b", errdefs.ErrInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, err := d.open(t.Context(), "mine", c.path, false)
			if err == nil {
				_ = f.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
