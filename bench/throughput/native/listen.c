/* listen PORT PROGRAM: gives a program a listener in the way in which Blazar gives it
 * to a guest. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_in any = {.sin_family = AF_INET};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  if (argc < 3) {
    fprintf(stderr, "usage: listen PORT PROGRAM [ARGUMENTS...]\n");
    return 2;
  }
  any.sin_port = htons(atoi(argv[1]));
  if (fd != 3 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
      bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, SOMAXCONN)) {
    perror("listen");
    return 1;
  }
  setenv("BLAZAR_LISTEN_FDS", "3", 1);
  execv(argv[2], argv + 2);
  perror(argv[2]);
  return 1;
}
