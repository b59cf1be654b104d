/* The journal of a commit: what it is about to write, what it has put where. One line is one write, a line that is
 * cut off counts as none.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL "journal"

static char *escaped(struct arena *a, const char *rel)
{
	struct text t;
	char *copy;

	text_init(&t);
	for (; *rel; rel++) {
		if (*rel == '\n' || *rel == '\\')
			text_printf(&t, "\\%03o", (unsigned char)*rel);
		else
			text_add(&t, rel, 1);
	}
	copy = t.failed ? NULL : arena_strdup(a, t.s ? t.s : "");
	text_done(&t);
	return copy;
}

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static int remember(struct cow *c, const struct journal_line *line)
{
	struct journal_line *grown = arena_grow(&c->arena, c->journal, c->journal_count, &c->journal_cap, sizeof *grown);

	if (!grown)
		return -1;
	c->journal = grown;
	grown[c->journal_count++] = *line;
	c->journal_sorted = false;
	return 0;
}

static int parse(struct cow *c, char *line)
{
	struct journal_line l = { 0 };
	unsigned long long dev, ino, size;
	long long mtime;
	char *rel;
	int at = 0;

	if (sscanf(line, "%c %zu %llu %llu %llu %lld%n", &l.what, &l.tree, &dev, &ino, &size, &mtime, &at) != 6 || !at || line[at++] != ' ' || !strchr("wpd", l.what) || l.tree >= c->tree_count)
		return -EINVAL;
	if (!(rel = arena_strdup(&c->arena, line + at)))
		return -ENOMEM;
	unescape(rel);
	l.dev = dev;
	l.ino = ino;
	l.size = size;
	l.mtime_ns = mtime;
	l.rel = rel;
	return remember(c, &l) < 0 ? -ENOMEM : 0;
}

int journal_read(struct cow *c, struct hutch_error *e)
{
	int fd = openat(c->dir, JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!f) {
		error_set(e, ERR_COW_RECORD, errno, "openat", JOURNAL, NULL);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (r == 0 && (n = getline(&line, &cap, f)) > 0) {
		if (line[n - 1] != '\n')
			break; /* cut off by a crash: what it would have told was not begun */
		line[n - 1] = '\0';
		r = parse(c, line);
	}
	free(line);
	fclose(f);
	if (r == -ENOMEM)
		return error_nomem(e);
	if (r == 0)
		return 0;
	error_set(e, ERR_COW_RECORD, 0, NULL, c->path, NULL);
	return error_detail(e, "its file \"journal\" isn't hutch's");
}

/* A line that a crash cut off is ended first, so that the next one stands by itself. */
static bool ends_cleanly(int fd)
{
	char last = '\n';
	off_t size = lseek(fd, 0, SEEK_END);

	return size <= 0 || (pread(fd, &last, 1, size - 1) == 1 && last == '\n');
}

/* Takes a cut-off line away. */
static int cut(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char byte;

	while (size > 0 && pread(fd, &byte, 1, size - 1) == 1 && byte != '\n')
		size--;
	return ftruncate(fd, size);
}

int journal_open(struct cow *c, struct hutch_error *e)
{
	if (!c->path)
		return 0; /* in memory: it would end with us, as the changes do */
	c->journal_fd = openat(c->dir, JOURNAL, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->journal_fd < 0 || (!ends_cleanly(c->journal_fd) && cut(c->journal_fd) < 0) || fsync(c->dir) < 0)
		return error_set(e, ERR_COW_WRITE, errno, "openat", JOURNAL, NULL);
	return 0;
}

int journal_add(struct cow *c, const struct journal_line *l, bool sync, struct hutch_error *e)
{
	char *rel, *line;

	if (remember(c, l) < 0)
		return error_nomem(e);
	if (c->journal_fd < 0)
		return 0;
	rel = escaped(&c->arena, l->rel);
	line = rel ? arena_printf(&c->arena, "%c %zu %llu %llu %llu %lld %s\n", l->what, l->tree, (unsigned long long)l->dev, (unsigned long long)l->ino,
				  (unsigned long long)l->size, (long long)l->mtime_ns, rel) : NULL;
	if (!line)
		return error_nomem(e);
	if (write(c->journal_fd, line, strlen(line)) != (ssize_t)strlen(line) || (sync && fdatasync(c->journal_fd) < 0))
		return error_set(e, ERR_COW_WRITE, errno ? errno : ENOSPC, "write", JOURNAL, NULL);
	return 0;
}

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int by_place(const void *a, const void *b)
{
	const struct journal_line *x = a, *y = b;

	return x->tree != y->tree ? (x->tree < y->tree ? -1 : 1) : strcmp(x->rel, y->rel);
}

bool journal_ours(struct cow *c, size_t tree, const char *rel, const struct stat *st)
{
	struct journal_line key = { .tree = tree, .rel = rel };
	size_t low = 0, high = c->journal_count;

	if (!c->journal_sorted && c->journal_count)
		qsort(c->journal, c->journal_count, sizeof *c->journal, by_place);
	c->journal_sorted = true;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (by_place(&c->journal[mid], &key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < c->journal_count && by_place(&c->journal[low], &key) == 0; low++) {
		const struct journal_line *l = &c->journal[low];
		if (l->what == 'p' && l->dev == st->st_dev && l->ino == st->st_ino && l->size == (uint64_t)st->st_size && l->mtime_ns == mtime_ns(st))
			return true;
	}
	return false;
}

bool journal_touched(struct cow *c, size_t tree, const char *dir)
{
	size_t len = strlen(dir);

	for (size_t i = 0; i < c->journal_count; i++) {
		const char *rel = c->journal[i].rel, *slash = strrchr(rel, '/');
		size_t parent = slash ? (size_t)(slash - rel) : 0;
		if (c->journal[i].tree == tree && parent == len && !strncmp(rel, dir, len))
			return true;
	}
	return false;
}

bool journal_is_temp(const struct cow *c, const char *name)
{
	char temp[32];

	if (strncmp(name, ".hutch-", 7))
		return false;
	for (size_t i = 0; i < c->journal_count; i++) {
		journal_temp(c, c->journal[i].tree, c->journal[i].rel, temp);
		if (!strcmp(temp, name))
			return true;
	}
	return false;
}

void journal_temp(const struct cow *c, size_t tree, const char *rel, char out[32])
{
	uint64_t hash = 14695981039346656037u ^ (uint64_t)c->since.tv_nsec ^ (uint64_t)c->since.tv_sec << 20 ^ (uint64_t)tree << 56;

	for (const char *s = rel; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211u;
	snprintf(out, 32, ".hutch-%016llx~", (unsigned long long)hash);
}
