/* The two functions of WASI that the HTTP example imports, on Linux's sockets: with
 * them the same source is a native program. */
#include <stdint.h>
#include <sys/socket.h>

int32_t sock_accept(int32_t fd, int32_t flags, int32_t *connection) {
  (void)flags;
  int got = accept4(fd, 0, 0, SOCK_CLOEXEC);
  if (got < 0)
    return 1;
  *connection = got;
  return 0;
}

int32_t sock_shutdown(int32_t fd, int32_t how) { return shutdown(fd, how - 1); } /* WASI's are bits */
