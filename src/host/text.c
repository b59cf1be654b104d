/* Reads the texts in which the kernel and /etc give facts. No system call but for the file readers.
 * Runs in: parent. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/internal.h"
#include "sys/sys.h"

#define FILE_LIMIT (1u << 20)

const char *const host_ns_names[HOST_NS_KINDS] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" };

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	return strncmp(line, key, n) == 0 ? line + n : NULL;
}

static unsigned parse_ids(const char *v, uint32_t *real, uint32_t *effective)
{
	char *end;
	unsigned long a = strtoul(v, &end, 10), b;

	if (end == v)
		return 0;
	v = end;
	b = strtoul(v, &end, 10);
	if (end == v)
		return 0;
	*real = (uint32_t)a;
	*effective = (uint32_t)b;
	return STATUS_IDS;
}

static unsigned parse_groups(struct host *h, const char *v)
{
	size_t cap = 0;

	h->group_count = 0;
	h->groups = NULL;
	for (;;) {
		while (*v == ' ' || *v == '\t')
			v++;
		if (!isdigit((unsigned char)*v))
			return STATUS_GROUPS;
		uint32_t *grown = arena_grow(h->arena, h->groups, h->group_count, &cap, sizeof *grown);

		if (!grown)
			return 0;
		h->groups = grown;
		char *end;

		h->groups[h->group_count++] = (uint32_t)strtoul(v, &end, 10);
		v = end;
	}
}

static unsigned parse_line(struct host *h, const char *line)
{
	const char *v;

	switch (line[0]) {
	case 'U':
		return (v = value_of(line, "Uid:")) ? parse_ids(v, &h->uid, &h->euid) : 0;
	case 'G':
		if ((v = value_of(line, "Groups:")))
			return parse_groups(h, v);
		return (v = value_of(line, "Gid:")) ? parse_ids(v, &h->gid, &h->egid) : 0;
	case 'C':
		if ((v = value_of(line, "CapPrm:")))
			h->cap_permitted = strtoull(v, NULL, 16);
		else if ((v = value_of(line, "CapBnd:")))
			h->cap_bounding = strtoull(v, NULL, 16);
		else if ((v = value_of(line, "CapEff:"))) {
			h->cap_effective = strtoull(v, NULL, 16);
			return STATUS_CAPS;
		}
		return 0;
	case 'N':
		if (!(v = value_of(line, "NoNewPrivs:")))
			return 0;
		h->no_new_privs = strtoul(v, NULL, 10) != 0;
		return STATUS_NNP;
	case 'S':
		if ((v = value_of(line, "SigIgn:"))) {
			h->sig_ignored = strtoull(v, NULL, 16);
			return STATUS_SIGNALS;
		}
		if (value_of(line, "Seccomp_filters:"))
			h->seccomp_filter = true;
		if (!(v = value_of(line, "Seccomp:")))
			return 0;
		h->seccomp_mode = (unsigned)strtoul(v, NULL, 10);
		return STATUS_SECCOMP;
	}
	return 0;
}

unsigned host_parse_status(struct host *h, const char *text)
{
	unsigned seen = 0;

	for (const char *line = text; *line; line = next_line(line))
		seen |= parse_line(h, line);
	return seen;
}

bool host_parse_release(const char *release, unsigned *major, unsigned *minor)
{
	char *end;

	if (!isdigit((unsigned char)release[0]))
		return false;
	*major = (unsigned)strtoul(release, &end, 10);
	if (*end != '.' || !isdigit((unsigned char)end[1]))
		return false;
	*minor = (unsigned)strtoul(end + 1, NULL, 10);
	return true;
}

/* Is the field that starts at s and ends at ':' this name, or this number? */
static bool field_is(const char *s, size_t len, const char *name, uint32_t id)
{
	if (name && strlen(name) == len && memcmp(s, name, len) == 0)
		return true;
	if (len == 0 || !isdigit((unsigned char)s[0]))
		return false;
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	return end == s + len && n == id;
}

struct host_range host_parse_subid(const char *text, const char *name, uint32_t id)
{
	struct host_range none = { 0, 0 };

