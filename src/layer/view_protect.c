/* Paths that must stay as they are in a writable tree, also where nothing is there yet.
 * A mount point can't be made for a name that doesn't exist without making something on the host. So the directory above
 * turns read-only, which no create, rename, link or exchange gets past, and each name that it has is shown over it,
 * writable as before.
 * Runs in: parent. PURE (the host answers look-ups). */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

#define NAMES_MOST 4096 /* each is a mount */

static int refuse(struct build *b, const struct path_rule *r, const char *detail)
{
	error_set(b->error, ERR_MOUNT_PROTECT, 0, NULL, r->dst, r->origin);
	return error_detail(b->error, "%s", detail);
}

/* The way from the writable tree's top to the path, as far as it is there. *len: of that part of path; the whole of it
 * if it ends at a file or directory. *link: a symbolic link on the way. */
static const struct host_file *deepest(struct build *b, const char *path, size_t top, size_t *len, const char **link)
{
	const struct host_file *best = NULL;

	for (size_t n = top; n <= strlen(path); n++) {
		if (path[n] && path[n] != '/')
			continue;
		const char *part = n ? arena_strndup(b->plan->arena, path, n) : "/";
		const struct host_file *f = part ? b->host->lookup(b->host, NULL, part) : NULL;
		if (f && f->link)
			*link = part;
		if (!f || f->errnum || f->link)
			break;
		best = f;
		*len = n;
	}
	return best;
}

static int keep_writable(struct build *b, struct view *v, const struct view_entry *frozen, size_t *count)
{
	const char *const *names = b->host->list(b->host, frozen->src);
	const struct view_entry dir = *frozen; /* entries move when one is added */

	for (*count = 0; names && *names; names++) {
		struct arena *a = b->plan->arena;
		struct view_entry e = { .kind = VIEW_BIND, .rw = true, .noexec = dir.noexec, .origin = dir.origin, .fd = -1 };
		e.src = arena_printf(a, "%s/%s", strcmp(dir.src, "/") ? dir.src : "", *names);
		e.dst = arena_printf(a, "%s/%s", dir.dst, *names);
		e.host = e.src ? b->host->lookup(b->host, NULL, e.src) : NULL;
		if (!e.host || !e.dst)
			return error_nomem(b->error);
		/* A link can't be mounted over and stays as it is. A rule of its own decides itself. */
		if (e.host->errnum || e.host->link || view_at(v, e.dst, strlen(e.dst)))
			continue;
		e.file = !S_ISDIR(e.host->mode);
		if (!view_append(b, v, &e))
			return -1;
		++*count;
	}
	return names ? 0 : -2;
}

static int freeze(struct build *b, struct view *v, const struct path_rule *r, struct view_entry *tree, const char *dst, const struct host_file *f)
{
	struct view_entry *e = tree;
	size_t count;
	int kept;

	if (!tree || strcmp(tree->dst, dst)) {
		const struct view_entry made = { .kind = VIEW_BIND, .dst = dst, .src = f->real, .host = f, .noexec = tree && tree->noexec, .fd = -1 };
		if (!(e = view_append(b, v, &made)))
			return -1;
	}
	e->rw = false;
	e->named = true;
	e->origin = r->origin;
	kept = keep_writable(b, v, e, &count);
	if (kept == -2)
		return refuse(b, r, arena_printf(b->plan->arena, "nothing is there, and the names in %s can't be read", f->real));
	if (kept < 0)
		return -1;
	if (count > NAMES_MOST)
		return refuse(b, r, arena_printf(b->plan->arena, "nothing is there, and %s holds more than %d names", f->real, NAMES_MOST));
	return build_row(b, ROW_ENFORCED, r->dst, "protected", "nothing can be made there", arena_printf(b->plan->arena,
			 "%s takes no new names; %zu that it has stay writable", dst, count), NULL, r->origin);
}

