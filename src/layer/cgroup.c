/* Limits of the whole run: which cgroup files hold them, where the cgroup is made, and the stand-ins without one.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>

#include "sys/uapi.h"

#define STANDIN_SLACK (8u << 20)
#define PID_RESERVED 300u /* numbers that the kernel gives out once only */
#define PID_SLACK 64u     /* numbers of dead leaders whose groups live on */
#define PID_MAX_MOST 4194304u /* the kernel's own */
#define PERIOD_US 100000u /* cpu.max: the kernel's own default period */

struct file_row { enum limit_kind kind; enum controller controller; const char *v2, *v1, *what; };
/* v1 NULL: there is no such limit in version 1. */
static const struct file_row files[] = {
	{ LIMIT_MEMORY, CG_MEMORY, "memory.max", "memory.limit_in_bytes", "memory" },
	{ LIMIT_SWAP, CG_MEMORY, "memory.swap.max", "memory.memsw.limit_in_bytes", "swap" },
	{ LIMIT_MEMORY_HIGH, CG_MEMORY, "memory.high", NULL, "memory-high" },
	{ LIMIT_MEMORY_LOW, CG_MEMORY, "memory.low", NULL, "memory-low" },
	{ LIMIT_MEMORY_MIN, CG_MEMORY, "memory.min", NULL, "memory-min" },
	{ LIMIT_OOM_GROUP, CG_MEMORY, "memory.oom.group", NULL, "oom-group" },
	{ LIMIT_CPUS, CG_CPU, "cpu.max", "cpu.cfs_quota_us", "cpus" },
	{ LIMIT_CPU_BURST, CG_CPU, "cpu.max.burst", "cpu.cfs_burst_us", "cpu-burst" },
	{ LIMIT_CPU_WEIGHT, CG_CPU, "cpu.weight", "cpu.shares", "cpu-weight" },
	{ LIMIT_CPU_IDLE, CG_CPU, "cpu.idle", "cpu.idle", "cpu-idle" },
	{ LIMIT_PIDS, CG_PIDS, "pids.max", "pids.max", "pids" },
	{ LIMIT_IO_WEIGHT, CG_IO, "io.weight", "blkio.bfq.weight", "io-weight" },
	{ LIMIT_CPUSET_CPUS, CG_CPUSET, "cpuset.cpus", "cpuset.cpus", "cpuset-cpus" },
	{ LIMIT_CPUSET_MEMS, CG_CPUSET, "cpuset.mems", "cpuset.mems", "cpuset-mems" },
};

struct limiter {
	struct build *b;
	bool scope;                 /* by way of systemd */
	bool oom_default, swap_default; /* they come with memory */
};

static struct arena *arena_of(const struct limiter *l)
{
	return l->b->plan->arena;
}

/* ---- where ---- */
static bool own_usable(const struct host *h, enum controller c)
{
	const struct host_cgroup *g = &h->cgroup[c];

	if (!g->version || !g->writable)
		return false;
	return g->version == 1 || g->enabled || h->cgroup2_procs != CGROUP_OTHERS;
}

static bool scope_usable(const struct host *h, enum controller c)
{
	return h->cgroup_manager && h->scope_helper && h->cgroup[c].version != 1;
}

static const char *why_not(const struct limiter *l, enum controller c)
{
	const struct host *h = l->b->host;
	const struct host_cgroup *g = &h->cgroup[c];
	const char *name = host_controller_names[c];

	if (l->b->policy->cgroup == CGROUP_NO)
		return "cgroup = no";
	if (!g->version)
		return arena_printf(arena_of(l), "the %s controller isn't offered %s", name,
				    l->b->policy->cgroup_parent ? "below that cgroup" : "in the cgroup that hutch was started in");
	if (!g->writable)
		return arena_printf(arena_of(l), "%s isn't delegated to the caller%s", g->parent, l->b->policy->cgroup_parent ? ", or isn't there" : "");
	return arena_printf(arena_of(l), "%s holds other processes, so its %s controller can't be enabled", g->parent, name);
}

static bool obtainable(const struct limiter *l, enum controller c)
{
	if (l->b->policy->cgroup == CGROUP_NO)
		return false;
	return l->scope ? scope_usable(l->b->host, c) : own_usable(l->b->host, c);
}

