/* Standard output and error by way of the launcher: counted, capped, to files or passed on.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/run.h"
#include "run/tty.h"

#define BUFFER_SIZE 65536
/* A descriptor that polls as writable takes this much without blocking, even where it is in blocking mode (PIPE_BUF). */
#define CHUNK 4096

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Links there are no program's: /dev/stdout. Elsewhere one may have been left to have us empty another file. */
static bool systems_own(const char *path)
{
	return !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/dev/std", 8) || !strncmp(path, "/proc/", 6);
}

static int open_target(struct hutch_run *r, int i, struct hutch_error *e)
{
	const char *path = r->plan->output_file[i], *first = r->plan->output_file[1];
	struct output *o = &r->output[i];

	if (!path) {
		o->to = i;
		return 0;
	}
	o->own = true;
	if (i == 2 && first && !strcmp(path, first))
		o->to = fcntl(r->output[1].to, F_DUPFD_CLOEXEC, 3);
	else
		o->to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC | O_NONBLOCK | (systems_own(path) ? 0 : O_NOFOLLOW), 0666);
	if (o->to < 0 && errno == ELOOP) {
		error_set(e, ERR_OUTPUT_FILE, ELOOP, "open", path, r->plan->policy->origin[i == 1 ? KEY_STDOUT : KEY_STDERR]);
		return error_detail(e, "it is a symbolic link, which an earlier run may have put there: name its target");
	}
	if (o->to < 0)
		return error_set(e, ERR_OUTPUT_FILE, errno, "open", path, r->plan->policy->origin[i == 1 ? KEY_STDOUT : KEY_STDERR]);
	return 0;
}

/* Never 0-2: the child puts its own things there. */
static int above_stdio(int *fd)
{
	int high = *fd > 2 ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, 3);

	if (high != *fd)
		close(*fd);
	*fd = high;
	return high < 0 ? -1 : 0;
}

int output_open(struct hutch_run *r, int pipes[3][2], struct hutch_error *e)
{
	for (int i = 1; i < 3; i++) {
		if (!r->plan->relay_output[i])
			continue;
		if (open_target(r, i, e) < 0)
			return -1;
		r->output[i].buffer = malloc(BUFFER_SIZE);
		if (!r->output[i].buffer)
			return error_nomem(e);
		if (pipe2(pipes[i], O_CLOEXEC) < 0 || above_stdio(&pipes[i][0]) < 0 || above_stdio(&pipes[i][1]) < 0 ||
		    fcntl(pipes[i][0], F_SETFL, O_NONBLOCK) < 0)
			return error_set(e, ERR_LAUNCH_PREPARE, errno, "pipe2", NULL, NULL);
		r->output[i].from = pipes[i][0];
		pipes[i][0] = -1;
	}
	return 0;
}

bool output_pending(const struct hutch_run *r)
{
	return r->output[1].from >= 0 || r->output[2].from >= 0;
}

int output_pollfds(const struct hutch_run *r, struct pollfd *fds)
{
	for (int i = 1; i < 3; i++) {
		const struct output *o = &r->output[i];
		bool full = o->off < o->len;
		fds[i - 1] = (struct pollfd){ o->from < 0 ? -1 : full ? o->to : o->from, full ? POLLOUT : POLLIN, 0 };
	}
	return 2;
}

static void finish(struct output *o)
{
	close_fd(&o->from); /* the program's next write gets SIGPIPE, as from any pipe that nobody reads */
	if (o->own)
		close_fd(&o->to);
	o->len = o->off = 0;
}

static void pass_on(struct output *o)
{
	size_t left = o->len - o->off;
	ssize_t n = write_quietly(o->to, o->buffer + o->off, left < CHUNK ? left : CHUNK);

	if (n > 0)
		o->off += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		finish(o);
}

/* True when the limit was passed. What is beyond it goes nowhere. */
static bool take(struct hutch_run *r, struct output *o)
{
	const struct plan_limits *l = &r->plan->limits;
	ssize_t n = read(o->from, o->buffer, BUFFER_SIZE);
	uint64_t room = l->output_limited ? l->output_max - (o->count < l->output_max ? o->count : l->output_max) : UINT64_MAX;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		/* All of the run is gone: whoever else may hold the other end (it was sent away) isn't waited for. */
		if (r->reaped)
			finish(o);
		return false;
	}
	if (n <= 0) {
		finish(o);
		return false;
	}
	o->count += (uint64_t)n;
	o->off = 0;
	o->len = (uint64_t)n < room ? (size_t)n : (size_t)room;
	return (uint64_t)n > room;
}

void output_step(struct hutch_run *r, const struct pollfd *fds)
{
	for (int i = 1; i < 3; i++) {
		struct output *o = &r->output[i];
		if (o->from < 0 || (!fds[i - 1].revents && !r->reaped))
			continue;
		if (o->off < o->len) {
			if (fds[i - 1].revents)
				pass_on(o);
		} else if (take(r, o)) {
			watch_end(r, HUTCH_END_OUTPUT);
		}
	}
}

void output_done(struct hutch_run *r)
{
	for (int i = 1; i < 3; i++) {
		finish(&r->output[i]);
		free(r->output[i].buffer);
		r->output[i].buffer = NULL;
	}
}
