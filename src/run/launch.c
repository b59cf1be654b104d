/* The launcher: prepares, clones, maps ids, says go, and waits for the word that the program's exec went well.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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
	int control[2], status[2], relay[2], output[3][2];
	bool born;               /* in its cgroup of version 2 */
	int *slots;
	int *held;               /* copies of what the key fd names, in its order */
	int *keep;
	size_t keep_count;
	int launcher;
	struct rlimit files;     /* the caller's, where it was raised for the sources */
	bool files_raised;
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

#define FEW_SLOTS 100

/* Thousands of sources that the launcher opens itself need as many descriptors, until the child has attached them.
 * The caller's limit comes back right after, the program gets it as well. */
static int make_room(struct launch *l)
{
	struct rlimit wanted;
	size_t need = l->plan->opened_count + l->plan->policy->fd_count + 256;

	if (l->plan->opened_count < FEW_SLOTS || getrlimit(RLIMIT_NOFILE, &l->files) < 0 || l->files.rlim_cur >= need)
		return 0;
	wanted = (struct rlimit){ need, l->files.rlim_max < need ? need : l->files.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &wanted) < 0) {
		error_set(l->error, ERR_LAUNCH_PREPARE, errno, "setrlimit", "RLIMIT_NOFILE", NULL);
		return error_detail(l->error, "%zu sources need a descriptor each for a moment", l->plan->opened_count);
	}
	l->files_raised = true;
	return 0;
}

static int open_slots(struct launch *l)
{
	const struct plan *p = l->plan;
	struct mapper m = { 0 };
	int r = make_room(l);

	for (size_t i = 0; i < p->opened_count && r == 0; i++) {
		l->slots[i] = source_open(&m, &p->opened[i], l->run->allocated_id, l->error);
		r = l->slots[i] < 0 ? -1 : 0;
	}
	mapper_done(&m);
	return r;
}

