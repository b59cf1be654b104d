/* The new root becomes the root.
 * Runs in: parent. */
#include "layer/layer.h"

int root_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (!layer_has_mounts(b))
		return build_row(b, ROW_MISSING, "/", "new", "the host's", "-", "no mount namespace of its own", p->origin[KEY_MNTNS]);
	if (!p->chroot)
		return build_op(b, SECTION_ROOT, OP_PIVOT, "/", "default") ? 0 : -1;
	if (!build_op(b, SECTION_ROOT, OP_CHROOT, p->rootfs, p->origin[KEY_CHROOT]))
		return -1;
	return build_row(b, ROW_WEAKER, "change of root", "chroot", "chroot", "chroot(2)",
			 "the old root stays mounted below: only missing capabilities and the filter keep the program in", p->origin[KEY_CHROOT]);
}
