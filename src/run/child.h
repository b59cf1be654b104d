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
/* The spine as far as the system call filter; -1 with c->error. */
int child_steps(struct child *c);
/* Tells the launcher of c->error and ends. */
void child_give_up(struct child *c) __attribute__((noreturn));
/* enter.c: the spine for a program that goes on; returns in it, confined, or ends. */
void child_enter(struct child *c);

#endif
