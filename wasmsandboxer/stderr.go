package wasmsandboxer

import (
	"bufio"
	"context"
	"errors"
	"io"
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
	r := bufio.NewReaderSize(f, maxLine)
	may := budget.Budget{Rate: saysASecond, Burst: saysAtOnce}
	for {
		line, err := r.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\n"); text != "" {
			_ = may.Spend(p.ctx, float64(len(line))) // its last words, no more than a FIFO holds, are heard at once
			p.tail.add(text)
			log.G(p.ctx).WithField("from", "wasm-task").Info(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				log.G(p.ctx).WithError(err).Warn("what wasm-task says is lost")
			}
			return
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
