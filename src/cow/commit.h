/* Shared by the two halves of a commit: looking, and doing.
 * Runs in: parent. */
#ifndef HUTCH_COW_COMMIT_H
#define HUTCH_COW_COMMIT_H

#include "cow/cow.h"

struct commit {
	struct cow *c;
	struct cow_list *list;
	bool force;              /* the host's newer files are overwritten */
	struct hutch_error *error;
};

/* Marks what was asked for, and the new directories above it. Sockets are left out and counted. */
int commit_choose(struct commit *m, const char *const *paths, size_t *skipped);
/* Refuses before anything is changed: what could be a trap, and what the host changed meanwhile. */
int commit_check(struct commit *m);
int commit_conflict(struct commit *m, const struct cow_change *x, const char *why);
const char *commit_path(struct commit *m, const struct cow_change *x);

#endif
