#include "baseline.h"

#include <string.h>

/* The library has Winch in it, but version 44 of its C API cannot name it: the
 * setter of the strategy knows automatic and Cranelift, which are the same, and
 * stores the one value that both mean (crates/c-api/src/config.rs; from version 45 on
 * it knows WASMTIME_STRATEGY_WINCH, and this file goes). So Winch's value, the next of
 * wasmtime::Strategy, is put where the setter has put its own.
 *
 * Where that is says the setter itself: it is one instruction that stores an
 * immediate byte. Nothing is written unless the code is exactly that, and the byte
 * is exactly what the setter has just made of it; TestBaselineIsWinch sees that the
 * compiler is another one afterwards. */
enum { STRATEGY_CRANELIFT = 1, STRATEGY_WINCH = 2 };

#if defined(__x86_64__)
/* find returns the offset that the setter stores to, -1 if it is not as expected:
 *   movb $1, disp32(%rdi); ret
 * in its first bytes, behind the check that the configuration is not used up. */
static int32_t find(const uint8_t *code) {
  for (int i = 0; i < 40; i++) {
    if (code[i] != 0xc6 || code[i + 1] != 0x87 || code[i + 6] != STRATEGY_CRANELIFT || code[i + 7] != 0xc3) continue;
    int32_t offset;
    memcpy(&offset, code + i + 2, sizeof offset);
    return offset;
  }
  return -1;
}

int bz_config_baseline(wasm_config_t *c) {
  int32_t offset = find((const uint8_t *)(uintptr_t)wasmtime_config_strategy_set);
  if (offset < 0 || offset > 4096) return 0;
  uint8_t *strategy = (uint8_t *)c + offset;
  *strategy = 0xff;
  wasmtime_config_strategy_set(c, STRATEGY_CRANELIFT);
  if (*strategy != STRATEGY_CRANELIFT) return 0;
  *strategy = STRATEGY_WINCH;
  return 1;
}
#else
int bz_config_baseline(wasm_config_t *c) { /* Winch for arm64 is not complete */
  (void)c;
  return 0;
}
#endif
