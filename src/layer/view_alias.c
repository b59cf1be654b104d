/* One host tree under several names: the stricter right holds under each, or the plan is refused. Names are compared by
 * where they lie in their file system, so that a bind mount of the host's is another name, too.
 * Runs in: parent. PURE (the host answers look-ups). */
#include "layer/layer.h"

#include <string.h>

/* Every bind by what it shows; several may show the same. */
struct sources {
	struct build *b;
	struct view *v;
	const char **location;   /* of each entry's source, NULL = no bind */
	struct table shown;      /* location to index + 1 of the last entry that shows it */
	size_t *before;          /* of each entry: index + 1 of the one before it with the same source */
	size_t count;            /* entries beyond were added meanwhile and need no look */
};

/* Does an entry narrow what is around it? Without one there is nothing to dodge, and the mounts needn't be read. */
static bool narrows(const struct view *v, const struct view_entry *e)
{
	if (e->kind == VIEW_BIND)
		return e->named;
	return e->kind == VIEW_MASK || (e->kind == VIEW_TMPFS && e->named && view_under(v, e->dst));
}

static bool anything_to_do(const struct sources *s)
{
	bool ro = false, rw = false, bind = false, hidden = false;

	for (size_t i = 0; i < s->v->count; i++) {
		const struct view_entry *e = &s->v->entries[i];
		bind |= e->kind == VIEW_BIND;
		rw |= e->kind == VIEW_BIND && e->rw;
		ro |= e->kind == VIEW_BIND && !e->rw && narrows(s->v, e);
		hidden |= e->kind != VIEW_BIND && narrows(s->v, e);
	}
	return (ro && rw) || (hidden && (bind || s->b->policy->host_root));
}

static int collect(struct sources *s)
{
	struct arena *a = s->b->plan->arena;

	s->count = s->v->count;
	s->before = arena_alloc(a, (s->count + 1) * sizeof *s->before);
	s->location = arena_alloc(a, (s->count + 1) * sizeof *s->location);
	if (!s->before || !s->location)
		return error_nomem(s->b->error);
	for (size_t i = 0; i < s->count; i++) {
		const struct view_entry *e = &s->v->entries[i];
		if (e->kind != VIEW_BIND)
			continue;
		const char *where = s->b->host->locate(s->b->host, e->src);
		const size_t *at = where ? table_find(&s->shown, where, strlen(where)) : NULL;
		s->location[i] = where;
		s->before[i] = at ? *at : 0;
		if (!where || !table_put(&s->shown, a, where, strlen(where), i + 1))
			return error_nomem(s->b->error);
	}
	return 0;
}

/* Index + 1 of an entry that shows this very place, 0 = none. */
static size_t showing(const struct sources *s, const char *where, size_t len)
{
	const size_t *at = table_find(&s->shown, where, len);

	return at ? *at : 0;
}

/* Two names with different rights for one file or directory. */
static int check_rights(struct sources *s)
{
	struct table seen = { 0 };

	for (size_t i = 0; i < s->count; i++) {
		const struct view_entry *e = &s->v->entries[i];
		if (e->kind != VIEW_BIND || !e->named || e->cow)
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

/* The name that other gives a place below its source; *host is the file there, NULL = another mount covers it. */
static const char *other_name(struct sources *s, const struct view_entry *other, const char *rest, const struct host_file *file)
{
	struct arena *a = s->b->plan->arena;
	const char *there = arena_printf(a, "%s%s", strcmp(other->src, "/") ? other->src : "", rest);
	const struct host_file *f = there ? s->b->host->lookup(s->b->host, NULL, *there ? there : "/") : NULL;

	if (!f) {
		error_nomem(s->b->error);
		return NULL;
	}
	if (f->errnum != file->errnum || (!f->errnum && (f->dev != file->dev || f->ino != file->ino)))
		return "";
	const char *name = arena_printf(a, "%s%s", other->dst, rest);

	if (!name)
		error_nomem(s->b->error);
	return name;
}

/* What is shown read-only is so under the names that writable trees give it, too. */
static int spread_readonly(struct sources *s, size_t i)
{
	const struct view_entry ro = s->v->entries[i];
	const char *where = s->location[i];

	for (size_t n = path_above(where, strlen(where)); n; n = path_above(where, n)) {
		for (size_t k = showing(s, where, n); k; k = s->before[k - 1]) {
			const struct view_entry *other = &s->v->entries[k - 1];
			if (!other->rw)
				continue;
			struct view_entry copy = ro;
			copy.dst = other_name(s, other, where + n, ro.host);
			if (!copy.dst)
				return -1;
			/* Named itself: decided there. */
			if (*copy.dst && !view_at(s->v, copy.dst, strlen(copy.dst)) && !view_append(s->b, s->v, &copy))
				return -1;
		}
	}
	return 0;
}

static int spread_one(struct sources *s, const struct view_entry *hidden, const char *dst, const char *host)
{
	const struct view_entry *there = view_at(s->v, dst, strlen(dst));
	const struct view_entry copy = { .kind = VIEW_MASK, .named = true, .dst = dst, .origin = hidden->origin, .fd = -1 };

	if (!there)
		return view_append(s->b, s->v, &copy) ? 0 : -1;
	if (there->kind == VIEW_MASK || there->kind == VIEW_TMPFS)
		return 0;
	error_set(s->b->error, ERR_MOUNT_ALIAS, 0, NULL, host, hidden->origin);
	return error_detail(s->b->error, "hidden at %s, shown at %s (%s)", hidden->dst, dst, there->origin);
}

/* What is hidden, by a mask or by a private directory, is hidden under every name that shows it. */
static int spread_hidden(struct sources *s, size_t i)
{
	const struct view_entry hidden = s->v->entries[i];
	const struct view_entry *under = view_under(s->v, hidden.dst);
	const char *host = hidden.dst, *where;

	if (under && under->kind == VIEW_BIND) {
		if (!(host = arena_printf(s->b->plan->arena, "%s%s", under->src, hidden.dst + strlen(under->dst))))
			return error_nomem(s->b->error);
	} else if (under || !s->b->policy->host_root) {
		return 0;
	}
	const struct host_file *file = s->b->host->lookup(s->b->host, NULL, host);
	if (!(where = s->b->host->locate(s->b->host, file->real ? file->real : host)))
		return error_nomem(s->b->error);
	for (size_t n = strlen(where); n; n = path_above(where, n)) {
		for (size_t k = showing(s, where, n); k; k = s->before[k - 1]) {
			const char *dst = other_name(s, &s->v->entries[k - 1], where + n, file);
			if (!dst)
				return -1;
			if (*dst && strcmp(dst, hidden.dst) && spread_one(s, &hidden, dst, host) < 0)
				return -1;
		}
	}
	return 0;
}

int view_aliases(struct build *b, struct view *v)
{
	struct sources s = { .b = b, .v = v };

	if (!anything_to_do(&s))
		return 0;
	if (collect(&s) < 0 || check_rights(&s) < 0)
		return -1;
	for (size_t i = 0; i < s.count; i++) {
		const struct view_entry *e = &v->entries[i];
		if (!narrows(v, e) || e->rw)
			continue;
		if ((e->kind == VIEW_BIND ? spread_readonly(&s, i) : spread_hidden(&s, i)) < 0)
			return -1;
	}
	return view_sort(b, v);
}
