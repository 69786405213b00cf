// Says hello, with what it was given.
#include <stdio.h>

int main(int argc, char **argv) {
  puts("hello from C and WebAssembly");
  for (int i = 1; i < argc; i++) { // printf would double the size
    fputs("argument: ", stdout);
    puts(argv[i]);
  }
  return 0;
}
