/* Says as whom it runs: the set-user-ID bit of its file counts, or does not. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
	printf("Effective uid: %d\n", geteuid());
	return 0;
}
