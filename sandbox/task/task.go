// Package task serves containerd's Task API, version 3 and 2, over the contract
// below. Every process that serves tasks uses it: wasm-task for wasm pods, the
// task server of the node for the other kinds, the agent inside a guest. It
// therefore imports neither gRPC nor net/http.
//
// The server owns the state machine (created, running, paused, stopped, deleted),
// the ids, the exits and the order of events; a Runtime owns what a container
// is. Life cycle of a Process: Start once, Kill and Wait any number of times after
// it, Delete last, after it has exited or instead of Start, and again after Delete
// failed. A Process whose Start failed or was never called has nothing running. The
// server serializes Start, Delete, Pause and Resume of one process and calls
// everything else concurrently; it holds no lock while it calls. No method may block
// longer than its context lives; one that does holds up its own container alone.
//
// When a container's first process has exited, the server kills what Exec added
// before it tells of the exit.
package task

import (
	"context"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Runtime makes containers. Safe for concurrent use.
type Runtime interface {
	Create(ctx context.Context, r *CreateRequest) (Container, error)
}

// Process is a container's first process or one that Exec added.
type Process interface {
	// Start runs the process and returns its pid on the host (never 0).
	Start(ctx context.Context) (pid uint32, err error)
	// Kill sends a signal; all means every process of the container.
	// errdefs.ErrNotFound after the process has exited. SIGKILL may come instead of
	// Start, or after a Start that failed: the process is never started then and closes
	// its stdio at once.
	Kill(ctx context.Context, signal syscall.Signal, all bool) error
	// Wait blocks until the process has exited and its output was handed on.
	// It answers the same for ever after.
	Wait(ctx context.Context) (Exit, error)
	// Delete frees what the process holds.
	Delete(ctx context.Context) error
}

// Container is a Process that can hold more of them.
type Container interface {
	Process
	Exec(ctx context.Context, r *ExecRequest) (Process, error)
}

// Optional abilities of a Container, found by type assertion; the server answers
// errdefs.ErrNotImplemented, naming the ability and the runtime, without them.
type (
	// Meter measures: a cgroups v1 or v2 Metrics message, as the host uses, or an
	// *anypb.Any that holds one, for a process that does not link them.
	Meter interface {
		Stats(ctx context.Context) (proto.Message, error)
	}
	// Pider has a process before Start (runc's init): Pid is not 0 from Create on.
	// Kill is then passed to it, and Wait called, before Start too.
	Pider interface {
		Pid() uint32
	}
	// Pidser lists the pids on the host; without it the server answers with the
	// pids that Start returned.
	Pidser interface {
		Pids(ctx context.Context) ([]uint32, error)
	}
	// Updater changes limits of a running container.
	Updater interface {
		Update(ctx context.Context, r *specs.LinuxResources, annotations map[string]string) error
	}
	// Pauser freezes a container.
	Pauser interface {
		Pause(ctx context.Context) error
		Resume(ctx context.Context) error
	}
	// Checkpointer writes a container's state to a directory.
	Checkpointer interface {
		Checkpoint(ctx context.Context, path string, options *anypb.Any) error
	}
	// OOMNotifier tells of memory running out: the channel yields once per event
	// and is closed when the container has exited.
	OOMNotifier interface {
		OOM() <-chan struct{}
	}
)

// Optional abilities of a Process.
type (
	// Resizer has a terminal.
	Resizer interface {
		Resize(ctx context.Context, width, height uint32) error
	}
	// StdinCloser can be told that no more input comes, also before Start.
	StdinCloser interface {
		CloseStdin(ctx context.Context) error
	}
)

// Publisher hands events to containerd. Publish may block until ctx ends; the
// server calls it from one goroutine, in order, and never from a request. The event
// is one of containerd.events, ready to be put into an envelope.
type Publisher interface {
	Publish(ctx context.Context, topic string, event *anypb.Any) error
}

// Stdio names the FIFOs (or, where the runtime understands them, other URLs) of a
// process; an empty name means none.
type Stdio struct {
	Stdin, Stdout, Stderr string
	Terminal              bool
}

// Mount is containerd's mount of a container's root file system.
type Mount struct {
	Type, Source, Target string
	Options              []string
}

// CreateRequest asks for a container.
type CreateRequest struct {
	ID      string
	Bundle  string
	Rootfs  []Mount
	Stdio   Stdio
	Options *anypb.Any
	// Checkpoint is a directory to restore from, empty for a new container.
	Checkpoint string
}

// ExecRequest asks for one more process in a container.
type ExecRequest struct {
	// ID is the exec id, unique within the container.
	ID      string
	Stdio   Stdio
	Process *specs.Process
}

// Exit is how a process ended: 128+n for a signal n, as shells say.
type Exit struct {
	Status uint32
	At     time.Time
}