/* Looked for when the run has ended: the directory stays open for other names. */
static int check_late(struct build *b, const struct path_rule *r, const struct view_entry *tree, const char *host, const char *link)
{
	struct plan *p = b->plan;
	struct late_name *grown = arena_grow(p->arena, p->late, p->late_count, &p->late_cap, sizeof *grown);

	if (!grown)
		return error_nomem(b->error);
	p->late = grown;
	grown[p->late_count++] = (struct late_name){ .tree = tree->src, .rest = host + strlen(tree->src) + 1, .dev = tree->host->dev, .ino = tree->host->ino, .link = link, .origin = r->origin };
	return build_row(b, ROW_ENFORCED, r->dst, "protected, check", link ? "moved aside if it isn't the link any more" : "moved aside if it was made", "the launcher, at the end", NULL, r->origin);
}

/* The name itself is a link, which nothing can be mounted over. */
static int protect_link(struct build *b, struct view *v, const struct path_rule *r, struct view_entry *e, const char *host, size_t top)
{
	size_t n = path_above(host, strlen(host));
	const char *dir = arena_strndup(b->plan->arena, host, n ? n : 1);
	const struct host_file *f = dir ? b->host->lookup(b->host, NULL, dir) : NULL;

	if (!f)
		return error_nomem(b->error);
	if (b->policy->protect_check)
		return check_late(b, r, e, host, b->host->lookup(b->host, NULL, host)->link);
	const char *dst = arena_printf(b->plan->arena, "%s%.*s", e->dst, (int)(n - top), host + top);
	return dst ? freeze(b, v, r, e, dst, f) : error_nomem(b->error);
}

static int protect(struct build *b, struct view *v, const struct path_rule *r)
{
	struct view_entry *e = (struct view_entry *)view_find(v, r->dst);
	const char *link = NULL;
	size_t top, len = 0;

	if (!e ? !b->policy->host_root && !b->policy->rootfs_rw : e->kind == VIEW_BIND && !e->rw)
		return build_row(b, ROW_ENFORCED, r->dst, "protected", "read-only", "what is around it is read-only", NULL, r->origin);
	if (e && e->kind != VIEW_BIND && r->set)
		return build_row(b, ROW_ENFORCED, r->dst, "protected", "not the host's", "-", e->kind == VIEW_MASK ? "it is hidden" : "a private place hides it", r->origin);
	if (!e ? b->policy->rootfs_rw : e->kind != VIEW_BIND)
		return refuse(b, r, e ? "it lies in a private place, which the program may change as it likes" : "it lies in the writable rootfs: show a part of that with rw, and protect in it");
	const char *host = e ? arena_printf(b->plan->arena, "%s%s", e->src, r->dst + strlen(e->dst)) : r->dst;
	if (!host)
		return error_nomem(b->error);
	top = e ? strlen(e->src) : 0;
	const struct host_file *f = deepest(b, host, top, &len, &link);
	/* The name and what it leads to would both have to stay; which is meant is for the caller to say. */
	if (link && r->set && e && !strcmp(link, host))
		return protect_link(b, v, r, e, host, top);
	if (link)
		return refuse(b, r, arena_printf(b->plan->arena, "%s is a symbolic link: name what it leads to, or the directory that holds it", link));
	if (!f || !len)
		return refuse(b, r, "the directory that would have to take no new names is the root itself");
	const char *dst = arena_printf(b->plan->arena, "%s%.*s", e ? e->dst : "", (int)(len - top), host + top);
	/* Below a file nothing can be made as long as the file stays. */
	bool missing = host[len] && !(r->set && !S_ISDIR(f->mode));
	if (!dst)
		return error_nomem(b->error);
	if (missing && e && e->cow)
		return r->set ? build_row(b, ROW_WEAKER, r->dst, "protected", "made in the changes alone", "copy-on-write", "look at the changes before you commit them", r->origin)
			: refuse(b, r, "nothing is there, and in a copy-on-write tree a name can't be kept from being made: look at the changes before you commit them");
	if (missing && r->set && e && b->policy->protect_check)
		return check_late(b, r, e, host, NULL);
	if (missing)
		return S_ISDIR(f->mode) ? freeze(b, v, r, e, dst, f) : refuse(b, r, "a file is in the way");
	const struct view_entry there = { .kind = VIEW_BIND, .dst = dst, .src = f->real, .host = f, .file = !S_ISDIR(f->mode), .named = true,
					  .noexec = e && e->noexec, .origin = r->origin, .fd = -1 };
	if (e && !strcmp(e->dst, dst)) {
		e->rw = false;
		e->named = true;
		return 0;
	}
	return view_append(b, v, &there) ? 0 : -1;
}

