/* New limits for a run that is there: the keys, checks and files of a launch, for the cgroup that the run has.
 * Runs in: parent. */
#include "lib/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "layer/layer.h"


struct update {
	hutch_entry *entry;
	hutch_plan *plan;                /* holds policy, host and what is to be written */
	int fds[ENTRY_CGROUPS];
	struct hutch_error *error;
};

/* A file that tells which controllers a directory has. */
static const struct { enum controller c; const char *v2, *v1; } marks[] = {
	{ CG_MEMORY, "memory.current", "memory.usage_in_bytes" }, { CG_CPU, "cpu.weight", "cpu.shares" }, { CG_PIDS, "pids.current", "pids.current" },
	{ CG_CPUSET, "cpuset.cpus", "cpuset.cpus" }, { CG_IO, "io.stat", "blkio.throttle.io_serviced" }, { CG_HUGETLB, "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes" },
	{ CG_RDMA, "rdma.max", "rdma.max" }, { CG_MISC, "misc.max", "misc.max" },
};

/* The compiler of plans is told of a host on which the run's own cgroups are the place to write to. */
static size_t describe(struct update *u)
{
	struct host *h = &u->plan->host;
	size_t found = 0;

	for (size_t i = 0; i < u->entry->text.cgroup_count; i++) {
		unsigned version = u->entry->text.cgroups[i].version;
		u->fds[i] = entry_cgroup(u->entry, i);
		if (u->fds[i] < 0)
			continue;
		found++;
		for (size_t k = 0; k < COUNT_OF(marks); k++) {
			if (faccessat(u->fds[i], version == 2 ? marks[k].v2 : marks[k].v1, F_OK, 0) == 0)
				h->cgroup[marks[k].c] = (struct host_cgroup){ .version = version, .parent = u->entry->text.cgroups[i].path, .writable = true, .enabled = true };
		}
		h->swap_limit = h->swap_limit || faccessat(u->fds[i], version == 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", F_OK, 0) == 0;
	}
	return found;
}

static int refuse_others(const hutch_policy *p, struct hutch_error *e)
{
	for (size_t i = 0; i < p->draft.count; i++) {
		const struct draft_line *l = &p->draft.lines[i];
		if (!cgroup_key(l->key))
			return error_set(e, ERR_ENTRY_KEY, 0, NULL, key_rows[l->key].name, l->origin);
	}
	return p->draft.count ? 0 : error_set(e, ERR_ENTRY_KEY, 0, NULL, "no limit is named", NULL);
}

static int fd_of(const struct update *u, const char *path)
{
	for (size_t i = 0; i < u->entry->text.cgroup_count; i++) {
		if (u->fds[i] >= 0 && !strcmp(u->entry->text.cgroups[i].path, path))
			return u->fds[i];
	}
	return -1;
}

static int write_error(const struct update *u, const struct cgroup_write *w, int errnum, const char *call)
{
	error_set(u->error, ERR_ENTRY_UPDATE, errnum, call, w->file, w->origin);
	return error_detail(u->error, "%s in %s", w->value, u->plan->plan.cgroups[w->dir].parent);
}

/* The first number of both agrees, or neither is one: the kernel rounds bytes to pages. */
static bool agrees(const char *asked, const char *got)
{
	char *end_a, *end_g;
	unsigned long long a = strtoull(asked, &end_a, 10), g = strtoull(got, &end_g, 10);

	if (end_a == asked || end_g == got || *end_a == ':' || *end_g == ':')
		return true;
	return a == g || (a > g && a - g < 65536);
}

static int write_one(const struct update *u, const struct cgroup_write *w)
{
	char text[4096];
	int fd = fd_of(u, u->plan->plan.cgroups[w->dir].parent), r = fd < 0 ? -ENOENT : entry_write(fd, w->file, w->value);

	if (r < 0)
		return write_error(u, w, -r, "write");
	if (entry_read(fd, w->file, text, sizeof text) > 0 && !agrees(w->value, text)) {
		text[strcspn(text, "\n")] = '\0';
		write_error(u, w, 0, NULL);
		return error_detail(u->error, "it was set to %s and the kernel says %s", w->value, text);
	}
	return 0;
}

static bool is_file(const struct cgroup_write *w, const char *name)
{
	return !strcmp(w->file, name);
}

/* Version 1 counts memory alone, and memory with swap, and the second limit is never below the first: who grows sets the
 * second first. */
static int write_all(struct update *u)
{
	struct plan *p = &u->plan->plan;

	for (size_t i = 0; i + 1 < p->cgroup_write_count; i++) {
		struct cgroup_write *w = &p->cgroup_writes[i], swapped = w[1];
		char text[64];
		int fd = fd_of(u, p->cgroups[w->dir].parent);
		if (!is_file(w, "memory.limit_in_bytes") || !is_file(&w[1], "memory.memsw.limit_in_bytes") || entry_read(fd, w->file, text, sizeof text) <= 0)
			continue;
		if (strtoull(w->value, NULL, 10) > strtoull(text, NULL, 10)) {
			w[1] = w[0];
			w[0] = swapped;
		}
	}
	for (size_t i = 0; i < p->cgroup_write_count; i++) {
		if (write_one(u, &p->cgroup_writes[i]) < 0)
			return -1;
	}
	return 0;
}

/* What the run has of swap stays as it is when only its memory changes; one that had no limit of it gets none to
 * escape into, as at a launch. Version 1 has no number for swap alone. */
static void keep_swap(struct update *u)
{
	struct policy *p = &u->plan->policy;
	unsigned version = u->plan->host.cgroup[CG_MEMORY].version;
	char memory[64], both[64];
	uint64_t m, b;

	if (!p->limits[LIMIT_MEMORY].given || p->limits[LIMIT_SWAP].given || !u->plan->host.swap_limit)
		return;
	for (size_t i = 0; i < u->entry->text.cgroup_count; i++) {
		if (u->fds[i] < 0 || entry_read(u->fds[i], version == 2 ? "memory.max" : "memory.limit_in_bytes", memory, sizeof memory) <= 0 ||
		    entry_read(u->fds[i], version == 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", both, sizeof both) <= 0)
			continue;
		m = strtoull(memory, NULL, 10);
		b = strtoull(both, NULL, 10);
		if (version == 2 && strncmp(both, "max", 3))
			return;
		p->limits[LIMIT_SWAP] = (struct policy_limit){ true, KEY_SWAP, version == 1 && b < LIMITLESS && m < b ? b - m : 0, NULL };
		return;
	}
}

/* What a launch says of a missing controller isn't true of a run that is there. */
static int lacking(struct update *u, const struct hutch_error *why)
{
	char what[256];

	if (why->id != ERR_CGROUP_NONE) {
		if (u->error)
			*u->error = *why;
		return -1;
	}
	copy_bounded(what, sizeof what, why->subject);
	error_set(u->error, ERR_ENTRY_NO_CGROUP, 0, NULL, u->entry->file, why->origin);
	return error_detail(u->error, "its cgroup can't hold %s here", what);
}

static int compile(struct update *u, const hutch_policy *limits)
{
	struct hutch_error why = { 0 };
	struct build b = { .policy = &u->plan->policy, .host = &u->plan->host, .plan = &u->plan->plan, .error = &why };

	if (policy_of_lines(limits, u->plan, u->error) < 0)
		return -1;
	u->plan->plan.arena = &u->plan->arena;
	u->plan->plan.policy = &u->plan->policy;
	u->plan->policy.init = u->entry->text.init; /* one task more than the program's */
	if (!describe(u)) {
		error_set(u->error, ERR_ENTRY_NO_CGROUP, 0, NULL, u->entry->file, NULL);
		return error_detail(u->error, "it has none of its own");
	}
	keep_swap(u);
	return cgroup_update_compile(&b) < 0 ? lacking(u, &why) : 0;
}

int hutch_entry_update(hutch_entry *n, const hutch_policy *limits, struct hutch_error *e)
{
	struct update u = { .entry = n, .error = e, .plan = calloc(1, sizeof *u.plan) };
	int r;

	if (!u.plan)
		return error_nomem(e);
	arena_init(&u.plan->arena);
	u.plan->host.arena = &u.plan->arena;
	for (size_t i = 0; i < ENTRY_CGROUPS; i++)
		u.fds[i] = -1;
	r = refuse_others(limits, e) < 0 || compile(&u, limits) < 0 ? -1 : write_all(&u);
	for (size_t i = 0; i < ENTRY_CGROUPS; i++) {
		if (u.fds[i] >= 0)
			close(u.fds[i]);
	}
	hutch_plan_free(u.plan);
	return r;
}
