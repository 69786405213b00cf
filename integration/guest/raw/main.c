/* Behaviours that need WASI calls without a runtime in between: calls that block in
 * the host, traps, and exports beside _start. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept")))
extern int32_t host_sock_accept(int32_t fd, int32_t flags, int32_t *result);

static int trap(void) {
	puts("about to trap");
	fflush(stdout);
	__builtin_trap();
}

static int spin(void) {
	puts("spinning");
	fflush(stdout);
	for (volatile uint64_t i = 0;; i++)
		;
}

static int block_in_read(void) {
	char c;
	puts("reading");
	fflush(stdout);
	return read(0, &c, 1) < 0;
}

static int block_in_accept(void) {
	int32_t connection;
	puts("accepting");
	fflush(stdout);
	const char *fds = getenv("BLAZAR_LISTEN_FDS");
	int32_t error = host_sock_accept(fds ? atoi(fds) : 3, 0, &connection);
	printf("accept: %d\n", (int)error);
	return 0;
}

static int block_in_sleep(void) {
	puts("sleeping");
	fflush(stdout);
	sleep(3600);
	return 0;
}

static volatile int depth;

/* recurse uses up the stack of calls; a variable whose address counts would lie in
 * linear memory, whose own stack ends as a memory access out of bounds. */
static int recurse(int n) {
	depth = n;
	return recurse(n + 1) + depth;
}

__attribute__((export_name("greet"))) void greet(void) {
	puts("greetings from an export");
	fflush(stdout);
}

int main(int argc, char **argv) {
	const char *command = argc > 1 ? argv[1] : "hello";
	if (!strcmp(command, "trap"))
		return trap();
	if (!strcmp(command, "spin"))
		return spin();
	if (!strcmp(command, "read"))
		return block_in_read();
	if (!strcmp(command, "accept"))
		return block_in_accept();
	if (!strcmp(command, "sleep"))
		return block_in_sleep();
	if (!strcmp(command, "recurse"))
		return recurse(0);
	puts("hello from raw wasm");
	return 0;
}
