/* How a run ended, as text and JSON.
 * Runs in: parent. */
#include "lib/lib.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include "run/run.h"

static const char *const ends[] = {
	[HUTCH_END_NONE] = "none", [HUTCH_END_EXITED] = "exited", [HUTCH_END_SIGNALLED] = "signalled", [HUTCH_END_KILLED] = "killed",
	[HUTCH_END_WALL_TIME] = "wall-time", [HUTCH_END_CPU_TIME] = "cpu-time", [HUTCH_END_MEMORY] = "memory", [HUTCH_END_PIDS] = "pids",
	[HUTCH_END_OUTPUT] = "output", [HUTCH_END_FILE_SIZE] = "file-size", [HUTCH_END_DISK] = "disk", [HUTCH_END_SYSCALL_DENIED] = "syscall-denied",
};

const char *hutch_end_name(enum hutch_end end)
{
	return (size_t)end < COUNT_OF(ends) ? ends[end] : "none";
}

const char *hutch_syscall_name(uint32_t arch, int number)
{
	return syscall_name(arch, number);
}

int hutch_report_exit_status(const struct hutch_report *r)
{
	return r->signal ? 128 + r->signal : r->exit_code;
}

/* Every number of the record, in the order of printing. */
static const struct { const char *name; size_t at; } numbers[] = {
#define N(field) { #field, offsetof(struct hutch_report, field) }
	N(setup_us), N(setup_cpu_us), N(wall_us), N(user_us), N(system_us), N(tree_user_us), N(tree_system_us), N(cgroup_cpu_us), N(seen_cpu_us),
	N(throttled_periods), N(throttled_us), N(max_rss_kib), N(memory_peak), N(swap_peak), N(oom_kills), N(pids_peak),
	N(minor_faults), N(major_faults), N(voluntary_switches), N(involuntary_switches), N(read_bytes), N(write_bytes),
	N(cpu_pressure_us), N(cpu_pressure_full_us), N(memory_pressure_us), N(memory_pressure_full_us), N(io_pressure_us), N(io_pressure_full_us),
	N(stdout_bytes), N(stderr_bytes),
#undef N
};

#define TIMES 9 /* the first of them, which the text form has in one line */

static int64_t number(const struct hutch_report *r, size_t i)
{
	int64_t n;

	memcpy(&n, (const char *)r + numbers[i].at, sizeof n);
	return n;
}

/* What is not known is null, never 0. */
static void add_number(struct text *t, int64_t n)
{
	if (n < 0)
		text_printf(t, "null");
	else
		text_printf(t, "%lld", (long long)n);
}

static const char *arch_name(uint32_t arch)
{
	switch (arch) {
	case 0xc000003e: return "x86_64";
	case 0x40000003: return "i386";
	case 0xc00000b7: return "aarch64";
	case 0x40000028: return "arm";
	default: return "unknown";
	}
}

static void denied_json(struct text *t, const struct hutch_report *r)
{
	const char *name;

	if (r->end != HUTCH_END_SYSCALL_DENIED) {
		text_printf(t, ",\"denied\":null");
		return;
	}
	name = syscall_name(r->denied_arch, r->denied_call);
	text_printf(t, ",\"denied\":{\"number\":%d,\"name\":", r->denied_call);
	if (name)
		text_json(t, name);
	else
		text_printf(t, "null");
	text_printf(t, ",\"arch\":\"%s\"}", arch_name(r->denied_arch));
}

static void numbers_json(struct text *t, const struct hutch_report *r)
{
	text_printf(t, "{\"version\":1,\"end\":\"%s\"", hutch_end_name(r->end));
	/* An exit code only where the program chose one. */
	if (r->signal)
		text_printf(t, ",\"exit_code\":null,\"signal\":%d", r->signal);
	else
		text_printf(t, ",\"exit_code\":%d,\"signal\":null", r->exit_code);
	text_printf(t, ",\"core_dumped\":%s", r->core_dumped ? "true" : "false");
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		text_printf(t, ",\"%s\":", numbers[i].name);
		add_number(t, number(r, i));
	}
	denied_json(t, r);
}

