/* The helper that runs inside a sandbox and reports what it finds: shared declarations.
 * Runs in: the sandbox's payload (static, needs nothing of the tree around it). */
#ifndef INSIDE_H
#define INSIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A verb: its arguments are argv[0..argc-1]; returns the exit status so far (0 = go on). */
struct verb {
	const char *name;
	int min_args;
	int (*run)(int argc, char **argv);
	const char *help;
};
extern const struct verb verbs_state[], verbs_files[], verbs_acts[];

/* "key=value" with the value's control bytes escaped, so that one fact is one line. */
void say(const char *key, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void say_text(const char *key, const char *value, size_t len);
const char *error_name(int errnum);
/* "ok" or the name of errno. */
const char *verdict(long result);
int syscall_by_name(const char *name);
int signal_by_name(const char *name);
const char *signal_text(int sig);
#endif
