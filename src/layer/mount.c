/* The view turned into mount operations, parents first, in a root that only we can reach.
 * Runs in: parent. PURE. */
#include "layer/mount.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct place {
	const struct view_entry *under; /* what decides the parent directory; NULL = our own root */
	bool own;                       /* the parent is a fresh file system of ours: create freely */
};

struct op *mount_op(struct emit *m, enum op_kind k, const char *path, const char *origin)
{
	/* Destinations are relative to the new root, which is the working directory while we build. */
	return build_op(m->b, SECTION_MOUNT, k, path && path[0] == '/' && path[1] ? path + 1 : path, origin);
}

static struct place place_of(const struct emit *m, const char *dst)
{
	const struct view_entry *under = view_under(m->v, dst);

	if (!under)
		return (struct place){ NULL, !m->whole_tree };
	return (struct place){ under, under->kind == VIEW_TMPFS || (under->kind == VIEW_DEV && m->b->policy->dev == DEV_MINIMAL) };
}

bool mount_is_made(const struct emit *m, const char *path)
{
	return table_find(&m->made, path, strlen(path)) != NULL;
}

int mount_note_made(struct emit *m, const char *path)
{
	return table_put(&m->made, m->b->plan->arena, path, strlen(path), 1) ? 0 : error_nomem(m->b->error);
}

int mount_make_dir(struct emit *m, const char *dir, unsigned mode, const char *origin)
{
	struct op *op;

	if (mount_is_made(m, dir))
		return 0;
	op = mount_op(m, OP_MKDIR, dir, origin);
	if (!op)
		return -1;
	op->number[0] = mode;
	return mount_note_made(m, dir);
}

int mount_make_file(struct emit *m, const char *path, const char *origin)
{
	if (mount_is_made(m, path))
		return 0;
	return mount_op(m, OP_MKFILE, path, origin) ? mount_note_made(m, path) : -1;
}

/* Every missing directory above dst, within our own file system only. */
static int make_parents(struct emit *m, const char *dst, const struct place *p, const char *origin)
{
	size_t start = p->under ? strlen(p->under->dst) : 0;

	for (const char *s = dst + start + 1; (s = strchr(s, '/')); s++) {
		const char *dir = arena_strndup(m->b->plan->arena, dst, (size_t)(s - dst));
		if (!dir)
			return error_nomem(m->b->error);
		if (mount_make_dir(m, dir, 0755, origin) < 0)
			return -1;
	}
	return 0;
}

/* What the host has at a place in a bound tree. NULL = out of memory. */
static const struct host_file *host_below(const struct emit *m, const char *dst, const struct place *p, const char **path)
{
	bool bind = p->under && p->under->kind == VIEW_BIND;

	*path = bind ? arena_printf(m->b->plan->arena, "%s%s", p->under->src, dst + strlen(p->under->dst)) : dst;
	if (!*path)
		return NULL;
	return p->under ? m->b->host->lookup(m->b->host, NULL, *path) : root_lookup(m->b, *path);
}

/* Where the way to a place in a bound tree leads through a link: its end, else NULL. Links aren't followed by the launch. */
static const char *through_link(const struct emit *m, const struct place *p, const char *host, const struct host_file *f)
{
	const char *rootfs = p->under ? NULL : m->b->policy->rootfs;
	/* Of several layers any may be where it was found. */
	if (rootfs && m->b->policy->layer_count)
		return f->link;
	const struct host_file *top = rootfs ? m->b->host->lookup(m->b->host, NULL, rootfs) : NULL;
	size_t skip = top && !top->errnum && strcmp(top->real, "/") ? strlen(top->real) : 0;

	if (f->errnum)
		return f->link;
	return strcmp(f->real + skip, host) ? f->real + skip : NULL;
}

