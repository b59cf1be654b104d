/* Namespaces from inside: joining, host name, clocks, loopback, sysctl.
 * Runs in: child. */
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "layer/layer.h"
#include "sys/sys.h"

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int child_op_SETNS(struct child *c, const struct op *op)
{
	int r = sys_setns(c->slots[op->number[0]], (unsigned)op->number[1]);

	return r < 0 ? child_fail(c, op, ERR_NS_JOIN, r, "setns", NULL) : 0;
}

int child_op_CGROUPNS(struct child *c, const struct op *op)
{
	int r = sys_unshare(U_CLONE_NEWCGROUP);

	return r < 0 ? child_fail(c, op, ERR_NS_MISSING, r, "unshare", "cgroup") : 0;
}

int child_op_HOSTNAME(struct child *c, const struct op *op)
{
	int r = sys_sethostname(op->path, length(op->path));

	return r < 0 ? child_fail(c, op, ERR_HOSTNAME, r, "sethostname", NULL) : 0;
}

int child_op_DOMAINNAME(struct child *c, const struct op *op)
{
	int r = sys_setdomainname(op->path, length(op->path));

	return r < 0 ? child_fail(c, op, ERR_HOSTNAME, r, "setdomainname", NULL) : 0;
}

static int write_file(struct child *c, const char *path, const void *data, size_t len)
{
	int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
	long n = fd < 0 ? fd : sys_write(fd, data, len);

	if (fd >= 0)
		child_release(c, fd);
	return n < 0 ? (int)n : n == (long)len ? 0 : -EIO;
}

int child_op_TIMENS(struct child *c, const struct op *op)
{
	int r = sys_unshare(U_CLONE_NEWTIME);

	if (r < 0)
		return child_fail(c, op, ERR_NS_TIME, r, "unshare", "time namespace");
	r = op->path[0] ? write_file(c, "/proc/self/timens_offsets", op->path, length(op->path)) : 0;
	return r < 0 ? child_fail(c, op, ERR_NS_TIME, r, "write", "/proc/self/timens_offsets") : 0;
}

int child_op_LOOPBACK_UP(struct child *c, const struct op *op)
{
	struct ifreq q = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int s = sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = s < 0 ? s : sys_ioctl(s, SIOCSIFFLAGS, &q);

	if (s >= 0)
		child_release(c, s);
	return r < 0 ? child_fail(c, op, ERR_LOOPBACK, r, s < 0 ? "socket" : "ioctl SIOCSIFFLAGS", "lo") : 0;
}

int child_op_SYSCTL(struct child *c, const struct op *op)
{
	int r = write_file(c, op->path, op->data, op->data_len);

	return r < 0 ? child_fail(c, op, ERR_SYSCTL, r, "write", NULL) : 0;
}
