/* Terminal relay: see tty.h. Bytes are moved only when there is room for them on the other side, so a flood
 * costs no memory and a slow reader slows its writer.
 * Runs in: parent. */
#include "run/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* How long the last output of an inner side may take to drain at the end. */
#define DRAIN_MS 1000

/* A background job that touches its terminal is stopped by SIGTTOU; giving the terminal back must not be. */
static int set_termios(int fd, const struct termios *t)
{
	sigset_t block, old;
	int r;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	do
		r = tcsetattr(fd, TCSADRAIN, t);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int make_raw(struct tty_relay *t, struct hutch_error *e)
{
	struct termios raw = t->saved;
	int r;

	cfmakeraw(&raw);
	r = set_termios(t->outer_in, &raw);
	if (r)
		return error_set(e, ERR_TTY_RAW, r, "tcsetattr", "standard input", "tty");
	t->raw = true;
	return 0;
}

/* Until the caller's job is in the foreground the terminal isn't ours: the kernel stops us here like any job. */
static void wait_for_foreground(int fd)
{
	while (tcgetpgrp(fd) >= 0 && tcgetpgrp(fd) != getpgrp()) {
		if (kill(0, SIGTTIN) < 0)
			return;
	}
}

int tty_open(struct tty_relay *t, int outer_in, int outer_out, int master, struct hutch_error *e)
{
	int flags = fcntl(master, F_GETFL);

	memset(t, 0, sizeof *t);
	t->outer_in = outer_in;
	t->outer_out = outer_out;
	t->master = master;
	if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0) {
		int saved = errno;
		close(master);
		t->master = -1;
		t->master_gone = true;
		return error_set(e, ERR_TTY_MASTER, saved, "fcntl", NULL, "tty");
	}
	if (tcgetattr(outer_in, &t->saved) < 0)
		return 0; /* asked for without an outer terminal: bytes are relayed all the same */
	wait_for_foreground(outer_in);
	tcsetattr(master, TCSANOW, &t->saved);
	tty_winch(t);
	return make_raw(t, e);
}

void tty_winch(struct tty_relay *t)
{
	struct winsize w;

	if (t->master >= 0 && ioctl(t->outer_in, TIOCGWINSZ, &w) == 0)
		ioctl(t->master, TIOCSWINSZ, &w);
}

void tty_suspend(struct tty_relay *t)
{
	if (t->raw)
		set_termios(t->outer_in, &t->saved);
	t->raw = false;
}

int tty_resume(struct tty_relay *t, struct hutch_error *e)
{
	struct termios now;

	if (t->raw || tcgetattr(t->outer_in, &now) < 0)
		return 0;
	/* The shell may have changed it meanwhile (stty): that is what must come back at the end. */
	t->saved = now;
	tty_winch(t);
	return make_raw(t, e);
}

int tty_pollfds(const struct tty_relay *t, struct pollfd *fds)
{
	short master = 0;

	if (!t->outer_len)
		master |= POLLIN;
	if (t->inner_len)
		master |= POLLOUT;
	fds[0] = (struct pollfd){ t->in_closed || t->inner_len || t->master_gone ? -1 : t->outer_in, POLLIN, 0 };
	fds[1] = (struct pollfd){ t->outer_len && !t->out_closed ? t->outer_out : -1, POLLOUT, 0 };
	/* With nothing to ask for the descriptor stays out: a hang-up alone would make poll spin. */
	fds[2] = (struct pollfd){ t->master_gone || !master ? -1 : t->master, master, 0 };
	return 3;
}

/* An inner terminal can't be half closed: its line discipline ends the input at the VEOF character. */
static void end_of_input(struct tty_relay *t)
{
	struct termios inner;

	t->in_closed = true;
	if (tcgetattr(t->master, &inner) == 0 && (inner.c_lflag & ICANON)) {
		t->to_inner[0] = (char)inner.c_cc[VEOF];
		t->inner_len = 1;
		t->inner_off = 0;
	}
}

static void read_outer(struct tty_relay *t)
{
	ssize_t n = read(t->outer_in, t->to_inner, sizeof t->to_inner);

	if (n > 0) {
		t->inner_len = (size_t)n;
		t->inner_off = 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		end_of_input(t);
	}
}

static void write_inner(struct tty_relay *t)
{
	ssize_t n = write(t->master, t->to_inner + t->inner_off, t->inner_len - t->inner_off);

	if (n > 0)
		t->inner_off += (size_t)n;
	if (t->inner_off == t->inner_len || (n < 0 && errno != EAGAIN && errno != EINTR))
		t->inner_len = t->inner_off = 0;
}

/* EIO: no process has the other end open any more. */
static void read_inner(struct tty_relay *t)
{
	ssize_t n = read(t->master, t->to_outer, sizeof t->to_outer);

	if (n > 0) {
		t->outer_len = t->out_closed ? 0 : (size_t)n;
		t->outer_off = 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		t->master_gone = true;
	}
}

static void write_outer(struct tty_relay *t)
{
	ssize_t n = write(t->outer_out, t->to_outer + t->outer_off, t->outer_len - t->outer_off);

	if (n > 0)
		t->outer_off += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		t->out_closed = true; /* whoever listened is gone: the program's output is thrown away */
	if (t->outer_off == t->outer_len || t->out_closed)
		t->outer_len = t->outer_off = 0;
}

int tty_step(struct tty_relay *t, const struct pollfd *fds, int count, struct hutch_error *e)
{
	(void)e;
	if (count > 0 && fds[0].revents)
		read_outer(t);
	if (count > 1 && fds[1].revents)
		write_outer(t);
	if (count > 2 && (fds[2].revents & POLLOUT) && t->inner_len)
		write_inner(t);
	if (count > 2 && (fds[2].revents & (POLLIN | POLLHUP | POLLERR)) && !t->outer_len)
		read_inner(t);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* What the inner side wrote last is still in the pty. */
static void drain(struct tty_relay *t)
{
	int64_t end = now_ms() + DRAIN_MS;

	while (now_ms() < end) {
		struct pollfd out = { t->outer_out, POLLOUT, 0 };
		if (!t->outer_len && !t->master_gone)
			read_inner(t);
		if (!t->outer_len)
			return;
		if (poll(&out, 1, 100) > 0)
			write_outer(t);
	}
}

void tty_close(struct tty_relay *t)
{
	if (t->master < 0)
		return;
	drain(t);
	tty_suspend(t);
	close(t->master);
	t->master = -1;
	t->master_gone = true;
}
