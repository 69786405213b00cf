/* A Linux container to compare wasm containers with.
 *   hello            greets and ends
 *   hello CODE       greets and ends with CODE
 *   hello sleep      greets and waits for a signal
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void down(int signal) { _exit(128 + signal); }

int main(int argc, char **argv) {
	signal(SIGTERM, down);
	puts("hello from linux");
	fflush(stdout);
	if (argc > 1 && strcmp(argv[1], "sleep") == 0)
		for (;;)
			pause();
	return argc > 1 ? atoi(argv[1]) : 0;
}
