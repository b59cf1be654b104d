/* See sync.h.
 * Runs in: parent, child, init. */
#include "run/sync.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "sys/sys.h"

union control { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; };

int sync_send(int socket, const struct message *m, int fd)
{
	struct iovec io = { (void *)(uintptr_t)m, sizeof *m };
	union control c = { .header = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1 };
	long r;

	if (fd >= 0) {
		h.msg_control = &c;
		h.msg_controllen = sizeof c;
		__builtin_memcpy(CMSG_DATA(&c.header), &fd, sizeof fd);
	}
	do
		r = sys_sendmsg(socket, &h, MSG_NOSIGNAL);
	while (r == -EINTR);
	return r == (long)sizeof *m ? 0 : r < 0 ? (int)r : -EPROTO;
}

static int wait_readable(int socket, int timeout_ms)
{
	struct pollfd p = { .fd = socket, .events = POLLIN };
	struct timespec t = { timeout_ms / 1000, (timeout_ms % 1000) * 1000000L };
	long r;

	do
		r = SYS5(SYS_ppoll, &p, 1, timeout_ms < 0 ? NULL : &t, NULL, 0);
	while (r == -EINTR);
	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : (int)r;
}

int sync_receive(int socket, struct message *m, int *fd, int timeout_ms)
{
	struct iovec io = { m, sizeof *m };
	union control c;
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
	long r;

	if (fd)
		*fd = -1;
	if (timeout_ms >= 0 && (r = wait_readable(socket, timeout_ms)) < 0)
		return (int)r;
	do
		r = sys_recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	while (r == -EINTR);
	if (r <= 0)
		return r == -ECONNRESET ? 0 : (int)r;
	for (struct cmsghdr *x = CMSG_FIRSTHDR(&h); x; x = NULL) {
		if (x->cmsg_level != SOL_SOCKET || x->cmsg_type != SCM_RIGHTS || x->cmsg_len != CMSG_LEN(sizeof(int)))
			return -EPROTO;
		int got;
		__builtin_memcpy(&got, CMSG_DATA(x), sizeof got);
		if (fd)
			*fd = got;
		else
			sys_close(got);
	}
	return r == (long)sizeof *m && !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? 1 : -EPROTO;
}
