/* Table: from bytes to a number, open addressing, so that thousands of paths cost no more each than ten.
 * Runs in: parent. */
#include "base/base.h"

#include <string.h>

static size_t hash(const char *key, size_t len)
{
	uint64_t n = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		n = (n ^ (unsigned char)key[i]) * 1099511628211u;
	return (size_t)(n ^ (n >> 32));
}

/* The key's slot, or the empty one where it would go. There always is an empty one. */
static struct table_slot *slot_of(const struct table *t, const char *key, size_t len)
{
	size_t at = hash(key, len) & (t->cap - 1);

	while (t->slots[at].key && (t->slots[at].len != len || memcmp(t->slots[at].key, key, len)))
		at = (at + 1) & (t->cap - 1);
	return &t->slots[at];
}

size_t *table_find(const struct table *t, const char *key, size_t len)
{
	struct table_slot *s = t->cap ? slot_of(t, key, len) : NULL;

	return s && s->key ? &s->value : NULL;
}

static bool grow(struct table *t, struct arena *a)
{
	struct table bigger = { .cap = t->cap ? t->cap * 2 : 64, .count = t->count };

	bigger.slots = arena_alloc(a, bigger.cap * sizeof *bigger.slots);
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->cap; i++) {
		if (t->slots[i].key)
			*slot_of(&bigger, t->slots[i].key, t->slots[i].len) = t->slots[i];
	}
	*t = bigger;
	return true;
}

bool table_put(struct table *t, struct arena *a, const char *key, size_t len, size_t value)
{
	struct table_slot *s;

	if (t->count * 2 >= t->cap && !grow(t, a))
		return false;
	s = slot_of(t, key, len);
	t->count += !s->key;
	*s = (struct table_slot){ key, len, value };
	return true;
}

void table_clear(struct table *t)
{
	if (t->cap)
		memset(t->slots, 0, t->cap * sizeof *t->slots);
	t->count = 0;
}
