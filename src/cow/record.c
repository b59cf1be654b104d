/* The store of changes: made, locked, recorded, opened again.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys/sys.h"

#define RECORD "record"
#define RECORD_MAX (1u << 20)
#define HEADER "hutch-cow 1\n"
/* linux/magic.h */
#define OVERLAY_MAGIC 0x794c7630ul
#define NFS_MAGIC 0x6969ul

void cow_tick(struct timespec *since)
{
	static const struct timespec wait = { 0, 500000 };
	struct timespec before, now;

	/* Not just the next tick: times of files may be fine-grained (Linux 6.13), and the coarse clock may lag by ticks. */
	clock_gettime(CLOCK_REALTIME, &before);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	/* Some ticks of 10 ms at most; the bound is for a clock that is being set back. */
	for (int i = 0; i < 100 && (now.tv_sec < before.tv_sec || (now.tv_sec == before.tv_sec && now.tv_nsec <= before.tv_nsec)); i++) {
		nanosleep(&wait, NULL);
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	}
	*since = now;
}

int cow_usage(int dir, uint64_t *used, uint64_t *size, uint64_t *files_used, uint64_t *files)
{
	struct statfs s;

	if (fstatfs(dir, &s) < 0)
		return -errno;
	*size = (uint64_t)s.f_blocks * (uint64_t)s.f_bsize;
	*used = (uint64_t)(s.f_blocks - s.f_bfree) * (uint64_t)s.f_bsize;
	*files = (uint64_t)s.f_files;
	*files_used = (uint64_t)(s.f_files - s.f_ffree);
	return 0;
}

/* ---- the record's text ---- */
static void put_path(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n' || *s == '\\')
			text_printf(t, "\\%03o", (unsigned char)*s);
		else
			text_add(t, s, 1);
	}
	text_add(t, "\n", 1);
}

static char *get_path(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, s), *to = out;

	for (; out && *s; s++) {
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	if (out)
		*to = '\0';
	return out;
}

static void record_text(struct text *t, const struct cow_tree *trees, size_t count, const struct timespec *since)
{
	text_printf(t, HEADER "since %lld %ld\n", (long long)since->tv_sec, since->tv_nsec);
	for (size_t i = 0; i < count; i++) {
		text_printf(t, "tree %llu %llu ", (unsigned long long)trees[i].dev, (unsigned long long)trees[i].ino);
		put_path(t, trees[i].dst);
		for (size_t k = 0; k < trees[i].lower_count; k++) {
			text_printf(t, "lower ");
			put_path(t, trees[i].lowers[k]);
		}
	}
	text_printf(t, "end\n");
}

/* NUL-terminated, malloc'd; NULL and errno. */
static char *slurp(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), saved;
	char *text = NULL;
	size_t len = 0;
	ssize_t n = -1;
	struct stat st;

	if (fd < 0)
		return NULL;
	errno = EINVAL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < (off_t)RECORD_MAX && (text = malloc((size_t)st.st_size + 1))) {
		while ((n = read(fd, text + len, (size_t)st.st_size - len)) > 0)
			len += (size_t)n;
		text[len] = '\0';
	}
	saved = errno;
	close(fd);
	if (n < 0) {
		free(text);
		text = NULL;
	}
	errno = saved;
	return text;
}

static int bad_record(struct hutch_error *e, const char *path, const char *why)
{
	error_set(e, ERR_COW_RECORD, 0, NULL, path, NULL);
	return error_detail(e, "%s", why);
}

