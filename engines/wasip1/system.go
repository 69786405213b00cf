package wasip1

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config makes a System. Files given here belong to the System from New on,
// which closes them in Close.
type Config struct {
	// Args and Env ("NAME=value") are what args_get and environ_get return.
	Args, Env []string
	// Stdin, Stdout and Stderr become descriptors 0 to 2. nil: stdin is at its
	// end, output vanishes. The same file may be given more than once. Files in
	// non-blocking mode are best; one in blocking mode is asked whether it is ready
	// before every use, which others who use it too can make wrong.
	Stdin, Stdout, Stderr *os.File
	// Preopens become descriptors 3 and up, in order.
	Preopens []Preopen
	// Listeners become the descriptors behind the preopens: a guest's libc stops
	// scanning for preopens at the first descriptor that is none.
	Listeners []*os.File
	// MaxDescriptors bounds how many descriptors the guest has at a time, those
	// above included. Zero is 65536, the most there can be.
	MaxDescriptors int
}

// Preopen is a directory that the guest may use.
type Preopen struct {
	// Guest is the absolute path the guest knows it by. Below "/" absolute symbolic
	// links mean what they mean to a process whose root this is; below any other
	// preopen they lead nowhere.
	Guest string
	// Dir is the open directory, opened for reading or with O_PATH; nothing above
	// it can be reached. Mounts below it belong to it.
	Dir *os.File
	// Open, where Dir is nil, opens the directory when the guest uses it for the first
	// time, which most guests never do. The file belongs to the System. ctx ends when
	// the guest is killed. An error is EIO for the guest, is logged, and Open is called
	// again at the next use.
	Open func(ctx context.Context) (*os.File, error)
	// ReadOnly refuses every change below it with EROFS.
	ReadOnly bool
}

// System is the world of one guest. The guest's calls come one at a time; Kill,
// Shutdown, CloseStdin, Close and the questions about its state may come from any
// goroutine at any time.
type System struct {
	args, env cstrings

	// run is held during a call, so that Close cannot take a descriptor away from
	// under one. Nothing but Close waits for it. It guards the fields below.
	run     sync.Mutex
	table   table
	roots   []*file // held for links that are resolved from them
	scratch scratch
	closed  bool

	// Fixed by New.
	preopens  int
	stdin     *file
	listeners []*file
	start     time.Time

	// state is how the guest ended, see the constants below; code is valid with
	// stateExited.
	state atomic.Uint32
	code  atomic.Uint32

	waiter waiter
	killed chan struct{} // closed by Kill

	// Panics that were recovered; the first was logged.
	reported sync.Once
	panics   atomic.Uint32
}

const (
	stateAlive = iota
	stateKilled
	stateExited
)

// New makes the world that c describes. After an error the files still belong
// to the caller.
func New(c Config) (*System, error) { return newSystem(c) }

// Kill ends the guest: whatever call it is blocked in returns at once, and no later
// call does anything. A guest that has exited already stays as it is. Idempotent.
func (s *System) Kill() {
	if s.state.CompareAndSwap(stateAlive, stateKilled) {
		close(s.killed)
	}
	s.waiter.wake()
}

// Killed says whether Kill, or Close, ended the guest before it exited.
func (s *System) Killed() bool { return s.state.Load() == stateKilled }

// Done says that the guest has exited or was killed: the engine must unwind it.
func (s *System) Done() bool { return s.state.Load() != stateAlive }

// ExitCode is what the guest gave to proc_exit; exited is false if it did not, or
// was killed first. A guest that raised a signal has exited with 128+n, where n
// is Linux's number of the signal.
func (s *System) ExitCode() (code uint32, exited bool) {
	if s.state.Load() != stateExited {
		return 0, false
	}
	return s.code.Load(), true
}

// exit records the guest's own end unless it was killed before.
func (s *System) exit(code uint32) {
	s.code.Store(code)
	s.state.CompareAndSwap(stateAlive, stateExited)
}

// HasListeners says whether the guest was given listeners, open or not.
func (s *System) HasListeners() bool { return len(s.listeners) > 0 }

// ListenerFD is the descriptor under which the guest finds listener i of
// Config.Listeners.
func (s *System) ListenerFD(i int) uint32 { return firstPreopen + uint32(s.preopens+i) }

// CloseStdin puts stdin at its end: the guest still reads what has been written
// to it, then nothing. Idempotent.
func (s *System) CloseStdin() {
	s.stdin.ended.Store(true)
	s.waiter.wake()
}

// Shutdown is what SIGTERM means to a guest that listens: the listeners stop, so
// that an accept fails, also one that waits already, and poll_oneoff reports them
// as hung up; stdin is at its end. Established connections and everything else
// stay, so that the guest may finish what it is doing. Idempotent.
func (s *System) Shutdown() {
	for _, l := range s.listeners {
		l.stopListening()
	}
	s.CloseStdin()
}

// Close closes every descriptor. It is called when the guest has ended; if it has
// not, it is killed first. Idempotent.
func (s *System) Close() error {
	s.Kill()
	s.run.Lock()
	defer s.run.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.closeAll()
}
