/* The trial: a child of ours does what a launch would do, in namespaces that end with it, and tells how
 * far it came. The only way to know on hosts where a policy module decides.
 * Runs in: parent (host_trial*), child (the rest: raw calls only, since the host program may have threads). */
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "host/internal.h"
#include "sys/sys.h"

const char *const host_trial_names[TRIAL_STEPS] = {
	[TRIAL_USERNS] = "creating a user namespace", [TRIAL_MAP] = "writing its id maps",
	[TRIAL_MNTNS] = "creating a mount namespace", [TRIAL_TMPFS] = "mounting a tmpfs",
	[TRIAL_NETNS] = "creating a network namespace", [TRIAL_LOOPBACK] = "bringing up its loopback interface",
	[TRIAL_PIDNS] = "creating a pid namespace", [TRIAL_PROC] = "mounting a fresh procfs",
	[TRIAL_API] = "using the mount interface of Linux 5.2",
};

/* ---- child ---- */
static int write_file(const char *path, const char *text, size_t len)
{
	int fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	long n = sys_write(fd, text, len);

	sys_close(fd);
	return n < 0 ? (int)n : 0;
}

/* "0 ID 1": formatted by hand, stdio may hold a lock that another thread had at the clone. */
static size_t map_line(char *to, uint32_t id)
{
	char digits[12];
	size_t n = 0, len = 0;

	do
		digits[n++] = (char)('0' + id % 10);
	while (id /= 10);
	to[len++] = '0';
	to[len++] = ' ';
	while (n)
		to[len++] = digits[--n];
	to[len++] = ' ';
	to[len++] = '1';
	return len;
}

int host_map_self(uint32_t uid, uint32_t gid)
{
	char line[32];
	int r = write_file("/proc/self/setgroups", "deny", 4);

	if (r == 0)
		r = write_file("/proc/self/uid_map", line, map_line(line, uid));
	if (r == 0)
		r = write_file("/proc/self/gid_map", line, map_line(line, gid));
	return r;
}

static int try_tmpfs(void)
{
	int r = sys_mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);

	/* Over "/": it always exists, and our own root stays what it was. */
	return r < 0 ? r : sys_mount("tmpfs", "/", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k");
}

static int try_loopback(void)
{
	struct ifreq request;
	int fd = sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	memset(&request, 0, sizeof request);
	memcpy(request.ifr_name, "lo", 3);
	request.ifr_flags = IFF_UP;
	r = sys_ioctl(fd, 0x8914 /* SIOCSIFFLAGS */, &request);
	sys_close(fd);
	return r;
}

static void first_of_pidns(int fd)
{
	int32_t r = sys_mount("proc", "/", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);

	sys_write(fd, &r, sizeof r);
	sys_exit(0);
}

/* The procfs belongs to the pid namespace of the one who mounts it: this needs its first process. */
static int try_proc(int *pidns)
{
	int fds[2], status;
	int32_t r = -EIO;

	*pidns = sys_unshare(U_CLONE_NEWPID);
	if (*pidns < 0)
		return 0;
	*pidns = sys_pipe2(fds, O_CLOEXEC);
	if (*pidns < 0)
		return 0;
	long pid = SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		first_of_pidns(fds[1]);
	sys_close(fds[1]);
	if (pid < 0) {
		*pidns = (int)pid;
		sys_close(fds[0]);
		return 0;
	}
	if (sys_read(fds[0], &r, sizeof r) != (long)sizeof r)
		r = -EIO;
	sys_close(fds[0]);
	SYS4(SYS_wait4, pid, &status, 0, NULL);
	return r;
}

static bool note(struct trial *t, enum trial_step step, int r)
{
	t->errnum[step] = r < 0 ? -r : 0;
	return r >= 0;
}

static void try_api(struct trial *t)
{
	long mover = SYS5(NR_move_mount, -1, "", -1, "", ~0u), opener = SYS2(NR_fsopen, NULL, ~0u);

	t->move_mount = mover != -ENOSYS && mover != -EPERM;
	t->fsopen = opener != -ENOSYS && opener != -EPERM;
	t->errnum[TRIAL_API] = !t->move_mount ? (int)-mover : !t->fsopen ? (int)-opener : 0;
}

static void try_all(struct trial *t, uint32_t uid, uint32_t gid)
{
	int pidns = 0, proc;

	if (!note(t, TRIAL_USERNS, sys_unshare(U_CLONE_NEWUSER)))
		return;
	if (!note(t, TRIAL_MAP, host_map_self(uid, gid)))
		return;
	if (!note(t, TRIAL_MNTNS, sys_unshare(U_CLONE_NEWNS)))
		return;
	try_api(t);
	if (!note(t, TRIAL_TMPFS, try_tmpfs()))
		return;
	if (note(t, TRIAL_NETNS, sys_unshare(U_CLONE_NEWNET)))
		note(t, TRIAL_LOOPBACK, try_loopback());
	proc = try_proc(&pidns);
	if (note(t, TRIAL_PIDNS, pidns))
		note(t, TRIAL_PROC, proc);
}

static void child(int fd, uint32_t uid, uint32_t gid)
{
	struct trial t;

	sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	memset(&t, 0, sizeof t);
	for (int i = 0; i < TRIAL_STEPS; i++)
		t.errnum[i] = -1;
	/* A caller with other real than effective ids isn't dumpable: its /proc files belong to root then. */
	sys_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	try_all(&t, uid, gid);
	sys_write(fd, &t, sizeof t);
	sys_exit(0);
}

/* ---- parent ---- */
static bool read_all(int fd, void *to, size_t size)
{
	size_t used = 0;

	while (used < size) {
		long n = sys_read(fd, (char *)to + used, size - used);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return false;
		used += (size_t)n;
	}
	return true;
}

int host_trial(const struct host *h, struct trial *t, struct hutch_error *e)
{
	int fds[2], r, status;

	if ((r = sys_pipe2(fds, O_CLOEXEC)) < 0)
		return error_set(e, ERR_HOST_PROBE, -r, "pipe2", "a trial in a child", NULL);
	/* Without an exit signal a waitpid(-1) or SIGCHLD handler of the host program doesn't see it. */
	long pid = SYS5(SYS_clone, 0, 0, 0, 0, 0);

	if (pid == 0)
		child(fds[1], h->euid, h->egid);
	sys_close(fds[1]);
	if (pid < 0) {
		sys_close(fds[0]);
		return error_set(e, ERR_HOST_PROBE, (int)-pid, "clone", "a trial in a child", NULL);
	}
	bool told = read_all(fds[0], t, sizeof *t);

	sys_close(fds[0]);
	do
		r = (int)SYS4(SYS_wait4, pid, &status, __WALL, NULL);
	while (r == -EINTR);
	if (!told) { /* a filter killed it: that is an answer too */
		memset(t, 0, sizeof *t);
		for (int i = 0; i < TRIAL_STEPS; i++)
			t->errnum[i] = -1;
		t->errnum[TRIAL_USERNS] = ENOSYS;
	}
	return 0;
}
