/* Terminal relay: see tty.h. Bytes are moved only when there is room for them on the other side, so a flood
 * costs no memory and a slow reader slows its writer.
 * Runs in: parent. */
#include "run/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* How long the last output of an inner side may take to drain: at the end, and before a stop. */
#define DRAIN_END_MS 1000
#define DRAIN_STOP_MS 100
/* How often a relay in the background looks whether it has come to the foreground: nothing tells it. */
#define FOREGROUND_MS 200
/* At most this much at once to a descriptor that might block. */
#define BLOCKING_CHUNK 512

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A background job that touches its terminal is stopped by SIGTTOU; giving the terminal back must not be.
 * Not TCSADRAIN: a terminal that takes no more output would hold us up for ever. */
static int set_termios(int fd, const struct termios *t)
{
	sigset_t block, old;
	int r;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	do
		r = tcsetattr(fd, TCSANOW, t);
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

/* A terminal that isn't the controlling one knows no background. */
static bool in_foreground(const struct tty_relay *t)
{
	pid_t group = tcgetpgrp(t->outer_in);

	return group < 0 || group == getpgrp();
}

/* The terminal is another job's: neither its modes nor its input are ours to touch. */
static void enter_background(struct tty_relay *t)
{
	static const struct itimerspec every = { { 0, FOREGROUND_MS * 1000000L }, { 0, FOREGROUND_MS * 1000000L } };

	t->raw = false;
	t->background = true;
	if (t->timer < 0)
		t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->timer >= 0 && timerfd_settime(t->timer, 0, &every, NULL) < 0)
		close_fd(&t->timer); /* then SIGCONT is what brings us back */
}

static int enter_foreground(struct tty_relay *t, struct hutch_error *e)
{
	struct termios now;

	t->background = false;
	close_fd(&t->timer);
	if (tcgetattr(t->outer_in, &now) < 0)
		return 0; /* hung up: the next read says so */
	/* The shell may have changed it meanwhile (stty): that is what must come back at the end. */
	if (!t->raw || (now.c_lflag & ICANON))
		t->saved = now;
	tty_winch(t);
	return make_raw(t, e);
}

/* An opening of our own is non-blocking without making the caller's so, which others share. */
static int open_own(int fd, int access)
{
	struct stat theirs, ours;
	char path[32];
	int own;

	if (fd < 0 || !isatty(fd))
		return fd;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return fd;
	if (fstat(fd, &theirs) == 0 && fstat(own, &ours) == 0 && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
		return own;
	close(own);
	return fd;
}

static void release(struct tty_relay *t)
{
	if (t->in != t->outer_in)
		close_fd(&t->in);
	if (t->out != t->outer_out)
		close_fd(&t->out);
	t->in = t->out = -1;
	close_fd(&t->timer);
	close_fd(&t->held);
	close_fd(&t->master);
	t->master_gone = true;
}

/* Only the output goes to a terminal, and that stays as it is: what it does to line ends isn't done twice. */
static void take_output(const struct tty_relay *t)
{
	struct termios modes;

	if (tcgetattr(t->outer_out, &modes) < 0)
		return; /* asked for without any outer terminal: bytes are relayed all the same */
	modes.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(t->master, TCSANOW, &modes);
}

/* The first time: the inner terminal begins with the outer one's modes and size. */
static int take_outer(struct tty_relay *t, struct hutch_error *e)
{
	tty_winch(t);
	t->terminal = tcgetattr(t->outer_in, &t->saved) == 0;
	if (!t->terminal) {
		take_output(t);
		return 0;
	}
	tcsetattr(t->master, TCSANOW, &t->saved);
	if (in_foreground(t))
		return make_raw(t, e);
	enter_background(t);
	return 0;
}

int tty_open(struct tty_relay *t, int outer_in, int outer_out, int master, struct hutch_error *e)
{
	int flags = fcntl(master, F_GETFL), r;

	memset(t, 0, sizeof *t);
	t->outer_in = outer_in;
	t->outer_out = outer_out;
	t->master = master;
	t->timer = t->held = -1;
	t->last = '\n';
	t->in_closed = outer_in < 0;
	t->in = open_own(outer_in, O_RDONLY);
	t->out = open_own(outer_out, O_WRONLY);
	if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) < 0) {
		r = error_set(e, ERR_TTY_MASTER, errno, "fcntl", NULL, "tty");
	} else {
		t->held = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		r = take_outer(t, e);
	}
	if (r < 0)
		release(t);
	return r;
}

void tty_winch(struct tty_relay *t)
{
	struct winsize w;

	if (t->master >= 0 && (ioctl(t->outer_in, TIOCGWINSZ, &w) == 0 || ioctl(t->outer_out, TIOCGWINSZ, &w) == 0))
		ioctl(t->master, TIOCSWINSZ, &w);
}

static bool wants_input(const struct tty_relay *t)
{
	return !t->in_closed && !t->inner_len && !t->master_gone;
}

