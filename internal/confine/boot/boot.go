//go:build linux && cgo

// Package boot is the half of package confine that runs in the confined process: a
// C constructor, linked in by importing the package. It imports next to nothing, so it
// costs a start nothing but what it does.
package boot

// extern int blazar_confined;
// int blazar_enter_all(const int *fds, int n);
import "C"
import (
	"syscall"
	"unsafe"
)

// Confined says whether the constructor confined this process at its start. A
// program that is meant to run confined only should refuse to go on without.
func Confined() bool { return C.blazar_confined == 1 }

// EnterCgroups moves all threads of a confined process, also those that the Go runtime
// keeps for itself, into cgroups of v1: fds are their tasks files, opened for writing by
// somebody who may move it. It is called once, before the process has had 500 threads.
// After an error some threads may have moved.
func EnterCgroups(fds []int32) error {
	if len(fds) == 0 {
		return nil
	}
	if errno := C.blazar_enter_all((*C.int)(unsafe.Pointer(&fds[0])), C.int(len(fds))); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
