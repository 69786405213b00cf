#include <cpuid.h>
#include <string.h>

#include "glue.h"

/* What LLVM makes its choice of a processor and its features from: vendor, family and
 * model, feature bits, and which registers the kernel saves. Neither the number of the
 * core nor the stepping is among them. Intel SDM volume 2, CPUID. */
void bz_we_processor(uint32_t out[BZ_CPU_WORDS]) {
  uint32_t a, b, c, d;
  memset(out, 0, BZ_CPU_WORDS * sizeof *out);
  if (__get_cpuid(0, &a, &b, &c, &d)) out[0] = b, out[1] = c, out[2] = d;
  if (__get_cpuid(1, &a, &b, &c, &d)) out[3] = a & ~0xfu, out[4] = c, out[5] = d;
  if (out[4] & bit_OSXSAVE) {
    __asm__ volatile("xgetbv" : "=a"(out[6]), "=d"(d) : "c"(0));
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) out[7] = b, out[8] = c, out[9] = d;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) out[10] = a;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) out[11] = c, out[12] = d;
}