static int parse_line(struct cow *c, char *line, const char ***lowers, size_t *cap)
{
	unsigned long long dev, ino;
	long long sec;
	long nsec;
	int at = 0;

	if (sscanf(line, "since %lld %ld", &sec, &nsec) == 2) {
		c->since = (struct timespec){ sec, nsec };
		return 0;
	}
	if (sscanf(line, "tree %llu %llu %n", &dev, &ino, &at) == 2 && at) {
		struct cow_tree *trees = arena_alloc(&c->arena, (c->tree_count + 1) * sizeof *trees);
		if (!trees)
			return -ENOMEM;
		if (c->tree_count)
			memcpy(trees, c->trees, c->tree_count * sizeof *trees);
		c->trees = trees;
		trees[c->tree_count++] = (struct cow_tree){ .dev = dev, .ino = ino, .dst = get_path(&c->arena, line + at), .upper = -1 };
		*lowers = NULL;
		*cap = 0;
		return trees[c->tree_count - 1].dst ? 0 : -ENOMEM;
	}
	if (!strncmp(line, "lower /", 7) && c->tree_count) {
		struct cow_tree *t = &c->trees[c->tree_count - 1];
		const char **grown = arena_grow(&c->arena, *lowers, t->lower_count, cap, sizeof *grown);
		if (!grown || !(grown[t->lower_count] = get_path(&c->arena, line + 6)))
			return -ENOMEM;
		t->lower_count++;
		t->lowers = *lowers = grown;
		return 0;
	}
	return -EINVAL;
}

static int read_record(struct cow *c, struct hutch_error *e)
{
	char *text = slurp(c->dir, RECORD), *line;
	const char **lowers = NULL;
	size_t cap = 0;
	bool whole = false;
	int r = 0;

	if (!text)
		return error_set(e, ERR_COW_RECORD, errno, "openat", c->path, NULL);
	if (strncmp(text, HEADER, strlen(HEADER)))
		r = -EINVAL;
	for (line = text + (r ? 0 : strlen(HEADER)); r == 0 && *line; line += strlen(line) + 1) {
		char *end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		if (!strcmp(line, "end")) {
			whole = true;
			break;
		}
		r = parse_line(c, line, &lowers, &cap);
	}
	for (size_t i = 0; i < c->tree_count; i++)
		whole &= c->trees[i].lower_count > 0;
	free(text);
	if (r == -ENOMEM)
		return error_nomem(e);
	return r < 0 || !whole || !c->tree_count ? bad_record(e, c->path, "its file \"record\" isn't hutch's, or is cut off") : 0;
}

/* ---- a directory for a run ---- */
static int make_dirs(const char *path)
{
	char part[4096];
	size_t len = strlen(path);

	if (len >= sizeof part)
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST && (!path[i] || errno != EROFS))
			return -errno;
	}
	return 0;
}

static int lock(int dir)
{
	return flock(dir, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int upper_error(struct hutch_error *e, int errnum, const char *call, const char *path, const char *origin, const char *why)
{
	error_set(e, errnum == EWOULDBLOCK ? ERR_COW_BUSY : ERR_COW_UPPER, errnum == EWOULDBLOCK ? 0 : errnum, errnum == EWOULDBLOCK ? NULL : call, path, origin);
	return why ? error_detail(e, "%s", why) : -1;
}

/* Tries what an overlay does in its upper directory, and refuses what the kernel would refuse or get wrong. */
static int check_fitness(int dir, const char *path, const char *origin, struct hutch_error *e)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0)
		return upper_error(e, errno, "fstatfs", path, origin, NULL);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return upper_error(e, 0, NULL, path, origin, "it belongs to another user, or others may write to it");
	if ((unsigned long)fs.f_type == OVERLAY_MAGIC || (unsigned long)fs.f_type == NFS_MAGIC)
		return upper_error(e, 0, NULL, path, origin, "its file system (overlay, NFS) can't be the upper one of an overlay");
	if (fsetxattr(dir, "user.overlay.hutch", "1", 1, 0) < 0)
		return upper_error(e, errno, "fsetxattr", path, origin, "its file system has no user attributes, which directories made anew need");
	fremovexattr(dir, "user.overlay.hutch");
	unlinkat(dir, ".whiteout", 0);
	if (mknodat(dir, ".whiteout", S_IFCHR, 0) < 0)
		return upper_error(e, errno, "mknodat", path, origin, "its file system has no whiteouts (device nodes 0:0)");
	unlinkat(dir, ".whiteout", 0);
	return 0;
}

