/* What the kernel must say of the program before its filter is loaded.
 * Runs in: parent. */
#include "layer/layer.h"

int verify_compile(struct build *b)
{
	struct op *op;

	/* Init was closed to what it forked, and so is its copy: exec would have opened that again. */
	if (b->plan->mode == PLAN_ENTER && !build_op(b, SECTION_VERIFY, OP_DUMPABLE, NULL, "default"))
		return -1;
	op = build_op(b, SECTION_VERIFY, OP_VERIFY, NULL, "default");

	if (!op)
		return -1;
	op->number[0] = b->plan->uid;
	op->number[1] = b->plan->gid;
	op->number[2] = b->plan->keep_identity ? UINT64_MAX : b->policy->caps;
	op->number[3] = b->policy->no_new_privs;
	if (b->policy->ns[NS_USER].how == NS_JOIN && !b->policy->user_given)
		op->flags = OPF_NOVERIFY; /* of the ids: only the joined namespace knows them */
	/* A hostile tree could name /proc/self/exe as the program: that is the launcher's own file, outside of it. */
	if (b->policy->rootfs && !layer_enters(b) && !build_op(b, SECTION_VERIFY, OP_EXEC_CHECK, b->plan->exec_path, "default"))
		return -1;
	return 0;
}
