/* What the sub-commands share.
 * Runs in: parent. */
#ifndef HUTCH_CLI_H
#define HUTCH_CLI_H

#include <hutch/hutch.h>

int run_command(int argc, char *const argv[]);
int explain_command(int argc, char *const argv[]);
int check_command(int argc, char *const argv[]);
int help_command(int argc, char *const argv[]);
int inspect_main(int argc, char *const argv[]);
int demo_main(int argc, char *const argv[]);

/* Prints the text form on standard error and returns 125. */
int cli_error(const struct hutch_error *e);
/* Writes text to standard output; a failure to do so must not look like success. Frees it. */
int cli_print(char *text, int status);
/* Usage of one sub-command, from the key table. */
void cli_usage(void);

#endif
