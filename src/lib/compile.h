/* From a policy to a plan, for every door of the library.
 * Runs in: parent. */
#ifndef HUTCH_LIB_COMPILE_H
#define HUTCH_LIB_COMPILE_H

#include "lib/lib.h"

/* enter: for the calling process itself. The plan's arena is ready; on an error the caller frees the plan. */
int lib_compile(const hutch_policy *p, bool full, bool enter, hutch_plan *out, struct hutch_error *e);

#endif
