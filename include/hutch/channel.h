/* Calls across the wall: frames of bytes, with descriptors, between a broker and a worker that it has confined.
 *
 * Two ends of a SOCK_SEQPACKET pair, one frame a packet: 4 bytes length of the data, 4 bytes tag (the
 * application's: a request number, a kind), both in the machine's byte order, then the data; descriptors as SCM_RIGHTS.
 * The worker needs nothing of this library to speak that: a socket and eight bytes.
 *
 * The broker takes the worker for hostile: no call here blocks unless it has a time-out, allocates by what the
 * peer says, or keeps a descriptor that wasn't allowed. What breaks a bound breaks the channel: it is closed, and
 * every later call says so. No callbacks: poll what hutch_channel_poll() fills. Data stays the peer's claim: it is
 * for the caller to judge, and memory that is shared with the peer may change while it is read.
 * An object may be used by one thread at a time, and after fork(2) by the parent alone. Functions that return int return -1 with *e filled (e may be NULL).
 * Runs in: any. */
#ifndef HUTCH_CHANNEL_H
#define HUTCH_CHANNEL_H

#include <hutch/hutch.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HUTCH_FRAME_MAX 131072u /* most data bytes of a frame; pass a descriptor for more */
#define HUTCH_FRAME_FDS 16u     /* most descriptors of a frame */

/* Kinds of descriptors that may be received; any other one breaks the channel. */
#define HUTCH_FD_FILE   1u      /* regular files, those in memory too */
#define HUTCH_FD_PIPE   2u
#define HUTCH_FD_SOCKET 4u
#define HUTCH_FD_OTHER  8u

/* What this end accepts. All zero: 64 KiB a frame, no descriptors, no limit of rate. */
struct hutch_channel_limits {
	size_t frame_max;           /* data bytes of a frame, either way; 0 = 65536 */
	unsigned fds_max;           /* descriptors of a received frame */
	unsigned fd_kinds;          /* HUTCH_FD_…; 0 = HUTCH_FD_FILE | HUTCH_FD_PIPE */
	uint32_t frames_per_second; /* received; 0 = any. Over it, frames wait in the socket and the peer blocks. */
	uint64_t bytes_per_second;
};

/* A received frame. The caller sets data and size (at least frame_max) before, and owns fds after. */
struct hutch_frame {
	void *data;
	size_t size;
	size_t len;
	uint32_t tag;
	unsigned fd_count;
	int fds[HUTCH_FRAME_FDS];   /* close-on-exec */
};
/* Closes the frame's descriptors: at once, whatever the peer has made of them. */
HUTCH_API void hutch_frame_close(struct hutch_frame *f);

typedef struct hutch_channel hutch_channel;
/* A socket pair for two ends, both close-on-exec. */
HUTCH_API int hutch_channel_pair(int ends[2], struct hutch_error *e);
/* Makes a channel of an end; it belongs to the channel then (if this fails it stays the caller's).
 * limits NULL = all zero. */
HUTCH_API int hutch_channel_open(int fd, const struct hutch_channel_limits *limits, hutch_channel **out, struct hutch_error *e);
HUTCH_API void hutch_channel_free(hutch_channel *c);
/* What to poll for frames. Returns the ms after which to try again whatever poll says (a rate is used up), -1 = never. */
HUTCH_API int hutch_channel_poll(hutch_channel *c, struct pollfd *p);
/* Sends a frame; descriptors are passed on as copies. 1 = sent, 0 = the peer doesn't read (poll for POLLOUT), -1. */
HUTCH_API int hutch_channel_send(hutch_channel *c, uint32_t tag, const void *data, size_t len,
				 const int *fds, unsigned fd_count, struct hutch_error *e);
/* 1 = a frame, 0 = none now, 2 = the peer has closed its end, -1. */
HUTCH_API int hutch_channel_receive(hutch_channel *c, struct hutch_frame *f, struct hutch_error *e);
/* hutch_channel_send, waiting: -1 ms = for ever. 0 = the time is up. */
HUTCH_API int hutch_channel_put(hutch_channel *c, uint32_t tag, const void *data, size_t len,
				const int *fds, unsigned fd_count, int timeout_ms, struct hutch_error *e);
/* hutch_channel_receive, waiting: -1 ms = for ever. 0 = the time is up. */
HUTCH_API int hutch_channel_next(hutch_channel *c, struct hutch_frame *f, int timeout_ms, struct hutch_error *e);

/* Starts the plan with the other end of a new channel as its descriptor inside, which the policy's lines "fd" must
 * name ("fd = 3"); that socket needs no fd-any-kind. */
HUTCH_API int hutch_channel_spawn(const hutch_plan *plan, int inside, const struct hutch_channel_limits *limits,
				  hutch_run **run, hutch_channel **channel, struct hutch_error *e);

/* ---- a worker that is started again when it fails ---- */
struct hutch_worker_options {
	int inside;                 /* the worker's descriptor of the channel; 0 = 3 */
	struct hutch_channel_limits limits;
	unsigned starts_max;        /* at most so many starts … 0 = 8 */
	unsigned window_ms;         /* … within this time; 0 = 10 s */
};
typedef struct hutch_worker hutch_worker;
/* The plan must outlive the worker. Starts nothing yet. */
HUTCH_API int hutch_worker_new(const hutch_plan *plan, const struct hutch_worker_options *options, hutch_worker **out, struct hutch_error *e);
/* Sees to it that one runs: 0, or -1 (it can't be started, or was started too often). */
HUTCH_API int hutch_worker_start(hutch_worker *w, struct hutch_error *e);
/* Starts one if need be, sends the frame, waits for one. 1 = *reply is filled. -1: it was too slow, broke a bound,
 * or ended; then every process of it has been killed, and the next call starts a new one. */
HUTCH_API int hutch_worker_call(hutch_worker *w, uint32_t tag, const void *data, size_t len, const int *fds, unsigned fd_count,
				struct hutch_frame *reply, int timeout_ms, struct hutch_error *e);
HUTCH_API hutch_channel *hutch_worker_channel(hutch_worker *w); /* NULL = none runs */
/* NULL = none runs. A call steps it; between calls limits of time, and what is passed on by this process, wait for
 * somebody who polls and steps it (hutch_run_pollfds). */
HUTCH_API hutch_run *hutch_worker_run(hutch_worker *w);
/* How the last one ended; end is HUTCH_END_NONE if none has. */
HUTCH_API void hutch_worker_report(const hutch_worker *w, struct hutch_report *out);
/* How often one was started so far. */
HUTCH_API unsigned hutch_worker_starts(const hutch_worker *w);
HUTCH_API void hutch_worker_stop(hutch_worker *w);              /* kills what runs */
HUTCH_API void hutch_worker_free(hutch_worker *w);

#ifdef __cplusplus
}
#endif
#endif
