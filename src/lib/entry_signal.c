/* Signals to a run of the list: to the program by way of its launcher, or the end of all of it.
 * Runs in: parent. */
#include "lib/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys/sys.h"

static int signal_error(const hutch_entry *n, int errnum, const char *call, struct hutch_error *e)
{
	return error_set(e, ERR_ENTRY_SIGNAL, errnum, call, n->file, NULL);
}

static int send_to(const hutch_entry *n, int pidfd, int signal, struct hutch_error *e)
{
	int r = sys_pidfd_send_signal(pidfd, signal);

	return r < 0 ? signal_error(n, -r, "pidfd_send_signal", e) : 0;
}

struct killer { pid_t parent; size_t count, depth; };

/* The tree below, each process by a descriptor of its own: what an orphan's new parent is called may change meanwhile. */
static bool kill_below(void *data, pid_t child)
{
	struct killer *up = data, k = { .parent = child, .depth = up->depth + 1 };
	int fd = sys_pidfd_open(child, 0);
	struct process p;

	if (fd < 0)
		return true;
	if (process_look(child, &p) == 0 && p.parent == up->parent && p.state != 'Z' && p.state != 'X') {
		sys_pidfd_send_signal(fd, SIGKILL);
		up->count++;
		if (k.depth < 64)
			process_children(child, kill_below, &k);
		up->count += k.count;
	}
	close(fd);
	return true;
}

/* Without a pid namespace there is no process whose end ends all. Our init takes in every orphan, so what is below it
 * is everything; it ends by itself when nothing is left. */
static int kill_tree(const hutch_entry *n, struct hutch_error *e)
{
	static const struct timespec pause = { 0, 2000000 };

	for (int i = 0; i < 1000; i++) {
		struct killer k = { .parent = n->text.first };
		process_children(n->text.first, kill_below, &k);
		if (!k.count || !process_lives(n->first))
			return 0;
		nanosleep(&pause, NULL);
	}
	return signal_error(n, ETIMEDOUT, "pidfd_send_signal", e);
}

/* Is it PID 1 of a namespace of its own? */
static bool ends_all(const hutch_entry *n)
{
	char path[64], text[4096], *at;
	int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t got = -1;

	snprintf(path, sizeof path, "%d/status", (int)n->text.first);
	if (dir >= 0) {
		got = entry_read(dir, path, text, sizeof text);
		close(dir);
	}
	at = got > 0 ? strstr(text, "\nNSpid:") : NULL;
	if (!at)
		return false;
	at[1 + strcspn(at + 1, "\n")] = '\0';
	at = strrchr(at, '\t');
	return at && !strcmp(at, "\t1");
}

static int kill_all(hutch_entry *n, struct hutch_error *e)
{
	int r = 0;

	for (size_t i = 0; i < n->text.cgroup_count; i++) {
		int fd = n->text.cgroups[i].version == 2 ? entry_cgroup(n, i) : -1;
		if (fd < 0)
			continue;
		entry_write(fd, "cgroup.kill", "1"); /* Linux 5.14; what follows does the same, a little later */
		close(fd);
	}
	if (process_lives(n->first))
		r = n->text.init && !ends_all(n) ? kill_tree(n, e) : send_to(n, n->first, SIGKILL, e);
	/* Version 1 holds even a killed process until it is thawed. */
	if (r == 0 && entry_frozen(n) == 1 && entry_set_frozen(n, false, e) < 0 && process_lives(n->first))
		return -1;
	return r;
}

int hutch_entry_signal(hutch_entry *n, int signal, struct hutch_error *e)
{
	static const int passed[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGTSTP, SIGWINCH };

	if (signal == SIGKILL)
		return kill_all(n, e);
	for (size_t i = 0; i < COUNT_OF(passed); i++) {
		if (passed[i] == signal)
			return send_to(n, n->launcher, signal, e);
	}
	return signal_error(n, EINVAL, NULL, e);
}
