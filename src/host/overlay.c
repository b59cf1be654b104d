/* Can an overlay be mounted by an ordinary user here? Only trying tells: the kernel's age, its build, a policy
 * module and a filter around us all have a say.
 * Runs in: parent (host_probe_overlay), child (the rest: raw calls only, since the host program may have threads). */
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "host/internal.h"
#include "sys/sys.h"

struct answer { int32_t errnum, step; uint8_t xattr; };
enum { STEP_NAMESPACE, STEP_TMPFS, STEP_OVERLAY };

static int new_tmpfs(void)
{
	int fs = sys_fsopen("tmpfs", U_FSOPEN_CLOEXEC), mnt, r;

	if (fs < 0)
		return fs;
	r = sys_fsconfig(fs, U_FSCONFIG_SET_STRING, "size", "64k", 0);
	if (r >= 0)
		r = sys_fsconfig(fs, U_FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mnt = r < 0 ? r : sys_fsmount(fs, U_FSMOUNT_CLOEXEC, 0);
	sys_close(fs);
	return mnt;
}

/* Over "/": it always exists, and our own root stays what it was. */
static int try_overlay(int mnt, struct answer *a)
{
	static const char *const names[] = { "l", "u", "w", "m" };
	int r = sys_move_mount(mnt, "", AT_FDCWD, "/", U_MOVE_MOUNT_F_EMPTY_PATH);

	for (size_t i = 0; i < COUNT_OF(names) && r >= 0; i++)
		r = sys_mkdirat(mnt, names[i], 0700);
	if (r >= 0)
		r = sys_fchdir(mnt);
	if (r < 0)
		return r;
	a->xattr = SYS5(SYS_setxattr, "u", "user.hutch", "1", 1, 0) == 0;
	a->step = STEP_OVERLAY;
	return sys_mount("overlay", "m", "overlay", 0, "userxattr,lowerdir=l,upperdir=u,workdir=w");
}

static int try_all(struct answer *a, uint32_t uid, uint32_t gid)
{
	int r = sys_unshare(U_CLONE_NEWUSER | U_CLONE_NEWNS), mnt;

	/* Without a mapped id nothing could be made on the tmpfs. */
	if (r >= 0)
		r = host_map_self(uid, gid);
	if (r >= 0)
		r = sys_mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (r < 0)
		return r;
	a->step = STEP_TMPFS;
	mnt = new_tmpfs();
	return mnt < 0 ? mnt : try_overlay(mnt, a);
}

static void child(int fd, uint32_t uid, uint32_t gid)
{
	struct answer a = { .step = STEP_NAMESPACE };
	int r;

	sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* A caller with other real than effective ids isn't dumpable: its /proc files belong to root then. */
	sys_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	r = try_all(&a, uid, gid);
	a.errnum = r < 0 ? -r : 0;
	sys_write(fd, &a, sizeof a);
	sys_exit(0);
}

void host_probe_overlay(struct host *h)
{
	struct answer a = { .errnum = ENOSYS, .step = STEP_OVERLAY };
	int fds[2], status, r;
	long pid, n;

	h->overlay = h->tmpfs_xattr = false;
	if ((r = sys_pipe2(fds, O_CLOEXEC)) < 0) {
		h->overlay_errno = -r;
		return;
	}
	/* Without an exit signal a waitpid(-1) or SIGCHLD handler of the host program doesn't see it. */
	pid = SYS5(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		child(fds[1], h->euid, h->egid);
	sys_close(fds[1]);
	do
		n = pid < 0 ? pid : sys_read(fds[0], &a, sizeof a);
	while (n == -EINTR);
	sys_close(fds[0]);
	do
		r = pid < 0 ? 0 : (int)SYS4(SYS_wait4, pid, &status, __WALL, NULL);
	while (r == -EINTR);
	/* Killed by a filter: that is an answer too. */
	if (n != (long)sizeof a)
		a = (struct answer){ .errnum = n < 0 ? (int)-n : ENOSYS, .step = STEP_OVERLAY };
	/* Where there is no namespace at all the launch says so, and why; it isn't overlay's fault. */
	h->overlay = a.errnum == 0 || a.step == STEP_NAMESPACE;
	h->overlay_errno = a.errnum;
	h->tmpfs_xattr = a.step == STEP_NAMESPACE || a.xattr;
}
