// Package runctask runs Linux containers for the Task API: a task.Runtime over an
// OCI runtime's command line (runc 1.1 and newer, crun), called through go-runc. One
// process serves all such pods of a node (`blazar taskd`).
//
// # How a container runs
//
// Create reads and completes the bundle's specification, mounts the root file system
// and writes a record; no process exists yet. Start is a single `runc run --detach`:
// create and start together cost a fifth less than apart. The container's standard
// streams are containerd's FIFOs themselves, so output costs this process neither
// time nor memory, and goes on when it dies. Signals go through pidfds, statistics and
// OOM events come from the cgroup: the runtime is called to start, exec, pause,
// resume, update, checkpoint and delete, and for nothing else.
//
// This process is the reaper of orphans (PR_SET_CHILD_SUBREAPER), so the exit of a
// process waits for it even if it came before the runtime returned; what nobody asks
// for is reaped once no call to the runtime can be about it .
//
// # Deadlines
//
// Every call to the runtime has one, after which its whole process group is killed,
// and what it made so far is removed without its help. Nothing that waits holds a
// lock: one container's trouble stays its own.
//
// # Records
//
//	<state>/taskd/c/<id>/record.json  what a restarted taskd has to know
//	<state>/taskd/c/<id>/pid, log     files of the runtime
//	<state>/taskd/runc                the runtime's own state (--root)
//	<bundle>/taskd                    a link to the record's directory, by which
//	                                  containerd-shim-blazar-v1 finds it
package runctask
