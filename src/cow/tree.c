/* Names in upper and lower trees: opened beneath their directory, through no link and no mount.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys/sys.h"

#define STRICT (U_RESOLVE_BENEATH | U_RESOLVE_NO_SYMLINKS | U_RESOLVE_NO_MAGICLINKS | U_RESOLVE_NO_XDEV)

int cow_beneath(int dir, const char *rel, int flags)
{
	struct u_open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW), .resolve = STRICT };
	int fd;

	/* Itself, also where looking "." up in it isn't allowed: the program may have closed its top directory. */
	if (!*rel)
		return cow_reopen(dir, flags);
	/* EAGAIN: a rename somewhere on the machine came between; the kernel can't say that it didn't lead out. */
	for (int i = 0; i < 1000; i++) {
		fd = sys_openat2(dir, rel, &how);
		if (fd != -EAGAIN && fd != -EINTR)
			break;
	}
	return fd;
}

int cow_readable(int dir, const char *rel, int flags)
{
	int fd = cow_beneath(dir, rel, flags), at;
	char path[32];
	struct stat st;

	if (fd != -EACCES || (at = cow_beneath(dir, rel, O_PATH)) < 0)
		return fd;
	/* Its owner may, and we are: the mode is put back at once. */
	sys_fd_path(path, at);
	if (fstat(at, &st) == 0 && st.st_uid == geteuid() && !S_ISLNK(st.st_mode) && chmod(path, (st.st_mode & 07777) | (S_ISDIR(st.st_mode) ? 0500 : 0400)) == 0) {
		fd = cow_beneath(dir, rel, flags);
		chmod(path, st.st_mode & 07777);
	}
	close(at);
	return fd;
}

int cow_reopen(int fd, int flags)
{
	char path[32];

	sys_fd_path(path, fd);
	return sys_openat(AT_FDCWD, path, flags | O_CLOEXEC, 0);
}

/* Reading an attribute takes the right to read the file: its owner, which we are, may take that for a moment. */
static ssize_t get_xattr(int fd, const char *name, void *value, size_t size)
{
	char path[32];
	struct stat st;
	ssize_t n;

	sys_fd_path(path, fd);
	n = getxattr(path, name, value, size);
	if (n >= 0 || errno != EACCES || fstat(fd, &st) < 0 || st.st_uid != geteuid() || S_ISLNK(st.st_mode) || chmod(path, (st.st_mode & 07777) | 0400) < 0)
		return n;
	n = getxattr(path, name, value, size);
	chmod(path, st.st_mode & 07777);
	return n;
}

bool cow_has_xattr(int fd, const char *name)
{
	return get_xattr(fd, name, NULL, 0) >= 0;
}

bool cow_is_whiteout(int fd, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == 0;
	return S_ISREG(st->st_mode) && st->st_size == 0 && cow_has_xattr(fd, "user.overlay.whiteout");
}

