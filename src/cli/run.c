/* hutch run: start, relay signals and job control, hand the program's exit status on.
 * Runs in: parent. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define POLLFDS 16

struct options {
	struct report_to report;
	struct image_options image;
	bool help, preload;
};

/* --door=command, --door=preload */
static int door_option(struct options *o, int argc, char *const argv[], int at, struct hutch_error *e)
{
	const char *value = !strncmp(argv[at], "--door=", 7) ? argv[at] + 7 : at + 1 < argc ? argv[at + 1] : "";

	if (strcmp(value, "command") && strcmp(value, "preload"))
		return door_bad_option(e, argv[at], at);
	o->preload = !strcmp(value, "preload");
	return argv[at][6] ? 1 : 2;
}

static int extra(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	struct options *o = data;

	if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
		return o->help = true, 1;
	if (!strcmp(argv[at], "--door") || !strncmp(argv[at], "--door=", 7))
		return door_option(o, argc, argv, at, e);
	int n = image_option(&o->image, argc, argv, at, e);
	return n ? n : report_option(&o->report, argc, argv, at, e);
}

/* Set-up failed: the error, its record, and what a shell would say. Only a failed exec is the program's matter. */
static int failed(struct options *o, const struct hutch_error *e)
{
	int status = cli_error(e);

	if (o->report.fd >= 0)
		report_write(&o->report, report_failure(e, o->report.text));
	if (strcmp(e->layer, "exec"))
		return status;
	return e->errnum == ENOENT ? HUTCH_EXIT_NOT_FOUND : HUTCH_EXIT_NOT_EXEC;
}

static int signals_error(struct hutch_error *e)
{
	hutch_error_clear(e);
	e->errnum = errno;
	snprintf(e->layer, sizeof e->layer, "signals");
	snprintf(e->step, sizeof e->step, "preparing to forward signals");
	snprintf(e->call, sizeof e->call, "signalfd");
	snprintf(e->remedy, sizeof e->remedy, "a limit of this process is reached (ulimit -n), or a filter around hutch refuses it");
	return -1;
}

/* What the caller ignores (nohup, a background job of a script) stays ignored: blocked, it comes all the same. */
static bool is_ignored(int number)
{
	struct sigaction a;

	return sigaction(number, NULL, &a) == 0 && a.sa_handler == SIG_IGN;
}

int watch_signals(struct hutch_error *e)
{
	static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT };
	sigset_t block, read;
	int fd;

	sigemptyset(&read);
	for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
		sigaddset(&read, forwarded[i]);
	/* Besides: a program that stops reading its input is no reason for hutch to end. */
	block = read;
	sigaddset(&block, SIGPIPE);
	if (sigprocmask(SIG_BLOCK, &block, NULL) < 0)
		return signals_error(e);
	fd = signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? signals_error(e) : fd;
}

/* A program that shares our terminal and process group (--tty inherit) had ^C from the kernel already. */
static bool has_it(const hutch_run *r, const struct signalfd_siginfo *s)
{
	return s->ssi_code == SI_KERNEL && getpgid(hutch_run_pid(r)) == getpgrp();
}

static void forward(hutch_run *r, int signals)
{
	struct signalfd_siginfo s;

	while (read(signals, &s, sizeof s) == (ssize_t)sizeof s) {
		/* A program that has just ended has no use for it: no error. */
		if (!is_ignored((int)s.ssi_signo) && !has_it(r, &s))
			hutch_run_signal(r, (int)s.ssi_signo, NULL);
	}
}

/* The program was stopped: so is our whole job, as if the terminal had done it, for the shell to see. The kernel
 * decides whether there is a shell that could continue it: where there is none (an orphaned process group,
 * SIGTSTP ignored), nothing stops and the program goes on at once. */
