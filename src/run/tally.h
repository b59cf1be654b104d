/* Adds up the processes of a run as /proc shows them: for hosts without a cgroup to count.
 * Runs in: parent. */
#ifndef HUTCH_TALLY_H
#define HUTCH_TALLY_H

#include <stdint.h>
#include <sys/types.h>

struct tally;
struct tally *tally_new(void);
void tally_free(struct tally *t);
/* Walks the tree below first, which all orphans of the run come back to. -1 = /proc doesn't show it, errno set. */
int tally_look(struct tally *t, pid_t first);
int64_t tally_cpu_us(const struct tally *t);   /* of all that were seen so far */
int64_t tally_tasks(const struct tally *t);    /* processes and threads, at the last look */
int64_t tally_memory(const struct tally *t);   /* bytes, at the last look: anonymous, shared by mapping, swapped */
int64_t tally_tasks(const struct tally *t);    /* processes and threads at the last look, the first one included */
/* Fields that the tests feed with text. */
int tally_parse_stat(const char *text, uint64_t *own_ticks, uint64_t *waited_ticks, uint64_t *start);
int64_t tally_parse_memory(const char *status);
int64_t tally_parse_threads(const char *status);

#endif
