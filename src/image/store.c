/* The store: a directory of finished trees named by what they hold. Entries appear by one rename; what a killed run
 * left has a name that begins with tmp and no holder of its lock.
 * Runs in: parent. */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define NO_REPLACE 1u /* RENAME_NOREPLACE */

static int failed(struct job *job, int errnum, const char *call, const char *what)
{
	return error_set(job->error, ERR_IMAGE_STORE, errnum, call, what, job->store_path);
}

static const char *default_path(struct job *job)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return "/var/lib/hutch/layers";
	if (data && data[0] == '/')
		return arena_printf(&job->arena, "%s/hutch/layers", data);
	return home && home[0] == '/' ? arena_printf(&job->arena, "%s/.local/share/hutch/layers", home) : NULL;
}

/* Like mkdir -p, each for us alone; root's can be passed through, for runs whose root is an id of root's ranges:
 * what lies in it is for its owner alone. */
static void make_path(const char *path)
{
	mode_t mode = geteuid() == 0 ? 0711 : 0700, before = umask(0);
	char *copy = strdup(path);

	for (char *p = copy ? copy + 1 : NULL; p && *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		mkdir(copy, mode);
		*p = '/';
	}
	free(copy);
	mkdir(path, mode);
	umask(before);
}

int store_open(struct job *job)
{
	const char *top = job->text[OPT_STORE] ? job->text[OPT_STORE] : default_path(job);
	struct stat st;

	if (!top) {
		failed(job, 0, NULL, "(default)");
		return error_detail(job->error, "neither XDG_DATA_HOME nor HOME is an absolute path");
	}
	if (top[0] != '/') {
		char *here = getcwd(NULL, 0);
		top = here ? arena_printf(&job->arena, "%s/%s", here, top) : NULL;
		free(here);
	}
	job->store_path = top ? arena_printf(&job->arena, "%s/sha256", top) : NULL;
	if (!job->store_path)
		return error_nomem(job->error);
	make_path(job->store_path);
	job->store = open(job->store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (job->store < 0 || fstat(job->store, &st) < 0)
		return failed(job, errno, "open", job->store_path);
	/* Who may write there may choose what later runs execute. */
	if (st.st_uid == geteuid() && !(st.st_mode & 022))
		return 0;
	failed(job, 0, NULL, job->store_path);
	return error_detail(job->error, "it belongs to uid %u, mode %o: it must be yours and writable for you alone", st.st_uid, st.st_mode & 07777);
}

static const char *entry_name(struct job *job, const char *prefix, const char *digest)
{
	return arena_printf(&job->arena, "%s%s%s", prefix, digest, job->owners.tag);
}

const char *store_path(struct job *job, const char *prefix, const char *digest)
{
	return arena_printf(&job->arena, "%s/%s%s%s/tree", job->store_path, prefix, digest, job->owners.tag);
}

int store_find(struct job *job, const char *prefix, const char *digest)
{
	const char *name = entry_name(job, prefix, digest), *tree = name ? arena_printf(&job->arena, "%s/tree", name) : NULL;
	int fd = tree ? open_beneath(job->store, tree, O_RDONLY | O_DIRECTORY, 0) : -ENOMEM;

	if (fd == -ENOENT)
		return -2;
	return fd < 0 ? failed(job, -fd, "openat2", tree) : fd;
}

/* ---- unfinished entries ---- */
static const char *temp_prefix(struct job *job)
{
	return arena_printf(&job->arena, "tmp%s-", job->owners.tag);
}

/* Taken before anybody could think that it is left over: a sweeper that was faster has removed it. */
static bool claim(struct job *job, struct store_temp *t)
{
	struct stat mine, now;

	return flock(t->dir, LOCK_EX | LOCK_NB) == 0 && fstat(t->dir, &mine) == 0 && tree_stat(job->store, t->name, &now) &&
	       mine.st_ino == now.st_ino && mine.st_dev == now.st_dev;
}

int store_begin(struct job *job, struct store_temp *t)
{
	const char *prefix = temp_prefix(job);
	uint64_t random;

	for (int tries = 0; prefix && tries < 100; tries++) {
		if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
			return failed(job, errno, "getrandom", "(name)");
		snprintf(t->name, sizeof t->name, "%s%016llx", prefix, (unsigned long long)random);
		if (mkdirat(job->store, t->name, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return failed(job, errno, "mkdirat", t->name);
		}
		t->dir = open_beneath(job->store, t->name, O_RDONLY | O_DIRECTORY, 0);
		if (t->dir < 0)
			continue;
		if (claim(job, t) && mkdirat(t->dir, "tree", 0700) == 0 &&
		    (t->tree = open_beneath(t->dir, "tree", O_RDONLY | O_DIRECTORY, 0)) >= 0)
			return 0;
		close(t->dir);
	}
	return failed(job, 0, NULL, "(a new entry)");
}

void store_abort(struct job *job, struct store_temp *t)
{
	close(t->tree);
	remove_tree(job->store, t->name, 0);
	close(t->dir);
}

static int write_info(struct store_temp *t, const char *info)
{
	size_t len = strlen(info);
	int fd = open_beneath(t->dir, "info", O_WRONLY | O_CREAT | O_EXCL, 0600), saved;

	if (fd < 0)
		return fd;
	saved = write(fd, info, len) == (ssize_t)len ? 0 : -errno;
	close(fd);
	return saved;
}

int store_commit(struct job *job, struct store_temp *t, const char *prefix, const char *digest, const char *info)
{
	const char *name = entry_name(job, prefix, digest);
	int r = name ? write_info(t, info) : -ENOMEM;

	/* The run that shows it has its owner's rights, and no others. */
	if (r == 0 && job->owners.ranges && !job->owners.inside && fchown(t->dir, job->owners.uid_base, job->owners.gid_base) < 0)
		r = -errno;
	/* Its name says that it is whole: after a power cut, too. */
	if (r == 0 && syncfs(t->dir) < 0)
		r = -errno;
	if (r < 0) {
		store_abort(job, t);
		return failed(job, -r, "syncfs", t->name);
	}
	if (renameat2(job->store, t->name, job->store, name, NO_REPLACE) < 0) {
		r = errno;
		store_abort(job, t);
		/* Another run was faster: the same bytes. */
		return r == EEXIST ? 0 : failed(job, r, "renameat2", name);
	}
	fsync(job->store);
	close(t->tree);
	close(t->dir);
	return 0;
}

static void sweep_one(struct job *job, const char *name)
{
	int fd = open_beneath(job->store, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		remove_tree(job->store, name, 0);
	close(fd);
}

void store_sweep(struct job *job)
{
	const char *prefix = temp_prefix(job);
	int copy = prefix ? open_beneath(job->store, "", O_RDONLY | O_DIRECTORY, 0) : -1;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(d))) {
		if (!strncmp(entry->d_name, prefix, strlen(prefix)))
			sweep_one(job, entry->d_name);
	}
	closedir(d);
}
