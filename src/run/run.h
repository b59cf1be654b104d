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
	char *stdin_buffer;
	size_t stdin_len, stdin_off;
	struct hutch_report report;
	int64_t started_us, exec_us;
};

/* 0 = started; with a plan that enters, 1 = this is the program, inside. */
int run_launch(const struct plan *p, const struct host *h, struct hutch_run *r, struct hutch_error *e);
/* An unprivileged id that no other run has: the lock (kept open) is what reserves it. -1 = error. */
int id_allocate(uint32_t *id, struct hutch_error *e);
/* Writes the maps of process pid, by hand or through newuidmap and newgidmap. */
int idmap_write(const struct plan *p, const struct host *h, pid_t pid, uint32_t allocated, struct hutch_error *e);
/* A detached copy of the tree at o->path, owners mapped if asked for. Descriptor or -1. */
int source_open(const struct opened *o, uint32_t allocated, struct hutch_error *e);
/* enter.c: confines this process as it is. *changed: something can't be taken back. */
int run_enter_here(const struct plan *p, bool *changed, struct hutch_error *e);
int run_try_landlock(const struct plan *p, struct hutch_error *e);
/* Says in *e that the process isn't as it was. -1. */
int enter_partial(struct hutch_error *e);
/* What the caller turns into: waits for the program, relays signals, ends as it ends. */
void run_supervise(struct hutch_run *r) __attribute__((noreturn));
/* Start and end of words and environment in the text of /proc/self/stat. -1 = it isn't one. */
struct child;
int parse_words(char *text, struct child *c);
int64_t clock_us(void);
#define SETUP_DEADLINE_MS 60000 /* a network file system that answers slowly is still no reason to wait for ever */

#endif
