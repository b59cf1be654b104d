/* What runs between clone and exec.
 * Runs in: child. */
#ifndef HUTCH_CHILD_H
#define HUTCH_CHILD_H

#include "layer/layer.h"

void child_main(struct child *c) __attribute__((noreturn));
int child_close_others(struct child *c);
/* The limit of descriptors as the caller had it. */
int child_restore_files(struct child *c);
/* Closes from this one on. */
int child_close_from(struct child *c, unsigned from);

#endif
