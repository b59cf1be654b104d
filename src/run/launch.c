/* The launcher: prepares, clones, maps ids, says go, and waits for the word that the program's exec went well.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/child.h"
#include "run/helper.h"
#include "run/run.h"
#include "run/sync.h"
#include "sys/sys.h"

struct launch {
	const struct plan *plan;
	const struct host *host;
	struct hutch_run *run;
	struct hutch_error *error;
	int control[2], status[2], relay[2];
	int *slots;
	int *held;               /* copies of what the key fd names, in its order */
	int *keep;
	size_t keep_count;
	int launcher;
	bool two_steps;          /* the process that goes on is a sibling of the first */
	struct child child;
	struct hutch_error child_error;
};

int64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int prepare_error(struct launch *l, const char *call)
{
	return error_set(l->error, ERR_LAUNCH_PREPARE, errno, call, NULL, NULL);
}

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int open_slots(struct launch *l)
{
	const struct plan *p = l->plan;

	for (size_t i = 0; i < p->opened_count; i++) {
		l->slots[i] = source_open(&p->opened[i], l->run->allocated_id, l->error);
		if (l->slots[i] < 0)
			return -1;
	}
	return 0;
}

static int open_channels(struct launch *l)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->control) < 0)
		return prepare_error(l, "socketpair");
	if (pipe2(l->status, O_CLOEXEC) < 0)
		return prepare_error(l, "pipe2");
	l->run->stdin_from = l->run->stdin_own = fds_input(l->plan->policy, l->held);
	if ((l->plan->relay_stdin || l->run->stdin_own >= 0) && pipe2(l->relay, O_CLOEXEC) < 0)
		return prepare_error(l, "pipe2");
	if (l->run->stdin_own >= 0) {
		l->held[0] = l->relay[0];
		l->relay[0] = -1;
	}
	if (l->plan->die_with_launcher && l->plan->need_init) {
		l->launcher = sys_pidfd_open(getpid(), 0);
		if (l->launcher < 0 && l->launcher != -ENOSYS && l->launcher != -EPERM) {
			errno = -l->launcher;
			return prepare_error(l, "pidfd_open");
		}
	}
	return 0;
}

static void collect_keep(struct launch *l)
{
	const struct policy *p = l->plan->policy;

	l->keep_count = 0;
	for (size_t i = 0; i < p->fd_count; i++)
		l->keep[l->keep_count++] = l->held[i];
	for (size_t i = 0; i < p->rule_count; i++) {
		if (p->rules[i].kind == RULE_FILE_FD)
			l->keep[l->keep_count++] = p->rules[i].fd;
	}
	for (size_t i = 0; i < l->plan->opened_count; i++)
		l->keep[l->keep_count++] = l->slots[i];
	int own[] = { l->control[1], l->status[1], l->launcher, l->relay[0], l->run->id_lock };
	for (size_t i = 0; i < COUNT_OF(own); i++) {
		if (own[i] > 2)
			l->keep[l->keep_count++] = own[i];
	}
	qsort(l->keep, l->keep_count, sizeof *l->keep, compare_int);
	size_t unique = 0;
	for (size_t i = 0; i < l->keep_count; i++) {
		if (l->keep[i] > 2 && (!unique || l->keep[unique - 1] != l->keep[i]))
			l->keep[unique++] = l->keep[i];
	}
	l->keep_count = unique;
}

/* What the child holds on to must not have a number that a descriptor of the program's will get. */
static int make_room(struct launch *l)
{
	int *own[] = { &l->control[1], &l->status[1], &l->launcher, &l->relay[0], &l->run->id_lock };
	const struct plan *p = l->plan;

	for (size_t i = 0; i < COUNT_OF(own); i++) {
		if (fds_aside(p->policy, own[i]) < 0)
			return prepare_error(l, "fcntl");
	}
	for (size_t i = 0; i < p->opened_count; i++) {
		if (fds_aside(p->policy, &l->slots[i]) < 0)
			return prepare_error(l, "fcntl");
	}
	for (size_t i = 0; i < p->policy->fd_count; i++) {
		if (fds_aside(p->policy, &l->held[i]) < 0)
			return prepare_error(l, "fcntl");
	}
	return 0;
}

