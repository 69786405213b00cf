// The constructor that confines a process before the Go runtime starts: the
// process has one thread here, so namespaces and credentials change for all of it.
// Its other half is package confine; the two structs below are declared there too.
//
// It acts only when the environment variable BLAZAR_CONFINE is set. Whatever fails
// ends the process with 125, never with a process less confined than asked for.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONTROL 3 // the inherited SOCK_SEQPACKET socket
#define MAGIC 0x31464342u
#define HAS_NETNS 1u

#ifndef SYS_close_range
#define SYS_close_range 436 // the same on every architecture; missing from older headers
#endif

// What the daemon sends, with the root directory and, where HAS_NETNS says so, the
// network namespace as descriptors.
struct message {
	uint32_t magic, flags, uid, gid;
	uint32_t keep; // the first descriptor that is to be closed
	uint32_t nfilter;
	char hostname[68]; // ends with a zero; empty: the daemon's
	struct sock_filter filter[BPF_MAXINSNS];
};

// What the constructor answers: error is 0 when the process is confined.
struct reply {
	uint32_t magic;
	int32_t error;
	char text[120];
};

int blazar_confined;

static struct message msg;

static void fail(const char *what, int error) {
	struct reply r = {.magic = MAGIC, .error = error ? error : EINVAL};
	snprintf(r.text, sizeof r.text, "%s", what);
	(void)!send(CONTROL, &r, sizeof r, MSG_NOSIGNAL);
	dprintf(STDERR_FILENO, "confine: %s: %s\n", what, strerror(r.error));
	_exit(125);
}

// must ends the process when a system call failed.
static void must(long result, const char *what) {
	if (result < 0)
		fail(what, errno);
}

// receive takes the message; descriptors stay open until close_range.
static void receive(int *root, int *netns) {
	union {
		char buf[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {&msg, sizeof msg};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
	ssize_t n;
	do
		n = recvmsg(CONTROL, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	must(n, "receive configuration");
	if (n == 0)
		_exit(125); // the daemon has gone, or gave up: nobody listens
	size_t head = offsetof(struct message, filter);
	if (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (size_t)n < head || msg.magic != MAGIC ||
	    msg.nfilter == 0 || msg.nfilter > BPF_MAXINSNS || (size_t)n != head + msg.nfilter * sizeof msg.filter[0] ||
	    msg.uid == 0 || msg.gid == 0 || msg.keep <= CONTROL || msg.hostname[sizeof msg.hostname - 1])
		fail("configuration is malformed: daemon and executable of different versions?", EINVAL);
	int want = msg.flags & HAS_NETNS ? 2 : 1, fds[2];
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(want * sizeof(int)))
		fail("configuration lacks descriptors", EINVAL);
	memcpy(fds, CMSG_DATA(c), want * sizeof(int));
	*root = fds[0];
	*netns = want == 2 ? fds[1] : -1;
}

// namespaces enters and makes the namespaces and makes root the only file system.
static void namespaces(int root, int netns) {
	if (netns >= 0)
		must(setns(netns, CLONE_NEWNET), "enter the network namespace");
	// The working directory moves along into the copied mounts, so that the root
	// needs no path.
	must(fchdir(root), "change to the root");
	must(unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS), "unshare mount, ipc and uts namespaces");
	if (msg.hostname[0])
		must(sethostname(msg.hostname, strlen(msg.hostname)), "set the host name");
	// Slave: mounts of the host below the root come in, nothing goes out.
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "make mounts slaves");
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root (the root must be a mount point)");
	must(umount2(".", MNT_DETACH), "detach the old root"); // it lies over the new one, pivot_root(2)
	must(chdir("/"), "change to the new root");
	umask(022);
}

static void capabilities(uint32_t keep) {
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};
	d[0].effective = d[0].permitted = keep;
	must(syscall(SYS_capset, &h, d), "set capabilities");
}

// identity takes the uid and gid and drops every capability from every set.
static void identity(void) {
	must(syscall(SYS_setgroups, 0, NULL), "drop groups");
	must(syscall(SYS_setresgid, msg.gid, msg.gid, msg.gid), "set the gid");
	must(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities over the change of uid");
	must(syscall(SYS_setresuid, msg.uid, msg.uid, msg.uid), "set the uid");
	capabilities(1u << CAP_SETPCAP); // what the next three need
	must(prctl(PR_SET_SECUREBITS,
		   SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
			   SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		   0, 0, 0), "set securebits");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear ambient capabilities");
	for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		must(prctl(PR_CAPBSET_DROP, i, 0, 0, 0), "drop the bounding set");
	capabilities(0);
	must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable");
}

static void filter(void) {
	struct sock_fprog p = {.len = msg.nfilter, .filter = msg.filter};
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p), "install the seccomp filter");
}

// asked says whether the environment asks for confinement, and blanks the variable.
// The array must keep its length: behind its end the Go runtime looks for the
// kernel's auxiliary vector.
static int asked(char **env) {
	static const char name[] = "BLAZAR_CONFINE=";
	int found = 0;
	for (; env && *env; env++)
		if (!strncmp(*env, name, sizeof name - 1)) {
			memset(*env, 0, strlen(*env));
			found = 1;
		}
	return found;
}

__attribute__((constructor(101))) static void confine(int argc, char **argv, char **env) {
	(void)argc, (void)argv; // glibc hands constructors what main gets
	if (!asked(env))
		return;
	int root, netns;
	receive(&root, &netns);
	namespaces(root, netns);
	identity();
	must(syscall(SYS_close_range, msg.keep, ~0u, 0), "close descriptors");
	filter();
	struct reply r = {.magic = MAGIC};
	must(send(CONTROL, &r, sizeof r, MSG_NOSIGNAL), "confirm");
	blazar_confined = 1;
}
