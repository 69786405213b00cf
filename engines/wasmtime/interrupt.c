#define _GNU_SOURCE
#include "interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)

/* One that neither Go's runtime nor the C library (nptl: 32 and 33) has a use for. */
#define BZ_SIGNAL (SIGRTMIN + 9)

static __thread bz_interrupt *volatile current;

/* What is more than any guest's stack, and that of what it calls. */
enum { BZ_STACK_MOST = 8 << 20 };

/* How many returns of one thread are changed by one signal. */
enum { BZ_RETURNS = 8 };

/* How many signals have to miss the guest's own code before returns to it are changed:
 * most guests are met there within a few, and what is on a stack is known by its looks
 * only. Those that stay in Wasmtime, filling memory, wait a millisecond longer. */
enum { BZ_MISSED = 4 };

/* returns_to says whether an address in the guest's functions is one behind a call: E8
 * with a displacement, or FF /2 with a register. Wasmtime's own data have others, above
 * all where the code begins. */
static int returns_to(const bz_interrupt *i, uintptr_t address) {
  if (address < i->text.low + 5 || address >= i->text.high) return 0;
  const uint8_t *at = (const uint8_t *)address;
  return at[-5] == 0xe8 || (at[-2] == 0xff && (at[-1] & 0xf8) == 0xd0);
}

/* How many frames are followed before a chain of them is believed. */
enum { BZ_CHAIN = 4 };

/* leads_up says whether frame is that of a function: from there frames lead up through
 * the module's code, to the trampoline that was called from outside at last. */
static int leads_up(const bz_interrupt *i, uintptr_t slot, uintptr_t frame) {
  for (int n = 0; n < BZ_CHAIN; n++) {
    if (frame <= slot || frame >= i->stack - 2 * sizeof frame || frame % 16) return 0;
    slot = frame;
    uintptr_t back = ((const uintptr_t *)frame)[1];
    if (back < i->text.low || back >= i->text.end) return n > 0;
    frame = *(const uintptr_t *)frame;
  }
  return 1;
}

/* divert has what the guest called return to the trap: it changes the return addresses
 * that lie in the guest's functions, from sp on. Each lies behind the frame pointer of
 * who is returned to; by that they are known. What looks so and is left over from an
 * earlier call is changed without effect. */
static void divert(const bz_interrupt *i, uintptr_t sp) {
  if (sp >= i->stack || i->stack - sp > BZ_STACK_MOST) return; /* another stack: Go's, a signal's */
  int left = BZ_RETURNS;
  for (uintptr_t *slot = (uintptr_t *)((sp + 7) & ~(uintptr_t)7); (uintptr_t)slot < i->stack && left > 0; slot++) {
    if (!returns_to(i, *slot) || !leads_up(i, (uintptr_t)slot, slot[-1])) continue;
    *slot = i->text.trap;
    left--;
  }
}

/* The frame pointer is at every instruction of a function that of a frame of the guest
 * or of the trampoline before it, which is all that Wasmtime's walk up the stack needs;
 * the guest holds nothing that is to be given back. */
static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  bz_interrupt *i = current;
  if (!i || !__atomic_load_n(i->stop, __ATOMIC_ACQUIRE)) return;
  greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
  uintptr_t pc = (uintptr_t)regs[REG_RIP];
  if (pc >= i->text.low && pc < i->text.high)
    regs[REG_RIP] = (greg_t)i->text.trap;
  else if (++i->missed > BZ_MISSED)
    divert(i, (uintptr_t)regs[REG_RSP]);
}

static int possible;

static void install(void) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_signal;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&a.sa_mask); /* as Go wants it for its own handler */
  possible = !sigaction(BZ_SIGNAL, &a, NULL);
}

int bz_interrupt_possible(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
  return possible;
}

void bz_interrupt_enter(bz_interrupt *i, const void *stack) {
  if (!i->text.trap) return;
  i->stack = (uintptr_t)stack;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, BZ_SIGNAL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  current = i;
  __atomic_store_n(&i->thread, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

void bz_interrupt_leave(bz_interrupt *i) {
  __atomic_store_n(&i->thread, 0, __ATOMIC_RELEASE);
  current = NULL;
}

/* The thread may have left the guest, and even be another one by now: it has another
 * guest or none, and nothing comes of the signal. */
void bz_interrupt_send(bz_interrupt *i) {
  int thread = __atomic_load_n(&i->thread, __ATOMIC_ACQUIRE);
  if (thread) syscall(SYS_tgkill, getpid(), thread, BZ_SIGNAL);
}

#else

int bz_interrupt_possible(void) { return 0; }
void bz_interrupt_enter(bz_interrupt *i, const void *stack) { (void)i, (void)stack; }
void bz_interrupt_leave(bz_interrupt *i) { (void)i; }
void bz_interrupt_send(bz_interrupt *i) { (void)i; }

#endif
