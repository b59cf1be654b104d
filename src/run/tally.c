/* See tally.h.
 * Runs in: parent. */
#include "run/tally.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 4096
#define SEEN_MOST 65536u /* processes remembered; beyond, the oldest sums stay in `gone` */

struct seen { pid_t pid; uint64_t start, own, waited; bool now; };
struct tally {
	struct seen *seen;
	size_t count, cap;
	uint64_t gone;           /* ticks of processes that ended */
	int64_t memory, tasks;
	long hertz;
};

struct tally *tally_new(void)
{
	struct tally *t = calloc(1, sizeof *t);

	if (t)
		t->hertz = sysconf(_SC_CLK_TCK) > 0 ? sysconf(_SC_CLK_TCK) : 100;
	return t;
}

void tally_free(struct tally *t)
{
	if (!t)
		return;
	free(t->seen);
	free(t);
}

/* proc(5): fields 14-17 are the own and the waited-for children's times, 22 the start. */
int tally_parse_stat(const char *text, uint64_t *own, uint64_t *waited, uint64_t *start)
{
	const char *at = strrchr(text, ')'); /* the name may hold anything */
	unsigned long long field[23] = { 0 };

	if (!at || at[1] != ' ' || !at[2])
		return -1;
	at += 3;
	for (int i = 4; i < 23; i++) {
		char *end;
		field[i] = strtoull(at, &end, 10);
		if (end == at)
			return -1;
		at = end;
	}
	*own = field[14] + field[15];
	*waited = field[16] + field[17];
	*start = field[22];
	return 0;
}

static int64_t kib(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

int64_t tally_parse_memory(const char *status)
{
	return (kib(status, "\nRssAnon:") + kib(status, "\nRssShmem:") + kib(status, "\nVmSwap:")) * 1024;
}

int64_t tally_parse_threads(const char *status)
{
	const char *at = strstr(status, "\nThreads:");

	return at ? strtoll(at + 9, NULL, 10) : 0;
}

static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	errno = saved;
	return n;
}

static struct seen *find(struct tally *t, pid_t pid, uint64_t start)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->seen[i].pid == pid && t->seen[i].start == start)
			return &t->seen[i];
	}
	if (t->count == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct seen *grown = cap > SEEN_MOST ? NULL : realloc(t->seen, cap * sizeof *grown);
		if (!grown)
			return NULL;
		t->seen = grown;
		t->cap = cap;
	}
	t->seen[t->count] = (struct seen){ .pid = pid, .start = start };
	return &t->seen[t->count++];
}

/* One process: what it has used, what it holds. False when it is gone or was met already. */
static bool note(struct tally *t, pid_t pid)
{
	char path[64], text[TEXT_MAX];
	uint64_t own, waited, start;
	struct seen *s;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (read_text(path, text, sizeof text) <= 0 || tally_parse_stat(text, &own, &waited, &start) < 0)
		return false;
	s = find(t, pid, start);
	if (!s || s->now)
		return false;
	s->now = true;
	s->own = own;
	s->waited = waited;
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (read_text(path, text, sizeof text) > 0) {
		t->memory += tally_parse_memory(text);
		t->tasks += tally_parse_threads(text);
	}
	return true;
}

struct queue { pid_t *pids; size_t count, cap; };

static bool push(struct queue *q, pid_t pid)
{
	if (q->count == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 64;
		pid_t *grown = cap > SEEN_MOST ? NULL : realloc(q->pids, cap * sizeof *grown);
		if (!grown)
			return false;
		q->pids = grown;
		q->cap = cap;
	}
	q->pids[q->count++] = pid;
	return true;
}

static void push_children(struct queue *q, const char *path)
{
	char text[TEXT_MAX * 4], *end;

	if (read_text(path, text, sizeof text) <= 0)
		return;
	for (char *at = text;; at = end) {
		long pid = strtol(at, &end, 10);
		if (end == at || pid <= 0 || !push(q, (pid_t)pid))
			return;
	}
}

/* Each thread has its own children. */
static void push_tasks(struct queue *q, pid_t pid)
{
	char path[96];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, d->d_name);
		push_children(q, path);
	}
	if (dir)
		closedir(dir);
}

/* Ended since the last look: their sum stays. */
static void settle(struct tally *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (t->seen[i].now)
			t->seen[kept++] = t->seen[i];
		else
			t->gone += t->seen[i].own;
	}
	t->count = kept;
}

int tally_look(struct tally *t, pid_t first)
{
	struct queue q = { 0 };
	int result = -1;

	t->memory = t->tasks = 0;
	for (size_t i = 0; i < t->count; i++)
		t->seen[i].now = false;
	errno = ENOENT;
	if (push(&q, first)) {
		for (size_t i = 0; i < q.count; i++) {
			if (!note(t, q.pids[i]))
				continue;
			result = 0;
			push_tasks(&q, q.pids[i]);
		}
	}
	settle(t);
	free(q.pids);
	return result;
}

/* Two ways to count, each of which misses something: who was never waited for, and who came and went between two
 * looks. The greater is nearer to the truth. */
int64_t tally_cpu_us(const struct tally *t)
{
	uint64_t with_waited = 0, seen = t->gone;

	for (size_t i = 0; i < t->count; i++) {
		with_waited += t->seen[i].own + t->seen[i].waited;
		seen += t->seen[i].own;
	}
	return (int64_t)((with_waited > seen ? with_waited : seen) * 1000000u / (uint64_t)t->hertz);
}

int64_t tally_memory(const struct tally *t)
{
	return t->memory;
}

int64_t tally_tasks(const struct tally *t)
{
	return t->tasks;
}
