/* The command line: options to draft lines, then the command.
 * Runs in: parent. */
#include "front/front.h"

#include <stdio.h>
#include <string.h>

struct words {
	struct draft *draft;
	struct hutch_error *error;
	int argc, at;
	char *const *argv;
	unsigned source;
	int (*extra)(void *data, int argc, char *const argv[], int at, struct hutch_error *e);
	void *data;
};

/* One option word, taken apart. */
struct option {
	const char *word;        /* as it was given */
	char *name;              /* without -- and =VALUE */
	const char *value;       /* behind the =, NULL = none */
	char origin[24];
};

/* What isn't a key by itself: another name for one, or for a file. */
static const struct { const char *name, *key, *value; } aliases[] = {
	{ "policy", NULL, NULL },          /* value: a file's path */
	{ "preset", "include", NULL },     /* value: a preset's name only */
	{ "as-pid-1", "init", "no" },
	{ "view", "include", "view" },
};

static int split(struct words *w, struct option *o)
{
	const char *eq;

	o->word = w->argv[w->at];
	snprintf(o->origin, sizeof o->origin, "argv[%d]", w->at);
	eq = strchr(o->word, '=');
	o->value = eq ? eq + 1 : NULL;
	o->name = eq ? arena_strndup(w->draft->arena, o->word + 2, (size_t)(eq - o->word - 2)) : arena_strdup(w->draft->arena, o->word + 2);
	return o->name ? 0 : error_nomem(w->error);
}

/* The value behind the = or the next word, whatever that begins with. NULL = missing, error set. */
static const char *need_value(struct words *w, const struct option *o)
{
	if (o->value)
		return o->value;
	if (w->at + 1 < w->argc)
		return w->argv[++w->at];
	error_set(w->error, ERR_OPTION_VALUE, 0, NULL, o->word, o->origin);
	error_detail(w->error, "its value is missing");
	int key = key_find(o->name, NULL);
	if (key >= 0 && key_rows[key].range)
		error_remedy(w->error, "it takes %s; `hutch help %s` explains it", key_rows[key].range, o->name);
	return NULL;
}

static int add(struct words *w, const char *key, const char *value, const char *origin)
{
	if (!strcmp(key, "include"))
		return front_include(w->draft, value, ".", origin, w->source, 0, STRENGTH_REQUIRED, w->error);
	return draft_add(w->draft, key, value, origin, w->source, 0, STRENGTH_REQUIRED, w->error);
}

static int unknown_preset(struct words *w, const char *name, const char *origin)
{
	const char *near = NULL;
	unsigned best = 4;

	for (size_t i = 0; preset_name(i); i++) {
		unsigned edits = name_distance(name, preset_name(i));
		if (edits < best) {
			best = edits;
			near = preset_name(i);
		}
	}
	error_set(w->error, ERR_PRESET_UNKNOWN, 0, NULL, name, origin);
	return near ? error_detail(w->error, "did you mean %s?", near) : error_detail(w->error, "there is no such preset");
}

static int take_policy(struct words *w, const struct option *o)
{
	const char *path = need_value(w, o);

	if (!path)
		return -1;
	if ((strcmp(path, "-") ? front_policy_file(w->draft, path, 1, w->error) : front_policy_stdin(w->draft, o->origin, 1, w->error)) == 0)
		return 1;
	if (w->error && !w->error->origin[0])
		copy_bounded(w->error->origin, sizeof w->error->origin, o->origin);
	return -1;
}

/* 1 = taken, 0 = not an alias, -1 = error. */
static int take_alias(struct words *w, const struct option *o)
{
	size_t i = 0;
	const char *value;

	while (i < COUNT_OF(aliases) && strcmp(aliases[i].name, o->name))
		i++;
	if (i == COUNT_OF(aliases))
		return 0;
	if (!aliases[i].key)
		return take_policy(w, o);
	if (aliases[i].value && o->value) {
		error_set(w->error, ERR_OPTION_VALUE, 0, NULL, o->word, o->origin);
		error_detail(w->error, "it takes no value");
		return error_remedy(w->error, "write --%s alone, or --%s=VALUE", o->name, aliases[i].key);
	}
	value = aliases[i].value ? aliases[i].value : need_value(w, o);
	if (!value)
		return -1;
	if (!strcmp(o->name, "preset") && (strchr(value, '/') || !preset_text(value)))
		return unknown_preset(w, value, o->origin);
	return add(w, aliases[i].key, value, o->origin) < 0 ? -1 : 1;
}

