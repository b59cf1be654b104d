/* Shared by the files of the attack probe: verdicts and raw system calls.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#ifndef ATTACK_PROBE_H
#define ATTACK_PROBE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* One line on standard output, then exit: 0 = HELD, 10 = ESCAPED, 20 = ERROR. */
__attribute__((noreturn, format(printf, 1, 2))) void escaped(const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2))) void held(const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2))) void broken(const char *fmt, ...);

/* The raw call: a negative errno on failure, no wrapper of a C library in between. */
long raw(long nr, long a, long b, long c, long d, long e, long f);
/* Refused before the kernel looked at what was asked? Anything else means that the call was reached. */
bool refused(long result);
void judge(const char *what, long result);
long number(const char *text);
/* Whole file, at most size - 1 bytes, with a zero byte behind; -1 on error. */
long slurp(const char *path, char *buf, size_t size);
/* Does the buffer hold this text? The text comes reversed in argv, so that no command line matches itself. */
bool holds(const char *buf, size_t size, const char *reversed);

struct verb { const char *name; int least; void (*run)(char **args); };
extern const struct verb call_verbs[], file_verbs[], process_verbs[], net_verbs[], limit_verbs[];

#endif
