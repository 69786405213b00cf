// Package v2guest runs tests of cgroup v2 where there is nothing else: in a virtual
// machine, since most hosts have either hierarchy for good, and those that have both
// have no controllers in v2. The machine is QEMU's, emulated, so that it runs
// everywhere; its disk holds the programs, a containerd and test binaries, and what
// they say comes out of a serial line.
//
// The tests within are those of internal/cgroup, and package inside.
package v2guest
