/* Pure parts of the report: lines of /proc, bounded names, the check of a report from a pipe.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

const char *const namespace_names[NAMESPACES] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

const struct limit_name limit_names[LIMITS] = {
	[RLIMIT_AS] = { "as", true }, [RLIMIT_CORE] = { "core", true }, [RLIMIT_CPU] = { "cpu", false },
	[RLIMIT_DATA] = { "data", true }, [RLIMIT_FSIZE] = { "fsize", true }, [RLIMIT_LOCKS] = { "locks", false },
	[RLIMIT_MEMLOCK] = { "memlock", true }, [RLIMIT_MSGQUEUE] = { "msgqueue", true }, [RLIMIT_NICE] = { "nice", false },
	[RLIMIT_NOFILE] = { "nofile", false }, [RLIMIT_NPROC] = { "nproc", false }, [RLIMIT_RSS] = { "rss", true },
	[RLIMIT_RTPRIO] = { "rtprio", false }, [RLIMIT_RTTIME] = { "rttime", false },
	[RLIMIT_SIGPENDING] = { "sigpending", false }, [RLIMIT_STACK] = { "stack", true },
};

void copy_name(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len < size) {
		memcpy(to, from, len + 1);
		return;
	}
	memcpy(to, from, size - 4);
	memcpy(to + size - 4, "...", 4);
}

void add_name(struct seen_names *n, const char *name)
{
	n->total++;
	if (n->kept < SEEN_MAX)
		copy_name(n->name[n->kept++], sizeof *n->name, name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

void sort_names(struct seen_names *n)
{
	qsort(n->name, n->kept, sizeof *n->name, compare_names);
}

/* The kernel writes blanks, newlines and backslashes of a path as \ooo. */
static void copy_unescaped(char *to, size_t size, const char *from, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 1 < size; i++) {
		if (from[i] == '\\' && i + 3 < len && from[i + 1] >= '0' && from[i + 1] <= '3' &&
		    from[i + 2] >= '0' && from[i + 2] <= '7' && from[i + 3] >= '0' && from[i + 3] <= '7') {
			to[used++] = (char)((from[i + 1] - '0') * 64 + (from[i + 2] - '0') * 8 + (from[i + 3] - '0'));
			i += 3;
		} else {
			to[used++] = from[i];
		}
	}
	to[used] = '\0';
}

static unsigned decode_flags(const char *s, size_t len)
{
	static const struct { const char *name; unsigned flag; } known[] = {
		{ "ro", MOUNT_RO }, { "nosuid", MOUNT_NOSUID }, { "nodev", MOUNT_NODEV }, { "noexec", MOUNT_NOEXEC },
	};
	unsigned flags = 0;

	while (len) {
		const char *comma = memchr(s, ',', len);
		size_t n = comma ? (size_t)(comma - s) : len;
		for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
			if (strlen(known[i].name) == n && !memcmp(known[i].name, s, n))
				flags |= known[i].flag;
		}
		s += n + (comma != NULL);
		len -= n + (comma != NULL);
	}
	return flags;
}

/* Field number n (from 0) of a line whose fields are divided by one blank; its length in *len. */
static const char *field(const char *line, unsigned n, size_t *len)
{
	while (n--) {
		line = strchr(line, ' ');
		if (!line)
			return NULL;
		line++;
	}
	*len = strcspn(line, " \n");
	return *len ? line : NULL;
}

bool decode_mount(const char *line, struct seen_mount *out)
{
	size_t target_len = 0, flags_len = 0, type_len = 0, super_len = 0;
	const char *target = field(line, 4, &target_len), *flags = field(line, 5, &flags_len);
	/* Optional fields stand before " - ": their number varies. */
	const char *rest = flags ? strstr(flags, " - ") : NULL, *type, *super;

	if (!target || !flags || !rest)
		return false;
	type = field(rest + 3, 0, &type_len);
	super = field(rest + 3, 2, &super_len);
	if (!type)
		return false;
	copy_unescaped(out->target, sizeof out->target, target, target_len);
	copy_unescaped(out->type, sizeof out->type, type, type_len);
	out->flags = decode_flags(flags, flags_len);
	/* A file system can be read-only as a whole though this mount of it is not. */
	if (super && decode_flags(super, super_len) & MOUNT_RO)
		out->flags |= MOUNT_RO;
	return true;
}

