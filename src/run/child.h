/* What runs between clone and exec.
 * Runs in: child. */
#ifndef HUTCH_CHILD_H
#define HUTCH_CHILD_H

#include "layer/layer.h"

void child_main(struct child *c) __attribute__((noreturn));
int child_close_others(struct child *c);

#endif
