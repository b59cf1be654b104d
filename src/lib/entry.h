/* A run of this user, seen by another process: what its entry says, and what of it the kernel confirms.
 * Runs in: parent. */
#ifndef HUTCH_LIB_ENTRY_H
#define HUTCH_LIB_ENTRY_H

#include <sys/stat.h>

#include <hutch/entry.h>

#include "lib/lib.h"

#define ENTRY_CGROUPS RUN_CGROUPS
#define ENTRY_WORDS 64
#define ENTRY_MOUNTS 64
#define LIMITLESS (INT64_MAX / 4096 * 4096) /* memory: version 1's number for no limit */

/* Text of a file that anybody who may write there can have written: bounded, and checked by form only. */
struct entry_text {
	char id[POLICY_NAME_MOST + 1];
	pid_t launcher, first;
	uint64_t launcher_start, first_start;
	bool init;                /* first is our init, not the program */
	int64_t started;
	struct { unsigned version; const char *path; } cgroups[ENTRY_CGROUPS];
	size_t cgroup_count;
	const char *words[ENTRY_WORDS + 1];
	size_t word_count;
	struct { uint64_t id; const char *at; } mounts[ENTRY_MOUNTS]; /* by hutch mount, those that were taken away left out */
	size_t mount_count;
	bool running;             /* the last word of the launcher's is there: set-up is over */
};
/* Strings are made in a. 0, or -1 with why. PURE. */
int entry_parse(const char *text, size_t len, struct arena *a, struct entry_text *out, const char **why);

struct hutch_entry {
	struct arena arena;
	struct entry_text text;
	char file[POLICY_NAME_MOST + 1]; /* its name in the directory, and the run's */
	int fd;                   /* the entry, for reading */
	int launcher, first;      /* pidfds, verified */
	char state;               /* of the first process when it was looked at */
};

/* ---- entry_proc.c: what /proc says of one process ---- */
struct process { char state; pid_t parent; uint64_t start; };
int process_look(pid_t pid, struct process *out);
/* The process behind pid, if it is the one that started then; -1 = it isn't (errno set). */
int process_open(pid_t pid, uint64_t start, struct process *out);
bool process_lives(int pidfd);
/* Does process pid hold this file open? */
bool process_holds(pid_t pid, const struct stat *file);
/* The program: first itself, or the oldest child of our init. 0 = there is none (any more). */
pid_t process_program(const struct hutch_entry *n);
/* Calls f for each child of a process until it says false. */
void process_children(pid_t pid, bool (*f)(void *data, pid_t child), void *data);

/* ---- entry_cgroup.c ---- */
/* Recorded cgroup i, if it is one of ours, holds the first process and not the launcher. Descriptor, -1 = no. */
int entry_cgroup(const struct hutch_entry *n, size_t i);
ssize_t entry_read(int dir, const char *file, char *text, size_t size);
int entry_write(int dir, const char *file, const char *text); /* -errno */
/* A dead launcher's cgroups are let go on, so that what is frozen in them can end, and removed. */
void entry_release(const struct entry_text *t);
/* Clears away what dead launchers of this user left in the list; beside a run that has just been put into it. A living
 * launcher's entry costs one look at its lock. */
void entry_sweep(void);
void entry_sweep_beside(const struct hutch_run *r);
int entry_frozen(const struct hutch_entry *n); /* 1, 0, -1 = no cgroup that could */
int entry_set_frozen(const struct hutch_entry *n, bool freeze, struct hutch_error *e);

#endif
