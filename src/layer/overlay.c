/* Copy-on-write and layers: trees shown through an overlay, their changes kept in memory or in a directory.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

#include "sys/uapi.h"

#define ATTR_BASE (U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV)

static struct op *mount_op(struct build *b, enum op_kind k, const char *path, const char *origin)
{
	return build_op(b, SECTION_MOUNT, k, path && path[0] == '/' && path[1] ? path + 1 : path, origin);
}

/* The launcher is more than the sandbox's own user: it opens the trees, with their owners mapped. */
static bool by_launcher(const struct build *b)
{
	return b->plan->userns_new && b->host->euid == 0 && !b->host->nested_root && (b->host->cap_effective & (UINT64_C(1) << CAPNO_SYS_ADMIN));
}

static uint32_t outside(const struct id_extent *x, size_t n, uint32_t inside)
{
	for (size_t i = 0; i < n; i++) {
		if (inside >= x[i].inside && inside - x[i].inside < x[i].count)
			return x[i].outside == HUTCH_ID_ALLOCATED ? HUTCH_ID_ALLOCATED : x[i].outside + (inside - x[i].inside);
	}
	return HUTCH_ID_ALLOCATED;
}

/* Where the launcher opens the trees, their owners are mapped: beneath an overlay from Linux 5.19 on. */
static bool has_mapped(const struct build *b)
{
	const struct host *h = b->host;

	return !by_launcher(b) || h->kernel_major > 5 || (h->kernel_major == 5 && h->kernel_minor >= 19);
}

/* What every overlay needs of this host. The rest is found out by mounting: no downgrade is possible. */
static int need_overlay(struct build *b, const char *subject, const char *origin)
{
	const struct host *h = b->host;

	if (!h->overlay)
		return error_set(b->error, ERR_OVERLAY_MISSING, h->overlay_errno, "mount", subject, origin);
	if (!h->fsopen || !h->openat2)
		return error_set(b->error, ERR_OVERLAY_MISSING, 38 /* ENOSYS */, h->fsopen ? "openat2" : "fsopen", subject, origin);
	if (has_mapped(b))
		return 0;
	error_set(b->error, ERR_OVERLAY_IDMAP, 0, NULL, subject, origin);
	return error_detail(b->error, "this kernel is %s", h->release);
}

bool overlay_offered(const struct build *b)
{
	const struct host *h = b->host;

	return !layer_never(b) && h->overlay && h->fsopen && h->openat2 && has_mapped(b);
}

/* A directory that is opened by the launcher with owners mapped, or by the child. */
static int opened_tree(struct build *b, struct op *op, const char *path, const char *origin)
{
	const struct plan *p = b->plan;
	int slot;

	if (!by_launcher(b))
		return 0;
	slot = build_opened(b, OPENED_TREE, path, origin);
	if (slot < 0)
		return -1;
	struct opened *o = &b->plan->opened[slot];
	o->idmap = o->idmap_must = true;
	o->idmap_from = b->host->euid;
	o->idmap_from_gid = b->host->egid;
	o->idmap_to = outside(p->uid_extents, p->uid_extent_count, p->uid);
	o->idmap_to_gid = outside(p->gid_extents, p->gid_extent_count, p->gid);
	op->flags |= OPF_OPENED;
	op->number[0] = (uint64_t)slot;
	return 0;
}

static bool keeps(const struct build *b)
{
	return b->policy->cow_upper;
}

/* Once per run, before the first overlay. */
static int store(struct build *b)
{
	const struct policy *p = b->policy;
	const char *origin = p->origin[keeps(b) ? KEY_COW_UPPER : KEY_COW_SIZE];
	struct op *op;

	if (b->plan->cow.used)
		return 0;
	op = mount_op(b, OP_COW_STORE, NULL, origin);
	if (!op)
		return -1;
	b->plan->cow.used = true;
	b->plan->cow.store_op = b->plan->op_count - 1;
	if (!keeps(b)) {
		op->data = arena_printf(b->plan->arena, "mode=700,size=%llu,nr_inodes=%llu", (unsigned long long)p->cow_size, (unsigned long long)p->tmp_inodes);
		return op->data ? 0 : error_nomem(b->error);
	}
	op->path2 = p->cow_upper;
	return opened_tree(b, op, p->cow_upper, origin);
}

