/* Clock offsets of the time namespace.
 * Runs in: parent. */
#include "layer/layer.h"

#include "sys/uapi.h"

int timens_compile(struct build *b)
{
	const struct policy *p = b->policy;
	const char *origin = p->origin[KEY_TIME_MONOTONIC];
	struct op *op;

	if (layer_never(b) || p->ns[NS_TIME].how != NS_NEW || !b->host->ns[NS_TIME])
		return 0;
	if (!p->have_time_offset && b->host->clone3)
		return 0;
	/* Offsets are frozen once a process is inside, so with them (or without clone3, whose flag word
	 * alone holds CLONE_NEWTIME) the namespace is made for the children: the program, not our init. */
	b->plan->clone_flags &= ~U_CLONE_NEWTIME;
	op = build_op(b, SECTION_TIME, OP_TIMENS, NULL, origin);
	if (!op)
		return -1;
	op->path = p->have_time_offset
		? arena_printf(b->plan->arena, "monotonic %lld %u\nboottime %lld %u\n", (long long)p->monotonic_s,
			       p->monotonic_ns, (long long)p->boottime_s, p->boottime_ns)
		: "";
	return op->path ? 0 : error_nomem(b->error);
}
