/* What the kernel shows through file systems: /dev, /proc, /sys and single devices, as operations.
 * Runs in: parent. PURE. */
#include "layer/mount.h"

#include <string.h>

static int emit_link(struct emit *m, const char *text, const char *dst)
{
	struct op *op;

	if (mount_is_made(m, dst))
		return 0;
	if (mount_note_made(m, dst) < 0 || !(op = mount_op(m, OP_SYMLINK, dst, "default")))
		return -1;
	op->path2 = text;
	return 0;
}

static const char *const nodes[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };

/* What /dev holds besides mounts: made while the root may still be written to. */
int mount_dev_points(struct emit *m, const struct view_entry *e)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" },
	};

	for (size_t i = 0; i < COUNT_OF(nodes); i++) {
		if (mount_make_file(m, nodes[i], e->origin) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(links); i++) {
		if (emit_link(m, links[i][0], links[i][1]) < 0)
			return -1;
	}
	return mount_make_dir(m, "/dev/pts", 0755, e->origin) < 0 || mount_make_dir(m, "/dev/shm", 0755, e->origin) < 0 ? -1 : 0;
}

static int dev_mounts(struct emit *m, const struct view_entry *e)
{
	struct op *op;

	for (size_t i = 0; i < COUNT_OF(nodes); i++) {
		if (!(op = mount_op(m, OP_BIND, nodes[i], e->origin)))
			return -1;
		op->path2 = nodes[i];
		op->flags = OPF_NODE;
	}
	if (!mount_op(m, OP_DEVPTS, "/dev/pts", e->origin) || !(op = mount_op(m, OP_TMPFS, "/dev/shm", e->origin)))
		return -1;
	op->attr_set = ATTR_BASE;
	op->data = mount_tmpfs_options(m->b, NULL, 01777);
	return op->data ? 0 : error_nomem(m->b->error);
}

int mount_dev(struct emit *m, const struct view_entry *e)
{
	uint32_t walk;
	int ready = mount_prepare(m, e, true, &walk);
	struct op *op;

	if (ready <= 0)
		return ready;
	if (m->b->policy->dev == DEV_HOST) {
		if (!(op = mount_op(m, OP_BIND, "/dev", e->origin)))
			return -1;
		op->path2 = "/dev";
		op->flags = mount_recursive(m, "/dev") | OPF_NOVERIFY | walk | mount_classic(m);
		op->attr_set = U_MOUNT_ATTR_NOSUID;
		if (mount_classic_below(m, "/dev", "/dev", U_MOUNT_ATTR_NOSUID, e->origin) < 0)
			return -1;
		return build_row(m->b, ROW_OPEN, "/dev", "host", "host", "bind mount", "the caller's devices are reachable", e->origin);
	}
	/* In our own root /dev is a plain directory of it; in a given tree it needs a file system of its own. */
	if (walk) {
		if (!(op = mount_op(m, OP_TMPFS, "/dev", e->origin)))
			return -1;
		op->flags = walk;
		op->attr_set = U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NOEXEC;
		op->data = "mode=755,size=64k,nr_inodes=64";
	}
	if (mount_dev_points(m, e) < 0 || dev_mounts(m, e) < 0)
		return -1;
	return build_row(m->b, ROW_ENFORCED, "/dev", "minimal", "null zero full random urandom tty, own pts and shm", "device binds, devpts, tmpfs", NULL, e->origin);
}

/* Keys have no namespace of their own: procfs lists the user's on the host by name. */
static int hide_keys(struct emit *m, const struct view_entry *e)
{
	static const char *const lists[] = { "/proc/keys", "/proc/key-users" };

	/* A kernel with keys has both. */
	for (size_t i = 0; i < COUNT_OF(lists) && !m->b->host->peek(m->b->host, lists[0])->errnum; i++) {
		struct op *op;
		if (!(op = mount_op(m, OP_BIND, lists[i], e->origin)))
			return -1;
		op->path2 = "/dev/null";
		op->flags = OPF_NODE;
		if (m->grouped)
			continue; /* closed by nodev, with the root's other read-only mounts */
		if (!(op = mount_op(m, OP_ATTR, lists[i], e->origin)))
			return -1;
		op->attr_set = ATTR_BASE | U_MOUNT_ATTR_NOEXEC | U_MOUNT_ATTR_RDONLY;
		op->flags = mount_classic(m);
	}
	return 0;
}

