//go:build !linux || !cgo

// Package boot is the half of package confine that runs in the confined process.
// Built without cgo there is no constructor: the process cannot be confined, and
// confine.Start of it fails.
package boot

import "syscall"

// Confined says whether this process was confined at its start: never.
func Confined() bool { return false }

// EnterCgroups moves the threads of a confined process, which this is not.
func EnterCgroups([]int32) error { return syscall.ENOSYS }
