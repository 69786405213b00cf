/* Which code is a guest's, and where it was. */
#ifndef BLAZAR_WASMEDGE_FRAMES_H
#define BLAZAR_WASMEDGE_FRAMES_H

#include <stdint.h>

/* The name of the file with a guest's machine code: what tells it from any other
 * object of the process. */
#define BZ_GUEST_FILE "blazar-guest.so"

/* Whether pc is in a guest's machine code. Fit for signal handlers. */
int bz_we_is_guest(uintptr_t pc);

enum { BZ_GUEST_FRAMES = 3 }; /* code shared by functions, the hook of memory.grow, a function */

/* Finds where on this stack the innermost frames of a guest were called from, as
 * return addresses, and returns how many there are. *slot (where not NULL) becomes
 * where on the stack the first is, NULL if it is not found. Fit for signal handlers. */
int bz_we_guest_frames(uintptr_t pc[BZ_GUEST_FRAMES], void ***slot);

/* The index of the guest's function at pc, or -1: compilers share code between
 * functions that belongs to none. Not for signal handlers. */
long bz_we_function(uintptr_t pc);

#endif