static char *finished(struct text *t)
{
	if (!t->failed)
		return t->s;
	text_done(t);
	return NULL;
}

char *hutch_report_json(const struct hutch_report *r)
{
	struct text t;

	text_init(&t);
	numbers_json(&t, r);
	text_printf(&t, "}\n");
	return finished(&t);
}

/* ---- each limit, and how near the run came; the program's own processor time, set-up apart ---- */
struct near { const char *name; bool given; int64_t limit, used, hits; };

static int64_t rlimit_of(const struct plan *p, int resource)
{
	const struct policy_rlimit *l = &p->policy->rlimits[resource];

	return l->given && !l->soft_host && l->soft <= INT64_MAX ? (int64_t)l->soft : -1;
}

static int64_t cpu_used(const struct hutch_report *r)
{
	int64_t waited = r->tree_user_us >= 0 ? r->tree_user_us + r->tree_system_us : -1, setup = r->setup_cpu_us > 0 ? r->setup_cpu_us : 0;
	int64_t all = r->cgroup_cpu_us >= 0 ? r->cgroup_cpu_us : r->seen_cpu_us > waited ? r->seen_cpu_us : waited;

	return all < 0 ? -1 : all > setup ? all - setup : 0;
}

static size_t limits_of(const struct hutch_run *run, struct near out[10])
{
	const struct plan_limits *l = &run->plan->limits;
	const struct policy *p = run->plan->policy;
	const struct hutch_report *r = &run->report;
	struct near all[] = {
		{ "wall_us", l->wall_ms, (int64_t)l->wall_ms * 1000, r->wall_us, r->end == HUTCH_END_WALL_TIME },
		{ "cpu_us", l->cpu_ms, (int64_t)l->cpu_ms * 1000, cpu_used(r), r->end == HUTCH_END_CPU_TIME },
		{ "memory", l->memory, (int64_t)l->memory, r->memory_peak, r->memory_hits },
		{ "swap", p->limits[LIMIT_SWAP].given, (int64_t)p->limits[LIMIT_SWAP].n, r->swap_peak, -1 },
		{ "pids", l->pids, (int64_t)l->pids, r->pids_peak, r->pids_hits },
		{ "cpus_thousandths", p->limits[LIMIT_CPUS].given, (int64_t)p->limits[LIMIT_CPUS].n, -1, r->throttled_periods },
		{ "stdout", l->output_limited, (int64_t)l->output_max, r->stdout_bytes, r->end == HUTCH_END_OUTPUT && r->stdout_bytes > (int64_t)l->output_max },
		{ "stderr", l->output_limited, (int64_t)l->output_max, r->stderr_bytes, r->end == HUTCH_END_OUTPUT && r->stderr_bytes > (int64_t)l->output_max },
		{ "file_size", rlimit_of(run->plan, RLIMIT_FSIZE) >= 0, rlimit_of(run->plan, RLIMIT_FSIZE), -1, r->end == HUTCH_END_FILE_SIZE },
		{ "open_files", rlimit_of(run->plan, RLIMIT_NOFILE) >= 0, rlimit_of(run->plan, RLIMIT_NOFILE), -1, -1 },
	};
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(all); i++) {
		if (all[i].given)
			out[count++] = all[i];
	}
	return count;
}

/* Only where names are watched: what the program made there, and where it is now. */
static void aside_json(struct text *t, const struct hutch_run *run)
{
	if (!run->plan->late_count)
		return;
	text_printf(t, ",\"aside\":[");
	for (size_t i = 0; i < run->aside_count; i++) {
		const struct late_found *f = &run->aside[i];
		text_printf(t, "%s{\"path\":", i ? "," : "");
		text_json(t, f->path ? f->path : "");
		text_printf(t, ",\"moved_to\":");
		if (f->to)
			text_json(t, f->to);
		else
			text_printf(t, "null");
		text_printf(t, ",\"errno\":%d}", f->errnum);
	}
	text_printf(t, "]");
}

