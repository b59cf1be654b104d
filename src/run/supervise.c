/* The launcher's loop: terminal and input relay, messages of init, the end.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run.h"
#include "run/sync.h"
#include "sys/sys.h"

#define RELAY_SIZE 65536

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Slots of the array that hutch_run_pollfds() fills, in this order; the terminal's come last. */
enum { POLL_CONTROL, POLL_PIDFD, POLL_STDIN, POLL_OUTPUT, POLL_TIMER = POLL_OUTPUT + 2, POLL_LISTENER, POLL_TTY };

int hutch_run_pollfds(const hutch_run *r, struct pollfd *fds, int max)
{
	struct pollfd own[POLL_TTY + 3];
	int n = POLL_TTY;

	own[POLL_CONTROL] = (struct pollfd){ r->control, POLLIN, 0 };
	own[POLL_PIDFD] = (struct pollfd){ r->reaped ? -1 : r->pidfd, POLLIN, 0 };
	own[POLL_STDIN] = (struct pollfd){ r->stdin_to, POLLOUT, 0 };
	output_pollfds(r, own + POLL_OUTPUT);
	own[POLL_TIMER] = (struct pollfd){ r->reaped ? -1 : r->watch.timer, POLLIN, 0 };
	own[POLL_LISTENER] = (struct pollfd){ r->listener, POLLIN, 0 };
	if (r->have_tty)
		n += tty_pollfds(r->tty, own + POLL_TTY);
	if (n > max)
		n = max;
	memcpy(fds, own, (size_t)n * sizeof *fds);
	return n;
}

static void relay_stdin(struct hutch_run *r)
{
	ssize_t n;

	if (!r->stdin_buffer && !(r->stdin_buffer = malloc(RELAY_SIZE))) {
		close_fd(&r->stdin_to);
		return;
	}
	if (r->stdin_off == r->stdin_len) {
		n = read(r->stdin_from, r->stdin_buffer, RELAY_SIZE);
		if (n <= 0) {
			close_fd(&r->stdin_to);
			return;
		}
		r->stdin_len = (size_t)n;
		r->stdin_off = 0;
	}
	n = write_quietly(r->stdin_to, r->stdin_buffer + r->stdin_off, r->stdin_len - r->stdin_off);
	if (n > 0)
		r->stdin_off += (size_t)n;
	else if (errno != EAGAIN && errno != EINTR)
		close_fd(&r->stdin_to);
}

static void set_end(struct hutch_run *r, int code, int status)
{
	struct hutch_report *p = &r->report;

	if (p->end != HUTCH_END_NONE)
		return;
	p->wall_us = clock_us() - r->exec_us;
	p->setup_us = r->exec_us - r->started_us;
	p->end = code == CLD_EXITED ? HUTCH_END_EXITED : HUTCH_END_SIGNALLED;
	p->exit_code = code == CLD_EXITED ? status : 0;
	p->signal = code == CLD_EXITED ? 0 : status;
	p->core_dumped = code == CLD_DUMPED;
}

static int on_message(struct hutch_run *r)
{
	struct message m;
	int got = sync_receive(r->control, &m, NULL, 0);

	if (got == -ETIMEDOUT)
		return 0;
	if (got != 1) {
		close_fd(&r->control);
		return 0;
	}
	if (m.type == MSG_STOPPED) {
		r->stopped = true;
		/* A launcher that is stopped too couldn't hold the program's children to their time. */
		return r->plan->limits.wall_ms || r->plan->limits.cpu_ms ? 0 : 2;
	}
	if (m.type == MSG_ENDED) {
		set_end(r, m.a, m.b);
		r->report.user_us = m.user_us;
		r->report.system_us = m.system_us;
		r->report.max_rss_kib = m.max_rss_kib;
		r->disk_full = m.reserved;
	}
	return 0;
}

/* What init had to say may still lie in the socket. */
static void hear_init(struct hutch_run *r)
{
	struct pollfd p = { r->control, POLLIN, 0 };

	while (r->control >= 0 && r->report.end == HUTCH_END_NONE && poll(&p, 1, 0) > 0)
		on_message(r);
}

