/* One host tree under several names: the stricter right holds under each, or the plan is refused.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>

/* Every bind by what it shows; several may show the same. */
struct sources {
	struct build *b;
	struct view *v;
	struct table shown;      /* host path to index + 1 of the last entry that shows it */
	size_t *before;          /* of each entry: index + 1 of the one before it with the same source */
	size_t count;            /* entries beyond were added meanwhile and need no look */
};

static int collect(struct sources *s)
{
	struct arena *a = s->b->plan->arena;

	s->count = s->v->count;
	s->before = arena_alloc(a, (s->count + 1) * sizeof *s->before);
	if (!s->before)
		return error_nomem(s->b->error);
	for (size_t i = 0; i < s->count; i++) {
		const struct view_entry *e = &s->v->entries[i];
		if (e->kind != VIEW_BIND)
			continue;
		const size_t *at = table_find(&s->shown, e->src, strlen(e->src));
		s->before[i] = at ? *at : 0;
		if (!table_put(&s->shown, a, e->src, strlen(e->src), i + 1))
			return error_nomem(s->b->error);
	}
	return 0;
}

/* Index + 1 of an entry that shows this very path, 0 = none. */
static size_t showing(const struct sources *s, const char *path, size_t len)
{
	const size_t *at = table_find(&s->shown, path, len);

	return at ? *at : 0;
}

/* Two names with different rights for one file or directory. */
static int check_rights(struct sources *s)
{
	struct table seen = { 0 };

	for (size_t i = 0; i < s->count; i++) {
		const struct view_entry *e = &s->v->entries[i];
		if (e->kind != VIEW_BIND || !e->named)
			continue;
		const struct host_file *f = e->host;
		uint64_t *key = arena_alloc(s->b->plan->arena, 2 * sizeof *key);
		if (!key)
			return error_nomem(s->b->error);
		key[0] = f->dev;
		key[1] = f->ino;
		const size_t *at = table_find(&seen, (const char *)key, 2 * sizeof *key);
		if (!at && !table_put(&seen, s->b->plan->arena, (const char *)key, 2 * sizeof *key, i))
			return error_nomem(s->b->error);
		const struct view_entry *x = at ? &s->v->entries[*at] : e;
		if (x->rw != e->rw) {
			error_set(s->b->error, ERR_MOUNT_ALIAS, 0, NULL, x->src, x->origin);
			return error_detail(s->b->error, "%s (%s) and %s (%s, %s)", x->dst, x->rw ? "rw" : "ro", e->dst, e->rw ? "rw" : "ro", e->origin);
		}
	}
	return 0;
}

static const char *other_name(struct sources *s, const struct view_entry *other, const char *host)
{
	const char *name = arena_printf(s->b->plan->arena, "%s%s", other->dst, host + strlen(other->src));

	if (!name)
		error_nomem(s->b->error);
	return name;
}

/* What is shown read-only is so under the names that writable trees give it, too. */
static int spread_readonly(struct sources *s, size_t i)
{
	const struct view_entry ro = s->v->entries[i];

	for (size_t n = path_above(ro.src, strlen(ro.src)); n; n = path_above(ro.src, n)) {
		for (size_t k = showing(s, ro.src, n); k; k = s->before[k - 1]) {
			const struct view_entry *other = &s->v->entries[k - 1];
			if (!other->rw)
				continue;
			struct view_entry copy = ro;
			copy.dst = other_name(s, other, ro.src);
			if (!copy.dst)
				return -1;
			/* Named itself: decided there. */
			if (!view_at(s->v, copy.dst, strlen(copy.dst)) && !view_append(s->b, s->v, &copy))
				return -1;
		}
	}
	return 0;
}

/* What is masked is masked under every name that shows it. */
static int spread_mask(struct sources *s, size_t i)
{
	const struct view_entry mask = s->v->entries[i];
	const struct view_entry *under = view_under(s->v, mask.dst);
	const char *host = mask.dst;

	if (under && under->kind == VIEW_BIND) {
		if (!(host = arena_printf(s->b->plan->arena, "%s%s", under->src, mask.dst + strlen(under->dst))))
			return error_nomem(s->b->error);
	} else if (under || !s->b->policy->host_root) {
		return 0;
	}
	for (size_t n = strlen(host); n; n = path_above(host, n)) {
		for (size_t k = showing(s, host, n); k; k = s->before[k - 1]) {
			struct view_entry copy = { .kind = VIEW_MASK, .named = true, .origin = mask.origin, .fd = -1 };
			if (!(copy.dst = other_name(s, &s->v->entries[k - 1], host)))
				return -1;
			const struct view_entry *there = view_at(s->v, copy.dst, strlen(copy.dst));
			if (there && there->kind != VIEW_MASK) {
				error_set(s->b->error, ERR_MOUNT_ALIAS, 0, NULL, host, mask.origin);
				return error_detail(s->b->error, "masked at %s, shown at %s (%s)", mask.dst, copy.dst, there->origin);
			}
			if (!there && !view_append(s->b, s->v, &copy))
				return -1;
		}
	}
	return 0;
}

int view_aliases(struct build *b, struct view *v)
{
	struct sources s = { .b = b, .v = v };

	if (collect(&s) < 0 || check_rights(&s) < 0)
		return -1;
	for (size_t i = 0; i < s.count; i++) {
		const struct view_entry *e = &v->entries[i];
		if (e->kind == VIEW_BIND && !e->rw && e->named && spread_readonly(&s, i) < 0)
			return -1;
		if (e->kind == VIEW_MASK && spread_mask(&s, i) < 0)
			return -1;
	}
	return view_sort(b, v);
}
