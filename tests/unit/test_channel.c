/* src/lib/channel.c: frames, bounds and a peer that keeps none of them. The peer here writes raw packets.
 * Runs in: the test process. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <hutch/channel.h>

enum { PEER = 863, CLOSED = 864 };

struct fixture { hutch_channel *c; int peer, fds; char data[HUTCH_FRAME_MAX]; struct hutch_frame f; struct hutch_error e; };

static int fd_count(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	for (struct dirent *f; (f = readdir(d));)
		n++;
	closedir(d);
	return n;
}

static void open_with(struct fixture *x, struct hutch_channel_limits l)
{
	int ends[2];

	hutch_channel_free(x->c);
	if (x->peer >= 0)
		close(x->peer);
	x->fds = fd_count();
	assert_int_equal(hutch_channel_pair(ends, &x->e), 0);
	assert_int_equal(hutch_channel_open(ends[0], &l, &x->c, &x->e), 0);
	x->peer = ends[1];
	x->f = (struct hutch_frame){ .data = x->data, .size = sizeof x->data };
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	x->peer = -1;
	open_with(x, (struct hutch_channel_limits){ 0 });
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	hutch_channel_free(x->c);
	if (x->peer >= 0)
		close(x->peer);
	free(x);
	return 0;
}

/* A packet as the peer likes: its header may lie. */
static void raw(int fd, uint32_t claimed, size_t len, const int *fds, unsigned count)
{
	static char bytes[HUTCH_FRAME_MAX * 2];
	uint32_t h[2] = { claimed, 7 };
	struct iovec io[2] = { { h, sizeof h }, { bytes, len } };
	union { struct cmsghdr h; char space[CMSG_SPACE(253 * sizeof(int))]; } control = { 0 };
	struct msghdr m = { .msg_iov = io, .msg_iovlen = 2 };

	if (count) {
		control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	assert_true(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)(sizeof h + len));
}

/* The channel says that the peer broke a bound, is broken then, and holds nothing. */
static void broken(struct fixture *x)
{
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), -1);
	assert_int_equal(x->e.id, PEER);
	assert_int_equal(x->f.fd_count, 0);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), -1);
	assert_int_equal(x->e.id, CLOSED);
	assert_int_equal(hutch_channel_send(x->c, 1, "x", 1, NULL, 0, &x->e), -1);
	assert_int_equal(x->e.id, CLOSED);
	assert_int_equal(fd_count(), x->fds + 1); /* the peer's end alone */
}

static void frames(void **state)
{
	struct fixture *x = *state;
	hutch_channel *peer;
	char back[65536];
	struct hutch_frame f = { .data = back, .size = sizeof back };

	assert_int_equal(hutch_channel_open(dup(x->peer), NULL, &peer, &x->e), 0);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 0);
	assert_int_equal(hutch_channel_send(peer, 41, "hello", 5, NULL, 0, &x->e), 1);
	assert_int_equal(hutch_channel_send(peer, 42, NULL, 0, NULL, 0, &x->e), 1);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_true(x->f.len == 5 && x->f.tag == 41 && !memcmp(x->data, "hello", 5));
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_true(x->f.len == 0 && x->f.tag == 42);
	memset(x->data, 'a', 65536);
	assert_int_equal(hutch_channel_put(x->c, 1, x->data, 65536, NULL, 0, 1000, &x->e), 1);
	assert_int_equal(hutch_channel_next(peer, &f, 1000, &x->e), 1);
	assert_true(f.len == 65536 && back[65535] == 'a');
	assert_int_equal(hutch_channel_send(x->c, 1, x->data, 65537, NULL, 0, &x->e), -1);
	assert_int_equal(x->e.id, 861);
	x->f.size = 100;
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), -1);
	assert_int_equal(x->e.id, 862);
	hutch_channel_free(peer);
}

