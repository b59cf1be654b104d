/* A confined worker that is called through a channel, and started again after it failed.
 * Runs in: parent. */
#include <hutch/channel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lib.h"

struct hutch_worker {
	const hutch_plan *plan;
	struct hutch_worker_options options;
	hutch_run *run;
	hutch_channel *channel;
	struct hutch_report report;
	unsigned starts;
	int64_t *started_us;  /* ring of the last starts_max starts */
};

int hutch_worker_new(const hutch_plan *plan, const struct hutch_worker_options *options, hutch_worker **out, struct hutch_error *e)
{
	hutch_worker *w = calloc(1, sizeof *w);

	*out = NULL;
	if (!w)
		return error_nomem(e);
	w->plan = plan;
	if (options)
		w->options = *options;
	w->options.limits.frame_max = w->options.limits.frame_max ? w->options.limits.frame_max : 65536;
	w->options.inside = w->options.inside ? w->options.inside : 3;
	w->options.starts_max = w->options.starts_max ? w->options.starts_max : 8;
	w->options.window_ms = w->options.window_ms ? w->options.window_ms : 10000;
	w->started_us = calloc(w->options.starts_max, sizeof *w->started_us);
	if (!w->started_us) {
		free(w);
		return error_nomem(e);
	}
	*out = w;
	return 0;
}

#define RUN_FDS 16 /* more than a run polls */

/* Has it ended? Looks, doesn't wait. */
static bool ended(hutch_worker *w)
{
	struct pollfd p[RUN_FDS];
	int n = hutch_run_pollfds(w->run, p, (int)COUNT_OF(p));

	return poll(p, (nfds_t)n, 0) > 0 && hutch_run_step(w->run, p, n, NULL) == 1;
}

void hutch_worker_stop(hutch_worker *w)
{
	if (!w->run)
		return;
	hutch_run_kill(w->run, NULL);
	if (hutch_run_wait(w->run, &w->report, NULL) < 0)
		w->report = (struct hutch_report){ .end = HUTCH_END_KILLED, .signal = 9 };
	hutch_run_free(w->run);
	hutch_channel_free(w->channel);
	w->run = NULL;
	w->channel = NULL;
}

int hutch_worker_start(hutch_worker *w, struct hutch_error *e)
{
	int64_t now = clock_us(), *oldest;

	if (w->run && !ended(w))
		return 0;
	hutch_worker_stop(w);
	oldest = &w->started_us[w->starts % w->options.starts_max];
	if (w->starts >= w->options.starts_max && now - *oldest < w->options.window_ms * INT64_C(1000)) {
		error_set(e, ERR_WORKER_STARTS, 0, NULL, NULL, "api");
		return error_detail(e, "%u starts within %u ms", w->options.starts_max, w->options.window_ms);
	}
	*oldest = now;
	w->starts++;
	return hutch_channel_spawn(w->plan, w->options.inside, &w->options.limits, &w->run, &w->channel, e);
}

static void describe_end(const struct hutch_report *r, struct hutch_error *e)
{
	if (r->end == HUTCH_END_EXITED)
		error_detail(e, "it exited with status %d", r->exit_code);
	else if (r->end == HUTCH_END_SIGNALLED || r->end == HUTCH_END_KILLED)
		error_detail(e, "it was ended by signal %d", r->signal);
	else
		error_detail(e, "it was ended: %s", hutch_end_name(r->end));
}

/* The worker's end shows first as a closed channel; how it ended follows in a moment, by itself or by force. */
static int failed(hutch_worker *w, struct hutch_error *e)
{
	bool gone = e->id == ERR_CHANNEL_CLOSED;
	struct pollfd p[RUN_FDS];

	for (int tries = 0; gone && tries < 20 && !ended(w); tries++) {
		int n = hutch_run_pollfds(w->run, p, (int)COUNT_OF(p));
		poll(p, (nfds_t)n, 10);
	}
	hutch_worker_stop(w);
	if (gone) {
		error_set(e, ERR_WORKER_ENDED, 0, NULL, NULL, "worker");
		describe_end(&w->report, e);
	}
	return -1;
}

static int too_slow(hutch_worker *w, int timeout_ms, struct hutch_error *e)
{
	error_set(e, ERR_CHANNEL_DEADLINE, ETIMEDOUT, NULL, NULL, "api");
	error_detail(e, "no answer within %d ms", timeout_ms);
	return failed(w, e);
}

/* Waits for the channel, and meanwhile does what a run needs of its launcher: limits of time and memory, output that is
 * passed on, denied calls. Its end shows at the channel. False: the time is up. */
static bool attend(hutch_worker *w, short events, int64_t end_us)
{
	struct pollfd p[1 + RUN_FDS];
	int64_t left = end_us < 0 ? -1 : end_us - clock_us();
	int again = hutch_channel_poll(w->channel, p), n = hutch_run_pollfds(w->run, p + 1, RUN_FDS);
	int ms = end_us < 0 ? -1 : (int)(left / 1000) + 1;

	if (end_us >= 0 && left <= 0)
		return false;
	p[0].events = events;
	if (poll(p, (nfds_t)n + 1, again >= 0 && (ms < 0 || again < ms) ? again : ms) > 0)
		hutch_run_step(w->run, p + 1, n, NULL);
	return true;
}

static int exchange(hutch_worker *w, uint32_t tag, const void *data, size_t len, const int *fds, unsigned fd_count,
		    struct hutch_frame *reply, int64_t end_us, struct hutch_error *e)
{
	int r;

	while ((r = hutch_channel_send(w->channel, tag, data, len, fds, fd_count, e)) == 0) {
		if (!attend(w, POLLOUT, end_us))
			return 0;
	}
	if (r < 0)
		return r;
	while ((r = hutch_channel_receive(w->channel, reply, e)) == 0) {
		if (!attend(w, POLLIN, end_us))
			return 0;
	}
	return r;
}

int hutch_worker_call(hutch_worker *w, uint32_t tag, const void *data, size_t len, const int *fds, unsigned fd_count,
		      struct hutch_frame *reply, int timeout_ms, struct hutch_error *e)
{
	int64_t end_us = timeout_ms < 0 ? -1 : clock_us() + timeout_ms * INT64_C(1000);
	struct hutch_error own;
	int r;

	if (!e)
		e = &own;
	reply->len = 0;
	reply->fd_count = 0;
	/* What the caller did wrong is no reason to end the worker. */
	if (hutch_worker_start(w, e) < 0)
		return -1;
	if (len > w->options.limits.frame_max || fd_count > HUTCH_FRAME_FDS || reply->size < w->options.limits.frame_max)
		return error_set(e, ERR_CHANNEL_SEND, EMSGSIZE, NULL, "the call", "api");
	r = exchange(w, tag, data, len, fds, fd_count, reply, end_us, e);
	if (r == 0)
		return too_slow(w, timeout_ms, e);
	if (r == 2)
		error_set(e, ERR_CHANNEL_CLOSED, EPIPE, NULL, NULL, "api");
	return r == 1 ? 1 : failed(w, e);
}

hutch_channel *hutch_worker_channel(hutch_worker *w)
{
	return w->channel;
}

hutch_run *hutch_worker_run(hutch_worker *w)
{
	return w->run;
}

void hutch_worker_report(const hutch_worker *w, struct hutch_report *out)
{
	*out = w->report;
}

unsigned hutch_worker_starts(const hutch_worker *w)
{
	return w->starts;
}

void hutch_worker_free(hutch_worker *w)
{
	if (!w)
		return;
	hutch_worker_stop(w);
	free(w->started_us);
	free(w);
}