/* In a bound tree the mount point must be there already. 1 = go on, 0 = leave this default out. */
static int mount_point_exists(struct emit *m, const struct view_entry *e, const struct place *p, bool directory)
{
	struct build *b = m->b;
	const char *host;
	const struct host_file *f;

	if (p->under && p->under->kind != VIEW_BIND && p->under->kind != VIEW_DEV) {
		error_set(b->error, ERR_MOUNT_COVERED, 0, NULL, e->dst, e->origin);
		return error_detail(b->error, "%s (%s) decides what is there", p->under->dst, p->under->origin);
	}
	if (!(f = host_below(m, e->dst, p, &host)))
		return error_nomem(b->error);
	const char *linked = through_link(m, p, host, f);
	if (!f->errnum && !linked && !!S_ISDIR(f->mode) == directory)
		return 1;
	if (!e->named)
		return build_row(b, ROW_MISSING, e->dst, "default", "absent", "-", "the tree has no mount point for it", e->origin) < 0 ? -1 : 0;
	error_set(b->error, ERR_MOUNT_POINT, f->errnum ? f->errnum : 20 /* ENOTDIR */, NULL, e->dst, e->origin);
	if (linked)
		return error_detail(b->error, "a symbolic link is on the way to %s: name the place that it leads to, %s", host, linked);
	return error_detail(b->error, "%s%s%s", p->under ? "it would be in " : "it would be in the root tree: ", host,
			    f->errnum ? " (doesn't exist)" : directory ? " (not a directory)" : " (a directory)");
}

/* A mount point can't be renamed, but its parents could: in a writable tree they are pinned by being mount
 * points themselves. */
static int pin_parents(struct emit *m, const struct view_entry *e, const struct place *p)
{
	bool rw = p->under ? (p->under->kind == VIEW_BIND && p->under->rw) || p->under->kind == VIEW_DEV
			   : m->whole_tree && (m->b->policy->host_root || m->b->policy->rootfs_rw);
	size_t start = p->under ? strlen(p->under->dst) : 0;

	if (!rw)
		return 0;
	for (const char *s = e->dst + start + 1; (s = strchr(s, '/')); s++) {
		const char *dir = arena_strndup(m->b->plan->arena, e->dst, (size_t)(s - e->dst));
		struct op *op;
		if (!dir)
			return error_nomem(m->b->error);
		if (mount_is_made(m, dir))
			continue;
		if (mount_note_made(m, dir) < 0 || !(op = mount_op(m, OP_PIN, dir, e->origin)))
			return -1;
		op->flags = OPF_WALK;
	}
	return 0;
}

/* 1 = the mount point is ready, 0 = skip */
int mount_prepare(struct emit *m, const struct view_entry *e, bool directory, uint32_t *walk)
{
	struct place p = place_of(m, e->dst);

	*walk = 0;
	if (!p.own) {
		int there = mount_point_exists(m, e, &p, directory);
		*walk = OPF_WALK;
		return there <= 0 ? there : pin_parents(m, e, &p) < 0 ? -1 : 1;
	}
	if (make_parents(m, e->dst, &p, e->origin) < 0)
		return -1;
	if (directory)
		return mount_make_dir(m, e->dst, 0755, e->origin) < 0 ? -1 : 1;
	return mount_make_file(m, e->dst, e->origin) < 0 ? -1 : 1;
}

/* Root's sandboxes run as another id: the files of the caller must look like the program's own. */
static bool wants_idmap(const struct build *b, const struct view_entry *e)
{
	return b->plan->allocate_id && b->plan->userns_new && b->host->mount_setattr && strcmp(e->origin, "system");
}

/* Can nobody but root put another file in its place? Then what is there at the launch is as good as what was seen. */
static bool only_root_replaces(struct build *b, const char *path)
{
	for (size_t n = strlen(path);; n = path_above(path, n)) {
		const char *part = n ? arena_strndup(b->plan->arena, path, n) : "/";
		const struct host_file *f = part ? b->host->lookup(b->host, NULL, part) : NULL;
		if (!f || f->errnum || f->uid != 0 || (f->mode & 022))
			return false;
		if (!n)
			return true;
	}
}