static int prepare(struct launch *l)
{
	const struct plan *p = l->plan;

	l->slots = calloc(p->opened_count + 1, sizeof *l->slots);
	l->keep = calloc(p->opened_count + p->policy->fd_count + p->policy->rule_count + 8, sizeof *l->keep);
	l->held = calloc(p->policy->fd_count + 1, sizeof *l->held);
	if (l->slots)
		memset(l->slots, -1, (p->opened_count + 1) * sizeof *l->slots);
	if (l->held)
		memset(l->held, -1, (p->policy->fd_count + 1) * sizeof *l->held);
	if (!l->slots || !l->keep || !l->held)
		return error_nomem(l->error);
	if (fds_unchanged(p->policy, l->host, l->error) < 0 || fds_hold(p->policy, l->run, l->held, l->error) < 0)
		return -1;
	if (p->allocate_id && (l->run->id_lock = id_allocate(&l->run->allocated_id, l->error)) < 0)
		return -1;
	if (open_slots(l) < 0 || open_channels(l) < 0 || make_room(l) < 0)
		return -1;
	collect_keep(l);
	return 0;
}

static int new_process(struct launch *l)
{
	struct u_clone_args a = {
		.flags = (l->two_steps ? 0 : l->plan->clone_flags | U_CLONE_PIDFD) | U_CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)&l->run->pidfd,
	};
	int pid = sys_clone3(&a);

	/* Filtered, or before 5.5, and planned so: the old call takes the same flags but one, and that one the plan
	 * leaves to unshare. Where the plan counts on clone3, a refusal is a refusal: no namespace goes missing. Handlers can't run meanwhile: every signal is blocked until exec, which resets them. */
	if ((pid == -ENOSYS || pid == -EPERM) && !l->host->clone3)
		pid = (int)SYS5(SYS_clone, (a.flags & 0xffffff00ull & ~(U_CLONE_CLEAR_SIGHAND | U_CLONE_PIDFD)) | SIGCHLD, 0, 0, 0, 0);
	return pid;
}

