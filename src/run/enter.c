/* A process that confines itself and goes on: the end of the spine for it, and what its caller turns into.
 * Runs in: child (child_enter), parent (the rest). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "run/child.h"
#include "run/run.h"
#include "run/sync.h"
#include "sys/sys.h"

/* What set-up needed is closed before the program has a word to say; status last, as the way for an error. */
static int close_channels(struct child *c, int *keep)
{
	const struct policy *p = c->plan->policy;
	size_t n = 0, i = 0;

	for (; i < p->fd_count && p->fds[i] < c->status; i++)
		keep[n++] = p->fds[i];
	keep[n++] = c->status;
	for (; i < p->fd_count; i++)
		keep[n++] = p->fds[i];
	c->keep = keep;
	c->keep_count = n;
	return child_close_from(c, 3);
}

void child_enter(struct child *c)
{
	struct status_ready ready = { STATUS_READY, c->cost_us };

	/* The launcher's array has room for all of these; here it is our own copy. */
	if (child_steps(c) < 0 || close_channels(c, (int *)(uintptr_t)c->keep) < 0)
		child_give_up(c);
	if (sys_write(c->status, &ready, sizeof ready) != (long)sizeof ready || sys_close(c->status) < 0)
		sys_exit(125);
}

/* The same rules in a ruleset that is thrown away: what the kernel refuses is known while nothing is lost. */
int run_try_landlock(const struct plan *p, struct hutch_error *e)
{
	struct child c = { .plan = p, .landlock = -1, .error = e };
	int r = 0;

	for (size_t i = 0; i < p->op_count && r == 0; i++) {
		const struct op *op = &p->ops[i];
		if (op->kind == OP_LANDLOCK_RULESET)
			r = child_op_LANDLOCK_RULESET(&c, op);
		else if (op->kind == OP_LANDLOCK_PATH)
			r = child_op_LANDLOCK_PATH(&c, op);
		else if (op->kind == OP_LANDLOCK_PORT)
			r = child_op_LANDLOCK_PORT(&c, op);
	}
	if (c.landlock >= 0)
		sys_close(c.landlock);
	return r;
}

int enter_partial(struct hutch_error *e)
{
	char was[sizeof e->detail];

	copy_bounded(was, sizeof was, e->detail);
	return error_detail(e, "partially confined; exit%s%s", *was ? ": " : "", was);
}

int run_enter_here(const struct plan *p, bool *changed, struct hutch_error *e)
{
	struct child c = {
		.plan = p, .control = -1, .status = -1, .keep = p->policy->fds, .keep_count = p->policy->fd_count, .stdin_fd = -1,
		.id_lock = -1, .pty_slave = -1, .landlock = -1, .launcher = -1, .birth = -1, .error = e,
	};
	sigset_t all, old;
	int r;

	/* A handler of the program's own should not find it half confined. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	*changed = true;
	r = child_steps(&c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

/* ---- the caller, as supervisor ---- */

/* Of the program's descriptors none: a pipe whose end stays open here would never end for its reader. */
static void let_go(struct hutch_run *r)
{
	struct hutch_error error;
	int held[9 + RUN_CGROUPS] = { r->pidfd, r->control, r->id_lock, r->watch.timer, r->listener, r->leaf.fd, r->cow, r->entry.dir, r->entry.fd }, keep[COUNT_OF(held)];
	size_t n = 0;
	struct child c = { .plan = r->plan, .keep = keep, .stdin_fd = -1, .error = &error };

	for (size_t i = 0; i < RUN_CGROUPS; i++)
		held[9 + i] = r->cgroups[i].fd;
	for (size_t i = 0; i < COUNT_OF(held); i++) {
		size_t at = n;
		if (held[i] < 0)
			continue;
		for (; at && keep[at - 1] > held[i]; at--)
			keep[at] = keep[at - 1];
		keep[at] = held[i];
		n++;
	}
	c.keep_count = n;
	child_close_from(&c, 3);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++) {
		if (null >= 0 && null != fd)
			dup2(null, fd);
		else if (null < 0)
			close(fd);
	}
	if (null > 2)
		close(null);
}

/* The kernel tells of a fault in this process, or of its own children, by these: no word for the program. */
static void all_but_own(sigset_t *s)
{
	static const int own[] = { SIGCHLD, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGPIPE, SIGTTIN, SIGTTOU };

	sigfillset(s);
	for (size_t i = 0; i < COUNT_OF(own); i++)
		sigdelset(s, own[i]);
}

static void reset_handlers(void)
{
	/* What the program installed is its own; here only the default makes sense. */
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } def = { 0 };

	for (int n = 1; n <= 64; n++)
		SYS4(SYS_rt_sigaction, n, &def, NULL, 8);
}

/* The terminal, and kill(0), reach the program by themselves: it is in our process group. */
static bool has_it(const struct signalfd_siginfo *s)
{
	return s->ssi_code == SI_KERNEL;
}

static void relay(struct hutch_run *r, int signals)
{
	struct signalfd_siginfo s;

	while (read(signals, &s, sizeof s) == (ssize_t)sizeof s) {
		if (!has_it(&s))
			hutch_run_signal(r, (int)s.ssi_signo, NULL);
	}
}

/* As the program ended, so do we, for whoever waits for us: by the same signal, without a second core. */
static void end_as(const struct hutch_report *p) __attribute__((noreturn));
static void end_as(const struct hutch_report *p)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	if (!p->signal)
		sys_exit(p->exit_code);
	setrlimit(RLIMIT_CORE, &none);
	sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, p->signal);
	sys_kill(getpid(), p->signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sys_exit(128 + p->signal);
}

void run_supervise(struct hutch_run *r)
{
	sigset_t set, all;
	struct hutch_report report;
	int signals;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	reset_handlers();
	let_go(r);
	all_but_own(&set);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	for (int state = 0; state != 1;) {
		struct pollfd p[24];
		int n = hutch_run_pollfds(r, p, (int)COUNT_OF(p) - 1);
		p[n] = (struct pollfd){ signals, POLLIN, 0 };
		if (poll(p, (nfds_t)n + 1, r->pidfd < 0 ? 50 : -1) < 0 && errno != EINTR)
			break;
		if (p[n].revents)
			relay(r, signals);
		state = hutch_run_step(r, p, n, NULL);
		if (state < 0)
			break;
		if (state == 2) {
			sys_kill(getpid(), SIGSTOP); /* for the shell to see; here we stand until it continues us */
			hutch_run_signal(r, SIGCONT, NULL);
		}
	}
	if (hutch_run_wait(r, &report, NULL) < 0)
		sys_exit(HUTCH_EXIT_FAILED);
	end_as(&report);
}
