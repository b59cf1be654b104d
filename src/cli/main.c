/* The command: makes 0-2 safe, picks the sub-command, and sees that its output really went out.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "cli/cli.h"
#include "inspect/inspect.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char *const argv[]);
	const char *help;
} commands[] = {
	{ "run", run_command, "run a program in a sandbox" },
	{ "explain", explain_command, "print what a run would do, operation by operation" },
	{ "check", check_command, "print what this host offers and what each missing thing costs" },
	{ "diff", diff_command, "print what a run changed copy-on-write" },
	{ "commit", commit_command, "put the changes of a run into the host's files" },
	{ "discard", discard_command, "throw the changes of a run away" },
	{ "ps", ps_command, "list this user's runs" },
	{ "stats", stats_command, "print what a run uses" },
	{ "kill", kill_command, "send a signal to a run's program, or end all of the run" },
	{ "freeze", freeze_command, "let a run stand still" },
	{ "thaw", freeze_command, "let a frozen run go on" },
	{ "update", update_command, "change the limits of a run" },
	{ "mount", mount_command, "show a file or directory in a run that is there" },
	{ "umount", umount_command, "take away what mount has shown" },
	{ "demo", demo_main, "run one report outside and inside a sandbox, side by side" },
	{ "inspect", inspect_main, "print what the process it runs in can see and do" },
	{ "help", help_command, "explain a key, a preset or a command, or list them" },
};
#define COMMANDS (sizeof commands / sizeof *commands)

static bool was_closed[3];

const char *cli_command(size_t index, const char **help)
{
	if (index >= COMMANDS)
		return NULL;
	if (help)
		*help = commands[index].help;
	return commands[index].name;
}

bool cli_was_closed(int fd)
{
	return fd >= 0 && fd < 3 && was_closed[fd];
}

int cli_error(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	fputs(text, stderr);
	return HUTCH_EXIT_FAILED;
}

int cli_nomem(void)
{
	fputs("hutch: out of memory\n", stderr);
	return HUTCH_EXIT_FAILED;
}

int cli_print(char *text, int status)
{
	if (!text)
		return cli_nomem();
	fputs(text, stdout);
	free(text);
	return status;
}

int cli_wrong(const char *command, const char *word, const char *usage)
{
	if (word)
		fprintf(stderr, "hutch: %s: can't use `%s`\n", command, word);
	fputs(usage, stderr);
	return CLI_USAGE;
}

bool cli_asks_help(int argc, char *const argv[])
{
	return argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));
}

/* A closed 0-2 would be taken by the next file that is opened, and then written to as if it were a terminal. */
static int reopen_stdio(void)
{
	struct pollfd p[3] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

	/* One call says whether any is closed (or a mere O_PATH reference): then each is asked. */
	if (poll(p, 3, 0) >= 0 && !((p[0].revents | p[1].revents | p[2].revents) & POLLNVAL))
		return 0;
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		was_closed[fd] = true;
		if (open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
			return -1;
	}
	return 0;
}

static int usage(FILE *to, int status)
{
	fputs("usage: hutch COMMAND [options]\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n  hutch run -- ./my_app arg1   the usual way to start\n"
	      "  hutch run --help             lists the options\n"
	      "  hutch help KEY               explains one of them\n"
	      "  hutch --version              prints the version\n", to);
	return status;
}

/* `hutch memory`, `hutch --net host …`, `hutch ls`: what was probably meant. */
static int unknown(const char *word)
{
	struct hutch_key key;
	const char *kind, *near;

	fprintf(stderr, "hutch: there is no command `%s`\n", word);
	if (!strcmp(word, "--"))
		fputs("  to run a program: hutch run -- CMD [ARG...]\n", stderr);
	else if (cli_find_key(strncmp(word, "--", 2) ? word : word + 2, &key))
		fprintf(stderr, "  it is a policy key: `hutch help %s` explains it, `hutch run --%s ... -- CMD` uses it\n", key.name, key.name);
	else if (*word == '-')
		fputs("  options follow the command: hutch run [options] -- CMD [ARG...]\n", stderr);
	else if ((near = cli_nearest(word, &kind)) && !strcmp(kind, "command"))
		fprintf(stderr, "  did you mean `hutch %s`? `hutch --help` lists them\n", near);
	else
		fprintf(stderr, "  to run a program of that name: hutch run -- %s; `hutch --help` lists the commands\n", word);
	return HUTCH_EXIT_FAILED;
}

static int dispatch(int argc, char *argv[])
{
	if (argc < 2)
		return usage(stderr, HUTCH_EXIT_FAILED);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return printf("hutch %s\n", hutch_version()) < 0;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage(stdout, 0);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	return unknown(argv[1]);
}

/* Text that nobody got must not look like success. What a sandboxed program prints is its own affair. */
static int finish(int argc, char *argv[], int status)
{
	bool ours = argc > 1 && strcmp(argv[1], "run");
	bool failed = ferror(stdout) != 0;

	errno = 0;
	failed = fflush(stdout) != 0 || failed;
	if (!failed && !(ours && was_closed[1]))
		return status;
	fprintf(stderr, "hutch: writing to standard output: %s\n", errno ? strerror(errno) : was_closed[1] ? strerror(EBADF) : "failed");
	return status ? status : HUTCH_EXIT_FAILED;
}

int main(int argc, char *argv[])
{
	if (reopen_stdio() < 0)
		return HUTCH_EXIT_FAILED;
	/* An ignored SIGCHLD survives exec, and the kernel then reaps our children before we can ask how they ended. */
	signal(SIGCHLD, SIG_DFL);
	if (getauxval(AT_SECURE)) {
		fputs("hutch: it must not be installed setuid or with file capabilities, and refuses to run so\n", stderr);
		return HUTCH_EXIT_FAILED;
	}
	return finish(argc, argv, dispatch(argc, argv));
}
