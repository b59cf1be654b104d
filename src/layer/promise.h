/* Promises: named sets of system calls.
 * Runs in: parent (and at build time, for the documents). */
#ifndef HUTCH_PROMISE_H
#define HUTCH_PROMISE_H

#include "layer/filter_build.h"

struct promise { const char *name, *help, *calls; };
/* NULL after the last. */
const struct promise *promise_row(size_t index);
/* The conditions of a promise, in words: *calls and the text. false after the last. */
bool promise_condition(size_t index, size_t *promise, const char **calls, const char **text);
/* A list with blanks between. -1 = error. */
int promises_parse(const char *text, uint32_t *set, struct hutch_error *e);
/* The rules of a set for one architecture; self: process id that counts as one's own. 0 or -errno. */
int promises_rules(struct arena *a, uint32_t set, uint32_t arch, uint32_t self, uint32_t refusal, struct ruleset *out);

#endif