bool cgroup_wants_pid_max(const struct policy *p, const struct host *h)
{
	bool prefer = p->limits_prefer || p->strength[KEY_PIDS] == STRENGTH_PREFERRED;

	if (!p->limits[LIMIT_PIDS].given || !prefer || p->ns[NS_PID].how != NS_NEW)
		return false;
	return p->cgroup == CGROUP_NO || (!own_usable(h, CG_PIDS) && !scope_usable(h, CG_PIDS));
}

/* Index of the plan's cgroup that carries this controller; made on first use. */
static int dir_of(struct limiter *l, enum controller c)
{
	struct plan *p = l->b->plan;
	const struct host_cgroup *g = &l->b->host->cgroup[c];
	unsigned version = l->scope ? 2 : g->version;
	struct cgroup_dir *grown;

	for (size_t i = 0; i < p->cgroup_count; i++) {
		struct cgroup_dir *d = &p->cgroups[i];
		if (d->version == version && (version == 2 || !strcmp(d->parent, g->parent))) {
			d->controllers |= 1u << c;
			return (int)i;
		}
	}
	grown = arena_grow(p->arena, p->cgroups, p->cgroup_count, &p->cgroup_cap, sizeof *grown);
	if (!grown)
		return error_nomem(l->b->error);
	p->cgroups = grown;
	grown[p->cgroup_count] = (struct cgroup_dir){ .version = version, .parent = l->scope ? NULL : g->parent, .controllers = 1u << c };
	return (int)p->cgroup_count++;
}

static int add_write(struct limiter *l, int dir, const char *file, const char *value, const char *origin)
{
	struct plan *p = l->b->plan;
	struct cgroup_write *grown = arena_grow(p->arena, p->cgroup_writes, p->cgroup_write_count, &p->cgroup_write_cap, sizeof *grown);

	if (!grown || dir < 0)
		return dir < 0 ? -1 : error_nomem(l->b->error);
	p->cgroup_writes = grown;
	grown[p->cgroup_write_count++] = (struct cgroup_write){ (unsigned)dir, file, value, origin };
	return 0;
}

/* ---- values, as the kernel writes them ---- */
static const char *number(const struct limiter *l, uint64_t n)
{
	return arena_printf(arena_of(l), "%llu", (unsigned long long)n);
}

static const char *readable(const struct limiter *l, const struct file_row *f, const struct policy_limit *want)
{
	if (want->text)
		return want->text;
	if (f->kind == LIMIT_CPUS)
		return arena_printf(arena_of(l), "%llu.%03llu", (unsigned long long)(want->n / 1000), (unsigned long long)(want->n % 1000));
	if (f->kind == LIMIT_CPU_BURST)
		return arena_printf(arena_of(l), "%llu us", (unsigned long long)want->n);
	if (f->kind == LIMIT_CPU_IDLE || f->kind == LIMIT_OOM_GROUP)
		return want->n ? "yes" : "no";
	if (f->controller == CG_MEMORY && want->n && want->n % (1u << 20) == 0)
		return arena_printf(arena_of(l), "%lluM", (unsigned long long)(want->n >> 20));
	return number(l, want->n);
}

/* Weight 100 is 1024 shares; the kernel's least are 2. */
static uint64_t shares(uint64_t weight)
{
	uint64_t n = weight * 1024 / 100;

	return n < 2 ? 2 : n;
}

static const char *value_for(const struct limiter *l, const struct file_row *f, unsigned version, const struct policy_limit *want)
{
	uint64_t quota = want->n * PERIOD_US / 1000;

	switch (f->kind) {
	case LIMIT_CPUS:
		return version == 2 ? arena_printf(arena_of(l), "%llu %u", (unsigned long long)quota, PERIOD_US) : number(l, quota);
	case LIMIT_CPU_WEIGHT:
		return number(l, version == 2 ? want->n : shares(want->n));
	case LIMIT_SWAP: /* version 1 counts memory and swap together */
		return number(l, version == 2 ? want->n : want->n + l->b->policy->limits[LIMIT_MEMORY].n);
	case LIMIT_PIDS: /* our init is one more */
		return number(l, want->n + (l->b->policy->init ? 1 : 0));
	case LIMIT_IO_WEIGHT:
		return arena_printf(arena_of(l), version == 2 ? "default %llu" : "%llu", (unsigned long long)want->n);
	default:
		return want->text ? want->text : number(l, want->n);
	}
}

