/* libwasmedge installs handlers for SIGSEGV, SIGBUS and SIGFPE while machine code
 * of a guest runs, without SA_ONSTACK, and resets them to their defaults when it
 * leaves. In a Go process that kills it at the next nil dereference, and other
 * engines' traps with it. So the library's own imports of sigaction and signal are
 * redirected here, and one handler passes a fault to the library only while this
 * thread is inside a guest, and to whoever was there before otherwise. Its import
 * of longjmp, by which every trap leaves the guest, is redirected to see where the
 * guest was. */
#define _GNU_SOURCE
#include "signals.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "library.h"
#include "redirect.h"

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE};
enum { NFAULTS = sizeof faults / sizeof faults[0] };

static __thread bz_fault *inside;
static void (*library_handler)(int, siginfo_t *, void *);
static struct sigaction previous[NSIG];
static unsigned long rescues;

unsigned long bz_we_rescues(void) { return __atomic_load_n(&rescues, __ATOMIC_RELAXED); }

bz_fault *bz_we_enter(bz_fault *now) {
  bz_fault *before = inside;
  inside = now;
  return before;
}

static int is_fault(int sig) {
  for (int i = 0; i < NFAULTS; i++)
    if (faults[i] == sig) return 1;
  return 0;
}

static int within(const void *address, const uint8_t *low, const uint8_t *high) {
  return (const uint8_t *)address >= low && (const uint8_t *)address < high;
}

/* The library's handler takes nothing from its arguments but the signal's number and
 * the reason of a SIGFPE, and leaves by longjmp. */
static void leave(int sig, siginfo_t *info, void *context) {
  void (*handler)(int, siginfo_t *, void *) = __atomic_load_n(&library_handler, __ATOMIC_ACQUIRE);
  if (handler) handler(sig, info, context);
}

/* Where library code returns to instead of to a guest whose stack it overflowed. */
__attribute__((used)) static void overflowed(void) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  info.si_signo = SIGSEGV;
  leave(SIGSEGV, &info, NULL);
  __builtin_trap();
}

void bz_we_overflowed(void);
__asm__(
    ".text\n"
    ".hidden bz_we_overflowed\n"
    ".globl bz_we_overflowed\n"
    ".type bz_we_overflowed, @function\n"
    "bz_we_overflowed:\n"
    "  andq $-16, %rsp\n"
    "  callq overflowed\n"
    ".size bz_we_overflowed, .-bz_we_overflowed\n");

/* Finds where the guest called what runs now. */
static void find(bz_fault *f, void ***slot) {
  f->pcs = bz_we_guest_frames(f->pc, slot);
  for (int i = 0; i < f->pcs; i++) f->pc[i]--; /* the call, not what it returns to */
}

/* Records that the guest was at pc itself. */
static void at(bz_fault *f, uintptr_t pc) {
  find(f, NULL);
  f->pc[0] = pc;
  if (!f->pcs) f->pcs = 1;
}

/* The stack has ended at address. Machine code of the guest holds nothing and is left
 * at once. Code of the library may hold locks that nobody else would give back: it
 * gets the reserve to go on with, and finds itself in overflowed when it returns to
 * the guest. Returns 1 to go on. */
static int stack_ended(bz_fault *f, const void *address, uintptr_t pc) {
  f->overflow = 1;
  if (bz_we_is_guest(pc)) {
    at(f, pc);
    return 0;
  }
  void **slot = NULL;
  find(f, &slot);
  if (!slot || !within(address, f->stack->reserve, f->stack->low)) return 0;
  if (mprotect(f->stack->reserve, BZ_STACK_RESERVE, PROT_READ | PROT_WRITE)) return 0;
  *slot = (void *)bz_we_overflowed;
  __atomic_add_fetch(&rescues, 1, __ATOMIC_RELAXED);
  return 1;
}

static void on_fault(int sig, siginfo_t *info, void *context) {
  bz_fault *f = inside;
  if (f && __atomic_load_n(&library_handler, __ATOMIC_ACQUIRE)) {
    uintptr_t pc = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (sig != SIGFPE && within(info->si_addr, f->stack->base, f->stack->low)) {
      if (stack_ended(f, info->si_addr, pc)) return;
    } else if (bz_we_is_guest(pc)) {
      at(f, pc);
    }
    pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
    leave(sig, info, context);
    return;
  }
  struct sigaction *p = &previous[sig];
  if (p->sa_flags & SA_SIGINFO) {
    p->sa_sigaction(sig, info, context);
  } else if (p->sa_handler == SIG_DFL) {
    signal(sig, SIG_DFL);
    raise(sig);
  } else if (p->sa_handler != SIG_IGN) {
    p->sa_handler(sig);
  }
}

/* The library wants no other signals; LLVM, where it is a part of it, would take all. */
static int guarded_sigaction(int sig, const struct sigaction *act, struct sigaction *old) {
  if (is_fault(sig) && act && (act->sa_flags & SA_SIGINFO))
    __atomic_store_n(&library_handler, act->sa_sigaction, __ATOMIC_RELEASE);
  if (old) memset(old, 0, sizeof *old);
  return 0;
}

static void (*guarded_signal(int sig, void (*handler)(int)))(int) {
  (void)sig, (void)handler;
  return SIG_DFL;
}

/* LLVM handles every signal while it writes a file, on an alternate stack of its own,
 * to remove the file: at the next fault of a guest, or a nil dereference. */
static int no_sigaction(int sig, const struct sigaction *act, struct sigaction *old) {
  (void)sig, (void)act;
  if (old) memset(old, 0, sizeof *old);
  return 0;
}

static int no_sigaltstack(const stack_t *new, stack_t *old) {
  (void)new;
  return sigaltstack(NULL, old);
}

/* Keeps LLVM from the process's signals, where it is a library of its own. */
static void guard_llvm(const struct link_map *map) {
  static const bz_redirection imports[] = {
      {{"sigaction", NULL}, (void *)no_sigaction},
      {{"sigaltstack", NULL}, (void *)no_sigaltstack},
  };
  while (map->l_prev) map = map->l_prev;
  for (; map; map = map->l_next) {
    const char *name = strrchr(map->l_name, '/');
    if (name && !strncmp(name + 1, "libLLVM", 7)) bz_we_redirect(map, imports, 2);
  }
}

__attribute__((noreturn)) static void guarded_longjmp(jmp_buf env, int value) {
  bz_fault *f = inside;
  if (f && !f->pcs) find(f, NULL);
  longjmp(env, value);
}

int bz_we_guard(void) {
  static const bz_redirection imports[BZ_GUARD_COUNT] = {
      {{"sigaction"}, (void *)guarded_sigaction},
      {{"signal"}, (void *)guarded_signal},
      {{"__longjmp_chk", "longjmp"}, (void *)guarded_longjmp},
  };
  static int done;
  if (done == BZ_GUARD_COUNT) return done;
  Dl_info info;
  struct link_map *map = NULL;
  if (!dladdr1((void *)we.ExecutorInvoke, &info, (void **)&map, RTLD_DL_LINKMAP) || !map) return 0;
  done = bz_we_redirect(map, imports, BZ_GUARD_COUNT);
  if (done < BZ_GUARD_COUNT) return done;
  guard_llvm(map);
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = on_fault;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&a.sa_mask); /* as Go wants it for its own handler */
  for (int i = 0; i < NFAULTS; i++) sigaction(faults[i], &a, &previous[faults[i]]);
  return done;
}
