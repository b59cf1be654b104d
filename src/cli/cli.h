/* What the sub-commands share.
 * Runs in: parent. */
#ifndef HUTCH_CLI_H
#define HUTCH_CLI_H

#include <hutch/entry.h>
#include <hutch/hutch.h>

#define CLI_USAGE 2 /* a sub-command that runs nothing was called wrongly */

int run_command(int argc, char *const argv[]);
int explain_command(int argc, char *const argv[]);
int check_command(int argc, char *const argv[]);
int help_command(int argc, char *const argv[]);
int diff_command(int argc, char *const argv[]);
int commit_command(int argc, char *const argv[]);
int discard_command(int argc, char *const argv[]);
int ps_command(int argc, char *const argv[]);
int stats_command(int argc, char *const argv[]);
int kill_command(int argc, char *const argv[]);
int freeze_command(int argc, char *const argv[]);
int update_command(int argc, char *const argv[]);
int mount_command(int argc, char *const argv[]);
int umount_command(int argc, char *const argv[]);
int demo_main(int argc, char *const argv[]);

/* ---- main.c ---- */
/* Name and purpose of a sub-command, NULL after the last. */
const char *cli_command(size_t index, const char **help);
/* What the caller gave as 0-2 was closed (and is /dev/null now). */
bool cli_was_closed(int fd);
/* Prints the text form on standard error and returns 125. */
int cli_error(const struct hutch_error *e);
int cli_nomem(void);
/* Writes text to standard output; a failure to do so must not look like success. Frees it. */
int cli_print(char *text, int status);

/* ---- run.c ---- */
/* Blocks the signals that are forwarded; the descriptor to read them from, or -1. */
int watch_signals(struct hutch_error *e);

/* ---- door.c ---- */
int door_bad_option(struct hutch_error *e, const char *word, int at);
/* Starts the program with our library in front of its own; words as `hutch run` has them. Its exit status. */
int door_preload(int argc, char *const argv[], bool report);
/* elf.c: NULL = the library can go into this program; else why it can't (and which door works). */
const char *door_refuses(int fd, bool *missing);
/* Would the loader take the library into the program, with this environment? It is asked, and nothing is started. */
bool door_loads(const char *program, const char *library, char **env);
/* ---- commit.c ---- */
/* Commits, says so on standard error, and throws the store away once all is in. Exit status. */
int commit_all(hutch_changes *c, const char *const *paths, unsigned flags, bool keep);
/* ---- on_exit.c ---- */
/* After the end: does what the policy wants with the changes. The run's exit status, or 125 if that failed. */
int on_exit_apply(hutch_run *r, const struct hutch_report *report, int status);
/* What was written wrongly, then how it is used; CLI_USAGE. */
int cli_wrong(const char *command, const char *word, const char *usage);
bool cli_asks_help(int argc, char *const argv[]);

/* ---- help.c ---- */
/* All options, from the key table, and those that the sub-command has besides (run: true). */
void cli_usage(bool run);
/* The known key, preset or sub-command nearest to word, NULL if none is near. *kind: "key", "preset", "command". */
const char *cli_nearest(const char *word, const char **kind);
bool cli_find_key(const char *name, struct hutch_key *out);

/* ---- report.c ---- */
struct report_to {
	const char *path; /* as asked for; "-" = standard error, NULL = not by name */
	int fd;           /* -1 = none */
	bool own;         /* opened here */
	bool text;        /* for a person: --report - */
};
/* Words of the report options: how many were taken, 0 = none, -1 = error. */
int report_option(struct report_to *r, int argc, char *const argv[], int at, struct hutch_error *e);
/* Opened before the program runs: nothing inside can swap its name. -1 = said on standard error. */
int report_open(struct report_to *r);
/* Writes and frees the record (NULL = out of memory) and closes. -1 = said on standard error. */
int report_write(struct report_to *r, char *json);
/* The record of a run that never reached exec; malloc'd. text: a line, for the error itself was printed. */
char *report_failure(const struct hutch_error *e, bool text);

/* ---- image.c ---- */
#define IMAGE_OPTIONS 32
struct image_options {
	const char *where;                /* DIR[:TAG], NULL = no image */
	const char *value[IMAGE_OPTIONS]; /* by row */
	bool flatten;
};
/* Words of --image…: how many were taken, 0 = none, -1 = error. */
int image_option(struct image_options *o, int argc, char *const argv[], int at, struct hutch_error *e);
/* Unpacks the image, if one is named, and adds what it says to the policy; what the caller said wins. */
int image_apply(const struct image_options *o, hutch_policy *policy, struct hutch_error *e);
/* Name of a --image-NAME option, NULL after the last. */
const char *image_option_row(size_t index, const char **value, const char **def, const char **help);

#endif
