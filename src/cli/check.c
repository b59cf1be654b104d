/* hutch check: what this host offers.
 * Runs in: parent. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int check_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch check [--json]\n"
				    "Prints what this host offers, what each missing thing costs, and how to get it.\n";
	struct hutch_error e = { 0 };
	bool json = false;
	char *text;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return fputs(usage, stdout), 0;
		if (strcmp(argv[i], "--json"))
			return fprintf(stderr, "hutch: check: can't use `%s`\n%s", argv[i], usage), CLI_USAGE;
		json = true;
	}
	text = hutch_check_text(json, &e);
	return text ? cli_print(text, 0) : cli_error(&e);
}
