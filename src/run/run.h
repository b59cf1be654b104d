/* A started sandbox, seen from the launcher.
 * Runs in: parent. */
#ifndef HUTCH_RUN_H
#define HUTCH_RUN_H

#include <time.h>

#include <hutch/hutch.h>

#include "plan/plan.h"
#include "run/tty.h"

struct hutch_run {
	const struct plan *plan;
	pid_t pid;               /* first process, outside: ours to reap */
	int pidfd, control;
	int cow;                 /* directory of changes, -1 = none; one in memory ends with this descriptor */
	struct timespec cow_since; /* no file of the host that was changed before has this time or a later one */
	int id_lock;             /* held while the allocated id is in use, -1 = none */
	uint32_t allocated_id;
	bool have_tty, reaped, stopped;
	struct tty_relay *tty;
	int stdin_from, stdin_to; /* relay of a file, -1 = none */
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
/* Before the clone: the start's time, and the directory of cow-upper. */
int cow_prepare(const struct plan *p, struct hutch_run *r, struct hutch_error *e);
/* What the run has changed so far; after its end that is all. The caller's storage, cow_done() whatever the result. */
struct cow;
int cow_of_run(const struct hutch_run *r, struct cow *out, struct hutch_error *e);
int64_t clock_us(void);
#define SETUP_DEADLINE_MS 60000 /* a network file system that answers slowly is still no reason to wait for ever */

#endif
