/* The part of WasmEdge's C API that this package uses, of libwasmedge.so.0 (0.14).
 *
 * The library is found at run time, so that one binary works with and without it:
 * no header and no linking. Types are passed as the System V ABI passes those of
 * wasmedge.h; TestHeaderAgrees compiles both where the header is installed. */
#ifndef BLAZAR_WASMEDGE_CAPI_H
#define BLAZAR_WASMEDGE_CAPI_H

#include <stdbool.h>
#include <stdint.h>

#ifndef WASMEDGE_C_API_H
typedef unsigned __int128 uint128_t;
typedef struct WasmEdge_ValType {
  uint8_t Data[8];
} WasmEdge_ValType;
typedef struct WasmEdge_Value {
  uint128_t Value;
  WasmEdge_ValType Type;
} WasmEdge_Value;
typedef struct WasmEdge_String {
  uint32_t Length;
  const char *Buf;
} WasmEdge_String;
typedef struct WasmEdge_Result {
  uint32_t Code;
} WasmEdge_Result;

typedef struct WasmEdge_ConfigureContext WasmEdge_ConfigureContext;
typedef struct WasmEdge_StatisticsContext WasmEdge_StatisticsContext;
typedef struct WasmEdge_ASTModuleContext WasmEdge_ASTModuleContext;
typedef struct WasmEdge_FunctionTypeContext WasmEdge_FunctionTypeContext;
typedef struct WasmEdge_CompilerContext WasmEdge_CompilerContext;
typedef struct WasmEdge_LoaderContext WasmEdge_LoaderContext;
typedef struct WasmEdge_ValidatorContext WasmEdge_ValidatorContext;
typedef struct WasmEdge_ExecutorContext WasmEdge_ExecutorContext;
typedef struct WasmEdge_StoreContext WasmEdge_StoreContext;
typedef struct WasmEdge_ModuleInstanceContext WasmEdge_ModuleInstanceContext;
typedef struct WasmEdge_FunctionInstanceContext WasmEdge_FunctionInstanceContext;
typedef struct WasmEdge_MemoryInstanceContext WasmEdge_MemoryInstanceContext;
typedef struct WasmEdge_GlobalInstanceContext WasmEdge_GlobalInstanceContext;
typedef struct WasmEdge_CallingFrameContext WasmEdge_CallingFrameContext;
typedef struct WasmEdge_Async WasmEdge_Async;

typedef WasmEdge_Result (*WasmEdge_HostFunc_t)(
    void *, const WasmEdge_CallingFrameContext *, const WasmEdge_Value *, WasmEdge_Value *);

enum WasmEdge_Proposal { WasmEdge_Proposal_TailCall = 7, WasmEdge_Proposal_ExtendedConst = 8 };
enum WasmEdge_CompilerOptimizationLevel { WasmEdge_CompilerOptimizationLevel_O0 };
enum WasmEdge_CompilerOutputFormat { WasmEdge_CompilerOutputFormat_Native };
#endif /* WASMEDGE_C_API_H */

