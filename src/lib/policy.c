/* Public policy and keys.
 * Runs in: parent. */
#include "lib/lib.h"
#include "policy/sets.h"

#include <stdlib.h>
#include <string.h>

hutch_policy *hutch_policy_new(void)
{
	hutch_policy *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	arena_init(&p->arena);
	p->draft.arena = &p->arena;
	p->draft.sources = 2; /* 0 = the api, 1 = the command line */
	return p;
}

void hutch_policy_free(hutch_policy *p)
{
	if (!p)
		return;
	arena_done(&p->arena);
	free(p);
}

int hutch_policy_set(hutch_policy *p, const char *key, const char *value, struct hutch_error *e)
{
	return draft_add(&p->draft, key, value, "api", 0, 0, STRENGTH_REQUIRED, e);
}

int hutch_policy_default(hutch_policy *p, const char *key, const char *value, const char *origin, struct hutch_error *e)
{
	/* Each its own source: a later default replaces an earlier one. */
	return draft_add(&p->draft, key, value, origin, draft_source(&p->draft), DRAFT_DEPTH_DEFAULT, STRENGTH_REQUIRED, e);
}

const char *hutch_policy_get(const hutch_policy *p, const char *key)
{
	const struct draft_line *best = NULL;
	int id = key_find(key, NULL);

	for (size_t i = 0; id >= 0 && i < p->draft.count; i++) {
		const struct draft_line *l = &p->draft.lines[i];
		if (l->key == (enum key_id)id && (!best || l->depth <= best->depth))
			best = l;
	}
	return best ? best->value : NULL;
}

int hutch_policy_default_command(hutch_policy *p, char *const argv[], struct hutch_error *e)
{
	return p->draft.argc ? 0 : hutch_policy_command(p, argv, e);
}

int hutch_policy_load(hutch_policy *p, const char *path, struct hutch_error *e)
{
	return front_policy_file(&p->draft, path, 1, e);
}

int hutch_policy_args(hutch_policy *p, int argc, char *const argv[], int (*extra)(void *, int, char *const[], int, struct hutch_error *),
		      void *data, struct hutch_error *e)
{
	return front_argv(&p->draft, argc, argv, extra, data, e);
}

int hutch_policy_command(hutch_policy *p, char *const argv[], struct hutch_error *e)
{
	size_t n = 0;

	while (argv[n])
		n++;
	const char **copy = arena_alloc(&p->arena, (n + 1) * sizeof *copy);
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = arena_strdup(&p->arena, argv[i]);
		if (!copy[i])
			return error_nomem(e);
	}
	if (!copy)
		return error_nomem(e);
	p->draft.argv = copy;
	p->draft.argc = n;
	return 0;
}

bool hutch_key(size_t index, struct hutch_key *out)
{
	if (index >= KEY_COUNT)
		return false;
	const struct key_row *r = &key_rows[index];
	*out = (struct hutch_key){ r->name, key_type_name(r->type), r->def, r->range, r->group, r->help, r->flags & LIST };
	return true;
}

const char *hutch_preset_name(size_t index)
{
	return preset_name(index);
}

const char *hutch_preset_text(const char *name)
{
	return preset_text(name);
}

const char *hutch_set_name(size_t index, const char **help, const char **key)
{
	const char *name = set_name(index);

	if (name && help)
		*help = set_help((enum set_id)index);
	if (name && key)
		*key = key_rows[set_key((enum set_id)index)].name;
	return name;
}

bool hutch_set_row(const char *set, size_t index, const char **path, const char **what)
{
	int id = set_find(set);

	for (size_t i = 0; id >= 0 && set_row(i); i++) {
		if ((int)set_row(i)->set != id || index--)
			continue;
		*path = set_row(i)->path;
		*what = set_row(i)->what;
		return true;
	}
	return false;
}
