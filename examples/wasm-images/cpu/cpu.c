// Nothing but computing: how many primes there are below a number.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv) {
  long limit = argc > 1 ? atol(argv[1]) : 5000000;
  if (limit < 2 || limit > 1000000000) {
    fprintf(stderr, "usage: cpu [NUMBER from 2 to 1000000000]\n");
    return 2;
  }
  unsigned char *composite = calloc((size_t)limit, 1);
  if (!composite) {
    fprintf(stderr, "no memory for %ld bytes\n", limit);
    return 1;
  }
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  long count = 0;
  for (long i = 2; i < limit; i++) {
    if (composite[i])
      continue;
    count++;
    for (long long j = (long long)i * i; j < limit; j += i)
      composite[j] = 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%ld primes below %ld\n", count, limit);
  fprintf(stderr, "%.3f s\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
  return 0;
}
