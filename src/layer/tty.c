/* Terminal and session of the program.
 * Runs in: parent. */
#include "layer/layer.h"

static bool wants_pty(const struct build *b)
{
	const struct policy *p = b->policy;

	/* Any of 0-2: through the caller's own terminal the program could read what is typed and change its modes. */
	return p->tty == TTY_PRIVATE || (p->tty == TTY_AUTO && fds_caller_tty(b));
}

int tty_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (layer_enters(b)) {
		b->plan->shared_session = true;
		if (p->tty == TTY_NONE)
			return build_row(b, ROW_MISSING, "terminal", "none", "its own session and terminal", "-",
					 "a process that goes on keeps them", p->origin[KEY_TTY]);
		return build_row(b, fds_caller_tty(b) ? ROW_OPEN : ROW_ENFORCED, "terminal", "the process's own", "its own session and terminal", "-",
				 fds_caller_tty(b) ? "typing into it (TIOCSTI) is stopped by the system call filter only" : NULL, p->origin[KEY_TTY]);
	}
	if (wants_pty(b)) {
		b->plan->private_tty = true;
		struct op *op = build_op(b, SECTION_TTY, OP_PTY, "/dev/ptmx", p->origin[KEY_TTY]);
		if (!op)
			return -1;
		op->number[0] = p->tty == TTY_PRIVATE; /* standard input is replaced whatever it is */
		return build_row(b, ROW_ENFORCED, "terminal", "private", "a pseudo terminal of its own", "relay in the launcher", NULL, p->origin[KEY_TTY]);
	}
	if (p->tty == TTY_INHERIT) {
		b->plan->shared_session = true;
		return build_row(b, fds_caller_tty(b) ? ROW_OPEN : ROW_ENFORCED, "terminal", "inherit",
				 "the caller's session and terminal", "-", "typing into it (TIOCSTI) is stopped by the system call filter only", p->origin[KEY_TTY]);
	}
	if (!build_op(b, SECTION_TTY, OP_SETSID, NULL, p->origin[KEY_TTY]))
		return -1;
	if (fds_caller_tty(b))
		return build_row(b, ROW_OPEN, "terminal", "none", "a session of its own, but 0-2 are the caller's terminal", "setsid",
				 "it can be read and its modes changed through them; redirect them, or leave tty = auto", p->origin[KEY_TTY]);
	return build_row(b, ROW_ENFORCED, "terminal", "none", "a session of its own, no terminal", "setsid", NULL, p->origin[KEY_TTY]);
}
