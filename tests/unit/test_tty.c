/* Unit tests of src/run/tty.c: the relay between two pairs of pseudo terminals. The outer pair's master is
 * the user's screen and keyboard, the inner pair's slave is what a program would have.
 * Runs in: tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/tty.h"

#define FLOOD (100u << 20)

struct pair { int master, slave; };
struct world {
	struct pair outer, inner;
	struct tty_relay tty;
	struct hutch_error error;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	assert_return_code(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), errno);
}

static void pair_open(struct pair *p)
{
	assert_return_code(openpty(&p->master, &p->slave, NULL, NULL, NULL), errno);
	nonblocking(p->master, true);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w)
		return -1;
	pair_open(&w->outer);
	pair_open(&w->inner);
	w->tty.master = -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->tty.master >= 0)
		tty_close(&w->tty);
	shut(&w->outer.master);
	shut(&w->outer.slave);
	shut(&w->inner.master);
	shut(&w->inner.slave);
	free(w);
	return 0;
}

/* The relay takes the inner master, as from the sandbox's first process. */
static void open_relay(struct world *w, int in, int out)
{
	int master = w->inner.master;

	w->inner.master = -1;
	assert_int_equal(tty_open(&w->tty, in, out, master, &w->error), 0);
}

static void inner_raw(struct world *w)
{
	struct termios t;

	assert_return_code(tcgetattr(w->inner.slave, &t), errno);
	cfmakeraw(&t);
	assert_return_code(tcsetattr(w->inner.slave, TCSANOW, &t), errno);
	nonblocking(w->inner.slave, true);
}

/* One turn of a launcher's loop; false when nothing was ready. */
static bool turn(struct world *w, int timeout)
{
	struct pollfd p[3];
	int n = tty_pollfds(&w->tty, p), ready = poll(p, (nfds_t)n, timeout);

	assert_true(ready >= 0);
	if (ready)
		assert_int_equal(tty_step(&w->tty, p, n, &w->error), 0);
	return ready > 0;
}

/* Turns until that many bytes have come to fd (or half a second of silence). How many came. */
static size_t pump(struct world *w, int fd, char *into, size_t want)
{
	size_t got = 0;
	int64_t end = now_ms() + 3000;

	while (got < want && now_ms() < end) {
		bool moved = turn(w, 20);
		ssize_t n = read(fd, into + got, want - got);
		if (n > 0)
			got += (size_t)n;
		else if (n == 0)
			break;
		else if (!moved && now_ms() > end - 2500)
			break;
	}
	return got;
}

static void put(int fd, const char *s)
{
	assert_int_equal(write(fd, s, strlen(s)), (ssize_t)strlen(s));
}

static void same_modes(const struct termios *a, const struct termios *b)
{
	assert_int_equal(a->c_iflag, b->c_iflag);
	assert_int_equal(a->c_oflag, b->c_oflag);
	assert_int_equal(a->c_cflag, b->c_cflag);
	assert_int_equal(a->c_lflag, b->c_lflag);
	assert_memory_equal(a->c_cc, b->c_cc, sizeof a->c_cc);
}

static void outer_modes(struct world *w, struct termios *t)
{
	assert_return_code(tcgetattr(w->outer.slave, t), errno);
}

/* ---- opening, closing ---- */

