/* Freezing what bounds a whole run: cgroup limits, time, output.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>

#define TIME_MOST_MS UINT64_C(31536000000) /* a year: beyond it is a slip */

static struct policy_limit *limit_of(struct freeze *f, enum limit_kind kind, enum key_id key)
{
	struct policy_limit *l = &f->policy->limits[kind];

	l->given = true;
	l->key = key;
	return l;
}

static int freeze_numbers(struct freeze *f)
{
	static const struct { enum key_id key; enum limit_kind kind; } numbers[] = {
		{ KEY_MEMORY, LIMIT_MEMORY }, { KEY_MEMORY_HIGH, LIMIT_MEMORY_HIGH }, { KEY_MEMORY_LOW, LIMIT_MEMORY_LOW },
		{ KEY_MEMORY_MIN, LIMIT_MEMORY_MIN }, { KEY_SWAP, LIMIT_SWAP }, { KEY_PIDS, LIMIT_PIDS },
		{ KEY_CPU_WEIGHT, LIMIT_CPU_WEIGHT }, { KEY_IO_WEIGHT, LIMIT_IO_WEIGHT },
	};

	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		const struct draft_line *l = f->winner[numbers[i].key];
		if (!l)
			continue;
		struct policy_limit *out = limit_of(f, numbers[i].kind, numbers[i].key);
		if (get_number(f, numbers[i].key, &out->n) < 0)
			return -1;
		if ((numbers[i].kind == LIMIT_CPU_WEIGHT || numbers[i].kind == LIMIT_IO_WEIGHT) && out->n > 10000)
			return bad_value(f, l, "it is more than 10000");
		if (numbers[i].kind == LIMIT_PIDS && out->n > 4194304)
			return bad_value(f, l, "it is more than the 4194304 that Linux can have");
	}
	return 0;
}

static int freeze_flags(struct freeze *f)
{
	static const struct { enum key_id key; enum limit_kind kind; } flags[] = { { KEY_OOM_GROUP, LIMIT_OOM_GROUP }, { KEY_CPU_IDLE, LIMIT_CPU_IDLE } };

	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		bool yes;
		if (!f->winner[flags[i].key])
			continue;
		if (get_bool(f, flags[i].key, &yes) < 0)
			return -1;
		limit_of(f, flags[i].kind, flags[i].key)->n = yes;
	}
	return 0;
}

/* Processors as a decimal number; kept in thousandths. */
static int freeze_cpus(struct freeze *f)
{
	const struct draft_line *l = f->winner[KEY_CPUS];
	uint64_t ms;

	if (!l)
		return 0;
	/* A plain number with a fraction is what seconds look like too; units are not. */
	if (strspn(l->value, "0123456789.") != strlen(l->value) || parse_seconds_ms(l->value, &ms) < 0)
		return bad_value(f, l, "it isn't a number like 2 or 0.5");
	if (ms < 10)
		return bad_value(f, l, "it is less than 0.01, the kernel's least");
	if (ms > 8192000)
		return bad_value(f, l, "it is more than 8192, the most processors that Linux drives");
	limit_of(f, LIMIT_CPUS, KEY_CPUS)->n = ms;
	return 0;
}

static int get_time(struct freeze *f, enum key_id key, uint64_t least, uint64_t *out)
{
	struct draft_line l = line_of(f, key);

	if (!l.value)
		return 0;
	if (parse_seconds_ms(l.value, out) < 0)
		return bad_value(f, &l, "it isn't a time like 300ms, 1.5s, 2m, 1h");
	if (*out < least)
		return bad_value(f, &l, "it is less than %llums", (unsigned long long)least);
	if (*out > TIME_MOST_MS)
		return bad_value(f, &l, "it is more than a year");
	return 0;
}

static int freeze_times(struct freeze *f)
{
	struct policy *p = f->policy;
	uint64_t burst = 0;

	if (get_time(f, KEY_WALL_TIME, 1, &p->wall_ms) < 0 || get_time(f, KEY_CPU_TIME, 1, &p->cpu_ms) < 0 ||
	    get_time(f, KEY_GRACE, 0, &p->grace_ms) < 0 || get_time(f, KEY_CPU_BURST, 1, &burst) < 0)
		return -1;
	if (f->winner[KEY_CPU_BURST])
		limit_of(f, LIMIT_CPU_BURST, KEY_CPU_BURST)->n = burst * 1000;
	return 0;
}

