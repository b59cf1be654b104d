/* Detached copies of mount sources made by a privileged launcher, with file owners mapped.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

/* Shares the caller's memory, so that its size costs nothing, and so does nothing. */
__attribute__((no_sanitize("thread", "address")))
static int end_at_once(void *unused)
{
	(void)unused;
	sys_exit(0);
}

/* An idmapped mount takes its map from a user namespace, and that needs a process to be made in. It ends at once:
 * until it is waited for, its namespace can be mapped and opened. It ends without a signal, so a caller that ignores
 * SIGCHLD, or waits for every child, doesn't take it away meanwhile. */
static int mapped_userns(const struct opened *o, uint32_t uid, uint32_t gid, struct hutch_error *e)
{
	struct id_extent u = { o->idmap_from, uid, 1 }, g = { o->idmap_from_gid, gid, 1 };
	struct plan maps = { .userns_new = true, .uid_extents = &u, .gid_extents = &g, .uid_extent_count = 1, .gid_extent_count = 1 };
	char path[64], stack[4096] __attribute__((aligned(16)));
	int pid, fd = -1;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* no handler of the caller's may run in there */
	pid = (int)sys_clone_on(CLONE_VM | CLONE_NEWUSER, stack + sizeof stack, end_at_once, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return error_set(e, ERR_MOUNT_IDMAP, -pid, "clone", o->path, o->origin);
	if (idmap_write(&maps, NULL, pid, 0, e) == 0) {
		snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
		fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
		if (fd < 0)
			fd = error_set(e, ERR_MOUNT_IDMAP, -fd, "open", path, o->origin);
	}
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
	return fd;
}

/* One namespace serves every source with the same map. */
static int userns_of(struct mapper *m, const struct opened *o, uint32_t allocated, struct hutch_error *e)
{
	uint32_t uid = o->idmap_to == HUTCH_ID_ALLOCATED ? allocated : o->idmap_to;
	uint32_t gid = o->idmap_to_gid == HUTCH_ID_ALLOCATED ? allocated : o->idmap_to_gid;
	bool same = m->of && m->of->idmap_from == o->idmap_from && m->of->idmap_from_gid == o->idmap_from_gid &&
		    m->of->idmap_to == o->idmap_to && m->of->idmap_to_gid == o->idmap_to_gid;

	if (same)
		return m->userns;
	mapper_done(m);
	m->userns = mapped_userns(o, uid, gid, e);
	m->of = m->userns < 0 ? NULL : o;
	return m->userns;
}

void mapper_done(struct mapper *m)
{
	if (m->of)
		close(m->userns);
	m->of = NULL;
}

static int tree_open(struct mapper *m, const struct opened *o, uint32_t allocated, struct hutch_error *e)
{
	unsigned recursive = o->recursive ? U_AT_RECURSIVE : 0;
	/* A copy is a peer of what it was copied from: what is mounted in the sandbox would be mounted on the host, too. */
	struct u_mount_attr a = { .attr_set = o->attr_set | (o->idmap ? U_MOUNT_ATTR_IDMAP : 0), .propagation = MS_PRIVATE };
	int tree = sys_open_tree(AT_FDCWD, o->path, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC | recursive), r;

	if (tree < 0)
		return error_set(e, ERR_LAUNCH_SOURCE, -tree, "open_tree", o->path, o->origin);
	if (o->idmap) {
		int ns = userns_of(m, o, allocated, e);
		if (ns < 0) {
			close(tree);
			return -1;
		}
		a.userns_fd = (uint64_t)ns;
	}
	r = sys_mount_setattr(tree, "", U_AT_EMPTY_PATH | recursive, &a);
	/* A file system without this support (NFS, FUSE, some submount): the tree is shown with its real owners,
	 * which only ever means fewer rights for the program. The other attributes hold in any case. */
	if (o->idmap && !o->idmap_must && (r == -EINVAL || r == -EPERM || r == -EOPNOTSUPP)) {
		a = (struct u_mount_attr){ .attr_set = o->attr_set, .propagation = MS_PRIVATE };
		r = sys_mount_setattr(tree, "", U_AT_EMPTY_PATH | recursive, &a);
	}
	if (r < 0) {
		close(tree);
		return error_set(e, ERR_MOUNT_IDMAP, -r, "mount_setattr", o->path, o->origin);
	}
	return tree;
}

int source_open(struct mapper *m, const struct opened *o, uint32_t allocated, struct hutch_error *e)
{
	int fd;

	if (o->kind == OPENED_TREE)
		return tree_open(m, o, allocated, e);
	fd = sys_openat(AT_FDCWD, o->path, O_RDONLY | O_CLOEXEC, 0);
	return fd < 0 ? error_set(e, ERR_LAUNCH_SOURCE, -fd, "open", o->path, o->origin) : fd;
}
