#include "interrupt.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* An ELF file that lies in memory whole. */
typedef struct image {
  const uint8_t *at;
  size_t size;
  const Elf64_Shdr *sections;
  size_t nsections;
  const char *names;
  size_t names_size;
} image;

static int inside(const image *i, uint64_t offset, uint64_t size) { return offset <= i->size && size <= i->size - offset; }

/* text_at is a string of a table, NULL if it does not end within it. */
static const char *text_at(const char *table, size_t size, size_t offset) {
  if (offset >= size || !memchr(table + offset, 0, size - offset)) return NULL;
  return table + offset;
}

static int image_open(image *i, const uint8_t *at, size_t size) {
  const Elf64_Ehdr *h = (const void *)at;
  *i = (image){.at = at, .size = size};
  if (size < sizeof *h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64) return 0;
  if (h->e_shentsize != sizeof(Elf64_Shdr) || !inside(i, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr))) return 0;
  i->sections = (const void *)(at + h->e_shoff);
  i->nsections = h->e_shnum;
  for (size_t k = 0; k < i->nsections; k++) {
    const Elf64_Shdr *s = &i->sections[k];
    if (s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS && !inside(i, s->sh_offset, s->sh_size)) return 0;
  }
  if (h->e_shstrndx >= i->nsections) return 0;
  i->names = (const char *)(at + i->sections[h->e_shstrndx].sh_offset);
  i->names_size = i->sections[h->e_shstrndx].sh_size;
  return 1;
}

static const Elf64_Shdr *section(const image *i, const char *name) {
  for (size_t k = 0; k < i->nsections; k++) {
    const char *n = text_at(i->names, i->names_size, i->sections[k].sh_name);
    if (n && !strcmp(n, name)) return &i->sections[k];
  }
  return NULL;
}

/* functions finds the range of the guest's functions, relative to the text, where the
 * last one begins and its index, and checks that nothing else lies among them. Names: wasmtime_environ::FuncKey, "wasm[0]::function[8]". */
static const char prefix[] = "wasm[0]::function[";

static const char *functions(const image *i, const Elf64_Shdr *text, uint64_t *low, uint64_t *high, uint64_t *begin, uint32_t *last) {
  const Elf64_Shdr *symtab = section(i, ".symtab");
  if (!symtab || symtab->sh_entsize != sizeof(Elf64_Sym) || symtab->sh_link >= i->nsections) return "it has no symbols";
  const Elf64_Shdr *strings = &i->sections[symtab->sh_link];
  const char *names = (const char *)(i->at + strings->sh_offset);
  const Elf64_Sym *symbols = (const void *)(i->at + symtab->sh_offset);
  uint64_t others = text->sh_size;
  *low = text->sh_size, *high = 0;
  for (size_t k = 0; k < symtab->sh_size / sizeof *symbols; k++) {
    const Elf64_Sym *s = &symbols[k];
    if (ELF64_ST_TYPE(s->st_info) != STT_FUNC) continue;
    const char *name = text_at(names, strings->sh_size, s->st_name);
    if (!name || s->st_value > text->sh_size || s->st_size > text->sh_size - s->st_value) return "a symbol lies outside";
    if (!strncmp(name, prefix, sizeof prefix - 1)) {
      if (s->st_value < *low) *low = s->st_value;
      if (s->st_value + s->st_size > *high) {
        *high = s->st_value + s->st_size;
        *last = (uint32_t)strtoul(name + sizeof prefix - 1, NULL, 10);
        *begin = s->st_value;
      }
    } else if (s->st_value < others) {
      others = s->st_value;
    }
  }
  if (*high > others) return "trampolines lie among the functions";
  return NULL;
}

/* trap_in finds an instruction that does nothing but trap. The section is a number n,
 * n offsets in the text, ascending, and n bytes that say why (wasmtime_environ's
 * trap_encoding). */
static int trap_in(const image *i, const Elf64_Shdr *text, uint64_t low, uint64_t high, uint64_t *trap) {
  static const uint8_t ud2[] = {0x0f, 0x0b};
  const Elf64_Shdr *traps = section(i, ".wasmtime.traps");
  uint32_t n, offset;
  if (!traps || traps->sh_size < sizeof n) return 0;
  const uint8_t *at = i->at + traps->sh_offset;
  memcpy(&n, at, sizeof n);
  if (traps->sh_size != sizeof n + (uint64_t)n * (sizeof offset + 1)) return 0;
  for (uint32_t k = n; k > 0; k--) {
    memcpy(&offset, at + sizeof n + (uint64_t)(k - 1) * sizeof offset, sizeof offset);
    if (offset < low || offset + sizeof ud2 > high || memcmp(i->at + text->sh_offset + offset, ud2, sizeof ud2)) continue;
    *trap = offset;
    return 1;
  }
  return 0;
}

const char *bz_text_find(const uint8_t *at, size_t size, bz_text *out) {
  image i;
  uint64_t low, high, begin, trap;
  uint32_t last;
  *out = (bz_text){0};
  if (!image_open(&i, at, size)) return "it is no ELF file";
  const Elf64_Shdr *text = section(&i, ".text");
  if (!text) return "it has no code";
  const char *wrong = functions(&i, text, &low, &high, &begin, &last);
  if (wrong) return wrong;
  if (low >= high) return "it has no functions";
  if (!trap_in(&i, text, begin, high, &trap)) return "its last function, which is there for that, does not trap";
  uintptr_t base = (uintptr_t)at + text->sh_offset;
  *out = (bz_text){base + low, base + high, base + trap, base + text->sh_size, last};
  return NULL;
}
