#include "glue.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "hostcalls.h"

bz_we_instance *bz_we_new(const WasmEdge_ASTModuleContext *module, uintptr_t handle, int64_t limit, int memory) {
  bz_we_instance *in = calloc(1, sizeof *in);
  if (!in) return NULL;
  if (bz_stack_new(&in->stack)) {
    free(in);
    return NULL;
  }
  in->fault.stack = &in->stack;
  in->module = module;
  in->handle = handle;
  in->exports_memory = memory;
  in->config = we.ConfigureCreate();
  if (limit >= 0) we.ConfigureSetMaxMemoryPage(in->config, (uint32_t)limit);
  in->executor = we.ExecutorCreate(in->config, NULL);
  in->store = we.StoreCreate();
  in->host = bz_we_host_module(in);
  return in;
}

/* One run on its way to the guest's stack. */
typedef struct running {
  bz_we_instance *in;
  const char *init, *entry;
  int has_result;
  int32_t value;
  WasmEdge_Result result;
} running;

/* An end before the entry has returned. */
static int ended(const running *r) { return r->result.Code != 0; }

static void invoke(running *r, const char *name, int has_result) {
  WasmEdge_FunctionInstanceContext *f = we.ModuleInstanceFindFunction(r->in->guest, bz_we_string(name));
  WasmEdge_Value value;
  memset(&value, 0, sizeof value);
  r->result = we.ExecutorInvoke(r->in->executor, f, NULL, 0, &value, has_result ? 1 : 0);
  r->value = has_result ? (int32_t)(uint32_t)value.Value : 0;
}

static void run(void *data) {
  running *r = data;
  bz_we_instance *in = r->in;
  bz_fault *before = bz_we_enter(&in->fault);
  r->result = we.ExecutorRegisterImport(in->executor, in->store, in->host);
  if (!ended(r)) r->result = we.ExecutorInstantiate(in->executor, &in->guest, in->store, in->module);
  if (!ended(r)) {
    WasmEdge_MemoryInstanceContext *m = we.ModuleInstanceFindMemory(in->guest, bz_we_string("memory"));
    if (m) __atomic_store_n(&in->memory, m, __ATOMIC_RELEASE);
    if (r->init) invoke(r, r->init, 0);
    if (!ended(r)) invoke(r, r->entry, r->has_result);
  }
  bz_we_enter(before);
}

static int global_is_set(bz_we_instance *in, const char *name) {
  if (!in->guest) return 0;
  WasmEdge_GlobalInstanceContext *g = we.ModuleInstanceFindGlobal(in->guest, bz_we_string(name));
  return g && (uint32_t)we.GlobalInstanceGetValue(g).Value == 1;
}

bz_we_exit bz_we_run(bz_we_instance *in, const char *init, const char *entry, int has_result, const char *over,
                   long first, long end) {
  running r = {.in = in, .init = init, .entry = entry, .has_result = has_result};
  bz_stack_call(in->stack.top, run, &r, &in->stack.host);
  bz_we_exit x = {.code = r.result.Code & 0xffffff, .result = r.value, .function = -1};
  if (!ended(&r)) return x;
  x.overflow = in->fault.overflow;
  x.over_limit = global_is_set(in, over);
  for (int i = 0; i < in->fault.pcs && x.function < 0; i++) {
    x.function = bz_we_function(in->fault.pc[i]);
    if (x.function < first || x.function >= end) x.function = -1;
  }
  if (!we.ResultOK(r.result)) x.text = strdup(we.ResultGetMessage(r.result));
  return x;
}

/* The stop token belongs to the executor and is reached only through the handle of
 * an asynchronous call on it. The thread of that call is the library's: it is to see
 * none of the process's signals. */
void bz_we_stop(bz_we_instance *in) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  WasmEdge_Async *a = we.ExecutorAsyncInvoke(in->executor, in->nothing, NULL, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!a) return;
  we.AsyncWait(a);
  we.AsyncCancel(a);
  we.AsyncDelete(a);
}

uint64_t bz_we_memory(const bz_we_instance *in) {
  WasmEdge_MemoryInstanceContext *m = __atomic_load_n(&in->memory, __ATOMIC_ACQUIRE);
  return m ? (uint64_t)we.MemoryInstanceGetPageSize(m) * BZ_PAGE : 0;
}

void bz_we_free(bz_we_instance *in) {
  if (in->guest) we.ModuleInstanceDelete(in->guest);
  we.ModuleInstanceDelete(in->host);
  we.StoreDelete(in->store);
  we.ExecutorDelete(in->executor);
  we.ConfigureDelete(in->config);
  bz_stack_free(&in->stack);
  free(in);
}
