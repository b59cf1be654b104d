/* hutch stats: what one run uses, once or each second.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

/* Until its end, or until nobody reads any more. */
static int watch(hutch_entry *n, bool json)
{
	static const struct timespec second = { 1, 0 };
	struct hutch_stats s;
	bool head = !json;

	while (hutch_entry_stats(n, &s, NULL) == 0) {
		char *text = hutch_entry_text(&n, 1, json, json), *line = text;
		if (!text)
			return cli_nomem();
		if (!json && !head)
			line += strcspn(line, "\n") + 1;
		head = false;
		fputs(line, stdout);
		free(text);
		if (fflush(stdout) || ferror(stdout))
			return HUTCH_EXIT_FAILED;
		nanosleep(&second, NULL);
	}
	return 0;
}

int stats_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch stats ID [--json] [--watch]\n"
				    "Prints what a run uses, by its cgroup where it has one; --watch: each second until it ends.\n";
	struct hutch_error e = { 0 };
	struct hutch_stats s;
	const char *id = NULL;
	bool json = false, again = false;
	hutch_entry *n;
	int status;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--watch"))
			again = true;
		else if (id || argv[i][0] == '-')
			return cli_wrong("stats", argv[i], usage);
		else
			id = argv[i];
	}
	if (!id)
		return cli_wrong("stats", NULL, usage);
	if (hutch_entry_find(id, &n, &e) < 0)
		return cli_error(&e);
	if (hutch_entry_stats(n, &s, &e) < 0)
		status = cli_error(&e);
	else
		status = again ? watch(n, json) : cli_print(hutch_entry_text(&n, 1, true, json), 0);
	hutch_entry_free(n);
	return status;
}
