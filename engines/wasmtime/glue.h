/* What the Go side calls: instances with their memories, and results that need
 * no further call across the border. */
#ifndef BLAZAR_WASMTIME_GLUE_H
#define BLAZAR_WASMTIME_GLUE_H

#include "capi.h"
#include "interrupt.h"
#include "memory.h"

enum {
  BZ_WASM_STACK = 1 << 20,     /* bytes of a guest's stack */
  BZ_TABLE_ELEMENTS = 1 << 20, /* of one table; prepare.TableBudget bounds their sum */
  BZ_TEXT = 64 << 10,          /* bytes of a text that comes with an exit */
};

enum { BZ_RETURNED, BZ_TRAP, BZ_STOPPED, BZ_FAILED };

/* How a run ended. text and function are the caller's to free. */
typedef struct bz_exit {
  int kind;
  int trap_code;   /* wasmtime_trap_code_t, -1 for none */
  int32_t result;
  int has_frame;   /* function_index holds */
  uint32_t function_index;
  char *text;
  char *function;  /* NULL where it has no name */
} bz_exit;

typedef struct bz_instance bz_instance;

/* NULL if it cannot be made, above all for want of a baseline compiler. */
wasm_engine_t *bz_engine_new(int baseline, int epochs);
char *bz_take_error(wasmtime_error_t *);
wasmtime_error_t *bz_define(wasmtime_linker_t *, const char *module, const char *name,
                            const uint8_t *params, size_t nparams, int has_result, int index);

/* text is where its functions are, for an engine whose code has no epochs. */
bz_instance *bz_new(wasm_engine_t *, bz_pool *, const bz_text *, uintptr_t h, uint64_t memory_limit);
/* Instantiates and calls init (may be NULL), then entry, whose result counts if
 * has_result. */
bz_exit bz_run(bz_instance *, wasmtime_instance_pre_t *, const char *init, const char *entry, int has_result);
/* Ends the guest: code with epochs at its next loop or call, once the engine's epoch
 * moves, other code once bz_interrupt_send has met it in a function. */
void bz_stop(bz_instance *);
bz_interrupt *bz_interrupt_of(bz_instance *);
/* What it has of memory; any thread, until bz_free. */
bz_account *bz_account_of(bz_instance *);
/* Frees what the guest had, after bz_run; the instance itself stays. */
void bz_end(bz_instance *);
void bz_free(bz_instance *);

#endif
