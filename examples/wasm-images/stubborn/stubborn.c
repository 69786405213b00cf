// Cannot be asked to end, in several ways. Only SIGKILL, or a SIGTERM that does
// not ask, gets rid of it.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept")))
int32_t sock_accept(int32_t fd, int32_t flags, int32_t *connection);

static volatile unsigned long turns;

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "spin";
  printf("%s for ever\n", how);
  fflush(stdout);
  if (!strcmp(how, "spin"))
    for (;;)
      turns++;
  if (!strcmp(how, "sleep"))
    for (;;)
      sleep(3600);
  if (!strcmp(how, "read")) { // goes on when stdin is at its end
    char c;
    for (;;)
      if (read(0, &c, 1) <= 0)
        sleep(1);
  }
  if (!strcmp(how, "accept")) // goes on when the listener is closed
    for (;;) {
      int32_t fd;
      if (sock_accept(3, 0, &fd) != 0)
        sleep(1);
    }
  fprintf(stderr, "usage: stubborn [spin|sleep|read|accept]\n");
  return 2;
}
