// Package node runs a private containerd with blazar serve beside it, for tests,
// benchmarks and demonstrations on a machine that may have a containerd, and
// other private nodes, of its own.
//
// A Node keeps everything below one folder: roots, state, sockets, logs, CNI
// configuration. What cannot live there carries the node's name: its cgroups, its
// bridge and its CNI results. Every process of a node, whoever started it, stays
// inside the node's cgroup, so that Stop ends those and no others.
//
// Life cycle: Start, any number of calls, Stop once (again after it failed).
// Open finds a node that another process started. A Node is safe for concurrent
// use but for Start, Stop and the Restart methods, which their caller serializes.
package node
