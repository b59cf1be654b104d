/* Cgroups of a run: made, locked, filled, read, removed. Only below the parent that the plan names, and only
 * directories with our own name and a lock that nobody holds are ever swept.
 * Runs in: parent. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/pressure.h"
#include "run/run.h"
#include "sys/sys.h"

extern char **environ;

#define NAME "hutch-"
#define TEXT_MAX 8192 /* the longest file that is read here: memory.stat */

static int fail(struct hutch_error *e, enum error_id id, int errnum, const char *call, const char *subject, const char *origin)
{
	return error_set(e, id, errnum, call, subject, origin);
}

/* ---- small files ---- */
static int write_at(int dir, const char *file, const char *value)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
	int saved = n < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return -saved;
}

static ssize_t read_at(int dir, const char *file, char *text, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = 0;
	ssize_t n = -1;

	while (fd >= 0 && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[fd >= 0 ? len : 0] = '\0';
	return fd < 0 || n < 0 ? -1 : (ssize_t)len;
}

/* "name value" in a line of its own; -1 = not there. */
static int64_t named(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		if (!strncmp(s, name, n) && s[n] == ' ')
			return strtoll(s + n + 1, NULL, 10);
	}
	return -1;
}

static int64_t number_at(int dir, const char *file)
{
	char text[64];

	return read_at(dir, file, text, sizeof text) > 0 && text[0] >= '0' && text[0] <= '9' ? strtoll(text, NULL, 10) : -1;
}

static int64_t named_at(int dir, const char *file, const char *name)
{
	char text[TEXT_MAX];

	return read_at(dir, file, text, sizeof text) > 0 ? named(text, name) : -1;
}

/* Somebody may have frozen it: version 1 holds even a killed process until it is thawed, and our init can't act. */
static void thaw(int dir)
{
	if (write_at(dir, "freezer.state", "THAWED") == -ENOENT)
		write_at(dir, "cgroup.freeze", "0");
}

static bool stands(int dir)
{
	char text[64];

	return read_at(dir, "freezer.state", text, sizeof text) > 0 ? text[0] == 'F' : named_at(dir, "cgroup.events", "frozen") == 1;
}

/* ---- making ---- */
/* Under its lock. What stands still can't notice that its launcher is gone: it is let go on, which is its end, and that
 * takes a moment. With other processes in it the kernel keeps the directory: a run that outlives its launcher by its
 * own policy. */
static void sweep_one(int parent, const char *name, int dir)
{
	static const struct timespec pause = { 0, 2000000 };
	int patience = stands(dir) ? 1000 : 0;

	thaw(dir);
	while (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno == EBUSY && patience-- > 0)
		nanosleep(&pause, NULL);
}

/* What a killed launcher left: ours by name, and the lock that it held is free. */
static void sweep(int parent)
{
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(d))) {
		int fd;
		if (strncmp(entry->d_name, NAME, sizeof NAME - 1))
			continue;
		fd = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			sweep_one(parent, entry->d_name, fd);
		close(fd);
	}
	closedir(d);
}

