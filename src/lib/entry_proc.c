/* What the kernel says of the processes that an entry names.
 * Runs in: parent. */
#include "lib/entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/sys.h"

#define FILES_MOST 65536 /* descriptors of a launcher that are looked through */

int process_look(pid_t pid, struct process *out)
{
	char path[64], text[1024], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strrchr(text, ')'); /* the name may hold anything */
	if (!at || at[1] != ' ' || !at[2])
		return -1;
	out->state = at[2];
	out->parent = (pid_t)strtol(at + 3, NULL, 10);
	for (int i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	out->start = at ? strtoull(at, NULL, 10) : 0;
	return out->start ? 0 : -1;
}

bool process_lives(int pidfd)
{
	struct pollfd p = { pidfd, POLLIN, 0 };

	return poll(&p, 1, 0) == 0;
}

/* The descriptor first: what is read of the number afterwards is of the same process, if that lives at the end. */
int process_open(pid_t pid, uint64_t start, struct process *out)
{
	int fd = sys_pidfd_open(pid, 0);

	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	if (process_look(pid, out) == 0 && out->start == start && process_lives(fd))
		return fd;
	close(fd);
	errno = ESRCH;
	return -1;
}

bool process_holds(pid_t pid, const struct stat *file)
{
	char path[64];
	struct dirent *d;
	struct stat st;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	for (int i = 0; dir && !found && i < FILES_MOST && (d = readdir(dir)); i++)
		found = d->d_name[0] != '.' && fstatat(dirfd(dir), d->d_name, &st, 0) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
	if (dir)
		closedir(dir);
	return found;
}

static bool children_of_task(const char *path, bool (*f)(void *, pid_t), void *data)
{
	FILE *file = fopen(path, "re");
	int pid;
	bool more = true;

	while (file && more && fscanf(file, "%d", &pid) == 1)
		more = f(data, pid);
	if (file)
		fclose(file);
	return more;
}

/* Each thread has its own children. */
void process_children(pid_t pid, bool (*f)(void *data, pid_t child), void *data)
{
	char path[96];
	struct dirent *d;
	bool more = true;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && more && (d = readdir(dir))) {
		if (d->d_name[0] < '0' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, d->d_name);
		more = children_of_task(path, f, data);
	}
	if (dir)
		closedir(dir);
}

struct oldest { pid_t parent, pid; uint64_t start; };

static bool take_older(void *data, pid_t child)
{
	struct oldest *o = data;
	struct process p;

	if (process_look(child, &p) < 0 || p.parent != o->parent || p.state == 'Z' || p.state == 'X')
		return true;
	if (!o->pid || p.start < o->start || (p.start == o->start && child < o->pid)) {
		o->pid = child;
		o->start = p.start;
	}
	return true;
}

pid_t process_program(const struct hutch_entry *n)
{
	struct oldest o = { .parent = n->text.first };

	if (!n->text.init)
		return n->text.first;
	process_children(n->text.first, take_older, &o);
	return o.pid;
}
