/* Frames between a broker and a confined worker: see include/hutch/channel.h.
 * Runs in: any. */
#include <hutch/channel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/lib.h"

struct bucket {
	uint64_t per_second;  /* 0 = any */
	int64_t left;         /* millionths; below zero is a debt to wait for */
	int64_t at_us;
};

struct hutch_channel {
	int fd;               /* -1 = broken or closed */
	struct hutch_channel_limits limits;
	struct bucket frames, bytes;
};

struct header { uint32_t len, tag; };
union control { struct cmsghdr header; char space[CMSG_SPACE(HUTCH_FRAME_FDS * sizeof(int))]; };

/* ---- rates ---- */
static void refill(struct bucket *b, int64_t now)
{
	int64_t passed = now - b->at_us, full = (int64_t)(b->per_second * 1000000u);

	b->at_us = now;
	if (passed > 1000000)
		passed = 1000000;
	b->left += passed * (int64_t)b->per_second;
	if (b->left > full)
		b->left = full;
}

static int wait_ms(struct bucket *b, int64_t now)
{
	if (!b->per_second)
		return 0;
	refill(b, now);
	return b->left > 0 ? 0 : (int)((1 - b->left) / (int64_t)b->per_second / 1000) + 1;
}

static void spend(struct bucket *b, uint64_t amount)
{
	if (b->per_second)
		b->left -= (int64_t)(amount * 1000000u);
}

/* Until the peer may be heard again, 0 = now. */
static int throttled_ms(hutch_channel *c)
{
	int64_t now = clock_us();
	int a = wait_ms(&c->frames, now), b = wait_ms(&c->bytes, now);

	return a > b ? a : b;
}

/* ---- descriptors from a peer ---- */
/* The last copy of a TCP socket with SO_LINGER would make close(2) wait for as long as the peer likes. */
static void close_received(int fd)
{
	struct linger off = { 0, 0 };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
		/* Either may fail: then there is nothing to wait for. */
		(void)connect(fd, &none, sizeof none);
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
	}
	close(fd);
}

void hutch_frame_close(struct hutch_frame *f)
{
	for (unsigned i = 0; i < f->fd_count; i++)
		close_received(f->fds[i]);
	f->fd_count = 0;
}

static unsigned kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return HUTCH_FD_OTHER;
	return S_ISREG(st.st_mode) ? HUTCH_FD_FILE : S_ISFIFO(st.st_mode) ? HUTCH_FD_PIPE : S_ISSOCK(st.st_mode) ? HUTCH_FD_SOCKET : HUTCH_FD_OTHER;
}

/* All that the kernel has put into our table, however many: a bound is checked after each is known. */
static bool take_fds(struct msghdr *h, unsigned max, unsigned kinds, struct hutch_frame *f)
{
	bool good = true;

	for (struct cmsghdr *x = CMSG_FIRSTHDR(h); x; x = CMSG_NXTHDR(h, x)) {
		size_t count = x->cmsg_len > CMSG_LEN(0) ? (x->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
		if (x->cmsg_level != SOL_SOCKET || x->cmsg_type != SCM_RIGHTS) {
			good = false;
			continue;
		}
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(x) + i * sizeof fd, sizeof fd);
			if (f->fd_count < max && (kind_of(fd) & kinds)) {
				f->fds[f->fd_count++] = fd;
				continue;
			}
			close_received(fd);
			good = false;
		}
	}
	return good;
}

/* ---- the channel ---- */
int hutch_channel_pair(int ends[2], struct hutch_error *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0)
		return 0;
	ends[0] = ends[1] = -1;
	return error_set(e, ERR_CHANNEL_OPEN, errno, "socketpair", NULL, "api");
}

