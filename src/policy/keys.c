/* The table of keys, and finding one by name.
 * Runs in: any. */
#include "policy/policy.h"

#include <limits.h>
#include <string.h>

#define TYPE_BOOL KEY_BOOL
#define TYPE_CHOICE KEY_CHOICE
#define TYPE_COUNT KEY_COUNT_NUMBER
#define TYPE_SIZE KEY_SIZE
#define TYPE_TIME KEY_TIME
#define TYPE_STRING KEY_STRING
#define TYPE_PATH KEY_PATH
#define TYPE_NS KEY_NS

const struct key_row key_rows[KEY_COUNT] = {
#define KEY(symbol, name, type, def, range, flags, group, help) [KEY_##symbol] = { name, TYPE_##type, def, range, group, help, flags },
#include "policy/keys.def"
#undef KEY
};

const char *key_type_name(enum key_type t)
{
	static const char *const names[] = {
		[KEY_BOOL] = "yes or no", [KEY_CHOICE] = "choice", [KEY_COUNT_NUMBER] = "count", [KEY_SIZE] = "size",
		[KEY_TIME] = "time", [KEY_STRING] = "text", [KEY_PATH] = "path", [KEY_NS] = "namespace",
	};

	return (size_t)t < COUNT_OF(names) ? names[t] : "";
}

#define NAME_MOST 32u

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits (put in, take out, replace) by the table of all prefixes, one row at a time. */
unsigned name_distance(const char *a, const char *b)
{
	unsigned row[NAME_MOST + 1];
	size_t a_len = strnlen(a, NAME_MOST + 1), b_len = strnlen(b, NAME_MOST + 1);

	if (a_len > NAME_MOST || b_len > NAME_MOST)
		return UINT_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

/* More edits than a third of the word is another word, not a slip. */
static unsigned most_edits(const char *name)
{
	return 1 + (unsigned)strnlen(name, NAME_MOST) / 4;
}

int key_find(const char *name, const char **near)
{
	unsigned best = most_edits(name) + 1;

	if (near)
		*near = NULL;
	for (int i = 0; i < KEY_COUNT; i++) {
		if (!strcmp(key_rows[i].name, name))
			return i;
	}
	for (int i = 0; near && i < KEY_COUNT; i++) {
		unsigned edits = name_distance(name, key_rows[i].name);
		if (edits < best) {
			best = edits;
			*near = key_rows[i].name;
		}
	}
	return -1;
}