	for (const char *line = text; *line; line = next_line(line)) {
		size_t len = strcspn(line, ":\n");

		if (line[len] != ':' || !field_is(line, len, name, id))
			continue;
		char *end;
		unsigned long long start = strtoull(line + len + 1, &end, 10);

		if (*end != ':' || !isdigit((unsigned char)end[1]))
			continue;
		unsigned long long count = strtoull(end + 1, NULL, 10);

		if (count == 0 || start == 0 || start > UINT32_MAX || count > UINT32_MAX - start)
			continue; /* newuidmap would refuse it too; a range from 0 would give the host's root away */
		return (struct host_range){ (uint32_t)start, (uint32_t)count };
	}
	return none;
}

const char *host_parse_passwd(const char *text, uint32_t uid, size_t *len)
{
	for (const char *line = text; *line; line = next_line(line)) {
		size_t name = strcspn(line, ":\n");

		if (line[name] != ':')
			continue;
		size_t password = strcspn(line + name + 1, ":\n");
		const char *id = line + name + 1 + password;
		char *end;

		if (*id != ':' || !isdigit((unsigned char)id[1]))
			continue;
		unsigned long n = strtoul(id + 1, &end, 10);

		if (*end == ':' && n == uid) {
			*len = name;
			return line;
		}
	}
	return NULL;
}

/* The file system type stands after " - " in a line of mountinfo. */
static const char *mount_type(const char *line, size_t len)
{
	for (size_t i = 0; i + 3 < len; i++)
		if (memcmp(line + i, " - ", 3) == 0)
			return line + i + 3;
	return NULL;
}

int host_parse_cgroup_version(const char *mountinfo)
{
	bool v1 = false, v2 = false;

	for (const char *line = mountinfo; *line; line = next_line(line)) {
		const char *type = mount_type(line, strcspn(line, "\n"));

		if (!type)
			continue;
		v2 |= strncmp(type, "cgroup2 ", 8) == 0;
		v1 |= strncmp(type, "cgroup ", 7) == 0;
	}
	return v1 && v2 ? 3 : v2 ? 2 : v1 ? 1 : 0;
}

bool host_parse_chrooted(const char *mountinfo)
{
	if (!*mountinfo)
		return false;
	for (const char *line = mountinfo; *line; line = next_line(line)) {
		const char *p = line;

		for (int field = 0; field < 4 && p; field++)
			p = (p = strchr(p, ' ')) ? p + 1 : NULL;
		if (p && p[0] == '/' && p[1] == ' ')
			return false;
	}
	return true;
}

const char *host_parse_container(const char *cgroup)
{
	static const struct { const char *part, *name; } known[] = {
		{ "/docker/", "docker" }, { "/docker-", "docker" }, { "/libpod-", "podman" },
		{ "/kubepods", "kubernetes" }, { "/lxc/", "lxc" }, { "/lxc.payload", "lxc" },
		{ "/machine.slice/systemd-nspawn", "systemd-nspawn" }, { "cri-containerd-", "containerd" },
		{ "/garden/", "garden" },
	};

	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (strstr(cgroup, known[i].part))
			return known[i].name;
	return NULL;
}

void host_unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* proc files have no size: read until the end, growing. */
char *host_read_file(struct arena *a, const char *path, size_t *len)
{
	size_t size = 8192, used = 0;
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	char *buffer = fd >= 0 ? arena_alloc(a, size) : NULL;

	while (buffer) {
		long n = sys_read(fd, buffer + used, size - 1 - used);

		if (n == -EINTR)
			continue;
		if (n < 0)
			buffer = NULL;
		if (n <= 0)
			break;
		used += (size_t)n;
		if (used < size - 1)
			continue;
		char *grown = size < FILE_LIMIT ? arena_alloc(a, size * 4) : NULL;

		if (grown)
			memcpy(grown, buffer, used);
		buffer = grown;
		size *= 4;
	}
	if (fd >= 0)
		sys_close(fd);
	if (!buffer)
		return NULL;
	buffer[used] = '\0';
	if (len)
		*len = used;
	return buffer;
}

long host_read_number(const char *path)
{
	char text[32];
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	long n = sys_read(fd, text, sizeof text - 1);

	sys_close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	if (text[0] == 'Y' || text[0] == 'N') /* module parameters say it so */
		return text[0] == 'Y';
	return isdigit((unsigned char)text[0]) ? strtol(text, NULL, 10) : -1;
}
