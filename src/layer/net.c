/* Network: an own loopback, or what was asked for.
 * Runs in: parent. */
#include "layer/layer.h"

int net_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (layer_never(b) || p->ns[NS_NET].how != NS_NEW)
		return 0;
	return build_op(b, SECTION_NET, OP_LOOPBACK_UP, NULL, p->origin[KEY_NET]) ? 0 : -1;
}