static void release(struct hutch_run *r)
{
	r->reaped = true;
	if (r->report.end == HUTCH_END_NONE) {
		set_end(r, CLD_KILLED, SIGKILL);
		r->report.end = HUTCH_END_KILLED;
	}
	report_conclude(r);
	late_check(r);
	watch_stop(r);
	cgroup_remove(r);
	entry_remove(r);
	if (r->have_tty)
		tty_close(r->tty);
	r->have_tty = false;
	close_fd(&r->stdin_to);
	close_fd(&r->stdin_own);
	close_fd(&r->control);
	close_fd(&r->pidfd);
	close_fd(&r->id_lock);
	close_fd(&r->listener);
}

/* The host program ignores SIGCHLD, or waits for every child that it has. The pidfd still tells of the end, and
 * init how the program ended. */
static int reaped_elsewhere(struct hutch_run *r, bool block, struct hutch_error *e)
{
	struct pollfd p = { r->pidfd, POLLIN, 0 };
	int n = 1;

	if (r->pidfd >= 0) {
		do
			n = poll(&p, 1, block ? -1 : 0);
		while (n < 0 && errno == EINTR && block);
	}
	if (n <= 0)
		return 0;
	hear_init(r);
	release(r);
	if (r->plan->need_init)
		return 1;
	error_set(e, ERR_RUN_WAIT, ECHILD, "waitid", NULL, NULL);
	return error_detail(e, "the program has ended, but another part of this process took its status: SIGCHLD is ignored, or something waits for every child");
}

/* Reaping the first process is the proof that all of the sandbox is gone: the kernel ends a pid namespace's
 * processes before its PID 1 can be waited for. */
static int reap(struct hutch_run *r, bool block, struct hutch_error *e)
{
	siginfo_t s = { 0 };
	struct rusage u = { 0 };
	int flags = WEXITED | (block ? 0 : WNOHANG) | (r->plan->need_init ? 0 : WSTOPPED), n;

	if (r->reaped)
		return 1;
	do
		n = sys_waitid(P_PID, (id_t)r->pid, &s, flags, &u);
	while (n == -EINTR && block);
	if (n == -ECHILD)
		return reaped_elsewhere(r, block, e);
	if (n < 0 && n != -EINTR)
		return error_set(e, ERR_RUN_WAIT, -n, "waitid", NULL, NULL);
	if (n < 0 || !s.si_pid)
		return 0;
	if (s.si_code == CLD_STOPPED || s.si_code == CLD_TRAPPED) {
		r->stopped = true;
		return 2;
	}
	hear_init(r);
	report_usage(&r->report, &u);
	if (!r->plan->need_init) {
		set_end(r, s.si_code, s.si_status);
		r->report.user_us = u.ru_utime.tv_sec * 1000000LL + u.ru_utime.tv_usec;
		r->report.system_us = u.ru_stime.tv_sec * 1000000LL + u.ru_stime.tv_usec;
		r->report.max_rss_kib = u.ru_maxrss;
	}
	release(r);
	return 1;
}

/* The end is there when what the program wrote has been passed on, too. */
static int ended(struct hutch_run *r, int reaped)
{
	static const struct pollfd none[2] = { { -1, 0, 0 }, { -1, 0, 0 } };

	if (reaped != 1)
		return reaped;
	output_step(r, none);
	return output_pending(r) ? 0 : 1;
}

int hutch_run_step(hutch_run *r, const struct pollfd *fds, int count, struct hutch_error *e)
{
	if (r->have_tty && count > POLL_TTY && tty_step(r->tty, fds + POLL_TTY, count - POLL_TTY, e) < 0)
		return -1;
	if (r->stdin_to >= 0 && count > POLL_STDIN && fds[POLL_STDIN].revents)
		relay_stdin(r);
	if (output_pending(r) && count > POLL_OUTPUT + 1)
		output_step(r, fds + POLL_OUTPUT);
	if (r->listener >= 0 && count > POLL_LISTENER && fds[POLL_LISTENER].revents)
		denied_step(r);
	if (count > POLL_TIMER && fds[POLL_TIMER].revents)
		watch_step(r);
	if (r->control >= 0 && count > POLL_CONTROL && fds[POLL_CONTROL].revents) {
		int m = on_message(r);
		if (m)
			return m;
	}
	return ended(r, reap(r, false, e));
}