static void modes_and_size_are_copied_and_restored(void **state)
{
	struct world *w = *state;
	struct termios before, inner, after;
	struct winsize size = { .ws_row = 33, .ws_col = 77 }, got;

	outer_modes(w, &before);
	before.c_cc[VEOF] = 5;
	before.c_lflag &= ~(tcflag_t)ECHOK;
	tcsetattr(w->outer.slave, TCSANOW, &before);
	ioctl(w->outer.slave, TIOCSWINSZ, &size);
	open_relay(w, w->outer.slave, w->outer.slave);

	tcgetattr(w->inner.slave, &inner);
	same_modes(&inner, &before);
	ioctl(w->inner.slave, TIOCGWINSZ, &got);
	assert_int_equal(got.ws_row, 33);
	assert_int_equal(got.ws_col, 77);
	outer_modes(w, &after);
	assert_int_equal(after.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_equal(after.c_oflag & OPOST, 0);

	inner_raw(w); /* a program that leaves its terminal raw changes nothing outside */
	tty_close(&w->tty);
	outer_modes(w, &after);
	same_modes(&after, &before);
	tty_close(&w->tty); /* twice does no harm */
}

static void callers_descriptors_stay_as_they_were(void **state)
{
	struct world *w = *state;

	open_relay(w, w->outer.slave, w->outer.slave);
	assert_int_equal(fcntl(w->outer.slave, F_GETFL) & O_NONBLOCK, 0);
	assert_true(fcntl(w->tty.master, F_GETFL) & O_NONBLOCK);
	/* What is used can't block, whatever the screen does, and isn't handed on. */
	assert_true(fcntl(w->tty.in, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w->tty.out, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w->tty.in, F_GETFD) & fcntl(w->tty.out, F_GETFD) & FD_CLOEXEC);
	tty_close(&w->tty);
	assert_return_code(fcntl(w->outer.slave, F_GETFL), errno);
}

static void bad_master_is_an_error(void **state)
{
	struct world *w = *state;
	struct termios before, after;

	outer_modes(w, &before);
	assert_int_equal(tty_open(&w->tty, w->outer.slave, w->outer.slave, 1000000, &w->error), -1);
	assert_int_equal(w->error.id, ERR_TTY_MASTER);
	assert_int_equal(w->error.errnum, EBADF);
	outer_modes(w, &after);
	same_modes(&after, &before);
}

/* ---- moving bytes ---- */

static void bytes_go_both_ways(void **state)
{
	struct world *w = *state;
	char got[64] = "";

	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	put(w->outer.master, "typed\x03\x1a\x11\x13\xff");
	assert_int_equal(pump(w, w->inner.slave, got, 10), 10);
	assert_memory_equal(got, "typed\x03\x1a\x11\x13\xff", 10);
	put(w->inner.slave, "shown\n\xff");
	assert_int_equal(pump(w, w->outer.master, got, 7), 7);
	assert_memory_equal(got, "shown\n\xff", 7); /* no second translation of \n */
}

static void interrupt_character_acts_inside(void **state)
{
	struct world *w = *state;
	char got[64] = "";

	open_relay(w, w->outer.slave, w->outer.slave);
	put(w->outer.master, "half\x15whole\n"); /* ^U is the inner line discipline's to obey */
	while (turn(w, 100))
		continue;
	nonblocking(w->inner.slave, true);
	assert_int_equal(read(w->inner.slave, got, sizeof got), 6);
	assert_memory_equal(got, "whole\n", 6);
}

static void large_input_arrives_in_order(void **state)
{
	struct world *w = *state;
	static char sent[200000], got[sizeof sent];
	size_t in = 0, out = 0;

	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 2654435761u >> 13);
	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	for (int64_t end = now_ms() + 10000; out < sizeof got && now_ms() < end;) {
		ssize_t n = in < sizeof sent ? write(w->outer.master, sent + in, sizeof sent - in) : 0;
		in += n > 0 ? (size_t)n : 0;
		turn(w, 10);
		n = read(w->inner.slave, got + out, sizeof got - out < 777 ? sizeof got - out : 777); /* a slow reader */
		out += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(out, sizeof got);
	assert_memory_equal(got, sent, sizeof got);
}

/* ---- ends ---- */

static void end_of_input_ends_a_canonical_reader(void **state)
{
	struct world *w = *state;
	char got[64];
	int p[2];

	for (int begun = 0; begun < 2; begun++) {
		assert_return_code(pipe(p), errno);
		if (begun) /* the second time: a line without its end */
			pair_open(&w->inner);
		open_relay(w, p[0], w->outer.slave);
		assert_false(w->tty.raw);
		put(p[1], begun ? "abc" : "abc\n");
		close(p[1]);
		for (int i = 0; i < 10; i++)
			turn(w, 20);
		nonblocking(w->inner.slave, true);
		assert_int_equal(read(w->inner.slave, got, sizeof got), begun ? 3 : 4);
		assert_int_equal(read(w->inner.slave, got, sizeof got), 0); /* the end, once */
		assert_int_equal(read(w->inner.slave, got, sizeof got), -1);
		assert_int_equal(errno, EAGAIN);
		tty_close(&w->tty);
		shut(&w->inner.slave);
		close(p[0]);
	}
}

static void end_of_input_adds_no_byte_to_a_raw_reader(void **state)
{
	struct world *w = *state;
	char got[64];
	int p[2];

	assert_return_code(pipe(p), errno);
	open_relay(w, p[0], w->outer.slave);
	inner_raw(w);
	put(p[1], "abc");
	close(p[1]);
	assert_int_equal(pump(w, w->inner.slave, got, sizeof got), 3);
	assert_true(w->tty.in_closed);
	assert_false(turn(w, 50)); /* and no spinning on the hang-up */
	close(p[0]);
}

static void hung_up_outer_terminal_is_the_end_of_input(void **state)
{
	struct world *w = *state;

	open_relay(w, w->outer.slave, w->outer.slave);
	shut(&w->outer.master);
	for (int i = 0; i < 5; i++)
		turn(w, 20);
	assert_true(w->tty.in_closed);
	put(w->inner.slave, "nobody sees it");
	for (int i = 0; i < 5; i++)
		turn(w, 20);
	assert_true(w->tty.out_closed);
	assert_false(turn(w, 50));
	assert_false(w->tty.master_gone); /* the program may go on */
}

static void program_may_close_and_reopen_its_terminal(void **state)
{
	struct world *w = *state;
	char name[64], got[64] = "";

	assert_int_equal(ttyname_r(w->inner.slave, name, sizeof name), 0);
	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	shut(&w->inner.slave);
	assert_false(turn(w, 50));
	assert_false(w->tty.master_gone);
	w->inner.slave = open(name, O_RDWR | O_NOCTTY);
	assert_return_code(w->inner.slave, errno);
	put(w->inner.slave, "back");
	assert_int_equal(pump(w, w->outer.master, got, 4), 4);
	assert_memory_equal(got, "back", 4);
}

static void last_output_comes_before_the_end(void **state)
{
	struct world *w = *state;
	char got[64] = "";

	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	shut(&w->tty.held); /* as where the kernel can't give the other end */
	put(w->inner.slave, "last words");
	shut(&w->inner.slave);
	assert_int_equal(pump(w, w->outer.master, got, 10), 10);
	assert_memory_equal(got, "last words", 10);
	for (int i = 0; i < 5; i++)
		turn(w, 20);
	assert_true(w->tty.master_gone);
	assert_false(turn(w, 50));
}

static void close_drains_what_was_written(void **state)
{
	struct world *w = *state;
	static char sent[3000], got[4000];
	size_t n = 0;

	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	memset(sent, 'd', sizeof sent);
	assert_int_equal(write(w->inner.slave, sent, sizeof sent), sizeof sent);
	shut(&w->inner.slave);
	tty_close(&w->tty);
	for (ssize_t r; (r = read(w->outer.master, got + n, sizeof got - n)) > 0;)
		n += (size_t)r;
	assert_int_equal(n, sizeof sent);
	assert_memory_equal(got, sent, sizeof sent);
}

/* ---- slow and missing readers ---- */

/* Fills everything between the program and a screen that takes no more. How many bytes that are. */
static size_t stuff(struct world *w)
{
	static const char block[4096];
	size_t total = 0;

	nonblocking(w->inner.slave, true);
	for (int quiet = 0; quiet < 3;) {
		ssize_t n = write(w->inner.slave, block, sizeof block);
		if (n > 0)
			total += (size_t)n;
		quiet = turn(w, 20) || n > 0 ? 0 : quiet + 1;
		assert_true(total < 4u << 20); /* the writer is held back */
	}
	return total;
}

static void slow_screen_holds_the_writer_and_lets_input_pass(void **state)
{
	struct world *w = *state;
	char got[8] = "";

	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	assert_true(stuff(w) > 0);
	put(w->outer.master, "\x03");
	assert_int_equal(pump(w, w->inner.slave, got, 1), 1);
	assert_int_equal(got[0], 3);
}

static void close_is_bounded_in_time(void **state)
{
	struct world *w = *state;
	struct termios before, after;
	int64_t start;

	outer_modes(w, &before);
	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	stuff(w);
	start = now_ms();
	tty_close(&w->tty);
	assert_in_range(now_ms() - start, 0, 3000);
	outer_modes(w, &after);
	same_modes(&after, &before);
}

static void output_without_a_reader_is_thrown_away(void **state)
{
	struct world *w = *state;
	struct sigaction a = { .sa_handler = SIG_DFL };
	sigset_t pending;
	int p[2];

	assert_return_code(pipe(p), errno);
	close(p[0]);
	sigaction(SIGPIPE, &a, NULL); /* were it sent, this test would end here */
	open_relay(w, w->outer.slave, p[1]);
	inner_raw(w);
	for (int i = 0; i < 100; i++) {
		put(w->inner.slave, "a line that goes nowhere\n");
		turn(w, 20);
	}
	while (turn(w, 20))
		continue;
	assert_true(w->tty.out_closed);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	put(w->outer.master, "x"); /* input goes on */
	char got[2];
	assert_int_equal(pump(w, w->inner.slave, got, 1), 1);
	close(p[1]);
}

static void output_to_another_terminal(void **state)
{
	struct world *w = *state;
	struct pair other;
	char got[16] = "";

	pair_open(&other);
	open_relay(w, w->outer.slave, other.slave);
	inner_raw(w);
	put(w->inner.slave, "over there");
	assert_int_equal(pump(w, other.master, got, 10), 10);
	assert_memory_equal(got, "over there", 10);
	tty_close(&w->tty);
	shut(&other.master);
	shut(&other.slave);
}

static void output_only(void **state)
{
	struct world *w = *state;
	struct winsize size = { .ws_row = 20, .ws_col = 50 }, seen;
	struct termios before, after;
	char got[16];

	outer_modes(w, &before);
	ioctl(w->outer.slave, TIOCSWINSZ, &size);
	open_relay(w, -1, w->outer.slave);
	outer_modes(w, &after);
	same_modes(&after, &before);
	ioctl(w->inner.slave, TIOCGWINSZ, &seen);
	assert_int_equal(seen.ws_col, 50);
	put(w->outer.master, "not for us\n");
	assert_int_equal(pump(w, w->outer.master, got, 12), 12); /* its echo */
	put(w->inner.slave, "out\n");
	assert_int_equal(pump(w, w->outer.master, got, sizeof got), 5);
	assert_memory_equal(got, "out\r\n", 5); /* the outer terminal's doing, once */
	nonblocking(w->inner.slave, true);
	assert_int_equal(read(w->inner.slave, got, sizeof got), -1);
	assert_int_equal(errno, EAGAIN);
}

static int write_flood(int fd)
{
	static unsigned char block[65536];
	size_t done = 0;

	while (done < FLOOD) {
		size_t n = FLOOD - done < sizeof block ? FLOOD - done : sizeof block;
		for (size_t i = 0; i < n; i++)
			block[i] = (unsigned char)((done + i) % 251);
		for (size_t off = 0; off < n;) {
			ssize_t r = write(fd, block + off, n - off);
			if (r <= 0)
				return 1;
			off += (size_t)r;
		}
		done += n;
	}
	return 0;
}

static int read_flood(int fd)
{
	static unsigned char block[65536];

	for (size_t done = 0; done < FLOOD;) {
		ssize_t n = read(fd, block, sizeof block);
		if (n <= 0)
			return 1;
		for (ssize_t i = 0; i < n; i++) {
			if (block[i] != (unsigned char)((done + (size_t)i) % 251))
				return 2;
		}
		done += (size_t)n;
	}
	return 0;
}

static pid_t start(int (*f)(int), int fd)
{
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0)
		_exit(f(fd));
	return pid;
}

