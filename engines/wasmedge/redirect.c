#define _GNU_SOURCE
#include "redirect.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A page, and what the loader has made of it. */
typedef struct slot_page {
  uintptr_t address;
  int protection;
} slot_page;

/* Pages below PT_GNU_RELRO are read-only once the loader has relocated them. Asked of
 * the loader, since a confined process sees no /proc. */
static int look(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  slot_page *p = arg;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *h = &info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + h->p_vaddr;
    if (h->p_type == PT_GNU_RELRO && p->address >= begin && p->address < begin + h->p_memsz) p->protection = PROT_READ;
  }
  return 0;
}

static int write_slot(void **slot, void *to) {
  uintptr_t size = (uintptr_t)getpagesize();
  slot_page p = {(uintptr_t)slot, PROT_READ | PROT_WRITE};
  dl_iterate_phdr(look, &p);
  void *page = (void *)(p.address & ~(size - 1));
  if (mprotect(page, size, PROT_READ | PROT_WRITE)) return 0;
  *slot = to;
  return !mprotect(page, size, p.protection);
}

static int named(const bz_redirection *r, const char *name) {
  return (r->names[0] && !strcmp(r->names[0], name)) || (r->names[1] && !strcmp(r->names[1], name));
}

/* Format: System V ABI, chapter 5, Dynamic Linking; the loader has made the addresses
 * in the dynamic section absolute. */
int bz_we_redirect(const struct link_map *map, const bz_redirection *redirections, int n) {
  const ElfW(Sym) *symbols = NULL;
  const char *names = NULL;
  struct {
    const ElfW(Rela) *entries;
    size_t size;
  } tables[2] = {{0}};
  for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
    switch (d->d_tag) {
      case DT_SYMTAB: symbols = (const void *)d->d_un.d_ptr; break;
      case DT_STRTAB: names = (const void *)d->d_un.d_ptr; break;
      case DT_JMPREL: tables[0].entries = (const void *)d->d_un.d_ptr; break;
      case DT_PLTRELSZ: tables[0].size = d->d_un.d_val; break;
      case DT_RELA: tables[1].entries = (const void *)d->d_un.d_ptr; break;
      case DT_RELASZ: tables[1].size = d->d_un.d_val; break;
    }
  }
  if (!symbols || !names) return 0;
  unsigned found = 0;
  for (int t = 0; t < 2; t++) {
    for (size_t i = 0; tables[t].entries && i < tables[t].size / sizeof(ElfW(Rela)); i++) {
      const ElfW(Rela) *r = &tables[t].entries[i];
      const char *name = names + symbols[ELF64_R_SYM(r->r_info)].st_name;
      for (int k = 0; k < n; k++)
        if (named(&redirections[k], name) &&
            write_slot((void **)(map->l_addr + r->r_offset), redirections[k].to))
          found |= 1u << k;
    }
  }
  return __builtin_popcount(found);
}