/* ---- one limit ---- */
static int refuse(struct limiter *l, const char *what, const char *why, const char *origin)
{
	error_set(l->b->error, ERR_CGROUP_NONE, 0, NULL, what, origin);
	return error_detail(l->b->error, "%s", why ? why : "memory is out");
}

static bool maps_root(const struct plan *p)
{
	for (size_t i = 0; i < p->uid_extent_count; i++) {
		if (p->uid_extents[i].outside == 0)
			return true;
	}
	return false;
}

/* What the pid namespace may hold altogether, so that changing ids inside doesn't start a new count. It binds later than
 * RLIMIT_NPROC: numbers below 300 are given out once only, and a program that stays within its limit must never meet
 * it. On older kernels the file is the machine's: so it is written only where the probe saw that it isn't, and only by a
 * process that the kernel wouldn't let write the machine's: one whose user id can't be the machine's root. */
static uint64_t own_pid_max(const struct build *b, uint64_t limit)
{
	const struct plan *p = b->plan;
	uint64_t n = limit + PID_RESERVED + PID_SLACK + 1;

	if (!b->host->pid_max_own || !b->host->proc_sys_writable || !p->userns_new || p->joins || p->keep_identity || maps_root(p))
		return 0;
	if (!(p->clone_flags & U_CLONE_NEWPID) || (b->host->euid == 0 && !p->allocate_id))
		return 0;
	return n < PID_MAX_MOST ? n : 0;
}

/* In place of a cgroup. 1 = there is one and its row is written, 0 = none, -1 = error. */
static int stand_in(struct limiter *l, const struct file_row *f, const struct policy_limit *want, const char *why, const char *origin)
{
	struct build *b = l->b;
	const char *asked = readable(l, f, want);

	if (f->kind == LIMIT_MEMORY) {
		b->plan->limits.watch_memory = true;
		/* Above what the launcher watches for: else the program would meet this one alone, and nobody could say which. */
		b->plan->limits.standin_data = want->n + want->n / 8 + STANDIN_SLACK;
		return build_row(b, ROW_WEAKER, "memory", asked, "approximate", "the launcher adds up the processes' memory; RLIMIT_DATA holds each of them",
				 why, origin) < 0 ? -1 : 1;
	}
	if (f->kind == LIMIT_PIDS) {
		const char *means = "RLIMIT_NPROC, counted per sandbox";
		bool counted = b->plan->allocate_id || (b->plan->userns_new && (b->host->kernel_major > 5 || b->host->kernel_minor >= 14));
		if (!counted)
			return 0;
		b->plan->limits.standin_nproc = want->n + (b->policy->init ? 1 : 0);
		b->plan->limits.standin_pid_max = own_pid_max(b, want->n);
		if (b->plan->limits.standin_pid_max) {
			means = arena_printf(b->plan->arena, "RLIMIT_NPROC, counted per sandbox and user id; for all together pid_max %llu of its pid namespace",
					     (unsigned long long)b->plan->limits.standin_pid_max);
			if (!means)
				return error_nomem(b->error);
		}
		return build_row(b, ROW_WEAKER, "pids", asked, asked, means, why, origin) < 0 ? -1 : 1;
	}
	return 0;
}

static bool preferred(const struct limiter *l, enum key_id key)
{
	return l->b->policy->limits_prefer || l->b->policy->strength[key] == STRENGTH_PREFERRED;
}

static int without(struct limiter *l, const struct file_row *f, const struct policy_limit *want, const char *why, const char *origin)
{
	int r;

	if (!why)
		return error_nomem(l->b->error);
	if (!preferred(l, want->key))
		return refuse(l, f->what, why, origin);
	r = stand_in(l, f, want, why, origin);
	if (r)
		return r < 0 ? -1 : 0;
	return build_row(l->b, ROW_MISSING, f->what, readable(l, f, want), "nothing", "-", why, origin);
}

