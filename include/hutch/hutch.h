/* libhutch: confine a program on Linux.
 *
 * Order of use: policy (keys by name) -> plan (compiled for this host, printable, no effect) ->
 * run (a started sandbox) -> report. No function here exits, prints, installs a signal handler or
 * keeps writable global state. Objects may be used by one thread at a time; different objects are
 * independent. Functions that return int return 0, or -1 with *e filled (e may be NULL).
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

HUTCH_API const char *hutch_version(void);

/* ---- policy ---- */
typedef struct hutch_policy hutch_policy;
/* A policy without lines: once compiled it is the preset "default". NULL = out of memory. */
HUTCH_API hutch_policy *hutch_policy_new(void);
HUTCH_API void hutch_policy_free(hutch_policy *p);
/* One line: the same key and value text as on the command line or in a policy file, hutch-policy(5). */
HUTCH_API int hutch_policy_set(hutch_policy *p, const char *key, const char *value, struct hutch_error *e);
HUTCH_API int hutch_policy_load(hutch_policy *p, const char *path, struct hutch_error *e);
/* Command line words as `hutch run` takes them (without "run"). extra: words of the caller's own, may be
 * NULL: gets the word at argv[at], returns how many words it took, 0 = not its own, -1 = error. */
HUTCH_API int hutch_policy_args(hutch_policy *p, int argc, char *const argv[],
				int (*extra)(void *data, int argc, char *const argv[], int at, struct hutch_error *e),
				void *data, struct hutch_error *e);
/* The program to run: argv is copied; argv[0] is looked up in the sandbox's PATH unless it has a slash. */
HUTCH_API int hutch_policy_command(hutch_policy *p, char *const argv[], struct hutch_error *e);

/* ---- keys: the table behind options, files and help ---- */
struct hutch_key { const char *name, *type, *def, *range, *group, *help; bool list; };
/* Row index, false after the last. */
HUTCH_API bool hutch_key(size_t index, struct hutch_key *out);
HUTCH_API const char *hutch_preset_name(size_t index);          /* NULL after the last */
HUTCH_API const char *hutch_preset_text(const char *name);

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
/* The same with other descriptors than the policy's lines "fd" name, so that one plan serves many runs:
 * the one that the program finds as inside is the caller's outside. Each inside must be one of the policy's;
 * kinds are checked alike. Copies are made: the caller keeps its own and may close them. */
struct hutch_fd { int inside, outside; };
HUTCH_API int hutch_spawn_fds(const hutch_plan *plan, const struct hutch_fd *fds, size_t count, hutch_run **out, struct hutch_error *e);
HUTCH_API pid_t hutch_run_pid(const hutch_run *r);              /* of the sandbox's first process, outside */
/* For an event loop: fills at most max pollfds, returns how many; call hutch_run_step when one is ready. */
HUTCH_API int hutch_run_pollfds(const hutch_run *r, struct pollfd *fds, int max);
/* Handles what is ready. 1 = ended, 0 = goes on, 2 = the program was stopped (job control), -1 = error. */
HUTCH_API int hutch_run_step(hutch_run *r, const struct pollfd *fds, int count, struct hutch_error *e);
/* Sends a signal to the program. SIGWINCH copies the outer window size; SIGCONT resumes after a stop. */
HUTCH_API int hutch_run_signal(hutch_run *r, int signal, struct hutch_error *e);
/* Before stopping oneself (job control): gives the outer terminal back. */
HUTCH_API void hutch_run_suspend(hutch_run *r);
HUTCH_API int hutch_run_kill(hutch_run *r, struct hutch_error *e);  /* ends every process in it */

enum hutch_end { HUTCH_END_NONE, HUTCH_END_EXITED, HUTCH_END_SIGNALLED, HUTCH_END_KILLED /* the whole sandbox, from outside */ };
struct hutch_report {
	enum hutch_end end;
	int exit_code, signal;
	bool core_dumped;
	int64_t wall_us, user_us, system_us;  /* from exec to end; CPU of the program and the children it waited for */
	int64_t setup_us;                     /* from hutch_spawn to exec */
	int64_t max_rss_kib;
};
/* Blocks until the end (steps by itself). May be called again: same answer. */
HUTCH_API int hutch_run_wait(hutch_run *r, struct hutch_report *out, struct hutch_error *e);
HUTCH_API int hutch_report_exit_status(const struct hutch_report *r); /* as a shell would say: code or 128+n */
/* JSON object; malloc'd. */
HUTCH_API char *hutch_report_json(const struct hutch_report *r);
/* Kills if it still runs, reaps, frees. */
HUTCH_API void hutch_run_free(hutch_run *r);

#ifdef __cplusplus
}
#endif
#endif
