/* What the Go side calls: instances, and results that need no further call. */
#ifndef BLAZAR_WASMEDGE_GLUE_H
#define BLAZAR_WASMEDGE_GLUE_H

#include "frames.h"
#include "library.h"
#include "signals.h"

typedef struct bz_we_instance bz_we_instance;

/* What machine code depends on, of the processor. */
enum { BZ_CPU_WORDS = 13 };
void bz_we_processor(uint32_t out[BZ_CPU_WORDS]);

/* How a run ended. text is NULL or what failed, to be freed; function is the index
 * of the innermost function of the guest, -1 where it is not known. */
typedef struct bz_we_exit {
  uint32_t code; /* WasmEdge's, 0 if the entry returned */
  int32_t result;
  int overflow;   /* of the stack */
  int over_limit; /* of memory */
  long function;
  char *text;
} bz_we_exit;

/* The types of the host functions, made once. params: 0 is i32, 1 is i64. */
int bz_we_define(int index, const char *name, const uint8_t *params, uint32_t nparams, int has_result);

/* Compiles a module to the file out; returns NULL or why not, to be freed, with
 * WasmEdge's code. */
char *bz_we_compile(const uint8_t *module, uint64_t size, const char *out, uint32_t *code);
char *bz_we_load(const char *path, WasmEdge_ASTModuleContext **module);
void bz_we_unload(WasmEdge_ASTModuleContext *module);

/* limit in pages, negative for none; memory says that WASI functions see memory 0. */
bz_we_instance *bz_we_new(const WasmEdge_ASTModuleContext *module, uintptr_t handle, int64_t limit, int memory);
/* Instantiates and calls init (may be NULL), then entry. over is the global that is 1
 * after a refused growth of memory. The module's own functions are those from first to
 * before end: imported ones are before them, added ones behind. */
bz_we_exit bz_we_run(bz_we_instance *, const char *init, const char *entry, int has_result, const char *over,
                   long first, long end);
/* Sets the stop token that machine code polls. Any thread, from bz_we_new until
 * bz_we_free; it is one-shot, and may come too early or be used up: repeat it. */
void bz_we_stop(bz_we_instance *);
/* The bytes of memory 0. Any thread. */
uint64_t bz_we_memory(const bz_we_instance *);
void bz_we_free(bz_we_instance *);

#endif