static int write_record(int dir, const char *path, const struct cow_tree *trees, size_t count, const struct timespec *since, const char *origin, struct hutch_error *e)
{
	struct text t;
	int fd, r = 0;

	text_init(&t);
	record_text(&t, trees, count, since);
	unlinkat(dir, RECORD ".new", 0);
	fd = t.failed ? -1 : openat(dir, RECORD ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, t.s, t.len) != (ssize_t)t.len || fsync(fd) < 0 || renameat(dir, RECORD ".new", dir, RECORD) < 0 || fsync(dir) < 0)
		r = t.failed ? error_nomem(e) : upper_error(e, errno, "write", path, origin, NULL);
	if (fd >= 0)
		close(fd);
	text_done(&t);
	return r;
}

static int make_trees(int dir, const char *path, const struct cow_tree *trees, size_t count, const char *origin, struct hutch_error *e)
{
	static const char *const parts[] = { "", "/upper", "/work" };

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < COUNT_OF(parts); k++) {
			char name[40];
			snprintf(name, sizeof name, "%zu%s", i, parts[k]);
			if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
				return upper_error(e, errno, "mkdirat", path, origin, NULL);
		}
	}
	(void)trees;
	return 0;
}

static bool same_trees(const struct cow *c, const struct cow_tree *trees, size_t count)
{
	if (c->tree_count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct cow_tree *a = &c->trees[i], *b = &trees[i];
		if (a->lower_count != b->lower_count || a->dev != b->dev || a->ino != b->ino)
			return false;
		for (size_t k = 0; k < a->lower_count; k++) {
			if (strcmp(a->lowers[k], b->lowers[k]))
				return false;
		}
	}
	return true;
}

