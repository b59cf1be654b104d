/* hutch help: the key table, for people.
 * Runs in: parent. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void cli_usage(void)
{
	struct hutch_key k;
	const char *group = "";

	puts("usage: hutch run [options] [--] CMD [ARG...]\n"
	     "       hutch explain [--json] [options] [--] [CMD [ARG...]]\n\n"
	     "  --policy FILE            take the lines of a policy file, hutch-policy(5)\n"
	     "  --preset NAME            default, strict or view\n"
	     "  --report FILE, --report-fd N   (run) write a JSON record of how it ended; - is standard error\n"
	     "  --as-pid-1               the same as --init=no\n"
	     "  --view                   the same as --preset view");
	for (size_t i = 0; hutch_key(i, &k); i++) {
		char option[64];
		if (strcmp(group, k.group))
			printf("\n%s:\n", k.group);
		group = k.group;
		snprintf(option, sizeof option, "--%s%s", k.name, !strcmp(k.type, "yes or no") ? "" : " …");
		printf("  %-24s %s%s%s%s\n", option, k.help, k.def ? " [" : "", k.def ? k.def : "", k.def ? "]" : "");
	}
}

static void in_presets(const char *key)
{
	const char *name;

	for (size_t i = 0; (name = hutch_preset_name(i)); i++) {
		for (const char *line = hutch_preset_text(name); line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
			size_t n = strlen(key);
			if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == '='))
				printf("  preset %-8s %.*s\n", name, (int)strcspn(line, "\n"), line);
		}
	}
}

static int help_key(const char *name)
{
	struct hutch_key k;

	for (size_t i = 0; hutch_key(i, &k); i++) {
		if (strcmp(k.name, name))
			continue;
		printf("%s (%s, %s%s)\n  %s\n", k.name, k.group, k.type, k.list ? ", may be given many times" : "", k.help);
		if (k.range)
			printf("  value:   %s\n", k.range);
		printf("  default: %s\n", k.def ? k.def : "none");
		in_presets(k.name);
		printf("  as an option: --%s %s    in a policy file: %s = %s\n", k.name, k.def ? k.def : k.range ? k.range : "yes", k.name,
		       k.def ? k.def : k.range ? k.range : "yes");
		return 0;
	}
	fprintf(stderr, "hutch: there is no key `%s`; `hutch help` lists them all\n", name);
	return 2;
}

int help_command(int argc, char *const argv[])
{
	int status = 0;

	if (argc < 2)
		cli_usage();
	else
		status = help_key(!strncmp(argv[1], "--", 2) ? argv[1] + 2 : argv[1]);
	return fflush(stdout) || ferror(stdout) ? HUTCH_EXIT_FAILED : status;
}
