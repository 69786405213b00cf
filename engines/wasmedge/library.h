/* Finding the library. */
#ifndef BLAZAR_WASMEDGE_LIBRARY_H
#define BLAZAR_WASMEDGE_LIBRARY_H

#include <unwind.h>

#include "capi.h"

/* Functions of the C and C++ runtimes that come with the library; found with it, so
 * that the program itself neither needs them nor as new a libc. */
struct dl_find_object;
#define RUNTIME_FUNCTIONS(X)                                            \
  X(int, _dl_find_object, (void *, struct dl_find_object *))            \
  X(_Unwind_Reason_Code, _Unwind_Backtrace, (_Unwind_Trace_Fn, void *)) \
  X(_Unwind_Ptr, _Unwind_GetIP, (struct _Unwind_Context *))             \
  X(_Unwind_Word, _Unwind_GetCFA, (struct _Unwind_Context *))

/* The library's functions, filled by bz_we_open. */
struct bz_we_api {
#define DECLARE(ret, name, params) ret(*name) params;
  WASMEDGE_FUNCTIONS(DECLARE)
  RUNTIME_FUNCTIONS(DECLARE)
#undef DECLARE
};
extern struct bz_we_api we;

/* The library's name. The number is that of its C interface; later ones are others. */
#define BZ_LIBRARY "libwasmedge.so.0"

/* Opens path, unless the process has the library already, and fills we if its version
 * starts with accepted. Returns NULL or what failed; that and *version are to be freed.
 * A library that fits stays open. */
char *bz_we_open(const char *path, const char *accepted, char **version);

/* Where the library was found; not to be freed. */
const char *bz_we_path(void);

#endif
