package hostapi

// Limits of one packet. The size stays below the kernel's default send buffer;
// anything larger spills into a memfd.
const (
	MaxPacket = 64 << 10
	MaxSpill  = 8 << 20
	MaxFiles  = 64
	// MaxInFlight is how many requests of one wasm-task the daemon works on at a
	// time; further ones wait in the socket.
	MaxInFlight = 32
)

// Methods.
const (
	// MethodPrepare makes a container's files appear and answers with what it
	// takes to run it: PrepareRequest, PrepareReply.
	MethodPrepare = "prepare"
	// MethodFiles mounts the files of a container of which that was put off
	// (PrepareReply.Later): FilesRequest, no reply.
	MethodFiles = "files"
	// MethodExec does the same for one more process of a prepared container:
	// ExecRequest, ExecReply.
	MethodExec = "exec"
	// MethodUpdate sets the CPU limits that a container has by now, and says how they
	// hold: UpdateRequest, UpdateReply.
	MethodUpdate = "update"
	// MethodRemove takes a container's files away: RemoveRequest, no reply.
	MethodRemove = "remove"
	// MethodReport tells how a process ended that did not end by itself, for whoever
	// asks for the pod's status: ReportRequest, no reply.
	MethodReport = "report"
	// MethodKill ends the worker of a container, if it has one and that runs, and tells
	// how it ended: KillRequest, KillReply.
	MethodKill = "kill"
	// MethodLimit sets the limits that a Linux container has by now: LimitRequest, no
	// reply.
	MethodLimit = "limit"
	// MethodEvent hands an event to containerd: EventRequest, no reply.
	MethodEvent = "event"
)

// Roles of the files that come with a reply.
const (
	RoleStdin  = "stdin"
	RoleStdout = "stdout"
	RoleStderr = "stderr"
	// RoleStdoutEnd and RoleStderrEnd are the writing ends of the FIFOs, which the
	// other two open for reading too: held after these were closed, what nobody has
	// read yet is not lost, and they tell (by POLLERR, poll(2)) that there is nobody.
	RoleStdoutEnd = "stdout-end"
	RoleStderrEnd = "stderr-end"
	// RolePTY is the master of a terminal, RoleTTY its other end.
	RolePTY = "pty"
	RoleTTY = "tty"
	// RoleListener is a listening socket in the pod's network.
	RoleListener = "listener"
	// RoleThreads is a file that a thread of the container writes "0" to, or its id, to
	// be held to the container's CPU limits; there may be several. RoleThrottling tells
	// how often it was held up: the kernel's cpu.stat.
	RoleThreads    = "threads"
	RoleThrottling = "throttling"
	// RoleMessage is the file that takes the container's last words.
	RoleMessage = "message"
	// RoleWorker is a connection to the Task API of the container's worker, the only one
	// there is: the worker ends with it.
	RoleWorker = "worker"
)

// Hello is the first packet on the connection that a wasm-task is born with, from
// the daemon: what the task cannot know of itself.
type Hello struct {
	// Sandbox and Namespace are containerd's names for the pod.
	Sandbox   string `json:"sandbox"`
	Namespace string `json:"namespace"`
	// Container makes the wasm-task a worker: the process of this one container of the
	// pod. Its Task API is served on one connection only, to the pod's own wasm-task.
	Container string `json:"container,omitempty"`
	// Pid is the wasm-task as the host sees it.
	Pid uint32 `json:"pid"`
	// CgroupV2 says which statistics containerd expects.
	CgroupV2 bool `json:"cgroup2,omitempty"`
	// LogLevel is the daemon's.
	LogLevel string `json:"log_level,omitempty"`
}

// Stdio names a process's FIFOs as containerd gave them; empty means none.
type Stdio struct {
	Stdin    string `json:"stdin,omitempty"`
	Stdout   string `json:"stdout,omitempty"`
	Stderr   string `json:"stderr,omitempty"`
	Terminal bool   `json:"terminal,omitempty"`
}

// PrepareRequest asks for the container of that id.
type PrepareRequest struct {
	Container string `json:"container"`
	Stdio     Stdio  `json:"stdio"`
	// Later says that the wasm-task knows MethodFiles.
	Later bool `json:"later,omitempty"`
	// Linux says that it knows containers that another task server runs (Worker.Linux).
	Linux bool `json:"linux,omitempty"`
}

// FilesRequest names the container whose guest uses its files for the first time.
type FilesRequest struct {
	Container string `json:"container"`
}

// Module says what to run and with what. It is shared by containers and execs.
type Module struct {
	// Engine is the engine's name, Artifact the directory to load, seen from the
	// wasm-task.
	Engine   string `json:"engine"`
	Artifact string `json:"artifact"`
	// Entry is the export to call.
	Entry string `json:"entry"`
	// Name and Digest are for people: where the module was found.
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Reason says why this engine was chosen, Version which version of it that is.
	Reason  string `json:"reason"`
	Version string `json:"version,omitempty"`
}

