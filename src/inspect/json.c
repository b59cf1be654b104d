/* The report for programs: one JSON object.
 * Runs in: any. */
#include <string.h>

#include "inspect/inspect.h"
#include "layer/caps_names.h"

/* Bytes that aren't ASCII stand for themselves as U+0080 to U+00FF: names needn't be UTF-8, JSON must. */
static void string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void member(FILE *f, const char *name, const char *value)
{
	fprintf(f, ",\"%s\":", name);
	string(f, value);
}

static void number(FILE *f, const char *name, int value)
{
	if (value == INSPECT_UNKNOWN)
		fprintf(f, ",\"%s\":null", name);
	else
		fprintf(f, ",\"%s\":%d", name, value);
}

/* total is more than the length of names where there were too many; null: it couldn't be told. */
static void list(FILE *f, const char *name, const struct inspect_list *l)
{
	const char *between = "";

	if (l->errnum) {
		fprintf(f, ",\"%s\":null", name);
		return;
	}
	fprintf(f, ",\"%s\":{\"total\":%u,\"names\":[", name, l->total);
	for (const char *s = inspect_list_next(l, NULL); s; s = inspect_list_next(l, s)) {
		fputs(between, f);
		string(f, s);
		between = ",";
	}
	fputs("]}", f);
}

static void caps(FILE *f, const struct inspect_report *r)
{
	fputs(",\"capabilities\":", f);
	if (!r->caps_known) {
		fputs("null", f);
		return;
	}
	for (int set = 0; set < INSPECT_CAPS; set++) {
		const char *between = "";
		fprintf(f, "%s\"%s\":[", set ? "," : "{", inspect_cap_sets[set]);
		for (unsigned i = 0; i < r->cap_count; i++) {
			const char *name = cap_name(i);
			if (!(r->caps[set] >> i & 1))
				continue;
			if (name)
				fprintf(f, "%s\"%s\"", between, name);
			else
				fprintf(f, "%s\"%u\"", between, i);
			between = ",";
		}
		fputc(']', f);
	}
	fputc('}', f);
}

static void limit(FILE *f, uint64_t value)
{
	if (value == UINT64_MAX)
		fputs("null", f);
	else
		fprintf(f, "%llu", (unsigned long long)value);
}

static void limits(FILE *f, const struct inspect_report *r)
{
	fputs(",\"rlimits\":{", f);
	for (int i = 0; i < INSPECT_RLIMITS; i++) {
		fprintf(f, "%s\"%s\":[", i ? "," : "", inspect_rlimit_names[i]);
		limit(f, r->rlimits[i][0]);
		fputc(',', f);
		limit(f, r->rlimits[i][1]);
		fputc(']', f);
	}
	fputs("},\"namespaces\":{", f);
	for (int i = 0; i < INSPECT_NAMESPACES; i++) {
		fprintf(f, "%s\"%s\":", i ? "," : "", inspect_namespace_names[i]);
		limit(f, r->namespaces[i] ? r->namespaces[i] : UINT64_MAX);
	}
	fputc('}', f);
}

static void memory(FILE *f, const struct inspect_memory *m)
{
	static const char *const ends[] = { "unknown", "bound", "error", "signal" };

	fprintf(f, ",\"memory\":{\"end\":\"%s\",\"bound_mib\":%u,\"reached_mib\":%u,\"errno\":%d,\"signal\":%d}",
		ends[m->end & 3], m->bound_mib, m->reached_mib, m->errnum, m->signal);
}

void inspect_json(FILE *f, const struct inspect_report *r)
{
	fprintf(f, "{\"uid\":[%u,%u,%u],\"gid\":[%u,%u,%u],\"pid\":%d,\"ppid\":%d,\"session\":%d", r->uid[0], r->uid[1], r->uid[2],
		r->gid[0], r->gid[1], r->gid[2], r->pid, r->ppid, r->session);
	list(f, "groups", &r->groups);
	member(f, "uid_map", r->uid_map);
	member(f, "gid_map", r->gid_map);
	caps(f, r);
	number(f, "no_new_privs", r->no_new_privs);
	number(f, "seccomp_mode", r->seccomp_mode);
	number(f, "seccomp_filters", r->seccomp_filters);
	list(f, "root", &r->root);
	list(f, "processes", &r->processes);
	list(f, "interfaces", &r->interfaces);
	list(f, "environment", &r->environment);
	list(f, "descriptors", &r->descriptors);
	list(f, "mounts", &r->mounts);
	member(f, "hostname", r->host);
	member(f, "domainname", r->domain);
	limits(f, r);
	memory(f, &r->memory);
	if (*r->shared_path) {
		member(f, "dir", r->shared_path);
		list(f, "dir_names", &r->shared);
		fprintf(f, ",\"dir_create_errno\":%d", r->shared_errno);
	}
	fputs("}\n", f);
}
