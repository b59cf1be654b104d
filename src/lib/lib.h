/* The objects behind the public opaque types.
 * Runs in: parent. */
#ifndef HUTCH_LIB_H
#define HUTCH_LIB_H

#include <hutch/hutch.h>

#include "front/front.h"
#include "layer/filter.h"
#include "plan/plan.h"
#include "run/run.h"

struct hutch_policy {
	struct arena arena;
	struct draft draft;
};

struct hutch_plan {
	struct arena arena;
	struct policy policy;
	struct host host;
	struct plan plan;
};

/* Freezes the policy's lines into plan->policy, everything in the plan's arena. */
int policy_of_lines(const hutch_policy *p, hutch_plan *plan, struct hutch_error *e);
/* hutch_spawn_fds(), where exempt is a descriptor that was made for this run and is of no kind to refuse, -1 = none. */
int lib_spawn(const hutch_plan *plan, const struct hutch_fd *fds, size_t count, int exempt, hutch_run **out, struct hutch_error *e);

#endif
