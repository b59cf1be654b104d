/* Within the mount layer: what the files that turn the view into operations share.
 * Runs in: parent. PURE. */
#ifndef HUTCH_LAYER_MOUNT_H
#define HUTCH_LAYER_MOUNT_H

#include "layer/layer.h"
#include "sys/uapi.h"

#define ATTR_BASE (U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV)

struct emit {
	struct build *b;
	const struct view *v;
	struct table made;              /* what exists in our own file systems, and directories that are pinned */
	bool whole_tree;                /* the root is a bound tree: rootfs, host-root */
	bool grouped;                   /* what is read-only in our own root gets its attributes in one call */
};

struct op *mount_op(struct emit *m, enum op_kind k, const char *path, const char *origin);
bool mount_is_made(const struct emit *m, const char *path);
int mount_note_made(struct emit *m, const char *path);
int mount_make_dir(struct emit *m, const char *dir, unsigned mode, const char *origin);
int mount_make_file(struct emit *m, const char *path, const char *origin);
/* 1 = the mount point is ready, 0 = this default is left out */
int mount_prepare(struct emit *m, const struct view_entry *e, bool directory, uint32_t *walk);
const char *mount_tmpfs_options(struct build *b, const struct view_entry *e, unsigned mode);

/* Kernels before 5.12: OPF_CLASSIC, whether a bind takes the mounts below it along, and the flags of those. */
uint32_t mount_classic(const struct emit *m);
uint32_t mount_recursive(const struct emit *m, const char *src);
int mount_classic_below(struct emit *m, const char *src, const char *dst, uint32_t attr, const char *origin);

int mount_dev(struct emit *m, const struct view_entry *e);
int mount_dev_points(struct emit *m, const struct view_entry *e);
int mount_proc(struct emit *m, const struct view_entry *e);
int mount_sys(struct emit *m, const struct view_entry *e);
int mount_device(struct emit *m, const struct view_entry *e);

#endif
