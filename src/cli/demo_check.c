/* What the demo claims, held against the two reports.
 * Runs in: parent. */
#include "cli/demo.h"

#include <errno.h>
#include <string.h>

struct pair { const struct report *out, *in; };

static bool has_name(const struct seen_names *n, const char *name)
{
	for (uint32_t i = 0; i < n->kept; i++) {
		if (!strcmp(n->name[i], name))
			return true;
	}
	return false;
}

/* The demo put all three there; without them, their absence inside would show nothing. */
static bool outside_open(const struct pair *p)
{
	bool token = has_name(&p->out->env, DEMO_TOKEN) || p->out->env.kept < p->out->env.total;

	/* More than there is room for: it may be among the others. */
	bool file = p->out->fds.kept < p->out->fds.total;

	for (uint32_t i = 0; i < p->out->fds.kept; i++)
		file |= strstr(p->out->fds.f[i].what, "/" DEMO_FILE) != NULL;
	return token && file && has_name(&p->out->shared, DEMO_FILE) && p->out->create_errnum == 0;
}

static bool not_root(const struct pair *p)
{
	uint32_t host = map_outside(&p->in->uid_map, p->in->uid[1]);

	for (int i = 0; i < 4; i++) {
		if (map_outside(&p->in->uid_map, p->in->uid[i]) != host)
			return false;
	}
	return host != 0 && host != UNKNOWN_ID && map_outside(&p->in->gid_map, p->in->gid[1]) != 0;
}

static bool no_caps(const struct pair *p)
{
	uint64_t any = 0;

	for (int i = 0; i < CAP_SETS; i++)
		any |= p->in->caps[i];
	return !p->in->caps_errnum && p->in->cap_count && !any;
}

static bool locked(const struct pair *p)
{
	return p->in->no_new_privs == 1;
}

/* Outside there may be some already: inside there is one more. */
static bool filtered(const struct pair *p)
{
	int before = p->out->filters < 0 ? 0 : p->out->filters;

	return p->in->seccomp == 2 && (p->in->filters < 0 || p->in->filters > before);
}

static bool own_namespaces(const struct pair *p)
{
	unsigned seen = 0;

	for (int i = 0; i < NAMESPACES; i++) {
		/* A kernel without one of them shows it on neither side. */
		if (!p->out->ns[i])
			continue;
		if (!p->in->ns[i] || p->in->ns[i] == p->out->ns[i])
			return false;
		seen++;
	}
	return seen > 0;
}

static bool only_loopback(const struct pair *p)
{
	return !p->in->interfaces.errnum && p->in->interfaces.total == 1 && p->in->interfaces.kept == 1 && p->in->interfaces.i[0].loopback;
}

/* The sandbox's first process, the report and what it started. */
static bool few_processes(const struct pair *p)
{
	return !p->in->processes.errnum && p->in->processes.total <= 3 && p->in->pid <= 3;
}

/* Set by the sandbox itself, or let through since they only say how text looks. */
static bool expected_name(const char *name)
{
	static const char *const expected[] = {
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "TZ",
	};

	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		if (!strcmp(name, expected[i]))
			return true;
	}
	return !strncmp(name, "LC_", 3);
}

static bool clean_environment(const struct pair *p)
{
	for (uint32_t i = 0; i < p->in->env.kept; i++) {
		if (!expected_name(p->in->env.name[i]))
			return false;
	}
	return p->in->env.kept == p->in->env.total;
}

static bool no_descriptors(const struct pair *p)
{
	for (uint32_t i = 0; i < p->in->fds.kept; i++) {
		if (p->in->fds.f[i].fd > 2)
			return false;
	}
	return p->in->fds.total <= 3;
}

static bool read_only(const struct pair *p)
{
	return p->in->shared.total == 1 && has_name(&p->in->shared, DEMO_FILE) && p->in->create_errnum == EROFS;
}

static bool bounded_memory(const struct pair *p)
{
	const struct seen_memory *m = &p->in->memory;

	return m->end == MEMORY_REFUSED && m->errnum == ENOMEM && m->reached > 0 && m->reached < DEMO_LIMIT_MIB;
}

static const struct { bool (*holds)(const struct pair *p); const char *promise; } promises[] = {
	{ outside_open, "outside, the planted variable, descriptor and directory are within reach" },
	{ not_root, "the id inside is not the host's root" },
	{ no_caps, "no capability in any of the five sets" },
	{ locked, "no_new_privs is set" },
	{ filtered, "a system call filter of the sandbox is in force" },
	{ own_namespaces, "every namespace is the sandbox's own" },
	{ few_processes, "no process of the outside is visible" },
	{ only_loopback, "an own loopback is the only network interface" },
	{ clean_environment, "the caller's variables stay outside" },
	{ no_descriptors, "no descriptor beyond 0, 1 and 2 is open" },
	{ read_only, "the shared directory can be read and not written" },
	{ bounded_memory, "memory ends at the limit" },
};

int demo_check(FILE *f, const struct report *outside, const struct report *inside, bool colour)
{
	struct pair p = { outside, inside };
	int total = sizeof promises / sizeof *promises, broken = 0;

	for (int i = 0; i < total; i++) {
		if (promises[i].holds(&p))
			continue;
		fprintf(f, "%shutch demo: this does NOT hold: %s%s\n", colour ? "\033[1;31m" : "", promises[i].promise, colour ? "\033[0m" : "");
		broken++;
	}
	if (!broken)
		fprintf(f, "%s%d of %d checks hold%s: not the host's root, no capabilities, system calls filtered, own namespaces,\n"
			   "no foreign process, interface, variable or descriptor, nothing written, memory ends at %d MiB.\n",
			colour ? "\033[1;32m" : "", total, total, colour ? "\033[0m" : "", DEMO_LIMIT_MIB);
	return broken;
}
