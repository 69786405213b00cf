#define _GNU_SOURCE
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Reservations that are kept per module: a few, for guests that come and go. Each
 * is address space, not memory. */
enum { POOL_KEEPS = 16 };

typedef struct mapping {
  uint8_t *base;
  size_t mapped;     /* the reservation with its guard */
  size_t accessible; /* bytes from base that may be read and written */
  int has_image;
} mapping;

struct bz_pool {
  int fd;
  uint64_t offset, size;
  pthread_mutex_t lock; /* guards the fields below */
  int kept;
  mapping free[POOL_KEEPS];
};

typedef struct memory {
  bz_account *account;
  mapping at;
  size_t size, capacity;
} memory;

static __thread bz_account *current;

void bz_account_use(bz_account *a) { current = a; }

bz_pool *bz_pool_new(int fd, uint64_t offset, uint64_t size) {
  bz_pool *p = calloc(1, sizeof *p);
  if (!p) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  p->fd = fd;
  p->offset = offset;
  p->size = size;
  pthread_mutex_init(&p->lock, NULL);
  return p;
}

void bz_pool_free(bz_pool *p) {
  for (int i = 0; i < p->kept; i++) munmap(p->free[i].base, p->free[i].mapped);
  if (p->fd >= 0) close(p->fd);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

/* take finds a kept mapping of that size, or returns 0. */
static int take(bz_pool *p, size_t mapped, int image, mapping *out) {
  int found = 0;
  pthread_mutex_lock(&p->lock);
  for (int i = p->kept - 1; i >= 0 && !found; i--) {
    if (p->free[i].mapped != mapped || p->free[i].has_image != image) continue;
    *out = p->free[i];
    p->free[i] = p->free[--p->kept];
    found = 1;
  }
  pthread_mutex_unlock(&p->lock);
  return found;
}

/* give keeps a mapping for the next guest of the module. Dropping its pages makes
 * them what they were at first: zeros, or the image. */
static void give(bz_pool *p, mapping m) {
  int kept = 0;
  if (madvise(m.base, m.accessible, MADV_DONTNEED) == 0) {
    pthread_mutex_lock(&p->lock);
    if (p->kept < POOL_KEEPS) {
      p->free[p->kept++] = m;
      kept = 1;
    }
    pthread_mutex_unlock(&p->lock);
  }
  if (!kept) munmap(m.base, m.mapped);
}

/* open makes exactly the first size bytes of a mapping accessible. */
static int open_to(mapping *m, size_t size) {
  if (size > m->accessible && mprotect(m->base + m->accessible, size - m->accessible, PROT_READ | PROT_WRITE)) return -1;
  if (size < m->accessible && mprotect(m->base + size, m->accessible - size, PROT_NONE)) return -1;
  m->accessible = size;
  return 0;
}

/* make maps a memory of size bytes whose first is the module's image, if it has one. */
static int make(bz_pool *p, size_t mapped, size_t size, int image, mapping *m) {
  if (take(p, mapped, image, m)) {
    if (open_to(m, size) == 0) return 0;
    munmap(m->base, m->mapped);
  }
  *m = (mapping){.mapped = mapped, .has_image = image};
  m->base = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m->base == MAP_FAILED) return -1;
  if (open_to(m, size)) goto fail;
  if (image && mmap(m->base + p->offset, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, p->fd, 0) == MAP_FAILED) goto fail;
  return 0;
fail:
  munmap(m->base, mapped);
  return -1;
}

void bz_account_init(bz_account *a, bz_pool *p, uint64_t limit) {
  *a = (bz_account){.pool = p, .limit = limit};
  pthread_mutex_init(&a->lock, NULL);
}

void bz_account_destroy(bz_account *a) { pthread_mutex_destroy(&a->lock); }

int bz_account_limit(bz_account *a, uint64_t limit, uint64_t *used) {
  pthread_mutex_lock(&a->lock);
  *used = a->used;
  int fits = !limit || limit >= a->used;
  if (fits) a->limit = limit;
  pthread_mutex_unlock(&a->lock);
  return fits;
}

uint64_t bz_account_used(bz_account *a) {
  pthread_mutex_lock(&a->lock);
  uint64_t used = a->used;
  pthread_mutex_unlock(&a->lock);
  return used;
}

/* charge accounts for delta bytes, or refuses them. */
static wasmtime_error_t *charge(bz_account *a, uint64_t delta) {
  pthread_mutex_lock(&a->lock);
  int fits = !a->limit || (a->used <= a->limit && delta <= a->limit - a->used);
  if (fits) {
    a->used += delta;
  } else {
    a->asked = a->used + delta;
    a->refused_by = a->limit;
  }
  pthread_mutex_unlock(&a->lock);
  if (fits) return NULL;
  bz_over_limit_hook(a);
  return wasmtime_error_new("memory limit exceeded");
}

static void discharge(bz_account *a, uint64_t delta) {
  pthread_mutex_lock(&a->lock);
  a->used -= delta;
  pthread_mutex_unlock(&a->lock);
}

static uint8_t *memory_get(void *env, size_t *size, size_t *capacity) {
  memory *m = env;
  *size = m->size;
  *capacity = m->capacity;
  return m->at.base;
}

/* Only with memories of our own is a growth beyond the limit seen, and told apart
 * from the maximum that the module declares: Wasmtime's limiter just makes
 * memory.grow return -1. */
static wasmtime_error_t *memory_grow(void *env, size_t size) {
  memory *m = env;
  if (size > m->capacity) return wasmtime_error_new("memory cannot grow beyond its reservation");
  if (size <= m->size) return NULL;
  wasmtime_error_t *e = charge(m->account, size - m->size);
  if (e) return e;
  if (open_to(&m->at, size)) {
    discharge(m->account, size - m->size);
    return wasmtime_error_new("the host has no memory left");
  }
  m->size = size;
  return NULL;
}

static void memory_free(void *env) {
  memory *m = env;
  discharge(m->account, m->size);
  give(m->account->pool, m->at);
  free(m);
}

wasmtime_error_t *bz_memory_new(void *env, const wasm_memorytype_t *type, size_t minimum, size_t maximum,
                                size_t reserved, size_t guard, wasmtime_linear_memory_t *out) {
  (void)env, (void)type;
  bz_account *a = current;
  if (!a) return wasmtime_error_new("a memory outside of an instance");
  size_t capacity = reserved > minimum ? reserved : minimum, mapped;
  if (__builtin_add_overflow(capacity, guard, &mapped)) return wasmtime_error_new("a memory larger than the address space");
  wasmtime_error_t *e = charge(a, minimum);
  if (e) return e;
  int image = !a->has_image && a->pool->fd >= 0; /* a module with an image has one memory */
  memory *m = calloc(1, sizeof *m);
  if (!m || make(a->pool, mapped, minimum, image, &m->at)) {
    free(m);
    discharge(a, minimum);
    return wasmtime_error_new("the host cannot reserve the address space of a linear memory");
  }
  a->has_image = 1;
  m->account = a;
  m->size = minimum;
  m->capacity = maximum < capacity ? maximum : capacity;
  *out = (wasmtime_linear_memory_t){m, memory_get, memory_grow, memory_free};
  return NULL;
}
