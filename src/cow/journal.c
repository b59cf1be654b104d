/* The journal of a commit.
 * Runs in: parent. */
#include "cow/cow.h"
int journal_read(struct cow *c, struct hutch_error *e) { (void)c; (void)e; return 0; }