static int limit_compile(struct limiter *l, const struct file_row *f, const struct policy_limit *want, const char *origin)
{
	const struct host *h = l->b->host;
	unsigned version;
	const char *file, *value;
	int dir;

	if (!obtainable(l, f->controller))
		return without(l, f, want, why_not(l, f->controller), origin);
	version = l->scope ? 2 : h->cgroup[f->controller].version;
	file = version == 2 ? f->v2 : f->v1;
	if (!file)
		return without(l, f, want, "version 1 of cgroups, which carries this controller here, has no such limit", origin);
	if (f->kind == LIMIT_SWAP && !h->swap_limit)
		return without(l, f, want, "this kernel doesn't count swap", origin);
	if (f->kind == LIMIT_SWAP && version == 1 && !l->b->policy->limits[LIMIT_MEMORY].given)
		return without(l, f, want, "version 1 of cgroups counts memory and swap together: give memory too", origin);
	value = value_for(l, f, version, want);
	if (!value)
		return error_nomem(l->b->error);
	dir = dir_of(l, f->controller);
	if (f->kind == LIMIT_CPUS && version == 1 && add_write(l, dir, "cpu.cfs_period_us", number(l, PERIOD_US), origin) < 0)
		return -1;
	if (add_write(l, dir, file, value, origin) < 0)
		return -1;
	return build_row(l->b, ROW_ENFORCED, f->what, readable(l, f, want), readable(l, f, want), file,
			 l->scope ? "in a scope made by systemd" : NULL, origin);
}

/* What comes with a memory limit unless it is named: no swap to escape into, and one end for all. */
static int with_memory(struct limiter *l, const struct file_row *f)
{
	static const struct policy_limit no_swap = { true, KEY_SWAP, 0, NULL }, group = { true, KEY_OOM_GROUP, 1, NULL };
	const struct policy *p = l->b->policy;
	const struct policy_limit *want = f->kind == LIMIT_SWAP ? &no_swap : &group;

	if (!p->limits[LIMIT_MEMORY].given || !obtainable(l, CG_MEMORY))
		return 0;
	return limit_compile(l, f, want, "default");
}

/* Version 1 lets nobody into a cpuset that lacks either list. */
static int complete_cpuset(struct limiter *l)
{
	const struct policy *p = l->b->policy;
	bool cpus = p->limits[LIMIT_CPUSET_CPUS].given, mems = p->limits[LIMIT_CPUSET_MEMS].given;

	if (cpus == mems || !obtainable(l, CG_CPUSET) || l->scope || l->b->host->cgroup[CG_CPUSET].version != 1)
		return 0;
	return add_write(l, dir_of(l, CG_CPUSET), cpus ? "cpuset.mems" : "cpuset.cpus", NULL, "default");
}

/* ---- limits by device and by kernel name ---- */
static int io_max_v1(struct limiter *l, int dir, const struct named_limit *n)
{
	static const struct { const char *name, *file; } map[] = {
		{ "rbps=", "blkio.throttle.read_bps_device" }, { "wbps=", "blkio.throttle.write_bps_device" },
		{ "riops=", "blkio.throttle.read_iops_device" }, { "wiops=", "blkio.throttle.write_iops_device" },
	};

	for (const char *s = n->text; *s; s += strcspn(s, " "), s += *s == ' ') {
		for (size_t i = 0; i < COUNT_OF(map); i++) {
			size_t len = strlen(map[i].name);
			if (strncmp(s, map[i].name, len))
				continue;
			const char *value = arena_printf(arena_of(l), "%s %.*s", n->name, (int)strcspn(s + len, " "), s + len);
			if (!value)
				return error_nomem(l->b->error);
			if (add_write(l, dir, map[i].file, value, n->origin) < 0)
				return -1;
		}
	}
	return 0;
}

static int io_max_compile(struct limiter *l, const struct named_limit *n)
{
	struct build *b = l->b;
	const char *value = arena_printf(arena_of(l), "%s %s", n->name, n->text);
	int dir;

	if (!value)
		return error_nomem(b->error);
	if (!obtainable(l, CG_IO)) {
		const char *why = why_not(l, CG_IO);
		return preferred(l, n->key) ? build_row(b, ROW_MISSING, "io-max", value, "nothing", "-", why, n->origin) : refuse(l, "io-max", why, n->origin);
	}
	dir = dir_of(l, CG_IO);
	if (!l->scope && b->host->cgroup[CG_IO].version == 1) {
		if (io_max_v1(l, dir, n) < 0)
			return -1;
	} else if (add_write(l, dir, "io.max", value, n->origin) < 0) {
		return -1;
	}
	return build_row(b, ROW_ENFORCED, "io-max", value, value, "io.max", NULL, n->origin);
}

