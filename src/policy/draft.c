/* The draft: policy lines as they were given, each with the place that it came from.
 * Runs in: parent. */
#include "policy/policy.h"

#include <string.h>

unsigned draft_source(struct draft *d)
{
	return ++d->sources;
}

static int unknown_key(const char *key, const char *origin, struct hutch_error *e)
{
	const char *near;

	key_find(key, &near);
	error_set(e, ERR_KEY_UNKNOWN, 0, NULL, key, origin);
	error_detail(e, "there is no such key");
	return near ? error_remedy(e, "did you mean `%s`? `hutch help` lists every key", near) : -1;
}

int draft_add_data(struct draft *d, const char *key, const char *value, const char *data, size_t data_len,
		   const char *origin, unsigned source, unsigned depth, enum strength strength,
		   struct hutch_error *e)
{
	int id = key_find(key, NULL);
	struct draft_line *lines, l = {
		.key = id < 0 ? 0 : (enum key_id)id, .data_len = data_len, .source = source, .strength = strength,
		.depth = depth > DRAFT_DEPTH_MAX ? DRAFT_DEPTH_MAX : depth,
	};

	if (id < 0)
		return unknown_key(key, origin, e);
	lines = arena_grow(d->arena, d->lines, d->count, &d->cap, sizeof *lines);
	if (!lines)
		return error_nomem(e);
	d->lines = lines;
	l.value = arena_strdup(d->arena, value ? value : "");
	l.origin = arena_strdup(d->arena, origin ? origin : "api");
	l.data = data ? arena_strndup(d->arena, data, data_len) : NULL;
	if (!l.value || !l.origin || (data && !l.data))
		return error_nomem(e);
	d->lines[d->count++] = l;
	return 0;
}

int draft_add(struct draft *d, const char *key, const char *value, const char *origin,
	      unsigned source, unsigned depth, enum strength strength, struct hutch_error *e)
{
	return draft_add_data(d, key, value, NULL, 0, origin, source, depth, strength, e);
}