// Preopen is a directory the guest may use, by the absolute path it knows it by;
// the wasm-task resolves it inside the container's rootfs.
type Preopen struct {
	Guest    string `json:"guest"`
	ReadOnly bool   `json:"ro,omitempty"`
}

// Worker is the process of one container.
type Worker struct {
	// Pid is that of the host; 0 for Linux containers, which tell it themselves.
	Pid uint32 `json:"pid"`
	// Linux says that the container is made already, by the task server of Linux
	// containers, and the connection is to that.
	Linux bool `json:"linux,omitempty"`
}

// PrepareReply is a prepared container, or the worker of one, which will ask for it
// itself.
type PrepareReply struct {
	// Worker is nil for a container that runs on threads of the pod's wasm-task. For
	// others nothing else is set but Roles.
	Worker *Worker `json:"worker,omitempty"`
	// Roles names the files that came along, in order.
	Roles  []string `json:"roles,omitempty"`
	Module Module   `json:"module"`
	// Args and Env are the guest's own; whatever depends on its descriptors is added
	// by the wasm-task.
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	// Rootfs is the container's root as the wasm-task sees it.
	Rootfs   string    `json:"rootfs"`
	Preopens []Preopen `json:"preopens"`
	// Later says that there is nothing at Rootfs before MethodFiles was answered.
	Later bool `json:"later,omitempty"`
	// MemoryLimit is in bytes, 0 for none.
	MemoryLimit uint64 `json:"memory,omitempty"`
	// Notes are things a person should know, e.g. a volume mounted without
	// idmapping. They go to the log.
	Notes []string `json:"notes,omitempty"`
}

// ExecRequest asks for another process in a prepared container.
type ExecRequest struct {
	Container string `json:"container"`
	// Exec is the exec id, unique within the container.
	Exec  string `json:"exec"`
	Stdio Stdio  `json:"stdio"`
	// Command is the module to run, "path" or "path#export".
	Command string `json:"command"`
	// Cwd is what a relative Command is relative to; SearchPath is where a bare name
	// is looked for, the value of PATH.
	Cwd        string `json:"cwd,omitempty"`
	SearchPath string `json:"path,omitempty"`
}

// ExecReply is a prepared process.
type ExecReply struct {
	Roles  []string `json:"roles,omitempty"`
	Module Module   `json:"module"`
}

// UpdateRequest names a container whose limits were changed.
type UpdateRequest struct {
	Container string `json:"container"`
	// CPU are the limits that the wasm-task was told. Those of containerd's record of
	// the container count: without these there, the update is refused.
	CPU CPU `json:"cpu"`
}

// CPU are linux.resources.cpu of a container, as far as they mean something for its
// threads; zero where nothing is said.
type CPU struct {
	Shares uint64 `json:"shares,omitempty"`
	// Quota is per Period, both in microseconds; negative without a limit.
	Quota  int64  `json:"quota,omitempty"`
	Period uint64 `json:"period,omitempty"`
	// CPUs and Mems are lists as "0-3,5".
	CPUs string `json:"cpus,omitempty"`
	Mems string `json:"mems,omitempty"`
}

// UpdateReply comes with the files of the container's threads, if they have limits
// of their own.
type UpdateReply struct {
	Roles []string `json:"roles,omitempty"`
	// Notes go to the log.
	Notes []string `json:"notes,omitempty"`
}

// RemoveRequest names the container to take away.
type RemoveRequest struct {
	Container string `json:"container"`
}

// ReportRequest is what a person should know of a process's end.
type ReportRequest struct {
	Container string `json:"container"`
	// Exec is empty for the container's first process.
	Exec    string `json:"exec,omitempty"`
	Status  uint32 `json:"status"`
	Message string `json:"message"`
}

// KillRequest names the container whose worker is to end.
type KillRequest struct {
	Container string `json:"container"`
}

// LimitRequest names the Linux container whose limits were changed in containerd's
// record of it.
type LimitRequest struct {
	Container string `json:"container"`
}

// KillReply says how a worker ended.
type KillReply struct {
	// Roles names the files that came along: the one for last words, if there is one.
	Roles []string `json:"roles,omitempty"`
	// Reason is for people.
	Reason string `json:"reason"`
	// OOM says that its cgroup ran out of memory.
	OOM bool `json:"oom,omitempty"`
}

// EventRequest carries an event: a protobuf message and its type.
type EventRequest struct {
	Topic string `json:"topic"`
	Type  string `json:"type"`
	Value []byte `json:"value"`
}
