#define _GNU_SOURCE
#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bz_we_api we;

static char *message(const char *what, const char *why) {
  char *s = NULL;
  if (asprintf(&s, "%s: %s", what, why) < 0) return strdup(what);
  return s;
}

static char *fill(void *lib, const char *path, const char *accepted, char **version) {
  const char *(*get)(void);
  *(void **)&get = dlsym(lib, "WasmEdge_VersionGet");
  if (!get) return message(path, "it lacks WasmEdge_VersionGet");
  *version = strdup(get());
  if (strncmp(*version, accepted, strlen(accepted))) return message("it is of version", *version);
  struct bz_we_api found;
#define FIND_AS(name, symbol)            \
  *(void **)&found.name = dlsym(lib, symbol); \
  if (!found.name) return message(path, "there is no " symbol);
#define FIND(ret, name, params) FIND_AS(name, "WasmEdge_" #name)
#define FIND_RUNTIME(ret, name, params) FIND_AS(name, #name)
  WASMEDGE_FUNCTIONS(FIND)
  RUNTIME_FUNCTIONS(FIND_RUNTIME)
  we = found;
  we.LogOff(); /* it would write to the standard output of the process */
  return NULL;
}

char *bz_we_open(const char *path, const char *accepted, char **version) {
  void *lib = dlopen(BZ_LIBRARY, RTLD_NOW | RTLD_NOLOAD);
  if (!lib) lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    const char *e = dlerror();
    return strdup(e ? e : path);
  }
  char *problem = fill(lib, path, accepted, version);
  if (problem) dlclose(lib); /* nothing of it has run */
  return problem;
}

const char *bz_we_path(void) {
  Dl_info info;
  return dladdr((void *)we.VersionGet, &info) ? info.dli_fname : NULL;
}