static void lying_headers(void **state)
{
	struct fixture *x = *state;
	static const struct { uint32_t claimed; size_t len; } bad[] = { { 5, 4 }, { 4, 5 }, { 0xffffffff, 4 }, { 0, 1 }, { 65537, 65537 }, { 100000, 100000 } };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		open_with(x, (struct hutch_channel_limits){ 0 });
		raw(x->peer, bad[i].claimed, bad[i].len, NULL, 0);
		broken(x);
	}
	open_with(x, (struct hutch_channel_limits){ 0 });
	assert_int_equal(send(x->peer, "short", 5, 0), 5);
	broken(x);
}

static void descriptors(void **state)
{
	struct fixture *x = *state;
	int memory = memfd_create("x", MFD_CLOEXEC), p[2], many[253];
	struct hutch_channel_limits l = { .fds_max = 3 };

	assert_int_equal(pipe(p), 0);
	open_with(x, l);
	raw(x->peer, 1, 1, (int[]){ memory, p[0], p[1] }, 3);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_int_equal(x->f.fd_count, 3);
	assert_true(fcntl(x->f.fds[2], F_GETFD) & FD_CLOEXEC);
	hutch_frame_close(&x->f);
	assert_int_equal(fd_count(), x->fds + 2);
	for (unsigned i = 0; i < 253; i++)
		many[i] = p[0];
	/* One more than allowed, more than the buffer has room for, as many as the kernel passes at all. */
	static const unsigned counts[] = { 4, HUTCH_FRAME_FDS, HUTCH_FRAME_FDS + 1, HUTCH_FRAME_FDS + 2, 100, 253 };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		open_with(x, l);
		raw(x->peer, 0, 0, many, counts[i]);
		broken(x);
	}
	open_with(x, (struct hutch_channel_limits){ 0 });
	raw(x->peer, 0, 0, many, 1);
	broken(x);
	/* Kinds: a directory, a socket, an event descriptor. */
	int bad[] = { open("/", O_RDONLY), socket(AF_UNIX, SOCK_STREAM, 0), open("/dev/null", O_RDONLY) };
	for (size_t i = 0; i < 3; i++) {
		open_with(x, l);
		raw(x->peer, 0, 0, (int[]){ p[0], bad[i] }, 2);
		broken(x);
		close(bad[i]);
	}
	/* The right kind in a frame that is bad otherwise. */
	open_with(x, l);
	raw(x->peer, 9, 1, (int[]){ memory }, 1);
	broken(x);
	close(memory);
	close(p[0]);
	close(p[1]);
}

/* Whatever lies in the socket unread goes with it. */
static void unread(void **state)
{
	struct fixture *x = *state;
	int p[2];
	char byte;

	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	open_with(x, (struct hutch_channel_limits){ .fds_max = 1 });
	for (int i = 0; i < 10; i++)
		raw(x->peer, 0, 0, &p[1], 1);
	close(p[1]);
	assert_true(read(p[0], &byte, 1) < 0 && errno == EAGAIN);
	hutch_channel_free(x->c);
	x->c = NULL;
	assert_int_equal(read(p[0], &byte, 1), 0);
	close(p[0]);
}

static void half_closed(void **state)
{
	struct fixture *x = *state;

	raw(x->peer, 3, 3, NULL, 0);
	shutdown(x->peer, SHUT_WR);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 2);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), -1);
	open_with(x, (struct hutch_channel_limits){ 0 });
	shutdown(x->peer, SHUT_RD);
	assert_int_equal(hutch_channel_send(x->c, 1, "x", 1, NULL, 0, &x->e), -1);
	assert_int_equal(x->e.id, CLOSED);
	open_with(x, (struct hutch_channel_limits){ 0 });
	/* No bytes at all: SEQPACKET can't tell that from the end. With a descriptor in it too. */
	struct iovec io = { NULL, 0 };
	union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	memcpy(CMSG_DATA(&control.h), &x->peer, sizeof x->peer);
	assert_int_equal(sendmsg(x->peer, &m, 0), 0);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 2);
	assert_int_equal(x->f.fd_count, 0);
	assert_int_equal(fd_count(), x->fds + 1);
	open_with(x, (struct hutch_channel_limits){ 0 });
	close(x->peer);
	x->peer = -1;
	assert_int_equal(hutch_channel_next(x->c, &x->f, 1000, &x->e), 2);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void deadlines(void **state)
{
	struct fixture *x = *state;
	int64_t start = now_ms();
	int r = 1;

	assert_int_equal(hutch_channel_next(x->c, &x->f, 50, &x->e), 0);
	assert_in_range(now_ms() - start, 50, 2000);
	/* A peer that doesn't read: the socket is full after a bounded amount, and nothing waits. */
	for (int i = 0; i < 1000 && r == 1; i++)
		r = hutch_channel_send(x->c, 1, x->data, 65536, NULL, 0, &x->e);
	assert_int_equal(r, 0);
	start = now_ms();
	assert_int_equal(hutch_channel_put(x->c, 1, x->data, 65536, NULL, 0, 50, &x->e), 0);
	assert_in_range(now_ms() - start, 50, 2000);
}

