/* PID 1 of the sandbox (or a subreaper in its place): reaps, forwards, ends everything when the program ends.
 * It holds no descriptor but the launcher's socket, no environment, no capability but to signal, and can't be
 * looked into from inside.
 * Runs in: init. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <asm/ioctls.h>

#include "run/child.h"
#include "run/sync.h"
#include "sys/sys.h"

struct init {
	int control, signals, launcher, payload;
	bool alone; /* PID 1 of its namespace: its end ends all */
	bool follow;
	const struct plan *plan;
};

static void clear(char *start, char *end)
{
	for (volatile char *s = start; s < end; s++)
		*s = 0;
}

static void clear_words(struct child *c)
{
	clear(c->words.start, c->words.end);
	clear(c->environment.start, c->environment.end);
}

static int drop_privilege(void)
{
	struct u_cap_header h = { .version = U_CAP_VERSION_3 };
	struct u_cap_data d[2] = { { .effective = 1u << CAPNO_KILL, .permitted = 1u << CAPNO_KILL }, { 0 } }, none[2] = { { 0 } };

	/* Where the right to signal was never there, none is kept. */
	return sys_capset(&h, d) < 0 ? sys_capset(&h, none) : 0;
}

/* Is one of the private file systems full? Their number and places are the plan's. */
static bool disk_full(const struct plan *p)
{
	for (size_t k = p->section_start[SECTION_MOUNT]; k < p->section_start[SECTION_MOUNT + 1]; k++) {
		const struct op *op = &p->ops[k];
		char path[256] = "/";
		struct statfs fs;
		if (op->kind != OP_TMPFS || !op->path)
			continue;
		copy_bounded(path + 1, sizeof path - 1, op->path);
		if (SYS2(SYS_statfs, path, &fs) == 0 && (fs.f_bavail == 0 || fs.f_ffree == 0))
			return true;
	}
	return false;
}

static void report_end(struct init *i, const siginfo_t *s, const struct rusage *u)
{
	struct message m = {
		.type = MSG_ENDED, .a = s->si_code, .b = s->si_status,
		.user_us = u->ru_utime.tv_sec * 1000000LL + u->ru_utime.tv_usec,
		.system_us = u->ru_stime.tv_sec * 1000000LL + u->ru_stime.tv_usec, .max_rss_kib = u->ru_maxrss,
		.reserved = disk_full(i->plan),
	};

	sync_send(i->control, &m, -1);
}

/* Kills every child that /proc lists; how many that were, -1 = it can't be told. */
static int kill_children(void)
{
	static const char path[] = "/proc/thread-self/children";
	char list[4096];
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), count = 0;
	long n = fd < 0 ? fd : sys_read(fd, list, sizeof list), pid = 0;

	if (fd >= 0)
		sys_close(fd);
	for (long k = 0; k < n; k++) {
		if (list[k] >= '0' && list[k] <= '9') {
			pid = pid * 10 + (list[k] - '0');
			continue;
		}
		if (pid > 1 && ++count)
			sys_kill((pid_t)pid, SIGKILL);
		pid = 0;
	}
	return n < 0 ? -1 : count;
}

/* Without a pid namespace: whatever was orphaned came to us. The run ends when nothing is left. */
static void end_orphans(void)
{
	const struct timespec pause = { 0, 1000000 };

	for (;;) {
		siginfo_t s = { 0 };
		int listed = kill_children();
		/* One that was orphaned since the list was read may live on: then look again, don't wait for it. */
		if (sys_waitid(P_ALL, 0, &s, WEXITED | (listed > 0 ? 0 : WNOHANG), NULL) < 0)
			return;
		if (!s.si_pid && listed < 0)
			return; /* no way to see them, and none of them ends */
		if (!s.si_pid)
			SYS5(SYS_ppoll, NULL, 0, &pause, NULL, 0);
	}
}

static void finish(struct init *i) __attribute__((noreturn));
static void finish(struct init *i)
{
	if (!i->alone)
		end_orphans();
	sys_exit(0); /* as PID 1: the kernel ends every process of the namespace before we are gone */
}

