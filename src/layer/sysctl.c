/* Settings of the run's own namespaces: no nested user namespaces, by the kernel's own counter; the most process ids.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

static int set(struct build *b, const char *path, const char *value, const char *origin)
{
	struct op *op = value ? build_op(b, SECTION_SYSCTL, OP_SYSCTL, path, origin) : NULL;

	if (!op)
		return value ? -1 : error_nomem(b->error);
	op->data = value;
	op->data_len = strlen(value);
	return 0;
}

static int pid_max(struct build *b)
{
	uint64_t n = b->plan->limits.standin_pid_max; /* its row is that of pids */

	return n ? set(b, "/proc/sys/kernel/pid_max", arena_printf(b->plan->arena, "%llu", (unsigned long long)n), b->policy->origin[KEY_PIDS]) : 0;
}

static int nesting(struct build *b)
{
	const struct policy *p = b->policy;

	if (p->nest)
		return build_row(b, ROW_OPEN, "nested user namespaces", "allow", "allowed", "-", NULL, p->origin[KEY_NEST]);
	if (!b->plan->userns_new || !b->host->proc_sys_writable)
		return build_row(b, ROW_WEAKER, "nested user namespaces", "deny", "denied", "system call filter",
				 b->plan->userns_new ? "/proc/sys can't be written here" : "no user namespace of its own to limit",
				 p->origin[KEY_NEST]);
	/* Without a user namespace nothing inside has the capability that the other kinds need. */
	if (set(b, "/proc/sys/user/max_user_namespaces", "0", p->origin[KEY_NEST]) < 0)
		return -1;
	return build_row(b, ROW_ENFORCED, "nested user namespaces", "deny", "denied", "user.max_user_namespaces=0, system call filter",
			 NULL, p->origin[KEY_NEST]);
}

int sysctl_compile(struct build *b)
{
	return nesting(b) < 0 ? -1 : pid_max(b);
}
