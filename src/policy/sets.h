/* The sets of paths that hide and protect take by name.
 * Runs in: any. */
#ifndef HUTCH_POLICY_SETS_H
#define HUTCH_POLICY_SETS_H

#include "policy/policy.h"

enum set_id { SET_SECRETS, SET_AUTORUN };
struct set_row { enum set_id set; const char *path, *what; };

const char *set_name(size_t set);               /* with its @; NULL after the last */
const char *set_help(enum set_id set);
enum key_id set_key(enum set_id set);           /* the key that takes it */
int set_find(const char *name);                 /* -1 = there is none */
const struct set_row *set_row(size_t index);    /* NULL after the last */
/* The path that a row stands for with this caller, a * in its last part as it is; NULL = none (no home, no such variable). */
const char *set_path(struct arena *a, const struct policy_context *c, const struct set_row *row, bool *nomem);

#endif
