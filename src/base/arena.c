/* Arena: many small allocations that are freed together.
 * Runs in: parent. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 131072u /* one mapping serves a whole run; only touched pages cost */
#define ALIGNMENT 16u

struct arena_chunk {
	struct arena_chunk *before;
	_Alignas(ALIGNMENT) char bytes[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_done(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *before = a->chunks->before;
		free(a->chunks);
		a->chunks = before;
	}
	arena_init(a);
}

/* calloc: big blocks come from the kernel already zero, so an oversized buffer costs only what is touched. */
static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
	struct arena_chunk *c = calloc(1, sizeof *c + size);

	if (c) {
		c->before = a->chunks;
		a->chunks = c;
	}
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!size)
		size = ALIGNMENT; /* every result is an address of its own */
	if (size > CHUNK_SIZE / 4 && size > a->left) {
		c = add_chunk(a, size); /* of its own: what is left of the current chunk stays in use */
		return c ? c->bytes : NULL;
	}
	if (size > a->left) {
		c = add_chunk(a, CHUNK_SIZE);
		if (!c)
			return NULL;
		a->next = c->bytes;
		a->left = CHUNK_SIZE;
	}
	p = a->next;
	a->next += size;
	a->left -= size;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = len < SIZE_MAX / 2 ? arena_alloc(a, len + 1) : NULL;

	if (copy && len)
		memcpy(copy, s, len);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	char *s;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return NULL;
	s = arena_alloc(a, (size_t)len + 1);
	if (!s)
		return NULL;
	va_start(args, fmt);
	vsnprintf(s, (size_t)len + 1, fmt, args);
	va_end(args);
	return s;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t item_size)
{
	size_t want, keep = count < *cap ? count : *cap;
	void *grown;

	if (items && count < *cap)
		return items;
	want = count < 4 ? 8 : count * 2;
	if (count > SIZE_MAX / 4 || want > SIZE_MAX / 4 / (item_size ? item_size : 1))
		return NULL;
	grown = arena_alloc(a, want * item_size);
	if (!grown)
		return NULL;
	if (items && keep)
		memcpy(grown, items, keep * item_size);
	*cap = want;
	return grown;
}