/* The place of one more tree in the store, -1 = error. */
static int new_pair(struct build *b, const char *const *lowers, size_t count, const struct host_file *top, const char *dst)
{
	struct plan *p = b->plan;
	struct cow_pair *pairs = arena_grow(p->arena, p->cow.pairs, p->cow.count, &p->cow.cap, sizeof *pairs);

	if (!pairs)
		return error_nomem(b->error);
	p->cow.pairs = pairs;
	pairs[p->cow.count] = (struct cow_pair){ .lowers = lowers, .lower_count = count, .dst = dst, .dev = top->dev, .ino = top->ino };
	p->ops[p->cow.store_op].number[1] = p->cow.count + 1;
	return (int)p->cow.count++;
}

static int lower(struct build *b, const char *path, const struct host_file *f, const char *origin)
{
	struct op *op = mount_op(b, OP_OVERLAY_LOWER, NULL, origin);

	if (!op)
		return -1;
	op->path2 = path;
	op->number[1] = f->dev;
	op->number[2] = f->ino;
	return opened_tree(b, op, path, origin);
}

/* As the kernel will find it; what doesn't exist yet is made beneath what does. NULL = out of memory. */
static const char *canonical(struct build *b, const char *path)
{
	for (const char *end = path + strlen(path); end > path; end--) {
		if (*end && *end != '/')
			continue;
		char *part = arena_strndup(b->plan->arena, path, (size_t)(end - path));
		const struct host_file *f = part ? b->host->lookup(b->host, NULL, part) : NULL;
		if (!f)
			return NULL;
		if (!f->errnum)
			return arena_printf(b->plan->arena, "%s%s", f->real, end);
	}
	return path;
}

/* The store must not be reachable for the program by another name, nor be part of what lies below it. */
static int check_upper(struct build *b, const struct view *v)
{
	const char *upper = b->policy->cow_upper, *origin = b->policy->origin[KEY_COW_UPPER];

	if (upper && !(upper = canonical(b, upper)))
		return error_nomem(b->error);
	for (size_t i = 0; upper && i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		if (e->kind != VIEW_BIND || (!e->rw && !e->cow) || (!path_below(upper, e->src) && !path_below(e->src, upper)))
			continue;
		error_set(b->error, ERR_COW_UPPER, 0, NULL, upper, origin);
		return error_detail(b->error, "it overlaps %s (%s), which the program can write to", e->src, e->origin);
	}
	if (!upper || !b->policy->host_root)
		return 0;
	error_set(b->error, ERR_COW_UPPER, 0, NULL, upper, origin);
	return error_detail(b->error, "with host-root the program could write to it");
}

static int row(struct build *b, const char *dst, const char *asked, const char *origin, bool more_ids)
{
	struct arena *a = b->plan->arena;
	const char *got = keeps(b) ? arena_printf(a, "writable, the changes kept in %s", b->policy->cow_upper)
				   : arena_printf(a, "writable, the changes in memory, at most %llu MiB", (unsigned long long)b->policy->cow_size >> 20);
	static const char *const ends[] = { NULL, "the changes are put into the host's files when the program has ended", "the changes are thrown away",
					    "the changes are kept", "a person is asked what becomes of the changes" };
	const char *end = b->policy->on_exit ? ends[b->policy->on_exit] : keeps(b) ? ends[ON_EXIT_KEEP] : ends[ON_EXIT_DISCARD];
	const char *owners = more_ids ? "" : "; files of other owners can't be changed: one id is mapped";
	const char *why = arena_printf(a, "%s%s", end, owners);
	bool weak = !keeps(b) && !b->host->tmpfs_xattr;

	if (weak)
		why = arena_printf(a, "%s%s; this kernel's tmpfs has no user attributes (6.6 has): a directory of the host's can't be deleted or moved (EIO); with cow-upper = DIR it can", end, owners);
	if (!got || !why)
		return error_nomem(b->error);
	return build_row(b, weak ? ROW_WEAKER : ROW_ENFORCED, dst, asked, got, "overlay, upper and work directory out of reach", why, origin);
}

