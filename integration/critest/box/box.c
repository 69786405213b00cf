// A busybox for wasm pods, as far as the conformance tests of CRI ask for one: a shell
// without processes, the programs that are built into it, and a web server. The name it
// is started as chooses.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS 64

static int run(int n, char **a);

static int echo(int n, char **a) {
  int newline = !(n > 1 && strcmp(a[1], "-n") == 0);
  for (int i = 2 - newline; i < n; i++)
    printf("%s%s", a[i], i + 1 < n ? " " : "");
  if (newline)
    putchar('\n');
  return 0;
}

static int cat(int n, char **a) {
  int failed = 0;
  for (int i = 1; i < n; i++) {
    char buffer[4096];
    size_t have;
    FILE *f = fopen(a[i], "r");
    if (!f) {
      fprintf(stderr, "cat: %s: %s\n", a[i], strerror(errno));
      failed = 1;
      continue;
    }
    while ((have = fread(buffer, 1, sizeof buffer, f)) > 0)
      fwrite(buffer, 1, have, stdout);
    fclose(f);
  }
  return failed;
}

static int ls(int n, char **a) {
  const char *path = a[n - 1];
  DIR *d = opendir(n > 1 && path[0] != '-' ? path : ".");
  if (!d) {
    fprintf(stderr, "ls: %s: %s\n", path, strerror(errno));
    return 1;
  }
  for (struct dirent *e; (e = readdir(d));)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
      puts(e->d_name);
  closedir(d);
  return 0;
}

static int touch(int n, char **a) {
  for (int i = 1; i < n; i++) {
    int fd = open(a[i], O_WRONLY | O_CREAT, 0644);
    if (fd < 0) {
      fprintf(stderr, "touch: %s: %s\n", a[i], strerror(errno));
      return 1;
    }
    close(fd);
  }
  return 0;
}

// test knows -f only.
static int test(int n, char **a) {
  struct stat s;
  return !(n > 2 && strcmp(a[1], "-f") == 0 && stat(a[2], &s) == 0 && S_ISREG(s.st_mode));
}

// dd of a device without end: fills its buffer again and again.
static int dd(int n, char **a) {
  size_t size = 512;
  for (int i = 1; i < n; i++)
    if (strncmp(a[i], "bs=", 3) == 0)
      size = strtoul(a[i] + 3, NULL, 10) << (strchr(a[i], 'M') ? 20 : 0);
  volatile char *buffer = malloc(size);
  if (!buffer) {
    fputs("dd: out of memory\n", stderr);
    return 1;
  }
  for (;;)
    for (size_t i = 0; i < size; i += 4096)
      buffer[i] = 0;
}

static int hostname(int n, char **a) {
  (void)n;
  char *file[] = {a[0], "/etc/hostname", NULL};
  return cat(2, file);
}

static int top(int n, char **a) {
  (void)n, (void)a;
  for (;;)
    sleep(3600);
}

static int sleeps(int n, char **a) {
  sleep(n > 1 ? strtoul(a[1], NULL, 10) : 0);
  return 0;
}

// WASI's own function: older versions of wasi-libc have no accept().
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept")))
int32_t sock_accept(int32_t fd, int32_t flags, int32_t *connection);

// serve answers every request with one page, on the listener that the pod gives it; a
// pod that gives none has a server that waits.
static int serve(int n, char **a) {
  (void)n;
  static const char page[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
  const char *fds = getenv("BLAZAR_LISTEN_FDS");
  printf("%s is serving\n", a[0]);
  fflush(stdout);
  if (!fds || !*fds)
    return top(n, a);
  for (;;) {
    char request[8192];
    size_t have = 0;
    ssize_t got;
    int32_t fd;
    if (sock_accept(atoi(fds), 0, &fd) != 0)
      return 0; // SIGTERM has closed it
    while (have < sizeof request - 1 && (got = read(fd, request + have, sizeof request - 1 - have)) > 0) {
      have += got;
      request[have] = 0;
      if (strstr(request, "\r\n\r\n"))
        break;
    }
    got = write(fd, page, sizeof page - 1);
    close(fd);
  }
}

// words cuts a command at spaces, and takes quotes off.
static int words(char *s, char **a) {
  int n = 0;
  while (n < WORDS - 1) {
    s += strspn(s, " \t");
    if (!*s)
      break;
    char *to = s, quote = 0;
    a[n++] = s;
    for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
      if (quote ? *s == quote : (*s == '\'' || *s == '"'))
        quote = quote ? 0 : *s;
      else
        *to++ = *s;
    }
    if (*s)
      s++;
    *to = 0;
  }
  a[n] = NULL;
  return n;
}

static int list(char *s);

// loop is "while CONDITION; do BODY; done".
static int loop(char *s) {
  char *body = strstr(s, "; do "), *end = body ? strstr(body, "; done") : NULL;
  if (!end) {
    fputs("sh: while without do or done\n", stderr);
    return 2;
  }
  *body = *end = 0;
  for (;;) {
    char *condition = strdup(s + 6), *commands = strdup(body + 5);
    int go = list(condition) == 0;
    if (go)
      list(commands);
    free(condition);
    free(commands);
    if (!go)
      return 0;
  }
}

// list runs commands between ";", "&&" and "||", in place.
static int list(char *s) {
  int status = 0, skip = 0;
  s += strspn(s, " \t");
  if (strncmp(s, "while ", 6) == 0)
    return loop(s);
  while (*s) {
    char *end = s, quote = 0, *a[WORDS];
    for (; *end; end++) {
      if (quote ? *end == quote : (*end == '\'' || *end == '"'))
        quote = quote ? 0 : *end;
      if (!quote && (*end == ';' || strncmp(end, "&&", 2) == 0 || strncmp(end, "||", 2) == 0))
        break;
    }
    char separator = *end;
    *end = 0;
    int n = words(s, a);
    if (!skip && n > 0)
      status = run(n, a);
    s = separator ? end + 1 + (separator != ';') : end;
    skip = (separator == '&' && status != 0) || (separator == '|' && status == 0);
  }
  return status;
}

static int sh(int n, char **a) {
  char line[4096];
  int status = 0;
  if (n > 2 && strcmp(a[1], "-c") == 0)
    return list(a[2]);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    status = list(line);
  }
  return status;
}

static int succeed(int n, char **a) { return (void)n, (void)a, 0; }
static int fail(int n, char **a) { return (void)n, (void)a, 1; }

static const struct {
  const char *name;
  int (*run)(int, char **);
} programs[] = {
    {"sh", sh},     {"echo", echo}, {"cat", cat},         {"ls", ls},   {"touch", touch},  {"[", test},
    {"dd", dd},     {"top", top},   {"sleep", sleeps},    {"httpd", serve}, {"nginx", serve},
    {"true", succeed}, {"false", fail}, {"hostname", hostname},
};

static int run(int n, char **a) {
  const char *name = strrchr(a[0], '/') ? strrchr(a[0], '/') + 1 : a[0];
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
    if (strcmp(name, programs[i].name) == 0) {
      int status = programs[i].run(n, a);
      fflush(stdout);
      return status;
    }
  fprintf(stderr, "sh: %s: not found\n", name);
  return 127;
}

int main(int n, char **a) { return n > 0 ? run(n, a) : 127; }