static int bind_source(struct emit *m, const struct view_entry *e, struct op *op)
{
	struct build *b = m->b;
	int slot;

	op->path2 = e->src;
	op->number[1] = e->host->dev;
	op->number[2] = e->host->ino;
	if (!strcmp(e->origin, "system") && only_root_replaces(b, e->src))
		op->flags |= OPF_NOVERIFY;
	if (!wants_idmap(b, e))
		return 0;
	slot = build_opened(b, OPENED_TREE, e->src, e->origin);
	if (slot < 0)
		return -1;
	struct opened *o = &b->plan->opened[slot];
	o->recursive = !e->file;
	o->attr_set = op->attr_set;
	o->idmap = true;
	o->idmap_from = b->host->euid;
	o->idmap_from_gid = b->host->egid;
	o->idmap_to = o->idmap_to_gid = HUTCH_ID_ALLOCATED;
	op->flags |= OPF_OPENED;
	op->number[0] = (uint64_t)slot;
	return 0;
}

/* How attributes are set: before 5.12 by mount(2), after a mount has its place. */
uint32_t mount_classic(const struct emit *m)
{
	return m->b->host->mount_setattr ? 0 : OPF_CLASSIC;
}

/* Before 5.12: a user can't bind a mount without the locked ones on it; it brings them along, and each gets its flags in its
 * place. Where none is known, one that has come since makes the bind fail, and nothing is shown without its flags. */
uint32_t mount_recursive(const struct emit *m, const char *src)
{
	const char *const *sub;

	if (!mount_classic(m))
		return OPF_RECURSIVE;
	sub = m->b->host->submounts(m->b->host, src);
	for (; sub && *sub; sub++)
		if (strcmp(*sub, src) != 0)
			return OPF_RECURSIVE;
	return 0;
}

/* What is mounted below a source gets the flags mount by mount, in its place: by its name on the host another could be meant. */
int mount_classic_below(struct emit *m, const char *src, const char *dst, uint32_t attr, const char *origin)
{
	const char *const *sub = mount_classic(m) ? m->b->host->submounts(m->b->host, src) : NULL;
	size_t skip = strcmp(src, "/") ? strlen(src) : 0;

	for (; sub && *sub; sub++) {
		if (!strcmp(*sub, src))
			continue;
		struct op *op = mount_op(m, OP_ATTR, arena_printf(m->b->plan->arena, "%s%s", dst, *sub + skip), origin);
		if (!op || !op->path)
			return error_nomem(m->b->error);
		op->flags = OPF_CLASSIC | OPF_WALK;
		op->attr_set = attr;
	}
	return 0;
}

/* Made in the root's own file system, /dev being a directory of it? */
static bool in_root(const struct emit *m, const char *dst)
{
	const struct view_entry *under = view_under(m->v, dst);

	if (!under || m->whole_tree)
		return !under;
	return under->kind == VIEW_DEV && m->b->policy->dev == DEV_MINIMAL && !view_under(m->v, under->dst) &&
	       !path_below(dst, "/dev/shm") && !path_below(dst, "/dev/pts");
}

/* Read-only, in our own root, shown as its owner has it: one of those that share a change of attributes. */
static bool is_grouped(const struct emit *m, const struct view_entry *e)
{
	return m->grouped && e->kind == VIEW_BIND && !e->rw && !e->noexec && !wants_idmap(m->b, e) && in_root(m, e->dst);
}

