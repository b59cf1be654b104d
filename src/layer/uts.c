/* Host name.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

int uts_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	/* A cgroup namespace shows the cgroup of the process that makes it as the top: made late, see cgroup.c. */
	if (b->plan->late_cgroupns && !build_op(b, SECTION_UTS, OP_CGROUPNS, NULL, p->origin[KEY_CGROUPNS]))
		return -1;
	if (layer_never(b) || p->ns[NS_UTS].how != NS_NEW)
		return 0;
	if (p->hostname) {
		op = build_op(b, SECTION_UTS, OP_HOSTNAME, p->hostname, p->origin[KEY_HOSTNAME]);
		if (!op)
			return -1;
	}
	if (p->domainname && !build_op(b, SECTION_UTS, OP_DOMAINNAME, p->domainname, p->origin[KEY_DOMAINNAME]))
		return -1;
	return 0;
}
