/* The report as one JSON object. What can't be known is null; bytes that are no UTF-8 become \u00NN.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <fcntl.h>
#include <string.h>

#include "sys/caps_names.h"

static void string(FILE *f, const char *s)
{
	fputc('"', f);
	while (*s) {
		size_t n = utf8_safe(s);
		if (!n)
			fprintf(f, "\\u%04x", (unsigned char)*s++);
		else if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s++);
		else
			s += fwrite(s, 1, n, f);
	}
	fputc('"', f);
}

static void key(FILE *f, const char *name)
{
	fprintf(f, ",\n  \"%s\": ", name);
}

static void key_string(FILE *f, const char *name, const char *value)
{
	key(f, name);
	string(f, value);
}

/* Opens what lists share: why it could not be read, how many there are, the items. */
static void list_start(FILE *f, const char *name, int errnum, unsigned total)
{
	key(f, name);
	fputs("{\"error\": ", f);
	if (errnum)
		string(f, strerror(errnum));
	else
		fputs("null", f);
	fprintf(f, ", \"total\": %u, \"items\": [", total);
}

static void names(FILE *f, const char *name, const struct seen_names *n)
{
	list_start(f, name, n->errnum, n->total);
	for (uint32_t i = 0; i < n->kept; i++) {
		fputs(i ? ", " : "", f);
		string(f, n->name[i]);
	}
	fputs("]}", f);
}

static void number_or_null(FILE *f, const char *name, int value)
{
	key(f, name);
	if (value < 0)
		fputs("null", f);
	else
		fprintf(f, "%d", value);
}

static void ids(FILE *f, const char *name, const uint32_t v[4])
{
	key(f, name);
	fprintf(f, "{\"real\": %u, \"effective\": %u, \"saved\": %u, \"fs\": %u}", v[0], v[1], v[2], v[3]);
}

static void map(FILE *f, const char *name, const struct seen_map *m)
{
	list_start(f, name, m->errnum, m->total);
	for (uint32_t i = 0; i < m->kept; i++)
		fprintf(f, "%s{\"inside\": %u, \"outside\": %u, \"count\": %u}", i ? ", " : "", m->extent[i].inside,
			m->extent[i].outside, m->extent[i].count);
	fputs("]}", f);
}

static void identity(FILE *f, const struct report *r)
{
	ids(f, "uid", r->uid);
	ids(f, "gid", r->gid);
	list_start(f, "groups", r->groups.errnum, r->groups.total);
	for (uint32_t i = 0; i < r->groups.kept; i++)
		fprintf(f, "%s%u", i ? ", " : "", r->groups.id[i]);
	fputs("]}", f);
	map(f, "uid_map", &r->uid_map);
	map(f, "gid_map", &r->gid_map);
	key(f, "pid");
	fprintf(f, "%d", r->pid);
	key(f, "ppid");
	fprintf(f, "%d", r->ppid);
	key(f, "session");
	fprintf(f, "%d", r->session);
}

static void capabilities(FILE *f, const struct report *r)
{
	static const char *const sets[CAP_SETS] = { "effective", "permitted", "inheritable", "bounding", "ambient" };

	key(f, "capabilities");
	if (r->caps_errnum) {
		fputs("null", f);
		return;
	}
	fprintf(f, "{\"known\": %u", r->cap_count);
	for (int i = 0; i < CAP_SETS; i++) {
		bool any = false;
		fprintf(f, ", \"%s\": [", sets[i]);
		for (unsigned n = 0; n < r->cap_count; n++) {
			if (!(r->caps[i] >> n & 1))
				continue;
			fputs(any ? ", " : "", f);
			if (cap_name(n))
				string(f, cap_name(n));
			else
				fprintf(f, "\"%u\"", n);
			any = true;
		}
		fputc(']', f);
	}
	fputc('}', f);
}

static void privilege(FILE *f, const struct report *r)
{
	capabilities(f, r);
	number_or_null(f, "no_new_privs", r->no_new_privs);
	number_or_null(f, "seccomp", r->seccomp);
	number_or_null(f, "seccomp_filters", r->filters);
	number_or_null(f, "securebits", r->securebits);
	key(f, "namespaces");
	fputc('{', f);
	for (int i = 0; i < NAMESPACES; i++) {
		fprintf(f, "%s\"%s\": ", i ? ", " : "", namespace_names[i]);
		if (r->ns[i])
			fprintf(f, "%llu", (unsigned long long)r->ns[i]);
		else
			fputs("null", f);
	}
	fputc('}', f);
}

