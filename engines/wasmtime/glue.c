#define _GNU_SOURCE
#include "glue.h"

#include "baseline.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

struct bz_instance {
  bz_account account; /* first: bz_over_limit_hook finds the instance by it */
  wasm_engine_t *engine;
  wasmtime_store_t *store;
  uintptr_t handle;
  bz_interrupt interrupt;
  int stop; /* set by Kill and by a memory over its limit */
  int has_memory;
  wasmtime_memory_t memory;
};

void bz_over_limit_hook(bz_account *a) {
  bz_instance *in = (bz_instance *)a;
  bz_stop(in);
  wasmtime_engine_increment_epoch(in->engine); /* ends at its next loop or call */
  if (in->interrupt.text.trap) bzOverLimit(in->handle);
}

wasm_engine_t *bz_engine_new(int baseline, int epochs) {
  wasm_config_t *c = wasm_config_new();
  if (baseline && !bz_config_baseline(c)) {
    wasm_config_delete(c);
    return NULL;
  }
  wasmtime_config_epoch_interruption_set(c, epochs);
  wasmtime_config_memory_init_cow_set(c, false); /* for Wasmtime's own memories only; see memory.c */
  wasmtime_config_max_wasm_stack_set(c, BZ_WASM_STACK);
  /* A guest in memory.atomic.wait could not be ended; exceptions and garbage
   * collection keep objects in memory of the host that no limit reaches. */
  wasmtime_config_wasm_threads_set(c, false);
  wasmtime_config_wasm_gc_set(c, false);
  wasmtime_config_wasm_function_references_set(c, false);
  wasmtime_config_wasm_exceptions_set(c, false);
  wasmtime_config_wasm_memory64_set(c, false);
  wasmtime_memory_creator_t creator = {NULL, bz_memory_new, NULL};
  wasmtime_config_host_memory_creator_set(c, &creator);
  return wasm_engine_new_with_config(c);
}

char *bz_take_error(wasmtime_error_t *e) {
  wasm_byte_vec_t m;
  wasmtime_error_message(e, &m);
  char *s = strndup(m.data, m.size);
  wasm_byte_vec_delete(&m);
  wasmtime_error_delete(e);
  return s;
}

static int stopped(const bz_instance *in) { return __atomic_load_n(&in->stop, __ATOMIC_ACQUIRE); }

/* call is every WASI function: env is its index, the store's data the instance. */
static wasm_trap_t *call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *args, size_t n) {
  wasmtime_context_t *cx = wasmtime_caller_context(caller);
  bz_instance *in = wasmtime_context_get_data(cx);
  if (stopped(in)) return wasmtime_trap_new("stopped", 7);
  if (!in->has_memory) {
    wasmtime_extern_t x;
    if (wasmtime_caller_export_get(caller, "memory", 6, &x) && x.kind == WASMTIME_EXTERN_MEMORY) {
      in->memory = x.of.memory;
      in->has_memory = 1;
    }
  }
  uint8_t *base = NULL;
  size_t size = 0;
  if (in->has_memory) {
    base = wasmtime_memory_data(cx, &in->memory);
    size = wasmtime_memory_data_size(cx, &in->memory);
  }
  if (bzCall(in->handle, (int)(intptr_t)env, base, size, args, n) || stopped(in)) return wasmtime_trap_new("stopped", 7);
  return NULL;
}

wasmtime_error_t *bz_define(wasmtime_linker_t *l, const char *module, const char *name,
                            const uint8_t *params, size_t nparams, int has_result, int index) {
  wasm_valtype_t *ps[16], *rs[1];
  if (nparams > 16) return wasmtime_error_new("too many parameters");
  for (size_t i = 0; i < nparams; i++) ps[i] = wasm_valtype_new(params[i] ? WASM_I64 : WASM_I32);
  if (has_result) rs[0] = wasm_valtype_new(WASM_I32);
  wasm_valtype_vec_t p, r;
  wasm_valtype_vec_new(&p, nparams, ps);
  wasm_valtype_vec_new(&r, has_result ? 1 : 0, rs);
  wasm_functype_t *type = wasm_functype_new(&p, &r);
  wasmtime_error_t *e = wasmtime_linker_define_func_unchecked(
      l, module, strlen(module), name, strlen(name), type, call, (void *)(intptr_t)index, NULL);
  wasm_functype_delete(type);
  return e;
}

static wasmtime_error_t *on_epoch(wasmtime_context_t *cx, void *data, uint64_t *delta,
                                  wasmtime_update_deadline_kind_t *kind) {
  (void)cx;
  bz_instance *in = data;
  if (stopped(in)) return wasmtime_error_new("stopped");
  *delta = 1;
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return NULL;
}

