/* Change of root and directory.
 * Runs in: child. */
#include <sys/mount.h>

#include "layer/layer.h"
#include "sys/sys.h"

/* Whatever is still mounted on the new root's directory, ".." of the root leads to; "/" itself never does. */
static int old_root_gone(struct child *c, const struct op *op)
{
	struct u_statx root, above;
	int r = sys_statx("/", 0, U_STATX_MNT_ID | U_STATX_INO, &root);

	if (r >= 0)
		r = sys_statx("/..", 0, U_STATX_MNT_ID | U_STATX_INO, &above);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_OLD_ROOT, r, "statx", "/..");
	/* Where the kernel doesn't tell the mount, the file tells it, but for a bound "/". */
	if ((root.mask & above.mask & U_STATX_MNT_ID && root.mnt_id != above.mnt_id) || root.ino != above.ino ||
	    root.dev_major != above.dev_major || root.dev_minor != above.dev_minor)
		return child_fail(c, op, ERR_MOUNT_OLD_ROOT, 0, NULL, "something is mounted over /");
	return 0;
}

/* Old and new root are stacked at one place, so the old one can be let go without a directory for it: unless something
 * is left on top, which would go in its place. */
int child_op_PIVOT(struct child *c, const struct op *op)
{
	int r = sys_pivot_root(".", ".");

	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_PIVOT, r, "pivot_root", NULL);
	r = sys_umount2(".", MNT_DETACH);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_PIVOT, r, "umount2", "the old root");
	r = sys_chdir("/");
	return r < 0 ? child_fail(c, op, ERR_MOUNT_PIVOT, r, "chdir", "/") : old_root_gone(c, op);
}

int child_op_CHROOT(struct child *c, const struct op *op)
{
	int r = sys_chroot(".");

	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_PIVOT, r, "chroot", NULL);
	r = sys_chdir("/");
	return r < 0 ? child_fail(c, op, ERR_MOUNT_PIVOT, r, "chdir", "/") : 0;
}

int child_op_CHDIR(struct child *c, const struct op *op)
{
	int r = sys_chdir(op->path);

	return r < 0 ? child_fail(c, op, ERR_CWD, r, "chdir", NULL) : 0;
}

/* The interpreter that a script names in its first line: into path. false = it isn't a script. */
static bool script_interpreter(const char *file, char *path, size_t size)
{
	char head[256];
	int fd = sys_openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
	long n = fd < 0 ? fd : sys_read(fd, head, sizeof head - 1), at = 2;
	size_t out = 0;

	if (fd >= 0)
		sys_close(fd);
	if (n < 3 || head[0] != '#' || head[1] != '!')
		return false;
	while (at < n && (head[at] == ' ' || head[at] == '\t'))
		at++;
	while (at < n && out + 1 < size && head[at] != ' ' && head[at] != '\t' && head[at] != '\n')
		path[out++] = head[at++];
	path[out] = 0;
	return out > 0;
}

/* A link of /proc/self/exe's kind as the program, or as the interpreter of a script, would be the launcher's own file. */
int child_op_EXEC_CHECK(struct child *c, const struct op *op)
{
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = U_RESOLVE_NO_MAGICLINKS };
	char path[4096];

	copy_bounded(path, sizeof path, op->path);
	/* The kernel follows at most five interpreters. */
	for (int depth = 0; depth < 6; depth++) {
		int fd = sys_openat2(AT_FDCWD, path, &how);
		if (fd == -ENOENT || fd == -EACCES || fd == -ENOTDIR)
			return 0; /* execve says why */
		if (fd < 0)
			return child_fail(c, op, ERR_EXEC_FAILED, fd, "openat2", path);
		sys_close(fd);
		if (!script_interpreter(path, path, sizeof path))
			return 0;
	}
	return 0;
}
