/* What the two files of the demo share.
 * Runs in: parent. */
#ifndef HUTCH_DEMO_H
#define HUTCH_DEMO_H

#include "inspect/inspect.h"

#define DEMO_LIMIT_MIB 192

void demo_print(FILE *f, const struct inspect_report *outside, const struct inspect_report *inside, bool colour);
/* Prints each promise that doesn't hold; returns how many. */
int demo_check(FILE *f, const struct inspect_report *outside, const struct inspect_report *inside);
#endif