bz_instance *bz_new(wasm_engine_t *engine, bz_pool *pool, const bz_text *text, uintptr_t h, uint64_t limit) {
  bz_instance *in = calloc(1, sizeof *in);
  if (!in) return NULL;
  in->engine = engine;
  in->handle = h;
  in->interrupt = (bz_interrupt){.text = *text, .stop = &in->stop};
  bz_account_init(&in->account, pool, limit);
  in->store = wasmtime_store_new(engine, in, NULL);
  /* Tables are the host's memory too. -1: memories are bounded by the account. */
  wasmtime_store_limiter(in->store, -1, BZ_TABLE_ELEMENTS, -1, -1, -1);
  wasmtime_store_epoch_deadline_callback(in->store, on_epoch, in, NULL);
  wasmtime_context_set_epoch_deadline(wasmtime_store_context(in->store), 1);
  return in;
}

/* copy duplicates a text of bounded length: names in it are the guest's. */
static char *copy(const wasm_byte_vec_t *v) { return strndup(v->data, v->size < BZ_TEXT ? v->size : BZ_TEXT); }

static bz_exit ended(bz_instance *in, wasmtime_error_t *e, wasm_trap_t *t, int32_t result) {
  bz_exit x = {.kind = BZ_RETURNED, .trap_code = -1, .result = result};
  if (t) {
    x.kind = BZ_TRAP;
    wasmtime_trap_code_t code;
    if (wasmtime_trap_code(t, &code)) x.trap_code = code;
    wasm_message_t m;
    wasm_trap_message(t, &m);
    x.text = copy(&m);
    wasm_byte_vec_delete(&m);
    wasm_frame_t *f = wasm_trap_origin(t);
    if (f) {
      const wasm_name_t *n = wasmtime_frame_func_name(f);
      if (n) x.function = copy(n);
      x.function_index = wasm_frame_func_index(f);
      x.has_frame = 1;
      wasm_frame_delete(f);
    }
    wasm_trap_delete(t);
  } else if (e) {
    x.kind = BZ_FAILED;
    x.text = bz_take_error(e);
  }
  const bz_text *text = &in->interrupt.text;
  if (text->trap && x.has_frame && x.function_index == text->function) x.trap_code = -1; /* nobody calls it: interrupted */
  /* Any other trap with a code is the guest's own, however close a kill. */
  if (x.kind != BZ_RETURNED && x.trap_code < 0 && stopped(in)) x.kind = BZ_STOPPED;
  return x;
}

static int invoke(bz_instance *in, wasmtime_instance_t *inst, const char *name, int has_result, bz_exit *x) {
  wasmtime_context_t *cx = wasmtime_store_context(in->store);
  wasmtime_extern_t f;
  if (!wasmtime_instance_export_get(cx, inst, name, strlen(name), &f) || f.kind != WASMTIME_EXTERN_FUNC) {
    *x = (bz_exit){.kind = BZ_FAILED, .text = strdup("the entry vanished from the instance")};
    return 1;
  }
  wasmtime_val_raw_t raw[1];
  memset(raw, 0, sizeof raw);
  wasm_trap_t *t = NULL;
  wasmtime_error_t *e = wasmtime_func_call_unchecked(cx, &f.of.func, raw, 1, &t);
  *x = ended(in, e, t, has_result ? raw[0].i32 : 0);
  return x->kind != BZ_RETURNED;
}

static bz_exit run(bz_instance *in, wasmtime_instance_pre_t *pre, const char *init, const char *entry, int has_result) {
  wasm_trap_t *t = NULL;
  wasmtime_instance_t inst;
  bz_account_use(&in->account);
  wasmtime_error_t *e =
      wasmtime_instance_pre_instantiate(pre, wasmtime_store_context(in->store), &inst, &t);
  bz_account_use(NULL);
  if (e || t) return ended(in, e, t, 0);
  bz_exit x;
  if (init && invoke(in, &inst, init, 0, &x)) return x;
  invoke(in, &inst, entry, has_result, &x);
  return x;
}

bz_exit bz_run(bz_instance *in, wasmtime_instance_pre_t *pre, const char *init, const char *entry, int has_result) {
  bz_interrupt_enter(&in->interrupt, __builtin_frame_address(0));
  bz_exit x = run(in, pre, init, entry, has_result);
  bz_interrupt_leave(&in->interrupt);
  return x;
}

void bz_stop(bz_instance *in) { __atomic_store_n(&in->stop, 1, __ATOMIC_RELEASE); }

bz_interrupt *bz_interrupt_of(bz_instance *in) { return &in->interrupt; }

bz_account *bz_account_of(bz_instance *in) { return &in->account; }

void bz_end(bz_instance *in) {
  if (in->store) wasmtime_store_delete(in->store);
  in->store = NULL;
}

void bz_free(bz_instance *in) {
  bz_end(in);
  bz_account_destroy(&in->account);
  free(in);
}