static void stop_too(hutch_run *r)
{
	static const struct timespec pause = { 0, 100000000 };
	sigset_t stop, pending;

	hutch_run_suspend(r);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	kill(0, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here we are stopped */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	/* Without a SIGCONT there was no stop: a program that stops again and again must not keep us busy. */
	if (sigpending(&pending) == 0 && !sigismember(&pending, SIGCONT))
		nanosleep(&pause, NULL);
	hutch_run_signal(r, SIGCONT, NULL);
}

/* Until the end. 0, or -1 with the error. */
static int supervise(hutch_run *r, int signals, struct hutch_error *e)
{
	for (;;) {
		struct pollfd p[POLLFDS];
		int n = hutch_run_pollfds(r, p, POLLFDS - 1), state;

		p[n] = (struct pollfd){ signals, POLLIN, 0 };
		if (poll(p, (nfds_t)n + 1, -1) < 0 && errno != EINTR)
			return 0; /* hutch_run_wait() has its own way */
		if (p[n].revents)
			forward(r, signals);
		state = hutch_run_step(r, p, n, e);
		if (state < 0)
			return -1;
		if (state == 1)
			return 0;
		if (state == 2)
			stop_too(r);
	}
}

/* What the exit status alone can't say. */
static void say_end(const struct hutch_report *r)
{
	static const char *const words[] = {
		[HUTCH_END_KILLED] = "the whole sandbox was ended from outside, or its PID 1 failed",
		[HUTCH_END_WALL_TIME] = "ended: its time by the clock (wall-time) is over",
		[HUTCH_END_CPU_TIME] = "ended: its processor time (cpu-time) is used up",
		[HUTCH_END_MEMORY] = "ended: it needed more memory than its limit",
		[HUTCH_END_PIDS] = "failed after it met its limit of processes (pids)",
		[HUTCH_END_OUTPUT] = "ended: it wrote more than output-max",
		[HUTCH_END_FILE_SIZE] = "ended: a file grew beyond rlimit-fsize",
		[HUTCH_END_DISK] = "failed after it had filled a private file system (tmp-size, tmp-inodes)",
		[HUTCH_END_SYSCALL_DENIED] = "ended: it made a system call that its filter denies",
	};

	const char *call = r->end == HUTCH_END_SYSCALL_DENIED ? hutch_syscall_name(r->denied_arch, r->denied_call) : NULL;

	if (call)
		fprintf(stderr, "hutch: run: %s: %s\n", words[r->end], call);
	else if ((size_t)r->end < sizeof words / sizeof *words && words[r->end])
		fprintf(stderr, "hutch: run: %s\n", words[r->end]);
}

/* Names that the program made and that something would run later. What couldn't be moved is a failure. */
static int say_aside(const hutch_run *r, int status)
{
	struct hutch_aside a;

	for (size_t i = 0; hutch_run_aside(r, i, &a); i++) {
		if (a.moved_to)
			fprintf(stderr, "hutch: protect: the program made %s, which others run unasked: it is now %s\n", a.path, a.moved_to);
		else
			fprintf(stderr, "hutch: protect: %s can't be looked at or moved aside: %s\n", a.path, strerror(a.errnum));
		status = a.moved_to ? status : HUTCH_EXIT_FAILED;
	}
	return status;
}

static int run_plan(const hutch_plan *plan, struct options *o, struct hutch_error *e)
{
	/* Before the start, so that a signal that comes meanwhile isn't lost. */
	int signals = watch_signals(e), status;
	struct hutch_report report;
	hutch_run *r;

	if (signals < 0 || hutch_spawn(plan, &r, e) < 0)
		return failed(o, e);
	if (supervise(r, signals, e) < 0 || hutch_run_wait(r, &report, e) < 0) {
		/* The program ran: whatever the error's layer, this is no failed exec. */
		hutch_run_free(r);
		if (o->report.fd >= 0)
			report_write(&o->report, report_failure(e, o->report.text));
		return cli_error(e);
	}
	say_end(&report);
	status = on_exit_apply(r, &report, say_aside(r, hutch_report_exit_status(&report)));
	if (o->report.fd >= 0 && report_write(&o->report, hutch_run_report(r, !o->report.text)) < 0)
		status = HUTCH_EXIT_FAILED;
	hutch_run_free(r);
	return status;
}

int run_command(int argc, char *const argv[])
{
	struct options o = { .report = { .fd = -1 } };
	struct hutch_error e = { 0 };
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	int status, parsed;

	if (!policy)
		return cli_nomem();
	parsed = hutch_policy_args(policy, argc - 1, argv + 1, extra, &o, &e);
	if (parsed == 0 && o.help)
		status = (cli_usage(true), 0);
	else if (parsed == 0 && o.preload)
		status = door_preload(argc - 1, argv + 1, o.report.path || o.report.fd >= 0);
	else if (report_open(&o.report) < 0)
		status = parsed < 0 ? cli_error(&e) : HUTCH_EXIT_FAILED;
	else if (parsed < 0 || image_apply(&o.image, policy, &e) < 0 || hutch_plan_new(policy, false, &plan, &e) < 0)
		status = failed(&o, &e);
	else
		status = (hutch_plan_list(plan, true), run_plan(plan, &o, &e));
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return status;
}
