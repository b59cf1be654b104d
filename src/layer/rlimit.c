/* Resource limits.
 * Runs in: parent. */
#include "layer/layer.h"

#include <sys/resource.h>

static const char *const names[RLIMIT_KINDS] = {
	[RLIMIT_CPU] = "cpu", [RLIMIT_FSIZE] = "fsize", [RLIMIT_DATA] = "data", [RLIMIT_STACK] = "stack", [RLIMIT_CORE] = "core",
	[RLIMIT_RSS] = "rss", [RLIMIT_NPROC] = "nproc", [RLIMIT_NOFILE] = "nofile", [RLIMIT_MEMLOCK] = "memlock", [RLIMIT_AS] = "as",
	[RLIMIT_LOCKS] = "locks", [RLIMIT_SIGPENDING] = "sigpending", [RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
	[RLIMIT_RTPRIO] = "rtprio", [RLIMIT_RTTIME] = "rttime",
};

static const char *number(struct build *b, uint64_t n)
{
	return n == UINT64_MAX ? "unlimited" : arena_printf(b->plan->arena, "%llu", (unsigned long long)n);
}

/* What stands in for a cgroup by this limit; UINT64_MAX = nothing does. */
static uint64_t stand_in(const struct plan_limits *l, int resource)
{
	uint64_t n = resource == RLIMIT_NPROC ? l->standin_nproc : resource == RLIMIT_DATA ? l->standin_data : 0;

	return n ? n : UINT64_MAX;
}

/* The stricter of the two holds: the table promises both. A value of the host's is known only to the child, so the
 * stand-in takes its place. */
static void restrict_to(struct op *op, uint64_t most)
{
	if (most == UINT64_MAX)
		return;
	for (int i = 1; i < 3; i++) {
		if ((op->number[3] & (uint64_t)i) || op->number[i] > most)
			op->number[i] = most;
	}
	op->number[3] = 0;
}

static int stand_in_alone(struct build *b, int resource, uint64_t most)
{
	struct op *op = build_op(b, SECTION_RLIMIT, OP_RLIMIT, names[resource], b->policy->origin[resource == RLIMIT_NPROC ? KEY_PIDS : KEY_MEMORY]);

	if (!op)
		return -1;
	op->number[0] = (uint64_t)resource;
	op->number[1] = op->number[2] = most;
	return 0;
}

int rlimit_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	for (int i = 0; i < RLIMIT_KINDS; i++) {
		const struct policy_rlimit *r = &p->rlimits[i];
		uint64_t most = stand_in(&b->plan->limits, i);
		if (!r->given || (r->soft_host && r->hard_host)) {
			if (most != UINT64_MAX && stand_in_alone(b, i, most) < 0)
				return -1;
			continue;
		}
		op = build_op(b, SECTION_RLIMIT, OP_RLIMIT, names[i], p->origin[KEY_RLIMIT_AS]);
		if (!op)
			return -1;
		op->number[0] = (uint64_t)i;
		op->number[1] = r->soft;
		op->number[2] = r->hard;
		op->number[3] = (r->soft_host ? 1u : 0) | (r->hard_host ? 2u : 0);
		restrict_to(op, most);
		const char *soft = number(b, r->soft), *got = number(b, op->number[1]), *what = arena_printf(b->plan->arena, "rlimit-%s", names[i]);
		int key = what ? key_find(what, NULL) : -1;
		op->origin = key >= 0 ? p->origin[key] : op->origin;
		if (build_row(b, ROW_ENFORCED, what, soft, got, "setrlimit", NULL, op->origin) < 0)
			return -1;
	}
	op = build_op(b, SECTION_RLIMIT, OP_UMASK, NULL, p->origin[KEY_UMASK]);
	if (!op)
		return -1;
	op->number[0] = p->umask;
	return 0;
}
