package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unshareAndExec starts this program again in network and IPC namespaces of its own;
// it returns only with an error. Namespaces belong to a thread, and the thread that
// calls execve is the one that remains.
func unshareAndExec() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: it starts a containerd")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	argv := slices.Insert(slices.Clone(os.Args), 1, "-inside")
	return syscall.Exec("/proc/self/exe", argv, os.Environ())
}

// loopbackUp makes 127.0.0.1 of a new network namespace an address.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	return nil
}
