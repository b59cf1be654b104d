/* Landlock and seccomp.
 * Runs in: child. */
#include <linux/filter.h>
#include <sys/stat.h>

#include "layer/layer.h"
#include "run/sync.h"
#include "sys/sys.h"

#define SECCOMP_MODE_FILTER_OP 1u
#define SECCOMP_NEW_LISTENER 8ul /* linux/seccomp.h: SECCOMP_FILTER_FLAG_NEW_LISTENER */

/* The ruleset is the only descriptor that two operations share; it lives in the child's stack of slots. */
int child_op_LANDLOCK_RULESET(struct child *c, const struct op *op)
{
	struct u_landlock_ruleset r = { op->number[0], op->number[1], op->number[2] };
	int fd = sys_landlock_create(&r, op->number[3], 0);

	if (fd < 0)
		return child_fail(c, op, ERR_LANDLOCK_RESTRICT, fd, "landlock_create_ruleset", NULL);
	c->landlock = fd;
	return 0;
}

int child_op_LANDLOCK_PATH(struct child *c, const struct op *op)
{
	struct u_landlock_path rule = { .allowed = op->number[0] };
	int r;

	rule.fd = sys_openat(AT_FDCWD, op->path, O_PATH | O_CLOEXEC, 0);
	/* A grant for what isn't there grants nothing. */
	if (rule.fd == -ENOENT)
		return 0;
	if (rule.fd < 0)
		return child_fail(c, op, ERR_LANDLOCK_RULE, rule.fd, "openat", NULL);
	struct stat st;
	if (op->number[3] && (SYS2(SYS_fstat, rule.fd, &st) < 0 || st.st_dev != op->number[1] || st.st_ino != op->number[2])) {
		sys_close(rule.fd);
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, NULL, NULL);
	}
	r = sys_landlock_add(c->landlock, U_LANDLOCK_RULE_PATH, &rule);
	sys_close(rule.fd);
	return r < 0 ? child_fail(c, op, ERR_LANDLOCK_RULE, r, "landlock_add_rule", NULL) : 0;
}

int child_op_LANDLOCK_PORT(struct child *c, const struct op *op)
{
	struct u_landlock_port rule = { .allowed = op->number[1], .port = op->number[0] };
	int r = sys_landlock_add(c->landlock, U_LANDLOCK_RULE_PORT, &rule);

	return r < 0 ? child_fail(c, op, ERR_LANDLOCK_RULE, r, "landlock_add_rule", "TCP port") : 0;
}

int child_op_LANDLOCK_RESTRICT(struct child *c, const struct op *op)
{
	int r = sys_landlock_restrict(c->landlock);

	if (!c->one_of_many)
		child_release(c, c->landlock);
	return r < 0 ? child_fail(c, op, ERR_LANDLOCK_RESTRICT, r, "landlock_restrict_self", NULL) : 0;
}

int child_op_SECCOMP(struct child *c, const struct op *op)
{
	const struct filter *f = &c->plan->filters[op->number[0]];
	struct sock_fprog program = { (unsigned short)f->count, (struct sock_filter *)(uintptr_t)f->words };
	bool listen = op->flags & OPF_LISTEN;
	int r = sys_seccomp(SECCOMP_MODE_FILTER_OP, listen ? SECCOMP_NEW_LISTENER : (unsigned)op->number[1], &program);

	if (listen && r >= 0) {
		int fd = r;
		r = sync_send(c->control, &(struct message){ .type = MSG_LISTENER }, fd);
		sys_close(fd);
	} else if (r > 0) { /* with TSYNC: the thread that could not be brought along */
		return child_fail(c, op, ERR_ENTER_THREAD, -ECANCELED, "seccomp", "a thread with a filter of its own");
	}
	return r < 0 ? child_fail(c, op, ERR_SECCOMP_LOAD, r, "seccomp", NULL) : 0;
}