static bool many_ids(const struct build *b)
{
	return !by_launcher(b) && (!b->plan->userns_new || b->plan->uid_extent_count > 1 || b->plan->uid_extents[0].count > 1);
}

static int one(struct build *b, const char *src, const struct host_file *f, const char *dst, bool noexec, uint32_t walk, const char *origin)
{
	const char **lowers = arena_alloc(b->plan->arena, sizeof *lowers);
	int pair;
	struct op *op;

	if (!lowers)
		return error_nomem(b->error);
	lowers[0] = src;
	if (store(b) < 0 || (pair = new_pair(b, lowers, 1, f, dst)) < 0 || lower(b, src, f, origin) < 0 || !(op = mount_op(b, OP_OVERLAY, dst, origin)))
		return -1;
	op->flags = walk;
	op->number[0] = (uint64_t)pair;
	op->attr_set = ATTR_BASE | (noexec ? U_MOUNT_ATTR_NOEXEC : 0);
	return row(b, dst, "copy-on-write", origin, many_ids(b));
}

static int submount_error(struct build *b, const struct view_entry *e, const char *sub, const char *why)
{
	error_set(b->error, ERR_COW_SUBMOUNT, 0, NULL, sub, e->origin);
	return error_detail(b->error, "it is mounted beneath %s: %s", e->src, why);
}

/* An overlay shows one file system: each mount beneath the source gets one of its own, or the run is refused. */
static int submounts(struct build *b, const struct view_entry *e)
{
	const char *const *sub = b->host->submounts(b->host, e->src);

	for (; sub && *sub; sub++) {
		const struct host_file *f = b->host->lookup(b->host, NULL, *sub);
		const char *dst = arena_printf(b->plan->arena, "%s%s", e->dst, *sub + strlen(e->src));
		if (!dst)
			return error_nomem(b->error);
		if (!strcmp(*sub, e->src))
			continue;
		if (b->plan->userns_new && !by_launcher(b))
			return submount_error(b, e, *sub, "the kernel lets an ordinary user's namespace not look below it, so it can't be split off");
		if (f->errnum)
			return submount_error(b, e, *sub, "it can't be looked at");
		if (!S_ISDIR(f->mode))
			return submount_error(b, e, *sub, "an overlay can't show a mounted file");
		if (one(b, *sub, f, dst, e->noexec, OPF_WALK, e->origin) < 0)
			return -1;
	}
	return 0;
}

int overlay_compile(struct build *b, const struct view *v, const struct view_entry *e, uint32_t walk)
{
	if (e->file) {
		error_set(b->error, ERR_MOUNT_KIND, 0, NULL, e->src, e->origin);
		return error_detail(b->error, "copy-on-write is for directories; name the directory that the file is in");
	}
	if (need_overlay(b, e->src, e->origin) < 0 || check_upper(b, v) < 0)
		return -1;
	return one(b, e->src, e->host, e->dst, e->noexec, walk, e->origin) < 0 ? -1 : submounts(b, e);
}

bool overlay_is_root(const struct build *b)
{
	return b->policy->rootfs && (b->policy->rootfs_cow || b->policy->layer_count);
}

static bool whiteout(const struct host_file *f)
{
	return !f->errnum && S_ISCHR(f->mode) && f->rdev == 0;
}

