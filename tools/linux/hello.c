/* A Linux container to compare wasm containers with, and to put beside them.
 *   hello            greets and ends
 *   hello CODE       greets and ends with CODE
 *   hello sleep      greets and waits for a signal
 *   hello get PORT   greets, fetches / from the pod's server on PORT and shows it
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void down(int signal) { _exit(128 + signal); }

static int get(int port) {
	static const char request[] = "GET /from-linux HTTP/1.0\r\nHost: localhost\r\n\r\n";
	struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	char buf[4096];
	ssize_t n;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (s < 0 || connect(s, (struct sockaddr *)&server, sizeof server) < 0 ||
	    write(s, request, sizeof request - 1) < 0) {
		perror("localhost");
		return 1;
	}
	while ((n = read(s, buf, sizeof buf)) > 0)
		fwrite(buf, 1, n, stdout);
	putchar('\n');
	return n < 0;
}

int main(int argc, char **argv) {
	signal(SIGTERM, down);
	puts("hello from linux");
	fflush(stdout);
	if (argc > 2 && strcmp(argv[1], "get") == 0)
		return get(atoi(argv[2]));
	if (argc > 1 && strcmp(argv[1], "sleep") == 0)
		for (;;)
			pause();
	return argc > 1 ? atoi(argv[1]) : 0;
}
