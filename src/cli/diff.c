/* hutch diff: what a run changed copy-on-write.
 * Runs in: parent. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int usage(FILE *to, int status)
{
	fputs("usage: hutch diff [--unified|--json] [--quiet] DIR|NAME\n"
	      "  DIR: of --cow-upper; NAME: of --cow-upper=@NAME\n"
	      "  A added, M changed, D deleted, T another type; status 0: no changes, 1: some\n", to);
	return status;
}

int diff_command(int argc, char *const argv[])
{
	unsigned how = isatty(1) ? HUTCH_CHANGES_SAFE : 0;
	const char *where = NULL;
	struct hutch_error e = { 0 };
	hutch_changes *c;
	bool quiet = false;
	char *text;
	size_t count;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return usage(stdout, 0);
		if (!strcmp(argv[i], "--json"))
			how |= HUTCH_CHANGES_JSON;
		else if (!strcmp(argv[i], "--unified") || !strcmp(argv[i], "-u"))
			how |= HUTCH_CHANGES_UNIFIED;
		else if (!strcmp(argv[i], "--quiet") || !strcmp(argv[i], "-q"))
			quiet = true;
		else if (argv[i][0] == '-' || where)
			return usage(stderr, CLI_USAGE);
		else
			where = argv[i];
	}
	if (!where)
		return usage(stderr, CLI_USAGE);
	if (hutch_changes_open(where, &c, &e) < 0)
		return cli_error(&e);
	count = hutch_changes_count(c);
	text = quiet ? NULL : hutch_changes_text(c, how, &e);
	hutch_changes_free(c);
	if (quiet)
		return count > 0;
	return text ? cli_print(text, count > 0) : cli_error(&e);
}