static int emit_bind(struct emit *m, const struct view_entry *e)
{
	uint32_t walk, attr = ATTR_BASE | (e->rw ? 0 : U_MOUNT_ATTR_RDONLY) | (e->noexec ? U_MOUNT_ATTR_NOEXEC : 0);
	int ready = mount_prepare(m, e, !e->file, &walk);
	struct op *op;

	if (ready <= 0)
		return ready;
	if (e->cow)
		return overlay_compile(m->b, m->v, e, walk);
	if (!(op = mount_op(m, OP_BIND, e->dst, e->origin)))
		return -1;
	op->flags = walk | mount_classic(m) | (e->file ? 0 : mount_recursive(m, e->src));
	op->attr_set = attr;
	if (is_grouped(m, e)) {
		op->flags |= OPF_GROUP;
		op->attr_set = 0;
	}
	if (bind_source(m, e, op) < 0)
		return -1;
	if (!e->file && mount_classic_below(m, e->src, e->dst, attr, e->origin) < 0)
		return -1;
	return build_row(m->b, ROW_ENFORCED, e->dst, e->rw ? "read-write" : "read-only",
			 e->noexec ? (e->rw ? "read-write, noexec" : "read-only, noexec") : e->rw ? "read-write" : "read-only",
			 op->flags & OPF_GROUP ? "bind mount, attributes set together with the root's" :
			 m->b->host->mount_setattr ? "bind mount, attributes set before it is attached" : "bind mounts, one by one",
			 (op->flags & OPF_OPENED) ? "owner shown as the program's (idmapped)" : NULL, e->origin);
}

const char *mount_tmpfs_options(struct build *b, const struct view_entry *e, unsigned mode)
{
	return arena_printf(b->plan->arena, "mode=%o,size=%llu,nr_inodes=%llu", mode,
			    (unsigned long long)(e && e->size ? e->size : b->policy->tmp_size),
			    (unsigned long long)(e && e->inodes ? e->inodes : b->policy->tmp_inodes));
}

static int emit_tmpfs(struct emit *m, const struct view_entry *e)
{
	uint32_t walk;
	int ready = mount_prepare(m, e, true, &walk);
	struct op *op;

	if (ready <= 0)
		return ready;
	if (!(op = mount_op(m, OP_TMPFS, e->dst, e->origin)))
		return -1;
	op->flags = walk;
	op->attr_set = ATTR_BASE | (e->noexec ? U_MOUNT_ATTR_NOEXEC : 0);
	op->data = mount_tmpfs_options(m->b, e, e->mode);
	if (!op->data)
		return error_nomem(m->b->error);
	return build_row(m->b, ROW_ENFORCED, e->dst, "private", op->data, "tmpfs", NULL, e->origin);
}

/* What is created rather than mounted can only be in a file system of ours. 1 = go on, 0 = skip. */
static int creatable(struct emit *m, const struct view_entry *e)
{
	struct place p = place_of(m, e->dst);

	if (p.own)
		return make_parents(m, e->dst, &p, e->origin) < 0 ? -1 : 1;
	if (!e->named)
		return 0;
	error_set(m->b->error, ERR_MOUNT_POINT, 0, NULL, e->dst, e->origin);
	return error_detail(m->b->error, "a %s can only be made in a private directory, not in a shown tree",
			    e->kind == VIEW_SYMLINK ? "symbolic link" : "directory");
}

static int emit_dir(struct emit *m, const struct view_entry *e)
{
	int ready = creatable(m, e);

	return ready <= 0 ? ready : mount_make_dir(m, e->dst, e->mode ? e->mode : 0755, e->origin);
}

static int emit_symlink(struct emit *m, const struct view_entry *e)
{
	int ready = creatable(m, e);
	struct op *op;

	if (ready <= 0)
		return ready;
	op = mount_op(m, OP_SYMLINK, e->dst, e->origin);
	if (op)
		op->path2 = e->src;
	return op ? 0 : -1;
}

static bool fd_is_kept(const struct policy *p, int fd)
{
	for (size_t i = 0; i < p->fd_count; i++) {
		if (p->fds[i] == fd)
			return true;
	}
	return false;
}

