#define _GNU_SOURCE
#include "stack.h"

#include <sys/mman.h>

int bz_stack_new(bz_stack *s) {
  size_t all = (size_t)BZ_STACK_GUARD + BZ_STACK_RESERVE + BZ_STACK_SIZE;
  s->base = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (s->base == MAP_FAILED) {
    s->base = NULL;
    return -1;
  }
  s->reserve = s->base + BZ_STACK_GUARD;
  s->low = s->reserve + BZ_STACK_RESERVE;
  s->top = s->base + all;
  if (mprotect(s->low, BZ_STACK_SIZE, PROT_READ | PROT_WRITE)) {
    bz_stack_free(s);
    return -1;
  }
  return 0;
}

void bz_stack_free(bz_stack *s) {
  if (s->base) munmap(s->base, (size_t)(s->top - s->base));
  s->base = NULL;
}

/* System V ABI: rbp survives fn; the frame pointer also lets unwinders, which read
 * the CFI, find the way back over the border. */
__asm__(
    ".text\n"
    ".globl bz_stack_call\n"
    ".hidden bz_stack_call\n"
    ".type bz_stack_call, @function\n"
    "bz_stack_call:\n"
    "  .cfi_startproc\n"
    "  pushq %rbp\n"
    "  .cfi_def_cfa_offset 16\n"
    "  .cfi_offset %rbp, -16\n"
    "  movq %rsp, %rbp\n"
    "  .cfi_def_cfa_register %rbp\n"
    "  movq %rsp, (%rcx)\n"
    "  movq %rdi, %rsp\n"
    "  movq %rdx, %rdi\n"
    "  callq *%rsi\n"
    "  movq %rbp, %rsp\n"
    "  popq %rbp\n"
    "  .cfi_def_cfa %rsp, 8\n"
    "  retq\n"
    "  .cfi_endproc\n"
    ".size bz_stack_call, .-bz_stack_call\n");
