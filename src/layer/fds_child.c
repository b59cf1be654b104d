/* Signals and descriptors in the child.
 * Runs in: child. */
#include <signal.h>
#include <sys/stat.h>

#include "run/child.h"
#include "sys/sys.h"

int child_op_SIGNAL_DEFAULT(struct child *c, const struct op *op)
{
	/* The kernel's own structure: handler, flags, restorer, mask. */
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } def = { 0 };
	int r = (int)SYS4(SYS_rt_sigaction, op->number[0], &def, NULL, 8);

	return r < 0 ? child_fail(c, op, ERR_SIGNALS, r, "rt_sigaction", NULL) : 0;
}

static int close_gap(unsigned first, unsigned last)
{
	int r = sys_close_range(first, last, 0);

	if (r != -ENOSYS && r != -EPERM)
		return r;
	/* Linux before 5.9, or filtered: one by one up to the limit that bounds every open descriptor. */
	struct { uint64_t soft, hard; } limit = { 0 };
	r = sys_prlimit(0, 7 /* RLIMIT_NOFILE */, NULL, &limit);
	if (r < 0)
		return r;
	for (uint64_t fd = first; fd <= last && fd < limit.hard && fd < (1u << 20); fd++)
		sys_close((int)fd);
	return 0;
}

/* keep is sorted and holds every descriptor that the steps to come need. */
int child_close_from(struct child *c, unsigned from)
{
	if (c->plan->mode == PLAN_NARROW)
		return 0; /* what is open stays the process's own */
	for (size_t i = 0; i <= c->keep_count; i++) {
		unsigned next = i < c->keep_count ? (unsigned)c->keep[i] : ~0u;
		unsigned last = i < c->keep_count ? next - 1 : ~0u;
		if (next > from || i == c->keep_count) {
			int r = close_gap(from, last);
			if (r < 0)
				return child_fail(c, NULL, ERR_FD_CLOSE, r, "close_range", NULL);
		}
		if (i < c->keep_count)
			from = next + 1;
	}
	return 0;
}

int child_close_others(struct child *c)
{
	if (child_close_from(c, 3) < 0)
		return -1;
	if (c->stdin_fd >= 0) {
		int r = sys_dup3(c->stdin_fd, 0, 0);
		if (r < 0)
			return child_fail(c, NULL, ERR_STDIN, r, "dup3", NULL);
	}
	for (int fd = 1; fd < 3; fd++) {
		int r = c->output[fd] > 2 ? sys_dup3(c->output[fd], fd, 0) : 0;
		if (r < 0)
			return child_fail(c, NULL, ERR_FD_STDIO, r, "dup3", NULL);
	}
	return 0;
}

int child_op_FD_NULL(struct child *c, const struct op *op)
{
	int target = (int)op->number[0];
	int fd = sys_openat(AT_FDCWD, "/dev/null", (target == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC, 0);

	if (fd < 0)
		return child_fail(c, op, ERR_FD_STDIO, fd, "openat", "/dev/null");
	if (fd == target)
		return sys_fcntl(fd, F_SETFD, 0) < 0 ? child_fail(c, op, ERR_FD_STDIO, -EBADF, "fcntl", NULL) : 0;
	int r = sys_dup3(fd, target, 0);
	sys_close(fd);
	return r < 0 ? child_fail(c, op, ERR_FD_STDIO, r, "dup3", NULL) : 0;
}

int child_op_STDIN_READONLY(struct child *c, const struct op *op)
{
	struct u_mount_attr attr = { .attr_set = U_MOUNT_ATTR_RDONLY };
	struct stat was, now;
	char path[32];
	long offset = SYS3(SYS_lseek, 0, 0, 1 /* SEEK_CUR */);
	int tree = sys_open_tree(AT_FDCWD, op->path, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return child_fail(c, op, ERR_STDIN, tree, "open_tree", NULL);
	int r = sys_mount_setattr(tree, "", U_AT_EMPTY_PATH, &attr);
	if (r < 0)
		return child_fail(c, op, ERR_STDIN, r, "mount_setattr", NULL);
	sys_fd_path(path, tree);
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return child_fail(c, op, ERR_STDIN, fd, "openat", NULL);
	if (SYS2(SYS_fstat, 0, &was) < 0 || SYS2(SYS_fstat, fd, &now) < 0 || was.st_dev != now.st_dev || was.st_ino != now.st_ino)
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, "fstat", NULL);
	r = sys_dup3(fd, 0, 0);
	if (r < 0 || (offset > 0 && SYS3(SYS_lseek, 0, offset, 0) < 0))
		return child_fail(c, op, ERR_STDIN, r < 0 ? r : -ESPIPE, "dup3", NULL);
	sys_close(fd);
	sys_close(tree);
	return 0;
}

int child_op_FD_KEEP(struct child *c, const struct op *op)
{
	/* The launcher's copy has a number that nobody asked for, so no place is taken before its turn. */
	int r = sys_dup3(c->held[op->number[2]], (int)op->number[0], 0);

	sys_close(c->held[op->number[2]]); /* each counts against the program's limit of open files */
	return r < 0 ? child_fail(c, op, ERR_FD_KEEP, r, "dup3", NULL) : 0;
}
