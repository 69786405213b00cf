/* Stacks that guests run on, and what happens at their ends. */
#ifndef BLAZAR_WASMEDGE_STACK_H
#define BLAZAR_WASMEDGE_STACK_H

#include <stddef.h>
#include <stdint.h>

/* The end of machine code is the least of its problems: without probes of the stack
 * a function with a large frame steps over a guard page into whatever lies behind.
 * So the guard is larger than any frame can be: a function has at most 7,654,321
 * bytes, as in browsers, and every instruction leaves at most one value of 16. */
enum {
  BZ_STACK_SIZE = 2 << 20,
  BZ_STACK_RESERVE = 256 << 10, /* for library code that a guest called near the end */
  BZ_STACK_GUARD = 256 << 20,
};

typedef struct bz_stack {
  uint8_t *base;           /* of the mapping: guard, reserve, stack */
  uint8_t *reserve, *low;  /* low is where the guest's part begins */
  uint8_t *top;
  void *host;              /* the stack pointer of the thread that entered */
} bz_stack;

int bz_stack_new(bz_stack *);
void bz_stack_free(bz_stack *);

/* Calls fn(arg) on the stack that ends at top and stores the present stack pointer
 * in *from before. Returns when fn does. */
void bz_stack_call(void *top, void (*fn)(void *), void *arg, void **from);

#endif
