// Package mnt makes the mounts of pods with the file descriptor based mount calls
// of Linux 5.2 and later. A mount is built detached, with its final flags and
// owner mapping, and attached afterwards: flags changed later would not reach the
// copies that propagation made in a pod's mount namespace.
package mnt

import (
	"os"
)

// Attr are the properties that a mount is born with.
type Attr struct {
	ReadOnly, NoSUID, NoDev, NoExec bool
	// Propagation from and to where the mount came from.
	Propagation Propagation
}

// Propagation says how later mounts travel (mount_namespaces(7)).
type Propagation int

const (
	// Private mounts neither send nor receive; what they are attached below may
	// still make them known to its own peers.
	Private Propagation = iota
	// Slave mounts receive what is mounted later at their source.
	Slave
	// Shared mounts show everything to their peers: the root of a pod.
	Shared
)

// Detached is a mount that is attached nowhere yet, or has just been. Closing it
// before it is attached undoes it.
type Detached struct {
	file *os.File
}

// TmpfsOptions shape a tmpfs; see tmpfs(5).
type TmpfsOptions struct {
	// Size in bytes, 0 for half of the memory; Inodes at most, 0 for no limit.
	Size, Inodes uint64
	// Mode and owner of its root directory.
	Mode     uint32
	UID, GID uint32
}

// Layers are the directories of an overlay.
type Layers struct {
	// Lower are the read-only layers, the uppermost first.
	Lower []string
	// Upper and Work are of a writable overlay, or both empty.
	Upper, Work string
	// Options are further ones of overlayfs ("index=off", "userxattr").
	Options []string
}

// Mount is a mount as containerd gives it; of the same shape as the task
// package's.
type Mount struct {
	Type, Source, Target string
	Options              []string
}
