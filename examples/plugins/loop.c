/* A plug-in that never comes back, from the moment it is loaded.
 * Runs in: inside. */
#include "plugin.h"

static volatile int for_ever = 1;

__attribute__((constructor)) static void begin(void)
{
	while (for_ever)
		continue;
}

const char *plugin_name(void)
{
	return "loop";
}

int64_t plugin_call(int64_t x)
{
	return x;
}
