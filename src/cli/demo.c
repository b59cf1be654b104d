/* hutch demo: one report outside and inside a sandbox, side by side.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/demo.h"

#define OUTSIDE_MIB 256
#define TEXT(x)     TEXT_(x)
#define TEXT_(x)    #x

/* What there is to be seen outside: made by us, so that it is the same on every machine. */
struct stage {
	char directory[64], file[80], program[4096];
	int open_file;
};

static int complain(const char *what)
{
	fprintf(stderr, "hutch demo: %s: %s\n", what, strerror(errno));
	return -1;
}

static int set_stage(struct stage *s)
{
	static const char hello[] = "Hello from outside.\n";
	ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 1);

	if (n <= 0)
		return complain("finding the own program in /proc/self/exe");
	s->program[n] = '\0';
	strcpy(s->directory, "/tmp/hutch-demo-XXXXXX");
	if (!mkdtemp(s->directory)) {
		*s->directory = '\0';
		return complain("making a directory in /tmp");
	}
	snprintf(s->file, sizeof s->file, "%s/hello.txt", s->directory);
	/* Not close-on-exec, as descriptors that leak are. */
	s->open_file = open(s->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (s->open_file < 0 || write(s->open_file, hello, sizeof hello - 1) < 0 || chmod(s->directory, 0755) < 0)
		return complain(s->file);
	if (setenv("DEMO_TOKEN", "a secret of the caller", 1) < 0)
		return complain("setting DEMO_TOKEN");
	return 0;
}

static void clear_stage(struct stage *s)
{
	if (s->open_file >= 0)
		close(s->open_file);
	if (!*s->directory)
		return;
	unlink(s->file);
	if (rmdir(s->directory) < 0)
		complain(s->directory);
}

