/* hutch kill, freeze, thaw: a signal to a run's program, the end of a run, a pause of it.
 * Runs in: parent. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"

static const struct { const char *name; int number; } signals[] = {
	{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT }, { "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
	{ "TERM", SIGTERM }, { "CONT", SIGCONT }, { "TSTP", SIGTSTP }, { "WINCH", SIGWINCH }, { "STOP", SIGSTOP },
};

/* TERM, SIGTERM, 15, each with a dash before it too, as kill(1) takes them. 0 = no signal. */
static int signal_number(const char *word)
{
	char *end;
	long n;

	word += *word == '-';
	n = strtol(word, &end, 10);
	if (*word >= '0' && *word <= '9' && !*end)
		return n > 0 && n < 65 ? (int)n : 0;
	if (!strncasecmp(word, "SIG", 3))
		word += 3;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		if (!strcasecmp(word, signals[i].name))
			return signals[i].number;
	}
	return 0;
}

static int done(hutch_entry *n, int result, const struct hutch_error *e)
{
	hutch_entry_free(n);
	return result < 0 ? cli_error(e) : 0;
}

int kill_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch kill ID [SIGNAL]\n"
				    "Sends SIGNAL (default TERM) to the program of a run; KILL ends everything in the sandbox.\n";
	struct hutch_error e = { 0 };
	hutch_entry *n;
	int number = SIGTERM;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	if (argc < 2 || argc > 3 || argv[1][0] == '-')
		return cli_wrong("kill", argc > 3 ? argv[3] : argc > 1 ? argv[1] : NULL, usage);
	if (argc == 3 && !(number = signal_number(argv[2])))
		return cli_wrong("kill", argv[2], usage);
	if (hutch_entry_find(argv[1], &n, &e) < 0)
		return cli_error(&e);
	return done(n, hutch_entry_signal(n, number, &e), &e);
}

int freeze_command(int argc, char *const argv[])
{
	static const char usage[] = "usage: hutch freeze ID\n       hutch thaw ID\n"
				    "Lets every process of a run stand still, or go on. Needs a cgroup of the run's own: hutch run --cgroup=yes.\n";
	struct hutch_error e = { 0 };
	hutch_entry *n;

	if (cli_asks_help(argc, argv))
		return fputs(usage, stdout), 0;
	if (argc != 2 || argv[1][0] == '-')
		return cli_wrong(argv[0], argc > 2 ? argv[2] : argc > 1 ? argv[1] : NULL, usage);
	if (hutch_entry_find(argv[1], &n, &e) < 0)
		return cli_error(&e);
	return done(n, hutch_entry_freeze(n, !strcmp(argv[0], "freeze"), &e), &e);
}
