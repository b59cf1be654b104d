/* Detached copies of mount sources made by a privileged launcher, with file owners mapped.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

/* Shares the caller's memory, so that its size costs nothing, and so does nothing but wait for the end. */
__attribute__((no_sanitize("thread", "address")))
static int hold_userns(void *unused)
{
	(void)unused;
	if (sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) {
		for (;;)
			SYS5(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	}
	sys_exit(0);
}

/* An idmapped mount takes its map from a user namespace, and that needs a process to be made in. It ends by a
 * signal: the end of a pipe could be held open by such a process of another thread, and that one's by this. */
static int mapped_userns(const struct opened *o, uint32_t uid, uint32_t gid, struct hutch_error *e)
{
	struct id_extent u = { o->idmap_from, uid, 1 }, g = { o->idmap_from_gid, gid, 1 };
	struct plan maps = { .userns_new = true, .uid_extents = &u, .gid_extents = &g, .uid_extent_count = 1, .gid_extent_count = 1 };
	char path[64], stack[4096] __attribute__((aligned(16)));
	int pid, fd = -1, saved = 0;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* no handler of the caller's may run in there */
	pid = (int)sys_clone_on(CLONE_VM | CLONE_NEWUSER, stack + sizeof stack, hold_userns, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return error_set(e, ERR_MOUNT_IDMAP, -pid, "clone", o->path, o->origin);
	if (idmap_write(&maps, NULL, pid, 0, e) == 0) {
		snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		saved = errno;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
	return fd < 0 && saved ? error_set(e, ERR_MOUNT_IDMAP, saved, "open", path, o->origin) : fd;
}

static int tree_open(const struct opened *o, uint32_t allocated, struct hutch_error *e)
{
	unsigned recursive = o->recursive ? U_AT_RECURSIVE : 0;
	int tree = sys_open_tree(AT_FDCWD, o->path, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC | recursive);

	if (tree < 0)
		return error_set(e, ERR_LAUNCH_SOURCE, -tree, "open_tree", o->path, o->origin);
	if (!o->idmap)
		return tree;
	struct u_mount_attr a = { .attr_set = U_MOUNT_ATTR_IDMAP };
	int ns = mapped_userns(o, o->idmap_to == HUTCH_ID_ALLOCATED ? allocated : o->idmap_to,
			       o->idmap_to_gid == HUTCH_ID_ALLOCATED ? allocated : o->idmap_to_gid, e);
	if (ns < 0) {
		close(tree);
		return -1;
	}
	a.userns_fd = (uint64_t)ns;
	int r = sys_mount_setattr(tree, "", U_AT_EMPTY_PATH | recursive, &a);
	close(ns);
	/* A file system without this support (NFS, FUSE, some submount): the tree is shown with its real owners,
	 * which only ever means fewer rights for the program. */
	if (r == -EINVAL || r == -EPERM || r == -EOPNOTSUPP)
		return tree;
	if (r < 0) {
		close(tree);
		return error_set(e, ERR_MOUNT_IDMAP, -r, "mount_setattr", o->path, o->origin);
	}
	return tree;
}

int source_open(const struct opened *o, uint32_t allocated, struct hutch_error *e)
{
	int fd;

	if (o->kind == OPENED_TREE)
		return tree_open(o, allocated, e);
	fd = open(o->path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_set(e, ERR_LAUNCH_SOURCE, errno, "open", o->path, o->origin) : fd;
}