static void end_all(struct init *i) __attribute__((noreturn));
static void end_all(struct init *i)
{
	sys_kill(i->payload, SIGKILL);
	finish(i);
}

static void on_children(struct init *i)
{
	for (;;) {
		siginfo_t s = { 0 };
		struct rusage u = { 0 };
		int r = sys_waitid(P_ALL, 0, &s, WEXITED | WSTOPPED | WNOHANG, &u);
		if (r < 0 || !s.si_pid)
			return;
		if (s.si_pid != i->payload)
			continue;
		if (s.si_code == CLD_STOPPED) {
			sync_send(i->control, &(struct message){ .type = MSG_STOPPED, .a = s.si_status }, -1);
			continue;
		}
		report_end(i, &s, &u);
		finish(i);
	}
}

static void on_control(struct init *i)
{
	struct message m;
	int r = sync_receive(i->control, &m, NULL, 0);

	if (r == 1 && m.type == MSG_SIGNAL) {
		/* Job control concerns the whole job, everything else the program. */
		if ((m.a != SIGCONT && m.a != SIGTSTP) || sys_kill(-i->payload, m.a) < 0)
			sys_kill(i->payload, m.a);
		return;
	}
	if (r == -ETIMEDOUT)
		return;
	if (i->follow)
		end_all(i);
	i->control = -1; /* the launcher is gone and may be: go on alone */
}

/* Closes all but these; sorted insertion of a few. */
static int hold_only(struct child *c, const int *held, size_t count, int *kept)
{
	c->keep_count = 0;
	for (size_t k = 0; k < count; k++) {
		size_t at = c->keep_count;
		if (held[k] < 0)
			continue;
		while (at && kept[at - 1] > held[k]) {
			kept[at] = kept[at - 1];
			at--;
		}
		kept[at] = held[k];
		c->keep_count++;
	}
	c->keep = kept;
	c->stdin_fd = c->output[1] = c->output[2] = -1;
	return child_close_from(c, 0);
}

/* What init needs before the program may run. A failure travels like any other of set-up. */
static int set_up(struct child *c, struct init *i, int gate)
{
	/* The kernel's own structure: handler, flags, restorer, mask. */
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } normal = { 0 };
	uint64_t all = ~UINT64_C(0);
	int r;

	/* A program that goes on, held at the gate, has its own copy. */
	clear_words(c);
	/* Ignored, it would let the kernel reap what is to be waited for here; blocked it is since before the clone. */
	r = (int)SYS4(SYS_rt_sigaction, SIGCHLD, &normal, NULL, 8);
	if (r < 0)
		return child_fail(c, NULL, ERR_SIGNALS, r, "rt_sigaction", "init");
	i->signals = (int)SYS4(SYS_signalfd4, -1, &all, 8, O_CLOEXEC | O_NONBLOCK);
	if (i->signals < 0)
		return child_fail(c, NULL, ERR_LAUNCH_PREPARE, i->signals, "signalfd4", "init");
	/* The lock of the allocated id stays held for as long as anything may run under it. */
	int held[] = { i->control, i->launcher, i->signals, c->id_lock, c->status, gate }, kept[COUNT_OF(held)] = { 0 };
	if (hold_only(c, held, COUNT_OF(held), kept) < 0)
		return -1;
	r = drop_privilege();
	return r < 0 ? child_fail(c, NULL, ERR_CREDS_CAPS, r, "capset", "init") : 0;
}

