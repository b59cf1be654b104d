/* Changes put into the host's files. Each file is old or new at every moment: new content is written beside it,
 * synced, and takes its place by one rename.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cow/commit.h"
#include "sys/sys.h"

#define NOREPLACE 1
#define EXCHANGE 2

/* ---- one change ---- */
struct place { int parent; const char *name; char temp[32]; };

static int write_error(struct commit *m, const struct cow_change *x, int errnum, const char *call)
{
	return error_set(m->error, ERR_COW_WRITE, errnum, call, commit_path(m, x), NULL);
}

static void close_place(struct place *p)
{
	if (p->parent >= 0)
		close(p->parent);
	p->parent = -1;
}

static int open_place(struct commit *m, const struct cow_change *x, struct place *p)
{
	const char *slash = strrchr(x->rel, '/');
	char *dir = slash ? arena_strndup(&m->c->arena, x->rel, (size_t)(slash - x->rel)) : arena_strdup(&m->c->arena, "");

	p->parent = -1;
	if (!dir)
		return error_nomem(m->error);
	p->name = slash ? slash + 1 : x->rel;
	journal_temp(m->c, x->tree, x->rel, p->temp);
	p->parent = cow_beneath(m->c->trees[x->tree].lower[0], dir, O_RDONLY | O_DIRECTORY);
	return p->parent < 0 ? write_error(m, x, -p->parent, "openat2") : 0;
}