const struct host_file *root_lookup(struct build *b, const char *path)
{
	static const struct host_file absent = { .errnum = 2 /* ENOENT */ };
	const struct policy *p = b->policy;

	for (size_t i = p->layer_count; i-- > 0;) {
		const struct host_file *f = b->host->lookup(b->host, p->layers[i], path);
		if (!f->errnum)
			return whiteout(f) ? &absent : f;
	}
	return b->host->lookup(b->host, p->rootfs, path);
}

/* Topmost first, as the kernel wants them. NULL = error. */
static const char *const *root_lowers(struct build *b)
{
	const struct policy *p = b->policy;
	const char **lowers = arena_alloc(b->plan->arena, (p->layer_count + 1) * sizeof *lowers);

	if (!lowers) {
		error_nomem(b->error);
		return NULL;
	}
	for (size_t i = 0; i <= p->layer_count; i++) {
		bool base = i == p->layer_count;
		const char *tree = base ? p->rootfs : p->layers[p->layer_count - 1 - i];
		const char *origin = p->origin[base ? KEY_ROOTFS : KEY_LAYER];
		const struct host_file *f = b->host->lookup(b->host, NULL, tree);
		if (f->errnum || !S_ISDIR(f->mode)) {
			error_set(b->error, ERR_MOUNT_SOURCE, f->errnum ? f->errnum : 20 /* ENOTDIR */, NULL, tree, origin);
			return NULL;
		}
		lowers[i] = f->real;
	}
	return lowers;
}

/* A mount in a tree would not be seen through the overlay, only the directory below it. */
static int root_submounts(struct build *b, const char *const *lowers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *const *sub = b->host->submounts(b->host, lowers[i]);
		for (; sub && *sub; sub++) {
			if (!strcmp(*sub, lowers[i]))
				continue;
			error_set(b->error, ERR_COW_SUBMOUNT, 0, NULL, *sub, b->policy->origin[KEY_ROOTFS]);
			return error_detail(b->error, "it is mounted in the tree %s", lowers[i]);
		}
	}
	return 0;
}

int overlay_root_compile(struct build *b, const struct view *v, const char *cover)
{
	const struct policy *p = b->policy;
	const char *origin = p->origin[p->layer_count ? KEY_LAYER : KEY_ROOTFS_ACCESS];
	size_t count = p->layer_count + 1;
	const char *const *lowers;
	int pair = -1;
	struct op *op;

	if (!cover)
		return error_set(b->error, ERR_MOUNT_ROOT, 0, NULL, "(no free directory to build at)", origin);
	if (need_overlay(b, p->rootfs, origin) < 0 || check_upper(b, v) < 0 || !(lowers = root_lowers(b)) || root_submounts(b, lowers, count) < 0)
		return -1;
	if (p->rootfs_cow && (store(b) < 0 || (pair = new_pair(b, lowers, count, b->host->lookup(b->host, NULL, lowers[0]), "/")) < 0))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (lower(b, lowers[i], b->host->lookup(b->host, NULL, lowers[i]), origin) < 0)
			return -1;
	}
	if (!(op = build_op(b, SECTION_MOUNT, OP_OVERLAY_ROOT, cover, origin)))
		return -1;
	op->number[0] = pair < 0 ? OVERLAY_RO : (uint64_t)pair;
	op->attr_set = ATTR_BASE | (pair < 0 ? U_MOUNT_ATTR_RDONLY : 0);
	const char *asked = arena_printf(b->plan->arena, "rootfs and %zu layers", p->layer_count);
	if (!asked)
		return error_nomem(b->error);
	if (pair >= 0)
		return row(b, "/", asked, origin, many_ids(b));
	return build_row(b, ROW_ENFORCED, "/", asked, "read-only", "overlay of the trees", NULL, origin);
}

int overlay_end(struct build *b)
{
	return b->plan->cow.used && !mount_op(b, OP_COW_DETACH, NULL, "default") ? -1 : 0;
}