void init_main(struct child *c, int payload, int gate)
{
	struct init i = { .control = c->control, .launcher = c->launcher, .payload = payload,
			  .alone = c->plan->clone_flags & U_CLONE_NEWPID, .follow = c->plan->die_with_launcher, .plan = c->plan };

	if (set_up(c, &i, gate) < 0) {
		child_report(c);
		end_all(&i);
	}
	/* Everything is in place: the program's process, which waits at the gate, goes on. */
	if (sys_write(gate, "", 1) != 1)
		end_all(&i);
	sys_close(gate);
	sys_close(c->status);
	for (;;) {
		struct pollfd p[3] = { { i.signals, POLLIN, 0 }, { i.control, POLLIN, 0 }, { i.launcher, POLLIN, 0 } };
		long r = SYS5(SYS_ppoll, p, 3, NULL, NULL, 0);
		if (r < 0 && r != -EINTR)
			end_all(&i);
		if (p[0].revents) {
			char drain[1024];
			while (sys_read(i.signals, drain, sizeof drain) > 0)
				continue;
			on_children(&i);
		}
		if (p[1].revents)
			on_control(&i);
		if (p[2].revents && i.follow)
			end_all(&i);
	}
}

/* In a terminal the program leads a job in init's session: so it can be stopped and continued. */
static int payload_session(struct child *c)
{
	int pgrp, r;

	if (c->plan->shared_session)
		return 0;
	r = sys_setpgid(0, 0);
	if (c->pty_slave < 0)
		return r < 0 ? child_fail(c, NULL, ERR_PTY, r, "setpgid", "the program's job") : 0;
	pgrp = (int)SYS0(SYS_getpid);
	if (r >= 0)
		r = sys_ioctl(c->pty_slave, TIOCSPGRP, &pgrp);
	sys_close(c->pty_slave);
	return r < 0 ? child_fail(c, NULL, ERR_PTY, r, "ioctl TIOCSPGRP", "the program's job") : 0;
}

/* Init says when it is ready to follow the program; its end means abort. */
static int wait_at_gate(struct child *c, const struct op *op, const int gate[2])
{
	char byte;
	long n;

	sys_close(gate[1]);
	do
		n = sys_read(gate[0], &byte, 1);
	while (n == -EINTR);
	child_release(c, gate[0]);
	return n == 1 ? 0 : child_fail(c, op, ERR_LAUNCH_HANDSHAKE, n < 0 ? (int)n : 0, "read", "init");
}

static int split(struct child *c, const struct op *op)
{
	int pid;

	/* Before the fork, or a fast program could look into init before it is closed. Exec makes the program's
	 * own process dumpable again; its words are copies in the plan. */
	if (c->plan->mode == PLAN_RUN)
		clear_words(c);
	pid = sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (pid < 0)
		return child_fail(c, op, ERR_LAUNCH_PREPARE, pid, "prctl PR_SET_DUMPABLE", "init");
	if (c->plan->policy->no_new_privs && (pid = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) < 0)
		return child_fail(c, op, ERR_CREDS_NNP, pid, "prctl PR_SET_NO_NEW_PRIVS", "init");
	/* The launching thread may end before its process: from here on init follows the process itself. */
	if (c->launcher >= 0 && (pid = sys_prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)) < 0)
		return child_fail(c, op, ERR_CREDS_DEATH, pid, "prctl PR_SET_PDEATHSIG", "init");
	int gate[2], r = sys_pipe2(gate, O_CLOEXEC);
	if (r < 0)
		return child_fail(c, op, ERR_LAUNCH_PREPARE, r, "pipe2", "init");
	child_note_cost(c);
	pid = c->fork ? c->fork() : (int)SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return child_fail(c, op, ERR_LAUNCH_CLONE, pid, "clone", "the program's process");
	if (pid > 0)
		init_main(c, pid, gate[1]);
	/* If init goes, so does the program; a pid namespace sees to it as well. */
	r = sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (r < 0)
		return child_fail(c, op, ERR_CREDS_DEATH, r, "prctl", NULL);
	return wait_at_gate(c, op, gate) < 0 ? -1 : payload_session(c);
}

int child_op_INIT(struct child *c, const struct op *op)
{
	return split(c, op);
}

int child_op_SUBREAPER(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);

	return r < 0 ? child_fail(c, op, ERR_LAUNCH_PREPARE, r, "prctl PR_SET_CHILD_SUBREAPER", NULL) : split(c, op);
}
