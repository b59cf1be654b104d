/* What becomes of a run's copy-on-write changes when it has ended.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* The answers come from the terminal itself: standard input belonged to the program. */
static char ask(hutch_changes *c, bool kept)
{
	struct hutch_error e = { 0 };
	char *text = hutch_changes_text(c, HUTCH_CHANGES_SAFE, &e), line[64] = "";
	FILE *terminal = fopen("/dev/tty", "r+e");

	if (!terminal || !text) {
		free(text);
		if (terminal)
			fclose(terminal);
		return 0;
	}
	fputs(text, terminal);
	free(text);
	while (!strchr("cdk", line[0]) || !line[0] || (line[0] == 'k' && !kept)) {
		fprintf(terminal, "hutch: %zu changes: commit, discard%s? [c/d%s] ", hutch_changes_count(c), kept ? " or keep" : "", kept ? "/k" : "");
		fflush(terminal);
		if (!fgets(line, sizeof line, terminal)) {
			line[0] = 0;
			break;
		}
	}
	fclose(terminal);
	return line[0];
}

static int discard(hutch_changes *c)
{
	struct hutch_error e = { 0 };

	return hutch_changes_discard(c, &e) < 0 ? cli_error(&e) : 0;
}

int on_exit_apply(hutch_run *r, const struct hutch_report *report, int status)
{
	const char *what = hutch_run_on_exit(r);
	struct hutch_error e = { 0 };
	hutch_changes *c;
	char answer;
	int failed;

	if (!what || !strcmp(what, "keep"))
		return status;
	answer = what[0] == 'a' ? 0 : what[0];
	if (answer == 'c' && report->end != HUTCH_END_EXITED) {
		fputs("hutch: the program was killed: its changes are not committed\n", stderr);
		return status;
	}
	/* Memory goes by itself, also what belongs to ids that only the run could read. */
	if (answer == 'd' && !hutch_run_kept(r))
		return status;
	if (hutch_run_changes(r, &c, &e) < 0)
		return cli_error(&e);
	if (!answer && hutch_changes_count(c) == 0)
		answer = 'd';
	if (!answer) {
		answer = ask(c, hutch_run_kept(r));
		if (!answer)
			fprintf(stderr, "hutch: there is no terminal to ask: the changes are %s\n", hutch_run_kept(r) ? "kept" : "thrown away");
	}
	failed = answer == 'c' ? commit_all(c, NULL, 0, false) : answer == 'd' ? discard(c) : 0;
	hutch_changes_free(c);
	return failed ? failed : status;
}
