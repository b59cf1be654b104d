/* hutch demo: one report outside and inside a sandbox, side by side.
 * Runs in: parent. */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define DEADLINE_SECONDS 60
#define TEXT(x)          TEXT_(x)
#define TEXT_(x)         #x

/* What there is to be seen outside: made by us, so that it is the same on every machine. */
struct stage {
	char directory[512], file[600], program[4096];
	int open_file;
};

static int complain(const char *what)
{
	fprintf(stderr, "hutch demo: %s: %s\n", what, strerror(errno));
	return -1;
}

static int make_directory(struct stage *s)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || *tmp != '/' || strchr(tmp, ':') || strlen(tmp) > 400)
		tmp = "/tmp";
	snprintf(s->directory, sizeof s->directory, "%s/hutch-demo-XXXXXX", tmp);
	if (mkdtemp(s->directory))
		return 0;
	complain(s->directory);
	*s->directory = '\0';
	return -1;
}

static int set_stage(struct stage *s)
{
	static const char hello[] = "Hello from outside.\n";
	ssize_t n = readlink("/proc/self/exe", s->program, sizeof s->program - 1);

	if (n <= 0)
		return complain("finding the own program in /proc/self/exe");
	s->program[n] = '\0';
	if (make_directory(s) < 0)
		return -1;
	snprintf(s->file, sizeof s->file, "%s/" DEMO_FILE, s->directory);
	/* Not close-on-exec, as descriptors that leak are. */
	s->open_file = open(s->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (s->open_file < 0 || write(s->open_file, hello, sizeof hello - 1) < 0)
		return complain(s->file);
	/* 0 to 2 are always taken, so this number is above them. Readable for whatever id is inside. */
	if (chmod(s->directory, 0755) < 0 || fchmod(s->open_file, 0644) < 0)
		return complain(s->directory);
	if (setenv(DEMO_TOKEN, "a secret of the caller", 1) < 0)
		return complain("setting " DEMO_TOKEN);
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

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads to the end, but never more than a report and never longer than the deadline. */
static int receive(int fd, struct report *r, const char *where)
{
	int64_t end = now_ms() + INT64_C(1000) * DEADLINE_SECONDS;
	size_t got = 0;
	bool ended = false;

	while (!ended) {
		char extra;
		struct pollfd p = { fd, POLLIN, 0 };
		int64_t left = end - now_ms();
		ssize_t n;
		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			break;
		n = got < sizeof *r ? read(fd, (char *)r + got, sizeof *r - got) : read(fd, &extra, 1);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && got == sizeof *r)
			break;
		got += n > 0 ? (size_t)n : 0;
		ended = n == 0;
	}
	if (ended && got == sizeof *r && report_valid(r))
		return 0;
	fprintf(stderr, "hutch demo: no whole report came from %s (%zu of %zu bytes%s)\n", where, got, sizeof *r,
		ended ? "" : ", and it didn't end");
	return -1;
}

static _Noreturn void exec_outside(const struct stage *s, int output)
{
	char *const words[] = { (char *)s->program, "inspect", "--wire", "--try-create", "--alloc", TEXT(DEMO_BOUND_MIB),
				"--dir", (char *)s->directory, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1)
		execv(s->program, words);
	complain(s->program);
	_exit(127);
}

static int look_outside(const struct stage *s, struct report *r)
{
	int ends[2], bad;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return complain("making a pipe");
	child = fork();
	if (child == 0)
		exec_outside(s, ends[1]);
	close(ends[1]);
	bad = child < 0 ? complain("starting a process") : receive(ends[0], r, "outside");
	close(ends[0]);
	if (child > 0 && bad)
		kill(child, SIGKILL);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return bad;
}

/* hutch run --ro DIRECTORY:/shared --rlimit-as 192M -- hutch inspect */
static int plan_inside(struct stage *s, int input, int output, hutch_policy *policy, hutch_plan **plan, struct hutch_error *e)
{
	char share[600], in[24], out[24];
	char *const words[] = {
		"--fd", in, "--fd", out, /* nothing of the terminal is needed inside */
		/* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): a number and its unit are one word */
		"--ro", share, "--rlimit-as", TEXT(DEMO_LIMIT_MIB) "M", "--", s->program, "inspect", "--wire", "--try-create",
		"--alloc", TEXT(DEMO_BOUND_MIB), "--dir", "/shared", NULL,
	};

	snprintf(share, sizeof share, "%s:/shared", s->directory);
	snprintf(in, sizeof in, "0=%d", input);
	snprintf(out, sizeof out, "1=%d", output);
	if (hutch_policy_args(policy, (int)(sizeof words / sizeof *words) - 1, words, NULL, NULL, e) < 0)
		return -1;
	return hutch_plan_new(policy, false, plan, e);
}

static int end_inside(hutch_run *run, struct hutch_error *e)
{
	struct hutch_report end;

	if (hutch_run_wait(run, &end, e) < 0)
		return cli_error(e);
	if (hutch_report_exit_status(&end) == 0)
		return 0;
	fprintf(stderr, "hutch demo: the report inside ended with status %d\n", hutch_report_exit_status(&end));
	return -1;
}

/* Closes output: the report has ended when nobody holds it any longer. */
static int run_inside(const hutch_plan *plan, const int ends[2], struct report *r, struct hutch_error *e)
{
	hutch_run *run = NULL;
	int bad = hutch_spawn(plan, &run, e) < 0 ? cli_error(e) : 0;

	close(ends[1]);
	if (!bad) {
		bad = receive(ends[0], r, "inside");
		if (bad)
			hutch_run_kill(run, NULL);
		bad |= end_inside(run, e);
	}
	close(ends[0]);
	hutch_run_free(run);
	return bad ? -1 : 0;
}

static int look_inside(struct stage *s, struct report *r)
{
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	struct hutch_error e = { 0 };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), ends[2], bad;

	if (!policy || null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return complain("making a policy, and a pipe");
	bad = plan_inside(s, null, ends[1], policy, &plan, &e) < 0 ? cli_error(&e) : run_inside(plan, ends, r, &e);
	close(null);
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return bad;
}

/* At most 100 columns; a pipe takes them all. */
static size_t page_width(void)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) < 0 || w.ws_col == 0 || w.ws_col > 100)
		return 100;
	return w.ws_col < 64 ? 64 : w.ws_col;
}

