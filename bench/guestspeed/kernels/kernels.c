/* CPU kernels, one source for guests and native programs.
 *   kernels NAME COUNT    runs it COUNT times and prints a checksum each time
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed;

static uint32_t next(void) { /* xorshift32 */
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

/* Integers: rounds of SHA-256 (FIPS 180-4) over a buffer. */
static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint64_t sha256(void) {
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint32_t w[64];
  for (int block = 0; block < 200000; block++) {
    for (int i = 0; i < 16; i++)
      w[i] = next();
    for (int i = 16; i < 64; i++) {
      uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    uint32_t v[8];
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
      uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25), ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
      uint32_t t1 = v[7] + s1 + ch + k[i] + w[i];
      uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22), maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
      memmove(v + 1, v, 7 * sizeof *v);
      v[4] += t1;
      v[0] = t1 + s0 + maj;
    }
    for (int i = 0; i < 8; i++)
      h[i] += v[i];
  }
  return (uint64_t)h[0] << 32 | h[7];
}

/* Bytes and branches: primes below four million. */
static uint64_t sieve(void) {
  enum { N = 4 << 20 };
  static uint8_t composite[N];
  uint64_t sum = 0;
  for (int turn = 0; turn < 8; turn++) {
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i < N; i++) {
      if (composite[i])
        continue;
      sum += i;
      for (uint64_t j = (uint64_t)i * i; j < N; j += i)
        composite[j] = 1;
    }
  }
  return sum;
}

/* Floating point: five bodies that attract one another. */
static uint64_t nbody(void) {
  double p[5][3], v[5][3], m[5];
  for (int i = 0; i < 5; i++) {
    m[i] = 1 + next() % 100 / 100.0;
    for (int d = 0; d < 3; d++) {
      p[i][d] = next() % 2000 / 100.0 - 10;
      v[i][d] = next() % 200 / 1000.0 - 0.1;
    }
  }
  for (int step = 0; step < 1500000; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double x = p[i][0] - p[j][0], y = p[i][1] - p[j][1], z = p[i][2] - p[j][2];
        double square = x * x + y * y + z * z + 0.01, f = 0.0001 / (square * __builtin_sqrt(square));
        v[i][0] -= x * m[j] * f, v[i][1] -= y * m[j] * f, v[i][2] -= z * m[j] * f;
        v[j][0] += x * m[i] * f, v[j][1] += y * m[i] * f, v[j][2] += z * m[i] * f;
      }
    for (int i = 0; i < 5; i++)
      for (int d = 0; d < 3; d++)
        p[i][d] += 0.0001 * v[i][d];
  }
  return (uint64_t)(int64_t)(p[0][0] * 1e6);
}

/* Memory: the product of two matrices that do not fit into the first cache. */
static uint64_t matrix(void) {
  enum { N = 256 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      a[i][j] = next() % 10, b[i][j] = next() % 10, c[i][j] = 0;
  for (int turn = 0; turn < 24; turn++)
    for (int i = 0; i < N; i++)
      for (int k = 0; k < N; k++)
        for (int j = 0; j < N; j++)
          c[i][j] += a[i][k] * b[k][j];
  double sum = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      sum += c[i][j] * (1 + (i ^ j) % 7);
  return (uint64_t)sum;
}

/* Calls through a pointer, and memory: the library's qsort. */
static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint64_t sort(void) {
  enum { N = 1 << 19 };
  static uint32_t all[N];
  for (int i = 0; i < N; i++)
    all[i] = next();
  qsort(all, N, sizeof *all, compare);
  uint64_t sum = 0;
  for (int i = 0; i < N; i++)
    sum += (uint64_t)all[i] * (i & 15);
  return sum;
}

/* Calls: Fibonacci's numbers the slow way. */
static __attribute__((noinline)) uint64_t fibonacci(int n) { return n < 2 ? (uint64_t)n : fibonacci(n - 1) + fibonacci(n - 2); }

static uint64_t fib(void) { return fibonacci(38); }

static const struct {
  const char *name;
  uint64_t (*run)(void);
} kernels[] = {{"sha256", sha256}, {"sieve", sieve}, {"nbody", nbody}, {"matrix", matrix}, {"sort", sort}, {"fib", fib}};

int main(int argc, char **argv) {
  for (unsigned i = 0; argc == 3 && i < sizeof kernels / sizeof *kernels; i++) {
    if (strcmp(kernels[i].name, argv[1]))
      continue;
    for (int count = atoi(argv[2]); count > 0; count--) {
      seed = 2463534242u;
      printf("%llu\n", (unsigned long long)kernels[i].run());
    }
    return 0;
  }
  fprintf(stderr, "usage: kernels sha256|sieve|nbody|matrix|sort|fib COUNT\n");
  return 2;
}
