/* Runs of this user that another process started: the list behind hutch ps, stats, kill, freeze, update, mount.
 *
 * There is no daemon. Each listed run has a small file, locked by its launcher, in $XDG_RUNTIME_DIR/hutch (else
 * /run/user/UID/hutch, root: /run/hutch). What such a file says is believed only where the kernel agrees: the
 * launcher holds that very file open, the sandbox's first process is its child, both are the same processes as when it
 * was written. All is done by descriptors of processes, never by bare numbers.
 * Functions that return int return 0, or -1 with *e filled (e may be NULL).
 * Runs in: parent. */
#ifndef HUTCH_ENTRY_H
#define HUTCH_ENTRY_H

#include <hutch/hutch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hutch_entry hutch_entry;

/* Runs of this plan are listed where they can be, as those of `hutch run` are. Those that have the key `name` always
 * are, or don't start. */
HUTCH_API void hutch_plan_list(hutch_plan *plan, bool yes);

/* All runs that live and can be verified, by their start. doubtful (may be NULL): files that weren't believed. Entries
 * of dead launchers are removed on the way. Free each, and the array with free(3). */
HUTCH_API int hutch_entry_list(hutch_entry ***out, size_t *count, size_t *doubtful, struct hutch_error *e);
/* The one with this name or id. */
HUTCH_API int hutch_entry_find(const char *name, hutch_entry **out, struct hutch_error *e);
HUTCH_API void hutch_entry_free(hutch_entry *n);

enum hutch_state { HUTCH_STATE_RUNNING, HUTCH_STATE_STOPPED, HUTCH_STATE_FROZEN };
/* The word, "running" and so on; static text. */
HUTCH_API const char *hutch_state_name(enum hutch_state state);
struct hutch_facts {
	const char *id, *name;
	pid_t launcher, pid;       /* pid: the sandbox's first process, outside */
	int64_t started;           /* seconds since 1970 */
	const char *const *words;  /* of the command, as given; NULL-terminated; long ones are cut */
};
/* The texts live as long as the entry. */
HUTCH_API void hutch_entry_facts(const hutch_entry *n, struct hutch_facts *out);

/* What it uses now. Numbers that nothing tells are -1. counted: by its own cgroup, exactly; else the processes that
 * /proc shows were added up, and what ended without being waited for is missing. */
/* How long some, and all, of its processes waited for it, and how much of the last ten seconds, in hundredths of a
 * percent. -1: the run has no cgroup of version 2, or the kernel doesn't measure. */
struct hutch_pressure { int64_t some_us, full_us, some_avg10, full_avg10; };
struct hutch_stats {
	enum hutch_state state;
	int64_t age_ms;
	int64_t cpu_us, memory, tasks;               /* tasks: processes and threads, init included */
	bool cpu_counted, memory_counted, tasks_counted;
	int64_t memory_peak, memory_limit, tasks_limit; /* of the cgroup */
	struct hutch_pressure cpu_pressure, memory_pressure, io_pressure;
};
/* Fills *out; an error where the run has ended meanwhile. */
HUTCH_API int hutch_entry_stats(hutch_entry *n, struct hutch_stats *out, struct hutch_error *e);

/* The runs as a table, or as a JSON array with all of their numbers; one alone (single): several lines, or one object.
 * malloc'd. Those that have ended meanwhile are left out. NULL = out of memory. */
HUTCH_API char *hutch_entry_text(hutch_entry *const *n, size_t count, bool single, bool json);

/* To the program, by way of its launcher; SIGKILL ends everything in the sandbox. */
HUTCH_API int hutch_entry_signal(hutch_entry *n, int signal, struct hutch_error *e);
/* Needs a cgroup of the run's own. Returns when the kernel says that all of it stands (goes on). */
HUTCH_API int hutch_entry_freeze(hutch_entry *n, bool freeze, struct hutch_error *e);
/* Sets the limits that the policy's lines name, and reads them back. Needs a cgroup of the run's own. */
HUTCH_API int hutch_entry_update(hutch_entry *n, const hutch_policy *limits, struct hutch_error *e);
/* Shows a file or directory of the host inside, at an absolute path: nosuid, nodev, read-only if asked for. The run must
 * have mounts of its own. The mount point must exist, or lie in a private file system of the run, where it is made. */
HUTCH_API int hutch_entry_mount(hutch_entry *n, const char *source, const char *at, bool read_only, struct hutch_error *e);
/* Takes away what hutch_entry_mount() has put there last, in whichever process. */
HUTCH_API int hutch_entry_umount(hutch_entry *n, const char *at, struct hutch_error *e);

#ifdef __cplusplus
}
#endif
#endif