/* Where the kernel finds this process's words and environment: fields 48-51 of proc(5)'s stat. */
static int parse_words(char *text, struct child *c)
{
	char *at = strrchr(text, ')'); /* the name may hold anything */
	unsigned long field[4];

	for (int i = 2; at && i < 48; i++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -1;
	for (int i = 0; i < 4; i++)
		field[i] = strtoul(at, &at, 10);
	c->words.start = (char *)field[0];
	c->words.end = (char *)field[1];
	c->environment.start = (char *)field[2];
	c->environment.end = (char *)field[3];
	return 0;
}

static int find_words(struct launch *l)
{
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	/* Without /proc here there is none inside either, and nobody to read them. */
	if (n <= 0 && !l->host->proc_mounted)
		return 0;
	text[n > 0 ? n : 0] = 0;
	if (n > 0 && parse_words(text, &l->child) == 0)
		return 0;
	return error_set(l->error, ERR_LAUNCH_PREPARE, n < 0 ? saved : EPROTO, fd < 0 ? "open" : "read", "/proc/self/stat", NULL);
}

static int start(struct launch *l)
{
	sigset_t all, old;
	int pid;

	l->child = (struct child){
		.plan = l->plan, .control = l->control[1], .status = l->status[1], .slots = l->slots, .held = l->held, .keep = l->keep,
		.keep_count = l->keep_count, .allocated_id = l->plan->allocate_id ? &l->run->allocated_id : NULL,
		.stdin_fd = l->plan->relay_stdin ? l->relay[0] : -1, .pty_slave = -1, .landlock = -1,
		.launcher = l->launcher, .id_lock = l->run->id_lock, .error = &l->child_error,
	};
	if (find_words(l) < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = helper_start(&l->child, l->host);
	l->two_steps = pid > 0 || l->plan->joins;
	if (pid == 0)
		pid = new_process(l);
	if (pid == 0) {
		/* Its own copy of the launcher's end would keep the socket open after the launcher's death. */
		sys_close(l->control[0]);
		child_main(&l->child);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return error_set(l->error, ERR_LAUNCH_CLONE, -pid, "clone3", "user and other namespaces", l->plan->policy->origin[KEY_USERNS]);
	l->run->pid = pid;
	close_fd(&l->control[1]);
	close_fd(&l->status[1]);
	close_fd(&l->relay[0]);
	return 0;
}

/* How the set-up process ended, for the case that it couldn't say. */
static int silent_end(struct launch *l, int result)
{
	error_set(l->error, result == -ETIMEDOUT ? ERR_LAUNCH_TIMEOUT : ERR_LAUNCH_HANDSHAKE, result < 0 ? -result : 0, "recvmsg", NULL, NULL);
	return -1;
}

static int read_status(struct launch *l, bool *ready)
{
	struct { uint32_t tag; struct hutch_error error; } record;
	uint32_t tag = 0;
	ssize_t n;

	do
		n = read(l->status[0], &tag, sizeof tag);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return *ready ? 1 : silent_end(l, 0);
	if (n == (ssize_t)sizeof tag && tag == STATUS_READY && !*ready) {
		*ready = true;
		return 0;
	}
	if (n != (ssize_t)sizeof tag || tag != STATUS_ERROR ||
	    read(l->status[0], &record.error, sizeof record.error) != (ssize_t)sizeof record.error)
		return silent_end(l, -EPROTO);
	if (l->error)
		*l->error = record.error;
	return -1;
}

/* The first process after joining: a sibling of the one that joined, and ours to reap as well. */
static int take_joined(struct launch *l)
{
	struct message m;
	struct pollfd p[2] = { { l->control[0], POLLIN, 0 }, { l->status[0], POLLIN, 0 } };
	bool ready = false;
	int r;

	if (!l->two_steps)
		return 0;
	do
		r = poll(p, 2, SETUP_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return silent_end(l, r < 0 ? -errno : -ETIMEDOUT);
	if (!(p[0].revents & POLLIN))
		return read_status(l, &ready) < 0 ? -1 : silent_end(l, -EPROTO);
	r = sync_receive(l->control[0], &m, &l->run->pidfd, 0);
	if (r != 1 || m.type != MSG_PID || m.a <= 0) {
		if (p[1].revents & POLLIN)
			return read_status(l, &ready) < 0 ? -1 : silent_end(l, -EPROTO);
		return silent_end(l, r < 0 ? r : 0);
	}
	while (waitpid(l->run->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	l->run->pid = m.a;
	return 0;
}

static int take_terminal(struct launch *l, int master)
{
	struct hutch_run *r = l->run;
	int in = 0, out = isatty(1) ? 1 : isatty(0) ? 0 : 2;

	if (master < 0 || r->have_tty) {
		if (master >= 0)
			close(master);
		return silent_end(l, -EPROTO);
	}
	r->tty = calloc(1, sizeof *r->tty);
	if (!r->tty) {
		close(master);
		return error_nomem(l->error);
	}
	/* Input that is no terminal went in by itself: then the keyboard isn't the program's. A private terminal may
	 * be asked for without an outer one: then the ends are 0 and 1 as they are. */
	if ((!isatty(0) || policy_places(l->plan->policy, 0)) && l->plan->policy->tty == TTY_AUTO)
		in = -1;
	else if (!isatty(0))
		out = 1;
	if (tty_open(r->tty, in, out, master, l->error) < 0)
		return -1;
	r->have_tty = true;
	return 0;
}

static int wait_for_exec(struct launch *l)
{
	int64_t deadline = clock_us() + SETUP_DEADLINE_MS * 1000LL;
	bool ready = false;

	for (;;) {
		struct pollfd p[2] = { { l->status[0], POLLIN, 0 }, { l->plan->private_tty && !l->run->have_tty ? l->control[0] : -1, POLLIN, 0 } };
		int64_t left = deadline - clock_us();
		int n = poll(p, 2, left > 0 ? (int)(left / 1000) : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return silent_end(l, n < 0 ? -errno : -ETIMEDOUT);
		if (p[1].revents & POLLIN) {
			struct message m;
			int fd, r = sync_receive(l->control[0], &m, &fd, 0);
			if (r != 1 || m.type != MSG_PTY) {
				if (fd >= 0)
					close(fd);
				return silent_end(l, r < 0 ? r : 0);
			}
			if (take_terminal(l, fd) < 0)
				return -1;
		}
		if (p[0].revents) {
			int r = read_status(l, &ready);
			if (r)
				return r < 0 ? -1 : 0;
		}
	}
}

static int converse(struct launch *l)
{
	struct hutch_run *r = l->run;
	int sent;

	if (take_joined(l) < 0)
		return -1;
	if (r->pidfd < 0)
		r->pidfd = sys_pidfd_open(r->pid, 0);
	if (idmap_write(l->plan, l->host, r->pid, r->allocated_id, l->error) < 0)
		return -1;
	sent = sync_send(l->control[0], &(struct message){ .type = MSG_GO }, -1);
	/* If it is gone already, its own error on the status pipe says why. */
	if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET)
		return error_set(l->error, ERR_LAUNCH_HANDSHAKE, -sent, "sendmsg", NULL, NULL);
	return wait_for_exec(l);
}

static void end_failed(struct launch *l)
{
	struct hutch_run *r = l->run;
	struct message m;
	pid_t sibling = 0;

	/* The process that goes on after joining may be there without our having heard of it. */
	if (l->two_steps && l->run->pidfd < 0 && l->control[0] >= 0 && sync_receive(l->control[0], &m, NULL, 0) == 1 && m.type == MSG_PID)
		sibling = m.a;
	close_fd(&l->control[0]);
	if (sibling > 0 && kill(sibling, SIGKILL) == 0) {
		while (waitpid(sibling, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	/* Still a child of ours, so the number can't be another's. Where the host program lets the kernel reap
	 * (SIGCHLD ignored), waiting ends all the same when it is gone. */
	if (r->pid > 0 && waitpid(r->pid, NULL, WNOHANG) == 0) {
		kill(r->pid, SIGKILL);
		while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	if (r->have_tty)
		tty_close(r->tty);
	free(r->tty);
	r->tty = NULL;
	r->have_tty = false;
	r->pid = 0;
	r->reaped = true;
	close_fd(&r->pidfd);
	close_fd(&r->id_lock);
}

int run_launch(const struct plan *p, const struct host *h, struct hutch_run *r, struct hutch_error *e)
{
	struct launch l = {
		.plan = p, .host = h, .run = r, .error = e, .control = { -1, -1 }, .status = { -1, -1 }, .relay = { -1, -1 }, .launcher = -1,
	};
	int result;

	r->plan = p;
	r->pidfd = r->control = r->id_lock = r->stdin_from = r->stdin_own = r->stdin_to = -1;
	r->started_us = clock_us();
	result = prepare(&l);
	if (result == 0)
		result = start(&l);
	if (result == 0)
		result = converse(&l);
	if (result < 0)
		end_failed(&l);
	for (size_t i = 0; l.slots && i < p->opened_count; i++)
		close_fd(&l.slots[i]);
	for (size_t i = 0; l.held && i < p->policy->fd_count; i++)
		close_fd(&l.held[i]);
	free(l.held);
	free(l.slots);
	free(l.keep);
	close_fd(&l.control[1]);
	close_fd(&l.status[0]);
	close_fd(&l.status[1]);
	close_fd(&l.relay[0]);
	close_fd(&l.launcher);
	if (result < 0) {
		close_fd(&l.relay[1]);
		close_fd(&r->stdin_own);
		return -1;
	}
	r->control = l.control[0];
	r->exec_us = clock_us();
	if (l.relay[1] >= 0) {
		r->stdin_to = l.relay[1];
		r->stdin_from = r->stdin_own >= 0 ? r->stdin_own : 0;
		fcntl(r->stdin_to, F_SETFL, O_NONBLOCK);
	}
	return 0;
}
