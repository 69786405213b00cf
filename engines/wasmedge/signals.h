/* Living with the library's signal handlers, and with faults of guests. */
#ifndef BLAZAR_WASMEDGE_SIGNALS_H
#define BLAZAR_WASMEDGE_SIGNALS_H

#include "frames.h"
#include "stack.h"

/* Puts the library's handlers of SIGSEGV, SIGBUS and SIGFPE behind a guard that
 * lets them see only faults of guests; returns how many of the library's imports
 * were redirected. Below BZ_GUARD_COUNT the library must not run machine code in
 * this process. */
enum { BZ_GUARD_COUNT = 3 }; /* sigaction, signal, longjmp */
int bz_we_guard(void);

/* What a run wants to know of the fault that ended it. */
typedef struct bz_fault {
  const bz_stack *stack;
  int overflow;       /* the stack was used up */
  int pcs;
  uintptr_t pc[BZ_GUEST_FRAMES]; /* in the guest's code, innermost first */
} bz_fault;

/* How often library code of this process was let go on beyond a stack's end. */
unsigned long bz_we_rescues(void);

/* Brackets around guest code on this thread: f until it is called with what it
 * returned. NULL means not inside a guest. */
bz_fault *bz_we_enter(bz_fault *f);

#endif
