/* Descriptors for the program, seen from the launcher: examined, copied, and kept out of each other's way.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "run/run.h"

/* linux/magic.h: NSFS_MAGIC, PID_FS_MAGIC (newer than some headers), PROC_SUPER_MAGIC */
#define NSFS 0x6e736673ul
#define PIDFS 0x50494446ul
#define PROCFS 0x9fa0ul

/* Why a descriptor of this kind is a way out, NULL = it isn't. */
static const char *bad_kind(int fd, const struct stat *st, int flags)
{
	struct statfs fs;

	if (flags & O_PATH)
		return "it is an O_PATH descriptor";
	if (S_ISDIR(st->st_mode))
		return "it is a directory";
	if (S_ISSOCK(st->st_mode))
		return "it is a socket";
	if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3))
		return NULL; /* /dev/null */
	if (S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode))
		return "it is a terminal or device";
	if (!(st->st_mode & S_IFMT))
		return "it is an anonymous kernel object";
	if (fstatfs(fd, &fs) == 0 && ((unsigned long)fs.f_type == NSFS || (unsigned long)fs.f_type == PIDFS || (unsigned long)fs.f_type == PROCFS))
		return "it is a namespace, a process or a file of /proc";
	return NULL;
}

static int bad_descriptor(const struct policy *p, int fd, int errnum, const char *why, struct hutch_error *e)
{
	error_set(e, ERR_FD_KEEP, errnum, errnum ? "fcntl" : NULL, NULL, p->origin[KEY_FD]);
	return error_detail(e, "descriptor %d: %s", fd, why);
}

/* A copy whose number is nobody's place inside; 0-2 are places always. */
static int copy_aside(const struct policy *p, int fd)
{
	int from = 3, n;

	while ((n = fcntl(fd, F_DUPFD_CLOEXEC, from)) >= 0 && policy_places(p, n)) {
		close(n);
		from = n + 1;
	}
	return n;
}

/* The copy is what is examined and passed on, so another thread that closes or replaces the caller's own
 * descriptor meanwhile changes nothing. */
static int hold(const struct policy *p, int fd, bool any_kind, struct hutch_error *e)
{
	int copy = copy_aside(p, fd), flags;
	struct stat st;
	const char *bad;

	if (copy < 0)
		return bad_descriptor(p, fd, errno, errno == EBADF ? "it isn't open" : "no copy of it can be made", e);
	flags = fcntl(copy, F_GETFL);
	if (flags < 0 || fstat(copy, &st) < 0)
		bad = "it can't be looked at";
	else
		bad = any_kind ? NULL : bad_kind(copy, &st, flags);
	if (!bad)
		return copy;
	close(copy);
	return bad_descriptor(p, fd, 0, bad, e);
}

static int outside_of(const struct policy *p, size_t i, const struct hutch_fd *given, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		if (given[k].inside == p->fds[i])
			return given[k].outside;
	}
	return p->fds_from[i];
}

static int check_given(const struct policy *p, const struct hutch_fd *given, size_t count, struct hutch_error *e)
{
	for (size_t k = 0; k < count; k++) {
		if (!policy_places(p, given[k].inside))
			return bad_descriptor(p, given[k].inside, 0, "no line \"fd\" of the policy names it", e);
		for (size_t other = 0; other < k; other++) {
			if (given[other].inside == given[k].inside)
				return bad_descriptor(p, given[k].inside, 0, "it is given twice", e);
		}
	}
	return 0;
}

/* The plan was made for what 0 to 2 were then. */
int fds_unchanged(const struct plan *plan, const struct host *h, struct hutch_error *e)
{
	static const char *const names[] = { "standard input", "standard output", "standard error" };

	for (int fd = 0; fd < 3; fd++) {
		struct stat st = { 0 };
		if (policy_places(plan->policy, fd) || !h->fd_open[fd] || plan->relay_output[fd])
			continue;
		if (fstat(fd, &st) == 0 ? (st.st_mode & S_IFMT) == (h->fd_mode[fd] & S_IFMT) && (!S_ISCHR(st.st_mode) || isatty(fd) == h->fd_tty[fd]) : errno != EBADF)
			continue;
		error_set(e, ERR_FD_STDIO, 0, NULL, names[fd], "caller");
		error_detail(e, "it isn't of the kind that it was when the plan was made");
		return error_remedy(e, "make the plan anew after standard descriptors have changed, or name them in it (fd)");
	}
	return 0;
}

int fds_hold(const struct plan *plan, const struct hutch_run *r, int *held, struct hutch_error *e)
{
	const struct policy *p = plan->policy;

	if (check_given(p, r->given, r->given_count, e) < 0)
		return -1;
	for (size_t i = 0; i < p->fd_count; i++) {
		int fd = outside_of(p, i, r->given, r->given_count);
		held[i] = hold(p, fd, p->fd_any_kind || (r->given_count && fd == r->exempt), e);
		if (held[i] < 0)
			return -1;
		if (plan->mode != PLAN_RUN) {
			close(held[i]);
			held[i] = -1;
		}
	}
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct path_rule *rule = &p->rules[i];
		if (rule->kind != RULE_FILE_FD || fcntl(rule->fd, F_GETFD) >= 0)
			continue;
		error_set(e, ERR_FD_KEEP, EBADF, "fcntl", NULL, rule->origin);
		return error_detail(e, "descriptor %d, for %s, isn't open", rule->fd, rule->dst);
	}
	return 0;
}

int fds_aside(const struct policy *p, int *fd)
{
	int moved;

	if (*fd < 0 || (*fd > 2 && !policy_places(p, *fd)))
		return 0;
	moved = copy_aside(p, *fd);
	if (moved < 0)
		return -1;
	close(*fd);
	*fd = moved;
	return 0;
}

int fds_input(const struct policy *p, int *held)
{
	struct stat st;
	int flags, fd;

	if (!p->fd_count || p->fds[0] != 0 || p->host_root)
		return -1;
	flags = fcntl(held[0], F_GETFL);
	if (flags < 0 || fstat(held[0], &st) < 0 || !S_ISREG(st.st_mode) || (flags & O_ACCMODE) != O_RDONLY)
		return -1;
	fd = held[0];
	held[0] = -1;
	return fd;
}
