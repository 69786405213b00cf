// Reads the files of one mounted volume and writes another.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void fail(const char *what, const char *name) {
  fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
  failures++;
}

// copy copies a file, prints it, and returns its size.
static long copy(const char *from, const char *to) {
  FILE *in = fopen(from, "r");
  if (!in) {
    fail("open", from);
    return 0;
  }
  FILE *out = fopen(to, "w");
  if (!out) {
    fail("create", to);
    fclose(in);
    return 0;
  }
  char buffer[4096];
  size_t n;
  long size = 0;
  while ((n = fread(buffer, 1, sizeof buffer, in)) > 0) {
    fwrite(buffer, 1, n, out);
    fwrite(buffer, 1, n, stdout);
    size += (long)n;
  }
  if (ferror(in) || ferror(out) | fclose(out))
    fail("copy", from);
  fclose(in);
  return size;
}

int main(int argc, char **argv) {
  const char *in = argc > 1 ? argv[1] : "/in", *out = argc > 2 ? argv[2] : "/out";
  char from[512], to[512], moved[512];
  DIR *dir = opendir(in);
  if (!dir) {
    fail("open", in);
    return 1;
  }
  for (struct dirent *e; (e = readdir(dir));) {
    struct stat st;
    snprintf(from, sizeof from, "%s/%s", in, e->d_name);
    if (stat(from, &st) != 0 || !S_ISREG(st.st_mode))
      continue;
    snprintf(to, sizeof to, "%s/%s.part", out, e->d_name);
    snprintf(moved, sizeof moved, "%s/%s", out, e->d_name);
    long size = copy(from, to);
    if (rename(to, moved) != 0)
      fail("rename", to);
    printf("copied %s to %s, %ld bytes\n", from, moved, size);
  }
  closedir(dir);
  // What a volume is mounted for decides what may be done with it.
  snprintf(to, sizeof to, "%s/written-by-guest", in);
  FILE *f = fopen(to, "w");
  if (f) {
    fclose(f);
    unlink(to);
    printf("%s can be written\n", in);
  } else {
    printf("%s cannot be written: %s\n", in, strerror(errno));
  }
  return failures != 0;
}
