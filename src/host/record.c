/* Recorded hosts: the text form of all facts and of named files, written and read.
 *   key = value
 *   file PATH TYPE [MODE [UID:GID [DEV:INO [MAJOR:MINOR]]]]   TYPE dir file char block fifo socket
 *   file PATH link TEXT
 *   file PATH error ERRNO
 *   mount PATH
 *   cgroup CONTROLLER VERSION PARENT [writable] [enabled]      CONTROLLER "unified": version 2 as such
 * Blanks and backslashes in paths are written \040, \134 as in mountinfo. # starts a comment line.
 * Runs in: parent. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "host/internal.h"
#include "sys/sys.h"

#define LINE_MAX_BYTES 8192
#define WORDS_MAX 8

enum fact_type { FACT_UNSIGNED, FACT_INT, FACT_HEX, FACT_BOOL, FACT_STRING, FACT_USERNS, FACT_RANGE, FACT_OCTAL, FACT_LIST, FACT_NS };
struct fact { const char *name; enum fact_type type; size_t at; };
#define FACT(field, type) { #field, type, offsetof(struct host, field) }
#define FACT_AT(name, field, type) { name, type, offsetof(struct host, field) }

static const struct fact facts[] = {
	FACT(release, FACT_STRING), FACT(machine, FACT_STRING),
	FACT(uid, FACT_UNSIGNED), FACT(euid, FACT_UNSIGNED), FACT(gid, FACT_UNSIGNED), FACT(egid, FACT_UNSIGNED),
	FACT(groups, FACT_LIST),
	FACT(cap_effective, FACT_HEX), FACT(cap_permitted, FACT_HEX), FACT(cap_bounding, FACT_HEX),
	FACT(cap_last, FACT_UNSIGNED),
	FACT(no_new_privs, FACT_BOOL), FACT(at_secure, FACT_BOOL), FACT(seccomp_mode, FACT_UNSIGNED),
	FACT(sig_ignored, FACT_HEX),
	FACT_AT("fd0_open", fd_open[0], FACT_BOOL), FACT_AT("fd0_mode", fd_mode[0], FACT_OCTAL),
	FACT_AT("fd0_tty", fd_tty[0], FACT_BOOL), FACT_AT("fd0_flags", fd_flags[0], FACT_OCTAL),
	FACT_AT("fd1_open", fd_open[1], FACT_BOOL), FACT_AT("fd1_mode", fd_mode[1], FACT_OCTAL),
	FACT_AT("fd1_tty", fd_tty[1], FACT_BOOL), FACT_AT("fd1_flags", fd_flags[1], FACT_OCTAL),
	FACT_AT("fd2_open", fd_open[2], FACT_BOOL), FACT_AT("fd2_mode", fd_mode[2], FACT_OCTAL),
	FACT_AT("fd2_tty", fd_tty[2], FACT_BOOL), FACT_AT("fd2_flags", fd_flags[2], FACT_OCTAL),
	FACT(stdin_path, FACT_STRING),
	FACT(openat2, FACT_BOOL), FACT(open_tree, FACT_BOOL), FACT(move_mount, FACT_BOOL), FACT(fsopen, FACT_BOOL),
	FACT(mount_setattr, FACT_BOOL), FACT(clone3, FACT_BOOL), FACT(close_range, FACT_BOOL), FACT(pidfd, FACT_BOOL),
	FACT(landlock_abi, FACT_UNSIGNED), FACT(seccomp_filter, FACT_BOOL), FACT_AT("namespaces", ns, FACT_NS),
	FACT(userns, FACT_USERNS),
	FACT(proc_mountable, FACT_BOOL), FACT(proc_sys_writable, FACT_BOOL), FACT(proc_mounted, FACT_BOOL),
	FACT(full, FACT_BOOL),
	FACT(newuidmap, FACT_BOOL), FACT(newgidmap, FACT_BOOL),
	FACT(newuidmap_path, FACT_STRING), FACT(newgidmap_path, FACT_STRING),
	FACT(subuid, FACT_RANGE), FACT(subgid, FACT_RANGE),
	FACT(overlay, FACT_BOOL), FACT(overlay_errno, FACT_INT), FACT(tmpfs_xattr, FACT_BOOL),
	FACT(yama, FACT_BOOL), FACT(apparmor, FACT_BOOL), FACT(selinux, FACT_BOOL),
	FACT(lsm, FACT_STRING), FACT(container, FACT_STRING), FACT(cgroup_version, FACT_INT),
	FACT(cgroup2_procs, FACT_UNSIGNED), FACT(swap_limit, FACT_BOOL), FACT(cgroup_manager, FACT_STRING), FACT(scope_helper, FACT_STRING),
	FACT(pid_max_own, FACT_BOOL),
};

static const char *const userns_names[] = {
	[USERNS_UNKNOWN] = "unknown", [USERNS_OK] = "ok", [USERNS_NO_LIMIT] = "no-limit", [USERNS_NO_SYSCTL] = "no-sysctl",
	[USERNS_NO_APPARMOR] = "no-apparmor", [USERNS_NO_SECCOMP] = "no-seccomp", [USERNS_NO_KERNEL] = "no-kernel",
	[USERNS_NO_CHROOT] = "no-chroot", [USERNS_NO_OTHER] = "no-other",
};

const char *host_userns_name(enum userns_state s)
{
	return userns_names[s];
}

static const struct { const char *name; mode_t type, mode; } file_types[] = {
	{ "dir", S_IFDIR, 0755 }, { "file", S_IFREG, 0644 }, { "char", S_IFCHR, 0666 }, { "block", S_IFBLK, 0660 },
	{ "fifo", S_IFIFO, 0644 }, { "socket", S_IFSOCK, 0755 },
};
static const struct { const char *name; int errnum; } file_errors[] = {
	{ "ENOENT", ENOENT }, { "EACCES", EACCES }, { "ELOOP", ELOOP }, { "ENOTDIR", ENOTDIR }, { "EIO", EIO },
};

/* ---- writing ---- */
static void write_fact(struct text *out, const struct host *h, const struct fact *f)
{
	const char *at = (const char *)h + f->at;
	const struct host_range *range = (const void *)at;
	const bool *ns = (const void *)at;

	switch (f->type) {
	case FACT_STRING:
		if (*(const char *const *)(const void *)at)
			text_printf(out, "%s = %s\n", f->name, *(const char *const *)(const void *)at);
		return;
	case FACT_LIST:
		text_printf(out, "%s =", f->name);
		for (size_t i = 0; i < h->group_count; i++)
			text_printf(out, " %u", h->groups[i]);
		break;
	case FACT_NS:
		text_printf(out, "%s =", f->name);
		for (size_t k = 0; k < HOST_NS_KINDS; k++)
			if (ns[k])
				text_printf(out, " %s", host_ns_names[k]);
		break;
	case FACT_RANGE: text_printf(out, "%s = %u:%u", f->name, range->start, range->count); break;
	case FACT_UNSIGNED: text_printf(out, "%s = %u", f->name, *(const unsigned *)(const void *)at); break;
	case FACT_INT: text_printf(out, "%s = %d", f->name, *(const int *)(const void *)at); break;
	case FACT_OCTAL: text_printf(out, "%s = 0%o", f->name, *(const unsigned *)(const void *)at); break;
	case FACT_HEX: text_printf(out, "%s = 0x%llx", f->name, (unsigned long long)*(const uint64_t *)(const void *)at); break;
	case FACT_BOOL: text_printf(out, "%s = %s", f->name, *(const bool *)(const void *)at ? "yes" : "no"); break;
	case FACT_USERNS: text_printf(out, "%s = %s", f->name, userns_names[*(const enum userns_state *)(const void *)at]); break;
	}
	text_add(out, "\n", 1);
}

