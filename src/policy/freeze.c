/* Freezing: from lines with origins to a checked, constant policy. PURE.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <stdio.h>
#include <string.h>

bool line_beats(const struct draft_line *l, const struct draft_line *other)
{
	return !other || l->depth < other->depth || (l->depth == other->depth && l > other);
}

const char *value_of(const struct freeze *f, enum key_id key)
{
	return f->winner[key] ? f->winner[key]->value : key_rows[key].def;
}

int bad_value(struct freeze *f, const struct draft_line *l, const char *fmt, ...)
{
	const struct key_row *row = &key_rows[l->key];
	bool numeric = row->type == KEY_SIZE || row->type == KEY_COUNT_NUMBER;
	char subject[256], detail[256];
	va_list args;

	snprintf(subject, sizeof subject, "%s = %s", row->name, l->value);
	error_set(f->error, ERR_KEY_VALUE, 0, NULL, subject, l->origin);
	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	error_detail(f->error, "%s", detail);
	return error_remedy(f->error, "it takes %s%s%s%s; `hutch help %s` explains it", numeric ? "a " : "", numeric || !row->range ? key_type_name(row->type) : "",
			    numeric ? ", " : "", row->range ? row->range : "", row->name);
}

int conflict(struct freeze *f, enum key_id a, enum key_id b, const char *fmt, ...)
{
	const char *a_value = value_of(f, a), *b_value = value_of(f, b);
	char subject[256], detail[256], origin[128];
	va_list args;

	snprintf(subject, sizeof subject, "%s%s%s and %s%s%s", key_rows[a].name, a_value ? " = " : "", a_value ? a_value : "",
		 key_rows[b].name, b_value ? " = " : "", b_value ? b_value : "");
	snprintf(origin, sizeof origin, "%s and %s", f->winner[a] ? f->winner[a]->origin : "default",
		 f->winner[b] ? f->winner[b]->origin : "default");
	error_set(f->error, ERR_KEY_CONFLICT, 0, NULL, subject, origin);
	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	return error_detail(f->error, "%s", detail);
}

char *next_part(struct freeze *f, const char **text, char separator)
{
	const char *end = strchr(*text, separator);
	char *part = end ? arena_strndup(f->arena, *text, (size_t)(end - *text)) : arena_strdup(f->arena, *text);

	*text = end ? end + 1 : NULL;
	return part;
}

/* All ones means "unchanged" to the kernel, so it is nobody's id. */
int parse_id(const char *s, uint32_t *out)
{
	uint64_t n;

	if (parse_u64(s, &n) < 0 || n >= UINT32_MAX)
		return -1;
	*out = (uint32_t)n;
	return 0;
}

static int twice(struct freeze *f, const struct draft_line *first, const struct draft_line *second)
{
	char origin[128];

	snprintf(origin, sizeof origin, "%s and %s", first->origin, second->origin);
	error_set(f->error, ERR_KEY_TWICE, 0, NULL, key_rows[first->key].name, origin);
	return error_detail(f->error, "first \"%.80s\", then \"%.80s\"", first->value, second->value);
}

/* Looks back through the earlier lines of the same key (chained by index) for one of the same source. */
static int find_winners(struct freeze *f, const struct draft *d)
{
	size_t last[KEY_COUNT] = { 0 }; /* index + 1 */
	size_t *before = arena_alloc(f->arena, (d->count + 1) * sizeof *before);

	if (!before)
		return error_nomem(f->error);
	for (size_t i = 0; i < d->count; i++) {
		const struct draft_line *l = &d->lines[i];
		before[i] = last[l->key];
		last[l->key] = i + 1;
		for (size_t j = before[i]; j && !(key_rows[l->key].flags & LIST); j = before[j - 1]) {
			if (d->lines[j - 1].source == l->source)
				return twice(f, &d->lines[j - 1], l);
		}
		if (line_beats(l, f->winner[l->key]))
			f->winner[l->key] = l;
	}
	return 0;
}

static int sort_lines(struct freeze *f, const struct draft *d)
{
	unsigned deepest = 0;

	f->order = arena_alloc(f->arena, (d->count + 1) * sizeof *f->order);
	if (!f->order)
		return error_nomem(f->error);
	for (size_t i = 0; i < d->count; i++)
		deepest = d->lines[i].depth > deepest ? d->lines[i].depth : deepest;
	for (unsigned depth = deepest + 1; depth-- > 0;) {
		for (size_t i = 0; i < d->count; i++) {
			if (d->lines[i].depth == depth)
				f->order[f->order_count++] = &d->lines[i];
		}
	}
	return 0;
}

static void note_origins(struct freeze *f)
{
	for (int i = 0; i < KEY_COUNT; i++) {
		f->policy->origin[i] = f->winner[i] ? f->winner[i]->origin : "default";
		f->policy->strength[i] = f->winner[i] ? f->winner[i]->strength : STRENGTH_PREFERRED;
	}
}

int policy_freeze(const struct draft *d, const struct policy_context *context, struct policy *p,
		  struct hutch_error *e)
{
	struct freeze f = { .arena = d->arena, .context = context, .policy = p, .error = e };

	*p = (struct policy){ .arena = d->arena, .argv = (const char *const *)d->argv, .argc = d->argc, .context = *context };
	if (find_winners(&f, d) < 0 || sort_lines(&f, d) < 0)
		return -1;
	note_origins(&f);
	if (freeze_scalars(&f) < 0 || freeze_limits(&f) < 0 || freeze_run(&f) < 0 || freeze_ids(&f) < 0 || freeze_privilege(&f) < 0 ||
	    freeze_lists(&f) < 0 || freeze_paths(&f) < 0)
		return -1;
	return freeze_check(&f);
}
