/* The report for people. Names come from whoever made them: nothing of them may reach a terminal as a control.
 * Runs in: any. */
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"
#include "layer/caps_names.h"

static void put_safe(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\x%02x", c);
		else
			fputc(c, f);
	}
}

static void put_list(FILE *f, const struct inspect_list *l, const char *between, unsigned most)
{
	unsigned shown = 0;

	if (l->errnum) {
		fprintf(f, "unknown (%s)", strerror(l->errnum));
		return;
	}
	for (const char *s = inspect_list_next(l, NULL); s && (!most || shown < most); s = inspect_list_next(l, s)) {
		if (shown++)
			fputs(between, f);
		put_safe(f, s);
	}
	if (!l->total)
		fputs("none", f);
	else if (shown < l->total)
		fprintf(f, "%s… and %u more", shown ? between : "", l->total - shown);
}

static void put_number(FILE *f, int n)
{
	if (n < 0)
		fputs("unknown", f);
	else
		fprintf(f, "%d", n);
}

static void put_ids(FILE *f, const uint32_t id[3])
{
	if (id[0] == id[1] && id[1] == id[2])
		fprintf(f, "%u (real, effective, saved)", id[0]);
	else
		fprintf(f, "%u real, %u effective, %u saved", id[0], id[1], id[2]);
}

static void row_uid(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; put_ids(f, r->uid); }
static void row_gid(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; put_ids(f, r->gid); }
static void row_groups(FILE *f, const struct inspect_report *r, unsigned most) { put_list(f, &r->groups, ", ", most); }
static void row_uid_map(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; put_safe(f, r->uid_map); }
static void row_gid_map(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; put_safe(f, r->gid_map); }

static void row_process(FILE *f, const struct inspect_report *r, unsigned most)
{
	(void)most;
	fprintf(f, "pid %d, parent %d, session %d", r->pid, r->ppid, r->session);
}

/* The shorter of the two ways to say it. */
static void put_caps(FILE *f, uint64_t set, unsigned count)
{
	uint64_t all = count >= 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
	unsigned have = (unsigned)__builtin_popcountll(set & all);
	bool but = have > count / 2;

	if (!have || have == count) {
		fprintf(f, have ? "all %u" : "none", have);
		return;
	}
	if (but)
		fputs("all but ", f);
	const char *between = "";
	for (unsigned i = 0; i < count; i++) {
		if ((set >> i & 1) == but)
			continue;
		const char *name = cap_name(i);
		if (name)
			fprintf(f, "%s%s", between, name + strlen("cap_"));
		else
			fprintf(f, "%s%u", between, i);
		between = ", ";
	}
}

static void row_caps(FILE *f, const struct inspect_report *r, enum inspect_cap set)
{
	if (r->caps_known)
		put_caps(f, r->caps[set], r->cap_count);
	else
		fputs("unknown", f);
}
static void row_effective(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; row_caps(f, r, INSPECT_EFFECTIVE); }
static void row_permitted(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; row_caps(f, r, INSPECT_PERMITTED); }
static void row_inheritable(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; row_caps(f, r, INSPECT_INHERITABLE); }
static void row_bounding(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; row_caps(f, r, INSPECT_BOUNDING); }
static void row_ambient(FILE *f, const struct inspect_report *r, unsigned most) { (void)most; row_caps(f, r, INSPECT_AMBIENT); }

static void row_nnp(FILE *f, const struct inspect_report *r, unsigned most)
{
	(void)most;
	fputs(r->no_new_privs == 1 ? "yes" : r->no_new_privs == 0 ? "no" : "unknown", f);
}

static void row_seccomp(FILE *f, const struct inspect_report *r, unsigned most)
{
	(void)most;
	if (r->seccomp_mode == 0) {
		fputs("off (mode 0)", f);
		return;
	}
	fputs("mode ", f);
	put_number(f, r->seccomp_mode);
	fputs(", filters: ", f);
	put_number(f, r->seccomp_filters);
}

static void row_root(FILE *f, const struct inspect_report *r, unsigned most) { put_list(f, &r->root, " ", most); }

static void put_counted(FILE *f, const struct inspect_list *l, unsigned most)
{
	if (!l->errnum)
		fprintf(f, "%u: ", l->total);
	put_list(f, l, ", ", most);
}
static void row_processes(FILE *f, const struct inspect_report *r, unsigned most) { put_counted(f, &r->processes, most ? most : 40); }
static void row_mounts(FILE *f, const struct inspect_report *r, unsigned most)
{
	if (!r->mounts.errnum)
		fprintf(f, "%u:\n", r->mounts.total);
	put_list(f, &r->mounts, "\n", most);
}
static void row_interfaces(FILE *f, const struct inspect_report *r, unsigned most) { put_list(f, &r->interfaces, "\n", most); }
static void row_environment(FILE *f, const struct inspect_report *r, unsigned most) { put_list(f, &r->environment, " ", most); }
static void row_descriptors(FILE *f, const struct inspect_report *r, unsigned most) { put_list(f, &r->descriptors, "\n", most); }

static void row_host(FILE *f, const struct inspect_report *r, unsigned most)
{
	(void)most;
	put_safe(f, r->host);
	fputs(", domain ", f);
	put_safe(f, r->domain);
}

