/* Ids of a run: an unprivileged one of its own for root's sandboxes, and the maps.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

#define POOL_FILE "/run/hutch-ids.lock"

int id_allocate(uint32_t *id, struct hutch_error *e)
{
	struct stat st;
	int fd = sys_openat(AT_FDCWD, POOL_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Any will do; one that differs from run to run spares looking past the locks of others. */
	uint32_t start = (uint32_t)clock_us() % HOST_ID_POOL_SIZE;

	if (fd < 0)
		return error_set(e, ERR_ID_LOCK, -fd, "open", POOL_FILE, "default");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 077)) {
		close(fd);
		return error_set(e, ERR_ID_LOCK, EPERM, "fstat", POOL_FILE, "default");
	}
	/* One byte of the file stands for one id. The kernel lets go of the lock when the last copy of this
	 * descriptor is closed, so a launcher that is killed leaves nothing behind. */
	for (uint32_t i = 0; i < HOST_ID_POOL_SIZE; i++) {
		uint32_t n = (start + i) % HOST_ID_POOL_SIZE;
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = n, .l_len = 1 };
		if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
			*id = HOST_ID_POOL_START + n;
			return fd;
		}
		if (errno != EAGAIN && errno != EACCES) {
			int saved = errno;
			close(fd);
			return error_set(e, ERR_ID_LOCK, saved, "fcntl", POOL_FILE, "default");
		}
	}
	close(fd);
	return error_set(e, ERR_ID_NO_FREE, 0, NULL, POOL_FILE, "default");
}

static uint32_t outside(const struct id_extent *x, uint32_t allocated)
{
	return x->outside == HUTCH_ID_ALLOCATED ? allocated : x->outside;
}

static int write_proc(pid_t pid, const char *name, const char *text, size_t len, struct hutch_error *e)
{
	char path[64];
	int fd, saved = 0;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return error_set(e, ERR_ID_MAP, -fd, "open", path, "map");
	if (write(fd, text, len) != (ssize_t)len)
		saved = errno;
	close(fd);
	return saved ? error_set(e, ERR_ID_MAP, saved, "write", path, "map") : 0;
}

static int write_map(pid_t pid, const char *name, const struct id_extent *x, size_t n, uint32_t allocated, struct hutch_error *e)
{
	struct text t;
	int r;

	text_init(&t);
	for (size_t i = 0; i < n; i++)
		text_printf(&t, "%u %u %u\n", x[i].inside, outside(&x[i], allocated), x[i].count);
	r = t.failed || !t.s ? error_nomem(e) : write_proc(pid, name, t.s, t.len, e);
	text_done(&t);
	return r;
}

static int helper_error(struct hutch_error *e, int errnum, const char *path, int status)
{
	error_set(e, ERR_ID_HELPER, errnum, "posix_spawn", path, "map");
	return errnum ? -1 : error_detail(e, "it ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* The only programs that set-up ever starts, by absolute path and with no environment. */
static int run_helper(const char *path, pid_t pid, const struct id_extent *x, size_t n, struct hutch_error *e)
{
	char words[3 * 16 + 2][12];
	char *argv[3 * 16 + 3], *none[] = { NULL };
	size_t k = 0;
	pid_t child;
	int status = 0, r;

	if (n > 16)
		return error_set(e, ERR_ID_MAP, E2BIG, NULL, path, "map");
	argv[k++] = (char *)(uintptr_t)path;
	snprintf(words[0], sizeof words[0], "%d", (int)pid);
	argv[k++] = words[0];
	for (size_t i = 0; i < n; i++) {
		uint32_t part[3] = { x[i].inside, x[i].outside, x[i].count };
		for (int p = 0; p < 3; p++, k++) {
			snprintf(words[k], sizeof words[k], "%u", part[p]);
			argv[k] = words[k];
		}
	}
	argv[k] = NULL;
	r = posix_spawn(&child, path, NULL, NULL, argv, none);
	if (r)
		return helper_error(e, r, path, 0);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return helper_error(e, errno, path, 0);
	}
	return status ? helper_error(e, 0, path, status) : 0;
}

int idmap_write(const struct plan *p, const struct host *h, pid_t pid, uint32_t allocated, struct hutch_error *e)
{
	if (!p->userns_new)
		return 0;
	if (p->deny_setgroups && write_proc(pid, "setgroups", "deny", 4, e) < 0)
		return -1;
	if (p->map_by_helper) {
		if (run_helper(h->newuidmap_path, pid, p->uid_extents, p->uid_extent_count, e) < 0)
			return -1;
		return run_helper(h->newgidmap_path, pid, p->gid_extents, p->gid_extent_count, e);
	}
	if (write_map(pid, "uid_map", p->uid_extents, p->uid_extent_count, allocated, e) < 0)
		return -1;
	return write_map(pid, "gid_map", p->gid_extents, p->gid_extent_count, allocated, e);
}
