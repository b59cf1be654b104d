/* What the files of the demo share.
 * Runs in: parent. */
#ifndef HUTCH_DEMO_H
#define HUTCH_DEMO_H

#include "inspect/inspect.h"

#define DEMO_LIMIT_MIB 192
#define DEMO_BOUND_MIB 256
#define DEMO_TOKEN     "HUTCH_DEMO_TOKEN"
#define DEMO_FILE      "hello.txt"

/* Two columns; width is that of the whole. */
int demo_print(FILE *f, const struct report *outside, const struct report *inside, size_t width, bool colour);
/* Prints what was held against the reports; returns how many promises don't hold. */
int demo_check(FILE *f, const struct report *outside, const struct report *inside, bool colour);
#endif