static int open_channels(struct launch *l)
{
	int pair[2];

	if (output_open(l->run, l->output, l->error) < 0)
		return -1;
	l->run->stdin_from = l->run->stdin_own = fds_input(l->plan->policy, l->held);
	if (l->plan->die_with_launcher && l->plan->need_init) {
		l->launcher = sys_pidfd_open(getpid(), 0);
		if (l->launcher < 0 && l->launcher != -ENOSYS && l->launcher != -EPERM) {
			errno = -l->launcher;
			return prepare_error(l, "pidfd_open");
		}
	}
	if ((l->plan->relay_stdin || l->run->stdin_own >= 0) && pipe2(l->relay, O_CLOEXEC) < 0)
		return prepare_error(l, "pipe2");
	if (l->run->stdin_own >= 0) {
		l->held[0] = l->relay[0];
		l->relay[0] = -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return prepare_error(l, "socketpair");
	l->control[0] = pair[1];
	l->control[1] = pair[0];
	return 0;
}

/* Where the first process inside is born, -1 = nowhere special. In a joined user namespace the right to it is lost. */
static int birth(const struct launch *l)
{
	return l->plan->joins || !l->host->clone3 ? -1 : cgroup_birth(l->run);
}

static void collect_keep(struct launch *l)
{
	const struct policy *p = l->plan->policy;

	l->keep_count = 0;
	for (size_t i = 0; i < p->fd_count; i++)
		l->keep[l->keep_count++] = l->plan->mode == PLAN_RUN ? l->held[i] : p->fds[i];
	for (size_t i = 0; i < p->rule_count; i++) {
		if (p->rules[i].kind == RULE_FILE_FD)
			l->keep[l->keep_count++] = p->rules[i].fd;
	}
	for (size_t i = 0; i < l->plan->opened_count; i++)
		l->keep[l->keep_count++] = l->slots[i];
	int own[] = { l->control[1], l->status[1], l->launcher, l->relay[0], l->run->id_lock, l->output[1][1], l->output[2][1], l->run->cow, birth(l) };
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
static int stand_aside(struct launch *l)
{
	int *own[] = { &l->control[1], &l->status[1], &l->launcher, &l->relay[0], &l->run->id_lock, &l->output[1][1], &l->output[2][1], &l->run->cow };
	const struct plan *p = l->plan;
	int r = 0;

	for (size_t i = 0; i < COUNT_OF(own) && r == 0; i++)
		r = fds_aside(p->policy, own[i]);
	for (size_t i = 0; i < RUN_CGROUPS && r == 0; i++)
		r = fds_aside(p->policy, &l->run->cgroups[i].fd);
	for (size_t i = 0; i < p->opened_count && r == 0; i++)
		r = fds_aside(p->policy, &l->slots[i]);
	for (size_t i = 0; i < p->policy->fd_count && r == 0; i++)
		r = fds_aside(p->policy, &l->held[i]);
	return r < 0 ? prepare_error(l, "fcntl") : 0;
}

static int prepare(struct launch *l)
{
	const struct plan *p = l->plan;

	l->slots = calloc(p->opened_count + 1, sizeof *l->slots);
	l->keep = calloc(p->opened_count + p->policy->fd_count + p->policy->rule_count + 10, sizeof *l->keep);
	l->held = calloc(p->policy->fd_count + 1, sizeof *l->held);
	if (l->slots)
		memset(l->slots, -1, (p->opened_count + 1) * sizeof *l->slots);
	if (l->held)
		memset(l->held, -1, (p->policy->fd_count + 1) * sizeof *l->held);
	if (!l->slots || !l->keep || !l->held)
		return error_nomem(l->error);
	if (fds_unchanged(p, l->host, l->error) < 0 || fds_hold(p, l->run, l->held, l->error) < 0)
		return -1;
	/* In this order the descriptors that the child keeps lie side by side: fewer gaps to close there and in init. */
	if (pipe2(l->status, O_CLOEXEC) < 0)
		return prepare_error(l, "pipe2");
	if (p->allocate_id && (l->run->id_lock = id_allocate(&l->run->allocated_id, l->error)) < 0)
		return -1;
	if (entry_reserve(l->run, l->error) < 0)
		return -1;
	if (p->cow.used && cow_prepare(p, l->run, l->error) < 0)
		return -1;
	if (open_channels(l) < 0 || open_slots(l) < 0 || cgroup_make(l->run, l->error) < 0 || stand_aside(l) < 0)
		return -1;
	collect_keep(l);
	return 0;
}

static int new_process(struct launch *l)
{
	struct u_clone_args a = {
		.flags = (l->two_steps ? 0 : l->plan->clone_flags | U_CLONE_PIDFD) | (l->plan->mode == PLAN_RUN ? U_CLONE_CLEAR_SIGHAND : 0), .exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)&l->run->pidfd,
	};
	int pid;

	/* Born in its cgroup: moving a process there waits for an RCU grace period, milliseconds. */
	if (l->born) {
		a.flags |= U_CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)l->child.birth;
	}
	pid = sys_clone3(&a);

	/* Filtered, or before 5.5, and planned so: the old call takes the same flags but one, and that one the plan
	 * leaves to unshare. Where the plan counts on clone3, a refusal is a refusal: no namespace goes missing. Handlers can't run meanwhile: every signal is blocked until exec, which resets them. */
	if ((pid == -ENOSYS || pid == -EPERM) && !l->host->clone3)
		pid = (int)SYS5(SYS_clone, (a.flags & 0xffffff00ull & ~(U_CLONE_CLEAR_SIGHAND | U_CLONE_PIDFD)) | SIGCHLD, 0, 0, 0, 0);
	return pid;
}

