/* Ending guests that compute, with nothing in their code that looks whether it is to
 * end. A signal interrupts the guest's thread; where that is in a function of the guest,
 * it goes on at an instruction that Wasmtime knows to trap, and leaves the guest as it
 * does after every trap. In a trampoline or in Wasmtime, the thread goes on, and meets
 * that instruction when it returns to the guest. In the host the signal does nothing:
 * that looks for itself. It is sent again until the guest has ended. */
#ifndef BLAZAR_WASMTIME_INTERRUPT_H
#define BLAZAR_WASMTIME_INTERRUPT_H

#include <stddef.h>
#include <stdint.h>

/* Where a module's functions are, and an instruction in the last of them that traps. All
 * 0 for code with epochs. */
typedef struct bz_text {
  uintptr_t low, high, trap;
  uintptr_t end; /* of the code, with the trampolines */
  uint32_t function; /* index of the one that traps, which nobody calls */
} bz_text;

/* Whether guests can be ended so on this machine. */
int bz_interrupt_possible(void);

/* Finds them in a module's image of size bytes, an ELF file as it is in memory; returns
 * NULL, or what is not as expected. */
const char *bz_text_find(const uint8_t *image, size_t size, bz_text *text);

/* A guest and the thread that it runs on. */
typedef struct bz_interrupt {
  bz_text text;
  const int *stop; /* non-zero when the guest is to end */
  int thread;      /* 0 while it does not run */
  uintptr_t stack; /* its frames are below */
  int missed; /* signals that did not find it in its own code; its thread's */
} bz_interrupt;

/* Brackets around the guest, on its thread, whose frames are below stack. */
void bz_interrupt_enter(bz_interrupt *, const void *stack);
void bz_interrupt_leave(bz_interrupt *);

/* Sends the signal, from any thread; nothing if the guest does not run. */
void bz_interrupt_send(bz_interrupt *);

#endif