static void rates(void **state)
{
	struct fixture *x = *state;
	struct pollfd p;
	int got = 0, wait;
	int64_t start = now_ms();

	open_with(x, (struct hutch_channel_limits){ .frames_per_second = 20 });
	for (int i = 0; i < 60; i++)
		raw(x->peer, 0, 0, NULL, 0);
	while (hutch_channel_receive(x->c, &x->f, &x->e) == 1)
		got++;
	assert_in_range(got, 20, 22 + (now_ms() - start) / 50);
	wait = hutch_channel_poll(x->c, &p);
	assert_true(wait > 0 && wait <= 51 && p.fd == -1);
	/* The rest comes at the rate. */
	for (; got < 30; got++)
		assert_int_equal(hutch_channel_next(x->c, &x->f, 2000, &x->e), 1);
	assert_true(now_ms() - start >= 400);
	open_with(x, (struct hutch_channel_limits){ .bytes_per_second = 100000 });
	for (int i = 0; i < 3; i++)
		raw(x->peer, 60000, 60000, NULL, 0);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 0);
	assert_in_range(hutch_channel_poll(x->c, &p), 1, 300);
}

/* close(2) of a TCP socket with unsent bytes and SO_LINGER waits: not here. */
static void lingering_socket(void **state)
{
	struct fixture *x = *state;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof a;
	struct linger on = { 1, 30 };
	int small = 1, listener = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
	int64_t start;

	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&a, &size) < 0 ||
	    connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
		close(listener);
		close(s);
		skip();
	}
	while (send(s, x->data, sizeof x->data, MSG_DONTWAIT) > 0)
		continue;
	setsockopt(s, SOL_SOCKET, SO_LINGER, &on, sizeof on);
	open_with(x, (struct hutch_channel_limits){ .fds_max = 1, .fd_kinds = HUTCH_FD_SOCKET });
	raw(x->peer, 0, 0, &s, 1);
	close(s);
	assert_int_equal(hutch_channel_receive(x->c, &x->f, &x->e), 1);
	start = now_ms();
	hutch_frame_close(&x->f);
	assert_true(now_ms() - start < 5000);
	close(listener);
}

static void bad_ends(void **state)
{
	struct fixture *x = *state;
	struct hutch_channel_limits big = { .frame_max = HUTCH_FRAME_MAX + 1 }, many = { .fds_max = HUTCH_FRAME_FDS + 1 };
	int stream[2], p[2], inet = socket(AF_INET, SOCK_DGRAM, 0);
	hutch_channel *c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	assert_int_equal(pipe(p), 0);
	const int bad[] = { stream[0], p[0], inet, -1, 9999 };
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(hutch_channel_open(bad[i], NULL, &c, &x->e), -1);
		assert_true(x->e.id == 860 && !c);
	}
	assert_int_equal(hutch_channel_open(x->peer, &big, &c, &x->e), -1);
	assert_int_equal(hutch_channel_open(x->peer, &many, &c, &x->e), -1);
	close(stream[0]);
	close(stream[1]);
	close(p[0]);
	close(p[1]);
	close(inet);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(frames), T(lying_headers), T(descriptors), T(unread), T(half_closed), T(deadlines), T(rates), T(lingering_socket), T(bad_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
