package wasmsandboxer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/wasmsandboxer/internal/budget"
)

// maxLine bounds one line of what a wasm-task says.
const maxLine = 4096

// What one wasm-task may say at once, and a second in the long run, in bytes. A
// trace of every goroutine passes whole; a wasm-task that was taken over cannot fill
// the disk that the log is on, nor keep the daemon busy with it: the FIFO fills.
const (
	saysAtOnce  = 256 << 10
	saysASecond = 4 << 10
)

// listenStderr logs what wasm-task says and keeps its last words. It ends with the
// pod, after everything said was read.
func (p *pod) listenStderr() {
	f, err := os.OpenFile(p.path(stderrName), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		log.G(p.ctx).WithError(err).Warn("what wasm-task says is lost")
		return
	}
	defer func() { _ = f.Close() }() // only read
	// The process's end closes the last writer; should somebody else hold it, the
	// pod's end does not wait for them.
	stop := context.AfterFunc(p.ctx, func() {
		_ = f.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // fails only when closed
	})
	defer stop()
	may := budget.Budget{Rate: saysASecond, Burst: saysAtOnce}
	err = eachLine(f, func(line []byte) {
		_ = may.Spend(p.ctx, float64(len(line)+1)) // its last words, no more than a FIFO holds, are heard at once
		p.tail.add(string(line))
		log.G(p.ctx).WithField("from", "wasm-task").Info(string(line))
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		log.G(p.ctx).WithError(err).Warn("what wasm-task says is lost")
	}
}

// lineBuffers are taken when something has come: most wasm-tasks never say anything.
var lineBuffers = sync.Pool{New: func() any { return new([maxLine]byte) }}

// eachLine calls say with every line that is not empty, the last one too if it does not
// end, and a longer one than maxLine in pieces, until f is at its end or fails.
func eachLine(f *os.File, say func(line []byte)) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var begun []byte // a line that has not ended yet
	tell := func(line []byte) {
		if len(line) > 0 {
			say(line)
		}
	}
	for {
		var b *[maxLine]byte
		var n int
		var rerr error
		err := conn.Read(func(fd uintptr) bool {
			b = lineBuffers.Get().(*[maxLine]byte)
			for n, rerr = unix.Read(int(fd), b[:]); errors.Is(rerr, unix.EINTR); n, rerr = unix.Read(int(fd), b[:]) {
			}
			if rerr != nil {
				lineBuffers.Put(b)
				b = nil // or whoever waits keeps it
			}
			return !errors.Is(rerr, unix.EAGAIN)
		})
		if err == nil {
			err = rerr
		}
		if err != nil || n == 0 {
			tell(begun)
			return err
		}
		for rest := b[:n]; len(rest) > 0; {
			line, after, ended := bytes.Cut(rest, []byte{'\n'})
			if room := maxLine - len(begun); len(line) > room {
				line, after, ended = line[:room], rest[room:], true
			}
			begun, rest = append(begun, line...), after
			if ended {
				tell(begun)
				begun = begun[:0]
			}
		}
		lineBuffers.Put(b)
		if len(begun) == 0 {
			begun = nil
		}
	}
}

// tail keeps the last lines. Safe for concurrent use.
type tail struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (t *tail) add(line string) {
	const most, longest = 5, 200
	if len(line) > longest {
		line = line[:longest] + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > most {
		t.lines = t.lines[1:]
	}
}

// String joins the lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, " | ")
}
