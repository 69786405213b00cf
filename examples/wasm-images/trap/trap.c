// Does what WebAssembly does not allow, one kind of trap by argument.
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static volatile int zero, one = 1, lowest = INT_MIN, minus = -1;
static volatile uintptr_t wild = 0xfffffff0u;
static volatile double nothing; // 0/0 of it is no number

static int returns_int(int x) { return x + one; }
int (*volatile function)(int) = returns_int;

static int deeper(int n) { return zero ? n : deeper(n + one) + one; }

static void unreachable(void) { __builtin_trap(); }
static void memory(void) { printf("%d\n", *(volatile int *)wild); }
static void divide(void) { printf("%d\n", one / zero); }
static void overflow(void) { printf("%d\n", lowest / minus); }
static void table(void) {
  function = (int (*)(int))(uintptr_t)0xfffff;
  printf("%d\n", function(one));
}
static void null(void) {
  function = 0;
  printf("%d\n", function(one));
}
static void signature(void) {
  void (*volatile wrong)(double, double, double) = (void (*)(double, double, double))(uintptr_t)function;
  wrong(1, 2, 3);
}
static void conversion(void) {
  int i;
  double d = nothing / nothing;
  __asm__("local.get %1\ni32.trunc_f64_s\nlocal.set %0" : "=r"(i) : "r"(d));
  printf("%d\n", i);
}
static void stack(void) { printf("%d\n", deeper(0)); }

static const struct {
  const char *name;
  void (*run)(void);
} kinds[] = {
    {"unreachable", unreachable}, {"memory", memory},       {"divide", divide},
    {"overflow", overflow},       {"table", table},         {"null", null},
    {"signature", signature},     {"conversion", conversion}, {"stack", stack},
};

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "unreachable";
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (!strcmp(kind, kinds[i].name)) {
      printf("trap: %s\n", kind);
      fflush(stdout);
      kinds[i].run();
      printf("no trap\n");
      return 1;
    }
  fprintf(stderr, "usage: trap [unreachable|memory|divide|overflow|table|null|signature|conversion|stack]\n");
  return 2;
}
