// Small tools in one module, for trying things out and for exec probes.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int copy_out(FILE *f) {
  char buffer[4096];
  size_t n;
  while ((n = fread(buffer, 1, sizeof buffer, f)) > 0) {
    fwrite(buffer, 1, n, stdout);
    fflush(stdout);
  }
  return ferror(f) != 0;
}

static int args(int n, char **a) {
  for (int i = 0; i < n; i++)
    puts(a[i]);
  return 0;
}

static int echo(int n, char **a) {
  for (int i = 0; i < n; i++)
    printf("%s%s", i ? " " : "", a[i]);
  putchar('\n');
  return 0;
}

static int env(int n, char **a) {
  if (n == 0)
    for (char **e = environ; *e; e++)
      puts(*e);
  for (int i = 0; i < n; i++) {
    const char *v = getenv(a[i]);
    if (!v)
      return 1;
    puts(v);
  }
  return 0;
}

static int cat(int n, char **a) {
  if (n == 0)
    return copy_out(stdin);
  for (int i = 0; i < n; i++) {
    FILE *f = fopen(a[i], "r");
    if (!f) {
      perror(a[i]);
      return 1;
    }
    int failed = copy_out(f);
    fclose(f);
    if (failed)
      return 1;
  }
  return 0;
}

static int put(int n, char **a) {
  FILE *f = n > 0 ? fopen(a[0], "w") : NULL;
  if (!f) {
    perror(n > 0 ? a[0] : "put");
    return 1;
  }
  for (int i = 1; i < n; i++)
    fprintf(f, "%s\n", a[i]);
  if (fclose(f) != 0) {
    perror(a[0]);
    return 1;
  }
  return 0;
}

static int ls(int n, char **a) {
  const char *name = n > 0 ? a[0] : ".";
  DIR *d = opendir(name);
  if (!d) {
    perror(name);
    return 1;
  }
  for (struct dirent *e; (e = readdir(d));)
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
      puts(e->d_name);
  closedir(d);
  return 0;
}

static int rm(int n, char **a) {
  for (int i = 0; i < n; i++)
    if (unlink(a[i]) != 0) {
      perror(a[i]);
      return 1;
    }
  return 0;
}

static int pause_for(int n, char **a) {
  double s = n > 0 ? atof(a[0]) : 1;
  struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
  return nanosleep(&t, NULL) != 0;
}

static int pwd(int n, char **a) {
  char here[1024];
  puts(getcwd(here, sizeof here) ? here : "?");
  return 0;
}

static int tty(int n, char **a) {
  for (int fd = 0; fd < 3; fd++)
    printf("%d %s\n", fd, isatty(fd) ? "terminal" : "no terminal");
  return 0;
}

static int complain(int n, char **a) {
  for (int i = 0; i < n; i++)
    fprintf(stderr, "%s\n", a[i]);
  return 0;
}

static int now(int n, char **a) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  printf("%lld\n", (long long)t.tv_sec);
  return 0;
}

static int leave(int n, char **a) { return n > 0 ? atoi(a[0]) : 0; }

static const struct {
  const char *name, *use;
  int (*run)(int, char **);
} tools[] = {
    {"args", "[WORD…]          one per line", args},
    {"cat", "[FILE…]           files, or stdin", cat},
    {"echo", "[WORD…]          in one line", echo},
    {"env", "[NAME…]           all variables, or the value of some", env},
    {"exit", "[CODE]           end with that code", leave},
    {"ls", "[DIRECTORY]", ls},
    {"now", "                  seconds since 1970", now},
    {"put", "FILE [LINE…]      write a file", put},
    {"pwd", "", pwd},
    {"rm", "FILE…", rm},
    {"sleep", "[SECONDS]", pause_for},
    {"stderr", "[LINE…]        to stderr", complain},
    {"tty", "                  which of 0, 1, 2 are terminals", tty},
};

int main(int argc, char **argv) {
  // WASI knows no working directory; the container's comes as a variable.
  const char *here = getenv("PWD");
  if (here)
    (void)!chdir(here); // an image without files has none
  if (argc > 1)
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
      if (!strcmp(argv[1], tools[i].name))
        return tools[i].run(argc - 2, argv + 2);
  for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
    fprintf(stderr, "toolbox %s %s\n", tools[i].name, tools[i].use);
  return argc > 1 ? 127 : 2;
}

// Further entries, for exec: toolbox.wasm#healthy. What they return is the exit
// code; an export without a result ends with 0.
__attribute__((export_name("healthy"))) int healthy(void) {
  puts("healthy");
  return 0;
}

__attribute__((export_name("unhealthy"))) int unhealthy(void) {
  fputs("unhealthy\n", stderr);
  return 3;
}

__attribute__((export_name("greet"))) void greet(void) { puts("hello from another entry"); }