static void row_namespaces(FILE *f, const struct inspect_report *r, unsigned most)
{
	(void)most;
	for (int i = 0; i < INSPECT_NAMESPACES; i++) {
		fprintf(f, "%s%s ", i ? ", " : "", inspect_namespace_names[i]);
		if (r->namespaces[i])
			fprintf(f, "%llu", (unsigned long long)r->namespaces[i]);
		else
			fputc('?', f);
	}
}

static bool in_bytes(int limit)
{
	return strstr(" fsize data stack core rss memlock as msgqueue ", inspect_rlimit_names[limit]);
}

static void put_limit(FILE *f, uint64_t value, bool bytes)
{
	if (value == UINT64_MAX)
		fputs("unlimited", f);
	else if (bytes && value && value % (1 << 20) == 0)
		fprintf(f, "%llu MiB", (unsigned long long)(value >> 20));
	else
		fprintf(f, "%llu", (unsigned long long)value);
}

static void row_rlimits(FILE *f, const struct inspect_report *r, unsigned most)
{
	const char *between = "";

	(void)most;
	for (int i = 0; i < INSPECT_RLIMITS; i++) {
		uint64_t soft = r->rlimits[i][0], hard = r->rlimits[i][1];
		if (soft == UINT64_MAX)
			continue;
		fprintf(f, "%s%s ", between, inspect_rlimit_names[i]);
		put_limit(f, soft, in_bytes(i));
		if (hard != soft) {
			fputs(" of ", f);
			put_limit(f, hard, in_bytes(i));
		}
		between = ", ";
	}
	if (!*between)
		fputs("none", f);
}

static void row_memory(FILE *f, const struct inspect_report *r, unsigned most)
{
	const struct inspect_memory *m = &r->memory;

	(void)most;
	if (!m->bound_mib) {
		fputs("not tried", f);
		return;
	}
	switch (m->end) {
	case INSPECT_MEMORY_BOUND:
		fprintf(f, "went on to the bound of %u MiB", m->bound_mib);
		return;
	case INSPECT_MEMORY_ERROR:
		fprintf(f, "stopped at %u MiB: malloc of %u MiB more: %s (RLIMIT_AS ", m->reached_mib, m->refused_mib, strerror(m->errnum));
		put_limit(f, r->rlimits[9][0], true);
		fputc(')', f);
		return;
	case INSPECT_MEMORY_SIGNAL:
		fprintf(f, "ended by signal %d (%s) at %u MiB", m->signal, strsignal(m->signal), m->reached_mib);
		return;
	default:
		fprintf(f, "couldn't be tried: %s", strerror(m->errnum));
	}
}

static void row_shared(FILE *f, const struct inspect_report *r, unsigned most)
{
	if (!*r->shared_path) {
		fputs("not looked at (--dir PATH)", f);
		return;
	}
	put_safe(f, r->shared_path);
	fputs(": ", f);
	put_list(f, &r->shared, " ", most);
	fprintf(f, "\nmaking a file: %s", r->shared_errno ? strerror(r->shared_errno) : "allowed");
}

static const struct inspect_row rows[] = {
	{ "Identity", "uid", row_uid }, { NULL, "gid", row_gid }, { NULL, "groups", row_groups },
	{ NULL, "uid map", row_uid_map }, { NULL, "gid map", row_gid_map }, { NULL, "process", row_process },
	{ "Privilege", "effective", row_effective }, { NULL, "permitted", row_permitted }, { NULL, "inheritable", row_inheritable },
	{ NULL, "bounding", row_bounding }, { NULL, "ambient", row_ambient },
	{ NULL, "no new privs", row_nnp }, { NULL, "seccomp", row_seccomp },
	{ "Files", "root", row_root }, { NULL, "mounts", row_mounts }, { NULL, "shared dir", row_shared },
	{ "Surroundings", "processes", row_processes }, { NULL, "network", row_interfaces }, { NULL, "environment", row_environment },
	{ NULL, "descriptors", row_descriptors }, { NULL, "host name", row_host }, { NULL, "namespaces", row_namespaces },
	{ "Resources", "limits", row_rlimits }, { NULL, "memory", row_memory },
};

const struct inspect_row *inspect_row(size_t index)
{
	return index < sizeof rows / sizeof *rows ? &rows[index] : NULL;
}

/* Lines after the first stand below the first one. */
static void print_row(FILE *f, const struct inspect_row *row, const struct inspect_report *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *m = open_memstream(&text, &size);

	if (!m)
		return;
	row->print(m, r, 0);
	if (fclose(m) != 0 || !text)
		return;
	fprintf(f, "  %-14s", row->label);
	for (const char *s = text; *s; s++) {
		fputc(*s, f);
		if (*s == '\n')
			fprintf(f, "%16s", "");
	}
	fputc('\n', f);
	free(text);
}

void inspect_text(FILE *f, const struct inspect_report *r)
{
	const struct inspect_row *row;

	for (size_t i = 0; (row = inspect_row(i)); i++) {
		if (row->section)
			fprintf(f, "%s%s\n", i ? "\n" : "", row->section);
		print_row(f, row, r);
	}
}