static int controller_of(const char *file)
{
	size_t n = strcspn(file, ".");

	for (int c = 0; c < CG_CONTROLLERS; c++) {
		if (strlen(host_controller_names[c]) == n && !memcmp(host_controller_names[c], file, n))
			return c;
	}
	return n == 5 && !memcmp(file, "blkio", 5) ? CG_IO : -1;
}

/* The one family of files that version 1 has under another name, and page sizes in it. */
static const char *name_v1(const struct limiter *l, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(name, "hugetlb.", 8) || n < 12 || strcmp(name + n - 4, ".max"))
		return name;
	return arena_printf(arena_of(l), "%.*s.limit_in_bytes", (int)(n - 4), name);
}

static int set_compile(struct limiter *l, const struct named_limit *n)
{
	const char *file;
	int c = controller_of(n->name);
	const char *why = c < 0 ? "no controller that hutch knows has such a file" : why_not(l, (enum controller)c);

	if (c < 0 || !obtainable(l, (enum controller)c)) {
		if (c >= 0 && preferred(l, n->key))
			return build_row(l->b, ROW_MISSING, n->name, n->text, "nothing", "-", why, n->origin);
		return refuse(l, n->name, why, n->origin);
	}
	file = !l->scope && l->b->host->cgroup[c].version == 1 ? name_v1(l, n->name) : n->name;
	if (!file)
		return error_nomem(l->b->error);
	if (add_write(l, dir_of(l, (enum controller)c), file, n->text, n->origin) < 0)
		return -1;
	return build_row(l->b, ROW_ENFORCED, n->name, n->text, n->text, file == n->name ? "the same file" : file, NULL, n->origin);
}

/* ---- the cgroup for its own sake: exact accounting, freezing ---- */
static int add_accounting(struct limiter *l)
{
	static const enum controller counted[] = { CG_MEMORY, CG_PIDS, CG_CPUACCT, CG_CPU, CG_IO, CG_FREEZER };
	struct build *b = l->b;
	bool all = b->policy->cgroup == CGROUP_YES, any = false;

	for (size_t i = 0; i < COUNT_OF(counted); i++) {
		/* A limit of processor time is exact with the controller that counts it. */
		if (!all && !(counted[i] == CG_CPUACCT && (b->policy->cpu_ms || b->plan->cgroup_count)))
			continue;
		if (!obtainable(l, counted[i]))
			continue;
		if (dir_of(l, counted[i]) < 0)
			return -1;
		any = true;
	}
	/* Version 2 counts processor time in every cgroup, and can kill it at once. */
	if (!any && (all || b->policy->cpu_ms) && b->policy->cgroup != CGROUP_NO && b->host->cgroup2.writable && !b->plan->cgroup_count &&
	    b->host->cgroup[CG_CPUACCT].version != 1) {
		struct cgroup_dir *grown = arena_grow(b->plan->arena, b->plan->cgroups, 0, &b->plan->cgroup_cap, sizeof *grown);
		if (!grown)
			return error_nomem(b->error);
		*grown = (struct cgroup_dir){ .version = 2, .parent = b->host->cgroup2.parent };
		b->plan->cgroups = grown;
		b->plan->cgroup_count = 1;
		any = true;
	}
	if (!all)
		return 0;
	if (any)
		return build_row(b, ROW_ENFORCED, "cgroup", "yes", "one of the run's own", b->plan->cgroup_manager ? "a scope made by systemd" : "mkdir", NULL, b->policy->origin[KEY_CGROUP]);
	if (!preferred(l, KEY_CGROUP))
		return refuse(l, "cgroup", why_not(l, CG_CPU), b->policy->origin[KEY_CGROUP]);
	return build_row(b, ROW_MISSING, "cgroup", "yes", "none", "-", why_not(l, CG_CPU), b->policy->origin[KEY_CGROUP]);
}

/* Version 2: what the parent must hand down, and whether the launcher must get out of the way for it. */
static int finish_version2(struct limiter *l)
{
	const struct host *h = l->b->host;

	for (size_t i = 0; i < l->b->plan->cgroup_count; i++) {
		struct cgroup_dir *d = &l->b->plan->cgroups[i];
		const char *enable = NULL;
		for (int c = 0; c < CG_CONTROLLERS && d->version == 2 && !l->scope; c++) {
			if (!(d->controllers & (1u << c)) || h->cgroup[c].enabled || h->cgroup[c].version != 2)
				continue;
			enable = arena_printf(arena_of(l), "%s%s+%s", enable ? enable : "", enable ? " " : "", host_controller_names[c]);
			if (!enable)
				return error_nomem(l->b->error);
		}
		d->enable = enable;
		d->leave = enable && h->cgroup2_procs == CGROUP_SELF;
	}
	return 0;
}