/* A sweeper may come between the making and the lock: then the directory is gone, and another name is tried. */
static int make_locked(int parent, const char *parent_path, struct run_cgroup *out)
{
	for (unsigned attempt = 0; attempt < 100; attempt++) {
		struct timespec t;
		struct stat st;
		char name[64];
		clock_gettime(CLOCK_MONOTONIC, &t);
		snprintf(name, sizeof name, NAME "%d-%llx-%u", (int)getpid(), (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec, attempt);
		if (mkdirat(parent, name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		out->fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (out->fd >= 0 && flock(out->fd, LOCK_EX | LOCK_NB) == 0 && fstat(out->fd, &st) == 0 && st.st_nlink > 0) {
			if (asprintf(&out->path, "%s/%s", parent_path, name) >= 0)
				return 0;
			out->path = NULL;
			unlinkat(parent, name, AT_REMOVEDIR);
			return -ENOMEM;
		}
		if (out->fd >= 0)
			close(out->fd);
		out->fd = -1;
	}
	return -EAGAIN;
}

/* The parent may hold no process of its own once it hands controllers down: the launcher goes to a leaf of it. */
static int leave_parent(struct hutch_run *r, int parent, const char *path, struct hutch_error *e)
{
	int n = make_locked(parent, path, &r->leaf);

	if (n == 0)
		n = write_at(r->leaf.fd, "cgroup.procs", "0");
	return n < 0 ? fail(e, ERR_CGROUP_ENABLE, -n, "write", path, NULL) : 0;
}

static int enable(struct hutch_run *r, const struct cgroup_dir *d, int parent, struct hutch_error *e)
{
	int n;

	if (!d->enable)
		return 0;
	n = write_at(parent, "cgroup.subtree_control", d->enable);
	if (n == -EBUSY && d->leave && r->leaf.fd < 0) {
		if (leave_parent(r, parent, d->parent, e) < 0)
			return -1;
		n = write_at(parent, "cgroup.subtree_control", d->enable);
	}
	if (n == 0)
		return 0;
	fail(e, ERR_CGROUP_ENABLE, -n, "write", d->parent, NULL);
	return error_detail(e, "cgroup.subtree_control = %s", d->enable);
}

static int make_one(struct hutch_run *r, const struct cgroup_dir *d, struct run_cgroup *out, struct hutch_error *e)
{
	int parent = open(d->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;

	if (parent < 0)
		return fail(e, ERR_CGROUP_MAKE, errno, "open", d->parent, r->plan->policy->origin[KEY_CGROUP_PARENT]);
	n = enable(r, d, parent, e);
	if (n == 0) {
		int made = make_locked(parent, d->parent, out);
		n = made < 0 ? fail(e, ERR_CGROUP_MAKE, -made, "mkdir", d->parent, r->plan->policy->origin[KEY_CGROUP_PARENT]) : 0;
	}
	close(parent);
	return n;
}

static int copy_from_parent(struct hutch_run *r, const struct cgroup_write *w)
{
	int parent = openat(r->cgroups[w->dir].fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[256];
	ssize_t n = parent < 0 ? -1 : read_at(parent, w->file, text, sizeof text);

	if (parent >= 0)
		close(parent);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	text[strcspn(text, "\n")] = '\0';
	return write_at(r->cgroups[w->dir].fd, w->file, text);
}

static int write_limits(struct hutch_run *r, struct hutch_error *e)
{
	for (size_t i = 0; i < r->plan->cgroup_write_count; i++) {
		const struct cgroup_write *w = &r->plan->cgroup_writes[i];
		int n = w->value ? write_at(r->cgroups[w->dir].fd, w->file, w->value) : copy_from_parent(r, w);
		if (n == 0)
			continue;
		fail(e, ERR_CGROUP_WRITE, -n, "write", w->file, w->origin);
		return error_detail(e, "%s in %s", w->value ? w->value : "the parent's value", r->cgroups[w->dir].path);
	}
	return 0;
}

/* The freezer of version 1 comes last in a plan: what stands in it keeps the directories of the others. */
static void sweep_all(const struct plan *p)
{
	for (size_t i = p->cgroup_count; i-- > 0;) {
		int parent = open(p->cgroups[i].parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0)
			continue; /* said when it is to be used */
		sweep(parent);
		close(parent);
	}
}

int cgroup_make(struct hutch_run *r, struct hutch_error *e)
{
	const struct plan *p = r->plan;

	if (!p->cgroup_count || p->cgroup_manager)
		return 0;
	sweep_all(p);
	for (size_t i = 0; i < p->cgroup_count; i++) {
		if (make_one(r, &p->cgroups[i], &r->cgroups[i], e) < 0)
			return -1;
	}
	return write_limits(r, e);
}

int cgroup_birth(const struct hutch_run *r)
{
	for (size_t i = 0; i < r->plan->cgroup_count; i++) {
		if (r->plan->cgroups[i].version == 2)
			return r->cgroups[i].fd;
	}
	return -1;
}

/* ---- a scope of systemd ---- */
static pid_t start_helper(const char *helper, char *const argv[], int in, int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int n;

	if (posix_spawn_file_actions_init(&actions))
		return -1;
	n = posix_spawn_file_actions_adddup2(&actions, in, 0);
	if (n == 0)
		n = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (n == 0)
		n = posix_spawn(&pid, helper, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return n ? -1 : pid;
}

/* One line: the directory, or what went wrong. */
static void read_answer(int fd, char *line, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && ((n = read(fd, line + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR))) {
		len += n > 0 ? (size_t)n : 0;
		if (len && line[len - 1] == '\n')
			break;
	}
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

/* The end of its standard input ends it, our own end too. */
static void end_helper(struct hutch_run *r)
{
	if (r->scope.hold >= 0)
		close(r->scope.hold);
	r->scope.hold = -1;
	while (r->scope.helper > 0 && waitpid(r->scope.helper, NULL, 0) < 0 && errno == EINTR)
		continue;
	r->scope.helper = 0;
}

/* The helper stays in the scope, beside the run: without it systemd would remove the scope, and what the kernel
 * counted, before it can be read. */
static int ask_for_scope(struct hutch_run *r, const struct host *h, pid_t pid, char *path, size_t size, struct hutch_error *e)
{
	char number[16];
	char *argv[] = { (char *)(uintptr_t)h->scope_helper, (char *)(uintptr_t)r->plan->cgroup_manager, number, NULL };
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return fail(e, ERR_CGROUP_SCOPE, errno, "pipe2", NULL, NULL);
	r->scope.hold = in[1];
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		return fail(e, ERR_CGROUP_SCOPE, errno, "pipe2", NULL, NULL);
	}
	snprintf(number, sizeof number, "%d", (int)pid);
	r->scope.helper = start_helper(h->scope_helper, argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	path[0] = '\0';
	if (r->scope.helper > 0)
		read_answer(out[0], path, size);
	close(out[0]);
	if (r->scope.helper < 0)
		return fail(e, ERR_CGROUP_SCOPE, 0, "posix_spawn", h->scope_helper, NULL);
	if (path[0] == '/')
		return 0;
	end_helper(r);
	fail(e, ERR_CGROUP_SCOPE, 0, "StartTransientUnit", r->plan->cgroup_manager, NULL);
	return error_detail(e, "%s", path[0] ? path : "its helper ended without an answer");
}

int cgroup_scope(struct hutch_run *r, const struct host *h, pid_t pid, struct hutch_error *e)
{
	char path[4096];

	if (!r->plan->cgroup_manager)
		return 0;
	if (ask_for_scope(r, h, pid, path, sizeof path, e) < 0)
		return -1;
	r->cgroups[0].fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->cgroups[0].fd < 0)
		return fail(e, ERR_CGROUP_SCOPE, errno, "open", path, NULL);
	r->cgroups[0].path = strdup(path);
	if (!r->cgroups[0].path)
		return error_nomem(e);
	return write_limits(r, e);
}

int cgroup_join(struct hutch_run *r, pid_t pid, bool born, struct hutch_error *e)
{
	char number[16];

	snprintf(number, sizeof number, "%d", (int)pid);
	for (size_t i = 0; i < r->plan->cgroup_count && !r->plan->cgroup_manager; i++) {
		int n = born && r->plan->cgroups[i].version == 2 ? 0 : write_at(r->cgroups[i].fd, "cgroup.procs", number);
		if (n < 0)
			return fail(e, ERR_CGROUP_JOIN, -n, "write", r->cgroups[i].path, r->plan->policy->origin[KEY_CGROUP_PARENT]);
	}
	return 0;
}

/* ---- reading ---- */
static bool carries(const struct hutch_run *r, size_t i, enum controller c)
{
	const struct cgroup_dir *d = &r->plan->cgroups[i];

	return r->cgroups[i].fd >= 0 && (d->version == 2 || (d->controllers & (1u << c)));
}

int64_t cgroup_cpu_us(const struct hutch_run *r)
{
	for (size_t i = 0; i < r->plan->cgroup_count; i++) {
		bool v2 = r->plan->cgroups[i].version == 2;
		int64_t n;
		if (!carries(r, i, CG_CPUACCT))
			continue;
		n = v2 ? named_at(r->cgroups[i].fd, "cpu.stat", "usage_usec") : number_at(r->cgroups[i].fd, "cpuacct.usage");
		if (n >= 0)
			return v2 ? n : n / 1000;
	}
	return -1;
}

static int64_t micro(int64_t nanoseconds)
{
	return nanoseconds < 0 ? -1 : nanoseconds / 1000;
}

static void keep(int64_t *out, int64_t n)
{
	if (n >= 0)
		*out = n;
}

static void pressure_at(int fd, const char *file, int64_t *some, int64_t *full)
{
	char text[PRESSURE_TEXT_MAX];
	struct hutch_pressure p;

	if (read_at(fd, file, text, sizeof text) <= 0)
		return; /* not there, or switched off: nothing is measured */
	pressure_parse(text, &p);
	keep(some, p.some_us);
	keep(full, p.full_us);
}

static void usage_v2(int fd, struct hutch_report *out)
{
	char text[TEXT_MAX];

	if (read_at(fd, "cpu.stat", text, sizeof text) > 0) {
		keep(&out->cgroup_cpu_us, named(text, "usage_usec"));
		keep(&out->throttled_periods, named(text, "nr_throttled"));
		keep(&out->throttled_us, named(text, "throttled_usec"));
	}
	keep(&out->memory_peak, number_at(fd, "memory.peak"));
	keep(&out->swap_peak, number_at(fd, "memory.swap.peak"));
	if (read_at(fd, "memory.events", text, sizeof text) > 0) {
		keep(&out->oom_kills, named(text, "oom_kill"));
		keep(&out->memory_hits, named(text, "max"));
	}
	keep(&out->pids_peak, number_at(fd, "pids.peak"));
	keep(&out->pids_hits, named_at(fd, "pids.events", "max"));
	pressure_at(fd, "cpu.pressure", &out->cpu_pressure_us, &out->cpu_pressure_full_us);
	pressure_at(fd, "memory.pressure", &out->memory_pressure_us, &out->memory_pressure_full_us);
	pressure_at(fd, "io.pressure", &out->io_pressure_us, &out->io_pressure_full_us);
}

static void usage_v1(const struct hutch_run *r, size_t i, struct hutch_report *out)
{
	int fd = r->cgroups[i].fd;

	if (carries(r, i, CG_CPUACCT))
		keep(&out->cgroup_cpu_us, micro(number_at(fd, "cpuacct.usage")));
	if (carries(r, i, CG_CPU)) {
		keep(&out->throttled_periods, named_at(fd, "cpu.stat", "nr_throttled"));
		keep(&out->throttled_us, micro(named_at(fd, "cpu.stat", "throttled_time")));
	}
	if (carries(r, i, CG_MEMORY)) {
		int64_t both = number_at(fd, "memory.memsw.max_usage_in_bytes"), both_hits = number_at(fd, "memory.memsw.failcnt");
		keep(&out->memory_peak, number_at(fd, "memory.max_usage_in_bytes"));
		keep(&out->memory_hits, number_at(fd, "memory.failcnt"));
		/* Without swap both have the same limit, and the kernel charges the sum first. */
		if (both_hits > 0)
			out->memory_hits = (out->memory_hits > 0 ? out->memory_hits : 0) + both_hits;
		keep(&out->oom_kills, named_at(fd, "memory.oom_control", "oom_kill"));
		/* Newer kernels count neither. */
		if (out->oom_kills > out->memory_hits)
			out->memory_hits = out->oom_kills;
		if (both >= 0 && out->memory_peak >= 0)
			out->swap_peak = both > out->memory_peak ? both - out->memory_peak : 0;
	}
	if (carries(r, i, CG_PIDS)) {
		keep(&out->pids_peak, number_at(fd, "pids.peak"));
		keep(&out->pids_hits, named_at(fd, "pids.events", "max"));
	}
}

void cgroup_usage(const struct hutch_run *r, struct hutch_report *out)
{
	for (size_t i = 0; i < r->plan->cgroup_count; i++) {
		if (r->cgroups[i].fd < 0)
			continue;
		if (r->plan->cgroups[i].version == 2)
			usage_v2(r->cgroups[i].fd, out);
		else
			usage_v1(r, i, out);
	}
}

/* ---- the end ---- */
void cgroup_kill(const struct hutch_run *r)
{
	int fd = cgroup_birth(r);

	/* After the kill, so that nothing thawed runs on. Linux 5.14; before it the pid namespace's end or the subreaper does the same, a little later. */
	if (fd >= 0)
		write_at(fd, "cgroup.kill", "1");
	for (size_t i = 0; i < r->plan->cgroup_count; i++) {
		if (r->cgroups[i].fd >= 0)
			thaw(r->cgroups[i].fd);
	}
}

static void remove_one(struct run_cgroup *g)
{
	static const struct timespec pause = { 0, 2000000 };

	/* The kernel lets go of a reaped process a moment later. What stays is swept by a later run. */
	for (int attempt = 0; g->path && attempt < 100 && rmdir(g->path) < 0 && errno == EBUSY; attempt++)
		nanosleep(&pause, NULL);
	if (g->fd >= 0)
		close(g->fd);
	free(g->path);
	*g = (struct run_cgroup){ .fd = -1 };
}

/* Back to where we came from, if nothing else of ours needs the controllers any more. */
static void come_back(struct hutch_run *r)
{
	int parent = r->leaf.fd < 0 ? -1 : openat(r->leaf.fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[256];

	for (size_t i = 0; parent >= 0 && i < r->plan->cgroup_count; i++) {
		if (!r->plan->cgroups[i].leave)
			continue;
		snprintf(text, sizeof text, "%s", r->plan->cgroups[i].enable);
		for (char *s = text; *s; s++)
			*s = *s == '+' ? '-' : *s;
		write_at(parent, "cgroup.subtree_control", text);
	}
	if (parent >= 0 && write_at(parent, "cgroup.procs", "0") == 0)
		remove_one(&r->leaf);
	if (parent >= 0)
		close(parent);
	if (r->leaf.fd >= 0)
		close(r->leaf.fd);
	free(r->leaf.path);
	r->leaf = (struct run_cgroup){ .fd = -1 };
}

void cgroup_remove(struct hutch_run *r)
{
	for (size_t i = 0; i < RUN_CGROUPS; i++) {
		remove_one(&r->cgroups[i]);
	}
	end_helper(r); /* and systemd removes the scope */
	come_back(r);
}
