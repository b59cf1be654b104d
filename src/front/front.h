/* Fronts: outer syntax to draft lines. Runs in: parent. */
#ifndef HUTCH_FRONT_H
#define HUTCH_FRONT_H

#include "policy/policy.h"

/* Policy file or preset text to lines. A line: key = value; # starts a comment at line start or
 * after blanks; file = DST <<WORD … WORD takes the lines between. name is for origins. Includes
 * are followed (presets by name, files relative to the including one), cycles refused, depth <= 16.
 * directory: where relative includes are looked for; NULL = only presets may be included.
 * A value's " #" is written " \#". */
int front_policy_text(struct draft *d, const char *text, size_t len, const char *name,
		      const char *directory, unsigned depth, enum strength s, struct hutch_error *e);
/* Reads the file once, from one descriptor; must be a regular file of at most 16 MiB. */
int front_policy_file(struct draft *d, const char *path, unsigned depth, struct hutch_error *e);
/* The same from descriptor 0, to its end. */
int front_policy_stdin(struct draft *d, const char *origin, unsigned depth, struct hutch_error *e);
/* One include: a preset's name, or else a file. directory and depth are the including source's. */
int front_include(struct draft *d, const char *name, const char *directory, const char *origin,
		  unsigned source, unsigned depth, enum strength s, struct hutch_error *e);
/* Command line after the sub-command: options, then [--] CMD ARG…
 * --KEY VALUE, --KEY=VALUE; a BOOL's --KEY alone means yes, --no-KEY no; --policy FILE (- = standard input),
 * --preset NAME (= include), --as-pid-1 (= init no), --view (= preset view).
 * front-end-only options are left to extra(), which returns words consumed (0 = unknown, -1 = error set). */
int front_argv(struct draft *d, int argc, char *const argv[],
	       int (*extra)(void *data, int argc, char *const argv[], int at, struct hutch_error *e),
	       void *data, struct hutch_error *e);
/* Follows the include lines that came by draft_add() (the api); where no preset was included, adds
 * "default" at the deepest depth. Doing it twice does no harm. */
int front_finish(struct draft *d, struct hutch_error *e);

#endif
