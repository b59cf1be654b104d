/* Parts of freezing a policy, shared by the freeze_*.c files only.
 * Runs in: parent. */
#ifndef HUTCH_POLICY_FREEZE_H
#define HUTCH_POLICY_FREEZE_H

#include "policy/policy.h"

struct freeze {
	struct arena *arena;
	const struct policy_context *context;
	struct policy *policy;
	/* The line that decides a scalar (for a list: the one that stands for all of them); NULL = the default. */
	const struct draft_line *winner[KEY_COUNT];
	/* Every line, deepest first, else as given: a later one is nearer to the person. */
	const struct draft_line **order;
	size_t order_count;
	struct hutch_error *error;
};

/* Error about the value of the line's key. The detail says what is wrong with it. */
int bad_value(struct freeze *f, const struct draft_line *l, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Two settings that exclude each other, each with its origin. */
int conflict(struct freeze *f, enum key_id a, enum key_id b, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Next part of text up to the separator, copied into the arena; *text moves behind it, NULL at the end. */
char *next_part(struct freeze *f, const char **text, char separator);
int parse_id(const char *s, uint32_t *out);  /* a uid or gid: 0..4294967294 */
/* Value of a key: the winner's or the default; NULL when there is neither. */
const char *value_of(const struct freeze *f, enum key_id key);
bool line_beats(const struct draft_line *l, const struct draft_line *other);

/* ---- freeze_scalar.c: the line that decides a key, or the table's default; checked values ---- */
struct draft_line line_of(const struct freeze *f, enum key_id key);
int get_bool(struct freeze *f, enum key_id key, bool *out);
int get_choice(struct freeze *f, enum key_id key, unsigned *out); /* position in the range */
int get_number(struct freeze *f, enum key_id key, uint64_t *out);

/* ---- freeze_path.c ---- */
/* Host path made absolute (~/ and relative ones), NULL = error set. */
char *source_path(struct freeze *f, const struct draft_line *l, const char *text);
/* Path inside, normalised; relative ones against the working directory where that is allowed. */
char *inside_path(struct freeze *f, const struct draft_line *l, const char *text, bool relative);
int freeze_paths(struct freeze *f);
int freeze_cow(struct freeze *f);       /* freeze_cow.c: layers, where changes are kept */

int freeze_scalars(struct freeze *f);   /* freeze_scalar.c */
int freeze_limits(struct freeze *f);    /* freeze_limit.c: rlimits, clock offsets, umask */
int freeze_run(struct freeze *f);       /* freeze_run.c: limits of the whole run, time, output */
int freeze_ids(struct freeze *f);       /* freeze_ids.c: maps, user, groups */
int freeze_privilege(struct freeze *f); /* freeze_caps.c: caps, securebits */
int freeze_lists(struct freeze *f);     /* freeze_list.c: seccomp, ports, environment */
int freeze_fds(struct freeze *f);       /* freeze_fd.c: descriptors, by freeze_lists */
int freeze_check(struct freeze *f);     /* freeze_check.c: combinations */

#endif