/* Where the kernel finds this process's words and environment: fields 48-51 of proc(5)'s stat; 22 is its start, for r if given. */
int parse_words(char *text, struct child *c, struct hutch_run *r)
{
	char *at = strrchr(text, ')'); /* the name may hold anything */
	unsigned long field[4];

	if (r)
		r->launcher = (pid_t)strtol(text, NULL, 10);
	for (int i = 2; at && i < 48; i++) {
		at = strchr(at + 1, ' ');
		if (at && r && i == 21)
			r->launcher_start = strtoull(at, NULL, 10);
	}
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
	int fd = sys_openat(AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	int saved = fd < 0 ? -fd : errno;

	if (fd >= 0)
		close(fd);
	/* Without /proc here there is none inside either, and nobody to read them. */
	if (n <= 0 && !l->host->proc_mounted)
		return 0;
	text[n > 0 ? n : 0] = 0;
	if (n > 0 && parse_words(text, &l->child, l->run) == 0)
		return 0;
	return error_set(l->error, ERR_LAUNCH_PREPARE, n < 0 ? saved : EPROTO, fd < 0 ? "open" : "read", "/proc/self/stat", NULL);
}

/* The C library must know of the process that goes on with it: its locks, its thread's id, handlers of pthread_atfork. */
static int fork_program(void)
{
	pid_t pid = fork();

	return pid < 0 ? -errno : pid;
}

static int clone_error(struct launch *l, int errnum)
{
	if (l->born && (errnum == EACCES || errnum == EOPNOTSUPP || errnum == EBUSY))
		return error_set(l->error, ERR_CGROUP_JOIN, errnum, "clone3", l->run->cgroups[0].path, l->plan->policy->origin[KEY_CGROUP_PARENT]);
	return error_set(l->error, ERR_LAUNCH_CLONE, errnum, "clone3", "user and other namespaces", l->plan->policy->origin[KEY_USERNS]);
}

static int start(struct launch *l)
{
	sigset_t all, old;
	int pid;

	l->child = (struct child){
		.plan = l->plan, .control = l->control[1], .status = l->status[1], .slots = l->slots, .held = l->held, .keep = l->keep,
		.keep_count = l->keep_count, .allocated_id = l->plan->allocate_id ? &l->run->allocated_id : NULL,
		.stdin_fd = l->plan->relay_stdin ? l->relay[0] : -1, .pty_slave = -1, .landlock = -1,
		.fork = l->plan->mode == PLAN_ENTER ? fork_program : NULL,
		.files = l->files_raised ? &l->files : NULL, .launcher = l->launcher, .id_lock = l->run->id_lock, .error = &l->child_error,
		.cow_dir = l->run->cow, .store = -1, .store_mount = -1,
		.output = { -1, l->output[1][1], l->output[2][1] }, .birth = birth(l),
	};
	l->born = l->child.birth >= 0;
	if (find_words(l) < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = l->plan->mode == PLAN_RUN ? helper_start(&l->child, l->host) : 0;
	l->two_steps = pid > 0 || l->plan->joins;
	if (pid == 0)
		pid = new_process(l);
	if (pid == 0 && l->plan->mode == PLAN_RUN)
		child_main(&l->child);
	if (pid == 0) {
		/* Its own copy of the launcher's end would keep the socket open after the launcher's death. */
		sys_close(l->control[0]);
		child_enter(&l->child);
		return 1; /* the caller of all this unblocks its signals */
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return clone_error(l, -pid);
	l->run->pid = pid;
	close_fd(&l->control[1]);
	close_fd(&l->status[1]);
	close_fd(&l->relay[0]);
	close_fd(&l->output[1][1]);
	close_fd(&l->output[2][1]);
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
	/* As much as READY has; of an error the rest is behind it. */
	union { struct status_ready ready; struct { uint32_t tag; struct hutch_error error; } failed; char bytes[sizeof(uint32_t) + sizeof(struct hutch_error)]; } m = { { 0, 0 } };
	const size_t first = sizeof m.ready, rest = sizeof m.failed - first;
	ssize_t n;

	do
		n = read(l->status[0], &m.ready, first);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return *ready ? 1 : silent_end(l, 0);
	if (n == (ssize_t)first && m.ready.tag == STATUS_READY && !*ready) {
		l->run->report.setup_cpu_us = m.ready.cost_us;
		*ready = true;
		return 0;
	}
	if (n != (ssize_t)first || m.ready.tag != STATUS_ERROR || read(l->status[0], m.bytes + first, rest) != (ssize_t)rest)
		return silent_end(l, -EPROTO);
	if (l->error)
		*l->error = m.failed.error;
	return -1;
}

/* The first of the two processes gave up. It knows no cgroup's name. */
static int not_joined(struct launch *l)
{
	bool ready = false;

	if (read_status(l, &ready) == 0)
		return silent_end(l, -EPROTO);
	return l->error && l->error->id == ERR_LAUNCH_CLONE && !l->plan->joins ? clone_error(l, l->error->errnum) : -1;
}

/* The first process after joining: a sibling of the one that joined, and ours to reap as well. */
static int take_joined(struct launch *l)
{
	struct message m;
	struct pollfd p[2] = { { l->control[0], POLLIN, 0 }, { l->status[0], POLLIN, 0 } };
	int r;

	if (!l->two_steps)
		return 0;
	do
		r = poll(p, 2, SETUP_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return silent_end(l, r < 0 ? -errno : -ETIMEDOUT);
	if (!(p[0].revents & POLLIN))
		return not_joined(l);
	r = sync_receive(l->control[0], &m, &l->run->pidfd, 0);
	if (r != 1 || m.type != MSG_PID || m.a <= 0)
		return p[1].revents & POLLIN ? not_joined(l) : silent_end(l, r < 0 ? r : 0);
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

static bool wants_store(const struct launch *l)
{
	return l->plan->cow.used && l->run->cow < 0;
}

/* What the child hands over before the program starts: where changes go, the terminal's master, the filter's listener. */
static int take_descriptor(struct launch *l)
{
	struct message m;
	int fd, r = sync_receive(l->control[0], &m, &fd, 0);

	if (r == 1 && m.type == MSG_STORE && fd >= 0 && wants_store(l)) {
		l->run->cow = fd;
		return 0;
	}
	if (r == 1 && m.type == MSG_PTY)
		return take_terminal(l, fd);
	if (r == 1 && m.type == MSG_LISTENER && l->plan->listen && l->run->listener < 0 && fd >= 0) {
		l->run->listener = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return silent_end(l, r < 0 ? r : 0);
}

static int wait_for_exec(struct launch *l)
{
	int64_t deadline = clock_us() + SETUP_DEADLINE_MS * 1000LL;
	bool ready = false;

	for (;;) {
		bool more = (l->plan->private_tty && !l->run->have_tty) || (l->plan->listen && l->run->listener < 0) || wants_store(l);
		struct pollfd p[2] = { { l->status[0], POLLIN, 0 }, { more ? l->control[0] : -1, POLLIN, 0 } };
		int64_t left = deadline - clock_us();
		int n = poll(p, 2, left > 0 ? (int)(left / 1000) : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return silent_end(l, n < 0 ? -errno : -ETIMEDOUT);
		if ((p[1].revents & POLLIN) && take_descriptor(l) < 0)
			return -1;
		if (p[0].revents) {
			int r = read_status(l, &ready);
			if (r < 0)
				return -1;
			/* Both were sent before the program's start. */
			if (r && l->plan->listen && l->run->listener < 0)
				return take_descriptor(l);
			if (r)
				return 0;
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
	/* Before the word to go on: nothing of it may run outside of its limits. */
	if (cgroup_join(r, r->pid, l->born, l->error) < 0 || cgroup_scope(r, l->host, r->pid, l->error) < 0)
		return -1;
	if (watch_start(r, l->error) < 0)
		return -1;
	if (idmap_write(l->plan, l->host, r->pid, r->allocated_id, l->error) < 0)
		return -1;
	if (entry_fill(r, l->error) < 0)
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
	close_fd(&r->cow);
	close_fd(&r->id_lock);
	close_fd(&r->listener);
	watch_stop(r);
	output_done(r);
	cgroup_remove(r);
	entry_remove(r);
}

static void clear_run(struct hutch_run *r, const struct plan *p)
{
	r->plan = p;
	r->pidfd = r->control = r->cow = r->id_lock = r->stdin_from = r->stdin_own = r->stdin_to = r->listener = r->watch.timer = r->leaf.fd = r->scope.hold = r->entry.dir = r->entry.fd = -1;
	for (size_t i = 0; i < RUN_CGROUPS; i++)
		r->cgroups[i].fd = -1;
	for (size_t i = 0; i < COUNT_OF(r->output); i++)
		r->output[i] = (struct output){ .from = -1, .to = -1 };
	report_clear(&r->report);
	r->started_us = clock_us();
}

int run_launch(const struct plan *p, const struct host *h, struct hutch_run *r, struct hutch_error *e)
{
	struct launch l = {
		.plan = p, .host = h, .run = r, .error = e, .control = { -1, -1 }, .status = { -1, -1 }, .relay = { -1, -1 }, .launcher = -1,
		.output = { { -1, -1 }, { -1, -1 }, { -1, -1 } },
	};
	int result;

	clear_run(r, p);
	result = prepare(&l);
	if (result == 0)
		result = start(&l);
	if (result == 1) {
		free(l.held);
		free(l.slots);
		free(l.keep);
		return 1; /* the program that goes on, inside */
	}
	if (result == 0)
		result = converse(&l);
	if (result == 0)
		result = entry_running(r, e);
	if (result < 0)
		end_failed(&l);
	for (size_t i = 0; l.slots && i < p->opened_count; i++)
		close_fd(&l.slots[i]);
	for (size_t i = 0; l.held && i < p->policy->fd_count; i++)
		close_fd(&l.held[i]);
	free(l.held);
	free(l.slots);
	free(l.keep);
	if (l.files_raised)
		setrlimit(RLIMIT_NOFILE, &l.files);
	close_fd(&l.control[1]);
	close_fd(&l.status[0]);
	close_fd(&l.status[1]);
	close_fd(&l.relay[0]);
	close_fd(&l.launcher);
	for (int i = 1; i < 3; i++) {
		close_fd(&l.output[i][0]);
		close_fd(&l.output[i][1]);
	}
	if (result < 0) {
		close_fd(&l.relay[1]);
		close_fd(&r->stdin_own);
		return -1;
	}
	r->control = l.control[0];
	r->exec_us = clock_us();
	watch_run(r);
	if (l.relay[1] >= 0) {
		r->stdin_to = l.relay[1];
		r->stdin_from = r->stdin_own >= 0 ? r->stdin_own : 0;
		fcntl(r->stdin_to, F_SETFL, O_NONBLOCK);
	}
	return 0;
}
