/* A plug-in with a bug: it writes where nothing is.
 * Runs in: inside. */
#include "plugin.h"

const char *plugin_name(void)
{
	return "crash";
}

int64_t plugin_call(int64_t x)
{
	*(volatile int64_t *)(intptr_t)(x & 7) = x;
	return x;
}
