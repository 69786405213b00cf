/* Linear memories of our own, made for Wasmtime's host memory creator. */
#ifndef BLAZAR_WASMTIME_MEMORY_H
#define BLAZAR_WASMTIME_MEMORY_H

#include <pthread.h>

#include "capi.h"

/* The memories of one module: what the first of them starts with, mapped copy on
 * write from a file, and reservations that ended guests left for the next. */
typedef struct bz_pool bz_pool;

/* Takes over fd; -1 stands for a memory that starts with zeros. The image has size
 * bytes at offset of the memory, both multiples of the page size. NULL without memory. */
bz_pool *bz_pool_new(int fd, uint64_t offset, uint64_t size);
/* After the last memory made from it has gone. */
void bz_pool_free(bz_pool *);

/* What one guest has of memory. */
typedef struct bz_account {
  bz_pool *pool;
  int has_image;        /* the first memory has been made */
  pthread_mutex_t lock; /* guards the fields below */
  uint64_t limit;       /* bytes, 0 = none */
  uint64_t used;        /* bytes of all linear memories */
  uint64_t asked;       /* what the refused request would have come to; 0 = none was */
  uint64_t refused_by;  /* the limit at that time */
} bz_account;

void bz_account_init(bz_account *, bz_pool *, uint64_t limit);
void bz_account_destroy(bz_account *);
/* Changes the limit and returns 1, unless more is used; *used is set either way. */
int bz_account_limit(bz_account *, uint64_t limit, uint64_t *used);
uint64_t bz_account_used(bz_account *);

/* Wasmtime asks for memories without saying for whom: for this account, on this
 * thread, until the next call. NULL for none. */
void bz_account_use(bz_account *);
/* Called on a guest's thread when it asks for more than its limit. */
void bz_over_limit_hook(bz_account *);

wasmtime_error_t *bz_memory_new(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                size_t reserved, size_t guard, wasmtime_linear_memory_t *out);

#endif