/* In our own file system the file is simply written; over a bound tree it is written beside and mounted. */
static int emit_data(struct emit *m, const struct view_entry *e)
{
	struct place p = place_of(m, e->dst);
	const char *path = e->dst;
	uint32_t walk = 0;
	struct op *op;

	if (!p.own) {
		int ready = mount_point_exists(m, e, &p, false);
		if (ready <= 0)
			return ready;
		if (pin_parents(m, e, &p) < 0)
			return -1;
		walk = OPF_WALK;
		path = ".hutch-data";
	} else if (make_parents(m, e->dst, &p, e->origin) < 0) {
		return -1;
	}
	if (walk && m->whole_tree) {
		error_set(m->b->error, ERR_MOUNT_POINT, 0, NULL, e->dst, e->origin);
		return error_detail(m->b->error, "file content needs a root of hutch's own: not with rootfs or host-root; use ro = SRC:DST");
	}
	op = mount_op(m, e->kind == VIEW_FD ? OP_WRITE_FD : e->random_id ? OP_MACHINE_ID : OP_WRITE, path, e->origin);
	if (!op)
		return -1;
	op->number[0] = e->mode;
	op->number[1] = (uint64_t)(unsigned)e->fd;
	op->number[2] = fd_is_kept(m->b->policy, e->fd);
	op->data = e->data;
	op->data_len = e->data_len;
	if (!walk)
		return 0;
	if (!(op = mount_op(m, OP_OVERMOUNT, e->dst, e->origin)))
		return -1;
	op->path2 = path;
	op->flags = OPF_WALK | mount_classic(m);
	op->attr_set = ATTR_BASE | U_MOUNT_ATTR_RDONLY;
	return mount_op(m, OP_UNLINK, path, e->origin) ? 0 : -1;
}

/* Is the thing to hide a directory? */
static int emit_mask(struct emit *m, const struct view_entry *e)
{
	struct place p = place_of(m, e->dst);
	const char *host;
	const struct host_file *f = NULL;
	bool directory;
	struct op *op;

	if (p.own)
		return build_row(m->b, ROW_ENFORCED, e->dst, "mask", "absent", "-", "nothing is there", e->origin);
	if (p.under && p.under->kind != VIEW_BIND && p.under->kind != VIEW_PROC && p.under->kind != VIEW_SYS && p.under->kind != VIEW_DEV)
		return mount_point_exists(m, e, &p, true);
	if (!(f = host_below(m, e->dst, &p, &host)))
		return error_nomem(m->b->error);
	if (f->errnum || through_link(m, &p, host, f)) {
		error_set(m->b->error, ERR_MOUNT_POINT, f->errnum, NULL, e->dst, e->origin);
		return error_detail(m->b->error, "a mask hides what exists; %s %s", host, f->errnum ? "doesn't exist" : "leads through a symbolic link: mask what it leads to");
	}
	directory = S_ISDIR(f->mode);
	if (pin_parents(m, e, &p) < 0)
		return -1;
	op = mount_op(m, directory ? OP_MASK_DIR : OP_MASK_FILE, e->dst, e->origin);
	if (!op)
		return -1;
	op->flags = OPF_WALK | mount_classic(m);
	return build_row(m->b, ROW_ENFORCED, e->dst, "hidden", "hidden", directory ? "empty read-only tmpfs" : "empty unreadable file", NULL, e->origin);
}

static int emit_entry(struct emit *m, const struct view_entry *e)
{
	switch (e->kind) {
	case VIEW_BIND: return emit_bind(m, e);
	case VIEW_TMPFS: return emit_tmpfs(m, e);
	case VIEW_DIR: return emit_dir(m, e);
	case VIEW_SYMLINK: return emit_symlink(m, e);
	case VIEW_DATA:
	case VIEW_FD: return emit_data(m, e);
	case VIEW_MASK: return emit_mask(m, e);
	case VIEW_DEVICE: return mount_device(m, e);
	case VIEW_PROC: return mount_proc(m, e);
	case VIEW_DEV: return mount_dev(m, e);
	case VIEW_SYS: return mount_sys(m, e);
	}
	return 0;
}

