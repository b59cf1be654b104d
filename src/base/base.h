/* Leaf helpers: arena, table, growing text, error objects. They know nothing of sandboxes.
 * Runs in: any (the functions marked "child-safe" neither allocate nor format). */
#ifndef HUTCH_BASE_H
#define HUTCH_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <hutch/error.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* ---- arena: many small allocations that are freed together ---- */
struct arena_chunk;
struct arena {
	struct arena_chunk *chunks;
	char *next;
	size_t left;
};
void arena_init(struct arena *a);
void arena_done(struct arena *a);
/* Zeroed, 16-aligned. NULL when memory is out. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Grow an arena array so that one more fits: items may be NULL, *cap is kept by the caller. */
void *arena_grow(struct arena *a, void *items, size_t count, size_t *cap, size_t item_size);

/* ---- table: from bytes to a number, in an arena ---- */
struct table_slot { const char *key; size_t len, value; };
struct table { struct table_slot *slots; size_t cap, count; }; /* all zero = empty */
/* NULL = not there; valid until the next table_put(). */
size_t *table_find(const struct table *t, const char *key, size_t len);
/* Adds or replaces. The key isn't copied and must not be NULL. false = out of memory. */
bool table_put(struct table *t, struct arena *a, const char *key, size_t len, size_t value);
void table_clear(struct table *t);

/* ---- text: a growing string with a sticky failure flag ---- */
struct text {
	char *s; /* NUL-terminated once anything was added; NULL before */
	size_t len, cap;
	bool failed;
};
void text_init(struct text *t);
void text_done(struct text *t);
void text_printf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_add(struct text *t, const char *s, size_t len);
/* Adds s with control bytes, quotes and backslashes escaped (\n, \xNN): safe on a terminal. */
void text_quoted(struct text *t, const char *s);
/* Adds s as a JSON string, quotes included; bytes that are not UTF-8 become \u00NN. */
void text_json(struct text *t, const char *s);
/* Bytes of the valid UTF-8 character at s, 0 = none (or the end). child-safe. */
size_t utf8_length(const char *s);
/* The same, but 0 also for what a terminal would obey instead of showing. child-safe. */
size_t utf8_printable(const char *s);

/* ---- errors ---- */
enum error_id {
	ERR_NONE = 0,
#define X(symbol, number, layer, step, remedy) symbol = number,
#include "errors.def"
#undef X
};
struct error_row {
	uint32_t id;
	const char *symbol, *layer, *step, *remedy;
};
/* Row of an id, NULL when there is none. The table is sorted by id. */
const struct error_row *error_row(uint32_t id);
const struct error_row *error_rows(size_t *count);

/* Fill *e (may be NULL) from the table row of id and return -1. child-safe.
 * errnum 0 = no system call failed. Any string may be NULL. Long strings are cut. */
int error_set(struct hutch_error *e, enum error_id id, int errnum, const char *call,
	      const char *subject, const char *origin);
/* Add (replace) the free text of detail or remedy. Not child-safe. Returns -1 for chaining. */
int error_detail(struct hutch_error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
int error_remedy(struct hutch_error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_set_nomem(struct hutch_error *e);
static inline int error_nomem(struct hutch_error *e) /* here, so that each caller is seen to fail */
{
	error_set_nomem(e);
	return -1;
}
/* Bounded copy, always terminated. child-safe. */
void copy_bounded(char *to, size_t size, const char *from);

/* ---- numbers (strict: whole string, no sign, no leading space) ---- */
int parse_u64(const char *s, uint64_t *out);              /* 0, -EINVAL, -ERANGE */
int parse_size(const char *s, uint64_t *out);             /* 512, 64K, 256M, 2G, 1T (powers of 1024) */
int parse_seconds_ms(const char *s, uint64_t *out_ms);    /* 1.5, 2s, 300ms, 2m, 1h; plain = seconds */
int parse_bool(const char *s, bool *out);                 /* yes no true false on off 1 0 */

#endif
