/* The program's environment: clean by default.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

/* What passes from the caller unasked: how text looks, nothing about who or where. */
static const char *const passed[] = { "TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "LC_*", "TZ" };

/* Variables that make an interpreter or the loader run or trust other code: never with keep-env, only by name. */
static const char *const dangerous[] = {
	"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "MALLOC_*", "NIS_PATH",
	"NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS", "TZDIR", "BASH_ENV", "BASH_FUNC_*", "ENV", "SHELLOPTS", "BASHOPTS", "PS4",
	"PROMPT_COMMAND", "IFS", "CDPATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PERL5LIB", "PERL5OPT",
	"PERL5DB", "RUBYOPT", "RUBYLIB", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS",
	"GIT_EXEC_PATH", "GIT_CONFIG*", "GIT_SSH*", "GIT_ASKPASS", "SSH_ASKPASS", "HUTCH_*",
};

static bool matches(const char *name, size_t len, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(list[i]);
		if (list[i][n - 1] == '*' ? len >= n - 1 && !memcmp(name, list[i], n - 1) : len == n && !memcmp(name, list[i], n))
			return true;
	}
	return false;
}

struct env_list { const char **items; size_t count, cap; };

static ssize_t env_index(const struct env_list *l, const char *name, size_t len)
{
	for (size_t i = 0; i < l->count; i++) {
		if (!strncmp(l->items[i], name, len) && l->items[i][len] == '=')
			return (ssize_t)i;
	}
	return -1;
}

static int env_put(struct build *b, struct env_list *l, const char *pair, size_t name_len)
{
	ssize_t at = env_index(l, pair, name_len);

	if (at >= 0) {
		l->items[at] = pair;
		return 0;
	}
	const char **items = arena_grow(b->plan->arena, l->items, l->count + 1, &l->cap, sizeof *items);
	if (!items)
		return error_nomem(b->error);
	l->items = items;
	l->items[l->count++] = pair;
	l->items[l->count] = NULL;
	return 0;
}

static int env_set(struct build *b, struct env_list *l, const char *name, const char *value)
{
	const char *pair = arena_printf(b->plan->arena, "%s=%s", name, value);

	return pair ? env_put(b, l, pair, strlen(name)) : error_nomem(b->error);
}

static int from_caller(struct build *b, struct env_list *l)
{
	const struct policy *p = b->policy;

	for (const char *const *v = p->context.environ; v && *v; v++) {
		const char *eq = strchr(*v, '=');
		if (!eq || eq == *v)
			continue;
		size_t len = (size_t)(eq - *v);
		bool take = p->keep_env ? !matches(*v, len, dangerous, COUNT_OF(dangerous)) : matches(*v, len, passed, COUNT_OF(passed));
		if (take && env_index(l, *v, len) < 0 && env_put(b, l, *v, len) < 0)
			return -1;
	}
	return 0;
}

static int apply_rules(struct build *b, struct env_list *l)
{
	const struct policy *p = b->policy;

	for (size_t i = 0; i < p->env_count; i++) {
		const struct env_rule *r = &p->env[i];
		size_t len = strlen(r->name);
		ssize_t at = env_index(l, r->name, len);
		if (r->kind == ENV_SET && env_set(b, l, r->name, r->value) < 0)
			return -1;
		if (r->kind == ENV_UNSET && at >= 0) {
			l->items[at] = l->items[--l->count];
			l->items[l->count] = NULL;
		}
		for (const char *const *v = p->context.environ; r->kind == ENV_PASS && v && *v; v++) {
			if (!strncmp(*v, r->name, len) && (*v)[len] == '=' && env_put(b, l, *v, len) < 0)
				return -1;
		}
	}
	return 0;
}

/* A home inside, even where the caller's variable is unusable as a place for one. */
static const char *home_inside(const struct policy *p)
{
	static const char *const taken[] = { "/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev" };
	const char *home = p->context.home;

	if (!home || home[0] != '/' || !home[1] || strstr(home, "/..") || strstr(home, "//") || home[strlen(home) - 1] == '/')
		return "/home/user";
	for (size_t i = 0; i < COUNT_OF(taken); i++) {
		if (path_below(home, taken[i]))
			return "/home/user";
	}
	return home;
}

int env_compile(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;
	size_t cap = 0;
	const char **items = arena_grow(b->plan->arena, NULL, 0, &cap, sizeof *items);
	struct env_list l = { .items = items, .cap = cap };
	bool as_is = p->host_root && p->keep_env;

	v->home = home_inside(p);
	if (!items)
		return error_nomem(b->error);
	/* An empty environment is a list too: its end is there before the first variable. */
	items[0] = NULL;
	if (!as_is) {
		if (env_set(b, &l, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") < 0 ||
		    env_set(b, &l, "HOME", v->home) < 0 || env_set(b, &l, "USER", "user") < 0 || env_set(b, &l, "LOGNAME", "user") < 0 ||
		    env_set(b, &l, "SHELL", "/bin/sh") < 0 || env_set(b, &l, "LANG", "C.UTF-8") < 0)
			return -1;
		/* These are about the inside; the caller's value of LANG may replace ours. */
		for (const char *const *e = p->context.environ; e && *e; e++) {
			if (!strncmp(*e, "LANG=", 5) && env_put(b, &l, *e, 4) < 0)
				return -1;
		}
	}
	if (from_caller(b, &l) < 0 || apply_rules(b, &l) < 0)
		return -1;
	v->env = l.items;
	b->plan->envp = (char *const *)l.items;
	return build_row(b, p->keep_env ? ROW_OPEN : ROW_ENFORCED, "environment", p->keep_env ? "keep" : "clean",
			 arena_printf(b->plan->arena, "%zu variables", l.count), "built by hutch",
			 p->keep_env ? "all of the caller's but the dangerous ones" : NULL, p->origin[KEY_KEEP_ENV]);
}
