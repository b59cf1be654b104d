/* The command: picks the sub-command.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct {
	const char *name;
	int (*run)(int argc, char *const argv[]);
	const char *help;
} commands[] = {
	{ "run", run_command, "run a program in a sandbox" },
	{ "explain", explain_command, "print what a run would do, operation by operation" },
	{ "check", check_command, "print what this host offers and what each missing thing costs" },
	{ "demo", demo_main, "run one report outside and inside a sandbox, side by side" },
	{ "inspect", inspect_main, "print what the process it runs in can see and do" },
	{ "help", help_command, "explain a key, or list them" },
};

int cli_error(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	fputs(text, stderr);
	return HUTCH_EXIT_FAILED;
}

int cli_print(char *text, int status)
{
	if (!text)
		return fputs("hutch: out of memory\n", stderr), HUTCH_EXIT_FAILED;
	fputs(text, stdout);
	free(text);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "hutch: writing to standard output: %s\n", strerror(errno));
	return HUTCH_EXIT_FAILED;
}

/* A closed 0-2 would be taken by the next file that is opened, and then written to as if it were a terminal. */
static int reopen_stdio(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		int got = open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
		if (got != fd)
			return -1;
	}
	return 0;
}

static void usage(FILE *to)
{
	fputs("usage: hutch COMMAND [options]\n\n", to);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n  hutch run -- ./my_app arg1     the usual way to start\n"
	      "  hutch help KEY                 one option explained; `hutch run --help` lists them\n", to);
}

int main(int argc, char *argv[])
{
	if (reopen_stdio() < 0)
		return HUTCH_EXIT_FAILED;
	if (getauxval(AT_SECURE)) {
		fputs("hutch: it must not be installed setuid or with file capabilities, and refuses to run so\n", stderr);
		return HUTCH_EXIT_FAILED;
	}
	if (argc < 2)
		return usage(stderr), 2;
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return printf("hutch %s\n", hutch_version()) < 0;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage(stdout), fflush(stdout) ? 1 : 0;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "hutch: there is no command `%s`\n", argv[1]);
	usage(stderr);
	return 2;
}
