/* A started sandbox, seen from the launcher.
 * Runs in: parent. */
#ifndef HUTCH_RUN_H
#define HUTCH_RUN_H

#include <time.h>

#include <hutch/hutch.h>

#include "plan/plan.h"
#include "run/tty.h"

struct tally;

/* The launcher's own clockwork over a run. */
struct watch {
	int timer;               /* -1 = nothing to watch */
	int64_t wall_at;         /* clock_us() of its end, 0 = none */
	int64_t kill_at;         /* end of the grace period, 0 = none */
	enum hutch_end why;      /* which limit ended it */
	struct tally *tally;     /* processes seen, without a cgroup; NULL = not needed */
};

/* One cgroup of this run; the descriptor's lock says that its launcher lives. */
struct run_cgroup { int fd; char *path; };
#define RUN_CGROUPS CG_CONTROLLERS

/* What the program writes, on its way through the launcher. */
struct output {
	int from, to;            /* -1 = done */
	bool own;                /* to was opened by us */
	uint64_t count;
	char *buffer;
	size_t len, off;
};

/* The run's file in the list of runs. The lock on it says that the launcher lives. */
struct entry { int dir, fd; char name[POLICY_NAME_MOST + 1]; };

struct hutch_run {
	const struct plan *plan;
	pid_t pid;               /* first process, outside: ours to reap */
	int pidfd, control;
	int cow;                 /* directory of changes, -1 = none; one in memory ends with this descriptor */
	struct timespec cow_since; /* no file of the host that was changed before has this time or a later one */
	int id_lock;             /* held while the allocated id is in use, -1 = none */
	uint32_t allocated_id;
	bool have_tty, reaped, stopped, disk_full;
	struct tty_relay *tty;
	int stdin_from, stdin_to; /* relay of a file, -1 = none */
	int stdin_own;           /* stdin_from, where it is ours to close */
	const struct hutch_fd *given; /* during the launch: other descriptors than the policy names */
	size_t given_count;
	int exempt;              /* one of them that may be of any kind: the library made it */
	char *stdin_buffer;
	size_t stdin_len, stdin_off;
	struct run_cgroup cgroups[RUN_CGROUPS]; /* as plan->cgroups */
	struct { pid_t helper; int hold; } scope; /* who keeps systemd's scope, and the pipe that it waits at; hold -1 = none */
	struct run_cgroup leaf;  /* where the launcher went to, fd -1 = nowhere */
	struct output output[3]; /* 1, 2 */
	struct watch watch;
	int listener;            /* of denied system calls, -1 = none */
	struct entry entry;
	pid_t launcher;
	uint64_t launcher_start; /* of this process, in clock ticks; 0 = not known */
	struct hutch_report report;
	int64_t started_us, exec_us;
	struct late_found { char *path, *to; const char *origin; int errnum; } *aside; /* to NULL: it is still there */
	size_t aside_count;
	bool aside_lost;         /* no memory to say it all */
};

/* 0 = started; with a plan that enters, 1 = this is the program, inside. */
int run_launch(const struct plan *p, const struct host *h, struct hutch_run *r, struct hutch_error *e);
/* An unprivileged id that no other run has: the lock (kept open) is what reserves it. -1 = error. */
int id_allocate(uint32_t *id, struct hutch_error *e);
/* Writes the maps of process pid, by hand or through newuidmap and newgidmap. */
int idmap_write(const struct plan *p, const struct host *h, pid_t pid, uint32_t allocated, struct hutch_error *e);
/* A detached copy of the tree at o->path, owners mapped if asked for. Descriptor or -1. */
struct mapper { const struct opened *of; int userns; }; /* all zero at first */
int source_open(struct mapper *m, const struct opened *o, uint32_t allocated, struct hutch_error *e);
void mapper_done(struct mapper *m);

/* ---- fds.c ---- */
/* Copies of every descriptor that the key fd names, examined; held[] takes fd_count of them. For a process that goes
 * on they are only examined: it has them. -1 = error. */
int fds_hold(const struct plan *p, const struct hutch_run *r, int *held, struct hutch_error *e);
/* Are 0-2 of the kinds that the plan was made for. -1 = error. */
int fds_unchanged(const struct plan *p, const struct host *h, struct hutch_error *e);
/* Moves *fd to a number that is no place inside. -1 = errno. */
int fds_aside(const struct policy *p, int *fd);
/* A regular file that is open for reading only, given as standard input: taken out of held, to be copied
 * through a pipe, since it could be reopened for writing. -1 = it is none. */
int fds_input(const struct policy *p, int *held);