/* Rungs: fresh, bound (shared pid namespace only), synthetic, none. */
int mount_proc(struct emit *m, const struct view_entry *e)
{
	static const char *const hide[] = { "off", "noaccess", "invisible", NULL, "ptraceable" };
	const struct policy *p = m->b->policy;
	enum ns_how pid = p->ns[NS_PID].how;
	/* A joined pid namespace belongs to another user namespace, whose procfs only root may mount. */
	bool pidns = pid == NS_NEW || (pid == NS_JOIN && !m->b->plan->userns_new);
	bool fresh = p->proc == PROC_NEW || (p->proc == PROC_AUTO && m->b->host->proc_mountable && pidns);
	bool bind = !fresh && (p->proc == PROC_BIND || (p->proc == PROC_AUTO && pid == NS_HOST));
	uint32_t walk;
	int ready;
	struct op *op;

	if (p->proc == PROC_BIND && pid != NS_HOST)
		return error_set(m->b->error, ERR_NS_CONFLICT, 0, NULL, "proc = bind and a pid namespace that isn't the caller's: it would show the host's processes", e->origin);
	if (p->proc == PROC_NEW && !m->b->host->proc_mountable)
		return error_set(m->b->error, ERR_MOUNT_PROC, 1, "mount", "/proc", e->origin);
	ready = mount_prepare(m, e, true, &walk);
	if (ready <= 0)
		return ready;
	if (bind) {
		if (!(op = mount_op(m, OP_PROC_BIND, "/proc", e->origin)))
			return -1;
		op->flags = walk | mount_recursive(m, "/proc") | mount_classic(m);
		op->attr_set = p->host_root ? 0 : ATTR_BASE | U_MOUNT_ATTR_NOEXEC | U_MOUNT_ATTR_RDONLY;
		if (mount_classic_below(m, "/proc", "/proc", op->attr_set, e->origin) < 0)
			return -1;
		return build_row(m->b, ROW_WEAKER, "/proc", "auto", "the host's, read-only", "bind mount", "the pid namespace is shared", e->origin);
	}
	if (fresh) {
		if (!(op = mount_op(m, OP_PROC, "/proc", e->origin)))
			return -1;
		op->flags = walk;
		/* Read-only as a whole: no sysctl, trigger or attribute can be written, whoever owns it. */
		op->attr_set = ATTR_BASE | U_MOUNT_ATTR_NOEXEC | U_MOUNT_ATTR_RDONLY;
		op->data = !p->hidepid && !p->proc_subset_pid ? "" :
			arena_printf(m->b->plan->arena, "hidepid=%s%s", hide[p->hidepid], p->proc_subset_pid ? ",subset=pid" : "");
		if (!p->proc_subset_pid && hide_keys(m, e) < 0)
			return -1;
		return build_row(m->b, ROW_ENFORCED, "/proc", "auto", p->proc_subset_pid ? "own processes only" : "fresh, read-only", "procfs of the new pid namespace", NULL, e->origin);
	}
	if (!(op = mount_op(m, OP_TMPFS, "/proc", e->origin)))
		return -1;
	op->flags = walk;
	op->attr_set = ATTR_BASE | U_MOUNT_ATTR_NOEXEC;
	op->data = "mode=755,size=64k,nr_inodes=64";
	static const char *const copied[] = { "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/filesystems", "/proc/version" };
	for (size_t i = 0; i < COUNT_OF(copied); i++) {
		struct op *copy = mount_op(m, OP_COPY, copied[i], e->origin);
		if (!copy)
			return -1;
		copy->path2 = copied[i];
		copy->number[0] = 0444;
	}
	if (!(op = mount_op(m, OP_ATTR, "/proc", e->origin)))
		return -1;
	op->flags = OPF_WALK | mount_classic(m);
	op->attr_set = U_MOUNT_ATTR_RDONLY;
	return build_row(m->b, ROW_WEAKER, "/proc", "auto", "synthetic: a few information files, no processes", "tmpfs",
			 pidns ? "masked parts of the surroundings' /proc forbid a fresh one" : "the joined pid namespace belongs to others", e->origin);
}

int mount_sys(struct emit *m, const struct view_entry *e)
{
	uint32_t walk;
	int ready = mount_prepare(m, e, true, &walk);
	struct op *op;

	if (ready <= 0)
		return ready;
	if (!(op = mount_op(m, OP_SYSFS_BIND, "/sys", e->origin)))
		return -1;
	op->flags = mount_recursive(m, "/sys") | walk | mount_classic(m);
	op->attr_set = ATTR_BASE | U_MOUNT_ATTR_NOEXEC | U_MOUNT_ATTR_RDONLY;
	if (mount_classic_below(m, "/sys", "/sys", op->attr_set, e->origin) < 0)
		return -1;
	return build_row(m->b, ROW_OPEN, "/sys", "ro", "the host's, read-only", "bind mount", NULL, e->origin);
}

int mount_device(struct emit *m, const struct view_entry *e)
{
	uint32_t walk;
	int ready = mount_prepare(m, e, false, &walk);
	struct op *op;

	if (ready <= 0)
		return ready;
	if (!(op = mount_op(m, OP_BIND, e->dst, e->origin)))
		return -1;
	op->path2 = e->src;
	op->flags = walk | OPF_NODE;
	return build_row(m->b, ROW_OPEN, e->dst, "device", "the host's device", "bind mount", NULL, e->origin);
}