static void write_path(struct text *out, const char *path)
{
	for (; *path; path++) {
		if (strchr(" \t\n\\#", *path))
			text_printf(out, "\\%03o", (unsigned char)*path);
		else
			text_add(out, path, 1);
	}
}

static void write_file(struct text *out, const char *path, const struct host_file *f)
{
	const char *type = "file", *error = "EIO";

	text_add(out, "file ", 5);
	write_path(out, path);
	for (size_t i = 0; i < COUNT_OF(file_errors); i++)
		if (file_errors[i].errnum == f->errnum)
			error = file_errors[i].name;
	for (size_t i = 0; i < COUNT_OF(file_types); i++)
		if (file_types[i].type == (f->mode & S_IFMT))
			type = file_types[i].name;
	if (f->link) {
		text_add(out, " link ", 6);
		write_path(out, f->link);
	} else if (f->errnum) {
		text_printf(out, " error %s", error);
	} else {
		text_printf(out, " %s 0%o %u:%u %u.%u:%llu", type, f->mode & 07777, f->uid, f->gid,
			    (unsigned)major(f->dev), (unsigned)minor(f->dev), (unsigned long long)f->ino);
		if (f->rdev)
			text_printf(out, " %u:%u", (unsigned)major(f->rdev), (unsigned)minor(f->rdev));
	}
	text_add(out, "\n", 1);
}

