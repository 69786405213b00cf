package task

import (
	"os"
	"time"
)

// Options of a Server; the zero value serves, and publishes nothing.
type Options struct {
	// Publisher gets the events; nil drops them.
	Publisher Publisher
	// Pid is this process as the host sees it: Connect returns it, and Pids for a
	// container that has no process of its own at the moment. Zero means
	// os.Getpid, which is wrong inside a pid namespace.
	Pid uint32
	// Runtime names the runtime in errors, "wasm" for example.
	Runtime string
	// OnIdle is called, from a goroutine of the server, after the last container
	// was deleted; nil for nothing. The process must go on serving: containerd
	// may create the next container at any time.
	OnIdle func()
	// CallTimeout bounds a request whose caller set no deadline (Wait excepted),
	// and whatever goes on after its caller went away. Zero means two minutes.
	CallTimeout time.Duration
	// EventTimeout is how long one event is tried before it is dropped with a
	// warning. Zero means one minute.
	EventTimeout time.Duration
	// EventQueue is how many events may wait; further ones are dropped with a
	// warning. Zero means 1024.
	EventQueue int
}

func (o Options) withDefaults() Options {
	if o.Pid == 0 {
		o.Pid = uint32(os.Getpid())
	}
	if o.Runtime == "" {
		o.Runtime = "this"
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = 2 * time.Minute
	}
	if o.EventTimeout == 0 {
		o.EventTimeout = time.Minute
	}
	if o.EventQueue == 0 {
		o.EventQueue = 1024
	}
	return o
}
