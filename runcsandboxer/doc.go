// Package runcsandboxer makes pods of Linux containers without a pause container: the
// namespaces that the containers share exist before any of them, pinned in the file
// system and held by no process. Only a pid namespace that the containers share has a
// process, which it cannot be without: pod-reaper (cmd/pod-reaper).
//
// The containers are the task server's (`blazar taskd`): the pod's address is its
// socket, and package podfile is what it is told.
//
// Everything of a pod has a name derived from its sandbox id or is recorded before it
// is made, so that a daemon that was killed at any point finds it again:
//
//	<dir>/pod.json    what the task server is told
//	<dir>/containers  what the task server notes
//	<dir>/etc         hosts, hostname, resolv.conf
//	<dir>/ns/<kind>   the namespaces, bind mounts of nsfs
//	<dir>/shm         a tmpfs, /dev/shm of all containers
//	<cgroup parent>/<id>  where the daemon makes it
package runcsandboxer