/* Each line once: paths share the directories above them. */
static void write_file_once(struct text *out, const char *path, const struct host_file *f)
{
	struct text line;

	text_init(&line);
	write_file(&line, path, f);
	if (!line.failed && !(out->s && strstr(out->s, line.s)))
		text_add(out, line.s, line.len);
	out->failed |= line.failed;
	text_done(&line);
}

/* The directories above it, then itself; a link's target follows as a path of its own. */
static void write_chain(struct text *out, struct host *h, const char *path, int depth)
{
	char part[4096];

	for (const char *p = path; *p;) {
		p++;
		p += strcspn(p, "/");
		size_t len = (size_t)(p - path);

		if (len >= sizeof part)
			return;
		memcpy(part, path, len);
		part[len] = '\0';
		const struct host_file *f = h->lookup(h, NULL, part);

		if (f->errnum == ENOENT && !f->link)
			return;
		write_file_once(out, part, f);
		if (f->link) {
			if (f->errnum == 0 && depth < 4)
				write_chain(out, h, f->real, depth + 1);
			return;
		}
	}
}

static void write_cgroup(struct text *out, const char *name, const struct host_cgroup *g)
{
	if (!g->version)
		return;
	text_printf(out, "cgroup %s %u ", name, g->version);
	write_path(out, g->parent);
	text_printf(out, "%s%s\n", g->writable ? " writable" : "", g->enabled ? " enabled" : "");
}

int host_record(const struct host *h, const char *const *paths, struct text *out)
{
	struct host copy = *h; /* the cache behind lookup_data grows; the facts stay as they are */

	for (size_t i = 0; i < COUNT_OF(facts); i++)
		write_fact(out, h, &facts[i]);
	for (size_t i = 0; i < CG_CONTROLLERS; i++)
		write_cgroup(out, host_controller_names[i], &h->cgroup[i]);
	write_cgroup(out, "unified", &h->cgroup2);
	for (size_t i = 0; paths && paths[i]; i++)
		write_chain(out, &copy, paths[i], 0);
	const char *const *mounts = h->submounts(&copy, "/");

	for (size_t i = 0; mounts && mounts[i]; i++) {
		text_add(out, "mount ", 6);
		write_path(out, mounts[i]);
		text_add(out, "\n", 1);
	}
	return out->failed ? -1 : 0;
}

/* ---- reading ---- */
static bool read_unsigned(const char *s, int base, uint64_t limit, uint64_t *out)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	*out = strtoull(s, &end, base);
	return *end == '\0' && *out <= limit;
}

static bool read_range(char *s, struct host_range *r)
{
	char *colon = strchr(s, ':');
	uint64_t a, b;

	if (!colon)
		return false;
	*colon = '\0';
	if (!read_unsigned(s, 10, UINT32_MAX, &a) || !read_unsigned(colon + 1, 10, UINT32_MAX, &b))
		return false;
	*r = (struct host_range){ (uint32_t)a, (uint32_t)b };
	return true;
}

/* Takes the next word off *s; NULL = none. */
static char *word(char **s)
{
	char *start = *s + strspn(*s, " \t");
	size_t len = strcspn(start, " \t");

	if (!len)
		return NULL;
	*s = start + len + (start[len] != '\0');
	start[len] = '\0';
	return start;
}