/* Reads to the end, but never more than a report. */
static int receive(int fd, struct inspect_report *r, const char *where)
{
	size_t got = 0;
	ssize_t n = 0;
	char more;

	while (got < sizeof *r && (n = read(fd, (char *)r + got, sizeof *r - got)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0 && read(fd, &more, 1) == 0 && inspect_valid(r, got))
		return 0;
	fprintf(stderr, "hutch demo: no whole report came from %s (%zu of %zu bytes)\n", where, got, sizeof *r);
	return -1;
}

static _Noreturn void report_outside(int fd, struct inspect_report *r, const struct inspect_options *o)
{
	inspect_collect(r, o);
	_exit(inspect_send(fd, r) < 0);
}

static int look_outside(const struct stage *s, struct inspect_report *r)
{
	struct inspect_options o = { OUTSIDE_MIB, s->directory };
	int ends[2], bad;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return complain("making a pipe");
	child = fork();
	if (child == 0) {
		close(ends[0]);
		report_outside(ends[1], r, &o);
	}
	close(ends[1]);
	bad = child < 0 ? complain("starting a process") : receive(ends[0], r, "outside");
	close(ends[0]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return bad;
}

/* hutch run --ro DIRECTORY:/shared --rlimit-as 192M -- hutch inspect … */
static int plan_inside(struct stage *s, hutch_policy *policy, hutch_plan **plan, struct hutch_error *e)
{
	char share[128];
	char *const words[] = {
		"--ro", share, "--rlimit-as", TEXT(DEMO_LIMIT_MIB) "M", "--",
		s->program, "inspect", "--raw", "--alloc", "1024", "--dir", "/shared", NULL,
	};

	snprintf(share, sizeof share, "%s:/shared", s->directory);
	if (hutch_policy_args(policy, (int)(sizeof words / sizeof *words) - 1, words, NULL, NULL, e) < 0)
		return -1;
	return hutch_plan_new(policy, false, plan, e);
}

/* Puts fd at number `at` and gives a copy of what was there. */
static int replace(int at, int fd)
{
	int saved = fcntl(at, F_DUPFD_CLOEXEC, 3);

	if (saved >= 0 && dup2(fd, at) < 0) {
		close(saved);
		return -1;
	}
	return saved;
}

static void put_back(int at, int saved)
{
	if (saved < 0)
		return;
	dup2(saved, at);
	close(saved);
}

/* The program inherits 0 to 2, so ours are exchanged for the moment of the start: nothing of the terminal is
 * needed inside. */
static int spawn_with(const hutch_plan *plan, int output, hutch_run **run, struct hutch_error *e)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int in = replace(0, null), out = replace(1, output), bad = -1;

	if (null >= 0 && in >= 0 && out >= 0)
		bad = hutch_spawn(plan, run, e) < 0 ? cli_error(e) : 0;
	else
		complain("exchanging standard input and output");
	put_back(1, out);
	put_back(0, in);
	if (null >= 0)
		close(null);
	return bad;
}

static int run_inside(const hutch_plan *plan, struct inspect_report *r, struct hutch_error *e)
{
	struct hutch_report end;
	hutch_run *run = NULL;
	int ends[2], bad;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return complain("making a pipe");
	bad = spawn_with(plan, ends[1], &run, e);
	close(ends[1]);
	if (!bad) {
		bad = receive(ends[0], r, "inside");
		close(ends[0]);
		ends[0] = -1;
		if (hutch_run_wait(run, &end, e) < 0)
			bad = cli_error(e);
		else if (hutch_report_exit_status(&end) != 0)
			bad = fprintf(stderr, "hutch demo: the report inside ended with status %d\n", hutch_report_exit_status(&end));
	}
	if (ends[0] >= 0)
		close(ends[0]);
	hutch_run_free(run);
	return bad;
}

static int look_inside(struct stage *s, struct inspect_report *r)
{
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	struct hutch_error e = { 0 };
	int bad;

	if (!policy)
		return complain("making a policy");
	bad = plan_inside(s, policy, &plan, &e) < 0 ? cli_error(&e) : run_inside(plan, r, &e);
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return bad;
}

static int show(const struct stage *s, const struct inspect_report *reports)
{
	const char *no_colour = getenv("NO_COLOR");
	bool colour = isatty(1) && !(no_colour && *no_colour);
	int broken;

	printf("hutch %s: the same report, taken by this process outside and inside a sandbox\n\n", hutch_version());
	demo_print(stdout, &reports[0], &reports[1], colour);
	printf("\nFor show, the demo set the variable DEMO_TOKEN, left %s open for\n"
	       "writing and shared its directory. Inside was started with\n"
	       "  hutch run --ro %s:/shared --rlimit-as %dM -- hutch inspect\n\n",
	       s->file, s->directory, DEMO_LIMIT_MIB);
	fflush(stdout);
	broken = demo_check(stderr, &reports[0], &reports[1]);
	if (!broken)
		printf("Checked: no capabilities, no way to gain any, filtered system calls, own namespaces, no network,\n"
		       "no foreign processes, variables or descriptors, nothing written, memory bounded.\n"
		       "Your own program:  hutch run -- ./my_app arg1      (what that does: hutch explain -- ./my_app)\n");
	if (fflush(stdout) || ferror(stdout))
		return complain("writing to standard output"), 1;
	return broken ? 1 : 0;
}

int demo_main(int argc, char *const argv[])
{
	struct stage stage = { .open_file = -1 };
	struct inspect_report *reports;
	int status = 1;

	if (argc > 1) {
		bool help = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
		fputs("usage: hutch demo\n\nRuns one report outside and inside a sandbox and prints them side by side. Exit status 0: the\n"
		      "inside one was really confined.\n", help ? stdout : stderr);
		return help ? 0 : 2;
	}
	if (!(reports = calloc(2, sizeof *reports)))
		return complain("two reports"), 1;
	if (set_stage(&stage) == 0 && look_outside(&stage, &reports[0]) == 0 && look_inside(&stage, &reports[1]) == 0)
		status = show(&stage, reports);
	clear_stage(&stage);
	free(reports);
	return status;
}
