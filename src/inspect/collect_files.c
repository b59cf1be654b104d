/* The report's view of files: the root directory, a named one, mounts, descriptors, processes.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void collect_names(struct seen_names *n, const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	n->errnum = d ? 0 : errno;
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			add_name(n, e->d_name);
	}
	if (d)
		closedir(d);
	sort_names(n);
}

/* A file of our own that is gone at once. Where it isn't our directory, one without a name. */
static int try_create(const char *dir, bool named)
{
	char path[512];
	int fd;

	if (!named) {
		fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) /* no such thing on this file system */
			return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
		return fd < 0 ? errno : (close(fd), 0);
	}
	if (snprintf(path, sizeof path, "%s/.hutch-inspect-%d", dir, getpid()) >= (int)sizeof path)
		return ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	unlink(path);
	close(fd);
	return 0;
}

void collect_files(struct report *r, const struct inspect_options *o)
{
	collect_names(&r->root, "/");
	if (!o->dir)
		return;
	copy_name(r->shared_path, sizeof r->shared_path, o->dir);
	collect_names(&r->shared, o->dir);
	r->create_errnum = try_create(o->dir, o->try_create);
}

static int compare_processes(const void *a, const void *b)
{
	const struct seen_process *p = a, *q = b;

	return (p->pid > q->pid) - (p->pid < q->pid);
}

void collect_processes(struct report *r)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	r->processes.errnum = d ? 0 : errno;
	while (d && (e = readdir(d))) {
		char path[300], name[64] = "?";
		FILE *f;
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		r->processes.total++;
		if (r->processes.kept == SEEN_MAX)
			continue;
		snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof name, f))
			name[strcspn(name, "\n")] = '\0';
		if (f)
			fclose(f);
		r->processes.p[r->processes.kept].pid = atoi(e->d_name);
		copy_name(r->processes.p[r->processes.kept++].name, sizeof r->processes.p->name, name);
	}
	if (d)
		closedir(d);
	qsort(r->processes.p, r->processes.kept, sizeof *r->processes.p, compare_processes);
}

void collect_mounts(struct report *r)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	struct seen_mount m;

	r->mounts.errnum = f ? 0 : errno;
	while (f && getline(&line, &size, f) > 0) {
		if (!decode_mount(line, &m))
			continue;
		r->mounts.total++;
		if (r->mounts.kept < 256)
			r->mounts.m[r->mounts.kept++] = m;
	}
	free(line);
	if (f)
		fclose(f);
}

/* What fstat knows of a descriptor where /proc can't say its name. */
static void describe_fd(int fd, char *out, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		snprintf(out, size, "?");
	else if (S_ISREG(st.st_mode))
		snprintf(out, size, "a file, inode %llu", (unsigned long long)st.st_ino);
	else if (S_ISDIR(st.st_mode))
		snprintf(out, size, "a directory, inode %llu", (unsigned long long)st.st_ino);
	else if (S_ISFIFO(st.st_mode))
		snprintf(out, size, "a pipe");
	else if (S_ISSOCK(st.st_mode))
		snprintf(out, size, "a socket");
	else
		snprintf(out, size, "a device, %u:%u", major(st.st_rdev), minor(st.st_rdev));
}

static void add_fd(struct report *r, int fd, int flags)
{
	struct seen_fd *f = &r->fds.f[r->fds.kept];
	char path[64], what[4096];
	ssize_t n;

	r->fds.total++;
	if (r->fds.kept == SEEN_MAX)
		return;
	r->fds.kept++;
	f->fd = fd;
	f->access = flags & O_PATH ? O_PATH : flags & O_ACCMODE;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, what, sizeof what - 1);
	if (n > 0)
		what[n] = '\0';
	else
		describe_fd(fd, what, sizeof what);
	copy_name(f->what, sizeof f->what, what);
}

static int compare_fds(const void *a, const void *b)
{
	const struct seen_fd *p = a, *q = b;

	return (p->fd > q->fd) - (p->fd < q->fd);
}

void collect_fds(struct report *r)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	long most = sysconf(_SC_OPEN_MAX);

	/* Without the list: ask for each number there may be, within reason. */
	if (!d) {
		for (int fd = 0; fd < 65536 && fd < most; fd++) {
			int flags = fcntl(fd, F_GETFL);
			if (flags >= 0)
				add_fd(r, fd, flags);
		}
		return;
	}
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name), flags;
		if (!isdigit((unsigned char)e->d_name[0]) || fd == dirfd(d))
			continue;
		flags = fcntl(fd, F_GETFL);
		if (flags >= 0)
			add_fd(r, fd, flags);
	}
	closedir(d);
	qsort(r->fds.f, r->fds.kept, sizeof *r->fds.f, compare_fds);
}
