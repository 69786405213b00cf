package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// compiles says whether a process is a compiler of the blazar serve that runs: it works
// on images, not for pods, and takes its time. One of a blazar serve that was killed is
// nobody's child, or another's.
func (n *Node) compiles(pid int) bool {
	serve := n.ServePid()
	if serve == 0 {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "\nPPid:\t"+strconv.Itoa(serve)+"\n") &&
		strings.Contains(string(args), "\x00compile\x00")
}
