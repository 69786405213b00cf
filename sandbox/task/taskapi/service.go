// Package taskapi holds the messages of containerd's Task API, the names of its
// ttrpc services and a client for them.
//
// It stands in for github.com/containerd/containerd/api/runtime/task/v3, whose
// import costs gRPC and net/http: a third of the start of a process that does
// nothing but serve tasks.
package taskapi

//go:generate ./generate.sh

// Names of the ttrpc services. Their methods and messages are the same on the wire.
const (
	ServiceV2 = "containerd.task.v2.Task"
	ServiceV3 = "containerd.task.v3.Task"
)

// Names of the methods, the same in both versions.
const (
	MethodState      = "State"
	MethodCreate     = "Create"
	MethodStart      = "Start"
	MethodDelete     = "Delete"
	MethodPids       = "Pids"
	MethodPause      = "Pause"
	MethodResume     = "Resume"
	MethodCheckpoint = "Checkpoint"
	MethodKill       = "Kill"
	MethodExec       = "Exec"
	MethodResizePty  = "ResizePty"
	MethodCloseIO    = "CloseIO"
	MethodUpdate     = "Update"
	MethodWait       = "Wait"
	MethodStats      = "Stats"
	MethodConnect    = "Connect"
	MethodShutdown   = "Shutdown"
)
