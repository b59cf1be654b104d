/* Freezing lists: filters, ports, environment, descriptors.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <stdlib.h>
#include <string.h>

/* For lists where "none" takes away what deeper levels gave: the level of the nearest such line. */
static const struct draft_line *nearest_none(const struct freeze *f, enum key_id key)
{
	const struct draft_line *none = NULL;

	for (size_t i = 0; i < f->order_count; i++) {
		if (f->order[i]->key == key && !strcmp(f->order[i]->value, "none"))
			none = f->order[i];
	}
	return none;
}

static int mixed(struct freeze *f, const struct draft_line *a, const struct draft_line *b)
{
	const char *name = key_rows[a->key].name;

	error_set(f->error, ERR_KEY_CONFLICT, 0, NULL, arena_printf(f->arena, "%s = %s and %s = %s", name, a->value, name, b->value),
		  arena_printf(f->arena, "%s and %s", a->origin, b->origin));
	return error_detail(f->error, "within one place these contradict each other");
}

/* ---- seccomp ---- */
struct filters {
	const struct draft_line *builtin; /* NULL with none: the table's default */
	bool off;                         /* no built-in filter */
	size_t cap;
};

#define FILTERS_MOST 8u /* as many as a plan holds */

static int add_filter(struct freeze *f, struct filters *fs, const struct draft_line *l, struct seccomp_want w)
{
	struct policy *p = f->policy;
	struct seccomp_want *grown;

	for (size_t i = 0; i < p->seccomp_count; i++) {
		if (w.path && p->seccomp[i].path && !strcmp(w.path, p->seccomp[i].path))
			return 0;
	}
	if (p->seccomp_count == FILTERS_MOST)
		return bad_value(f, l, "more than %u filters stack up: each costs time in every system call", FILTERS_MOST);
	grown = arena_grow(f->arena, p->seccomp, p->seccomp_count, &fs->cap, sizeof *grown);
	if (!grown)
		return error_nomem(f->error);
	p->seccomp = grown;
	p->seccomp[p->seccomp_count++] = w;
	return 0;
}

/* A file's own level may both turn the built-in filter off and name files: these stack, in any order. */
static int filter_line(struct freeze *f, struct filters *fs, const struct draft_line *l, const struct draft_line *none)
{
	bool builtin = !strcmp(l->value, "default") || !strcmp(l->value, "strict");

	if (!*l->value)
		return bad_value(f, l, "it is empty");
	if (none && l->depth > none->depth)
		return 0;
	if (builtin) {
		if (none && l->depth == none->depth)
			return mixed(f, none, l);
		if (fs->builtin && fs->builtin->source == l->source && strcmp(fs->builtin->value, l->value))
			return mixed(f, fs->builtin, l);
		fs->builtin = l;
		fs->off = false;
		return 0;
	}
	char *path = source_path(f, l, l->value);
	return path ? add_filter(f, fs, l, (struct seccomp_want){ SECCOMP_PROFILE_FILE, path, l->origin }) : -1;
}

static int freeze_seccomp(struct freeze *f)
{
	const struct draft_line *none = nearest_none(f, KEY_SECCOMP);
	struct filters fs = { .off = none };

	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		if (l->key == KEY_SECCOMP && strcmp(l->value, "none") && filter_line(f, &fs, l, none) < 0)
			return -1;
	}
	if (fs.off)
		return 0;
	bool strict = fs.builtin && !strcmp(fs.builtin->value, "strict");
	return add_filter(f, &fs, fs.builtin ? fs.builtin : f->winner[KEY_SECCOMP], (struct seccomp_want){ strict ? SECCOMP_BUILTIN_STRICT : SECCOMP_BUILTIN_DEFAULT, NULL,
		fs.builtin ? fs.builtin->origin : "default" });
}

/* ---- ports ---- */
static int add_port(struct freeze *f, struct port_list *list, size_t *cap, uint16_t port)
{
	uint16_t *grown;

	for (size_t i = 0; i < list->count; i++) {
		if (list->ports[i] == port)
			return 0;
	}
	grown = arena_grow(f->arena, list->ports, list->count, cap, sizeof *grown);
	if (!grown)
		return error_nomem(f->error);
	list->ports = grown;
	list->ports[list->count++] = port;
	return 0;
}

static int port_line(struct freeze *f, const struct draft_line *l, struct port_list *list, size_t *cap)
{
	const char *rest = l->value;
	uint64_t n;

	while (rest) {
		char *part = next_part(f, &rest, ',');
		if (!part)
			return error_nomem(f->error);
		if (parse_u64(part, &n) < 0 || n > 65535)
			return bad_value(f, l, "\"%.60s\" isn't a port: 0 to 65535", part);
		if (add_port(f, list, cap, (uint16_t)n) < 0)
			return -1;
	}
	return 0;
}

static int freeze_ports(struct freeze *f, enum key_id key, struct port_list *list)
{
	const struct draft_line *none = nearest_none(f, key);
	size_t cap = 0;

	list->given = f->winner[key];
	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		if (l->key != key || !strcmp(l->value, "none") || (none && l->depth > none->depth))
			continue;
		if (none && l->depth == none->depth)
			return mixed(f, none, l);
		if (port_line(f, l, list, &cap) < 0)
			return -1;
	}
	return 0;
}

/* ---- environment: in the order of application, the nearest level last ---- */
static int env_line(struct freeze *f, const struct draft_line *l, struct env_rule *r)
{
	const char *eq = strchr(l->value, '=');

	if (!*l->value || eq == l->value)
		return bad_value(f, l, "the variable's name is empty");
	if (l->key == KEY_UNSET_ENV && eq)
		return bad_value(f, l, "a variable's name has no =");
	r->origin = l->origin;
	r->kind = l->key == KEY_UNSET_ENV ? ENV_UNSET : eq ? ENV_SET : ENV_PASS;
	r->name = eq ? arena_strndup(f->arena, l->value, (size_t)(eq - l->value)) : l->value;
	r->value = eq ? eq + 1 : NULL;
	return r->name ? 0 : error_nomem(f->error);
}

static int freeze_env(struct freeze *f)
{
	struct policy *p = f->policy;
	size_t cap = 0;

	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		struct env_rule *grown, r;
		if (l->key != KEY_ENV && l->key != KEY_UNSET_ENV)
			continue;
		if (env_line(f, l, &r) < 0)
			return -1;
		grown = arena_grow(f->arena, p->env, p->env_count, &cap, sizeof *grown);
		if (!grown)
			return error_nomem(f->error);
		p->env = grown;
		p->env[p->env_count++] = r;
	}
	return 0;
}

int freeze_lists(struct freeze *f)
{
	struct policy *p = f->policy;

	if (freeze_seccomp(f) < 0 || freeze_ports(f, KEY_TCP_CONNECT, &p->tcp_connect) < 0 ||
	    freeze_ports(f, KEY_TCP_BIND, &p->tcp_bind) < 0)
		return -1;
	return freeze_env(f) < 0 || freeze_fds(f) < 0 ? -1 : 0;
}