static void mounts(FILE *f, const struct report *r)
{
	list_start(f, "mounts", r->mounts.errnum, r->mounts.total);
	for (uint32_t i = 0; i < r->mounts.kept; i++) {
		const struct seen_mount *m = &r->mounts.m[i];
		fputs(i ? ",\n    {\"target\": " : "\n    {\"target\": ", f);
		string(f, m->target);
		fputs(", \"type\": ", f);
		string(f, m->type);
		fprintf(f, ", \"ro\": %s, \"nosuid\": %s, \"nodev\": %s, \"noexec\": %s}", m->flags & MOUNT_RO ? "true" : "false",
			m->flags & MOUNT_NOSUID ? "true" : "false", m->flags & MOUNT_NODEV ? "true" : "false",
			m->flags & MOUNT_NOEXEC ? "true" : "false");
	}
	fputs("]}", f);
}

static void files(FILE *f, const struct report *r)
{
	names(f, "root", &r->root);
	if (*r->shared_path) {
		key_string(f, "dir", r->shared_path);
		names(f, "dir_names", &r->shared);
		key(f, "dir_create_error");
		if (r->create_errnum)
			string(f, strerror(r->create_errnum));
		else
			fputs("null", f);
	}
	mounts(f, r);
}

static void processes(FILE *f, const struct report *r)
{
	list_start(f, "processes", r->processes.errnum, r->processes.total);
	for (uint32_t i = 0; i < r->processes.kept; i++) {
		fprintf(f, "%s{\"pid\": %d, \"name\": ", i ? ", " : "", r->processes.p[i].pid);
		string(f, r->processes.p[i].name);
		fputc('}', f);
	}
	fputs("]}", f);
}

static void network(FILE *f, const struct report *r)
{
	list_start(f, "interfaces", r->interfaces.errnum, r->interfaces.total);
	for (uint32_t i = 0; i < r->interfaces.kept; i++) {
		const struct seen_interface *n = &r->interfaces.i[i];
		fputs(i ? ", {\"name\": " : "{\"name\": ", f);
		string(f, n->name);
		fprintf(f, ", \"up\": %s, \"loopback\": %s, \"address_total\": %u, \"addresses\": [", n->up ? "true" : "false",
			n->loopback ? "true" : "false", n->total);
		for (uint32_t k = 0; k < n->kept; k++) {
			fputs(k ? ", " : "", f);
			string(f, n->address[k]);
		}
		fputs("]}", f);
	}
	fputs("]}", f);
	key_string(f, "host_name", r->host_name);
	key_string(f, "domain_name", r->domain_name);
	key_string(f, "kernel", r->kernel);
}

static void descriptors(FILE *f, const struct report *r)
{
	list_start(f, "descriptors", 0, r->fds.total);
	for (uint32_t i = 0; i < r->fds.kept; i++) {
		const struct seen_fd *d = &r->fds.f[i];
		fprintf(f, "%s{\"fd\": %d, \"access\": \"%s\", \"what\": ", i ? ", " : "", d->fd,
			d->access == O_PATH ? "path" : d->access == O_RDONLY ? "read" : d->access == O_WRONLY ? "write" : "read-write");
		string(f, d->what);
		fputc('}', f);
	}
	fputs("]}", f);
}

static void limit_value(FILE *f, uint64_t v)
{
	if (v == UINT64_MAX)
		fputs("null", f);
	else
		fprintf(f, "%llu", (unsigned long long)v);
}

static void limits(FILE *f, const struct report *r)
{
	bool any = false;

	key(f, "limits");
	fputc('{', f);
	for (int i = 0; i < LIMITS; i++) {
		if (r->limit[i].errnum || (r->limit[i].soft == UINT64_MAX && r->limit[i].hard == UINT64_MAX))
			continue;
		fprintf(f, "%s\"%s\": {\"soft\": ", any ? ", " : "", limit_names[i].name);
		limit_value(f, r->limit[i].soft);
		fputs(", \"hard\": ", f);
		limit_value(f, r->limit[i].hard);
		fputc('}', f);
		any = true;
	}
	fputc('}', f);
}

static void memory(FILE *f, const struct seen_memory *m)
{
	static const char *const ends[] = { "bound", "refused", "killed", "untried" };

	key(f, "memory");
	fprintf(f, "{\"end\": \"%s\", \"bound_mib\": %u, \"reached_mib\": %u, \"signal\": %d, \"error\": ",
		ends[m->end <= MEMORY_UNTRIED ? m->end : MEMORY_UNTRIED], m->bound, m->reached, m->signal);
	if (m->errnum)
		string(f, strerror(m->errnum));
	else
		fputs("null", f);
	fputc('}', f);
}

int print_json(FILE *f, const struct report *r)
{
	fputs("{\n  \"format\": 1", f);
	identity(f, r);
	privilege(f, r);
	files(f, r);
	processes(f, r);
	network(f, r);
	names(f, "environment", &r->env);
	descriptors(f, r);
	limits(f, r);
	memory(f, &r->memory);
	fputs("\n}\n", f);
	return ferror(f) ? -1 : 0;
}
