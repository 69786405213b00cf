// Moving every thread of this process into cgroups of v1, whose tasks files somebody
// privileged has opened. A thread that moves itself, by writing "0", waits for nobody;
// whoever moves another process makes the kernel wait until every CPU has switched tasks,
// for ten milliseconds, and holds up all who fork meanwhile. So each thread is sent a
// signal and moves itself in the handler, as glibc has each thread change its uid.
//
// The Go runtime leaves this signal alone and unblocked: see its sigtable, where the
// first that glibc hands out (34) has the flags of those that belong to libc.

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SIGNAL 34
#define THREADS 512 // ids, which count from 1 in a pid namespace of its own
#define FILES 32

enum { UNSEEN, ASKED, INSIDE };

static int files[FILES], nfiles;
static atomic_uchar state[THREADS];
static atomic_int failure;

static void enter(int sig) {
	(void)sig;
	int before = errno;
	for (int i = 0; i < nfiles; i++) {
		ssize_t n;
		do
			n = write(files[i], "0", 1);
		while (n < 0 && errno == EINTR);
		if (n != 1)
			atomic_store(&failure, n < 0 ? errno : EIO);
	}
	long tid = syscall(SYS_gettid);
	if (tid < THREADS)
		atomic_store(&state[tid], INSIDE);
	errno = before;
}

static long ask(int tid, int sig) {
	static pid_t pid;
	if (pid == 0)
		pid = getpid();
	return syscall(SYS_tgkill, pid, tid, sig);
}

static void *tell(void *tid) {
	*(long *)tid = syscall(SYS_gettid);
	return NULL;
}

// newest finds the highest thread id there can be: ids are handed out in ascending order,
// so that of a thread that is started now, which takes less time than to try all ids.
static int newest(long *tid) {
	sigset_t all, before;
	pthread_t thread;
	sigfillset(&all); // the thread is none of Go's, and has no alternate stack
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&thread, NULL, tell, tid);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		error = pthread_join(thread, NULL);
	return error ? error : *tid < THREADS ? 0 : E2BIG;
}

// settle waits until the threads that were asked are inside, or have ended.
static int settle(void) {
	struct timespec pause = {0, 20 * 1000};
	for (int tid = 1; tid < THREADS; tid++)
		for (int tries = 0; atomic_load(&state[tid]) == ASKED; tries++) {
			if (tries > 100 * 1000)
				return ETIMEDOUT;
			nanosleep(&pause, NULL);
			if (ask(tid, 0) < 0 && errno == ESRCH)
				break;
		}
	return atomic_load(&failure);
}

// blazar_enter_all is called once. It returns an errno, after which some threads may be
// inside.
int blazar_enter_all(const int *fds, int n) {
	if (n > FILES)
		return E2BIG;
	memcpy(files, fds, n * sizeof *fds);
	nfiles = n;
	struct sigaction action = {.sa_handler = enter, .sa_flags = SA_ONSTACK | SA_RESTART};
	if (sigaction(SIGNAL, &action, NULL) < 0)
		return errno;
	enter(0);
	// A thread that is not inside yet may start another one; once a whole pass finds none
	// that is not, all descend from threads that are.
	for (int found = 1; found;) {
		found = 0;
		long last;
		int error = newest(&last);
		if (error)
			return error;
		for (int tid = 1; tid < last; tid++) {
			unsigned char unseen = UNSEEN;
			if (!atomic_compare_exchange_strong(&state[tid], &unseen, ASKED))
				continue;
			if (ask(tid, SIGNAL) == 0)
				found = 1;
			else if (errno == ESRCH)
				atomic_store(&state[tid], UNSEEN);
			else
				return errno;
		}
		error = settle();
		if (error)
			return error;
	}
	return 0;
}
