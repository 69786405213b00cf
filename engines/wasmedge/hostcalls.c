#include "hostcalls.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

enum { TERMINATE = 1 };

static const char module_name[] = "wasi_snapshot_preview1";

static struct {
  char *name;
  WasmEdge_FunctionTypeContext *type;
  uint8_t params[BZ_MAX_PARAMS];
  uint32_t nparams;
  int has_result;
} functions[BZ_MAX_FUNCTIONS];
static int nfunctions;

int bz_we_define(int index, const char *name, const uint8_t *params, uint32_t n, int has_result) {
  if (index != nfunctions || index >= BZ_MAX_FUNCTIONS || n > BZ_MAX_PARAMS) return -1;
  WasmEdge_ValType types[BZ_MAX_PARAMS], result = we.ValTypeGenI32();
  for (uint32_t i = 0; i < n; i++) types[i] = params[i] ? we.ValTypeGenI64() : we.ValTypeGenI32();
  memcpy(functions[index].params, params, n);
  functions[index].nparams = n;
  functions[index].has_result = has_result;
  functions[index].name = strdup(name);
  functions[index].type = we.FunctionTypeCreate(types, n, &result, has_result ? 1 : 0);
  nfunctions++;
  return functions[index].name && functions[index].type ? 0 : -1;
}

/* One call on its way from the guest's stack to that of the thread, which Go knows. */
typedef struct crossing {
  bz_we_instance *in;
  int index, stop;
  uint8_t *base;
  uint64_t size;
  uint32_t errno_;
  uint64_t args[BZ_MAX_PARAMS];
} crossing;

static void cross(void *data) {
  crossing *c = data;
  bz_fault *before = bz_we_enter(NULL); /* faults in Go are Go's */
  c->stop = bzWasmEdgeCall(c->in->handle, c->index, c->base, c->size, c->args, &c->errno_);
  bz_we_enter(before);
}

static WasmEdge_Result call(void *data, const WasmEdge_CallingFrameContext *frame,
                            const WasmEdge_Value *params, WasmEdge_Value *returns) {
  bz_we_binding *b = data;
  bz_we_instance *in = b->instance;
  crossing c = {.in = in, .index = b->index};
  WasmEdge_MemoryInstanceContext *m = we.CallingFrameGetMemoryInstance(frame, 0);
  if (m) {
    __atomic_store_n(&in->memory, m, __ATOMIC_RELEASE);
    if (in->exports_memory) {
      c.size = (uint64_t)we.MemoryInstanceGetPageSize(m) * BZ_PAGE;
      c.base = we.MemoryInstanceGetPointer(m, 0, 0);
    }
  }
  for (uint32_t i = 0; i < functions[b->index].nparams; i++)
    c.args[i] = functions[b->index].params[i] ? (uint64_t)params[i].Value : (uint32_t)params[i].Value;
  void *unused;
  bz_stack_call(in->stack.host, cross, &c, &unused);
  if (c.stop) return (WasmEdge_Result){TERMINATE};
  if (functions[b->index].has_result) {
    returns[0].Value = c.errno_;
    returns[0].Type = we.ValTypeGenI32();
  }
  return (WasmEdge_Result){0};
}

static WasmEdge_Result do_nothing(void *data, const WasmEdge_CallingFrameContext *frame,
                                  const WasmEdge_Value *params, WasmEdge_Value *returns) {
  (void)data, (void)frame, (void)params, (void)returns;
  return (WasmEdge_Result){0};
}

WasmEdge_ModuleInstanceContext *bz_we_host_module(bz_we_instance *in) {
  WasmEdge_ModuleInstanceContext *m = we.ModuleInstanceCreate(bz_we_string(module_name));
  for (int i = 0; i < nfunctions; i++) {
    in->bindings[i] = (bz_we_binding){in, i};
    we.ModuleInstanceAddFunction(m, bz_we_string(functions[i].name),
                                 we.FunctionInstanceCreate(functions[i].type, call, &in->bindings[i], 0));
  }
  WasmEdge_FunctionTypeContext *none = we.FunctionTypeCreate(NULL, 0, NULL, 0);
  WasmEdge_String nothing = bz_we_string("blazar:nothing");
  we.ModuleInstanceAddFunction(m, nothing, we.FunctionInstanceCreate(none, do_nothing, NULL, 0));
  we.FunctionTypeDelete(none);
  in->nothing = we.ModuleInstanceFindFunction(m, nothing);
  return m;
}
