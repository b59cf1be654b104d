/* Terminal relay: the launcher's side of a private pseudo terminal. No global state, no signal
 * handlers: the caller polls and tells us of SIGWINCH.
 * Runs in: parent. */
#ifndef HUTCH_TTY_H
#define HUTCH_TTY_H

#include <poll.h>
#include <termios.h>

#include "base/base.h"

struct tty_relay {
	int outer_in, outer_out;   /* the caller's terminal: usually 0 and 1; outer_in -1 = output only */
	int master;                /* the private pty's master, non-blocking */
	int in, out;               /* what is read and written: own non-blocking openings, or the outer ones */
	int held;                  /* the pty's other end, so that a program may close and reopen it; -1 = none */
	int timer;                 /* in the background: when to look again; -1 = none */
	struct termios saved;
	bool terminal;             /* outer_in is one */
	bool raw, background, in_closed, out_closed, master_gone;
	char last;                 /* the byte that was read last from outside */
	char to_inner[65536], to_outer[65536];
	size_t inner_len, inner_off, outer_len, outer_off;
};
/* Takes the master (owned from now on, also on failure), copies termios and window size of the outer terminal
 * to it, makes the outer raw. While the caller is in the background of its session the outer terminal is left
 * alone: output is relayed, input is not read, and the relay notices by itself when it comes to the foreground. */
int tty_open(struct tty_relay *t, int outer_in, int outer_out, int master, struct hutch_error *e);
/* Restores the outer terminal; drains what the inner side has still written (bounded in time). */
void tty_close(struct tty_relay *t);
/* Fills up to 3 pollfds; returns how many. Back-pressure both ways: reads only when there is room. */
int tty_pollfds(const struct tty_relay *t, struct pollfd *fds);
/* Moves bytes after poll. 0, or -1 with the error; the end of either side is not an error. */
int tty_step(struct tty_relay *t, const struct pollfd *fds, int count, struct hutch_error *e);
void tty_winch(struct tty_relay *t);   /* the outer window changed its size */
void tty_suspend(struct tty_relay *t); /* before the launcher stops itself: outer terminal cooked */
/* After SIGCONT: raw again, size copied anew; or the background, where the shell put us there. */
int tty_resume(struct tty_relay *t, struct hutch_error *e);

/* write(2) whose SIGPIPE never reaches the host program. */
ssize_t write_quietly(int fd, const void *s, size_t len);

#endif
