/* Wasmtime's baseline compiler, Winch. */
#ifndef BLAZAR_WASMTIME_BASELINE_H
#define BLAZAR_WASMTIME_BASELINE_H

#include "capi.h"

/* Has the configuration compile with Winch. 0 where the library offers no way to it;
 * the configuration is then as it was. */
int bz_config_baseline(wasm_config_t *);

#endif
