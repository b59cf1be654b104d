/* The cgroups that an entry records: which of them are really the run's own, and freezing.
 * Runs in: parent. */
#include "lib/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

/* linux/magic.h */
#define CGROUP1 0x27e0ebul
#define CGROUP2 0x63677270ul
#define FREEZE_STEPS 200 /* of 10 ms: a process may be in a system call that ends only then */

ssize_t entry_read(int dir, const char *file, char *text, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

int entry_write(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int saved = n < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return -saved;
}

/* Ours by name, and of the kind that it is said to be. */
static int open_own(const char *path, unsigned version)
{
	const char *name = strrchr(path, '/');
	struct statfs fs;
	int fd = strncmp(name, "/hutch-", 7) ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == (version == 2 ? CGROUP2 : CGROUP1))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The kernel's own list: the first process is in it, and its launcher, which shares only what isn't the run's, is not. */
static bool holds_run(int dir, const struct entry_text *t)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	bool first = false, launcher = false;
	int pid;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!launcher && fscanf(f, "%d", &pid) == 1) {
		first = first || pid == t->first;
		launcher = pid == t->launcher;
	}
	fclose(f);
	return first && !launcher;
}

int entry_cgroup(const struct hutch_entry *n, size_t i)
{
	int fd = open_own(n->text.cgroups[i].path, n->text.cgroups[i].version);

	if (fd >= 0 && holds_run(fd, &n->text))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Version 1's file says THAWED, FREEZING or FROZEN; version 2 counts in another one than it is told in. */
static int frozen_at(int dir, unsigned version)
{
	char text[256];

	if (entry_read(dir, version == 2 ? "cgroup.events" : "freezer.state", text, sizeof text) <= 0)
		return -1;
	return version == 2 ? strstr(text, "frozen 1") != NULL : !strncmp(text, "FROZEN", 6);
}

static int freezer_of(const struct hutch_entry *n, unsigned *version)
{
	for (size_t i = 0; i < n->text.cgroup_count; i++) {
		int fd = entry_cgroup(n, i);
		*version = n->text.cgroups[i].version;
		if (fd >= 0 && faccessat(fd, *version == 2 ? "cgroup.freeze" : "freezer.state", F_OK, 0) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

int entry_frozen(const struct hutch_entry *n)
{
	unsigned version;
	int fd = freezer_of(n, &version), result = -1;

	if (fd >= 0) {
		result = frozen_at(fd, version);
		close(fd);
	}
	return result;
}

static int tell(int dir, unsigned version, bool freeze)
{
	return version == 2 ? entry_write(dir, "cgroup.freeze", freeze ? "1" : "0") : entry_write(dir, "freezer.state", freeze ? "FROZEN" : "THAWED");
}

/* Version 1 may stop half-way, and goes on when it is told again. */
static int set_and_wait(int dir, unsigned version, bool freeze)
{
	static const struct timespec pause = { 0, 10000000 };
	int r = tell(dir, version, freeze);

	for (int i = 0; r == 0 && frozen_at(dir, version) != (int)freeze; i++) {
		if (i == FREEZE_STEPS)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
		if (version == 1)
			r = tell(dir, version, freeze);
	}
	return r;
}

int entry_set_frozen(const struct hutch_entry *n, bool freeze, struct hutch_error *e)
{
	unsigned version;
	int fd = freezer_of(n, &version), r;

	if (fd < 0) {
		error_set(e, ERR_ENTRY_NO_CGROUP, 0, NULL, n->file, NULL);
		return error_detail(e, "%s", n->text.cgroup_count ? "its cgroup has no freezer (version 1: the freezer controller)" : "it has none of its own");
	}
	r = set_and_wait(fd, version, freeze);
	if (r < 0 && freeze)
		tell(fd, version, false); /* half frozen is neither */
	close(fd);
	return r < 0 ? error_set(e, ERR_ENTRY_FREEZE, -r, "write", n->file, NULL) : 0;
}

int hutch_entry_freeze(hutch_entry *n, bool freeze, struct hutch_error *e)
{
	return entry_set_frozen(n, freeze, e);
}

/* Ours, of a launcher that is gone: the directory's lock is the launcher's, as that of the entry is. Descriptor with the
 * lock, -1 = no. */
static int open_dead(const char *path, unsigned version)
{
	int fd = open_own(path, version);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Thaws; was it frozen? */
static bool let_go(int dir, unsigned version)
{
	bool stood = frozen_at(dir, version) == 1;

	tell(dir, version, false);
	return stood;
}

/* What is let go on takes a moment to die; what lives on by its own policy keeps its cgroup. */
static void remove_dead(const char *path, bool patient)
{
	static const struct timespec pause = { 0, 2000000 };

	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && patient && i < 1000; i++)
		nanosleep(&pause, NULL);
}

void entry_release(const struct entry_text *t)
{
	int fds[ENTRY_CGROUPS];
	bool stood = false;

	/* All of them first: version 1 freezes in one hierarchy what keeps the directories of the others. */
	for (size_t i = 0; i < t->cgroup_count; i++) {
		fds[i] = open_dead(t->cgroups[i].path, t->cgroups[i].version);
		if (fds[i] >= 0 && let_go(fds[i], t->cgroups[i].version))
			stood = true;
	}
	for (size_t i = 0; i < t->cgroup_count; i++) {
		if (fds[i] < 0)
			continue;
		remove_dead(t->cgroups[i].path, stood);
		close(fds[i]);
	}
}
