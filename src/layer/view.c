/* The view: every path that the sandbox shows, from rules and defaults, parents first.
 * Runs in: parent. PURE (the host answers look-ups). */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

static struct view_entry *at(const struct view *v, const char *dst)
{
	return view_at(v, dst, strlen(dst));
}

/* Adds an entry unless a rule of a person's, or an earlier default, already decides that very path. */
static struct view_entry *view_add(struct build *b, struct view *v, enum view_kind kind, const char *dst, const char *origin)
{
	struct view_entry *there = dst ? at(v, dst) : NULL;

	if (!dst) {
		error_nomem(b->error);
		return NULL;
	}
	return there ? there : view_append(b, v, &(struct view_entry){ .kind = kind, .dst = dst, .origin = origin, .fd = -1 });
}

static const struct host_file *look(struct build *b, const char *path)
{
	return b->host->lookup(b->host, NULL, path);
}

static int bind_default(struct build *b, struct view *v, const char *path)
{
	const struct host_file *f = look(b, path);

	if (f->errnum || at(v, path))
		return 0;
	struct view_entry *e = view_add(b, v, VIEW_BIND, path, "system");
	if (!e)
		return -1;
	e->src = f->real;
	e->host = f;
	e->file = !S_ISDIR(f->mode);
	return 0;
}

/* A link of the host is shown as the same link (merged /usr), anything else is bound. */
static int link_or_bind(struct build *b, struct view *v, const char *path)
{
	const struct host_file *f = b->host->peek(b->host, path);

	if (!f)
		return error_nomem(b->error);
	if (f->errnum || at(v, path))
		return 0;
	if (!f->link)
		return bind_default(b, v, path);
	struct view_entry *e = view_add(b, v, VIEW_SYMLINK, path, "system");
	if (!e)
		return -1;
	e->src = f->link;
	return 0;
}

static int data_default(struct build *b, struct view *v, const char *path, const char *text)
{
	if (at(v, path))
		return 0;
	struct view_entry *e = text ? view_add(b, v, VIEW_DATA, path, "system") : NULL;
	if (!e)
		return error_nomem(b->error);
	e->data = text;
	e->data_len = strlen(text);
	e->mode = 0444;
	return 0;
}

static int tmpfs_default(struct build *b, struct view *v, const char *path, unsigned mode)
{
	struct view_entry *e = at(v, path) ? NULL : view_add(b, v, VIEW_TMPFS, path, "default");

	if (e)
		e->mode = mode;
	return at(v, path) ? 0 : -1;
}

