/* Redirects what one loaded library imports, for that library alone. */
#ifndef BLAZAR_WASMEDGE_REDIRECT_H
#define BLAZAR_WASMEDGE_REDIRECT_H

#include <link.h>

typedef struct bz_redirection {
  const char *names[2]; /* any of them; NULL for none */
  void *to;
} bz_redirection;

/* Returns how many of the n redirections found an import. */
int bz_we_redirect(const struct link_map *, const bz_redirection *, int n);

#endif
