/* The programs that the suite of sandboxes wants to run (see sandboxtest.Program), one
 * that traps, and one that takes memory until there is none. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* taken is where the compiler must take the memory from. */
static char *volatile taken;

static int fill(long n) {
	static unsigned char buf[251 * 64];
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = (unsigned char)(i % 251);
	while (n > 0) {
		size_t want = n < (long)sizeof buf ? (size_t)n : sizeof buf, done = 0;
		while (done < want) {
			ssize_t w = write(1, buf + done, want - done);
			if (w <= 0)
				return 1;
			done += (size_t)w;
		}
		n -= (long)want;
	}
	return 0;
}

static int cat(void) {
	static char buf[65536];
	ssize_t n;
	while ((n = read(0, buf, sizeof buf)) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(1, buf + done, (size_t)(n - done));
			if (w <= 0)
				return 1;
			done += w;
		}
	return n < 0;
}

static void sleep_for_ever(const char *word) {
	puts(word);
	fflush(stdout);
	for (;;)
		sleep(3600);
}

int main(int argc, char **argv) {
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "exit"))
		return atoi(argv[2]);
	if (!strcmp(what, "echo")) {
		printf("%s\n", argv[2]);
		fflush(stdout);
		fprintf(stderr, "%s\n", argv[3]);
		return 0;
	}
	if (!strcmp(what, "cat"))
		return cat();
	if (!strcmp(what, "fill"))
		return fill(atol(argv[2]));
	if (!strcmp(what, "sleep"))
		sleep_for_ever("sleeping");
	if (!strcmp(what, "deaf"))
		sleep_for_ever("deaf");
	if (!strcmp(what, "spin"))
		for (volatile uint64_t i = 0;; i++)
			;
	if (!strcmp(what, "trap"))
		__builtin_trap();
	if (!strcmp(what, "leak"))
		while ((taken = malloc(1 << 20)))
			memset(taken, 1, 1 << 20);
	fprintf(stderr, "unknown program %s\n", what);
	return 99;
}
