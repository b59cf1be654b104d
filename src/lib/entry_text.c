/* Runs of the list as a table, as lines and as JSON. Names and words come from files: escaped for the terminal.
 * Runs in: parent. */
#include "lib/entry.h"

#include <stdio.h>
#include <string.h>

static const char *source(bool counted)
{
	return counted ? "cgroup" : "processes";
}

static void bytes(char out[16], int64_t n)
{
	static const char units[] = "BKMGT";
	double value = (double)n;
	int unit = 0;

	while (value >= 1024 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	snprintf(out, 16, n < 0 ? "-" : unit ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void age(char out[24], int64_t ms)
{
	long long s = ms < 0 ? 0 : ms / 1000;

	if (s < 60)
		snprintf(out, 24, "%llds", s);
	else if (s < 3600)
		snprintf(out, 24, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, 24, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(out, 24, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static void cpu(char out[24], int64_t us)
{
	snprintf(out, 24, us < 0 ? "-" : "%lld.%02llds", (long long)(us / 1000000), (long long)(us / 10000 % 100));
}

static void words(struct text *t, const hutch_entry *n, size_t most)
{
	for (size_t i = 0; i < n->text.word_count && t->len < most; i++) {
		text_add(t, " ", i ? 1 : 0);
		text_quoted(t, n->text.words[i]);
	}
}

static void row(struct text *t, const hutch_entry *n, const struct hutch_stats *s)
{
	char memory[16], since[24], time[24];
	struct text command;

	bytes(memory, s->memory);
	age(since, s->age_ms);
	cpu(time, s->cpu_us);
	text_init(&command);
	words(&command, n, 200);
	text_printf(t, "%-8s %-16s %7d %8s %9s %8s %-8s %s\n", n->text.id, n->file, (int)n->text.first, since, time, memory, hutch_state_name(s->state),
		    command.s ? command.s : "");
	t->failed = t->failed || command.failed;
	text_done(&command);
}

static void number(struct text *t, const char *name, int64_t n)
{
	if (n < 0)
		text_printf(t, ",\"%s\":null", name);
	else
		text_printf(t, ",\"%s\":%lld", name, (long long)n);
}

static void percent(struct text *t, const char *name, int64_t hundredths)
{
	if (hundredths < 0)
		text_printf(t, ",\"%s\":null", name);
	else
		text_printf(t, ",\"%s\":%lld.%02lld", name, (long long)(hundredths / 100), (long long)(hundredths % 100));
}

/* Percent of the last ten seconds, and all in all. null where nothing measures it. */
static void pressure(struct text *t, const char *name, const struct hutch_pressure *p, bool first)
{
	text_printf(t, "%s\"%s\":", first ? "" : ",", name);
	if (p->some_us < 0) {
		text_printf(t, "null");
		return;
	}
	text_printf(t, "{\"some_us\":%lld", (long long)p->some_us);
	number(t, "full_us", p->full_us);
	percent(t, "some_avg10", p->some_avg10);
	percent(t, "full_avg10", p->full_avg10);
	text_printf(t, "}");
}

static void object(struct text *t, const hutch_entry *n, const struct hutch_stats *s)
{
	text_printf(t, "{\"id\":");
	text_json(t, n->text.id);
	text_printf(t, ",\"name\":");
	text_json(t, n->file);
	text_printf(t, ",\"pid\":%d,\"launcher\":%d,\"started\":%lld,\"state\":\"%s\"", (int)n->text.first, (int)n->text.launcher,
		    (long long)n->text.started, hutch_state_name(s->state));
	number(t, "age_ms", s->age_ms);
	number(t, "cpu_us", s->cpu_us);
	number(t, "memory", s->memory);
	number(t, "memory_peak", s->memory_peak);
	number(t, "memory_limit", s->memory_limit);
	number(t, "tasks", s->tasks);
	number(t, "tasks_limit", s->tasks_limit);
	text_printf(t, ",\"pressure\":{");
	pressure(t, "cpu", &s->cpu_pressure, true);
	pressure(t, "memory", &s->memory_pressure, false);
	pressure(t, "io", &s->io_pressure, false);
	text_printf(t, "}");
	text_printf(t, ",\"source\":{\"cpu_us\":\"%s\",\"memory\":\"%s\",\"tasks\":\"%s\"},\"command\":[", source(s->cpu_counted), source(s->memory_counted),
		    source(s->tasks_counted));
	for (size_t i = 0; i < n->text.word_count; i++) {
		text_add(t, ",", i ? 1 : 0);
		text_json(t, n->text.words[i]);
	}
	text_printf(t, "]}");
}

static void pressure_line(struct text *t, const char *name, const struct hutch_pressure *p)
{
	if (p->some_us < 0)
		return;
	text_printf(t, "%s %lld.%02lld%%", name, (long long)(p->some_avg10 / 100), (long long)(p->some_avg10 % 100));
	if (p->full_avg10 >= 0)
		text_printf(t, " (all of it %lld.%02lld%%)", (long long)(p->full_avg10 / 100), (long long)(p->full_avg10 % 100));
}

static void pressures(struct text *t, const struct hutch_stats *s)
{
	if (s->cpu_pressure.some_us < 0 && s->memory_pressure.some_us < 0 && s->io_pressure.some_us < 0)
		return;
	text_printf(t, "  waited  ");
	pressure_line(t, " for cpu", &s->cpu_pressure);
	pressure_line(t, ", memory", &s->memory_pressure);
	pressure_line(t, ", io", &s->io_pressure);
	text_printf(t, " of the last 10 s\n");
}

static void lines(struct text *t, const hutch_entry *n, const struct hutch_stats *s)
{
	char value[24], limit[16];

	text_printf(t, "%s (%s), %s, command: ", n->file, n->text.id, hutch_state_name(s->state));
	words(t, n, SIZE_MAX);
	age(value, s->age_ms);
	text_printf(t, "\n  age      %s\n", value);
	cpu(value, s->cpu_us);
	text_printf(t, "  cpu      %-10s by %s\n", value, s->cpu_counted ? "its cgroup" : "the processes added up");
	bytes(value, s->memory);
	text_printf(t, "  memory   %-10s by %s", value, s->memory_counted ? "its cgroup" : "the processes added up");
	bytes(limit, s->memory_limit);
	bytes(value, s->memory_peak);
	if (s->memory_peak >= 0)
		text_printf(t, ", at most %s so far", value);
	if (s->memory_limit >= 0)
		text_printf(t, ", limit %s", limit);
	text_printf(t, "\n  tasks    %-10lld by %s", (long long)s->tasks, s->tasks_counted ? "its cgroup" : "the processes added up");
	if (s->tasks_limit >= 0)
		text_printf(t, ", limit %lld", (long long)s->tasks_limit);
	text_printf(t, "\n");
	pressures(t, s);
}

char *hutch_entry_text(hutch_entry *const *n, size_t count, bool single, bool json)
{
	struct text t;
	size_t written = 0;

	text_init(&t);
	if (json && !single)
		text_printf(&t, "[");
	else if (!single)
		text_printf(&t, "%-8s %-16s %7s %8s %9s %8s %-8s %s\n", "ID", "NAME", "PID", "AGE", "CPU", "MEMORY", "STATE", "COMMAND");
	for (size_t i = 0; i < count; i++) {
		struct hutch_stats s;
		if (hutch_entry_stats(n[i], &s, NULL) < 0)
			continue;
		if (json) {
			text_add(&t, ",", written ? 1 : 0);
			object(&t, n[i], &s);
		} else {
			(single ? lines : row)(&t, n[i], &s);
		}
		written++;
	}
	if (json)
		text_add(&t, single ? "\n" : "]\n", single ? 1 : 2);
	if (!t.failed && t.s)
		return t.s;
	text_done(&t);
	return NULL;
}
