/* A host program that confines itself and then says what it can and can't do: what its files share.
 * Runs in: the test process's child. */
#ifndef ENTER_HOST_H
#define ENTER_HOST_H

#include <hutch/hutch.h>

/* acts.c: does one thing, 0 or the errno. -1 = there is no such act. */
int act(const char *name, const char *argument);
/* crew.c: threads that wait for work. */
void crew_start(int count);
void crew_busy(int count);                /* these allocate and free all the time */
void crew_deaf(void);                     /* blocks every signal, also those that the C library keeps */
void crew_filtered(void);                 /* has a system call filter of its own */
int crew_breed(void);                     /* keeps making threads that make threads, until told to stop; 0 */
void crew_breed_stop(void);
/* Each thread does the act; prints one line a thread. */
void crew_act(const char *name, const char *argument);
const char *errno_name(int number);

#endif
