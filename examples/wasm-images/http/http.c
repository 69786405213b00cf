// A small HTTP server on a listener that Blazar opened for the pod: one
// connection after another, an answer, the end.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// WASI's own functions: older versions of wasi-libc have no accept().
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept")))
int32_t sock_accept(int32_t fd, int32_t flags, int32_t *connection);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_shutdown")))
int32_t sock_shutdown(int32_t fd, int32_t how);

// read_head reads until the empty line that ends a request's head.
static int read_head(int fd, char *head, size_t size) {
  size_t n = 0;
  while (n + 1 < size) {
    ssize_t got = read(fd, head + n, size - 1 - n);
    if (got <= 0)
      return -1;
    n += (size_t)got;
    head[n] = 0;
    if (strstr(head, "\r\n\r\n"))
      return 0;
  }
  return -1;
}

static void write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n <= 0)
      return;
    data += n;
    size -= (size_t)n;
  }
}

static void serve(int fd) {
  char head[8192], path[256] = "?", body[512], answer[1024];
  if (read_head(fd, head, sizeof head) == 0) {
    sscanf(head, "%*15s %255s", path);
    int size = snprintf(body, sizeof body, "hello from C, you asked for %s\n", path);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
                     size, body);
    write_all(fd, answer, (size_t)n);
    sock_shutdown(fd, 2);
  }
  close(fd);
}

int main(void) {
  const char *fds = getenv("BLAZAR_LISTEN_FDS");
  if (!fds || !*fds) {
    fprintf(stderr, "no listener: give the pod the annotation blazar/listen: tcp:8080\n");
    return 1;
  }
  int listener = atoi(fds);
  printf("serving\n");
  fflush(stdout);
  for (;;) {
    int32_t fd = -1, err = sock_accept(listener, 0, &fd);
    if (err != 0) { // SIGTERM closed the listener: the sign to finish
      printf("bye\n");
      return 0;
    }
    serve(fd);
  }
}