static int show(const struct stage *s, const struct report *reports)
{
	const char *no_colour = getenv("NO_COLOR");
	bool colour = isatty(1) && !(no_colour && *no_colour);
	int broken;

	printf("hutch %s: the same program, run twice: once as it is, once with\n"
	       "  hutch run --ro %s:/shared --rlimit-as %dM -- hutch inspect\n"
	       "For show, the variable " DEMO_TOKEN " was set, and " DEMO_FILE " there left open for writing.\n\n",
	       hutch_version(), s->directory, DEMO_LIMIT_MIB);
	if (demo_print(stdout, &reports[0], &reports[1], page_width(), colour) < 0)
		return complain("printing"), 1;
	fputc('\n', stdout);
	broken = demo_check(stdout, &reports[0], &reports[1], colour);
	if (!broken)
		printf("Now your own program:  hutch run -- ./my_app arg1     and what that does:  hutch explain -- ./my_app\n");
	if (fflush(stdout) || ferror(stdout))
		return complain("writing to standard output"), 1;
	return broken ? 1 : 0;
}

static int demo(void)
{
	struct stage stage = { .open_file = -1 };
	struct report *reports = calloc(2, sizeof *reports);
	sigset_t wait, before;
	int status = 1;

	if (!reports)
		return complain("two reports"), 1;
	/* A ^C in these moments takes effect after the directory is gone again. */
	sigemptyset(&wait);
	sigaddset(&wait, SIGINT);
	sigaddset(&wait, SIGTERM);
	sigaddset(&wait, SIGHUP);
	sigprocmask(SIG_BLOCK, &wait, &before);
	if (set_stage(&stage) == 0 && look_outside(&stage, &reports[0]) == 0 && look_inside(&stage, &reports[1]) == 0)
		status = 0;
	clear_stage(&stage);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (status == 0)
		status = show(&stage, reports);
	free(reports);
	return status;
}

int demo_main(int argc, char *const argv[])
{
	bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

	if (argc == 1)
		return demo();
	fputs("usage: hutch demo\n\nRuns one report outside and inside a sandbox and prints them side by side. Exit status 0: the\n"
	      "inside one was really confined.\n", help ? stdout : stderr);
	return help ? 0 : 2;
}
