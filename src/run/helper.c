/* Starts set-up in a small process of its own instead of a copy of the caller: the time that takes doesn't
 * grow with the caller's memory, and init holds nothing of it.
 * Runs in: parent; helper_exec() between vfork and exec. */
#include "run/helper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/image.h"
#include "sys/sys.h"

#define ALIGN 65536u /* the largest page size: mmap takes offsets of whole pages */
#define U_MFD_CLOEXEC 1u
#define U_MFD_EXEC 16u
#define U_SECBIT_NOROOT 1

/* The helper program, put into the library by the build. The command, which is small itself, comes without. */
extern const unsigned char helper_program[] __attribute__((weak));
extern const size_t helper_program_size __attribute__((weak));

struct start {
	const struct child *child;
	int memory;
	char *words[2];
	int errnum;
};

/* Exec must neither take capabilities from set-up nor give it any that the caller has dropped. */
static bool keeps_rights(const struct host *h)
{
	if (h->uid != h->euid || h->gid != h->egid)
		return false;
	if (h->euid != 0)
		return h->cap_permitted == 0;
	return h->cap_effective == h->cap_permitted && h->cap_permitted == h->cap_bounding &&
	       !(sys_prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & U_SECBIT_NOROOT);
}

static bool write_all(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* One file in memory: the program, and behind it the plan. */
static int make_memory(const struct child *c, size_t *offset)
{
	int fd = (int)SYS2(SYS_memfd_create, "hutch", U_MFD_CLOEXEC | U_MFD_EXEC);
	size_t size;
	void *image;
	bool good;

	if (fd == -EINVAL) /* before Linux 6.3 */
		fd = (int)SYS2(SYS_memfd_create, "hutch", U_MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	*offset = (helper_program_size + ALIGN - 1) / ALIGN * ALIGN;
	image = image_pack(c, &size);
	good = image && write_all(fd, helper_program, helper_program_size) && lseek(fd, (off_t)*offset, SEEK_SET) >= 0 && write_all(fd, image, size);
	free(image);
	if (good)
		return fd;
	close(fd);
	return -1;
}

/* In the caller's memory, on a stack of its own, while the calling thread waits: raw system calls only.
 * What it changes of descriptors is its own table. */
__attribute__((no_sanitize("thread", "address")))
static int helper_exec(void *data)
{
	struct start *s = data;
	char *const none[] = { NULL };

	for (int fd = 0; fd < 3; fd++)
		sys_fcntl(fd, F_SETFD, 0);
	for (size_t i = 0; i < s->child->keep_count; i++)
		sys_fcntl(s->child->keep[i], F_SETFD, 0);
	sys_fcntl(s->memory, F_SETFD, 0);
	s->errnum = -(int)SYS5(SYS_execveat, s->memory, "", s->words, none, U_AT_EMPTY_PATH);
	sys_exit(125);
}

int helper_start(const struct child *c, const struct host *h)
{
	struct start s = { .child = c };
	char word[48], stack[4096] __attribute__((aligned(16)));
	size_t offset = 0;
	int pid;

	/* A surrounding that hides clone3 gets the simple way; so do overlays, whose lists of layers aren't packed. */
	if (!&helper_program_size || !h->clone3 || c->plan->cow.used || !keeps_rights(h))
		return 0;
	s.memory = make_memory(c, &offset);
	if (s.memory < 0)
		return 0;
	snprintf(word, sizeof word, "%d %zu", s.memory, offset);
	s.words[0] = word;
	pid = (int)sys_clone_on(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + sizeof stack, helper_exec, &s);
	close(s.memory);
	if (pid > 0 && s.errnum) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		return 0;
	}
	return pid > 0 ? pid : 0;
}
