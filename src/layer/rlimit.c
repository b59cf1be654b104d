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

/* In place of a cgroup; what the policy itself says of that limit is there already and stricter or named. */
static int stand_in(struct build *b, int resource, uint64_t n, enum key_id key)
{
	struct op *op;

	if (!n || b->policy->rlimits[resource].given)
		return 0;
	op = build_op(b, SECTION_RLIMIT, OP_RLIMIT, names[resource], b->policy->origin[key]);
	if (!op)
		return -1;
	op->number[0] = (uint64_t)resource;
	op->number[1] = op->number[2] = n;
	return 0;
}

int rlimit_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	if (stand_in(b, RLIMIT_NPROC, b->plan->limits.standin_nproc, KEY_PIDS) < 0 || stand_in(b, RLIMIT_DATA, b->plan->limits.standin_data, KEY_MEMORY) < 0)
		return -1;
	for (int i = 0; i < RLIMIT_KINDS; i++) {
		const struct policy_rlimit *r = &p->rlimits[i];
		if (!r->given || (r->soft_host && r->hard_host))
			continue;
		op = build_op(b, SECTION_RLIMIT, OP_RLIMIT, names[i], p->origin[KEY_RLIMIT_AS]);
		if (!op)
			return -1;
		op->number[0] = (uint64_t)i;
		op->number[1] = r->soft;
		op->number[2] = r->hard;
		op->number[3] = (r->soft_host ? 1u : 0) | (r->hard_host ? 2u : 0);
		const char *soft = number(b, r->soft), *what = arena_printf(b->plan->arena, "rlimit-%s", names[i]);
		int key = what ? key_find(what, NULL) : -1;
		op->origin = key >= 0 ? p->origin[key] : op->origin;
		if (build_row(b, ROW_ENFORCED, what, soft, soft, "setrlimit", NULL, op->origin) < 0)
			return -1;
	}
	op = build_op(b, SECTION_RLIMIT, OP_UMASK, NULL, p->origin[KEY_UMASK]);
	if (!op)
		return -1;
	op->number[0] = p->umask;
	return 0;
}
