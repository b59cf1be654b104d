/* hutch ps: this user's runs.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

int ps_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch ps [--json]\n"
				    "Lists the runs of this user that `hutch run` started.\n";
	struct hutch_error e = { 0 };
	hutch_entry **entries;
	size_t count, doubtful;
	bool json = false;
	char *text;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json"))
			return cli_wrong("ps", argv[i], usage);
		json = true;
	}
	if (hutch_entry_list(&entries, &count, &doubtful, &e) < 0)
		return cli_error(&e);
	text = hutch_entry_text(entries, count, false, json);
	for (size_t i = 0; i < count; i++)
		hutch_entry_free(entries[i]);
	free(entries);
	if (doubtful)
		fprintf(stderr, "hutch: ps: %zu %s in the list that the kernel doesn't confirm, left out\n", doubtful, doubtful == 1 ? "entry is" : "entries are");
	return cli_print(text, 0);
}
