/* libhutch: confine a program on Linux.
 *
 * Order of use: policy (keys by name) -> plan (compiled for this host, printable, no effect) ->
 * run (a started sandbox) -> report. No function here exits, prints, installs a signal handler or
 * keeps writable global state. Objects may be used by one thread at a time; different objects are
 * independent, and a plan may be used for hutch_spawn by many threads at once. The thread that called hutch_spawn may end.
 * Functions that return int return 0, or -1 with *e filled (e may be NULL).
 *
 * Ownership: each _new, _open, _list and hutch_spawn has its _free, which takes NULL; text that is called malloc'd is for free(3);
 * all other text belongs to the object that it was got from, or is static, and isn't to be freed. What a caller gives is copied.
 * Forks: after fork(2) objects belong to the parent alone. The child must neither use nor free them (hutch_run_free would
 * end the run); their descriptors are close-on-exec. Signals: none is needed, and calls go on when one comes. SIGCHLD may be ignored,
 * and others may wait for any child, but not with the key init = no: there the kernel alone has the status.
 * Units stand in names: _us microseconds, _ms milliseconds, _kib KiB; sizes without one are bytes.
 * Runs in: parent. */
#ifndef HUTCH_HUTCH_H
#define HUTCH_HUTCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/types.h>

#include <hutch/error.h>

