/* An unchanged program, which knows nothing of hutch: leaves a file behind as the proof that main was reached, and
 * prints every way in which it can see its environment.
 * Runs in: the test process's child. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv, char **envp)
{
	char block[65536];

	if (argc > 1) {
		int fd = open(argv[1], O_WRONLY | O_CREAT, 0600);
		printf("made=%d\n", fd >= 0);
	}
	for (char **v = environ; *v; v++)
		printf("environ=%s\n", *v);
	for (char **v = envp; *v; v++)
		printf("envp=%s\n", *v);
	FILE *f = fopen("/proc/self/environ", "r");
	size_t n = f ? fread(block, 1, sizeof block - 1, f) : 0;
	block[n] = 0;
	if (f)
		fclose(f);
	for (size_t i = 0; i < n; i += strlen(block + i) + 1) {
		if (block[i])
			printf("proc=%s\n", block + i);
	}
	printf("preload=%s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "none");
	for (int fd = 0; fd < 100; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			printf("fd=%d\n", fd);
	}
	if (argc > 2)
		printf("read=%d\n", open(argv[2], O_RDONLY) >= 0);
	return argc > 3 ? atoi(argv[3]) : 0;
}