static bool read_groups(struct host *h, char *v)
{
	size_t cap = 0;
	uint64_t n;

	for (char *w; (w = word(&v));) {
		uint32_t *grown = arena_grow(h->arena, h->groups, h->group_count, &cap, sizeof *grown);

		if (!grown || !read_unsigned(w, 10, UINT32_MAX, &n))
			return false;
		h->groups = grown;
		h->groups[h->group_count++] = (uint32_t)n;
	}
	return true;
}

static bool read_namespaces(bool *ns, char *v)
{
	for (char *w; (w = word(&v));) {
		size_t k = 0;

		while (k < HOST_NS_KINDS && strcmp(host_ns_names[k], w) != 0)
			k++;
		if (k == HOST_NS_KINDS)
			return false;
		ns[k] = true;
	}
	return true;
}

static bool read_userns(enum userns_state *s, const char *v)
{
	for (size_t i = 0; i < COUNT_OF(userns_names); i++)
		if (strcmp(userns_names[i], v) == 0) {
			*s = (enum userns_state)i;
			return true;
		}
	return false;
}

static bool read_fact(struct host *h, const struct fact *f, char *v)
{
	void *at = (char *)h + f->at;
	uint64_t n;

	switch (f->type) {
	case FACT_STRING: return (*(const char **)at = arena_strdup(h->arena, v)) != NULL;
	case FACT_LIST: return read_groups(h, v);
	case FACT_NS: return read_namespaces(at, v);
	case FACT_RANGE: return read_range(v, at);
	case FACT_BOOL: return parse_bool(v, at) == 0;
	case FACT_USERNS: return read_userns(at, v);
	case FACT_HEX:
		if (!read_unsigned(v, 0, UINT64_MAX, &n))
			return false;
		*(uint64_t *)at = n;
		return true;
	case FACT_UNSIGNED:
	case FACT_INT:
	case FACT_OCTAL:
		if (!read_unsigned(v, f->type == FACT_OCTAL ? 8 : 10, UINT32_MAX, &n))
			return false;
		*(unsigned *)at = (unsigned)n;
		return true;
	}
	return false;
}

static bool read_error(const char *name, struct host_file *f)
{
	for (size_t i = 0; i < COUNT_OF(file_errors); i++)
		if (strcmp(file_errors[i].name, name) == 0)
			f->errnum = file_errors[i].errnum;
	return f->errnum != 0;
}

static bool read_device(char *s, uint64_t *dev)
{
	struct host_range r;

	if (!read_range(s, &r))
		return false;
	*dev = makedev(r.start, r.count);
	return true;
}

/* MAJOR.MINOR:INODE */
static bool read_inode(char *s, struct host_file *f)
{
	char *colon = strchr(s, ':'), *dot = strchr(s, '.');

	if (!colon || !dot || dot > colon)
		return false;
	*colon = '\0';
	*dot = ':';
	return read_device(s, &f->dev) && read_unsigned(colon + 1, 10, UINT64_MAX, &f->ino);
}

static bool read_type(const char *name, struct host_file *f)
{
	for (size_t i = 0; i < COUNT_OF(file_types); i++)
		if (strcmp(file_types[i].name, name) == 0) {
			f->mode = file_types[i].type | file_types[i].mode;
			return true;
		}
	return false;
}

static bool read_node(struct host_file *f, char **words, size_t count)
{
	struct host_range owner;
	uint64_t mode;

	if (!read_type(words[1], f))
		return false;
	if (count > 2) {
		if (!read_unsigned(words[2], 8, 07777, &mode))
			return false;
		f->mode = (f->mode & S_IFMT) | (mode_t)mode;
	}
	if (count > 3) {
		if (!read_range(words[3], &owner))
			return false;
		f->uid = owner.start;
		f->gid = owner.count;
	}
	if (count > 4 && strcmp(words[4], "-") != 0 && !read_inode(words[4], f))
		return false;
	return count <= 5 || read_device(words[5], &f->rdev);
}

