/* The programs of the suite of sandboxes as a program for Linux, where what is deaf has
 * to say so. */
#include <signal.h>

#define main programs
#include "../../../wasmsandboxer/testdata/guest/main.c"
#undef main

int main(int argc, char **argv) {
	if (argc > 1 && !strcmp(argv[1], "deaf"))
		signal(SIGTERM, SIG_IGN);
	return programs(argc, argv);
}
