/* The private terminal's inner end, and sessions.
 * Runs in: child. */
#include <asm/ioctls.h>
#include <sys/stat.h>

#include "layer/layer.h"
#include "run/sync.h"
#include "sys/sys.h"

/* PID 1 of a new namespace may lead a session already, and then that is its own. */
static int own_session(void)
{
	int r = sys_setsid();

	return r < 0 && SYS1(SYS_getsid, 0) != SYS0(SYS_getpid) ? r : 0;
}

int child_op_SETSID(struct child *c, const struct op *op)
{
	int r = own_session();

	return r < 0 ? child_fail(c, op, ERR_PTY, r, "setsid", NULL) : 0;
}

static int open_pair(struct child *c, const struct op *op, int *slave)
{
	int unlock = 0, r;
	int master = sys_openat(AT_FDCWD, op->path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);

	if (master < 0)
		return child_fail(c, op, ERR_PTY, master, "openat", NULL);
	r = sys_ioctl(master, TIOCSPTLCK, &unlock);
	if (r < 0)
		return child_fail(c, op, ERR_PTY, r, "ioctl TIOCSPTLCK", NULL);
	/* The other end without a path look-up. */
	*slave = (int)SYS3(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave < 0)
		return child_fail(c, op, ERR_PTY, *slave, "ioctl TIOCGPTPEER", NULL);
	return master;
}

static bool is_terminal(int fd)
{
	char termios[64];

	return sys_ioctl(fd, TCGETS, termios) >= 0;
}

int child_op_PTY(struct child *c, const struct op *op)
{
	int slave = -1, master = open_pair(c, op, &slave), r;

	if (master < 0)
		return -1;
	r = sync_send(c->control, &(struct message){ .type = MSG_PTY }, master);
	sys_close(master);
	if (r < 0)
		return child_fail(c, op, ERR_PTY, r, "sendmsg", NULL);
	r = own_session();
	if (r < 0)
		return child_fail(c, op, ERR_PTY, r, "setsid", NULL);
	r = (int)SYS3(SYS_ioctl, slave, TIOCSCTTY, 0);
	if (r < 0)
		return child_fail(c, op, ERR_PTY, r, "ioctl TIOCSCTTY", NULL);
	/* Only what was a terminal is replaced: a pipe on standard output stays one. */
	for (int fd = 0; fd < 3; fd++) {
		if ((is_terminal(fd) || (fd == 0 && op->number[0])) && (r = sys_dup3(slave, fd, 0)) < 0)
			return child_fail(c, op, ERR_PTY, r, "dup3", NULL);
	}
	c->pty_slave = slave;
	return 0;
}
