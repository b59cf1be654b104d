/* The sets of paths that hide and protect take by name, and what their rows stand for with one caller.
 * Runs in: any. */
#include "policy/sets.h"

#include <string.h>

static const struct set_row rows[] = {
#define SET(set, path, what) { SET_##set, path, what },
#include "policy/sets.def"
#undef SET
};

static const struct { const char *name; enum key_id key; const char *help; } sets[] = {
	[SET_SECRETS] = { "@secrets", KEY_HIDE, "keys, tokens and passwords, and sockets that act in the user's name" },
	[SET_AUTORUN] = { "@autorun", KEY_PROTECT, "what another program runs later without being asked" },
};

const char *set_name(size_t set)
{
	return set < COUNT_OF(sets) ? sets[set].name : NULL;
}

const char *set_help(enum set_id set)
{
	return sets[set].help;
}

enum key_id set_key(enum set_id set)
{
	return sets[set].key;
}

int set_find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(sets); i++) {
		if (!strcmp(sets[i].name, name))
			return (int)i;
	}
	return -1;
}

const struct set_row *set_row(size_t index)
{
	return index < COUNT_OF(rows) ? &rows[index] : NULL;
}

/* Value of a variable that holds an absolute path, else NULL. */
static const char *variable(const struct policy_context *c, const char *name, size_t len)
{
	for (const char *const *v = c->environ; v && *v; v++) {
		if (!strncmp(*v, name, len) && (*v)[len] == '=')
			return (*v)[len + 1] == '/' ? *v + len + 1 : NULL;
	}
	return NULL;
}

/* ".." and the like in a variable: what is meant isn't for us to guess. */
static bool plain(const char *path)
{
	size_t n = strlen(path);

	return n > 1 && path[n - 1] != '/' && !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
	       (n < 2 || strcmp(path + n - 2, "/.")) && (n < 3 || strcmp(path + n - 3, "/.."));
}

const char *set_path(struct arena *a, const struct policy_context *c, const struct set_row *row, bool *nomem)
{
	const char *rest = row->path + strcspn(row->path, "/"), *top = "";

	if (row->path[0] == '~')
		top = c->home;
	else if (row->path[0] == '.')
		top = c->cwd;
	else if (row->path[0] == '$')
		top = variable(c, row->path + 1, (size_t)(rest - row->path) - 1);
	*nomem = false;
	if (!top || (top[0] && !plain(top)))
		return NULL;
	char *path = arena_printf(a, "%s%s", top, rest);
	*nomem = !path;
	return path;
}
