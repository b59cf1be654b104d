/* Writing beneath one directory: every path goes through openat2 without links, all else is one name in a directory.
 * Runs in: parent (confined). */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys/sys.h"

#define OPAQUE "user.overlay.opaque" /* what an overlay reads with userxattr: the only one that anybody may set */
#define IMPLICIT "user.hutch.implicit"
#define IMPLICIT_BELOW "user.hutch.implicit-below"
#define MOST_DEPTH 4096u

int open_beneath(int dir, const char *path, int flags, unsigned mode)
{
	struct u_open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW), .mode = mode,
		.resolve = U_RESOLVE_BENEATH | U_RESOLVE_NO_SYMLINKS | U_RESOLVE_NO_MAGICLINKS | U_RESOLVE_NO_XDEV,
	};

	return sys_openat2(dir, *path ? path : ".", &how);
}

void tree_init(struct tree *t, struct job *job, int root)
{
	*t = (struct tree){ .job = job, .root = root, .parent = -1 };
}

static void forget(struct tree *t)
{
	if (t->parent >= 0)
		close(t->parent);
	free(t->parent_path);
	t->parent = -1;
	t->parent_path = NULL;
}

void tree_done(struct tree *t)
{
	forget(t);
}

static int store_error(struct tree *t, int errnum, const char *call, const char *path)
{
	return error_set(t->job->error, ERR_IMAGE_STORE, errnum, call, path, NULL);
}

static int refused(struct tree *t, const char *path, int errnum)
{
	if (errnum != ELOOP && errnum != ENOTDIR && errnum != EXDEV)
		return store_error(t, errnum, "openat2", path);
	error_set(t->job->error, ERR_IMAGE_ENTRY, 0, NULL, path, NULL);
	return error_detail(t->job->error, "the way there leads through a symbolic link or a file of the archive");
}

