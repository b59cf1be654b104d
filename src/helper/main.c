/* The launching helper: maps a packed plan and executes it, as the child of the launcher does in a copy of the
 * launcher. Linked small and static; the library carries it.
 * Runs in: child. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "run/child.h"
#include "run/image.h"
#include "sys/sys.h"

#define FIXED_NOREPLACE 0x100000

static long number(const char **s)
{
	long n = 0;

	while (**s >= '0' && **s <= '9')
		n = n * 10 + *(*s)++ - '0';
	return n;
}

static struct image_header *map_image(int fd, long offset)
{
	uint64_t start[2] = { 0, 0 };
	struct image_header *h;

	if (SYS4(SYS_pread64, fd, start, sizeof start, offset) != (long)sizeof start || start[0] != IMAGE_MAGIC)
		return NULL;
	h = mmap((void *)(uintptr_t)IMAGE_BASE, start[1], PROT_READ | PROT_WRITE, MAP_PRIVATE | FIXED_NOREPLACE, fd, offset);
	return (uintptr_t)h == IMAGE_BASE ? h : NULL;
}

int main(int argc, char **argv)
{
	const char *word = argc == 1 ? argv[0] : "";
	int fd = (int)number(&word);
	struct image_header *h = *word == ' ' ? (word++, map_image(fd, number(&word))) : NULL;

	if (!h)
		return 125; /* the launcher sees the end of the socket: abort */
	for (char *c = argv[0]; *c; c++)
		*c = 0;
	sys_close(fd);
	sys_prctl(PR_SET_NAME, (unsigned long)(uintptr_t)"hutch", 0, 0, 0);
	for (size_t i = 0; i < h->child.keep_count; i++)
		sys_fcntl(h->child.keep[i], F_SETFD, FD_CLOEXEC);
	child_main(&h->child);
}