static void flood_costs_no_memory(void **state)
{
	struct world *w = *state;
	struct rusage before, after;
	int status = -1;
	pid_t writer, reader;

	open_relay(w, w->outer.slave, w->outer.slave);
	inner_raw(w);
	nonblocking(w->inner.slave, false);
	nonblocking(w->outer.master, false);
	writer = start(write_flood, w->inner.slave);
	reader = start(read_flood, w->outer.master);
	getrusage(RUSAGE_SELF, &before);
	while (waitpid(reader, &status, WNOHANG) == 0)
		turn(w, 50);
	getrusage(RUSAGE_SELF, &after);
	assert_int_equal(status, 0); /* every byte, in order */
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 1024);
}

/* ---- job control ---- */

static void suspend_gives_back_and_resume_takes_anew(void **state)
{
	struct world *w = *state;
	struct termios before, now;
	struct winsize size = { .ws_row = 11, .ws_col = 22 }, got;

	outer_modes(w, &before);
	open_relay(w, w->outer.slave, w->outer.slave);
	tty_suspend(&w->tty);
	outer_modes(w, &now);
	same_modes(&now, &before);

	before.c_cc[VERASE] = 8; /* stty in the shell meanwhile */
	tcsetattr(w->outer.slave, TCSANOW, &before);
	ioctl(w->outer.slave, TIOCSWINSZ, &size);
	assert_int_equal(tty_resume(&w->tty, &w->error), 0);
	outer_modes(w, &now);
	assert_int_equal(now.c_lflag & ICANON, 0);
	ioctl(w->inner.slave, TIOCGWINSZ, &got);
	assert_int_equal(got.ws_col, 22);

	assert_int_equal(tty_resume(&w->tty, &w->error), 0); /* a SIGCONT without a stop */
	tty_close(&w->tty);
	outer_modes(w, &now);
	same_modes(&now, &before);
}

