/* Limits that the launcher itself watches over: time, output; and what it reports of them.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>

static const char *seconds(struct build *b, uint64_t ms)
{
	return arena_printf(b->plan->arena, "%llu.%03llu s", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

/* The kernel counts the time of every process that was ever in a cgroup. */
static bool counted_by_cgroup(const struct plan *p)
{
	for (size_t i = 0; i < p->cgroup_count; i++) {
		if (p->cgroups[i].version == 2 || (p->cgroups[i].controllers & (1u << CG_CPUACCT)))
			return true;
	}
	return false;
}

static int time_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct plan_limits *l = &b->plan->limits;

	l->wall_ms = p->wall_ms;
	l->cpu_ms = p->cpu_ms;
	l->grace_ms = p->grace_ms;
	if (p->wall_ms && build_row(b, ROW_ENFORCED, "wall-time", seconds(b, p->wall_ms), seconds(b, p->wall_ms), "a timer of the launcher", NULL, p->origin[KEY_WALL_TIME]) < 0)
		return -1;
	if (!p->cpu_ms)
		return 0;
	if (counted_by_cgroup(b->plan))
		return build_row(b, ROW_ENFORCED, "cpu-time", seconds(b, p->cpu_ms), seconds(b, p->cpu_ms), "the cgroup's own count, looked at by the launcher", NULL, p->origin[KEY_CPU_TIME]);
	return build_row(b, ROW_WEAKER, "cpu-time", seconds(b, p->cpu_ms), "approximate", "the launcher adds up the processes",
			 "without a cgroup the time of very short processes that nobody waits for is not seen", p->origin[KEY_CPU_TIME]);
}

static int output_compile(struct build *b)
{
	const struct policy *p = b->policy;
	const char *files[3] = { NULL, p->stdout_file, p->stderr_file };
	static const enum key_id keys[3] = { KEY_STDOUT, KEY_STDOUT, KEY_STDERR };
	static const char *const names[3] = { "", "standard output", "standard error" };

	b->plan->limits.output_limited = p->output_limited;
	b->plan->limits.output_max = p->output_max;
	for (int i = 1; i < 3; i++) {
		b->plan->output_file[i] = files[i];
		b->plan->relay_output[i] = output_relayed(b, (unsigned)i);
		if (files[i] && build_row(b, ROW_ENFORCED, names[i], files[i], files[i], "a pipe, written on by the launcher", NULL, p->origin[keys[i]]) < 0)
			return -1;
	}
	if (!p->output_limited)
		return 0;
	const char *most = arena_printf(b->plan->arena, "%llu bytes each", (unsigned long long)p->output_max);
	return build_row(b, ROW_ENFORCED, "output-max", most, most, "pipes that the launcher counts", NULL, p->origin[KEY_OUTPUT_MAX]);
}

int limits_compile(struct build *b)
{
	const char *name = b->policy->name;

	if (name && build_row(b, ROW_ENFORCED, "name", name, name, "an entry in the user's list of runs", NULL, b->policy->origin[KEY_NAME]) < 0)
		return -1;
	b->plan->limits.memory = b->policy->limits[LIMIT_MEMORY].given ? b->policy->limits[LIMIT_MEMORY].n : 0;
	b->plan->limits.pids = b->policy->limits[LIMIT_PIDS].given ? b->policy->limits[LIMIT_PIDS].n : 0;
	return time_compile(b) < 0 ? -1 : output_compile(b);
}
