/* The launching helper: see helper.c.
 * Runs in: parent. */
#ifndef HUTCH_HELPER_H
#define HUTCH_HELPER_H

#include "layer/layer.h"

/* Starts child_main() with *c in a process that holds nothing of the caller. Every signal must be blocked.
 * Its pid, or 0: no such helper here (not built in, or the surroundings refuse it), and nothing was started. */
int helper_start(const struct child *c, const struct host *h);

#endif