/* 1 = taken, 0 = no key, -1 = error. */
static int take_key(struct words *w, const struct option *o)
{
	int key = key_find(o->name, NULL);
	const char *value;

	if (key < 0)
		return 0;
	if (key_rows[key].type == KEY_BOOL)
		value = o->value ? o->value : "yes";
	else
		value = need_value(w, o);
	if (!value)
		return -1;
	return add(w, o->name, value, o->origin) < 0 ? -1 : 1;
}

/* --no-KEY of a yes-or-no key. */
static int take_negation(struct words *w, const struct option *o)
{
	int key = strncmp(o->name, "no-", 3) ? -1 : key_find(o->name + 3, NULL);

	if (key < 0)
		return 0;
	if (key_rows[key].type == KEY_BOOL && !o->value)
		return add(w, o->name + 3, "no", o->origin) < 0 ? -1 : 1;
	error_set(w->error, ERR_OPTION_VALUE, 0, NULL, o->word, o->origin);
	if (o->value)
		error_detail(w->error, "it takes no value");
	else
		error_detail(w->error, "%s isn't a key of yes or no", o->name + 3);
	return error_remedy(w->error, "write --%s=VALUE", o->name + 3);
}

static int take_extra(struct words *w)
{
	int n = w->extra ? w->extra(w->data, w->argc, w->argv, w->at, w->error) : 0;

	/* Never past the end, whatever the caller's function says. */
	if (n > 0)
		w->at += (n > w->argc - w->at ? w->argc - w->at : n) - 1;
	return n;
}

static int unknown_option(struct words *w, const char *word)
{
	const char *near = NULL, *name = strncmp(word, "--", 2) ? word : word + 2;
	char origin[24], bare[40];
	unsigned best;

	copy_bounded(bare, strcspn(name, "=") + 1 < sizeof bare ? strcspn(name, "=") + 1 : sizeof bare, name);
	key_find(bare, &near);
	best = near ? name_distance(bare, near) : 3;
	for (size_t i = 0; i < COUNT_OF(aliases); i++) {
		unsigned edits = name_distance(bare, aliases[i].name);
		if (edits < best) {
			best = edits;
			near = aliases[i].name;
		}
	}
	snprintf(origin, sizeof origin, "argv[%d]", w->at);
	error_set(w->error, ERR_OPTION_UNKNOWN, 0, NULL, word, origin);
	error_detail(w->error, "there is no such option");
	return near ? error_remedy(w->error, "did you mean --%s? `hutch help` lists every key", near) : -1;
}

static int take_option(struct words *w)
{
	struct option o = { 0 };
	int r;

	if (!strncmp(w->argv[w->at], "--", 2)) {
		if (split(w, &o) < 0)
			return -1;
		if ((r = take_key(w, &o)) || (r = take_alias(w, &o)))
			return r;
		/* The caller's own words may begin with no-, too. */
		if ((r = take_extra(w)) || (r = take_negation(w, &o)))
			return r;
	} else if ((r = take_extra(w))) {
		return r;
	}
	return unknown_option(w, w->argv[w->at]);
}

static int take_command(struct words *w)
{
	size_t count = (size_t)(w->argc - w->at);
	const char **argv = arena_alloc(w->draft->arena, (count + 1) * sizeof *argv);

	if (!argv)
		return error_nomem(w->error);
	for (size_t i = 0; i < count; i++) {
		argv[i] = arena_strdup(w->draft->arena, w->argv[w->at + (int)i]);
		if (!argv[i])
			return error_nomem(w->error);
	}
	if (count) {
		w->draft->argv = argv;
		w->draft->argc = count;
	}
	return 0;
}

int front_argv(struct draft *d, int argc, char *const argv[],
	       int (*extra)(void *data, int argc, char *const argv[], int at, struct hutch_error *e),
	       void *data, struct hutch_error *e)
{
	struct words w = { .draft = d, .error = e, .argc = argc, .argv = argv, .source = draft_source(d), .extra = extra, .data = data };

	for (; w.at < argc; w.at++) {
		if (!strcmp(argv[w.at], "--")) {
			w.at++;
			break;
		}
		/* "-" alone is a name like any other. */
		if (argv[w.at][0] != '-' || !argv[w.at][1])
			break;
		if (take_option(&w) < 0)
			return -1;
	}
	return take_command(&w);
}