bool tree_stat(int dir, const char *name, struct stat *st)
{
	return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool tree_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* One directory that the archive has no entry for (yet). */
static int make_implicit(struct tree *t, int dir, const char *name, const char *path)
{
	struct directory d = { .path = arena_strdup(&t->job->arena, path), .mode = 0755, .mtime.tv_nsec = UTIME_OMIT, .implicit = true };
	struct stat st;
	bool hidden = tree_stat(dir, name, &st) && tree_is_whiteout(&st);
	int fd;

	if (hidden && unlinkat(dir, name, 0) < 0)
		return store_error(t, errno, "unlinkat", path);
	if (mkdirat(dir, name, 0700) < 0)
		return store_error(t, errno, "mkdirat", path);
	fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return refused(t, path, -fd);
	/* The layer hides what is below, and has something of that name itself. */
	if (!d.path || (hidden && tree_set_opaque(t, fd, path) < 0) || tree_note_directory(t, &d) < 0) {
		close(fd);
		return d.path ? -1 : error_nomem(t->job->error);
	}
	return fd;
}

/* Component by component, making what is missing. */
static int make_path(struct tree *t, const char *path)
{
	char *copy = strdup(path);
	int dir = open_beneath(t->root, "", O_RDONLY | O_DIRECTORY, 0);

	if (!copy || dir < 0) {
		free(copy);
		return copy ? store_error(t, -dir, "openat2", "(root)") : error_nomem(t->job->error);
	}
	for (char *name = copy, *end; name && dir >= 0; name = end ? end + 1 : NULL) {
		end = strchr(name, '/');
		if (end)
			*end = 0;
		struct stat st;
		int next = open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
		if (next == -ENOENT || (next == -ENOTDIR && tree_stat(dir, name, &st) && tree_is_whiteout(&st)))
			next = make_implicit(t, dir, name, copy);
		else if (next < 0)
			next = refused(t, copy, -next);
		close(dir);
		dir = next;
		if (end)
			*end = '/';
	}
	free(copy);
	return dir;
}

int tree_directory(struct tree *t, const char *path, bool create)
{
	int fd;

	if (t->parent >= 0 && !strcmp(t->parent_path, path))
		return t->parent;
	fd = open_beneath(t->root, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT && !create)
		return -2;
	if ((fd == -ENOENT || fd == -ENOTDIR) && create)
		fd = make_path(t, path);
	else if (fd < 0)
		fd = refused(t, path, -fd);
	if (fd < 0)
		return -1;
	forget(t);
	t->parent = fd;
	t->parent_path = strdup(path);
	if (t->parent_path)
		return fd;
	forget(t);
	return error_nomem(t->job->error);
}

int tree_remove(struct tree *t, int dir, const char *name)
{
	struct stat st;
	int r;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (!tree_stat(dir, name, &st) || !S_ISDIR(st.st_mode))
		return store_error(t, errno, "unlinkat", name);
	r = remove_tree(dir, name, 0);
	if (r < 0)
		return store_error(t, -r, "unlinkat", name);
	/* The directory used last may have been in there; dir itself can't: what holds a name isn't below it. */
	if (t->parent >= 0 && dir != t->parent)
		forget(t);
	return 0;
}

int tree_make_whiteout(struct tree *t, int dir, const char *name)
{
	struct stat st;

	if (!tree_stat(dir, name, &st))
		return mknodat(dir, name, S_IFCHR, makedev(0, 0)) == 0 ? 0 : store_error(t, errno, "mknodat", name);
	if (!S_ISDIR(st.st_mode))
		return 0; /* a file of this layer hides it as well */
	int fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? store_error(t, -fd, "openat2", name) : tree_set_opaque(t, fd, name);
	if (fd >= 0)
		close(fd);
	return r;
}

int tree_set_opaque(struct tree *t, int dir, const char *path)
{
	if (fsetxattr(dir, OPAQUE, "y", 1, 0) == 0)
		return 0;
	store_error(t, errno, "fsetxattr", path);
	return errno == EOPNOTSUPP ? error_detail(t->job->error, "its file system keeps no extended attributes of users") : -1;
}

static bool has_mark(int dir, const char *name)
{
	char value;

	return fgetxattr(dir, name, &value, 1) == 1 && value == 'y';
}

bool tree_is_opaque(int dir)
{
	return has_mark(dir, OPAQUE);
}

bool tree_is_implicit(int dir)
{
	return has_mark(dir, IMPLICIT);
}

bool tree_has_implicit(int root)
{
	return has_mark(root, IMPLICIT_BELOW);
}

int tree_mark_implicit(struct tree *t)
{
	if (t->implicit && fsetxattr(t->root, IMPLICIT_BELOW, "y", 1, 0) < 0)
		return store_error(t, errno, "fsetxattr", "(root)");
	return 0;
}

/* An entry of its own may come after the first file in it. */
static int mark(struct tree *t, int fd, const struct directory *d)
{
	if (!d->implicit) {
		if (fremovexattr(fd, IMPLICIT) == 0 && *d->path)
			t->implicit--;
		return 0;
	}
	if (fsetxattr(fd, IMPLICIT, "y", 1, 0) < 0)
		return store_error(t, errno, "fsetxattr", d->path);
	t->implicit += *d->path != 0;
	return 0;
}

int tree_note_directory(struct tree *t, const struct directory *d)
{
	struct directory *all = arena_grow(&t->job->arena, t->directories, t->directory_count, &t->directory_cap, sizeof *all);

	if (!all)
		return error_nomem(t->job->error);
	t->directories = all;
	all[t->directory_count++] = *d;
	return 0;
}

int owners_apply(struct job *job, int fd, uint32_t uid, uint32_t gid, const char *path)
{
	const struct owners *o = &job->owners;

	if (!o->ranges)
		return 0;
	if (uid >= o->uid_count || gid >= o->gid_count) {
		error_set(job->error, ERR_IMAGE_OWNERS, 0, NULL, path, NULL);
		return error_detail(job->error, "it belongs to %u:%u, and the ranges have %u user and %u group ids", uid, gid, o->uid_count, o->gid_count);
	}
	if (fchown(fd, o->uid_base + uid, o->gid_base + gid) == 0)
		return 0;
	return error_set(job->error, ERR_IMAGE_STORE, errno, "fchown", path, NULL);
}

/* Without ranges we are the owner of all, and have no right but the owner's: 0700 stays, or we (and the sandbox's
 * root, who is the same id) couldn't look into what real root can. */
static int finish_one(struct tree *t, const struct directory *d)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, d->mtime };
	mode_t mode = t->job->owners.ranges ? d->mode : d->mode | 0700;
	int r = 0, fd = open_beneath(t->root, d->path, O_RDONLY | O_DIRECTORY, 0);

	/* A later entry put something else there. */
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return store_error(t, -fd, "openat2", d->path);
	if (mark(t, fd, d) < 0)
		r = -1;
	else if (futimens(fd, times) < 0)
		r = store_error(t, errno, "utimensat", d->path);
	else if (fchmod(fd, mode) < 0)
		r = store_error(t, errno, "fchmod", d->path);
	else
		r = owners_apply(t->job, fd, d->uid, d->gid, d->path);
	close(fd);
	return r;
}

int tree_finish_directories(struct tree *t)
{
	for (size_t i = 0; i < t->directory_count; i++) {
		if (finish_one(t, &t->directories[i]) < 0)
			return -1;
	}
	return 0;
}

/* ---- removing ---- */
static int remove_content(int fd, unsigned depth)
{
	DIR *d = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!d) {
		int saved = errno;
		close(fd);
		return -saved;
	}
	while (r == 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = remove_tree(dirfd(d), entry->d_name, depth + 1);
	}
	closedir(d);
	return r;
}

int remove_tree(int dir, const char *name, unsigned depth)
{
	int fd, r;

	if (depth > MOST_DEPTH)
		return -ELOOP;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	fchmod(fd, 0700);
	r = remove_content(fd, depth);
	if (r < 0)
		return r;
	return unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}
