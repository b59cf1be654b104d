/* Opens a file as descriptor 3 and executes the rest: bwrap reads its filter from a descriptor to the end,
 * so each run needs a fresh one.
 * usage: reopen FILE CMD…
 * Runs in: any. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc > 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || (fd != 3 && dup2(fd, 3) < 0))
		return perror("reopen"), 2;
	if (fd != 3)
		close(fd);
	execvp(argv[2], argv + 2);
	return perror(argv[2]), 127;
}
