/* A started sandbox, seen from the launcher.
 * Runs in: parent. */
#ifndef HUTCH_RUN_H
#define HUTCH_RUN_H

#include <hutch/hutch.h>

#include "plan/plan.h"
#include "run/tty.h"

struct hutch_run {
	const struct plan *plan;
	pid_t pid;               /* first process, outside: ours to reap */
	int pidfd, control;
	int id_lock;             /* held while the allocated id is in use, -1 = none */
	uint32_t allocated_id;
	bool have_tty, reaped, stopped;
	struct tty_relay *tty;
	int stdin_from, stdin_to; /* relay of a file, -1 = none */
	int stdin_own;           /* stdin_from, where it is ours to close */
	const struct hutch_fd *given; /* during the launch: other descriptors than the policy names */
	size_t given_count;
	int exempt;              /* one of them that may be of any kind: the library made it */
	char *stdin_buffer;
	size_t stdin_len, stdin_off;
	struct hutch_report report;
	int64_t started_us, exec_us;
};

int run_launch(const struct plan *p, const struct host *h, struct hutch_run *r, struct hutch_error *e);
/* An unprivileged id that no other run has: the lock (kept open) is what reserves it. -1 = error. */
int id_allocate(uint32_t *id, struct hutch_error *e);
/* Writes the maps of process pid, by hand or through newuidmap and newgidmap. */
int idmap_write(const struct plan *p, const struct host *h, pid_t pid, uint32_t allocated, struct hutch_error *e);
/* A detached copy of the tree at o->path, owners mapped if asked for. Descriptor or -1. */
int source_open(const struct opened *o, uint32_t allocated, struct hutch_error *e);
/* Copies of every descriptor that the key fd names, examined; held[] takes fd_count of them. -1 = error. */
int fds_hold(const struct policy *p, const struct hutch_run *r, int *held, struct hutch_error *e);
/* Are 0-2 of the kinds that the plan was made for. -1 = error. */
int fds_unchanged(const struct policy *p, const struct host *h, struct hutch_error *e);
/* Moves *fd to a number that is no place inside. -1 = errno. */
int fds_aside(const struct policy *p, int *fd);
/* A regular file that is open for reading only, given as standard input: taken out of held, to be copied
 * through a pipe, since it could be reopened for writing. -1 = it is none. */
int fds_input(const struct policy *p, int *held);
int64_t clock_us(void);
#define SETUP_DEADLINE_MS 60000 /* a network file system that answers slowly is still no reason to wait for ever */

#endif