static int freeze_sets(struct freeze *f)
{
	static const struct { enum key_id key; enum limit_kind kind; } sets[] = { { KEY_CPUSET_CPUS, LIMIT_CPUSET_CPUS }, { KEY_CPUSET_MEMS, LIMIT_CPUSET_MEMS } };

	for (size_t i = 0; i < COUNT_OF(sets); i++) {
		const struct draft_line *l = f->winner[sets[i].key];
		if (!l)
			continue;
		if (!*l->value || strspn(l->value, "0123456789,-") != strlen(l->value))
			return bad_value(f, l, "it isn't a list of numbers and ranges");
		limit_of(f, sets[i].kind, sets[i].key)->text = l->value;
	}
	return 0;
}

static struct named_limit *add_named(struct freeze *f, struct named_limit **list, size_t *count, size_t *cap)
{
	struct named_limit *grown = arena_grow(f->arena, *list, *count, cap, sizeof *grown);

	if (!grown) {
		error_nomem(f->error);
		return NULL;
	}
	*list = grown;
	return &grown[(*count)++];
}

static bool is_device_number(const char *s)
{
	size_t major = strspn(s, "0123456789"), minor = s[major] == ':' ? strspn(s + major + 1, "0123456789") : 0;

	return major && major < 6 && minor && minor < 8 && !s[major + 1 + minor];
}

/* "rbps=N wbps=N riops=N wiops=N" with sizes written out, as the kernel wants them. */
static int io_rates(struct freeze *f, const struct draft_line *l, const char *rest, const char **out)
{
	static const char *const names[] = { "rbps", "wbps", "riops", "wiops" };
	const char *text = "";

	while (rest) {
		char *part = next_part(f, &rest, ' ');
		char *equals = part ? strchr(part, '=') : NULL;
		uint64_t n = 0;
		size_t k = 0;
		if (!part)
			return error_nomem(f->error);
		if (!*part)
			continue;
		while (equals && k < COUNT_OF(names) && (strlen(names[k]) != (size_t)(equals - part) || memcmp(names[k], part, (size_t)(equals - part))))
			k++;
		if (!equals || k == COUNT_OF(names))
			return bad_value(f, l, "\"%.40s\" is none of rbps= wbps= riops= wiops=", part);
		if (parse_size(equals + 1, &n) < 0 || !n)
			return bad_value(f, l, "\"%.40s\" isn't a number above 0", part);
		text = arena_printf(f->arena, "%s%s%s=%llu", text, *text ? " " : "", names[k], (unsigned long long)n);
		if (!text)
			return error_nomem(f->error);
	}
	if (!*text)
		return bad_value(f, l, "it names no rate");
	*out = text;
	return 0;
}

static int add_io_max(struct freeze *f, const struct draft_line *l, size_t *cap)
{
	const char *rest = l->value, *text = NULL;
	char *device = next_part(f, &rest, ' ');
	struct named_limit *n;

	if (!device)
		return error_nomem(f->error);
	if (!is_device_number(device))
		return bad_value(f, l, "it doesn't start with MAJOR:MINOR of a block device (lsblk shows them)");
	if (!rest)
		return bad_value(f, l, "it names no rate");
	if (io_rates(f, l, rest, &text) < 0)
		return -1;
	n = add_named(f, &f->policy->io_max, &f->policy->io_max_count, cap);
	if (!n)
		return -1;
	*n = (struct named_limit){ device, text, l->origin, l->key };
	return 0;
}

/* Files that would move processes or change the tree are no limits. */
static bool is_limit_file(const char *name)
{
	return strchr(name, '.') && name[0] != '.' && !strchr(name, '/') && strncmp(name, "cgroup.", 7) && strcmp(name, "notify_on_release");
}

static int add_cgroup_set(struct freeze *f, const struct draft_line *l, size_t *cap)
{
	const char *rest = l->value;
	char *file = next_part(f, &rest, '=');
	struct named_limit *n;

	if (!file)
		return error_nomem(f->error);
	if (!rest || !*rest)
		return bad_value(f, l, "there is no value: write FILE=VALUE");
	if (!is_limit_file(file) || strchr(rest, '\n'))
		return bad_value(f, l, "\"%.60s\" isn't the name of a controller's file", file);
	n = add_named(f, &f->policy->cgroup_set, &f->policy->cgroup_set_count, cap);
	if (!n)
		return -1;
	*n = (struct named_limit){ file, rest, l->origin, l->key };
	return 0;
}

