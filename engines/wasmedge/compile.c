#include <stdlib.h>
#include <string.h>

#include "glue.h"

static char *failure(WasmEdge_Result r) { return we.ResultOK(r) ? NULL : strdup(we.ResultGetMessage(r)); }

/* The proposals beyond version 2 of the core specification that compilers use, the
 * same as on the other engines. */
static WasmEdge_ConfigureContext *configuration(void) {
  WasmEdge_ConfigureContext *c = we.ConfigureCreate();
  we.ConfigureAddProposal(c, WasmEdge_Proposal_TailCall);
  we.ConfigureAddProposal(c, WasmEdge_Proposal_ExtendedConst);
  return c;
}

/* Machine code that can be interrupted, at the level that compiles in seconds: a
 * program of Go takes twenty times as long at O1, whose code for loops is two to four
 * times as fast. */
char *bz_we_compile(const uint8_t *module, uint64_t size, const char *out, uint32_t *code) {
  WasmEdge_ConfigureContext *c = configuration();
  we.ConfigureCompilerSetInterruptible(c, true);
  we.ConfigureCompilerSetOptimizationLevel(c, WasmEdge_CompilerOptimizationLevel_O0);
  we.ConfigureCompilerSetOutputFormat(c, WasmEdge_CompilerOutputFormat_Native);
  WasmEdge_CompilerContext *k = we.CompilerCreate(c);
  char *e = NULL;
  *code = 0;
  if (k) {
    WasmEdge_Result r = we.CompilerCompileFromBuffer(k, module, size, out);
    *code = r.Code & 0xffffff;
    e = failure(r);
    we.CompilerDelete(k);
  } else {
    e = strdup("this libwasmedge was built without a compiler");
  }
  we.ConfigureDelete(c);
  return e;
}

char *bz_we_load(const char *path, WasmEdge_ASTModuleContext **module) {
  WasmEdge_ConfigureContext *c = configuration();
  WasmEdge_LoaderContext *l = we.LoaderCreate(c);
  char *e = failure(we.LoaderParseFromFile(l, module, path));
  we.LoaderDelete(l);
  if (!e) {
    WasmEdge_ValidatorContext *v = we.ValidatorCreate(c);
    e = failure(we.ValidatorValidate(v, *module));
    we.ValidatorDelete(v);
    if (e) we.ASTModuleDelete(*module);
  }
  we.ConfigureDelete(c);
  return e;
}

void bz_we_unload(WasmEdge_ASTModuleContext *module) { we.ASTModuleDelete(module); }
