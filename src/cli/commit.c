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

struct words { const char *where, **paths; size_t count; unsigned flags; bool keep; };

/* -1, or the status to end with at once. */
static int read_words(int argc, char *const argv[], struct words *w)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		if (options && (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")))
			return usage(stdout, 0);
		if (options && !strcmp(argv[i], "--force"))
			w->flags |= HUTCH_COMMIT_FORCE;
		else if (options && !strcmp(argv[i], "--keep"))
			w->keep = true;
		else if (options && !strcmp(argv[i], "--"))
			options = false;
		else if (options && argv[i][0] == '-')
			return usage(stderr, CLI_USAGE);
		else if (!w->where)
			w->where = argv[i];
		else if (!(w->paths[w->count++] = clean(argv[i])))
			return cli_nomem();
	}
	return w->where ? -1 : usage(stderr, CLI_USAGE);
}

int commit_command(int argc, char *const argv[])
{
	struct words w = { .paths = calloc((size_t)argc + 1, sizeof *w.paths) };
	struct hutch_error e = { 0 };
	hutch_changes *c = NULL;
	int status;

	if (!w.paths)
		return cli_nomem();
	status = read_words(argc, argv, &w);
	if (status < 0 && hutch_changes_open(w.where, &c, &e) < 0)
		status = cli_error(&e);
	else if (status < 0)
		status = commit_all(c, w.count ? w.paths : NULL, w.flags, w.keep);
	hutch_changes_free(c);
	for (size_t i = 0; i < w.count; i++)
		free((char *)(uintptr_t)w.paths[i]);
	free(w.paths);
	return status;
}
