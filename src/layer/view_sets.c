/* Paths of the host, under whatever names a view shows them: what `hide` masks, and where the rows of a set lie.
 * Runs in: parent. PURE (the host answers look-ups). */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

const char *view_real(struct build *b, const char *path)
{
	struct arena *a = b->plan->arena;

	for (size_t n = path_above(path, strlen(path));; n = path_above(path, n)) {
		const char *up = n ? arena_strndup(a, path, n) : "/";
		const struct host_file *f = up ? b->host->lookup(b->host, NULL, up) : NULL;
		if (!f)
			return NULL;
		if (!f->errnum)
			return arena_printf(a, "%s%s", strcmp(f->real, "/") ? f->real : "", path + n);
		if (!n)
			return path;
	}
}

/* A tree that is the root itself: whole, the host's or the rootfs. NULL = the root is ours. */
static const char *root_tree(struct build *b)
{
	const struct policy *p = b->policy;
	const struct host_file *f = p->rootfs && !p->layer_count ? b->host->lookup(b->host, NULL, p->rootfs) : NULL;

	return p->host_root ? "" : f && !f->errnum ? strcmp(f->real, "/") ? f->real : "" : NULL;
}

int view_each_name(struct build *b, struct view *v, const struct path_rule *r, const char *host, view_name *f, size_t *count)
{
	const size_t entries = v->count; /* those that are added meanwhile show nothing new */
	const char *root = root_tree(b), *dst;

	*count = 0;
	for (size_t i = 0; i < entries; i++) {
		const struct view_entry *e = &v->entries[i];
		if (e->kind != VIEW_BIND || !path_below(host, e->src))
			continue;
		const char *rest = host + (strcmp(e->src, "/") ? strlen(e->src) : 0);
		if (!(dst = arena_printf(b->plan->arena, "%s%s", e->dst, rest)))
			return error_nomem(b->error);
		if (view_find(v, dst) != &v->entries[i])
			continue;
		if (f(b, v, r, i, dst) < 0)
			return -1;
		++*count;
	}
	if (!root || !path_below(host, *root ? root : "/") || view_find(v, host + strlen(root)))
		return 0;
	++*count;
	return f(b, v, r, SIZE_MAX, host + strlen(root));
}

/* ---- hide ---- */
static int hide_name(struct build *b, struct view *v, const struct path_rule *r, size_t entry, const char *dst)
{
	const struct view_entry mask = { .kind = VIEW_MASK, .named = true, .dst = dst, .origin = r->origin, .fd = -1 };
	struct view_entry *e = entry == SIZE_MAX ? NULL : &v->entries[entry];

	if (!e || strcmp(e->dst, dst))
		return view_append(b, v, &mask) ? 0 : -1;
	/* This very thing is shown, or something in it: see shown_itself(). */
	return 0;
}

/* Binds of what is hidden, or of a part of it. What hutch shows unasked isn't shown; what a person named is as much meant. */
static int shown_itself(struct build *b, struct view *v, const struct path_rule *r, const char *host, size_t *count)
{
	for (size_t i = 0; i < v->count; i++) {
		struct view_entry *e = &v->entries[i];
		if (e->kind != VIEW_BIND || !path_below(e->src, host))
			continue;
		++*count;
		if (e->named && !r->set && !strcmp(e->src, host)) {
			error_set(b->error, ERR_MOUNT_ALIAS, 0, NULL, host, r->origin);
			return error_detail(b->error, "hidden, and shown at %s (%s)", e->dst, e->origin);
		}
		if (e->named) {
			if (build_row(b, ROW_OPEN, e->dst, "hidden", e->rw ? "read-write" : "read-only", "a rule that names it, or a part of it", NULL, e->origin) < 0)
				return -1;
			continue;
		}
		*e = (struct view_entry){ .kind = VIEW_MASK, .named = true, .dst = e->dst, .origin = r->origin, .fd = -1 };
	}
	return 0;
}

static int hide_path(struct build *b, struct view *v, const struct path_rule *r, const char *path)
{
	const struct host_file *f = b->host->lookup(b->host, NULL, path);
	const char *what = arena_printf(b->plan->arena, "%s", path);
	size_t shown, named = 0;

	if (!what)
		return error_nomem(b->error);
	/* What the caller may not look at, the program may still less. */
	if (f->errnum)
		return build_row(b, ROW_ENFORCED, what, "hidden", "hidden", "-", f->errnum == 2 || f->errnum == 20 ? "nothing is there" : "not even the caller can look at it", r->origin);
	if (view_each_name(b, v, r, f->real, hide_name, &shown) < 0 || shown_itself(b, v, r, f->real, &named) < 0)
		return -1;
	if (shown || named)
		return 0; /* a mask has a row of its own */
	return build_row(b, ROW_ENFORCED, what, "hidden", "hidden", "-", "no rule shows it", r->origin);
}

/* Files that say what belongs into the hidden ones, and hold nothing themselves. */
static bool example(const char *name)
{
	static const char *const ends[] = { ".example", ".sample", ".template", ".dist", ".defaults" };
	size_t n = strlen(name);

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t k = strlen(ends[i]);
		if (n > k && !strcmp(name + n - k, ends[i]))
			return true;
	}
	return false;
}

static bool fits(const char *name, const char *pattern)
{
	const char *star = strchr(pattern, '*');
	size_t before = (size_t)(star - pattern), after = strlen(star + 1), n = strlen(name);

	return n > before + after && !strncmp(name, pattern, before) && !strcmp(name + n - after, star + 1) && !example(name);
}

/* The names that fit when the plan is made: a name that comes later isn't among them, and the row says so. */
static int hide_pattern(struct build *b, struct view *v, const struct path_rule *r)
{
	size_t n = path_above(r->dst, strlen(r->dst)), found = 0;
	const char *dir = arena_strndup(b->plan->arena, r->dst, n);
	const struct host_file *f = dir ? b->host->lookup(b->host, NULL, n ? dir : "/") : NULL;

	if (!f)
		return error_nomem(b->error);
	const char *const *names = f->errnum || !S_ISDIR(f->mode) ? NULL : b->host->list(b->host, f->real);
	for (; names && *names; names++) {
		if (!fits(*names, r->dst + n + 1))
			continue;
		const char *path = arena_printf(b->plan->arena, "%s/%s", dir, *names);
		if (!path)
			return error_nomem(b->error);
		if (hide_path(b, v, r, path) < 0)
			return -1;
		found++;
	}
	return found ? 0 : build_row(b, ROW_ENFORCED, r->dst, "hidden", "hidden", "-", "no such name is there at the start", r->origin);
}

int view_hide(struct build *b, struct view *v)
{
	size_t before = v->count;

	for (size_t i = 0; i < b->policy->rule_count; i++) {
		const struct path_rule *r = &b->policy->rules[i];
		if (r->kind == RULE_HIDE && (r->pattern ? hide_pattern(b, v, r) : hide_path(b, v, r, r->dst)) < 0)
			return -1;
	}
	return v->count == before ? 0 : view_sort(b, v);
}