#ifdef __cplusplus
extern "C" {
#endif
#define HUTCH_API __attribute__((visibility("default")))

#define HUTCH_EXIT_FAILED     125 /* hutch failed before exec: nothing of the program ran */
#define HUTCH_EXIT_NOT_EXEC   126 /* the program exists and can't be executed */
#define HUTCH_EXIT_NOT_FOUND  127 /* there is no such program */

/* Of the library that is loaded, "0.1.0"; static text. */
HUTCH_API const char *hutch_version(void);

/* ---- policy ---- */
typedef struct hutch_policy hutch_policy;
/* A policy without lines: once compiled it is the preset "default". NULL = out of memory. */
HUTCH_API hutch_policy *hutch_policy_new(void);
HUTCH_API void hutch_policy_free(hutch_policy *p);
/* One line: the same key and value text as on the command line or in a policy file, hutch-policy(5). The key's name is checked
 * here, its value by hutch_plan_new. Twice the same key that isn't a list: an error there. */
HUTCH_API int hutch_policy_set(hutch_policy *p, const char *key, const char *value, struct hutch_error *e);
/* The lines of a policy file; what hutch_policy_set says wins over them. Its errors name file and line. */
HUTCH_API int hutch_policy_load(hutch_policy *p, const char *path, struct hutch_error *e);
/* Command line words as `hutch run` takes them (without "run"). extra: words of the caller's own, may be
 * NULL: gets the word at argv[at], returns how many words it took, 0 = not its own, -1 = error. */
HUTCH_API int hutch_policy_args(hutch_policy *p, int argc, char *const argv[],
				int (*extra)(void *data, int argc, char *const argv[], int at, struct hutch_error *e),
				void *data, struct hutch_error *e);
/* One line that everything a person wrote (by function, on a command line, in a policy file or a preset that it
 * names) wins over: what an image says of itself, what a program prefers. origin is for messages, "image" for one. */
HUTCH_API int hutch_policy_default(hutch_policy *p, const char *key, const char *value, const char *origin, struct hutch_error *e);
/* The value that a key has by the lines so far, "" = an empty one, NULL = no line says it. Lists: the last. The text lives as
 * long as the policy. */
HUTCH_API const char *hutch_policy_get(const hutch_policy *p, const char *key);
/* The program where none is given: does nothing if there is one already. */
HUTCH_API int hutch_policy_default_command(hutch_policy *p, char *const argv[], struct hutch_error *e);
/* The program to run: argv is copied; argv[0] is looked up in the sandbox's PATH unless it has a slash. */
HUTCH_API int hutch_policy_command(hutch_policy *p, char *const argv[], struct hutch_error *e);

/* ---- keys: the table behind options, files and help ---- */
struct hutch_key { const char *name, *type, *def, *range, *group, *help; bool list; };
/* Row index, false after the last. */
HUTCH_API bool hutch_key(size_t index, struct hutch_key *out);
HUTCH_API const char *hutch_preset_name(size_t index);          /* NULL after the last */
/* The preset's policy file; NULL = there is none of that name. */
HUTCH_API const char *hutch_preset_text(const char *name);
/* The sets of paths that the keys hide and protect take by name. Name ("@secrets"), NULL after the last; what it is (help)
 * and the key that takes it may be NULL. */
HUTCH_API const char *hutch_set_name(size_t index, const char **help, const char **key);
/* Row of a set: a path (~/ the home, ./ the working directory, $NAME/ a variable) and what it is. false after the last. */
HUTCH_API bool hutch_set_row(const char *set, size_t index, const char **path, const char **what);

/* ---- plan ---- */
typedef struct hutch_plan hutch_plan;
/* Freezes the policy and compiles it for this host and caller. full: also runs the costly probes, so that
 * the plan says what a launch would find out. No effect on the system. The policy may be freed afterwards. */
HUTCH_API int hutch_plan_new(const hutch_policy *p, bool full, hutch_plan **out, struct hutch_error *e);
HUTCH_API void hutch_plan_free(hutch_plan *plan);
/* Text (json: one JSON object) of the operations and the effective table; malloc'd, free() it. NULL = no memory. */
HUTCH_API char *hutch_plan_text(const hutch_plan *plan, bool json);
/* What this host offers; malloc'd text. */
HUTCH_API char *hutch_check_text(bool json, struct hutch_error *e);

/* ---- run ---- */
typedef struct hutch_run hutch_run;
/* Starts the sandbox; returns once the program's exec has succeeded. The plan must outlive the run. */
HUTCH_API int hutch_spawn(const hutch_plan *plan, hutch_run **out, struct hutch_error *e);
struct hutch_fd { int inside, outside; };
/* The same with other descriptors than the policy's lines "fd" name, so that one plan serves many runs:
 * the one that the program finds as inside is the caller's outside. Each inside must be one of the policy's;
 * kinds are checked alike. Copies are made: the caller keeps its own and may close them. */
HUTCH_API int hutch_spawn_fds(const hutch_plan *plan, const struct hutch_fd *fds, size_t count, hutch_run **out, struct hutch_error *e);
/* Of the sandbox's first process, outside. After the end the number may be another process's. */
HUTCH_API pid_t hutch_run_pid(const hutch_run *r);
/* For an event loop: fills at most max pollfds, returns how many (16 are always enough; those with fd -1 keep their place).
 * When one is ready, give them to hutch_run_step as they are. Fill them anew before each poll. */
HUTCH_API int hutch_run_pollfds(const hutch_run *r, struct pollfd *fds, int max);
/* Handles what is ready. 1 = ended, 0 = goes on, 2 = the program was stopped (job control), -1 = error. */
HUTCH_API int hutch_run_step(hutch_run *r, const struct pollfd *fds, int count, struct hutch_error *e);
/* Sends a signal to the program; after the end an error (ESRCH). SIGWINCH copies the outer window size; SIGCONT resumes after a stop. */
HUTCH_API int hutch_run_signal(hutch_run *r, int signal, struct hutch_error *e);
/* Before stopping oneself (job control): gives the outer terminal back. */
HUTCH_API void hutch_run_suspend(hutch_run *r);
/* Ends every process in it; doesn't wait: hutch_run_wait does. After the end it does nothing. */
HUTCH_API int hutch_run_kill(hutch_run *r, struct hutch_error *e);

/* How a run ended, as one word of the report. A limit that only makes calls fail (memory, pids, disk) is named when it
 * was hit and the program then ended badly; where a signal is all that the kernel leaves (file-size), a program that
 * raises it by itself looks the same, within that limit. */
enum hutch_end {
	HUTCH_END_NONE, HUTCH_END_EXITED, HUTCH_END_SIGNALLED, HUTCH_END_KILLED /* the whole sandbox, from outside */,
	HUTCH_END_WALL_TIME, HUTCH_END_CPU_TIME, HUTCH_END_MEMORY, HUTCH_END_PIDS, HUTCH_END_OUTPUT, HUTCH_END_FILE_SIZE,
	HUTCH_END_DISK, HUTCH_END_SYSCALL_DENIED
};
/* The word: "exited", "wall-time"…; static text. */
HUTCH_API const char *hutch_end_name(enum hutch_end end);
/* Name of a system call by number; arch is an AUDIT_ARCH_*. Static text, NULL = unknown. */
HUTCH_API const char *hutch_syscall_name(uint32_t arch, int number);
/* Numbers that this host can't tell are -1. */
struct hutch_report {
	enum hutch_end end;
	int exit_code, signal;                /* of the program, whatever the word; signal 0 = it exited */
	bool core_dumped;
	int64_t wall_us, user_us, system_us;  /* from exec to end; CPU of the program and the children it waited for */
	int64_t setup_us;                     /* from hutch_spawn to exec */
	int64_t setup_cpu_us;                 /* processor time of set-up inside, which the sums below include */
	int64_t max_rss_kib;                  /* of the largest single process */
	int64_t tree_user_us, tree_system_us; /* of every process that anybody in the sandbox waited for, set-up included */
	int64_t minor_faults, major_faults, voluntary_switches, involuntary_switches; /* of the same */
	int64_t read_bytes, write_bytes;      /* from and to block devices, of the same */
	int64_t cgroup_cpu_us;                /* of every process that ever ran in it, set-up included */
	int64_t seen_cpu_us;                  /* without a cgroup, of a run that was killed: what /proc said just before */
	int64_t memory_peak, swap_peak, pids_peak; /* bytes, bytes, processes; without a cgroup: the greatest that was seen */
	int64_t oom_kills, memory_hits, pids_hits; /* how often the limit was met */
	int64_t throttled_periods, throttled_us;   /* by the limit of processors */
	int64_t cpu_pressure_us, cpu_pressure_full_us, memory_pressure_us, memory_pressure_full_us, io_pressure_us, io_pressure_full_us;
					      /* how long some (full: all) of it waited for that; cgroup of version 2 */
	int64_t stdout_bytes, stderr_bytes;   /* through the launcher */
	int32_t denied_call;                  /* number of the denied system call that ended it, -1 = none */
	uint32_t denied_arch;                 /* its AUDIT_ARCH_* */
};
/* Blocks until the end (steps by itself). May be called again: same answer. out may be NULL. */
HUTCH_API int hutch_run_wait(hutch_run *r, struct hutch_report *out, struct hutch_error *e);
HUTCH_API int hutch_report_exit_status(const struct hutch_report *r); /* as a shell would say: code or 128+n */
/* The numbers as a JSON object; malloc'd. */
HUTCH_API char *hutch_report_json(const struct hutch_report *r);
/* The whole record of an ended run: numbers, each limit and how near the run came, the effective table.
 * json: one object of docs/report.schema.json, else text of several lines; malloc'd. NULL = no memory, or not ended. */
HUTCH_API char *hutch_run_report(const hutch_run *r, bool json);
/* What the program made under a name that protect-new = check watches, and where it is now: moved_to; NULL = moving it
 * failed with errnum, and it is still at path. */
struct hutch_aside { const char *path, *moved_to; int errnum; };
/* The names that were moved aside when the run had ended, by index; false = no more. The strings live as long as the run. */
HUTCH_API bool hutch_run_aside(const hutch_run *r, size_t index, struct hutch_aside *out);
/* What the policy wants done with the changes of copy-on-write (key on-exit): "commit", "discard", "keep", "ask";
 * NULL = the run has none. The library does nothing by itself: see hutch_run_changes(). */
HUTCH_API const char *hutch_run_on_exit(const hutch_run *r);
/* Are the changes in a directory of the host (cow-upper), so that they outlive the run? */
HUTCH_API bool hutch_run_kept(const hutch_run *r);
struct hutch_usage { uint64_t bytes_used, bytes, files_used, files; };
/* How full the file system is that holds the changes. Also while it runs. */
HUTCH_API int hutch_run_usage(const hutch_run *r, struct hutch_usage *out, struct hutch_error *e);
/* Kills if it still runs, reaps, frees. */
HUTCH_API void hutch_run_free(hutch_run *r);

/* ---- changes that a run made copy-on-write ---- */
typedef struct hutch_changes hutch_changes;
/* where: the directory of cow-upper, or NAME or @NAME of cow-upper = @NAME. Locked until freed. */
HUTCH_API int hutch_changes_open(const char *where, hutch_changes **out, struct hutch_error *e);
/* Of a run that has ended; in memory they end with it, so before hutch_run_free(). */
HUTCH_API int hutch_run_changes(const hutch_run *r, hutch_changes **out, struct hutch_error *e);
/* How many files, directories and links differ. */
HUTCH_API size_t hutch_changes_count(const hutch_changes *c);
#define HUTCH_CHANGES_JSON    1u
#define HUTCH_CHANGES_UNIFIED 2u /* contents of text files too */
#define HUTCH_CHANGES_SAFE    4u /* control bytes of contents escaped, for a terminal */
/* malloc'd text. */
HUTCH_API char *hutch_changes_text(hutch_changes *c, unsigned how, struct hutch_error *e);
#define HUTCH_COMMIT_FORCE 1u    /* also over what the host changed meanwhile */
/* Puts changes into the host's files. paths: absolute, NULL-terminated; NULL = all. Each file is old or new at every
 * moment; after an error or a crash the same call on the same directory goes on. *done: how many were put there,
 * *skipped: sockets, which are left out (both may be NULL). The changes stay where they are: discard them after. */
HUTCH_API int hutch_changes_commit(hutch_changes *c, const char *const *paths, unsigned flags, size_t *done, size_t *skipped,
				   struct hutch_error *e);
/* Throws all of them away; the object is of no more use but to be freed. */
HUTCH_API int hutch_changes_discard(hutch_changes *c, struct hutch_error *e);
/* The same by its place, without looking at the trees: they may be gone. */
HUTCH_API int hutch_changes_discard_at(const char *where, struct hutch_error *e);
HUTCH_API void hutch_changes_free(hutch_changes *c);

/* ---- enter: this process confines itself ---- */
/* The caller confines itself as the policy says and goes on in the same program:
 *     if (hutch_enter(p, &e) < 0) …exit; application_run();
 * The policy's command is not used. What is not covered: processes that were started before.
 *
 * With new namespaces (the default): the process must have one thread. It forks; the call returns 0 in the child,
 * which is the application, with another process id (inside: what the new namespace gives). The parent never
 * returns: it closes its descriptors, waits, relays the signals that it gets, stops and goes on as the application
 * does, and ends as it ends (same exit code, same signal); if it is killed, so is the application. Handlers of
 * pthread_atfork run once. Memory is the application's own copy; timers, file locks of fcntl and pending
 * asynchronous I/O are not inherited, as with fork(2). Descriptors but 0-2 and those that the key `fd` names are
 * closed. Signal handlers, masks, the session and the terminal stay.
 *
 * Without (userns = never, or = try in a process with threads): nothing is forked, and every thread is confined,
 * also those that are made meanwhile: system call filter with TSYNC; capabilities, ids, no_new_privs and Landlock by
 * a signal that each thread handles (33, or a free real-time one; the old disposition is put back), so that a call
 * that can't be restarted may return EINTR once. Meanwhile no other thread may fork, change ids, use the environment or rely on a
 * descriptor that is about to be closed. A thread that blocks all signals, or has a filter of its own: an error.
 *
 * Environment: environ is replaced; strings of the first environment that are gone from it are overwritten, also
 * where /proc/self/environ shows them, so pointers that getenv(3) gave before may then lead to an empty string.
 *
 * 0 = confined. -1 = not, *e says why. Everything that can be is checked before anything changes, and then the
 * process is as it was; if *e's detail begins with "partially confined; exit", it isn't: the caller must end.
 * Never ignore the result. Must not be called from a signal handler. */
HUTCH_API int hutch_enter(const hutch_policy *p, struct hutch_error *e) __attribute__((warn_unused_result));
/* What hutch_enter would do, as hutch_plan_text prints it, without doing it. malloc'd; NULL = error. */
HUTCH_API char *hutch_enter_text(const hutch_policy *p, bool json, struct hutch_error *e);

/* ---- narrow: this process gives up more and more ---- */
struct hutch_path { const char *path, *rights; /* of "rwxc": read, write, execute, create and remove below */ };
#define HUTCH_NARROW_KILL 1u    /* a refused system call ends the process (SIGSYS); else it fails with EPERM */
/* May be called any number of times (the kernel has a limit of 16 for paths), before or after hutch_enter, by any
 * thread: it holds for all threads, and for every process and program that they start. It never gives back anything:
 * what one call leaves out stays gone, whatever a later one lists.
 * promises: names with blanks between, hutch_narrow(3); what none of them allows is refused. NULL = system calls stay
 * as they are, "" = nothing but ending by a signal.
 * paths: the only files and directories (with all below) that can still be opened, made or executed. NULL = as they
 * are; count 0 = none. Each path must exist, and naming one takes the promise rpath. What is open stays open. Not
 * covered: looking at names (stat), modes and times, and unix sockets by path: that is what the promises are for.
 * Threads: as hutch_enter without namespaces. 0, or -1 with *e: nothing changed, unless its detail begins with
 * "partially confined; exit". */
HUTCH_API int hutch_narrow(const char *promises, const struct hutch_path *paths, size_t count, unsigned flags,
			   struct hutch_error *e) __attribute__((warn_unused_result));
/* Name of a promise, NULL after the last. help (may be NULL): what it is for. */
HUTCH_API const char *hutch_promise(size_t index, const char **help);

#ifdef __cplusplus
}
#endif
#endif
