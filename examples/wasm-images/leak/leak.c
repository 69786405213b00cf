// Takes memory, a MiB at a time, and gives none back.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *volatile last; // so that no compiler thinks the memory unused

int main(int argc, char **argv) {
  long most = argc > 1 ? atol(argv[1]) : 4096;
  for (long mib = 1; mib <= most; mib++) {
    char *p = malloc(1 << 20);
    if (!p) {
      // Where the host lets a guest know instead of ending it.
      fprintf(stderr, "no more memory after %ld MiB\n", mib - 1);
      return 1;
    }
    memset(p, (int)mib, 1 << 20);
    last = p;
    if (mib % 16 == 0) {
      printf("%ld MiB\n", mib);
      fflush(stdout);
    }
  }
  printf("took all %ld MiB\n", most);
  return 0;
}
