/* hutch run: start, relay signals and job control, hand the program's exit status on.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"

struct options {
	const char *report_path;
	int report_fd;
	bool help;
};

static int option_value(int argc, char *const argv[], int at, const char *name, const char **value)
{
	size_t n = strlen(name);

	if (!strncmp(argv[at], name, n) && argv[at][n] == '=') {
		*value = argv[at] + n + 1;
		return 1;
	}
	if (strcmp(argv[at], name) || at + 1 >= argc)
		return 0;
	*value = argv[at + 1];
	return 2;
}

static int extra(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	struct options *o = data;
	const char *value;
	int n;

	(void)e;
	if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
		return o->help = true, 1;
	if ((n = option_value(argc, argv, at, "--report", &value)))
		return o->report_path = value, n;
	if ((n = option_value(argc, argv, at, "--report-fd", &value))) {
		char *end;
		long fd = strtol(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || fd > 1 << 20)
			return 0;
		o->report_fd = (int)fd;
		return n;
	}
	return 0;
}

/* The record goes to a descriptor that was opened before the program ran: nothing inside can swap its name. */
static int open_report(struct options *o)
{
	if (!o->report_path)
		return 0;
	if (!strcmp(o->report_path, "-")) {
		o->report_fd = 2;
		return 0;
	}
	o->report_fd = open(o->report_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (o->report_fd >= 0)
		return 0;
	fprintf(stderr, "hutch: report: opening %s: %s\n", o->report_path, strerror(errno));
	return -1;
}

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

/* A run that never reached exec: no exit code, but what failed. */
static char *failure_json(const struct hutch_error *e)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "{\"end\":\"setup-failed\",\"id\":%u,\"errno\":%d,\"layer\":", e->id, e->errnum);
	json_string(f, e->layer);
	fputs(",\"step\":", f);
	json_string(f, e->step);
	fputs(",\"call\":", f);
	json_string(f, e->call);
	fputs(",\"subject\":", f);
	json_string(f, e->subject);
	fputs("}\n", f);
	return fclose(f) == 0 ? text : NULL;
}

static int write_report(const struct options *o, char *json)
{
	size_t len = json ? strlen(json) : 0, done = 0;
	int bad = !json;

	while (!bad && o->report_fd >= 0 && done < len) {
		ssize_t n = write(o->report_fd, json + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		bad = n <= 0;
		done += n > 0 ? (size_t)n : 0;
	}
	free(json);
	if (bad)
		fprintf(stderr, "hutch: report: writing: %s\n", strerror(errno));
	return bad ? -1 : 0;
}

static int failed(const struct options *o, const struct hutch_error *e)
{
	cli_error(e);
	if (o->report_fd >= 0)
		write_report(o, failure_json(e));
	if (strcmp(e->layer, "exec"))
		return HUTCH_EXIT_FAILED;
	return e->errnum == ENOENT || e->errnum == ENOTDIR ? HUTCH_EXIT_NOT_FOUND : HUTCH_EXIT_NOT_EXEC;
}

static int watch_signals(void)
{
	static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void forward(hutch_run *r, int signals)
{
	struct signalfd_siginfo s;

	while (read(signals, &s, sizeof s) == (ssize_t)sizeof s) {
		/* A program that has just ended has no use for it. */
		hutch_run_signal(r, (int)s.ssi_signo, NULL);
	}
}

/* The program was stopped: so are we, for the shell to see, and go on when it says so. */
static void stop_too(hutch_run *r)
{
	hutch_run_suspend(r);
	raise(SIGSTOP);
	hutch_run_signal(r, SIGCONT, NULL);
}

static int supervise(hutch_run *r, int signals, struct hutch_report *report, struct hutch_error *e)
{
	for (;;) {
		struct pollfd p[16];
		int n = hutch_run_pollfds(r, p, 15), state;

		p[n] = (struct pollfd){ signals, POLLIN, 0 };
		if (poll(p, (nfds_t)n + 1, -1) < 0 && errno != EINTR)
			return hutch_run_wait(r, report, e);
		if (p[n].revents)
			forward(r, signals);
		state = hutch_run_step(r, p, n, e);
		if (state < 0)
			return -1;
		if (state == 2)
			stop_too(r);
		if (state == 1)
			return hutch_run_wait(r, report, e);
	}
}

static int run_plan(const hutch_plan *plan, const struct options *o, struct hutch_error *e)
{
	/* Before the start, so that a signal that comes meanwhile isn't lost. */
	int signals = watch_signals(), status;
	struct hutch_report report;
	hutch_run *r;

	if (hutch_spawn(plan, &r, e) < 0)
		return failed(o, e);
	if (supervise(r, signals, &report, e) < 0) {
		hutch_run_free(r);
		return failed(o, e);
	}
	status = hutch_report_exit_status(&report);
	hutch_run_free(r);
	if (o->report_fd >= 0 && write_report(o, hutch_report_json(&report)) < 0)
		return HUTCH_EXIT_FAILED;
	return status;
}

int run_command(int argc, char *const argv[])
{
	struct options o = { .report_fd = -1 };
	struct hutch_error e = { 0 };
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	int status;

	if (!policy)
		return fputs("hutch: out of memory\n", stderr), HUTCH_EXIT_FAILED;
	if (hutch_policy_args(policy, argc - 1, argv + 1, extra, &o, &e) < 0)
		status = cli_error(&e);
	else if (o.help)
		status = (cli_usage(), 0);
	else if (open_report(&o) < 0)
		status = HUTCH_EXIT_FAILED;
	else if (hutch_plan_new(policy, false, &plan, &e) < 0)
		status = failed(&o, &e);
	else
		status = run_plan(plan, &o, &e);
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return status;
}
