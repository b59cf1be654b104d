/* What the launcher itself holds a run to: the clock, processor time, and memory where no cgroup counts it.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "run/run.h"
#include "run/tally.h"
#include "sys/sys.h"

#define LOOK_MEMORY_LEAST_US 2000
#define LOOK_MEMORY_MOST_US 20000
#define FILLED_BYTES_PER_US 10000 /* by a few processes at once: as fast as memory is */
#define LOOK_CPU_LEAST_US 2000
#define LOOK_CPU_MOST_US 100000

static void arm(struct hutch_run *r, int64_t at)
{
	struct itimerspec t = { .it_value = { at / 1000000, (at % 1000000) * 1000 } };

	/* The clock of clock_us(); an absolute time in the past fires at once. It can't fail on these values. */
	timerfd_settime(r->watch.timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static int64_t cpu_us(struct hutch_run *r)
{
	int64_t n = cgroup_cpu_us(r), setup = r->report.setup_cpu_us > 0 ? r->report.setup_cpu_us : 0;

	if (n < 0)
		n = r->watch.tally ? tally_cpu_us(r->watch.tally) : 0;
	return n > setup ? n - setup : 0; /* the limit is the program's */
}

/* When the limit can be reached at the earliest: every processor is at work for this run. */
static int64_t next_cpu_look(struct hutch_run *r, int64_t now, int64_t used)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t left = ((int64_t)r->plan->limits.cpu_ms * 1000 - used) / (processors > 0 ? processors : 1);

	if (left < LOOK_CPU_LEAST_US)
		left = LOOK_CPU_LEAST_US;
	/* The launcher's own adding up sees a process only while it lives: look often. */
	if (left > LOOK_CPU_MOST_US && r->watch.tally)
		left = LOOK_CPU_MOST_US;
	return now + left;
}

/* What init never waits for is in nobody's sum: look while it is there. */
static void last_look(struct hutch_run *r)
{
	if (cgroup_cpu_us(r) >= 0)
		return;
	if (!r->watch.tally)
		r->watch.tally = tally_new();
	if (r->watch.tally && tally_look(r->watch.tally, r->pid) == 0)
		r->report.seen_cpu_us = tally_cpu_us(r->watch.tally);
}

static void kill_now(struct hutch_run *r)
{
	last_look(r);
	hutch_run_kill(r, NULL);
}

void watch_end(struct hutch_run *r, enum hutch_end why)
{
	bool patient = why == HUTCH_END_WALL_TIME || why == HUTCH_END_CPU_TIME;

	if (r->report.end != HUTCH_END_NONE || r->watch.why != HUTCH_END_NONE || r->reaped)
		return;
	r->watch.why = why;
	if (!patient || !r->plan->limits.grace_ms) {
		kill_now(r);
		return;
	}
	r->watch.kill_at = clock_us() + (int64_t)r->plan->limits.grace_ms * 1000;
	hutch_run_signal(r, SIGTERM, NULL);
	hutch_run_signal(r, SIGCONT, NULL); /* one that is stopped can't hear it */
	arm(r, r->watch.kill_at);
}

/* Sooner the nearer it is to its limit. */
static int64_t next_memory_look(struct hutch_run *r, int64_t now, int64_t bytes)
{
	int64_t left = ((int64_t)r->plan->limits.memory - bytes) / FILLED_BYTES_PER_US;

	return now + (left < LOOK_MEMORY_LEAST_US ? LOOK_MEMORY_LEAST_US : left > LOOK_MEMORY_MOST_US ? LOOK_MEMORY_MOST_US : left);
}

/* RLIMIT_NPROC fails a fork and tells nobody: a look at which nothing more could have started stands for it. */
static void look_at_tasks(struct hutch_run *r)
{
	int64_t tasks = tally_tasks(r->watch.tally) - (r->plan->need_init ? 1 : 0);

	if (tasks > r->report.pids_peak)
		r->report.pids_peak = tasks;
	if (r->report.pids_hits < 0)
		r->report.pids_hits = 0;
	if ((uint64_t)(tasks > 0 ? tasks : 0) >= r->plan->limits.pids)
		r->report.pids_hits++;
}

static void look(struct hutch_run *r)
{
	const struct plan_limits *l = &r->plan->limits;
	int64_t now = clock_us(), next = r->watch.wall_at ? r->watch.wall_at : INT64_MAX;
	bool seen;

	if (r->watch.wall_at && now >= r->watch.wall_at) {
		watch_end(r, HUTCH_END_WALL_TIME);
		return;
	}
	seen = r->watch.tally && tally_look(r->watch.tally, r->pid) == 0;
	if (seen && l->standin_nproc) {
		look_at_tasks(r);
		next = now + LOOK_MEMORY_MOST_US < next ? now + LOOK_MEMORY_MOST_US : next;
	}
	if (seen && l->watch_memory) {
		int64_t bytes = tally_memory(r->watch.tally);
		if (bytes > r->report.memory_peak)
			r->report.memory_peak = bytes;
		if ((uint64_t)bytes > l->memory) {
			watch_end(r, HUTCH_END_MEMORY);
			return;
		}
		int64_t at = next_memory_look(r, now, bytes);
		next = at < next ? at : next;
	}
	if (l->cpu_ms) {
		int64_t used = cpu_us(r), at;
		if (used >= (int64_t)l->cpu_ms * 1000) {
			watch_end(r, HUTCH_END_CPU_TIME);
			return;
		}
		at = next_cpu_look(r, now, used);
		next = at < next ? at : next;
	}
	arm(r, next);
}

int watch_start(struct hutch_run *r, struct hutch_error *e)
{
	const struct plan_limits *l = &r->plan->limits;

	if (!l->wall_ms && !l->cpu_ms && !l->watch_memory && !l->standin_nproc)
		return 0;
	r->watch.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->watch.timer < 0)
		return error_set(e, ERR_LIMIT_WATCH, errno, "timerfd_create", "the run's limits", NULL);
	if (l->watch_memory || l->standin_nproc || (l->cpu_ms && cgroup_cpu_us(r) < 0)) {
		r->watch.tally = tally_new();
		if (!r->watch.tally)
			return error_nomem(e);
		if (tally_look(r->watch.tally, r->pid) < 0)
			return error_set(e, ERR_LIMIT_WATCH, errno, "read", "the run's processes in /proc", NULL);
	}
	return 0;
}

