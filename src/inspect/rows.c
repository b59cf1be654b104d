/* The report as labelled rows of items, the same rows for every process, so that two can stand side by side.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "sys/caps_names.h"

static const struct { const char *section, *label; enum row_form form; } layout[ROWS] = {
	[ROW_USER] = { "identity", "user", FORM_WORDS },
	[ROW_GROUP] = { "identity", "group", FORM_WORDS },
	[ROW_GROUPS] = { "identity", "other groups", FORM_WORDS },
	[ROW_UID_MAP] = { "identity", "user ids", FORM_LINES },
	[ROW_GID_MAP] = { "identity", "group ids", FORM_LINES },
	[ROW_EFFECTIVE] = { "privilege", "effective", FORM_WORDS },
	[ROW_PERMITTED] = { "privilege", "permitted", FORM_WORDS },
	[ROW_INHERITABLE] = { "privilege", "inheritable", FORM_WORDS },
	[ROW_BOUNDING] = { "privilege", "bounding", FORM_WORDS },
	[ROW_AMBIENT] = { "privilege", "ambient", FORM_WORDS },
	[ROW_NO_NEW_PRIVS] = { "privilege", "no_new_privs", FORM_WORDS },
	[ROW_SECCOMP] = { "privilege", "seccomp", FORM_WORDS },
	[ROW_SECUREBITS] = { "privilege", "securebits", FORM_WORDS },
	[ROW_PROCESS] = { "processes", "this one", FORM_WORDS },
	[ROW_PROCESSES] = { "processes", "visible", FORM_WORDS },
	[ROW_ROOT] = { "files", "in /", FORM_WORDS },
	[ROW_SHARED] = { "files", "shared", FORM_WORDS },
	[ROW_CREATE] = { "files", "new file there", FORM_WORDS },
	[ROW_MOUNTS] = { "files", "mounts", FORM_LINES },
	[ROW_INTERFACES] = { "network", "interfaces", FORM_LINES },
	[ROW_HOST_NAME] = { "network", "host name", FORM_WORDS },
	[ROW_DOMAIN] = { "network", "domain", FORM_WORDS },
	[ROW_ENV] = { "inherited", "environment", FORM_WORDS },
	[ROW_FDS] = { "inherited", "descriptors", FORM_LINES },
	[ROW_NAMESPACES] = { "kernel", "namespaces", FORM_LINES },
	[ROW_LIMITS] = { "kernel", "limits", FORM_LINES },
	[ROW_MEMORY] = { "kernel", "memory", FORM_WORDS },
};

__attribute__((format(printf, 3, 4)))
static void item(struct rows *rows, enum row_id id, const char *fmt, ...)
{
	struct row *row = &rows->row[id];
	char **more = realloc(row->items, (row->count + 1) * sizeof *more);
	va_list args;
	int n;

	if (!more) {
		rows->failed = true;
		return;
	}
	row->items = more;
	va_start(args, fmt);
	n = vasprintf(&row->items[row->count], fmt, args);
	va_end(args);
	if (n < 0)
		rows->failed = true;
	else
		row->count++;
}

static void head(struct rows *rows, enum row_id id, const char *fmt, unsigned n)
{
	if (asprintf(&rows->row[id].head, fmt, n) < 0) {
		rows->row[id].head = NULL;
		rows->failed = true;
	}
}

static void unreadable(struct rows *rows, enum row_id id, int errnum)
{
	item(rows, id, "not to be seen: %s", strerror(errnum));
}

static void id_row(struct rows *rows, enum row_id id, const uint32_t v[4])
{
	static const char *const names[] = { "real", "effective", "saved", "fs" };

	if (v[0] == v[1] && v[1] == v[2] && v[2] == v[3]) {
		item(rows, id, "%u", v[0]);
		return;
	}
	for (int i = 0; i < 4; i++)
		item(rows, id, "%s %u", names[i], v[i]);
}

static void map_row(struct rows *rows, enum row_id id, const struct seen_map *m)
{
	if (m->errnum)
		unreadable(rows, id, m->errnum);
	else if (!m->total)
		item(rows, id, "none is mapped");
	for (uint32_t i = 0; i < m->kept; i++) {
		const struct seen_extent *x = &m->extent[i];
		if (x->inside == 0 && x->outside == 0 && x->count == UINT32_MAX)
			item(rows, id, "all, as they are");
		else if (x->count == 1)
			item(rows, id, "only %u, outside %u", x->inside, x->outside);
		else
			item(rows, id, "%u-%u, outside %u-%u", x->inside, x->inside + x->count - 1, x->outside,
			     x->outside + x->count - 1);
	}
	rows->row[id].more = m->total - m->kept;
}

static void identity_rows(struct rows *rows, const struct report *r)
{
	id_row(rows, ROW_USER, r->uid);
	id_row(rows, ROW_GROUP, r->gid);
	for (uint32_t i = 0; i < r->groups.kept; i++)
		item(rows, ROW_GROUPS, "%u", r->groups.id[i]);
	rows->row[ROW_GROUPS].more = r->groups.total - r->groups.kept;
	if (r->groups.errnum)
		unreadable(rows, ROW_GROUPS, r->groups.errnum);
	else if (!r->groups.total)
		item(rows, ROW_GROUPS, "none");
	map_row(rows, ROW_UID_MAP, &r->uid_map);
	map_row(rows, ROW_GID_MAP, &r->gid_map);
}

static void cap_row(struct rows *rows, const struct report *r, enum row_id id, uint64_t set)
{
	uint64_t all = r->cap_count >= 64 ? UINT64_MAX : (1ull << r->cap_count) - 1;
	unsigned in = (unsigned)__builtin_popcountll(set & all);
	bool missing = in > r->cap_count / 2; /* the shorter list is told */
	bool first = true;

	if (r->caps_errnum || !r->cap_count) {
		unreadable(rows, id, r->caps_errnum ? r->caps_errnum : ENOSYS);
		return;
	}
	if (in == r->cap_count || in == 0) {
		item(rows, id, in ? "all %u" : "none", in);
		return;
	}
	for (unsigned n = 0; n < r->cap_count; n++) {
		const char *name = cap_name(n), *lead = missing && first ? "all but " : "";
		if ((set >> n & 1) == missing)
			continue;
		if (name)
			item(rows, id, "%s%s", lead, name + strlen("cap_"));
		else
			item(rows, id, "%s%u", lead, n);
		first = false;
	}
}

