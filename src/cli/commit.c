/* hutch commit: the changes of a run go into the host's files.
 * Runs in: parent. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int usage(FILE *to, int status)
{
	fputs("usage: hutch commit [--force] [--keep] DIR|NAME [PATH...]\n"
	      "  DIR: of --cow-upper; NAME: of --cow-upper=@NAME; PATH: what to commit, as `hutch diff` prints it [all]\n"
	      "  --force: also over files that the host has changed since\n"
	      "  --keep: leave the changes in DIR when all of them are in\n", to);
	return status;
}

/* Absolute, without "//", "." and ".."; the words alone, for no link may be followed. NULL = out of memory. */
static char *clean(const char *word)
{
	char cwd[PATH_MAX] = "", *out;
	size_t len = 0;

	if (word[0] != '/' && !getcwd(cwd, sizeof cwd))
		cwd[0] = '\0';
	out = malloc(strlen(cwd) + strlen(word) + 3);
	if (!out)
		return NULL;
	strcpy(out, cwd);
	len = strlen(out) == 1 ? 0 : strlen(out);
	for (const char *s = word; *s;) {
		size_t n;
		s += strspn(s, "/");
		n = strcspn(s, "/");
		if (n == 2 && s[0] == '.' && s[1] == '.') {
			while (len > 0 && out[--len] != '/')
				continue;
		} else if (n && !(n == 1 && s[0] == '.')) {
			out[len++] = '/';
			memcpy(out + len, s, n);
			len += n;
		}
		s += n;
	}
	if (!len)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

int commit_all(hutch_changes *c, const char *const *paths, unsigned flags, bool keep)
{
	struct hutch_error e = { 0 };
	size_t done, skipped;

	if (hutch_changes_commit(c, paths, flags, &done, &skipped, &e) < 0)
		return cli_error(&e);
	fprintf(stderr, "hutch: commit: %zu of %zu changes are in", done, hutch_changes_count(c));
	if (skipped)
		fprintf(stderr, ", %zu sockets left out", skipped);
	fputs("\n", stderr);
	/* Chosen parents may make it more than was named; what is left stays for the next time. */
	if (keep || done + skipped < hutch_changes_count(c))
		return 0;
	return hutch_changes_discard(c, &e) < 0 ? cli_error(&e) : 0;
}

int commit_command(int argc, char *const argv[])
{
	const char *where = NULL, **paths = calloc((size_t)argc + 1, sizeof *paths);
	struct hutch_error e = { 0 };
	hutch_changes *c = NULL;
	unsigned flags = 0;
	bool keep = false, words = false;
	size_t count = 0;
	int status;

	if (!paths)
		return cli_nomem();
	for (int i = 1; i < argc; i++) {
		if (!words && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
			return free(paths), usage(stdout, 0);
		if (!words && !strcmp(argv[i], "--force"))
			flags |= HUTCH_COMMIT_FORCE;
		else if (!words && !strcmp(argv[i], "--keep"))
			keep = true;
		else if (!words && !strcmp(argv[i], "--"))
			words = true;
		else if (!words && argv[i][0] == '-')
			return free(paths), usage(stderr, CLI_USAGE);
		else if (!where)
			where = argv[i];
		else if (!(paths[count++] = clean(argv[i])))
			return free(paths), cli_nomem();
	}
	if (!where)
		status = usage(stderr, CLI_USAGE);
	else if (hutch_changes_open(where, &c, &e) < 0)
		status = cli_error(&e);
	else
		status = commit_all(c, count ? paths : NULL, flags, keep);
	hutch_changes_free(c);
	for (size_t i = 0; i < count; i++)
		free((char *)(uintptr_t)paths[i]);
	free(paths);
	return status;
}