int tty_pollfds(const struct tty_relay *t, struct pollfd *fds)
{
	short master = 0;

	if (!t->outer_len)
		master |= POLLIN;
	if (t->inner_len)
		master |= POLLOUT;
	fds[0] = (struct pollfd){ !wants_input(t) ? -1 : t->background ? t->timer : t->in, POLLIN, 0 };
	fds[1] = (struct pollfd){ t->outer_len ? t->out : -1, POLLOUT, 0 };
	/* With nothing to ask for the descriptor stays out: a hang-up alone would make poll spin. */
	fds[2] = (struct pollfd){ t->master_gone || !master ? -1 : t->master, master, 0 };
	return 3;
}

/* An inner terminal can't be half closed: its line discipline ends the input at the VEOF character. On a line
 * that was begun the first one only hands the line on. */
static void end_of_input(struct tty_relay *t)
{
	struct termios inner;

	t->in_closed = true;
	if (tcgetattr(t->master, &inner) < 0 || !(inner.c_lflag & ICANON))
		return;
	t->to_inner[0] = t->to_inner[1] = (char)inner.c_cc[VEOF];
	t->inner_len = t->last == '\n' || t->last == '\r' ? 1 : 2;
	t->inner_off = 0;
}

static void read_outer(struct tty_relay *t)
{
	ssize_t n;

	/* Reading in the background would stop us, and what was typed there is another's. */
	if (t->terminal && !in_foreground(t)) {
		enter_background(t);
		return;
	}
	n = read(t->in, t->to_inner, sizeof t->to_inner);
	if (n > 0) {
		t->last = t->to_inner[n - 1];
		t->inner_len = (size_t)n;
		t->inner_off = 0;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		end_of_input(t);
	}
}

static int on_timer(struct tty_relay *t, struct hutch_error *e)
{
	uint64_t ticks;

	if (read(t->timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN && errno != EINTR)
		close_fd(&t->timer);
	return in_foreground(t) ? enter_foreground(t, e) : 0;
}

static void write_inner(struct tty_relay *t)
{
	ssize_t n = write(t->master, t->to_inner + t->inner_off, t->inner_len - t->inner_off);

	if (n > 0)
		t->inner_off += (size_t)n;
	if (t->inner_off == t->inner_len || (n < 0 && errno != EAGAIN && errno != EINTR))
		t->inner_len = t->inner_off = 0;
}

/* EIO: the inner terminal was hung up, or no process has its other end open any more. */
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

/* A reader of a pipe that went away would end the whole calling program: the signal is taken back. */
ssize_t write_quietly(int fd, const void *s, size_t len)
{
	static const struct timespec now = { 0, 0 };
	sigset_t block, old, pending;
	ssize_t n;
	int saved;

	sigpending(&pending);
	sigemptyset(&block);
	sigaddset(&block, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	n = write(fd, s, len);
	saved = errno;
	if (n < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&block, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return n;
}

static void write_outer(struct tty_relay *t)
{
	size_t left = t->outer_len - t->outer_off;
	ssize_t n;

	if (t->out != t->outer_out)
		n = write(t->out, t->to_outer + t->outer_off, left);
	else
		n = write_quietly(t->out, t->to_outer + t->outer_off, left < BLOCKING_CHUNK ? left : BLOCKING_CHUNK);
	if (n > 0)
		t->outer_off += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		t->out_closed = true; /* whoever listened is gone: the program's output is thrown away */
	if (t->outer_off == t->outer_len || t->out_closed)
		t->outer_len = t->outer_off = 0;
}

int tty_step(struct tty_relay *t, const struct pollfd *fds, int count, struct hutch_error *e)
{
	if (count > 1 && fds[1].revents && t->outer_len)
		write_outer(t);
	if (count > 2 && (fds[2].revents & (POLLOUT | POLLHUP | POLLERR)) && t->inner_len)
		write_inner(t);
	if (count > 2 && (fds[2].revents & (POLLIN | POLLHUP | POLLERR)) && !t->outer_len)
		read_inner(t);
	if (count < 1 || !fds[0].revents || !wants_input(t))
		return 0;
	if (t->background)
		return on_timer(t, e);
	read_outer(t);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* What the inner side wrote last is still in the pty. */
static void drain(struct tty_relay *t, int ms)
{
	int64_t end = now_ms() + ms, left;

	while ((left = end - now_ms()) > 0) {
		struct pollfd out = { t->out, POLLOUT, 0 };
		if (!t->outer_len && !t->master_gone)
			read_inner(t);
		if (!t->outer_len)
			return;
		if (poll(&out, 1, (int)left) > 0)
			write_outer(t);
	}
}

static void restore(struct tty_relay *t)
{
	if (t->raw)
		set_termios(t->outer_in, &t->saved);
	t->raw = false;
}

void tty_suspend(struct tty_relay *t)
{
	if (t->master < 0)
		return;
	drain(t, DRAIN_STOP_MS);
	restore(t);
}

int tty_resume(struct tty_relay *t, struct hutch_error *e)
{
	if (!t->terminal || t->master < 0)
		return 0;
	if (in_foreground(t))
		return enter_foreground(t, e);
	enter_background(t);
	return 0;
}

void tty_close(struct tty_relay *t)
{
	if (t->master < 0)
		return;
	drain(t, DRAIN_END_MS);
	restore(t);
	release(t);
}