static void record_json(struct text *t, const struct hutch_run *run)
{
	struct near limits[10];
	size_t count = limits_of(run, limits);

	numbers_json(t, &run->report);
	text_printf(t, ",\"limits\":{");
	for (size_t i = 0; i < count; i++) {
		text_printf(t, "%s\"%s\":{\"limit\":%lld,\"used\":", i ? "," : "", limits[i].name, (long long)limits[i].limit);
		add_number(t, limits[i].used);
		text_printf(t, ",\"hits\":");
		add_number(t, limits[i].hits);
		text_printf(t, "}");
	}
	text_printf(t, "}");
	aside_json(t, run);
	text_printf(t, ",\"effective\":");
	plan_rows_json(run->plan, t);
	text_printf(t, "}\n");
}

static void line(struct text *t, const char *name, int64_t us)
{
	if (us >= 0)
		text_printf(t, " %s %lld.%03lld s", name, (long long)(us / 1000000), (long long)(us / 1000 % 1000));
}

static void record_text(struct text *t, const struct hutch_run *run)
{
	const struct hutch_report *r = &run->report;
	struct near limits[10];
	size_t count = limits_of(run, limits);

	text_printf(t, "hutch: ended: %s, ", hutch_end_name(r->end));
	if (r->signal)
		text_printf(t, "signal %d%s\n", r->signal, r->core_dumped ? ", core dumped" : "");
	else
		text_printf(t, "exit code %d\n", r->exit_code);
	if (r->end == HUTCH_END_SYSCALL_DENIED) {
		const char *name = syscall_name(r->denied_arch, r->denied_call);
		text_printf(t, "  denied: %s (%d, %s)\n", name ? name : "unknown call", r->denied_call, arch_name(r->denied_arch));
	}
	text_printf(t, "  time:");
	line(t, "wall", r->wall_us);
	line(t, "user", r->tree_user_us);
	line(t, "system", r->tree_system_us);
	line(t, "all processes", cpu_used(r));
	line(t, "set-up", r->setup_us);
	line(t, "of which processor", r->setup_cpu_us);
	text_printf(t, "\n");
	for (size_t i = 0; i < count; i++) {
		text_printf(t, "  limit: %s %lld", limits[i].name, (long long)limits[i].limit);
		if (limits[i].used >= 0)
			text_printf(t, ", used %lld", (long long)limits[i].used);
		if (limits[i].hits >= 0)
			text_printf(t, ", met %lld times", (long long)limits[i].hits);
		text_printf(t, "\n");
	}
	for (size_t i = TIMES; i < COUNT_OF(numbers); i++) {
		if (number(r, i) > 0)
			text_printf(t, "  %s: %lld\n", numbers[i].name, (long long)number(r, i));
	}
	for (size_t i = 0; i < run->aside_count; i++)
		text_printf(t, "  made by the program: %s, now %s\n", run->aside[i].path, run->aside[i].to ? run->aside[i].to : "still there");
	for (size_t i = 0; i < run->plan->row_count; i++) {
		const struct row *row = &run->plan->rows[i];
		if (row->state == ROW_WEAKER || row->state == ROW_MISSING)
			text_printf(t, "  %s: %s instead of %s%s%s\n", row->what, row->got, row->asked, row->why ? ": " : "", row->why ? row->why : "");
	}
}

char *hutch_run_report(const hutch_run *r, bool json)
{
	struct text t;

	if (!r->reaped)
		return NULL;
	text_init(&t);
	if (json)
		record_json(&t, r);
	else
		record_text(&t, r);
	return finished(&t);
}