static void window_size_is_copied(void **state)
{
	struct world *w = *state;
	struct winsize size = { .ws_row = 40, .ws_col = 132 }, got;

	open_relay(w, w->outer.slave, w->outer.slave);
	ioctl(w->outer.master, TIOCSWINSZ, &size);
	tty_winch(&w->tty);
	ioctl(w->inner.slave, TIOCGWINSZ, &got);
	assert_int_equal(got.ws_row, 40);
	assert_int_equal(got.ws_col, 132);
}

/* What a job in the background does; its exit status says which expectation failed. to: tells the "shell". */
static int background_job(struct world *w, int to)
{
	struct termios now;
	char got[8] = "";
	int64_t end;

	setpgid(0, 0);
	signal(SIGTTOU, SIG_DFL);
	if (tcgetpgrp(w->outer.slave) == getpgrp())
		return 10; /* the positive control: this is the background */
	if (tty_open(&w->tty, w->outer.slave, w->outer.slave, w->inner.master, &w->error) < 0)
		return 11;
	tcgetattr(w->outer.slave, &now);
	if (w->tty.raw || !w->tty.background || !(now.c_lflag & ICANON))
		return 12;
	if (tty_resume(&w->tty, &w->error) < 0 || w->tty.raw) /* `bg` */
		return 13;
	if (write(w->inner.slave, "o", 1) != 1)
		return 14;
	for (int i = 0; i < 3; i++)
		turn(w, 100);
	if (write(to, "r", 1) != 1) /* now it may bring us to the foreground: nothing but the relay's timer says so */
		return 15;
	for (end = now_ms() + 3000; w->tty.background && now_ms() < end;)
		turn(w, 500);
	tcgetattr(w->outer.slave, &now);
	if (!w->tty.raw || (now.c_lflag & ICANON))
		return 16;
	if (write(to, "f", 1) != 1)
		return 17;
	nonblocking(w->inner.slave, true);
	for (end = now_ms() + 3000; read(w->inner.slave, got, 1) != 1 && now_ms() < end;)
		turn(w, 50);
	tty_close(&w->tty);
	tcgetattr(w->outer.slave, &now);
	return got[0] != 'k' ? 18 : !(now.c_lflag & ICANON) ? 19 : 0;
}

