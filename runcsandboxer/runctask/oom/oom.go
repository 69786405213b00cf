// Package oom watches the cgroups of many containers for processes that the kernel
// kills for want of memory, with one descriptor and one goroutine for all of them.
package oom

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pauses are those between an event and the looks at the counters. v1 tells of memory
// running out before the kernel has chosen whom to kill, and v2 of every change.
var pauses = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond}

// Watcher watches groups. Safe for concurrent use.
type Watcher struct {
	file   *os.File
	follow func(fd int, dir string) error
	// counters is the file in a group's directory with the line "oom_kill N".
	counters string

	mu     sync.Mutex // guards groups
	groups map[*Group]struct{}
	wg     sync.WaitGroup
}

// Group is one that is watched.
type Group struct {
	w      *Watcher
	events chan struct{}
	// Guarded by w.mu:
	file   string
	before int
	ended  bool
}

// New makes a Watcher of v2 groups or of v1's memory controller.
func New(v2 bool) (*Watcher, error) {
	w := &Watcher{groups: map[*Group]struct{}{}}
	var fd int
	var err error
	if v2 {
		// memory.events tells inotify of changes: admin-guide/cgroup-v2.rst of Linux.
		fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		w.follow, w.counters = followV2, "memory.events"
	} else {
		fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		w.follow, w.counters = followV1, "memory.oom_control"
	}
	if err != nil {
		return nil, os.NewSyscallError("oom watcher", err)
	}
	w.file = os.NewFile(uintptr(fd), "oom")
	w.wg.Go(w.run)
	return w, nil
}

func followV2(fd int, dir string) error {
	_, err := unix.InotifyAddWatch(fd, filepath.Join(dir, "memory.events"), unix.IN_MODIFY)
	return err
}

// followV1 registers the one eventfd with the group: admin-guide/cgroup-v1/memory.rst,
// section 10. The registration goes with the group.
func followV1(fd int, dir string) error {
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }() // only named to the kernel
	return os.WriteFile(filepath.Join(dir, "cgroup.event_control"), fmt.Appendf(nil, "%d %d", fd, control.Fd()), 0)
}

// Group makes one whose cgroup is not there yet.
func (w *Watcher) Group() *Group {
	return &Group{w: w, events: make(chan struct{}, 1)}
}

// Follow begins to watch the group whose memory controller's directory is dir. What
// happened before, since the group was made, is told as well.
func (g *Group) Follow(dir string) error {
	w := g.w
	c, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) { err = w.follow(int(fd), dir) })
	if cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("watch memory events of %s: %w", dir, err)
	}
	w.mu.Lock()
	g.file = filepath.Join(dir, w.counters)
	if !g.ended {
		w.groups[g] = struct{}{}
	}
	w.mu.Unlock()
	w.check(g)
	return nil
}

// Events yields once per event, or once for several that nobody took in time.
func (g *Group) Events() <-chan struct{} { return g.events }

// End looks a last time, before the group is gone, and closes Events. Idempotent.
func (g *Group) End() {
	g.w.check(g)
	g.w.mu.Lock()
	defer g.w.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	delete(g.w.groups, g)
	close(g.events)
}

func (w *Watcher) run() {
	buf := make([]byte, 4096) // a counter, or some inotify events
	for {
		if _, err := w.file.Read(buf); err != nil {
			return // closed
		}
		for _, p := range pauses {
			time.Sleep(p)
			for _, g := range w.all() {
				w.check(g)
			}
		}
	}
}

func (w *Watcher) all() []*Group {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.groups))
}

// check compares a group's counter with the one before.
func (w *Watcher) check(g *Group) {
	w.mu.Lock()
	file := g.file
	w.mu.Unlock()
	if file == "" {
		return
	}
	now, ok := kills(file)
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.ended || !ok || now <= g.before {
		return
	}
	g.before = now
	select {
	case g.events <- struct{}{}:
	default:
	}
}

// kills counts the processes that the kernel has killed in a group; ok is false if
// that cannot be known (any more).
func kills(file string) (n int, ok bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if v, found := strings.CutPrefix(line, "oom_kill "); found {
			n, err = strconv.Atoi(strings.TrimSpace(v))
			return n, err == nil
		}
	}
	return 0, false
}

// Close ends the watching.
func (w *Watcher) Close() error {
	err := w.file.Close()
	w.wg.Wait()
	return err
}
