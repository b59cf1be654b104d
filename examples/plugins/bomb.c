/* A plug-in that takes memory until there is none, and processes too.
 * Runs in: inside. */
#include <stdlib.h>
#include <unistd.h>

#include "plugin.h"

const char *plugin_name(void)
{
	return "bomb";
}

int64_t plugin_call(int64_t x)
{
	for (int i = 0; i < 100; i++) {
		if (fork() == 0)
			pause();
	}
	for (;;) {
		volatile char *p = malloc(16 << 20); /* volatile: else the compiler leaves out what nobody reads */
		for (size_t k = 0; p && k < 16 << 20; k += 4096)
			p[k] = (char)x;
	}
}
