/* How a run ended and what it used: read after the last process is gone, from the kernel's own books.
 * Runs in: parent. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "run/run.h"

#define BLOCK 512 /* getrusage(2) counts these */

void report_clear(struct hutch_report *p)
{
	*p = (struct hutch_report){
		.setup_cpu_us = -1, .tree_user_us = -1, .tree_system_us = -1, .minor_faults = -1, .major_faults = -1, .voluntary_switches = -1,
		.involuntary_switches = -1, .read_bytes = -1, .write_bytes = -1, .cgroup_cpu_us = -1, .seen_cpu_us = -1, .memory_peak = -1, .swap_peak = -1,
		.pids_peak = -1, .oom_kills = -1, .memory_hits = -1, .pids_hits = -1, .throttled_periods = -1, .throttled_us = -1,
		.cpu_pressure_us = -1, .cpu_pressure_full_us = -1, .memory_pressure_us = -1, .memory_pressure_full_us = -1, .io_pressure_us = -1,
		.io_pressure_full_us = -1, .stdout_bytes = -1, .stderr_bytes = -1, .denied_call = -1,
	};
}

static int64_t micro(const struct timeval *t)
{
	return t->tv_sec * 1000000LL + t->tv_usec;
}

void report_usage(struct hutch_report *p, const struct rusage *u)
{
	p->tree_user_us = micro(&u->ru_utime);
	p->tree_system_us = micro(&u->ru_stime);
	p->minor_faults = u->ru_minflt;
	p->major_faults = u->ru_majflt;
	p->voluntary_switches = u->ru_nvcsw;
	p->involuntary_switches = u->ru_nivcsw;
	p->read_bytes = u->ru_inblock * (int64_t)BLOCK;
	p->write_bytes = u->ru_oublock * (int64_t)BLOCK;
}

/* In the stand-in's place a call fails (RLIMIT_DATA) beyond the limit, between two looks: the kernel's high-water mark
 * of the largest process tells. */
static bool grew_beyond(const struct hutch_run *r)
{
	const struct plan_limits *l = &r->plan->limits;

	return l->watch_memory && r->report.max_rss_kib > 0 && (uint64_t)r->report.max_rss_kib * 1024 > l->memory;
}

static bool rlimited(const struct hutch_run *r, int resource)
{
	const struct policy_rlimit *l = &r->plan->policy->rlimits[resource];

	return l->given && !l->soft_host && l->soft != UINT64_MAX;
}

/* Where the changes of copy-on-write go: in memory with a size of its own, or in a directory of the host. */
static bool store_full(const struct hutch_run *r)
{
	struct statfs fs;

	return r->cow >= 0 && fstatfs(r->cow, &fs) == 0 && (fs.f_bavail == 0 || (fs.f_files && fs.f_ffree == 0));
}

/* The word. What the launcher did itself comes first; then what the kernel says; a limit that only made calls fail
 * counts when the program took it badly. */
static enum hutch_end conclude(const struct hutch_run *r)
{
	const struct hutch_report *p = &r->report;
	bool badly = p->end != HUTCH_END_EXITED || p->exit_code;

	if (r->watch.why != HUTCH_END_NONE)
		return r->watch.why;
	if (p->end == HUTCH_END_SIGNALLED && p->signal == SIGXFSZ && rlimited(r, RLIMIT_FSIZE))
		return HUTCH_END_FILE_SIZE;
	if (p->end == HUTCH_END_SIGNALLED && p->signal == SIGXCPU && rlimited(r, RLIMIT_CPU))
		return HUTCH_END_CPU_TIME;
	if (badly && (p->oom_kills > 0 || grew_beyond(r)))
		return HUTCH_END_MEMORY;
	if (badly && p->pids_hits > 0)
		return HUTCH_END_PIDS;
	if (badly && (r->disk_full || store_full(r)))
		return HUTCH_END_DISK;
	return p->end;
}

void report_conclude(struct hutch_run *r)
{
	struct hutch_report *p = &r->report;

	int64_t seen = p->pids_peak;

	cgroup_usage(r, p);
	if (p->pids_peak > seen && r->plan->need_init)
		p->pids_peak--; /* the limit is the program's own, too */
	if (grew_beyond(r) && p->max_rss_kib * 1024 > p->memory_peak)
		p->memory_peak = p->max_rss_kib * 1024;
	for (int i = 1; i < 3; i++) {
		if (r->plan->relay_output[i])
			*(i == 1 ? &p->stdout_bytes : &p->stderr_bytes) = (int64_t)r->output[i].count;
	}
	p->end = conclude(r);
}
