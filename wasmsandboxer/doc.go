// Package wasmsandboxer makes wasm pods: for each one process, wasm-task, that is
// the pod, holds no privilege and serves the Task API itself; and, in the daemon,
// the host service that does for it what needs root (package host).
//
// Everything of a pod has a name derived from its sandbox id or is recorded before
// it is made, so that a daemon that was killed at any point finds it again:
//
//	<dir>/root       the pod's root, a small tmpfs; what is mounted below appears in the pod
//	<dir>/scratch    an empty directory for building mounts
//	<dir>/containers what was chosen for each container
//	<dir>/stderr     a FIFO: what wasm-task says
//	<dir>/workers/<container>  the same again for a container's own process, its worker
//	<sockets>/<hash>.task  the Task API
//	<sockets>/<hash>.host  where a restarted daemon connects to the wasm-task
//	<cgroup parent>/<id>
//
// A pod whose wasm-task was prepared has what is below <dir> but for the workers in
// <sockets>/prepared/<name>, and sockets named after that.
package wasmsandboxer
