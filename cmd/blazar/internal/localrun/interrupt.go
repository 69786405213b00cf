package localrun

import (
	"context"
	"os"
	"sync"
	"syscall"
)

// untilSignal derives a context that a signal ends, so that a long compilation does not
// hold up who has changed their mind. The function ends that: later signals are left in
// the channel, for the guest. It returns the signal that came before, 0 for none, and
// the same when it is called again.
func untilSignal(ctx context.Context, signals <-chan os.Signal) (context.Context, func() syscall.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	over, watched := make(chan struct{}), make(chan syscall.Signal, 1)
	go func() {
		select {
		case s := <-signals:
			sig, _ := s.(syscall.Signal)
			cancel()
			watched <- sig
		case <-over:
			watched <- 0
		}
	}()
	return ctx, sync.OnceValue(func() syscall.Signal {
		close(over)
		return <-watched
	})
}
