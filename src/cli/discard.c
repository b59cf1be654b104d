/* hutch discard: the changes of a run are thrown away.
 * Runs in: parent. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int usage(FILE *to, int status)
{
	fputs("usage: hutch discard DIR|NAME...\n  DIR: of --cow-upper; NAME: of --cow-upper=@NAME\n", to);
	return status;
}

int discard_command(int argc, char *const argv[])
{
	struct hutch_error e = { 0 };
	int status = 0;

	if (argc < 2)
		return usage(stderr, CLI_USAGE);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage(stdout, 0);
	for (int i = 1; i < argc; i++) {
		hutch_error_clear(&e);
		if (argv[i][0] == '-')
			return usage(stderr, CLI_USAGE);
		if (hutch_changes_discard_at(argv[i], &e) < 0)
			status = cli_error(&e);
	}
	return status;
}
