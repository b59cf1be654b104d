/* hutch mount, umount: files of the host shown in a run that is there, and taken away again.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* The next part up to a colon; \: and \\ stand for themselves, as in a path rule. NULL = out of memory. */
static char *next_part(const char **text)
{
	char *part = malloc(strlen(*text) + 1);
	size_t n = 0;

	while (part && **text && **text != ':') {
		if (**text == '\\' && ((*text)[1] == ':' || (*text)[1] == '\\'))
			++*text;
		part[n++] = *(*text)++;
	}
	if (part)
		part[n] = '\0';
	return part;
}

static int mount_rule(const char *id, const char *rule, const char *usage)
{
	const char *rest = rule;
	char *source = next_part(&rest), *at = source && *rest == ':' ? (rest++, next_part(&rest)) : NULL;
	bool read_only = !strcmp(rest, ":ro");
	struct hutch_error e = { 0 };
	hutch_entry *n;
	int status;

	if (!source || !at || !*source || !*at || (*rest && !read_only && strcmp(rest, ":rw"))) {
		status = cli_wrong("mount", rule, usage);
	} else if (hutch_entry_find(id, &n, &e) < 0) {
		status = cli_error(&e);
	} else {
		status = hutch_entry_mount(n, source, at, read_only, &e) < 0 ? cli_error(&e) : 0;
		hutch_entry_free(n);
	}
	free(source);
	free(at);
	return status;
}

int mount_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch mount ID SRC:DST[:ro]\n"
				    "Shows SRC of the host at DST in a run; :ro read-only. A colon in a path is written \\:\n";

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	if (argc != 3 || argv[1][0] == '-')
		return cli_wrong("mount", argc > 3 ? argv[3] : argc > 1 && argv[1][0] == '-' ? argv[1] : NULL, usage);
	return mount_rule(argv[1], argv[2], usage);
}

int umount_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch umount ID DST\n"
				    "Takes away what `hutch mount` has shown at DST in a run.\n";
	struct hutch_error e = { 0 };
	hutch_entry *n;
	int r;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	if (argc != 3 || argv[1][0] == '-')
		return cli_wrong("umount", argc > 3 ? argv[3] : argc > 1 && argv[1][0] == '-' ? argv[1] : NULL, usage);
	if (hutch_entry_find(argv[1], &n, &e) < 0)
		return cli_error(&e);
	r = hutch_entry_umount(n, argv[2], &e);
	hutch_entry_free(n);
	return r < 0 ? cli_error(&e) : 0;
}