static void securebits_row(struct rows *rows, int value)
{
	static const char *const names[] = { "noroot", "noroot-locked", "no-setuid-fixup", "no-setuid-fixup-locked",
		"keep-caps", "keep-caps-locked", "no-cap-ambient-raise", "no-cap-ambient-raise-locked" };

	if (value < 0)
		unreadable(rows, ROW_SECUREBITS, -value);
	else if (value == 0)
		item(rows, ROW_SECUREBITS, "none");
	for (unsigned i = 0; value > 0 && i < 8; i++) {
		if (value >> i & 1)
			item(rows, ROW_SECUREBITS, "%s", names[i]);
	}
	if (value > 0xff)
		item(rows, ROW_SECUREBITS, "others 0x%x", (unsigned)value & ~0xffu);
}

static void privilege_rows(struct rows *rows, const struct report *r)
{
	for (int i = 0; i < CAP_SETS; i++)
		cap_row(rows, r, (enum row_id)(ROW_EFFECTIVE + i), r->caps[i]);
	if (r->no_new_privs < 0)
		unreadable(rows, ROW_NO_NEW_PRIVS, -r->no_new_privs);
	else
		item(rows, ROW_NO_NEW_PRIVS, "%s", r->no_new_privs ? "yes" : "no");
	if (r->seccomp < 0)
		unreadable(rows, ROW_SECCOMP, -r->seccomp);
	else if (r->seccomp != 2)
		item(rows, ROW_SECCOMP, "%s", r->seccomp == 1 ? "strict mode" : "not filtered");
	else if (r->filters < 0)
		item(rows, ROW_SECCOMP, "filtered");
	else
		item(rows, ROW_SECCOMP, "filtered by %d program%s", r->filters, r->filters == 1 ? "" : "s");
	securebits_row(rows, r->securebits);
}

static void process_rows(struct rows *rows, const struct report *r)
{
	item(rows, ROW_PROCESS, "pid %d", r->pid);
	item(rows, ROW_PROCESS, "parent %d", r->ppid);
	item(rows, ROW_PROCESS, "session %d", r->session);
	if (r->processes.errnum) {
		unreadable(rows, ROW_PROCESSES, r->processes.errnum);
		return;
	}
	if (r->processes.total)
		head(rows, ROW_PROCESSES, "%u: ", r->processes.total);
	else
		item(rows, ROW_PROCESSES, "none: no process file system in /proc");
	for (uint32_t i = 0; i < r->processes.kept; i++)
		item(rows, ROW_PROCESSES, "%d %s", r->processes.p[i].pid, r->processes.p[i].name);
	rows->row[ROW_PROCESSES].more = r->processes.total - r->processes.kept;
}