/* The new root covers some host directory for a moment; it must not hide a source from us. */
static const char *cover(struct emit *m)
{
	static const char *const places[] = { "/sys", "/mnt", "/srv", "/media", "/boot", "/var", "/home", "/tmp", "/opt", "/run" };

	for (size_t i = 0; i < COUNT_OF(places); i++) {
		bool used = m->b->policy->sys_ro && i == 0;
		for (size_t k = 0; k < m->v->count && !used; k++) {
			const struct view_entry *e = &m->v->entries[k];
			used = (e->kind == VIEW_BIND || e->kind == VIEW_DEVICE) && path_below(e->src, places[i]);
		}
		const struct host_file *f = used ? NULL : m->b->host->lookup(m->b->host, NULL, places[i]);
		if (f && !f->errnum && S_ISDIR(f->mode) && !f->link)
			return places[i];
	}
	return NULL;
}

static int emit_root(struct emit *m)
{
	struct build *b = m->b;
	const char *tree = b->policy->host_root ? "/" : b->policy->rootfs;
	struct op *op = mount_op(m, OP_PRIVATE, "/", "default");
	const char *at;

	if (!op)
		return -1;
	op->number[0] = MS_PRIVATE;
	if (overlay_is_root(b))
		return overlay_root_compile(b, m->v, cover(m));
	if (m->whole_tree) {
		const struct host_file *f = b->host->lookup(b->host, NULL, tree);
		bool rw = b->policy->host_root || b->policy->rootfs_rw;
		if (f->errnum || !S_ISDIR(f->mode))
			return error_set(b->error, ERR_MOUNT_SOURCE, f->errnum ? f->errnum : 20, NULL, tree, b->policy->origin[KEY_ROOTFS]);
		struct view_entry e = { .kind = VIEW_BIND, .dst = "/", .src = f->real, .host = f, .rw = rw, .origin = b->policy->host_root ? "system" : b->policy->origin[KEY_ROOTFS] };
		if (!(op = build_op(b, SECTION_MOUNT, OP_ROOT_BIND, f->real, e.origin)))
			return -1;
		op->flags = OPF_RECURSIVE;
		op->attr_set = b->policy->host_root ? 0 : ATTR_BASE | (rw ? 0 : U_MOUNT_ATTR_RDONLY);
		if (!b->host->mount_setattr && op->attr_set)
			return error_set(b->error, ERR_MOUNT_NO_API, 38, "mount_setattr", tree, e.origin);
		if (bind_source(m, &e, op) < 0)
			return -1;
		return build_row(b, rw && b->policy->host_root ? ROW_OPEN : ROW_ENFORCED, "/", b->policy->host_root ? "host-root" : "rootfs", f->real, "bind mount", rw ? "writable" : "read-only", e.origin);
	}
	if (!(at = cover(m)))
		return error_set(b->error, ERR_MOUNT_ROOT, 0, NULL, "(no free directory to build at)", "default");
	if (!(op = build_op(b, SECTION_MOUNT, OP_ROOT_TMPFS, at, "default")))
		return -1;
	op->data = m->v->count < 8192 ? "mode=755,size=16m,nr_inodes=65536"
		: arena_printf(b->plan->arena, "mode=755,size=16m,nr_inodes=%zu", m->v->count * 8);
	if (!op->data)
		return error_nomem(b->error);
	return build_row(b, ROW_ENFORCED, "/", "new", "a root of its own, read-only", "tmpfs, pivot_root", NULL, "default");
}

/* What is made rather than mounted goes into a root that is still writable. With content that is written aside and
 * mounted elsewhere the root must stay so to the end. */
