/* hutch update: other limits for a run that is there.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* KEY=VALUE, with or without dashes before it. */
static int add_limit(hutch_policy *p, const char *word, struct hutch_error *e)
{
	const char *equals = strchr(word, '=');
	char *key;
	int r;

	if (!strncmp(word, "--", 2))
		word += 2;
	if (!equals || equals == word)
		return 1;
	key = strndup(word, (size_t)(equals - word));
	r = key ? hutch_policy_set(p, key, equals + 1, e) : 1;
	free(key);
	return r;
}

static int update(const char *id, const hutch_policy *p, struct hutch_error *e)
{
	hutch_entry *n;
	int r;

	if (hutch_entry_find(id, &n, e) < 0)
		return cli_error(e);
	r = hutch_entry_update(n, p, e);
	if (!strcmp(e->origin, "api"))
		snprintf(e->origin, sizeof e->origin, "the command line");
	hutch_entry_free(n);
	return r < 0 ? cli_error(e) : 0;
}

int update_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch update ID KEY=VALUE...\n"
				    "Changes limits of a run that has a cgroup: memory=1G pids=100 cpus=0.5, as `hutch run` takes them.\n";
	struct hutch_error e = { 0 };
	hutch_policy *p;
	int r = 0, at;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	if (argc < 3 || argv[1][0] == '-')
		return cli_wrong("update", argc > 1 && argv[1][0] == '-' ? argv[1] : NULL, usage);
	p = hutch_policy_new();
	if (!p)
		return cli_nomem();
	for (at = 2; r == 0 && at < argc; at++)
		r = add_limit(p, argv[at], &e);
	if (r == 0)
		r = update(argv[1], p, &e);
	else
		r = r < 0 ? cli_error(&e) : cli_wrong("update", argv[at - 1], usage);
	hutch_policy_free(p);
	return r;
}