/* The bytes, and no more of the disk than they take above: a file of holes stays one. */
static int copy_bytes(int from, int to, off_t size)
{
	char buffer[65536];
	off_t at = 0;

	while (at < size) {
		off_t data = lseek(from, at, SEEK_DATA), hole;
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return -errno;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		for (at = data; at < hole;) {
			ssize_t n = pread(from, buffer, (size_t)(hole - at) < sizeof buffer ? (size_t)(hole - at) : sizeof buffer, at);
			if (n < 0)
				return -errno;
			if (n == 0)
				break;
			for (ssize_t done = 0; done < n;) {
				ssize_t w = pwrite(to, buffer + done, (size_t)(n - done), at + done);
				if (w <= 0)
					return w < 0 ? -errno : -EIO;
				done += w;
			}
			at += n;
		}
		if (at < hole)
			break;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

/* The program's own attributes, and the access list that the mode is part of. */
static int copy_xattrs(int from, int to)
{
	char list[65536], value[65536];
	ssize_t len = flistxattr(from, list, sizeof list);

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *name = list; name < list + len; name += strlen(name) + 1) {
		bool user = !strncmp(name, "user.", 5) && strncmp(name, "user.overlay.", 13);
		ssize_t n;
		if (!user && strcmp(name, "system.posix_acl_access"))
			continue;
		n = fgetxattr(from, name, value, sizeof value);
		if (n < 0 || fsetxattr(to, name, value, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Owned by the caller, unless another id of the run's own range owns it. */
static int copy_owner(struct commit *m, const struct cow_change *x, int fd, const char *temp)
{
	uid_t uid = x->now.st_uid == m->c->owner ? (uid_t)-1 : x->now.st_uid;
	gid_t gid = x->now.st_gid == m->c->group ? (gid_t)-1 : x->now.st_gid;

	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	return fchownat(fd, temp, uid, gid, AT_SYMLINK_NOFOLLOW | (*temp ? 0 : AT_EMPTY_PATH)) < 0 ? -errno : 0;
}

static unsigned mode_of(const struct cow_change *x)
{
	/* Set-id bits come here only where the path was named. */
	return x->now.st_mode & (S_ISDIR(x->now.st_mode) ? 03777 : 07777);
}

static int new_file(struct commit *m, const struct cow_change *x, const struct place *p)
{
	int from = cow_readable(m->c->trees[x->tree].upper, x->rel, O_RDONLY | O_NONBLOCK), to = -1, r = 0;
	const struct timespec times[2] = { x->now.st_atim, x->now.st_mtim };
	const char *call = "openat2";
	struct stat st;

	if (from < 0)
		return write_error(m, x, -from, "openat2");
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != x->now.st_ino)
		r = -ESTALE;
	if (r == 0 && (to = openat(p->parent, p->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0) {
		r = -errno;
		call = "openat";
	}
	if (r == 0 && (r = copy_bytes(from, to, st.st_size)) < 0)
		call = "write";
	if (r == 0 && ((r = copy_owner(m, x, to, "")) < 0 || (r = copy_xattrs(from, to)) < 0 || (r = fchmod(to, mode_of(x)) < 0 ? -errno : 0) < 0 ||
		       (r = futimens(to, times) < 0 ? -errno : 0) < 0))
		call = "fchown, fsetxattr, fchmod, futimens";
	if (r == 0 && fsync(to) < 0) {
		r = -errno;
		call = "fsync";
	}
	if (to >= 0)
		close(to);
	close(from);
	return r < 0 ? write_error(m, x, -r, call) : 0;
}

static int new_other(struct commit *m, const struct cow_change *x, const struct place *p)
{
	const struct timespec times[2] = { x->now.st_atim, x->now.st_mtim };
	int up, r;

	if (S_ISLNK(x->now.st_mode)) {
		char *text;
		up = cow_beneath(m->c->trees[x->tree].upper, x->rel, O_PATH);
		text = up < 0 ? NULL : cow_link_text(&m->c->arena, up);
		if (up >= 0)
			close(up);
		if (!text)
			return write_error(m, x, up < 0 ? -up : EIO, "readlinkat");
		r = symlinkat(text, p->parent, p->temp);
	} else if (S_ISDIR(x->now.st_mode)) {
		r = mkdirat(p->parent, p->temp, 0700);
	} else {
		r = mknodat(p->parent, p->temp, (x->now.st_mode & S_IFMT) | 0600, x->now.st_rdev);
		if (r == 0)
			r = fchmodat(p->parent, p->temp, mode_of(x), 0);
	}
	if (r < 0)
		return write_error(m, x, errno, "making it");
	if ((r = copy_owner(m, x, p->parent, p->temp)) < 0)
		return write_error(m, x, -r, "fchownat");
	return utimensat(p->parent, p->temp, times, AT_SYMLINK_NOFOLLOW) < 0 ? write_error(m, x, errno, "utimensat") : 0;
}

/* Right before the host's file is replaced: is it still the one that was looked at? */
static int still(struct commit *m, const struct cow_change *x, const struct place *p)
{
	struct stat st;

	if (fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? commit_conflict(m, x, "it was deleted on the host a moment ago") : write_error(m, x, errno, "fstatat");
	if (st.st_dev != x->was.st_dev || st.st_ino != x->was.st_ino || st.st_size != x->was.st_size ||
	    st.st_ctim.tv_sec != x->was.st_ctim.tv_sec || st.st_ctim.tv_nsec != x->was.st_ctim.tv_nsec)
		return commit_conflict(m, x, "it was changed on the host a moment ago");
	return 0;
}

static int swap_in(struct commit *m, const struct cow_change *x, const struct place *p)
{
	bool exchange = x->kind == COW_TYPE && (S_ISDIR(x->was.st_mode) || S_ISDIR(x->now.st_mode));
	unsigned flags = x->kind == COW_ADDED ? NOREPLACE : exchange ? EXCHANGE : 0;
	int r;

	/* A directory is looked at as a whole before; its own times are of no use, a commit in it changes them. */
	if (x->kind != COW_ADDED && !S_ISDIR(x->was.st_mode) && still(m, x, p) < 0)
		return -1;
	r = (int)SYS5(SYS_renameat2, p->parent, p->temp, p->parent, p->name, flags);
	if (r == -EEXIST)
		return commit_conflict(m, x, "it was made on the host a moment ago");
	if (r < 0)
		return write_error(m, x, -r, "renameat2");
	if (exchange && (r = cow_remove(p->parent, p->temp)) < 0)
		return write_error(m, x, -r, "unlinkat");
	return 0;
}

static int put(struct commit *m, const struct cow_change *x, const struct place *p)
{
	struct journal_line line = { .what = 'p', .tree = x->tree, .rel = x->rel };
	struct stat st;

	if ((S_ISREG(x->now.st_mode) ? new_file(m, x, p) : new_other(m, x, p)) < 0)
		return -1;
	if (fstatat(p->parent, p->temp, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return write_error(m, x, errno, "fstatat");
	line.dev = st.st_dev;
	line.ino = st.st_ino;
	line.size = (uint64_t)st.st_size;
	line.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	/* On the disk before the rename: a later commit must know this file for our own. */
	if (journal_add(m->c, &line, true, m->error) < 0)
		return -1;
	return swap_in(m, x, p);
}

static int take_away(struct commit *m, const struct cow_change *x, const struct place *p)
{
	struct journal_line line = { .what = 'd', .tree = x->tree, .rel = x->rel };
	int r;

	if (!S_ISDIR(x->was.st_mode) && still(m, x, p) < 0)
		return -1;
	if (journal_add(m->c, &line, true, m->error) < 0)
		return -1;
	if (!S_ISDIR(x->was.st_mode))
		return unlinkat(p->parent, p->name, 0) < 0 ? write_error(m, x, errno, "unlinkat") : 0;
	/* Its name is gone at once, what was in it after that. */
	r = (int)SYS5(SYS_renameat2, p->parent, p->name, p->parent, p->temp, NOREPLACE);
	if (r == 0)
		r = cow_remove(p->parent, p->temp);
	return r < 0 ? write_error(m, x, -r, "renameat2, unlinkat") : 0;
}

/* Mode, owner and times of a directory: at the end, when nothing is made in it any longer. */
static int finish_dir(struct commit *m, const struct cow_change *x)
{
	const struct timespec times[2] = { x->now.st_atim, x->now.st_mtim };
	int fd = cow_beneath(m->c->trees[x->tree].lower[0], x->rel, O_PATH | O_DIRECTORY), r = 0;
	char path[32];

	if (fd < 0)
		return write_error(m, x, -fd, "openat2");
	sys_fd_path(path, fd);
	if (x->kind != COW_CHANGED)
		r = copy_owner(m, x, fd, "");
	if (r == 0 && chmod(path, mode_of(x)) < 0)
		r = -errno;
	if (r == 0 && x->kind != COW_CHANGED && utimensat(AT_FDCWD, path, times, 0) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? write_error(m, x, -r, "chmod") : 0;
}

/* Only the mode of a file: one call, nothing to swap. */
static int change_mode(struct commit *m, const struct cow_change *x, const struct place *p)
{
	int fd = cow_beneath(p->parent, p->name, O_PATH), r;
	char path[32];
	struct stat st;

	if (fd < 0)
		return write_error(m, x, -fd, "openat2");
	sys_fd_path(path, fd);
	r = fstat(fd, &st) < 0 || st.st_ino != x->was.st_ino || st.st_dev != x->was.st_dev ? commit_conflict(m, x, "another file took its place a moment ago") :
		chmod(path, mode_of(x)) < 0 ? write_error(m, x, errno, "chmod") : 0;
	close(fd);
	return r;
}

static int apply(struct commit *m, const struct cow_change *x)
{
	bool to_dir = x->kind != COW_DELETED && S_ISDIR(x->now.st_mode);
	struct place p;
	int r;

	if (x->kind == COW_CHANGED && to_dir)
		return 0; /* its mode, at the end */
	if (open_place(m, x, &p) < 0)
		return -1;
	/* Of an earlier commit that was cut off. */
	if ((r = cow_remove(p.parent, p.temp)) < 0)
		r = write_error(m, x, -r, "unlinkat");
	else if (x->kind == COW_DELETED)
		r = take_away(m, x, &p);
	else if (x->kind == COW_CHANGED && !x->content)
		r = change_mode(m, x, &p);
	else
		r = put(m, x, &p);
	if (r < 0)
		cow_remove(p.parent, p.temp);
	else if (fsync(p.parent) < 0)
		r = write_error(m, x, errno, "fsync");
	close_place(&p);
	return r;
}

/* ---- all ---- */
static int announce(struct commit *m)
{
	if (journal_open(m->c, m->error) < 0)
		return -1;
	for (size_t i = 0; i < m->list->count; i++) {
		const struct cow_change *x = &m->list->items[i];
		struct journal_line line = { .what = 'w', .tree = x->tree, .rel = x->rel };
		if (x->chosen && journal_add(m->c, &line, false, m->error) < 0)
			return -1;
	}
	if (m->c->journal_fd >= 0 && fsync(m->c->journal_fd) < 0)
		return error_set(m->error, ERR_COW_WRITE, errno, "fsync", "journal", NULL);
	return 0;
}

static int apply_all(struct commit *m, size_t *done)
{
	struct cow_list *l = m->list;

	for (size_t i = 0; i < l->count; i++) {
		if (!l->items[i].chosen)
			continue;
		if (apply(m, &l->items[i]) < 0)
			return -1;
		++*done;
	}
	for (size_t i = l->count; i-- > 0;) {
		const struct cow_change *x = &l->items[i];
		if (x->chosen && x->kind != COW_DELETED && S_ISDIR(x->now.st_mode) && finish_dir(m, x) < 0)
			return -1;
	}
	return 0;
}

/* The directory of a journal line's file. The trees may be closed, or gone: -1, there is nothing to take away then. */
static int journal_parent(struct cow *c, const struct journal_line *l)
{
	const struct cow_tree *t = &c->trees[l->tree];
	const char *slash = strrchr(l->rel, '/');
	char *dir = slash ? arena_strndup(&c->arena, l->rel, (size_t)(slash - l->rel)) : arena_strdup(&c->arena, "");
	int top = dir ? open(t->lowers[0], O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1, parent;
	struct stat st;

	if (top < 0)
		return -1;
	parent = fstat(top, &st) == 0 && st.st_dev == t->dev && st.st_ino == t->ino ? cow_beneath(top, dir, O_RDONLY | O_DIRECTORY) : -1;
	close(top);
	return parent;
}

/* What an earlier commit, cut off, left beside the files that it was about to replace. */
static void sweep(struct cow *c)
{
	for (size_t i = 0; i < c->journal_count; i++) {
		const struct journal_line *l = &c->journal[i];
		int parent = l->what == 'w' ? journal_parent(c, l) : -1;
		char temp[32];
		if (parent < 0)
			continue;
		journal_temp(c, l->tree, l->rel, temp);
		cow_remove(parent, temp);
		close(parent);
	}
}

int cow_commit(struct cow *c, struct cow_list *l, const char *const *paths, bool force, size_t *done, size_t *skipped, struct hutch_error *e)
{
	struct commit m = { .c = c, .list = l, .force = force, .error = e };

	int r;

	*done = *skipped = 0;
	if ((r = cow_unlock(c, true)) < 0)
		return error_set(e, ERR_COW_READ, -r, "chmod", "a locked directory", NULL);
	r = commit_choose(&m, paths, skipped) < 0 || commit_check(&m) < 0 ? -1 : 0;
	if (r == 0) {
		sweep(c);
		r = announce(&m) < 0 ? -1 : apply_all(&m, done);
	}
	cow_unlock(c, false);
	return r;
}

int cow_discard(struct cow *c, struct hutch_error *e)
{
	int r = 0;

	if (!c->path)
		return 0; /* in memory: it ends with its descriptor */
	sweep(c);
	for (size_t i = 0; i < c->tree_count && r == 0; i++) {
		char name[32], gone[40];
		snprintf(name, sizeof name, "%zu", i);
		snprintf(gone, sizeof gone, "%zu.gone", i);
		/* At once: half of an upper tree must never be taken for all of it. */
		if (renameat(c->dir, name, c->dir, gone) < 0 && errno != ENOENT)
			r = -errno;
		if (r == 0)
			r = cow_remove(c->dir, gone);
	}
	/* The record last: without it nobody would know what the rest is. */
	if (r == 0)
		r = cow_remove(c->dir, "journal");
	if (r == 0)
		r = cow_remove(c->dir, "record");
	if (r == 0 && rmdir(c->path) < 0 && errno != ENOENT && errno != EBUSY && errno != EACCES && errno != EPERM)
		r = -errno;
	return r < 0 ? error_set(e, ERR_COW_WRITE, -r, "unlinkat", c->path, NULL) : 0;
}
