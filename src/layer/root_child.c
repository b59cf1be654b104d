/* Change of root and directory.
 * Runs in: child. */
#include <sys/mount.h>

#include "layer/layer.h"
#include "sys/sys.h"

/* Old and new root are stacked at one place, so the old one can be let go without a directory for it. */
int child_op_PIVOT(struct child *c, const struct op *op)
{
	int r = sys_pivot_root(".", ".");

	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_PIVOT, r, "pivot_root", NULL);
	r = sys_umount2(".", MNT_DETACH);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_PIVOT, r, "umount2", "the old root");
	r = sys_chdir("/");
	return r < 0 ? child_fail(c, op, ERR_MOUNT_PIVOT, r, "chdir", "/") : 0;
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