static bool can_group(const struct emit *m)
{
	if (m->whole_tree || !m->b->host->mount_setattr)
		return false;
	for (size_t i = 0; i < m->v->count; i++) {
		const struct view_entry *e = &m->v->entries[i];
		if ((e->kind == VIEW_DATA || e->kind == VIEW_FD) && !place_of(m, e->dst).own)
			return false;
	}
	return true;
}

/* Is all of this entry done before the root turns read-only? */
static bool is_first(const struct emit *m, const struct view_entry *e)
{
	if (!in_root(m, e->dst))
		return false;
	switch (e->kind) {
	case VIEW_DIR: case VIEW_SYMLINK: case VIEW_DATA: case VIEW_FD: case VIEW_MASK: case VIEW_PROC: return true;
	case VIEW_BIND: return is_grouped(m, e);
	default: return false;
	}
}

/* The mount point of an entry whose mount comes later. */
static int early_point(struct emit *m, const struct view_entry *e)
{
	uint32_t walk;

	if (!in_root(m, e->dst))
		return 0;
	if (mount_prepare(m, e, e->kind == VIEW_DEVICE || e->kind == VIEW_BIND ? !e->file : true, &walk) < 0)
		return -1;
	return e->kind == VIEW_DEV && m->b->policy->dev == DEV_MINIMAL ? mount_dev_points(m, e) : 0;
}

static int close_root(struct emit *m)
{
	struct op *op = mount_op(m, OP_ATTR, ".", "default");

	if (!op)
		return -1;
	op->attr_set = ATTR_BASE | U_MOUNT_ATTR_RDONLY;
	/* Before 5.12 this one attribute change is a classic remount of a mount that is ours alone. */
	op->flags = m->grouped ? OPF_RECURSIVE : m->b->host->mount_setattr ? 0 : OPF_CLASSIC;
	return 0;
}

/* First all that is read-only, and one change of attributes for it; then what is mounted on it. Parents first in both. */
static int emit_grouped(struct emit *m)
{
	for (size_t i = 0; i < m->v->count; i++) {
		const struct view_entry *e = &m->v->entries[i];
		if ((is_first(m, e) ? emit_entry(m, e) : early_point(m, e)) < 0)
			return -1;
	}
	if (close_root(m) < 0)
		return -1;
	for (size_t i = 0; i < m->v->count; i++) {
		if (!is_first(m, &m->v->entries[i]) && emit_entry(m, &m->v->entries[i]) < 0)
			return -1;
	}
	return overlay_end(m->b);
}

int mount_compile(struct build *b, const struct view *v)
{
	struct emit m = { .b = b, .v = v, .whole_tree = b->policy->rootfs || b->policy->host_root };

	if (!layer_has_mounts(b)) {
		for (size_t i = 0; i < v->count; i++) {
			const struct view_entry *e = &v->entries[i];
			if (e->named && (!layer_never(b) || e->kind != VIEW_BIND || e->cow || strcmp(e->src, e->dst)))
				return error_set(b->error, ERR_MOUNT_NEEDS_MNTNS, 0, NULL, e->dst, e->origin);
		}
		return b->policy->rootfs ? error_set(b->error, ERR_MOUNT_NEEDS_MNTNS, 0, NULL, "rootfs", b->policy->origin[KEY_ROOTFS]) : 0;
	}
	if (!b->host->open_tree || !b->host->move_mount)
		return error_set(b->error, ERR_MOUNT_NO_API, 38, "open_tree", "mounts", "default");
	if (emit_root(&m) < 0)
		return -1;
	m.grouped = can_group(&m);
	if (m.grouped)
		return emit_grouped(&m);
	for (size_t i = 0; i < v->count; i++) {
		if (emit_entry(&m, &v->entries[i]) < 0)
			return -1;
	}
	if (overlay_end(b) < 0)
		return -1;
	return m.whole_tree ? 0 : close_root(&m);
}