static int add_file(struct freeze *f, const struct draft_line *l, size_t *cap, const char *file, const char *value)
{
	struct named_limit *n = file && value ? add_named(f, &f->policy->cgroup_set, &f->policy->cgroup_set_count, cap) : NULL;

	if (!n)
		return file && value ? -1 : error_nomem(f->error);
	*n = (struct named_limit){ file, value, l->origin, l->key };
	return 0;
}

/* 64KB, 2MB, 1GB: so the kernel calls its files. */
static bool is_page_size(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && n < 6 && s[n] && strchr("KMG", s[n]) && !strcmp(s + n + 1, "B");
}

static int add_hugetlb(struct freeze *f, const struct draft_line *l, size_t *cap)
{
	const char *rest = l->value;
	char *size = next_part(f, &rest, '=');
	uint64_t bytes;

	if (!size)
		return error_nomem(f->error);
	if (!is_page_size(size))
		return bad_value(f, l, "\"%.60s\" is no size of a huge page, as 2MB (/sys/kernel/mm/hugepages shows them in kB)", size);
	if (!rest || parse_size(rest, &bytes) < 0)
		return bad_value(f, l, "there is no size after PAGESIZE=");
	return add_file(f, l, cap, arena_printf(f->policy->arena, "hugetlb.%s.max", size), arena_printf(f->policy->arena, "%llu", (unsigned long long)bytes));
}

/* NAME=N or NAME=max. */
static bool is_count(const char *word, const char *name)
{
	size_t n = strlen(name);
	uint64_t count;

	return !strncmp(word, name, n) && word[n] == '=' && (!strcmp(word + n + 1, "max") || parse_u64(word + n + 1, &count) == 0);
}

static bool is_resource(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(s);
}

static int add_rdma(struct freeze *f, const struct draft_line *l, size_t *cap)
{
	const char *rest = l->value;
	char *device = next_part(f, &rest, ' ');

	if (!device)
		return error_nomem(f->error);
	if (!is_resource(device) || !rest)
		return bad_value(f, l, "it doesn't start with the name of a device (/sys/class/infiniband), or names no limit");
	while (rest) {
		char *word = next_part(f, &rest, ' ');
		if (!word)
			return error_nomem(f->error);
		if (!is_count(word, "hca_handle") && !is_count(word, "hca_object"))
			return bad_value(f, l, "\"%.60s\" is neither hca_handle=N nor hca_object=N", word);
	}
	return add_file(f, l, cap, "rdma.max", l->value);
}

static int add_misc(struct freeze *f, const struct draft_line *l, size_t *cap)
{
	const char *rest = l->value;
	char *name = next_part(f, &rest, '=');
	uint64_t n;

	if (!name)
		return error_nomem(f->error);
	if (!is_resource(name) || !rest || (strcmp(rest, "max") && parse_u64(rest, &n) < 0))
		return bad_value(f, l, "it isn't RESOURCE=N, with a name that misc.capacity lists");
	return add_file(f, l, cap, "misc.max", arena_printf(f->policy->arena, "%s %s", name, rest));
}

static int freeze_named(struct freeze *f)
{
	size_t io_cap = 0, set_cap = 0;

	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		if (l->key == KEY_IO_MAX && add_io_max(f, l, &io_cap) < 0)
			return -1;
		if (l->key == KEY_CGROUP_SET && add_cgroup_set(f, l, &set_cap) < 0)
			return -1;
		if (l->key == KEY_HUGETLB && add_hugetlb(f, l, &set_cap) < 0)
			return -1;
		if (l->key == KEY_RDMA && add_rdma(f, l, &set_cap) < 0)
			return -1;
		if (l->key == KEY_MISC && add_misc(f, l, &set_cap) < 0)
			return -1;
	}
	return 0;
}