static int protect_name(struct build *b, struct view *v, const struct path_rule *r, size_t entry, const char *dst)
{
	struct path_rule here = *r;

	(void)entry;
	here.dst = dst;
	return protect(b, v, &here);
}

static int protect_host(struct build *b, struct view *v, const struct path_rule *r, const char *path)
{
	const char *host = view_real(b, path);
	size_t shown;

	if (!host)
		return error_nomem(b->error);
	if (view_each_name(b, v, r, host, protect_name, &shown) < 0)
		return -1;
	return shown ? 0 : build_row(b, ROW_ENFORCED, path, "protected", "not the host's", "-", "no rule shows it", r->origin);
}

/* Below the project's .git: the same in each of its git directories. Where it has none, the names by which one would be made. */
static int protect_git(struct build *b, struct view *v, const struct path_rule *r, const char *rest)
{
	for (size_t i = 0; i < v->git.count; i++) {
		const char *path = arena_printf(b->plan->arena, "%s%s", v->git.dirs[i], rest);
		if (!path)
			return error_nomem(b->error);
		/* It names the worktree, and only where there is one. */
		if (!strcmp(rest, "/gitdir") && b->host->lookup(b->host, NULL, path)->errnum)
			continue;
		if (protect_host(b, v, r, path) < 0)
			return -1;
	}
	return v->git.count ? 0 : protect_host(b, v, r, r->dst);
}

/* A row of a set is a path of the host. */
static int protect_row(struct build *b, struct view *v, const struct path_rule *r)
{
	const char *cwd = b->policy->context.cwd, *rest = cwd && path_below(r->dst, cwd) && strcmp(cwd, "/") ? r->dst + strlen(cwd) : "";

	if (!strncmp(rest, "/.git/", 6))
		return protect_git(b, v, r, rest + 5);
	for (size_t i = 0; !strcmp(rest, "/.gitmodules") && i < v->git.link_count; i++) {
		if (protect_host(b, v, r, v->git.links[i]) < 0)
			return -1;
	}
	return protect_host(b, v, r, r->dst);
}

int view_protect(struct build *b, struct view *v)
{
	size_t before = v->count;

	for (size_t i = 0; i < b->policy->rule_count; i++) {
		struct path_rule r = b->policy->rules[i];
		if (r.kind != RULE_PROTECT)
			continue;
		/* Like every other rule behind /var/tmp and the other links of ours; but the row of a set is a path of the host. */
		if (!r.set && !(r.dst = view_through_links(b, v, r.dst)))
			return error_nomem(b->error);
		if ((r.set ? protect_row : protect)(b, v, &r) < 0)
			return -1;
	}
	if (b->plan->late_count &&
	    build_row(b, ROW_WEAKER, "protected names that aren't there yet", "not made", arena_printf(b->plan->arena, "%zu of them moved aside if they were made", b->plan->late_count),
		      "the launcher looks when the run has ended", "directories stay open for other names; protect-new = close closes them", b->policy->origin[KEY_PROTECT_NEW]) < 0)
		return -1;
	return v->count == before ? 0 : view_sort(b, v);
}