bool decode_extent(const char *line, struct seen_extent *out)
{
	return sscanf(line, "%u %u %u", &out->inside, &out->outside, &out->count) == 3;
}

uint32_t map_outside(const struct seen_map *m, uint32_t inside)
{
	for (uint32_t i = 0; i < m->kept; i++) {
		const struct seen_extent *x = &m->extent[i];
		if (inside >= x->inside && inside - x->inside < x->count)
			return x->outside + (inside - x->inside);
	}
	return UNKNOWN_ID;
}

static bool ended(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static bool names_valid(const struct seen_names *n)
{
	for (uint32_t i = 0; i < SEEN_MAX; i++) {
		if (!ended(n->name[i], sizeof n->name[i]))
			return false;
	}
	return n->kept <= SEEN_MAX && n->kept <= n->total;
}

static bool lists_valid(const struct report *r)
{
	if (r->groups.kept > 64 || r->uid_map.kept > 8 || r->gid_map.kept > 8 || r->processes.kept > SEEN_MAX ||
	    r->interfaces.kept > 32 || r->fds.kept > SEEN_MAX || r->mounts.kept > 256)
		return false;
	return r->groups.kept <= r->groups.total && r->processes.kept <= r->processes.total &&
	       r->interfaces.kept <= r->interfaces.total && r->fds.kept <= r->fds.total &&
	       r->mounts.kept <= r->mounts.total && r->uid_map.kept <= r->uid_map.total &&
	       r->gid_map.kept <= r->gid_map.total;
}

static bool items_valid(const struct report *r)
{
	bool ok = true;

	for (uint32_t i = 0; i < r->processes.kept; i++)
		ok = ok && ended(r->processes.p[i].name, sizeof r->processes.p[i].name);
	for (uint32_t i = 0; i < r->fds.kept; i++)
		ok = ok && ended(r->fds.f[i].what, sizeof r->fds.f[i].what);
	for (uint32_t i = 0; i < r->mounts.kept; i++)
		ok = ok && ended(r->mounts.m[i].target, sizeof r->mounts.m[i].target) &&
		     ended(r->mounts.m[i].type, sizeof r->mounts.m[i].type);
	for (uint32_t i = 0; i < r->interfaces.kept; i++) {
		const struct seen_interface *n = &r->interfaces.i[i];
		ok = ok && ended(n->name, sizeof n->name) && n->up <= 1 && n->kept <= 8 && n->kept <= n->total;
		for (uint32_t k = 0; ok && k < n->kept; k++)
			ok = ended(n->address[k], sizeof n->address[k]);
	}
	return ok;
}

bool report_valid(const struct report *r)
{
	return r->magic == REPORT_MAGIC && r->size == sizeof *r && lists_valid(r) && items_valid(r) &&
	       r->cap_count <= 64 && r->memory.end <= MEMORY_UNTRIED && names_valid(&r->root) && names_valid(&r->env) &&
	       names_valid(&r->shared) && ended(r->shared_path, sizeof r->shared_path) &&
	       ended(r->host_name, sizeof r->host_name) && ended(r->domain_name, sizeof r->domain_name) &&
	       ended(r->kernel, sizeof r->kernel);
}

/* What a terminal would obey instead of showing is not safe: controls, and what turns the text's direction. */
size_t utf8_safe(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len = u[0] < 0x80 ? 1 : u[0] >= 0xc2 && u[0] <= 0xdf ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : u[0] >= 0xf0 && u[0] <= 0xf4 ? 4 : 0;
	uint32_t c = len == 1 ? u[0] : len ? u[0] & (0x7fu >> len) : 0;

	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || c > 0x10ffff)
		return 0;
	if ((c >= 0xd800 && c <= 0xdfff) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f))
		return 0;
	return len;
}