/* A session of its own with the outer terminal, and a job in its background: what a shell is. */
static int shell(struct world *w)
{
	int p[2], status;
	pid_t job;
	char c;

	if (setsid() < 0 || ioctl(w->outer.slave, TIOCSCTTY, 0) < 0 || pipe(p) < 0)
		return 2;
	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (job == 0) {
		close(p[0]);
		_exit(background_job(w, p[1]));
	}
	close(p[1]);
	if (read(p[0], &c, 1) == 1 && c == 'r') {
		char out[4];
		nonblocking(w->outer.master, false);
		if (read(w->outer.master, out, 1) != 1 || out[0] != 'o')
			return 3; /* output of the background is shown */
		tcsetpgrp(w->outer.slave, job);
		if (read(p[0], &c, 1) == 1 && c == 'f' && write(w->outer.master, "k\n", 2) != 2)
			return 4;
	}
	if (waitpid(job, &status, WUNTRACED) != job)
		return 5;
	if (WIFSTOPPED(status)) {
		kill(job, SIGKILL);
		return 6; /* a stopped job would be what a user sees of `hutch run … &` */
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 7;
}

static void background_leaves_the_terminal_alone(void **state)
{
	struct world *w = *state;
	int status = -1;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0)
		_exit(shell(w));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(modes_and_size_are_copied_and_restored), TEST(callers_descriptors_stay_as_they_were), TEST(bad_master_is_an_error),
		TEST(bytes_go_both_ways), TEST(interrupt_character_acts_inside), TEST(large_input_arrives_in_order),
		TEST(end_of_input_ends_a_canonical_reader), TEST(end_of_input_adds_no_byte_to_a_raw_reader),
		TEST(hung_up_outer_terminal_is_the_end_of_input), TEST(program_may_close_and_reopen_its_terminal),
		TEST(last_output_comes_before_the_end), TEST(close_drains_what_was_written),
		TEST(slow_screen_holds_the_writer_and_lets_input_pass), TEST(close_is_bounded_in_time),
		TEST(output_without_a_reader_is_thrown_away), TEST(output_to_another_terminal), TEST(output_only),
		TEST(flood_costs_no_memory), TEST(suspend_gives_back_and_resume_takes_anew), TEST(window_size_is_copied),
		TEST(background_leaves_the_terminal_alone),
	};

	/* A relay that hangs is a failure that says so. */
	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
