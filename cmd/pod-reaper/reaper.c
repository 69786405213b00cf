/* pod-reaper makes the namespaces of a Linux pod that a thread of the daemon cannot
 * make itself, and is the first process of the pod's pid namespace, where it has one.
 *
 *   pod-reaper STEPS
 *
 * Every letter of STEPS is a step, taken in this order:
 *
 *   u  enter the user namespace at descriptor 4 and be its root
 *   n  enter the network namespace at descriptor 5
 *   i  make an ipc namespace
 *   h  make a uts namespace
 *   p  make a pid namespace, whose first process goes on; this one ends
 *
 * Descriptor 3 is a SOCK_SEQPACKET socket to the daemon. Messages are three 32-bit
 * numbers {kind, a, b}: 'P' pid of the first process as its maker sees it; 'R' ready;
 * 'E' letter of the step that failed, errno. After 'R' it waits: for a message, with
 * which it goes on, or for the end of the connection, with which it ends. Without p
 * it ends in both cases: namespaces are held by what the daemon did with them.
 *
 * The first process has an empty file system, no capability, cannot gain any, and can
 * only read, write and end. It has no use for what ends (SIGCHLD is ignored, so the
 * kernel reaps), and ends itself when somebody outside its namespace sends SIGTERM.
 */
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <stdint.h>

#include "syscalls.h"

enum { CONTROL = 3, USER = 4, NETWORK = 5 };

#define MASK(sig) (1UL << ((sig)-1))
#define EINTR 4

static void end(int status) __attribute__((noreturn));
static void end(int status)
{
	for (;;)
		sys(__NR_exit, status, 0, 0, 0, 0); /* exit_group is not among the calls it may make */
}

static void say(uint32_t kind, uint32_t a, uint32_t b)
{
	uint32_t m[3] = {kind, a, b};
	sys(__NR_write, CONTROL, (long)m, sizeof m, 0, 0);
}

/* must ends the process, with a word to the daemon, when a call has failed. */
static long must(int step, long ret)
{
	if (ret < 0) {
		say('E', step, -ret);
		end(1);
	}
	return ret;
}

static int asked(const char *steps, char step)
{
	for (; *steps; steps++)
		if (*steps == step)
			return 1;
	return 0;
}

static void be_root(void)
{
	must('u', sys(__NR_setns, USER, CLONE_NEWUSER, 0, 0, 0));
	must('u', sys(__NR_setgroups, 0, 0, 0, 0, 0));
	must('u', sys(__NR_setresgid, 0, 0, 0, 0, 0));
	must('u', sys(__NR_setresuid, 0, 0, 0, 0, 0));
}

/* divide returns in the first process of a new pid namespace, which has the same
 * parent as this one. */
static void divide(void)
{
	must('p', sys(__NR_unshare, CLONE_NEWPID, 0, 0, 0, 0));
	long pid = must('p', sys(__NR_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0)
		return;
	say('P', pid, 0);
	end(0);
}

/* empty_root replaces all that is mounted by one empty directory: what can be reached
 * through /proc/1/root is nobody's. */
static void empty_root(void)
{
	static const char proc[] = "/proc", dot[] = ".", tmpfs[] = "tmpfs", root[] = "/", none[] = "";
	static const char options[] = "size=4k,nr_inodes=1,mode=0555";
	must('m', sys(__NR_unshare, CLONE_NEWNS, 0, 0, 0, 0));
	must('m', sys(__NR_mount, (long)none, (long)root, 0, MS_REC | MS_SLAVE, 0));
	must('m', sys(__NR_mount, (long)tmpfs, (long)proc, (long)tmpfs,
		      MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, (long)options));
	must('m', sys(__NR_chdir, (long)proc, 0, 0, 0, 0));
	must('m', sys(__NR_pivot_root, (long)dot, (long)dot, 0, 0, 0));
	must('m', sys(__NR_umount2, (long)dot, 2 /* MNT_DETACH */, 0, 0, 0));
	must('m', sys(__NR_chdir, (long)root, 0, 0, 0, 0));
}

static void drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	must('c', sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must('c', sys(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
	must('c', sys(__NR_capset, (long)&header, (long)none, 0, 0, 0));
}

/* kernel_sigaction is struct sigaction as the kernel has it, without a restorer,
 * which an ignored signal does not need. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

/* signals ignores SIGCHLD, blocks everything and returns where SIGTERM is read. */
static long signals(void)
{
	static const struct kernel_sigaction ignore = {.handler = SIG_IGN};
	static const unsigned long all = ~0UL, term = MASK(SIGTERM);
	must('s', sys(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof all, 0));
	must('s', sys(__NR_rt_sigaction, SIGCHLD, (long)&ignore, 0, sizeof ignore.mask, 0));
	return must('s', sys(__NR_signalfd4, -1, (long)&term, sizeof term, SFD_CLOEXEC, 0));
}

/* released waits for the daemon's word. */
static int released(void)
{
	char go;
	long n;
	say('R', 0, 0);
	do
		n = sys(__NR_read, CONTROL, (long)&go, sizeof go, 0, 0);
	while (n == -EINTR);
	return n > 0;
}

/* reap waits for the end. Nobody inside the namespace has a pid to its outside. */
static void reap(long fd)
{
	struct signalfd_siginfo info;
	for (;;) {
		long n = sys(__NR_read, fd, (long)&info, sizeof info, 0, 0);
		if (n == sizeof info && info.ssi_pid == 0)
			end(0);
		if (n < 0 && n != -EINTR)
			end(1);
	}
}

void begin(long *stack) __attribute__((noreturn, used));
void begin(long *stack)
{
	if (stack[0] != 2)
		end(2);
	const char *steps = (const char *)stack[2];
	if (asked(steps, 'u'))
		be_root();
	if (asked(steps, 'n'))
		must('n', sys(__NR_setns, NETWORK, CLONE_NEWNET, 0, 0, 0));
	if (asked(steps, 'i'))
		must('i', sys(__NR_unshare, CLONE_NEWIPC, 0, 0, 0, 0));
	if (asked(steps, 'h'))
		must('h', sys(__NR_unshare, CLONE_NEWUTS, 0, 0, 0, 0));
	if (!asked(steps, 'p')) {
		released();
		end(0);
	}
	divide();
	must('f', sys(__NR_close_range, CONTROL + 1, ~0U, 0, 0, 0));
	empty_root();
	long term = signals();
	drop();
	if (!released())
		end(1);
	sys(__NR_close, CONTROL, 0, 0, 0, 0);
	if (sys(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) < 0)
		end(1);
	reap(term);
	end(0);
}