static int freeze_parent(struct freeze *f)
{
	const struct draft_line *l = f->winner[KEY_CGROUP_PARENT];
	uint64_t fd;

	if (!l)
		return 0;
	if (!strncmp(l->value, "fd:", 3)) {
		if (parse_u64(l->value + 3, &fd) < 0 || fd > 1 << 20)
			return bad_value(f, l, "what follows fd: is no number of a descriptor");
		f->policy->cgroup_parent = arena_printf(f->arena, "/proc/self/fd/%u", (unsigned)fd);
		return f->policy->cgroup_parent ? 0 : error_nomem(f->error);
	}
	if (l->value[0] != '/' || strstr(l->value, "/.."))
		return bad_value(f, l, "it is neither a name from the top (/NAME), nor a directory, nor fd:N");
	f->policy->cgroup_parent = l->value;
	return 0;
}

static int freeze_output(struct freeze *f)
{
	struct policy *p = f->policy;
	const struct { enum key_id key; const char **out; } files[] = { { KEY_STDOUT, &p->stdout_file }, { KEY_STDERR, &p->stderr_file } };

	if (f->winner[KEY_OUTPUT_MAX]) {
		p->output_limited = true;
		if (get_number(f, KEY_OUTPUT_MAX, &p->output_max) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		const struct draft_line *l = f->winner[files[i].key];
		if (!l)
			continue;
		if (!*l->value)
			return bad_value(f, l, "it is empty");
		*files[i].out = source_path(f, l, l->value);
		if (!*files[i].out)
			return -1;
	}
	return 0;
}

bool policy_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return n && n <= POLICY_NAME_MOST && !name[n] && name[0] != '.' && name[0] != '-';
}

static int freeze_name(struct freeze *f)
{
	const struct draft_line *l = f->winner[KEY_NAME];

	if (l && !policy_name_valid(l->value))
		return bad_value(f, l, "it must begin with a letter, digit or _ and hold no other characters");
	f->policy->name = l ? l->value : NULL;
	return 0;
}

static bool wants_cgroup(const struct policy *p)
{
	for (size_t i = 0; i < LIMIT_KINDS; i++) {
		if (p->limits[i].given)
			return true;
	}
	return p->io_max_count || p->cgroup_set_count;
}

bool policy_limits(const struct policy *p)
{
	return wants_cgroup(p) || p->cpu_ms || p->cgroup == CGROUP_YES;
}

static enum key_id first_limit(const struct policy *p)
{
	for (size_t i = 0; i < LIMIT_KINDS; i++) {
		if (p->limits[i].given)
			return p->limits[i].key;
	}
	return p->io_max_count ? KEY_IO_MAX : p->cgroup_set[0].key;
}

static int check_run(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (p->cgroup == CGROUP_NO && wants_cgroup(p) && !p->limits_prefer && f->winner[first_limit(p)]->strength == STRENGTH_REQUIRED)
		return conflict(f, KEY_CGROUP, first_limit(p), "a cgroup is what enforces it; limits = prefer takes a stand-in");
	if (p->tty == TTY_PRIVATE && (p->output_limited || p->stdout_file || p->stderr_file))
		return conflict(f, KEY_TTY, p->output_limited ? KEY_OUTPUT_MAX : p->stdout_file ? KEY_STDOUT : KEY_STDERR, "what a terminal shows isn't counted or kept");
	if (p->limits[LIMIT_CPU_BURST].given && !p->limits[LIMIT_CPUS].given)
		return conflict(f, KEY_CPU_BURST, KEY_CPUS, "time can be saved up only within a limit: give cpus too");
	if (p->limits[LIMIT_OOM_GROUP].given && !p->limits[LIMIT_MEMORY].given)
		return conflict(f, KEY_OOM_GROUP, KEY_MEMORY, "without a limit nothing runs out: give memory too");
	return 0;
}

int freeze_run(struct freeze *f)
{
	struct policy *p = f->policy;
	unsigned cgroup = 0, limits = 0, denied = 0;

	if (get_choice(f, KEY_CGROUP, &cgroup) < 0 || get_choice(f, KEY_LIMITS, &limits) < 0 || get_choice(f, KEY_ON_DENIED, &denied) < 0)
		return -1;
	p->cgroup = cgroup;
	p->limits_prefer = limits == 1;
	p->denied_kill = denied == 1;
	if (freeze_numbers(f) < 0 || freeze_flags(f) < 0 || freeze_cpus(f) < 0 || freeze_times(f) < 0 || freeze_sets(f) < 0 ||
	    freeze_named(f) < 0 || freeze_parent(f) < 0 || freeze_output(f) < 0 || freeze_name(f) < 0)
		return -1;
	return check_run(f);
}
