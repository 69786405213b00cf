// Package thread runs functions on operating system threads that nobody uses
// afterwards, for work that changes what a thread is: its network namespace, its
// cgroups, its file system uid.
package thread

import (
	"runtime"
	"syscall"
)

// Throwaway runs fn on a thread of its own and returns when fn has. The thread is
// destroyed afterwards, so fn may leave it in any state. The process's main
// thread cannot be destroyed (Go parks it for ever, in whatever namespace and
// cgroup it then is), so fn never gets that one. A panic of fn ends the process,
// like that of any goroutine.
func Throwaway(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			// Holding the main thread, the next goroutine gets another one.
			Throwaway(fn)
			runtime.UnlockOSThread()
			return
		}
		fn()
	}()
	<-done
}
