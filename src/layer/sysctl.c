/* Nested user namespaces: none, by the kernel's own counter.
 * Runs in: parent. */
#include "layer/layer.h"

int sysctl_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	if (p->nest)
		return build_row(b, ROW_OPEN, "nested user namespaces", "allow", "allowed", "-", NULL, p->origin[KEY_NEST]);
	if (!b->plan->userns_new || !b->host->proc_sys_writable)
		return build_row(b, ROW_WEAKER, "nested user namespaces", "deny", "denied", "system call filter",
				 b->plan->userns_new ? "/proc/sys can't be written here" : "no user namespace of its own to limit",
				 p->origin[KEY_NEST]);
	/* Without a user namespace nothing inside has the capability that the other kinds need. */
	op = build_op(b, SECTION_SYSCTL, OP_SYSCTL, "/proc/sys/user/max_user_namespaces", p->origin[KEY_NEST]);
	if (!op)
		return -1;
	op->data = "0";
	op->data_len = 1;
	return build_row(b, ROW_ENFORCED, "nested user namespaces", "deny", "denied", "user.max_user_namespaces=0, system call filter",
			 NULL, p->origin[KEY_NEST]);
}