static bool read_file(struct host *h, char *line)
{
	struct host_file f = { 0 };
	char *words[WORDS_MAX];
	size_t count = 0;

	while (count < WORDS_MAX && (words[count] = word(&line)))
		host_unescape(words[count++]);
	if (count < 2 || words[0][0] != '/')
		return false;
	if (strcmp(words[1], "link") == 0) {
		f.mode = S_IFLNK | 0777;
		if (count != 3 || !(f.link = arena_strdup(h->arena, words[2])))
			return false;
	} else if (strcmp(words[1], "error") == 0) {
		if (count != 3 || !read_error(words[2], &f))
			return false;
	} else if (count > 6 || !read_node(&f, words, count)) {
		return false;
	}
	return host_table_add(h, words[0], &f) == 0;
}

static struct host_cgroup *cgroup_named(struct host *h, const char *name)
{
	for (size_t i = 0; i < CG_CONTROLLERS; i++)
		if (strcmp(host_controller_names[i], name) == 0)
			return &h->cgroup[i];
	return strcmp(name, "unified") == 0 ? &h->cgroup2 : NULL;
}

static bool read_cgroup(struct host *h, char *line)
{
	char *name = word(&line), *version = word(&line), *parent = word(&line);
	struct host_cgroup *g = name ? cgroup_named(h, name) : NULL;
	uint64_t n;

	if (!g || !version || !parent || !read_unsigned(version, 10, 2, &n) || !n)
		return false;
	g->version = (unsigned)n;
	host_unescape(parent);
	g->parent = arena_strdup(h->arena, parent);
	for (char *flag; (flag = word(&line));) {
		if (strcmp(flag, "writable") == 0)
			g->writable = true;
		else if (strcmp(flag, "enabled") == 0)
			g->enabled = true;
		else
			return false;
	}
	return g->parent != NULL;
}

static bool read_line(struct host *h, char *line)
{
	line += strspn(line, " \t");
	line[strcspn(line, "\r")] = '\0';
	if (!*line || *line == '#')
		return true;
	if (strncmp(line, "file ", 5) == 0)
		return read_file(h, line + 5);
	if (strncmp(line, "cgroup ", 7) == 0)
		return read_cgroup(h, line + 7);
	if (strncmp(line, "mount ", 6) == 0) {
		host_unescape(line + 6);
		return line[6] == '/' && host_table_mount(h, line + 6) == 0;
	}
	size_t len = strcspn(line, " \t=");
	char *v = line + len + strspn(line + len, " \t");

	if (*v++ != '=')
		return false;
	v += strspn(v, " \t");
	for (size_t n = strlen(v); n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t');)
		v[--n] = '\0';
	for (size_t i = 0; i < COUNT_OF(facts); i++)
		if (strlen(facts[i].name) == len && memcmp(facts[i].name, line, len) == 0)
			return read_fact(h, &facts[i], v);
	return false;
}

int host_load(struct host *h, struct arena *a, const char *text, struct hutch_error *e)
{
	char line[LINE_MAX_BYTES], number[16];
	unsigned at = 0;

	memset(h, 0, sizeof *h);
	h->arena = a;
	if (host_lookup_table(h) != 0)
		return error_nomem(e);
	while (*text) {
		size_t len = strcspn(text, "\n");
		bool good = len < sizeof line;

		at++;
		copy_bounded(line, len + 1 < sizeof line ? len + 1 : sizeof line, text);
		good = good && read_line(h, line);
		if (!good) {
			char *end = number + sizeof number - 1;
			unsigned n = at;

			*end = '\0';
			do
				*--end = (char)('0' + n % 10);
			while (n /= 10);
			error_set(e, ERR_HOST_RECORD, 0, NULL, end, NULL);
			return error_detail(e, "%.*s", (int)(len < 120 ? len : 120), text);
		}
		text += len + (text[len] == '\n');
	}
	if (!h->release || !host_parse_release(h->release, &h->kernel_major, &h->kernel_minor)) {
		error_set(e, ERR_HOST_RECORD, 0, NULL, "release", NULL);
		return error_detail(e, "a recorded host must name its kernel: release = 6.1.0");
	}
	return 0;
}