static int check_end(int fd, const struct hutch_channel_limits *l, struct hutch_error *e)
{
	int type = 0, family = 0;
	socklen_t size = sizeof type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0)
		return error_set(e, ERR_CHANNEL_OPEN, errno, "getsockopt", NULL, "api");
	if (type != SOCK_SEQPACKET || family != AF_UNIX)
		return error_set(e, ERR_CHANNEL_OPEN, EPROTOTYPE, NULL, "the descriptor", "api");
	if (l->frame_max > HUTCH_FRAME_MAX || l->fds_max > HUTCH_FRAME_FDS || l->bytes_per_second > UINT64_C(1) << 40 ||
	    l->fd_kinds > (HUTCH_FD_FILE | HUTCH_FD_PIPE | HUTCH_FD_SOCKET | HUTCH_FD_OTHER))
		return error_set(e, ERR_CHANNEL_OPEN, EINVAL, NULL, "the limits", "api");
	return 0;
}

int hutch_channel_open(int fd, const struct hutch_channel_limits *limits, hutch_channel **out, struct hutch_error *e)
{
	struct hutch_channel_limits l = limits ? *limits : (struct hutch_channel_limits){ 0 };
	hutch_channel *c;
	int room, flags;

	*out = NULL;
	l.frame_max = l.frame_max ? l.frame_max : 65536;
	l.fd_kinds = l.fd_kinds ? l.fd_kinds : HUTCH_FD_FILE | HUTCH_FD_PIPE;
	if (check_end(fd, &l, e) < 0)
		return -1;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(e, ERR_CHANNEL_OPEN, errno, "fcntl", NULL, "api");
	c = calloc(1, sizeof *c);
	if (!c)
		return error_nomem(e);
	/* Room for a largest frame, whatever this system's default is. */
	room = (int)l.frame_max * 2 + 65536;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	c->fd = fd;
	c->limits = l;
	c->frames = (struct bucket){ l.frames_per_second, (int64_t)l.frames_per_second * 1000000, clock_us() };
	c->bytes = (struct bucket){ l.bytes_per_second, (int64_t)(l.bytes_per_second * 1000000u), clock_us() };
	*out = c;
	return 0;
}

