/* PID 1, or what takes its place.
 * Runs in: parent. */
#include "layer/layer.h"

int init_compile(struct build *b)
{
	const struct policy *p = b->policy;
	bool pidns = !layer_never(b) && p->ns[NS_PID].how == NS_NEW;

	if (b->plan->mode == PLAN_ENTER_HERE)
		return build_row(b, ROW_MISSING, "process tree", "ends with the program", "-", "-", "nobody ends what the process leaves behind", p->origin[KEY_INIT]);
	b->plan->need_init = p->init;
	if (!p->init)
		return build_row(b, ROW_OPEN, "init", "no", "the program itself is PID 1", "-", "it must reap; signals without a handler don't reach it; it can undo its end with the launcher", p->origin[KEY_INIT]);
	if (!build_op(b, SECTION_INIT, pidns ? OP_INIT : OP_SUBREAPER, NULL, p->origin[KEY_INIT]))
		return -1;
	if (pidns)
		return build_row(b, ROW_ENFORCED, "process tree", "ends with the program", "ends with the program", "PID 1 of a pid namespace", NULL, p->origin[KEY_INIT]);
	return build_row(b, ROW_WEAKER, "process tree", "ends with the program", "ends with the program", "subreaper that ends its orphans",
			 "no pid namespace: a program that forks fast may outrun it", p->origin[KEY_INIT]);
}
