// The two halves of a pod: one container writes lines into a volume that both
// mount, the other prints them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void pause_a_little(void) {
  struct timespec t = {0, 50 * 1000 * 1000};
  nanosleep(&t, NULL);
}

static int writer(const char *file, int lines) {
  FILE *f = fopen(file, "w");
  if (!f) {
    perror(file);
    return 1;
  }
  for (int i = 1; i <= lines; i++) {
    fprintf(f, "line %d of %d\n", i, lines);
    if (fflush(f) != 0) {
      perror(file);
      return 1;
    }
    pause_a_little();
  }
  fprintf(f, "end\n");
  printf("wrote %d lines\n", lines);
  return fclose(f) != 0;
}

static int reader(const char *file) {
  FILE *f;
  for (int tries = 0; !(f = fopen(file, "r")); tries++) {
    if (tries == 600) { // 30 s
      perror(file);
      return 1;
    }
    pause_a_little();
  }
  char line[256];
  size_t n = 0;
  for (;;) {
    int c = getc(f);
    if (c == EOF) { // the writer is not done yet
      clearerr(f);
      pause_a_little();
      continue;
    }
    if (c != '\n') {
      if (n + 1 < sizeof line)
        line[n++] = (char)c;
      continue;
    }
    line[n] = 0;
    n = 0;
    if (!strcmp(line, "end"))
      break;
    printf("read: %s\n", line);
    fflush(stdout);
  }
  printf("done\n");
  return 0;
}

int main(int argc, char **argv) {
  const char *file = argc > 2 ? argv[2] : "/shared/lines";
  if (argc > 1 && !strcmp(argv[1], "write"))
    return writer(file, argc > 3 ? atoi(argv[3]) : 5);
  if (argc > 1 && !strcmp(argv[1], "read"))
    return reader(file);
  fprintf(stderr, "usage: pair write|read [FILE [LINES]]\n");
  return 2;
}