void watch_run(struct hutch_run *r)
{
	if (r->watch.timer < 0)
		return;
	if (r->plan->limits.wall_ms)
		r->watch.wall_at = r->exec_us + (int64_t)r->plan->limits.wall_ms * 1000;
	look(r);
}

void watch_step(struct hutch_run *r)
{
	uint64_t ticks;

	if (r->watch.timer < 0 || read(r->watch.timer, &ticks, sizeof ticks) != (ssize_t)sizeof ticks)
		return;
	if (r->watch.why == HUTCH_END_NONE)
		look(r);
	else if (!r->reaped)
		kill_now(r);
}

void watch_stop(struct hutch_run *r)
{
	if (r->watch.timer >= 0)
		close(r->watch.timer);
	r->watch.timer = -1;
	tally_free(r->watch.tally);
	r->watch.tally = NULL;
}

void denied_step(struct hutch_run *r)
{
	struct seccomp_notif call;

	memset(&call, 0, sizeof call);
	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
		if (errno == EINTR || errno == EAGAIN || errno == ENOENT) /* the caller died meanwhile */
			return;
		close(r->listener); /* nobody is left who could ask */
		r->listener = -1;
		return;
	}
	if (r->report.denied_call < 0) {
		r->report.denied_call = call.data.nr;
		r->report.denied_arch = call.data.arch;
	}
	watch_end(r, HUTCH_END_SYSCALL_DENIED);
}