/* X(return type, name without the prefix, parameters) for every function used. */
#define WASMEDGE_FUNCTIONS(X)                                                                     \
  X(const char *, VersionGet, (void))                                                             \
  X(void, LogOff, (void))                                                                         \
  X(WasmEdge_ValType, ValTypeGenI32, (void))                                                      \
  X(WasmEdge_ValType, ValTypeGenI64, (void))                                                      \
  X(bool, ResultOK, (const WasmEdge_Result))                                                      \
  X(const char *, ResultGetMessage, (const WasmEdge_Result))                                      \
  X(WasmEdge_ConfigureContext *, ConfigureCreate, (void))                                         \
  X(void, ConfigureAddProposal, (WasmEdge_ConfigureContext *, const enum WasmEdge_Proposal))      \
  X(void, ConfigureSetMaxMemoryPage, (WasmEdge_ConfigureContext *, const uint32_t))               \
  X(void, ConfigureCompilerSetOptimizationLevel,                                                  \
    (WasmEdge_ConfigureContext *, const enum WasmEdge_CompilerOptimizationLevel))                 \
  X(void, ConfigureCompilerSetOutputFormat,                                                       \
    (WasmEdge_ConfigureContext *, const enum WasmEdge_CompilerOutputFormat))                      \
  X(void, ConfigureCompilerSetInterruptible, (WasmEdge_ConfigureContext *, const bool))           \
  X(void, ConfigureDelete, (WasmEdge_ConfigureContext *))                                         \
  X(WasmEdge_CompilerContext *, CompilerCreate, (const WasmEdge_ConfigureContext *))              \
  X(WasmEdge_Result, CompilerCompileFromBuffer,                                                   \
    (WasmEdge_CompilerContext *, const uint8_t *, const uint64_t, const char *))                  \
  X(void, CompilerDelete, (WasmEdge_CompilerContext *))                                           \
  X(WasmEdge_LoaderContext *, LoaderCreate, (const WasmEdge_ConfigureContext *))                  \
  X(WasmEdge_Result, LoaderParseFromFile,                                                         \
    (WasmEdge_LoaderContext *, WasmEdge_ASTModuleContext **, const char *))                       \
  X(void, LoaderDelete, (WasmEdge_LoaderContext *))                                               \
  X(WasmEdge_ValidatorContext *, ValidatorCreate, (const WasmEdge_ConfigureContext *))            \
  X(WasmEdge_Result, ValidatorValidate,                                                           \
    (WasmEdge_ValidatorContext *, const WasmEdge_ASTModuleContext *))                             \
  X(void, ValidatorDelete, (WasmEdge_ValidatorContext *))                                         \
  X(void, ASTModuleDelete, (WasmEdge_ASTModuleContext *))                                         \
  X(WasmEdge_ExecutorContext *, ExecutorCreate,                                                   \
    (const WasmEdge_ConfigureContext *, WasmEdge_StatisticsContext *))                            \
  X(WasmEdge_Result, ExecutorInstantiate,                                                         \
    (WasmEdge_ExecutorContext *, WasmEdge_ModuleInstanceContext **, WasmEdge_StoreContext *,      \
     const WasmEdge_ASTModuleContext *))                                                          \
  X(WasmEdge_Result, ExecutorRegisterImport,                                                      \
    (WasmEdge_ExecutorContext *, WasmEdge_StoreContext *, const WasmEdge_ModuleInstanceContext *))\
  X(WasmEdge_Result, ExecutorInvoke,                                                              \
    (WasmEdge_ExecutorContext *, const WasmEdge_FunctionInstanceContext *,                        \
     const WasmEdge_Value *, const uint32_t, WasmEdge_Value *, const uint32_t))                   \
  X(WasmEdge_Async *, ExecutorAsyncInvoke,                                                        \
    (WasmEdge_ExecutorContext *, const WasmEdge_FunctionInstanceContext *,                        \
     const WasmEdge_Value *, const uint32_t))                                                     \
  X(void, ExecutorDelete, (WasmEdge_ExecutorContext *))                                           \
  X(void, AsyncWait, (const WasmEdge_Async *))                                                    \
  X(void, AsyncCancel, (WasmEdge_Async *))                                                        \
  X(void, AsyncDelete, (WasmEdge_Async *))                                                        \
  X(WasmEdge_StoreContext *, StoreCreate, (void))                                                 \
  X(void, StoreDelete, (WasmEdge_StoreContext *))                                                 \
  X(WasmEdge_ModuleInstanceContext *, ModuleInstanceCreate, (const WasmEdge_String))              \
  X(void, ModuleInstanceAddFunction,                                                              \
    (WasmEdge_ModuleInstanceContext *, const WasmEdge_String, WasmEdge_FunctionInstanceContext *))\
  X(WasmEdge_FunctionInstanceContext *, ModuleInstanceFindFunction,                               \
    (const WasmEdge_ModuleInstanceContext *, const WasmEdge_String))                              \
  X(WasmEdge_MemoryInstanceContext *, ModuleInstanceFindMemory,                                   \
    (const WasmEdge_ModuleInstanceContext *, const WasmEdge_String))                              \
  X(WasmEdge_GlobalInstanceContext *, ModuleInstanceFindGlobal,                                   \
    (const WasmEdge_ModuleInstanceContext *, const WasmEdge_String))                              \
  X(void, ModuleInstanceDelete, (WasmEdge_ModuleInstanceContext *))                               \
  X(WasmEdge_Value, GlobalInstanceGetValue, (const WasmEdge_GlobalInstanceContext *))             \
  X(WasmEdge_FunctionTypeContext *, FunctionTypeCreate,                                           \
    (const WasmEdge_ValType *, const uint32_t, const WasmEdge_ValType *, const uint32_t))         \
  X(void, FunctionTypeDelete, (WasmEdge_FunctionTypeContext *))                                   \
  X(WasmEdge_FunctionInstanceContext *, FunctionInstanceCreate,                                   \
    (const WasmEdge_FunctionTypeContext *, WasmEdge_HostFunc_t, void *, const uint64_t))          \
  X(WasmEdge_MemoryInstanceContext *, CallingFrameGetMemoryInstance,                              \
    (const WasmEdge_CallingFrameContext *, const uint32_t))                                       \
  X(uint8_t *, MemoryInstanceGetPointer,                                                          \
    (WasmEdge_MemoryInstanceContext *, const uint32_t, const uint32_t))                           \
  X(uint32_t, MemoryInstanceGetPageSize, (const WasmEdge_MemoryInstanceContext *))

#endif
