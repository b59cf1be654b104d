/* A plug-in that does its work.
 * Runs in: inside. */
#include "plugin.h"

const char *plugin_name(void)
{
	return "square";
}

int64_t plugin_call(int64_t x)
{
	return x * x;
}
