package main

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of containerd.task.v3.DeleteResponse
// (containerd/api/runtime/task/v3/shim.proto) and google.protobuf.Timestamp.
const (
	deleteExitStatus = 2
	deleteExitedAt   = 3

	timestampSeconds = 1
	timestampNanos   = 2
)

// statusUnknown is what containerd's own shim answers for a container whose
// process it did not see end: killed by SIGKILL.
const statusUnknown = 128 + 9

// deleteResponse is the answer to delete. containerd uses it only where nobody
// told it the container's real exit: the pod's process, or the task server, has died.
// e is the exit if that has recorded it before.
func deleteResponse(e *exit, at time.Time) []byte {
	status := uint64(statusUnknown)
	if e != nil {
		status, at = e.status, e.at
	}
	var t []byte
	t = appendVarint(t, timestampSeconds, uint64(at.Unix()))
	t = appendVarint(t, timestampNanos, uint64(at.Nanosecond()))
	var b []byte
	b = appendVarint(b, deleteExitStatus, status)
	return appendBytes(b, deleteExitedAt, t)
}

func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func appendBytes(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func appendString(b []byte, n protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
}
