/* What a run of the list uses now: by its cgroup where it has one, else the processes added up.
 * Runs in: parent. */
#include "lib/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run/pressure.h"
#include "run/tally.h"

static int64_t number_in(int dir, const char *file)
{
	char text[64];

	if (entry_read(dir, file, text, sizeof text) <= 0 || text[0] < '0' || text[0] > '9')
		return -1; /* "max" is no number */
	return (int64_t)strtoull(text, NULL, 10) < 0 ? -1 : (int64_t)strtoull(text, NULL, 10);
}

static int64_t usage_usec(int dir)
{
	char text[4096], *at;

	if (entry_read(dir, "cpu.stat", text, sizeof text) <= 0)
		return -1;
	at = strstr(text, "usage_usec ");
	return at ? strtoll(at + 11, NULL, 10) : -1;
}

static void keep(int64_t *out, bool *counted, int64_t n)
{
	if (n < 0)
		return;
	*out = n;
	if (counted)
		*counted = true;
}

static void pressure_in(int dir, const char *file, struct hutch_pressure *out)
{
	char text[PRESSURE_TEXT_MAX];

	if (entry_read(dir, file, text, sizeof text) > 0)
		pressure_parse(text, out);
}

static void add_cgroup(int dir, unsigned version, struct hutch_stats *s)
{
	int64_t nanoseconds, limit;

	if (version == 2) {
		pressure_in(dir, "cpu.pressure", &s->cpu_pressure);
		pressure_in(dir, "memory.pressure", &s->memory_pressure);
		pressure_in(dir, "io.pressure", &s->io_pressure);
		keep(&s->cpu_us, &s->cpu_counted, usage_usec(dir));
		keep(&s->memory, &s->memory_counted, number_in(dir, "memory.current"));
		keep(&s->memory_peak, NULL, number_in(dir, "memory.peak"));
		keep(&s->memory_limit, NULL, number_in(dir, "memory.max"));
	} else {
		nanoseconds = number_in(dir, "cpuacct.usage");
		keep(&s->cpu_us, &s->cpu_counted, nanoseconds < 0 ? -1 : nanoseconds / 1000);
		keep(&s->memory, &s->memory_counted, number_in(dir, "memory.usage_in_bytes"));
		keep(&s->memory_peak, NULL, number_in(dir, "memory.max_usage_in_bytes"));
		limit = number_in(dir, "memory.limit_in_bytes");
		keep(&s->memory_limit, NULL, limit >= LIMITLESS ? -1 : limit);
	}
	keep(&s->tasks, &s->tasks_counted, number_in(dir, "pids.current"));
	keep(&s->tasks_limit, NULL, number_in(dir, "pids.max"));
}

/* What no cgroup counts. */
static int add_processes(const hutch_entry *n, struct hutch_stats *s, struct hutch_error *e)
{
	struct tally *t;

	if (s->cpu_counted && s->memory_counted && s->tasks_counted)
		return 0;
	t = tally_new();
	if (!t)
		return error_nomem(e);
	if (tally_look(t, n->text.first) < 0) {
		int saved = errno;
		tally_free(t);
		return error_set(e, ERR_ENTRY_STATS, saved, "read", n->file, NULL);
	}
	if (!s->cpu_counted)
		s->cpu_us = tally_cpu_us(t);
	if (!s->memory_counted)
		s->memory = tally_memory(t);
	if (!s->tasks_counted)
		s->tasks = tally_tasks(t);
	tally_free(t);
	return 0;
}

static int64_t age_ms(uint64_t start_ticks)
{
	long hertz = sysconf(_SC_CLK_TCK);
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000 - (int64_t)(start_ticks * 1000 / (uint64_t)(hertz > 0 ? hertz : 100));
}

static enum hutch_state state_of(const hutch_entry *n)
{
	struct process p;
	pid_t program = process_program(n);

	if (entry_frozen(n) == 1)
		return HUTCH_STATE_FROZEN;
	return program && process_look(program, &p) == 0 && (p.state == 'T' || p.state == 't') ? HUTCH_STATE_STOPPED : HUTCH_STATE_RUNNING;
}

int hutch_entry_stats(hutch_entry *n, struct hutch_stats *out, struct hutch_error *e)
{
	static const struct hutch_pressure unknown = { -1, -1, -1, -1 };

	*out = (struct hutch_stats){ .cpu_pressure = unknown, .memory_pressure = unknown, .io_pressure = unknown, .cpu_us = -1, .memory = -1, .tasks = -1, .memory_peak = -1, .memory_limit = -1, .tasks_limit = -1 };
	if (!process_lives(n->first))
		return error_set(e, ERR_ENTRY_NONE, 0, NULL, n->file, NULL);
	out->state = state_of(n);
	out->age_ms = age_ms(n->text.first_start);
	for (size_t i = 0; i < n->text.cgroup_count; i++) {
		int fd = entry_cgroup(n, i);
		if (fd < 0)
			continue;
		add_cgroup(fd, n->text.cgroups[i].version, out);
		close(fd);
	}
	return add_processes(n, out, e);
}