int hutch_run_signal(hutch_run *r, int signal, struct hutch_error *e)
{
	int n;

	if (r->reaped)
		return error_set(e, ERR_RUN_SIGNAL, ESRCH, "kill", NULL, "api");
	if (signal < 1 || signal > 64)
		return error_set(e, ERR_RUN_SIGNAL, EINVAL, "kill", NULL, "api");
	if (signal == SIGWINCH && r->have_tty) {
		tty_winch(r->tty);
		return 0;
	}
	if (signal == SIGCONT) {
		if (r->have_tty && tty_resume(r->tty, e) < 0)
			return -1;
		r->stopped = false;
	}
	if (r->plan->need_init)
		n = sync_send(r->control, &(struct message){ .type = MSG_SIGNAL, .a = signal }, -1);
	else
		n = r->pidfd >= 0 ? sys_pidfd_send_signal(r->pidfd, signal) : sys_kill(r->pid, signal);
	return n < 0 ? error_set(e, ERR_RUN_SIGNAL, -n, "kill", NULL, "api") : 0;
}

void hutch_run_suspend(hutch_run *r)
{
	if (r->have_tty)
		tty_suspend(r->tty);
}

int hutch_run_kill(hutch_run *r, struct hutch_error *e)
{
	int n;

	if (r->reaped)
		return 0;
	/* Not reaped, so even the number is still its own. As a subreaper it must end its orphans itself. */
	if (r->plan->need_init && !(r->plan->clone_flags & U_CLONE_NEWPID)) {
		if (r->control >= 0)
			sync_send(r->control, &(struct message){ .type = MSG_SIGNAL, .a = SIGKILL }, -1);
		close_fd(&r->control);
		cgroup_kill(r);
		return 0;
	}
	n = r->pidfd >= 0 ? sys_pidfd_send_signal(r->pidfd, SIGKILL) : sys_kill(r->pid, SIGKILL);
	cgroup_kill(r);
	if (n == -ESRCH)
		return 0; /* it has just ended */
	return n < 0 ? error_set(e, ERR_RUN_SIGNAL, -n, "kill", NULL, "api") : 0;
}

int hutch_run_wait(hutch_run *r, struct hutch_report *out, struct hutch_error *e)
{
	while (!r->reaped || output_pending(r)) {
		struct pollfd p[POLL_TTY + 3];
		int n = hutch_run_pollfds(r, p, (int)COUNT_OF(p));
		if (!r->reaped && r->pidfd < 0 && r->control < 0 && r->watch.timer < 0 && !output_pending(r)) {
			if (reap(r, true, e) < 0)
				return -1;
			continue;
		}
		if (poll(p, (nfds_t)n, r->reaped ? 10 : r->pidfd < 0 ? 50 : -1) < 0 && errno != EINTR)
			return error_set(e, ERR_RUN_WAIT, errno, "poll", NULL, NULL);
		if (hutch_run_step(r, p, n, e) < 0)
			return -1;
	}
	if (out)
		*out = r->report;
	return 0;
}

pid_t hutch_run_pid(const hutch_run *r)
{
	return r->pid;
}

void hutch_run_free(hutch_run *r)
{
	if (!r)
		return;
	if (!r->reaped) {
		hutch_run_kill(r, NULL);
		hutch_run_wait(r, NULL, NULL);
	}
	if (r->have_tty)
		tty_close(r->tty);
	close_fd(&r->cow);
	late_done(r);
	free(r->tty);
	free(r->stdin_buffer);
	output_done(r);
	free(r);
}
