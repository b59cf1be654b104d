/* What the demo claims, held against the two reports.
 * Runs in: parent. */
#include <errno.h>
#include <string.h>

#include "cli/demo.h"

struct pair { const struct inspect_report *out, *in; };

static bool no_caps(const struct pair *p)
{
	uint64_t any = 0;

	for (int i = 0; i < INSPECT_CAPS; i++)
		any |= p->in->caps[i];
	return p->in->caps_known && p->in->cap_count && !any;
}

static bool locked(const struct pair *p) { return p->in->no_new_privs == 1; }
static bool filtered(const struct pair *p) { return p->in->seccomp_mode == 2; }

static bool only_loopback(const struct pair *p)
{
	const struct inspect_list *l = &p->in->interfaces;

	return !l->errnum && l->total == 1 && l->kept == 1 && !strncmp(l->text, "lo ", 3);
}

static bool own_namespaces(const struct pair *p)
{
	for (int i = 0; i < INSPECT_NAMESPACES; i++) {
		uint64_t out = p->out->namespaces[i], in = p->in->namespaces[i];
		/* A kernel without one of them shows it on neither side. */
		if (!in != !out || (in && in == out))
			return false;
	}
	return p->in->namespaces[4] != 0;
}

/* Our init and the report itself. */
static bool few_processes(const struct pair *p)
{
	return !p->in->processes.errnum && p->in->processes.total >= 1 && p->in->processes.total <= 3;
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
	for (const char *s = inspect_list_next(&p->in->environment, NULL); s; s = inspect_list_next(&p->in->environment, s)) {
		if (!expected_name(s))
			return false;
	}
	return p->in->environment.kept == p->in->environment.total;
}

static bool no_descriptors(const struct pair *p)
{
	for (const char *s = inspect_list_next(&p->in->descriptors, NULL); s; s = inspect_list_next(&p->in->descriptors, s)) {
		if (s[0] < '0' || s[0] > '2' || s[1] != ' ')
			return false;
	}
	return p->in->descriptors.total <= 3;
}

static bool bounded_memory(const struct pair *p)
{
	const struct inspect_memory *m = &p->in->memory;

	return m->end == INSPECT_MEMORY_ERROR && m->errnum == ENOMEM && m->reached_mib < DEMO_LIMIT_MIB;
}

static bool read_only(const struct pair *p)
{
	return p->in->shared.total == 1 && !strcmp(p->in->shared.text, "hello.txt") && p->in->shared_errno == EROFS;
}

/* The demo puts all three there; without them, their absence inside would show nothing. */
static bool outside_open(const struct pair *p)
{
	bool token = false;

	for (const char *s = inspect_list_next(&p->out->environment, NULL); s; s = inspect_list_next(&p->out->environment, s))
		token |= !strcmp(s, "DEMO_TOKEN");
	/* Only where all names found room does a missing one mean something. */
	token |= p->out->environment.kept < p->out->environment.total;
	return token && p->out->descriptors.total > 3 && p->out->shared_errno == 0;
}

static const struct { bool (*holds)(const struct pair *p); const char *promise; } promises[] = {
	{ outside_open, "outside, the planted variable, descriptor and directory are within reach" },
	{ no_caps, "no capability in any of the five sets" },
	{ locked, "no_new_privs is set" },
	{ filtered, "a seccomp filter is in force" },
	{ only_loopback, "the loopback is the only network interface" },
	{ own_namespaces, "every namespace is the sandbox's own" },
	{ few_processes, "no foreign process is visible" },
	{ clean_environment, "the environment outside doesn't reach in" },
	{ no_descriptors, "no descriptor beyond 0, 1 and 2 is open" },
	{ read_only, "the shared directory can be read and not written" },
	{ bounded_memory, "memory ends at the limit" },
};

int demo_check(FILE *f, const struct inspect_report *outside, const struct inspect_report *inside)
{
	struct pair p = { outside, inside };
	int broken = 0;

	for (size_t i = 0; i < sizeof promises / sizeof *promises; i++) {
		if (promises[i].holds(&p))
			continue;
		fprintf(f, "hutch demo: this does NOT hold: %s\n", promises[i].promise);
		broken++;
	}
	return broken;
}
