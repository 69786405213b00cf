package localrun

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// Exit codes that are not the guest's own, as shells and pods use them.
const (
	codeTimeout = 124 // as timeout(1)
	codeTrap    = 134 // 128 + SIGABRT
	codeOOM     = 137 // 128 + SIGKILL
	codeMost    = 255 // what a process can return
)

// end is how a run came to its end.
type end struct {
	exit    engines.Exit
	signal  syscall.Signal // the last one that asked the guest to end
	expired bool           // over the timeout
}

// supervise runs the guest on a thread of its own and passes signals on: SIGTERM
// and the like, which a wasm guest cannot catch, end it at once, unless it has
// listeners. Then they close, so that it can finish what it is doing, and the
// next signal ends it.
func supervise(ctx context.Context, o Options, i engines.Instance, s *wasip1.System) end {
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	var expire <-chan time.Time
	if o.Timeout > 0 {
		t := time.NewTimer(o.Timeout)
		defer t.Stop()
		expire = t.C
	}
	var e end
	asked, gone := false, ctx.Done()
	kill := func() { go i.Kill() } // ends when Run has; this goroutine receives its Exit
	for {
		select {
		case e.exit = <-done:
			return e
		case <-expire:
			e.expired = true
			kill()
		case <-gone:
			gone = nil
			kill()
		case sig := <-o.Signals:
			e.signal, _ = sig.(syscall.Signal)
			if s.HasListeners() && !asked {
				asked = true
				s.Shutdown()
				continue
			}
			kill()
		}
	}
}

// report writes what there is to say and returns the exit code.
func (e end) report(stderr io.Writer, name string, o Options) (int, error) {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stderr, "blazar: "+name+": "+format+"\n", args...) // the code tells it too
	}
	x := e.exit
	switch {
	case x.Err != nil:
		return 0, fmt.Errorf("%s: %w", name, x.Err)
	case x.OOM:
		say("%s", x.Detail)
		return codeOOM, nil
	case x.Trap != nil:
		say("%s\n\t%s", x.Trap.Error(), strings.ReplaceAll(strings.TrimSpace(x.Trap.Message), "\n", "\n\t"))
		return codeTrap, nil
	case x.Killed && e.expired:
		say("ended after its timeout of %v", o.Timeout)
		return codeTimeout, nil
	case x.Killed && e.signal != 0:
		return 128 + int(e.signal), nil
	case x.Killed:
		return 128 + int(syscall.SIGKILL), nil
	}
	return int(min(x.Code, codeMost)), nil
}

// Signals are the ones that Run wants to know of.
var Signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}