/* Systemd is asked only where our own cgroup won't do for something that it could give. */
static bool needs_scope(const struct build *b)
{
	const struct policy *p = b->policy;

	if (p->cgroup == CGROUP_NO || p->cgroup_parent)
		return false;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		enum controller c = files[i].controller;
		if (p->limits[files[i].kind].given && !own_usable(b->host, c) && scope_usable(b->host, c))
			return true;
	}
	for (size_t i = 0; i < p->cgroup_set_count; i++) {
		int c = controller_of(p->cgroup_set[i].name);
		if (c >= 0 && !own_usable(b->host, (enum controller)c) && scope_usable(b->host, (enum controller)c))
			return true;
	}
	if (p->io_max_count && !own_usable(b->host, CG_IO) && scope_usable(b->host, CG_IO))
		return true;
	return p->cgroup == CGROUP_YES && !own_usable(b->host, CG_MEMORY) && scope_usable(b->host, CG_MEMORY);
}

/* The launcher puts the child into the cgroup first, then the child makes its namespace. */
static int late_namespace(struct build *b)
{
	b->plan->late_cgroupns = b->plan->cgroup_count && (b->plan->clone_flags & U_CLONE_NEWCGROUP);
	if (!b->plan->late_cgroupns)
		return 0;
	b->plan->clone_flags &= ~(uint64_t)U_CLONE_NEWCGROUP;
	for (size_t i = 0; i < b->plan->row_count; i++) {
		if (!strcmp(b->plan->rows[i].what, "cgroup namespace"))
			b->plan->rows[i].means = "unshare, once it is in its cgroup";
	}
	return 0;
}

static int named_compile(struct limiter *l)
{
	const struct policy *p = l->b->policy;

	for (size_t i = 0; i < p->io_max_count; i++) {
		if (io_max_compile(l, &p->io_max[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < p->cgroup_set_count; i++) {
		if (set_compile(l, &p->cgroup_set[i]) < 0)
			return -1;
	}
	return 0;
}

int cgroup_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct limiter l = { .b = b, .scope = needs_scope(b) };

	if (l.scope)
		b->plan->cgroup_manager = b->host->cgroup_manager;
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		const struct policy_limit *want = &p->limits[files[i].kind];
		int r = 0;
		if (want->given)
			r = limit_compile(&l, &files[i], want, p->origin[want->key]);
		else if (files[i].kind == LIMIT_SWAP || files[i].kind == LIMIT_OOM_GROUP)
			r = with_memory(&l, &files[i]);
		if (r < 0)
			return -1;
	}
	if (complete_cpuset(&l) < 0)
		return -1;
	if (named_compile(&l) < 0)
		return -1;
	if (add_accounting(&l) < 0 || finish_version2(&l) < 0)
		return -1;
	return late_namespace(b);
}

/* ---- changing what is there ---- */
int cgroup_update_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct limiter l = { .b = b };

	for (size_t i = 0; i < COUNT_OF(files); i++) {
		const struct policy_limit *want = &p->limits[files[i].kind];
		if (want->given && limit_compile(&l, &files[i], want, p->origin[want->key]) < 0)
			return -1;
	}
	return named_compile(&l);
}

bool cgroup_key(enum key_id key)
{
	static const enum key_id keys[] = {
		KEY_MEMORY, KEY_MEMORY_HIGH, KEY_MEMORY_LOW, KEY_MEMORY_MIN, KEY_SWAP, KEY_OOM_GROUP, KEY_CPUS, KEY_CPU_WEIGHT, KEY_CPU_BURST, KEY_CPU_IDLE,
		KEY_PIDS, KEY_IO_WEIGHT, KEY_IO_MAX, KEY_CPUSET_CPUS, KEY_CPUSET_MEMS, KEY_CGROUP_SET,
		KEY_HUGETLB, KEY_RDMA, KEY_MISC,
	};

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		if (keys[i] == key)
			return true;
	}
	return false;
}