/* The bytes that may still lie in the socket, and the descriptors with them, go with its last end. */
static void break_off(hutch_channel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void hutch_channel_free(hutch_channel *c)
{
	if (!c)
		return;
	break_off(c);
	free(c);
}

int hutch_channel_poll(hutch_channel *c, struct pollfd *p)
{
	int wait = c->fd < 0 ? 0 : throttled_ms(c);

	*p = (struct pollfd){ wait ? -1 : c->fd, POLLIN, 0 };
	return wait ? wait : -1;
}

static int closed(struct hutch_error *e)
{
	return error_set(e, ERR_CHANNEL_CLOSED, EPIPE, NULL, NULL, "api");
}

int hutch_channel_send(hutch_channel *c, uint32_t tag, const void *data, size_t len, const int *fds, unsigned fd_count, struct hutch_error *e)
{
	struct header h = { (uint32_t)len, tag };
	struct iovec io[2] = { { &h, sizeof h }, { (void *)(uintptr_t)data, len } };
	union control control = { .header = { .cmsg_len = CMSG_LEN(fd_count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr m = { .msg_iov = io, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

	if (c->fd < 0)
		return closed(e);
	if (len > c->limits.frame_max || fd_count > HUTCH_FRAME_FDS)
		return error_set(e, ERR_CHANNEL_SEND, EMSGSIZE, NULL, len > c->limits.frame_max ? "the data" : "the descriptors", "api");
	if (fd_count) {
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	do
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)(sizeof h + len))
		return 1;
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return closed(e);
	return error_set(e, ERR_CHANNEL_SEND, n < 0 ? errno : EPROTO, "sendmsg", NULL, "api");
}

static int violation(hutch_channel *c, struct hutch_frame *f, const char *what, struct hutch_error *e)
{
	hutch_frame_close(f);
	f->len = 0;
	break_off(c);
	return error_set(e, ERR_CHANNEL_PEER, 0, NULL, what, "peer");
}

static int judge(hutch_channel *c, struct hutch_frame *f, const struct msghdr *m, const struct header *h, size_t n, bool good_fds, struct hutch_error *e)
{
	/* Cut descriptors: the kernel has dropped those that had no room, the others are ours to close. */
	if (m->msg_flags & MSG_CTRUNC)
		return violation(c, f, "a frame with too many descriptors", e);
	if (!good_fds)
		return violation(c, f, "a descriptor of a kind or in a number that isn't allowed", e);
	if (m->msg_flags & MSG_TRUNC)
		return violation(c, f, "a frame that is too long", e);
	if (n < sizeof *h || h->len != n - sizeof *h)
		return violation(c, f, "a frame whose length is wrong", e);
	f->len = h->len;
	f->tag = h->tag;
	spend(&c->frames, 1);
	spend(&c->bytes, n);
	return 1;
}

int hutch_channel_receive(hutch_channel *c, struct hutch_frame *f, struct hutch_error *e)
{
	struct header h = { 0, 0 };
	struct iovec io[2] = { { &h, sizeof h }, { f->data, c->limits.frame_max } };
	union control control;
	struct msghdr m = { .msg_iov = io, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;
	bool good;

	f->fd_count = 0;
	f->len = 0;
	if (c->fd < 0)
		return closed(e);
	if (f->size < c->limits.frame_max)
		return error_set(e, ERR_CHANNEL_RECEIVE, EINVAL, NULL, "the buffer", "api");
	if (throttled_ms(c))
		return 0;
	do
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return error_set(e, ERR_CHANNEL_RECEIVE, errno, "recvmsg", NULL, "api");
	good = n < 0 || take_fds(&m, c->limits.fds_max, c->limits.fd_kinds, f);
	/* Every frame has a header, so no bytes are the end. A peer that sends an empty packet has ended as well. */
	if (n <= 0) {
		hutch_frame_close(f);
		break_off(c);
		return 2;
	}
	return judge(c, f, &m, &h, (size_t)n, good, e);
}

/* ---- waiting ---- */
static int until(int fd, short events, int64_t deadline_us, int at_most_ms)
{
	struct pollfd p = { fd, events, 0 };
	int64_t left = deadline_us < 0 ? -1 : deadline_us - clock_us();
	int ms = left < 0 ? (deadline_us < 0 ? -1 : 0) : (int)(left / 1000) + 1;

	if (deadline_us >= 0 && left <= 0)
		return 0;
	if (at_most_ms >= 0 && (ms < 0 || at_most_ms < ms))
		ms = at_most_ms;
	poll(&p, 1, ms);
	return 1;
}

static int64_t deadline(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_us() + timeout_ms * INT64_C(1000);
}

int hutch_channel_put(hutch_channel *c, uint32_t tag, const void *data, size_t len, const int *fds, unsigned fd_count, int timeout_ms, struct hutch_error *e)
{
	int64_t end = deadline(timeout_ms);
	int r;

	while ((r = hutch_channel_send(c, tag, data, len, fds, fd_count, e)) == 0) {
		if (!until(c->fd, POLLOUT, end, -1))
			return 0;
	}
	return r;
}

int hutch_channel_next(hutch_channel *c, struct hutch_frame *f, int timeout_ms, struct hutch_error *e)
{
	int64_t end = deadline(timeout_ms);
	int r;

	while ((r = hutch_channel_receive(c, f, e)) == 0) {
		struct pollfd p;
		int again = hutch_channel_poll(c, &p);
		if (!until(p.fd, POLLIN, end, again))
			return 0;
	}
	return r;
}

int hutch_channel_spawn(const hutch_plan *plan, int inside, const struct hutch_channel_limits *limits, hutch_run **run, hutch_channel **channel, struct hutch_error *e)
{
	struct hutch_fd place = { inside, -1 };
	int ends[2];

	*run = NULL;
	*channel = NULL;
	if (hutch_channel_pair(ends, e) < 0)
		return -1;
	if (hutch_channel_open(ends[0], limits, channel, e) < 0) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	place.outside = ends[1];
	int r = lib_spawn(plan, &place, 1, ends[1], run, e);
	close(ends[1]);
	if (r == 0)
		return 0;
	hutch_channel_free(*channel);
	*channel = NULL;
	return -1;
}
