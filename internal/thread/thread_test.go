package thread

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// Goroutines of a test may get the main thread: none of these may keep it.
func TestNeverTheMainThread(t *testing.T) {
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			Throwaway(func() {
				runtime.Gosched()
				if syscall.Gettid() == syscall.Getpid() {
					t.Error("ran on the main thread")
				}
			})
		})
	}
	wg.Wait()
}

func TestThreadIsDestroyed(t *testing.T) {
	var tid int
	Throwaway(func() { tid = syscall.Gettid() })
	for range 200 {
		if err := syscall.Tgkill(syscall.Getpid(), tid, 0); err == syscall.ESRCH {
			return
		}
		runtime.Gosched()
		_ = syscall.Nanosleep(&syscall.Timespec{Nsec: 1e6}, nil)
	}
	t.Errorf("thread %d is still there", tid)
}