static void names_row(struct rows *rows, enum row_id id, const struct seen_names *n)
{
	if (n->errnum)
		unreadable(rows, id, n->errnum);
	else if (!n->total)
		item(rows, id, "empty");
	for (uint32_t i = 0; i < n->kept; i++)
		item(rows, id, "%s", n->name[i]);
	rows->row[id].more = n->total - n->kept;
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void mount_rows(struct rows *rows, const struct report *r, bool wide)
{
	size_t target = 0, type = 0;

	if (r->mounts.errnum) {
		unreadable(rows, ROW_MOUNTS, r->mounts.errnum);
		return;
	}
	for (uint32_t i = 0; wide && i < r->mounts.kept; i++) {
		size_t a = at_most(strlen(r->mounts.m[i].target), 44), b = at_most(strlen(r->mounts.m[i].type), 12);
		target = a > target ? a : target;
		type = b > type ? b : type;
	}
	head(rows, ROW_MOUNTS, "%u:", r->mounts.total);
	for (uint32_t i = 0; i < r->mounts.kept; i++) {
		const struct seen_mount *m = &r->mounts.m[i];
		item(rows, ROW_MOUNTS, "%-*s  %-*s  %s%s%s%s", (int)target, m->target, (int)type, m->type,
		     m->flags & MOUNT_RO ? "ro" : "rw", m->flags & MOUNT_NOSUID ? " nosuid" : "",
		     m->flags & MOUNT_NODEV ? " nodev" : "", m->flags & MOUNT_NOEXEC ? " noexec" : "");
	}
	rows->row[ROW_MOUNTS].more = r->mounts.total - r->mounts.kept;
}

static void file_rows(struct rows *rows, const struct report *r, bool wide)
{
	names_row(rows, ROW_ROOT, &r->root);
	if (!*r->shared_path) {
		item(rows, ROW_SHARED, "not looked for (--dir PATH)");
		item(rows, ROW_CREATE, "not tried (--dir PATH)");
	} else {
		names_row(rows, ROW_SHARED, &r->shared);
		item(rows, ROW_CREATE, "%s", r->create_errnum ? strerror(r->create_errnum) : "can be made");
	}
	mount_rows(rows, r, wide);
}

static void interface_item(struct rows *rows, const struct seen_interface *n)
{
	char text[8 * 66 + 32] = "";

	for (uint32_t k = 0; k < n->kept; k++) {
		strcat(text, k ? ", " : "  ");
		strcat(text, n->address[k]);
	}
	if (n->total > n->kept)
		snprintf(text + strlen(text), 32, " and %u more", n->total - n->kept);
	item(rows, ROW_INTERFACES, "%s  %s%s", n->name, n->up ? "up" : "down", text);
}

static void network_rows(struct rows *rows, const struct report *r)
{
	if (r->interfaces.errnum)
		unreadable(rows, ROW_INTERFACES, r->interfaces.errnum);
	else if (!r->interfaces.total)
		item(rows, ROW_INTERFACES, "none");
	/* What is in use comes first: a short cell has no room for all. */
	for (uint32_t up = 2; up--;) {
		for (uint32_t i = 0; i < r->interfaces.kept; i++) {
			if (r->interfaces.i[i].up == up)
				interface_item(rows, &r->interfaces.i[i]);
		}
	}
	rows->row[ROW_INTERFACES].more = r->interfaces.total - r->interfaces.kept;
	item(rows, ROW_HOST_NAME, "%s", *r->host_name ? r->host_name : "none");
	item(rows, ROW_DOMAIN, "%s", *r->domain_name ? r->domain_name : "none");
}

static const char *access_name(int access)
{
	return access == O_PATH ? "path" : access == O_RDONLY ? "read" : access == O_WRONLY ? "write" : "read-write";
}

static void inherited_rows(struct rows *rows, const struct report *r, bool wide)
{
	names_row(rows, ROW_ENV, &r->env);
	if (!r->fds.total)
		item(rows, ROW_FDS, "none is open");
	for (uint32_t i = 0; i < r->fds.kept; i++) {
		const struct seen_fd *f = &r->fds.f[i];
		item(rows, ROW_FDS, wide ? "%-3d %-10s %s" : "%d %s %s", f->fd, access_name(f->access), f->what);
	}
	rows->row[ROW_FDS].more = r->fds.total - r->fds.kept;
}

static void format_limit(char *out, size_t size, uint64_t v, bool bytes)
{
	static const char units[] = { 0, 'K', 'M', 'G', 'T' };
	unsigned u = 0;

	if (v == UINT64_MAX) {
		snprintf(out, size, "unlimited");
		return;
	}
	while (bytes && v && v % 1024 == 0 && u < 4) {
		v /= 1024;
		u++;
	}
	snprintf(out, size, "%llu%.1s", (unsigned long long)v, &units[u]);
}

static void limit_rows(struct rows *rows, const struct report *r, bool wide)
{
	/* Those that people set come first: a short cell has no room for all. */
	static const int order[LIMITS] = { RLIMIT_AS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA,
		RLIMIT_STACK, RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO,
		RLIMIT_RTTIME, RLIMIT_RSS, RLIMIT_LOCKS };

	for (int n = 0; n < LIMITS; n++) {
		int i = order[n];
		char soft[32], hard[32];
		uint64_t s = r->limit[i].soft, h = r->limit[i].hard;
		if (r->limit[i].errnum || (s == UINT64_MAX && h == UINT64_MAX))
			continue;
		format_limit(soft, sizeof soft, s, limit_names[i].bytes);
		format_limit(hard, sizeof hard, h, limit_names[i].bytes);
		item(rows, ROW_LIMITS, wide ? "%-10s %s%s%s" : "%s %s%s%s", limit_names[i].name, soft,
		     s == h ? "" : " to ", s == h ? "" : hard);
	}
	if (!rows->row[ROW_LIMITS].count)
		item(rows, ROW_LIMITS, "all unlimited");
}

static void memory_row(struct rows *rows, const struct report *r)
{
	const struct seen_memory *m = &r->memory;
	uint64_t as = r->limit[RLIMIT_AS].soft, data = r->limit[RLIMIT_DATA].soft;
	char limit[32];

	switch (m->end) {
	case MEMORY_BOUND:
		item(rows, ROW_MEMORY, "went on to the bound of %u MiB", m->bound);
		break;
	case MEMORY_KILLED:
		item(rows, ROW_MEMORY, "killed by signal %d (%s) at %u MiB", m->signal, strsignal(m->signal), m->reached);
		break;
	case MEMORY_REFUSED:
		format_limit(limit, sizeof limit, as <= data ? as : data, true);
		item(rows, ROW_MEMORY, "stopped at %u MiB by malloc: %s%s%s%s", m->reached, strerror(m->errnum),
		     as == UINT64_MAX && data == UINT64_MAX ? "" : as <= data ? " (RLIMIT_AS " : " (RLIMIT_DATA ",
		     as == UINT64_MAX && data == UINT64_MAX ? "" : limit,
		     as == UINT64_MAX && data == UINT64_MAX ? "" : ")");
		break;
	default:
		item(rows, ROW_MEMORY, "not tried%s%s", m->errnum ? ": " : " (--alloc 0)", m->errnum ? strerror(m->errnum) : "");
	}
}

static void kernel_rows(struct rows *rows, const struct report *r, bool wide)
{
	for (int i = 0; i < NAMESPACES; i++) {
		if (r->ns[i])
			item(rows, ROW_NAMESPACES, wide ? "%-7s %llu" : "%s %llu", namespace_names[i], (unsigned long long)r->ns[i]);
	}
	if (!rows->row[ROW_NAMESPACES].count)
		unreadable(rows, ROW_NAMESPACES, ENOENT);
	limit_rows(rows, r, wide);
	memory_row(rows, r);
}

void rows_make(struct rows *rows, const struct report *r, bool wide)
{
	memset(rows, 0, sizeof *rows);
	for (int i = 0; i < ROWS; i++) {
		rows->row[i].section = layout[i].section;
		rows->row[i].label = layout[i].label;
		rows->row[i].form = layout[i].form;
	}
	identity_rows(rows, r);
	privilege_rows(rows, r);
	process_rows(rows, r);
	file_rows(rows, r, wide);
	network_rows(rows, r);
	inherited_rows(rows, r, wide);
	kernel_rows(rows, r, wide);
}

void rows_free(struct rows *rows)
{
	for (int i = 0; i < ROWS; i++) {
		for (size_t k = 0; k < rows->row[i].count; k++)
			free(rows->row[i].items[k]);
		free(rows->row[i].items);
		free(rows->row[i].head);
	}
	memset(rows, 0, sizeof *rows);
}
