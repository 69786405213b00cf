#define _GNU_SOURCE
#include "frames.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

int bz_we_is_guest(uintptr_t pc) {
  struct dl_find_object found;
  if (we._dl_find_object((void *)pc, &found)) return 0;
  const char *name = strrchr(found.dlfo_link_map->l_name, '/');
  return name && !strcmp(name + 1, BZ_GUEST_FILE);
}

struct search {
  uintptr_t *pc;
  int found;
  void ***slot;
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *c, void *arg) {
  struct search *s = arg;
  uintptr_t pc = we._Unwind_GetIP(c);
  if (!bz_we_is_guest(pc)) return s->found ? _URC_END_OF_STACK : _URC_NO_REASON;
  /* What the unwinder calls the CFA here is this frame's stack pointer after the
   * return, so the return address is right below. A frame that a signal interrupted
   * has none, and possibly no stack there. */
  if (!s->found && s->slot) {
    void **slot = (void **)(we._Unwind_GetCFA(c) - sizeof(void *));
    *s->slot = (uintptr_t)*slot == pc ? slot : NULL;
  }
  s->pc[s->found++] = pc;
  return s->found == BZ_GUEST_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

int bz_we_guest_frames(uintptr_t pc[BZ_GUEST_FRAMES], void ***slot) {
  struct search s = {pc, 0, slot};
  we._Unwind_Backtrace(visit, &s);
  return s.found;
}

/* The compiler names function 7 f7, imported functions counted first. */
long bz_we_function(uintptr_t pc) {
  Dl_info info;
  if (!bz_we_is_guest(pc) || !dladdr((void *)pc, &info) || !info.dli_sname || info.dli_sname[0] != 'f') return -1;
  char *end;
  long index = strtol(info.dli_sname + 1, &end, 10);
  return *end || end == info.dli_sname + 1 ? -1 : index;
}