bool cow_is_opaque(int fd)
{
	char value[4] = "";

	return get_xattr(fd, "user.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

char *cow_join(struct arena *a, const char *rel, const char *name)
{
	return *rel ? arena_printf(a, "%s/%s", rel, name) : arena_strdup(a, name);
}

char *cow_path(const struct cow *c, struct arena *a, size_t tree, const char *rel)
{
	const struct cow_tree *t = &c->trees[tree];
	const char *top = t->lower_count == 1 ? t->lowers[0] : t->dst;

	return arena_printf(a, "%s/%s", strcmp(top, "/") ? top : "", rel);
}

static int lower_open(int dir, const char *rel, struct stat *st)
{
	int fd = cow_beneath(dir, rel, O_PATH);

	if (fd == -ENOTDIR || fd == -ELOOP)
		return -ENOENT; /* a file or link where the upper tree has a directory */
	if (fd >= 0 && fstat(fd, st) < 0) {
		int saved = errno;
		close(fd);
		return -saved;
	}
	if (fd >= 0 && cow_is_whiteout(fd, st)) {
		close(fd);
		return -ENODATA;
	}
	return fd;
}

/* One step down: which of the trees still take part below this name. Returns the first one's descriptor. */
static int lower_step(const struct cow_tree *t, const char *rel, bool *part, struct stat *st)
{
	int first = -ENOENT;

	for (size_t i = 0; i < t->lower_count; i++) {
		struct stat here;
		int fd = part[i] ? lower_open(t->lower[i], rel, &here) : -ENOENT;
		bool last = fd == -ENODATA || (fd >= 0 && (!S_ISDIR(here.st_mode) || cow_is_opaque(fd)));
		part[i] = fd >= 0 && S_ISDIR(here.st_mode);
		if (fd < 0 && fd != -ENOENT && fd != -ENODATA) {
			if (first >= 0)
				close(first);
			return fd;
		}
		if (fd >= 0 && first < 0) {
			first = fd;
			*st = here;
		} else if (fd >= 0) {
			close(fd);
		}
		for (size_t k = i + 1; last && k < t->lower_count; k++)
			part[k] = false;
	}
	return first;
}

int cow_lower(const struct cow_tree *t, const char *rel, struct stat *st)
{
	bool part[512];
	char prefix[4096];
	int fd = -ENOENT;

	if (t->lower_count == 1) {
		fd = lower_open(t->lower[0], rel, st);
		return fd == -ENODATA ? -ENOENT : fd;
	}
	if (t->lower_count > COUNT_OF(part) || strlen(rel) >= sizeof prefix)
		return -E2BIG;
	for (size_t i = 0; i < t->lower_count; i++)
		part[i] = true;
	for (const char *end = rel; *end;) {
		end += strcspn(end, "/");
		memcpy(prefix, rel, (size_t)(end - rel));
		prefix[end - rel] = '\0';
		if (fd >= 0)
			close(fd);
		fd = lower_step(t, prefix, part, st);
		if (fd < 0)
			return fd;
		end += *end == '/';
	}
	return fd;
}

int cow_chmod_upper(const struct cow *c, const struct cow_locked *l, bool open)
{
	int fd = cow_beneath(c->trees[l->tree].upper, l->rel, O_PATH | O_DIRECTORY), r;
	char path[32];

	if (fd < 0)
		return fd;
	sys_fd_path(path, fd);
	r = chmod(path, l->mode | (open ? 0500 : 0)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int cow_unlock(struct cow *c, bool open)
{
	int r = 0;

	/* What is inside can be reached only while what is around it is open. */
	for (size_t i = 0; i < c->locked_count && r == 0; i++)
		r = cow_chmod_upper(c, &c->locked[open ? i : c->locked_count - 1 - i], open);
	return r;
}

struct entry { uint64_t ino; int64_t off; uint16_t length; uint8_t type; char name[]; } __attribute__((packed));

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int cow_names(struct arena *a, int dir, struct cow_names *out)
{
	char buffer[8192] __attribute__((aligned(8)));
	long n;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return -errno;
	while ((n = SYS3(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *d = (const void *)(buffer + at);
			char **grown;
			at += d->length;
			if (!strcmp(d->name, ".") || !strcmp(d->name, ".."))
				continue;
			grown = arena_grow(a, out->names, out->count, &out->cap, sizeof *grown);
			if (!grown || !(grown[out->count] = arena_strdup(a, d->name)))
				return -ENOMEM;
			out->names = grown;
			out->count++;
		}
	}
	if (n < 0)
		return (int)n;
	if (out->count)
		qsort(out->names, out->count, sizeof *out->names, by_name);
	return 0;
}

char *cow_link_text(struct arena *a, int fd)
{
	char text[4097];
	ssize_t n = readlinkat(fd, "", text, sizeof text);

	return n < 0 || n >= (ssize_t)sizeof text ? NULL : arena_strndup(a, text, (size_t)n);
}

/* A directory that we own may lack our own rights; what isn't ours fails later, with its errno. */
static int open_to_empty(int dir, const char *name)
{
	struct stat st;
	int fd = cow_beneath(dir, name, O_PATH | O_DIRECTORY), r;
	char path[32];

	if (fd < 0)
		return fd;
	sys_fd_path(path, fd);
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)!chmod(path, 0700);
	r = cow_beneath(fd, "", O_RDONLY | O_DIRECTORY);
	close(fd);
	return r;
}

/* Moves what is in a directory of top out into top, directories whole: however deep a tree is, two descriptors do. */
static int flatten(struct arena *a, int top, int from, unsigned *counter)
{
	struct cow_names names = { 0 };
	int r = cow_names(a, from, &names);

	for (size_t i = 0; i < names.count && r == 0; i++) {
		char to[32];
		if (unlinkat(from, names.names[i], 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
		if (unlinkat(from, names.names[i], AT_REMOVEDIR) == 0)
			continue;
		int sub = open_to_empty(from, names.names[i]);
		if (sub < 0)
			return sub;
		close(sub);
		do {
			snprintf(to, sizeof to, ".hutch-%u", (*counter)++);
			r = (int)SYS5(SYS_renameat2, from, names.names[i], top, to, 1 /* RENAME_NOREPLACE */);
		} while (r == -EEXIST);
	}
	return r;
}

static int empty_top(int top)
{
	unsigned counter = 0;
	int r = 0;

	for (bool more = true; more && r == 0;) {
		struct cow_names names = { 0 };
		struct arena a;
		arena_init(&a);
		r = cow_names(&a, top, &names);
		more = names.count > 0;
		for (size_t i = 0; i < names.count && r == 0; i++) {
			if (unlinkat(top, names.names[i], 0) == 0 || errno == ENOENT)
				continue;
			int sub = errno == EISDIR || errno == EPERM ? open_to_empty(top, names.names[i]) : -errno;
			r = sub < 0 ? sub : flatten(&a, top, sub, &counter);
			if (sub >= 0)
				close(sub);
			if (r == 0 && unlinkat(top, names.names[i], AT_REMOVEDIR) < 0 && errno != ENOENT)
				r = -errno;
		}
		arena_done(&a);
	}
	return r;
}

int cow_remove(int dir, const char *name)
{
	int top, r;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if ((top = open_to_empty(dir, name)) < 0)
		return top;
	r = empty_top(top);
	close(top);
	return r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : r;
}
