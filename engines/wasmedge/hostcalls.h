/* The host functions of an instance. */
#ifndef BLAZAR_WASMEDGE_HOSTCALLS_H
#define BLAZAR_WASMEDGE_HOSTCALLS_H

#include "glue.h"

enum { BZ_MAX_FUNCTIONS = 64, BZ_MAX_PARAMS = 16, BZ_PAGE = 65536 };

/* What one host function of one instance knows. */
typedef struct bz_we_binding {
  bz_we_instance *instance;
  int index;
} bz_we_binding;

struct bz_we_instance {
  const WasmEdge_ASTModuleContext *module;
  WasmEdge_ConfigureContext *config;
  WasmEdge_ExecutorContext *executor;
  WasmEdge_StoreContext *store;
  WasmEdge_ModuleInstanceContext *host, *guest;
  WasmEdge_FunctionInstanceContext *nothing; /* a host function that the stop runs */
  WasmEdge_MemoryInstanceContext *memory;    /* once it is known; read by other threads */
  uintptr_t handle;
  int exports_memory;
  bz_stack stack;
  bz_fault fault;
  bz_we_binding bindings[BZ_MAX_FUNCTIONS];
};

/* The module of all WASI functions, bound to the instance. */
WasmEdge_ModuleInstanceContext *bz_we_host_module(bz_we_instance *);

static inline WasmEdge_String bz_we_string(const char *s) {
  return (WasmEdge_String){(uint32_t)__builtin_strlen(s), s};
}

#endif