/* ---- cgroup.c ---- */
/* Makes the plan's cgroups below their parents and writes their limits; sweeps what dead launchers left there. */
int cgroup_make(struct hutch_run *r, struct hutch_error *e);
/* A descriptor for CLONE_INTO_CGROUP, -1 = there is none. */
int cgroup_birth(const struct hutch_run *r);
/* Moves process pid into all of them; born: the one of version 2 has it already. */
int cgroup_join(struct hutch_run *r, pid_t pid, bool born, struct hutch_error *e);
/* Processor time of all that ever ran in it, microseconds; -1 = it isn't counted. */
int64_t cgroup_cpu_us(const struct hutch_run *r);
/* Asks systemd for a scope around pid, where the plan says so. */
int cgroup_scope(struct hutch_run *r, const struct host *h, pid_t pid, struct hutch_error *e);
void cgroup_usage(const struct hutch_run *r, struct hutch_report *out);
/* Ends what is in there, where the kernel can at once, and lets a frozen one go on to its end. */
void cgroup_kill(const struct hutch_run *r);
void cgroup_remove(struct hutch_run *r);

/* ---- entry.c: the list of runs ---- */
/* The directory, opened and checked; path (may be NULL) gets its name. make: it is made where it is missing. */
int entry_directory(bool make, char path[4096], struct hutch_error *e);
/* An empty file, locked: nobody else can take the name any more. Without a name of its own a run goes on unlisted. */
int entry_reserve(struct hutch_run *r, struct hutch_error *e);
/* Before the word to go on: who it is. */
int entry_fill(struct hutch_run *r, struct hutch_error *e);
/* The program's exec went well: from here on others may look at it and change it, never at one that is half set up. */
int entry_running(struct hutch_run *r, struct hutch_error *e);
void entry_remove(struct hutch_run *r);
void entry_escape(struct text *t, const char *s, size_t most);
#define ENTRY_MOST 16384     /* bytes of a file */
#define ENTRY_WORDS_MOST 2048 /* of the command, escaped */

/* ---- late.c: names that must not have been made ---- */
void late_check(struct hutch_run *r);
void late_done(struct hutch_run *r);

/* ---- record.c ---- */
void report_clear(struct hutch_report *p);
struct rusage;
void report_usage(struct hutch_report *p, const struct rusage *u);
/* All is gone: reads what the cgroups counted, then says which limit it was, if it was one. */
void report_conclude(struct hutch_run *r);

/* ---- watch.c: time, and what a cgroup doesn't hold ---- */
int watch_start(struct hutch_run *r, struct hutch_error *e);
/* From exec on the clock runs. */
void watch_run(struct hutch_run *r);
/* The timer fired. */
void watch_step(struct hutch_run *r);
/* The first reason counts. TERM first where there is grace, else all of it is killed. */
void watch_end(struct hutch_run *r, enum hutch_end why);
void watch_stop(struct hutch_run *r);

/* A denied system call waits for its answer: the end of the run. Only the call's number and architecture are looked
 * at, which the caller can't change any more. */
void denied_step(struct hutch_run *r);

/* ---- output.c ---- */
int output_open(struct hutch_run *r, int pipes[3][2], struct hutch_error *e);
bool output_pending(const struct hutch_run *r);
int output_pollfds(const struct hutch_run *r, struct pollfd *fds);
void output_step(struct hutch_run *r, const struct pollfd *fds);
void output_done(struct hutch_run *r);

/* enter.c: confines this process as it is. *changed: something can't be taken back. */
int run_enter_here(const struct plan *p, bool *changed, struct hutch_error *e);
int run_try_landlock(const struct plan *p, struct hutch_error *e);
/* Says in *e that the process isn't as it was. -1. */
int enter_partial(struct hutch_error *e);
/* What the caller turns into: waits for the program, relays signals, ends as it ends. */
void run_supervise(struct hutch_run *r) __attribute__((noreturn));
/* Start and end of words and environment in the text of /proc/self/stat. -1 = it isn't one. */
struct child;
int parse_words(char *text, struct child *c, struct hutch_run *r);
/* Before the clone: the start's time, and the directory of cow-upper. */
int cow_prepare(const struct plan *p, struct hutch_run *r, struct hutch_error *e);
/* What the run has changed so far; after its end that is all. The caller's storage, cow_done() whatever the result. */
struct cow;
int cow_of_run(const struct hutch_run *r, struct cow *out, struct hutch_error *e);
int64_t clock_us(void);
#define SETUP_DEADLINE_MS 60000 /* a network file system that answers slowly is still no reason to wait for ever */

#endif
