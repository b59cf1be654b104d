/* Finding entries of the view: by path, and what lies above a path. Each costs the path's depth, not the view's size.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <stdlib.h>
#include <string.h>

bool path_below(const char *path, const char *ancestor)
{
	size_t n = strlen(ancestor);

	if (n == 1 && ancestor[0] == '/')
		return true;
	return !strncmp(path, ancestor, n) && (path[n] == '/' || !path[n]);
}

size_t path_above(const char *path, size_t len)
{
	while (len && path[--len] != '/')
		continue;
	return len;
}

struct view_entry *view_at(const struct view *v, const char *dst, size_t len)
{
	const size_t *at = table_find(&v->index, dst, len);

	return at ? &v->entries[*at] : NULL;
}

const struct view_entry *view_find(const struct view *v, const char *path)
{
	const struct view_entry *e = NULL;

	for (size_t n = strlen(path); n && !e; n = path_above(path, n))
		e = view_at(v, path, n);
	return e;
}

const struct view_entry *view_under(const struct view *v, const char *path)
{
	const struct view_entry *e = NULL;

	for (size_t n = path_above(path, strlen(path)); n; n = path_above(path, n)) {
		e = view_at(v, path, n);
		/* A plain directory or a link is part of what is around it. */
		if (e && e->kind != VIEW_DIR && e->kind != VIEW_SYMLINK)
			return e;
	}
	return NULL;
}

struct view_entry *view_append(struct build *b, struct view *v, const struct view_entry *e)
{
	struct view_entry *entries = arena_grow(b->plan->arena, v->entries, v->count, &v->cap, sizeof *entries);

	if (!entries || !table_put(&v->index, b->plan->arena, e->dst, strlen(e->dst), v->count)) {
		error_nomem(b->error);
		return NULL;
	}
	v->entries = entries;
	entries[v->count] = *e;
	return &entries[v->count++];
}

static int compare(const void *a, const void *b)
{
	const unsigned char *x = (const unsigned char *)((const struct view_entry *)a)->dst;
	const unsigned char *y = (const unsigned char *)((const struct view_entry *)b)->dst;

	/* '/' sorts before every other byte, so that a directory's children follow it directly. */
	while (*x && *x == *y)
		x++, y++;
	int cx = !*x ? -1 : *x == '/' ? 0 : *x, cy = !*y ? -1 : *y == '/' ? 0 : *y;
	return cx - cy;
}

int view_sort(struct build *b, struct view *v)
{
	if (v->count)
		qsort(v->entries, v->count, sizeof *v->entries, compare);
	table_clear(&v->index);
	for (size_t i = 0; i < v->count; i++) {
		if (!table_put(&v->index, b->plan->arena, v->entries[i].dst, strlen(v->entries[i].dst), i))
			return error_nomem(b->error);
	}
	return 0;
}
