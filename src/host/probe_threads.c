/* The calling process's threads, for one that confines itself.
 * Runs in: parent. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/internal.h"
#include "sys/sys.h"

#define U_CLONE_THREAD 0x10000ull
/* The one that glibc keeps for setuid(2) in all threads, so that its sigprocmask never blocks it. */
#define USUAL_SIGNAL 33

/* Asks for what a process with one thread has already: the kernel refuses it to one that has more. */
static int has_threads(void)
{
	int r = sys_unshare(U_CLONE_THREAD);

	return r == 0 ? 0 : r == -EINVAL ? 1 : -1;
}

static bool blocked_by(const char *tid, uint64_t *mask)
{
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%.20s/status", tid);
	f = fopen(path, "re");
	if (!f)
		return false; /* it has ended */
	while (fgets(line, sizeof line, f)) {
		if (!strncmp(line, "SigBlk:", 7))
			*mask |= strtoull(line + 7, NULL, 16);
	}
	fclose(f);
	return *mask & (UINT64_C(1) << (USUAL_SIGNAL - 1));
}

static bool is_default(unsigned number)
{
	struct { uintptr_t handler; unsigned char rest[120]; } was = { 0, { 0 } };

	return SYS4(SYS_rt_sigaction, number, 0, &was, 8) == 0 && was.handler == 0;
}

static unsigned choose(uint64_t blocked)
{
	if (!(blocked & (UINT64_C(1) << (USUAL_SIGNAL - 1))))
		return USUAL_SIGNAL;
	for (unsigned n = 64; n > 34; n--) {
		if (!(blocked & (UINT64_C(1) << (n - 1))) && is_default(n))
			return n;
	}
	return 0;
}

static int look(struct host *h, DIR *dir)
{
	uint64_t blocked = 0;

	h->threads = 0;
	rewinddir(dir);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		if (d->d_name[0] == '.')
			continue;
		h->threads++;
		if (blocked_by(d->d_name, &blocked))
			h->thread_deaf = (unsigned)strtoul(d->d_name, NULL, 10);
	}
	return (h->thread_signal = choose(blocked)) ? 0 : -1;
}

int host_probe_threads(struct host *h, struct hutch_error *e)
{
	const struct timespec pause = { 0, 2000000 };
	int several = has_threads();
	DIR *dir;

	h->threads = 1;
	if (several == 0)
		return 0;
	dir = opendir("/proc/self/task");
	if (!dir)
		return error_set(e, ERR_HOST_PROBE, errno, "open", "/proc/self/task", "caller");
	/* A thread is born with all signals blocked, for a moment. */
	for (int tries = 0; look(h, dir) < 0 && tries < 100; tries++)
		nanosleep(&pause, NULL);
	closedir(dir);
	if (several > 0 && h->threads < 2)
		h->threads = 2; /* others ended meanwhile, or came */
	return 0;
}
