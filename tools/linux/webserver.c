/* A web server of two processes, in the place of nginx and httpd: a master, whose title
 * says so and whose pid is in a file, and a worker that answers every request with one page.
 *   webserver PORT [PIDFILE]
 * The name of the program is that of the file it is started as.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
			   "Connection: close\r\n\r\nhello\n";

static void fail(const char *what) {
	perror(what);
	exit(EXIT_FAILURE);
}

static volatile pid_t worker;

static void down(int signal) {
	(void)signal;
	if (worker > 0)
		kill(worker, SIGKILL);
	_exit(EXIT_SUCCESS);
}

static int listening(int port) {
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1, off = 0, fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
		if (bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 64) == 0)
			return fd;
		close(fd);
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&any4, sizeof any4) != 0 || listen(fd, 64) != 0)
		fail("listen");
	return fd;
}

static void serve(int fd) {
	for (;;) {
		char request[8192];
		size_t have = 0;
		ssize_t n;
		int c = accept(fd, NULL, NULL);
		if (c < 0)
			continue;
		while (have < sizeof request - 1 && (n = read(c, request + have, sizeof request - 1 - have)) > 0) {
			have += n;
			request[have] = 0;
			if (strstr(request, "\r\n\r\n"))
				break;
		}
		n = write(c, page, sizeof page - 1);
		shutdown(c, SHUT_WR);
		close(c);
	}
}

int main(int argc, char **argv) {
	const char *program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	if (argc < 2)
		return EXIT_FAILURE;
	/* A process has the title that it was started with. */
	if (!strstr(argv[0], "master process")) {
		char title[128];
		char *again[] = {title, argv[1], argc > 2 ? argv[2] : NULL, NULL};
		snprintf(title, sizeof title, "%s: master process %s", program, argv[0]);
		execv(argv[0], again);
		fail(argv[0]);
	}
	signal(SIGTERM, down);
	signal(SIGINT, down);
	signal(SIGQUIT, down);
	signal(SIGPIPE, SIG_IGN);
	int fd = listening(atoi(argv[1]));
	if (argc > 2) {
		FILE *f = fopen(argv[2], "w");
		if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f) != 0)
			fail(argv[2]);
	}
	printf("%.*s is serving port %s\n", (int)strcspn(argv[0], ":"), argv[0], argv[1]);
	fflush(stdout);
	worker = fork();
	if (worker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd);
	}
	while (waitpid(worker, NULL, 0) < 0 && errno == EINTR)
		;
	return EXIT_FAILURE;
}
