// Package host is the daemon's half of the host service (see package hostapi): one
// Service per pod, which does with root's privileges what the pod's wasm-task asks.
//
// The wasm-task is taken for compromised. It names a container, and nothing else
// that it says decides what is mounted, read or opened: whether the container
// belongs to its pod, its specification, its root file system and its image are
// asked of containerd (Containers). FIFOs, whose names only the request holds, must
// lie in the directory of that very container. Paths inside a container's files
// are resolved by the kernel inside them (openat2, RESOLVE_IN_ROOT).
//
// A container that is to have a process of its own (Workers) is prepared by a second
// Service, which answers that process alone, and for that container alone.
package host