static int system_files(struct build *b, struct view *v)
{
	static const char *const links[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/localtime" };
	static const char *const binds[] = { "/usr", "/opt", "/nix/store", "/etc/alternatives", "/etc/ld.so.cache", "/etc/fonts" };
	static const char *const for_network[] = { "/etc/resolv.conf", "/etc/ssl", "/etc/ca-certificates", "/etc/services", "/etc/protocols" };

	for (size_t i = 0; i < COUNT_OF(links); i++) {
		if (link_or_bind(b, v, links[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(binds); i++) {
		if (bind_default(b, v, binds[i]) < 0)
			return -1;
	}
	for (size_t i = 0; b->policy->ns[NS_NET].how != NS_NEW && i < COUNT_OF(for_network); i++) {
		if (bind_default(b, v, for_network[i]) < 0)
			return -1;
	}
	return 0;
}

/* Without a network a resolver is told so at once, by the loopback that answers nothing. */
static int resolver(struct build *b, struct view *v)
{
	if (b->policy->ns[NS_NET].how != NS_NEW)
		return 0; /* the host's own file, wherever its link leads */
	return data_default(b, v, "/etc/resolv.conf", "# no network in here\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
}

static int machine_id(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;
	struct view_entry *e;

	if (p->machine_id_host)
		return bind_default(b, v, "/etc/machine-id");
	if (p->machine_id)
		return data_default(b, v, "/etc/machine-id", arena_printf(b->plan->arena, "%s\n", p->machine_id));
	if (at(v, "/etc/machine-id"))
		return 0;
	if (!(e = view_add(b, v, VIEW_DATA, "/etc/machine-id", "system")))
		return -1;
	e->random_id = true;
	e->mode = 0444;
	return 0;
}

/* Who is who inside: nothing of the host's users. */
static int identity_files(struct build *b, struct view *v)
{
	struct arena *a = b->plan->arena;
	uint32_t uid = b->plan->uid, gid = b->plan->gid;
	const char *user = uid == 0 ? "" : arena_printf(a, "user:x:%u:%u:user:%s:/bin/sh\n", uid, gid, v->home);
	const char *group = gid == 0 ? "" : arena_printf(a, "user:x:%u:\n", gid);

	if (uid == HUTCH_ID_ALLOCATED)
		user = group = "";
	if (!user || !group)
		return error_nomem(b->error);
	if (data_default(b, v, "/etc/passwd", arena_printf(a, "root:x:0:0:root:%s:/bin/sh\n%snobody:x:65534:65534:nobody:/:/bin/false\n", uid ? "/" : v->home, user)) < 0 ||
	    data_default(b, v, "/etc/group", arena_printf(a, "root:x:0:\n%snogroup:x:65534:\n", group)) < 0 ||
	    data_default(b, v, "/etc/hosts", arena_printf(a, "127.0.0.1 localhost %s\n::1 localhost\n", b->policy->hostname ? b->policy->hostname : "hutch")) < 0)
		return -1;
	return data_default(b, v, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n");
}

static int private_places(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;

	if (tmpfs_default(b, v, "/tmp", 01777) < 0)
		return -1;
	if (!at(v, "/var/tmp")) {
		struct view_entry *e = view_add(b, v, VIEW_SYMLINK, "/var/tmp", "default");
		if (!e)
			return -1;
		e->src = "../tmp";
	}
	if (p->home_private && !p->rootfs && tmpfs_default(b, v, v->home, b->plan->uid == HUTCH_ID_ALLOCATED ? 01777 : 0700) < 0)
		return -1;
	return view_add(b, v, VIEW_DIR, "/run", "default") ? 0 : -1;
}

static int kernel_places(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;

	if (p->dev != DEV_NONE && !view_add(b, v, VIEW_DEV, "/dev", p->origin[KEY_DEV]))
		return -1;
	if (p->proc != PROC_NONE && !view_add(b, v, VIEW_PROC, "/proc", p->origin[KEY_PROC]))
		return -1;
	if (p->sys_ro && !view_add(b, v, VIEW_SYS, "/sys", p->origin[KEY_SYS]))
		return -1;
	return 0;
}

static int source_error(struct build *b, const struct path_rule *r, int errnum)
{
	return error_set(b->error, ERR_MOUNT_SOURCE, errnum, NULL, r->src, r->origin);
}

static int rule_bind(struct build *b, const struct path_rule *r, struct view_entry *e)
{
	const struct host_file *f = look(b, r->src);

	if (f->errnum)
		return source_error(b, r, f->errnum);
	/* An earlier run may have put the link there: where it leads is for the caller to say. */
	if (f->link && (r->kind == RULE_RW || r->kind == RULE_COW)) {
		error_set(b->error, ERR_MOUNT_KIND, 0, NULL, r->src, r->origin);
		return error_detail(b->error, "it is a symbolic link to %s; a writable source must be named itself: %s", f->link, f->real);
	}
	e->src = f->real;
	e->host = f;
	e->file = !S_ISDIR(f->mode);
	e->cow = r->kind == RULE_COW;
	e->rw = r->kind == RULE_RW || r->kind == RULE_DEVICE || e->cow;
	e->device = r->kind == RULE_DEVICE;
	if (e->device && !S_ISCHR(f->mode) && !S_ISBLK(f->mode)) {
		error_set(b->error, ERR_MOUNT_KIND, 0, NULL, r->src, r->origin);
		return error_detail(b->error, "it isn't a device node");
	}
	return 0;
}

static enum view_kind kind_of(enum rule_kind k)
{
	static const enum view_kind kinds[] = {
		[RULE_RO] = VIEW_BIND, [RULE_RW] = VIEW_BIND, [RULE_TMPFS] = VIEW_TMPFS, [RULE_DIR] = VIEW_DIR, [RULE_SYMLINK] = VIEW_SYMLINK,
		[RULE_FILE] = VIEW_DATA, [RULE_FILE_FD] = VIEW_FD, [RULE_MASK] = VIEW_MASK, [RULE_DEVICE] = VIEW_DEVICE, [RULE_COW] = VIEW_BIND,
	};
	return kinds[k];
}

static int add_rules(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct path_rule *r = &p->rules[i];
		if (r->kind == RULE_PROTECT || r->kind == RULE_HIDE)
			continue; /* of what is shown, which is known only later */
		if (r->optional && r->src && look(b, r->src)->errnum == 2 /* ENOENT */) {
			if (build_row(b, ROW_MISSING, r->dst, "shown if there", "absent", "-", "optional and doesn't exist", r->origin) < 0)
				return -1;
			continue;
		}
		if (r->kind == RULE_COW && r->strength == STRENGTH_PREFERRED && !overlay_offered(b)) {
			if (build_row(b, ROW_MISSING, r->dst, "copy-on-write", "not shown", "-", "this host has no overlay file systems for it", r->origin) < 0)
				return -1;
			continue;
		}
		struct view_entry *e = view_add(b, v, kind_of(r->kind), r->dst, r->origin);
		if (!e)
			return -1;
		e->named = r->strength == STRENGTH_REQUIRED;
		e->noexec = r->noexec;
		e->size = r->size;
		e->inodes = r->inodes;
		e->mode = r->mode ? r->mode : r->kind == RULE_FILE || r->kind == RULE_FILE_FD ? 0444 : 0755;
		e->data = r->data;
		e->data_len = r->data_len;
		e->fd = r->fd;
		e->src = r->src;
		if ((r->kind == RULE_RO || r->kind == RULE_RW || r->kind == RULE_DEVICE || r->kind == RULE_COW) && rule_bind(b, r, e) < 0)
			return -1;
	}
	return 0;
}

/* Takes out "x/.." in place: the directories above a link of ours are ours, so words are enough. */
static void without_dots(char *path)
{
	char *up;

	while ((up = strstr(path, "/.."))) {
		char *from = up;
		if (up[3] && up[3] != '/')
			return;
		while (from > path && *--from != '/')
			continue;
		memmove(from, up + 3, strlen(up + 3) + 1);
	}
	if (!*path)
		memcpy(path, "/", 2);
}

/* Follows the links that we ourselves make (merged /usr): /bin/x becomes /usr/bin/x. */
const char *view_through_links(struct build *b, const struct view *v, const char *path)
{
	for (int hops = 0; hops < 16; hops++) {
		const struct view_entry *link = NULL;
		for (size_t n = path_above(path, strlen(path)); n; n = path_above(path, n)) {
			const struct view_entry *e = view_at(v, path, n);
			if (e && e->kind == VIEW_SYMLINK)
				link = e;
		}
		if (!link)
			return path;
		const char *rest = path + strlen(link->dst), *slash = strrchr(link->dst, '/');
		char *led = link->src[0] == '/' ? arena_printf(b->plan->arena, "%s%s", link->src, rest)
			: arena_printf(b->plan->arena, "%.*s/%s%s", (int)(slash - link->dst), link->dst, link->src, rest);
		if (!led)
			return NULL;
		without_dots(led);
		path = led;
	}
	return path;
}

const char *view_host_path(struct build *b, const struct view *v, const char *inside)
{
	const char *path = view_through_links(b, v, inside);
	const struct view_entry *e = path ? view_find(v, path) : NULL;

	if (!e)
		return b->policy->host_root ? path : NULL;
	if (e->kind != VIEW_BIND)
		return NULL;
	return arena_printf(b->plan->arena, "%s%s", e->src, path + strlen(e->dst));
}

static bool visible(struct build *b, const struct view *v, const char *inside, const struct host_file *f)
{
	const char *host = view_host_path(b, v, inside);
	const struct host_file *g = host ? look(b, host) : NULL;

	return g && !g->errnum && g->dev == f->dev && g->ino == f->ino;
}

/* The working directory, unless it is or holds the home, or is a place that hutch makes itself. */
static int default_cwd(struct build *b, struct view *v)
{
	static const char *const own[] = { "/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run", "/etc", "/root", "/home", "/var" };
	const struct policy *p = b->policy;
	const char *cwd = p->context.cwd;

	if (!cwd && !p->cwd && !p->rootfs && p->cwd_access != CWD_NONE)
		return error_set(b->error, ERR_CWD_DELETED, 2 /* ENOENT */, "getcwd", ".", p->origin[KEY_CWD]);
	if (p->cwd_access == CWD_NONE || !cwd || p->rootfs || p->host_root || at(v, cwd))
		return 0;
	if (path_below(v->home, cwd) || (p->context.home && path_below(p->context.home, cwd)))
		return 0;
	for (size_t i = 0; i < COUNT_OF(own); i++) {
		if (!strcmp(cwd, own[i]) || (i < 3 && path_below(cwd, own[i])))
			return 0;
	}
	const struct host_file *f = look(b, cwd);
	if (f->errnum || visible(b, v, cwd, f))
		return 0;
	struct view_entry *e = view_add(b, v, VIEW_BIND, cwd, p->origin[KEY_CWD_ACCESS]);
	if (!e)
		return -1;
	e->src = f->real;
	e->host = f;
	e->rw = p->cwd_access == CWD_RW;
	e->named = p->strength[KEY_CWD_ACCESS] == STRENGTH_REQUIRED;
	return 0;
}

/* The program's own file is always visible, at the path it was called by. */
static int show_program(struct build *b, struct view *v)
{
	const char *path = b->plan->exec_path;

	if (b->policy->rootfs || b->policy->host_root || !b->plan->exec_host_path || strstr(path, "/../"))
		return 0;
	const struct host_file *f = look(b, b->plan->exec_host_path);
	if (f->errnum || !S_ISREG(f->mode) || visible(b, v, path, f))
		return 0;
	const char *clean = look(b, path)->real;
	if (!clean || at(v, clean))
		return 0;
	struct view_entry *e = view_add(b, v, VIEW_BIND, clean, "the program itself");
	if (!e)
		return -1;
	e->src = f->real;
	e->host = f;
	e->file = true;
	b->plan->exec_path = clean;
	return 0;
}

/* Two rules that meet where a link leads: a person's goes before a default, the same twice is once, else it is an error. */
static int settle_duplicates(struct build *b, struct view *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		struct view_entry *x = kept ? &v->entries[kept - 1] : NULL;
		if (!x || strcmp(x->dst, e->dst)) {
			v->entries[kept++] = *e;
			continue;
		}
		bool same = x->kind == e->kind && x->rw == e->rw && x->noexec == e->noexec && x->host && e->host &&
			    x->host->dev == e->host->dev && x->host->ino == e->host->ino;
		if (e->named && x->named && !same) {
			error_set(b->error, ERR_PATH_CONFLICT, 0, NULL, e->dst, arena_printf(b->plan->arena, "%s and %s", x->origin, e->origin));
			return error_detail(b->error, "both lead there through links of the root");
		}
		if (e->named)
			*x = *e;
	}
	if (kept == v->count)
		return 0;
	v->count = kept;
	return view_sort(b, v);
}

/* Is a file of the host shown at its own path, by a read-only bind other than this? */
static bool shown_at_home(const struct view *v, const struct view_entry *but, const char *path)
{
	const struct view_entry *e = view_find(v, path);

	if (e == but)
		e = view_under(v, path);
	return e && e->kind == VIEW_BIND && !e->rw && !strcmp(e->src, e->dst);
}

/* A source that is named by a link which a read-only tree shows as it is (/bin/sh): link, target and all hops between are
 * there already, and a link can't be mounted on. */
static bool shown_by_link(struct build *b, const struct view *v, const struct view_entry *e)
{
	const char *at = e->dst; /* entries haven't moved yet */

	if (e->kind != VIEW_BIND || e->rw || e->noexec)
		return false;
	for (int hops = 0; hops < 16; hops++) {
		size_t n = path_above(at, strlen(at));
		const char *dir = arena_strndup(b->plan->arena, at, n);
		const struct host_file *up = dir ? look(b, n ? dir : "/") : NULL, *f;
		if (!up || up->errnum || !(at = arena_printf(b->plan->arena, "%s%s", n ? up->real : "", at + n)) || !shown_at_home(v, e, at))
			return false;
		f = b->host->peek(b->host, at);
		if (!f || f->errnum || !f->link)
			return hops && f && !f->errnum && !strcmp(at, e->src);
		at = f->link[0] == '/' ? f->link : arena_printf(b->plan->arena, "%s/%s", n ? up->real : "", f->link);
		if (!at)
			return false;
	}
	return false;
}

/* Rules that lie behind our own links move to where the link leads; what is there already is dropped. */
static int resolve_destinations(struct build *b, struct view *v)
{
	const char **moved = arena_alloc(b->plan->arena, (v->count + 1) * sizeof *moved);
	size_t kept = 0;

	if (!moved)
		return error_nomem(b->error);
	for (size_t i = 0; i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		const char *dst = view_through_links(b, v, e->dst);
		if (!dst)
			return error_nomem(b->error);
		const struct view_entry *under = strcmp(dst, e->dst) ? view_find(v, dst) : NULL;
		const char *host = under && under->kind == VIEW_BIND
			? arena_printf(b->plan->arena, "%s%s", under->src, dst + strlen(under->dst)) : NULL;
		/* NULL: the very same file is there already, with the same right. */
		moved[i] = shown_by_link(b, v, e) ? NULL : host && e->kind == VIEW_BIND && !e->rw && !under->rw && !strcmp(host, e->src) ? NULL : dst;
	}
	for (size_t i = 0; i < v->count; i++) {
		if (!moved[i])
			continue;
		v->entries[kept] = v->entries[i];
		v->entries[kept++].dst = moved[i];
	}
	v->count = kept;
	return view_sort(b, v) < 0 ? -1 : settle_duplicates(b, v);
}

int view_compile(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;
	bool own_root = !p->host_root;

	if (add_rules(b, v) < 0)
		return -1;
	if (own_root && p->system && !p->rootfs && system_files(b, v) < 0)
		return -1;
	if (own_root && !layer_never(b)) {
		if ((!p->rootfs && (identity_files(b, v) < 0 || resolver(b, v) < 0 || machine_id(b, v) < 0)) || private_places(b, v) < 0 || kernel_places(b, v) < 0)
			return -1;
	}
	if (default_cwd(b, v) < 0 || (!layer_enters(b) && (exec_resolve(b, v) < 0 || show_program(b, v) < 0)))
		return -1;
	return resolve_destinations(b, v) < 0 || view_git(b, v) < 0 || view_hide(b, v) < 0 || view_protect(b, v) < 0 ? -1 : view_aliases(b, v);
}