/* Changes of an earlier run lie there: this one goes on with them if it sees the same trees. */
static int take_up(int dir, const char *path, const struct cow_tree *trees, size_t count, struct timespec *since, const char *origin, struct hutch_error *e)
{
	struct cow c = { .dir = dir, .path = path, .journal_fd = -1 };
	int r;

	arena_init(&c.arena);
	r = read_record(&c, e);
	if (r == 0 && !same_trees(&c, trees, count))
		r = upper_error(e, 0, NULL, path, origin, "it holds the changes of a run with other trees");
	if (r == 0 && faccessat(dir, "journal", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = upper_error(e, 0, NULL, path, origin, "a commit of its changes was begun: finish it with `hutch commit`, or `hutch discard` the rest");
	*since = c.since;
	arena_done(&c.arena);
	return r;
}

static bool empty(int dir)
{
	struct cow_names names = { 0 };
	struct arena a;
	bool nothing;

	arena_init(&a);
	nothing = cow_names(&a, dir, &names) == 0 && names.count == 0;
	arena_done(&a);
	return nothing;
}

int cow_prepare_dir(const char *path, const struct cow_tree *trees, size_t count, struct timespec *since, const char *origin, struct hutch_error *e)
{
	int r = make_dirs(path), dir, found;

	if (r < 0)
		return upper_error(e, -r, "mkdir", path, origin, NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return upper_error(e, errno, "open", path, origin, errno == ELOOP || errno == ENOTDIR ? "it is a symbolic link, or no directory" : NULL);
	if ((r = lock(dir)) < 0) {
		close(dir);
		return upper_error(e, -r, "flock", path, origin, NULL);
	}
	found = faccessat(dir, RECORD, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (found)
		r = take_up(dir, path, trees, count, since, origin, e);
	else if (!empty(dir))
		r = upper_error(e, ENOTEMPTY, NULL, path, origin, "it holds other things than hutch's changes");
	if (r == 0)
		r = check_fitness(dir, path, origin, e);
	if (r == 0)
		r = make_trees(dir, path, trees, count, origin, e);
	if (r == 0 && !found)
		r = write_record(dir, path, trees, count, since, origin, e);
	if (r < 0) {
		close(dir);
		return -1;
	}
	return dir;
}

/* ---- opening ---- */
static int open_tree_dirs(struct cow *c, size_t index, struct hutch_error *e)
{
	struct cow_tree *t = &c->trees[index];
	char name[40];
	struct stat st;

	t->lower = arena_alloc(&c->arena, t->lower_count * sizeof *t->lower);
	if (!t->lower)
		return error_nomem(e);
	for (size_t i = 0; i < t->lower_count; i++)
		t->lower[i] = -1;
	snprintf(name, sizeof name, "%zu/upper", index);
	t->upper = cow_readable(c->dir, name, O_RDONLY | O_DIRECTORY); /* the program may have closed it to all */
	/* A discard that was cut off took it away first. */
	if (t->upper == -ENOENT)
		t->upper = -1;
	else if (t->upper < 0)
		return error_set(e, ERR_COW_RECORD, -t->upper, "openat2", name, NULL);
	for (size_t i = 0; i < t->lower_count; i++) {
		t->lower[i] = open(t->lowers[i], O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (t->lower[i] < 0)
			return error_set(e, ERR_COW_READ, errno, "open", t->lowers[i], NULL);
	}
	if (fstat(t->lower[0], &st) < 0)
		return error_set(e, ERR_COW_READ, errno, "fstat", t->lowers[0], NULL);
	if (st.st_dev != t->dev || st.st_ino != t->ino) {
		error_set(e, ERR_COW_CONFLICT, 0, NULL, t->lowers[0], NULL);
		return error_detail(e, "another directory lies there than the run saw");
	}
	return 0;
}

static int open_trees(struct cow *c, struct hutch_error *e)
{
	for (size_t i = 0; i < c->tree_count; i++) {
		if (open_tree_dirs(c, i, e) < 0)
			return -1;
	}
	return 0;
}

int cow_open_store(struct cow *c, const char *path, struct hutch_error *e)
{
	int r;

	*c = (struct cow){ .dir = -1, .journal_fd = -1, .owner = geteuid(), .group = getegid() };
	arena_init(&c->arena);
	if (!(c->path = arena_strdup(&c->arena, path)))
		return error_nomem(e);
	c->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (c->dir < 0)
		return error_set(e, ERR_COW_NONE, errno, "open", path, NULL);
	if (faccessat(c->dir, RECORD, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(e, ERR_COW_NONE, errno, "faccessat", path, NULL);
	if ((r = lock(c->dir)) < 0)
		return error_set(e, ERR_COW_BUSY, 0, NULL, path, NULL);
	return read_record(c, e) < 0 ? -1 : journal_read(c, e);
}

int cow_open(struct cow *c, const char *path, struct hutch_error *e)
{
	return cow_open_store(c, path, e) < 0 ? -1 : open_trees(c, e);
}

int cow_take(struct cow *c, int dir, const char *path, const struct cow_tree *trees, size_t count, const struct timespec *since,
	     uint32_t owner, uint32_t group, struct hutch_error *e)
{
	*c = (struct cow){ .dir = -1, .journal_fd = -1, .owner = owner, .group = group, .since = *since, .tree_count = count };
	arena_init(&c->arena);
	c->trees = arena_alloc(&c->arena, count * sizeof *trees);
	if (!c->trees || (path && !(c->path = arena_strdup(&c->arena, path)))) {
		c->tree_count = 0;
		return error_nomem(e);
	}
	memcpy(c->trees, trees, count * sizeof *trees);
	for (size_t i = 0; i < count; i++) {
		c->trees[i].upper = -1;
		c->trees[i].lower = NULL;
	}
	/* The same open file: a lock is shared with it. */
	c->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (c->dir < 0)
		return error_set(e, ERR_COW_READ, errno, "fcntl", path, NULL);
	return open_trees(c, e);
}

void cow_done(struct cow *c)
{
	for (size_t i = 0; i < c->tree_count; i++) {
		for (size_t k = 0; c->trees[i].lower && k < c->trees[i].lower_count; k++) {
			if (c->trees[i].lower[k] >= 0)
				close(c->trees[i].lower[k]);
		}
		if (c->trees[i].upper >= 0)
			close(c->trees[i].upper);
	}
	if (c->journal_fd >= 0)
		close(c->journal_fd);
	if (c->dir >= 0)
		close(c->dir);
	c->dir = c->journal_fd = -1;
	c->tree_count = 0;
	arena_done(&c->arena);
}
