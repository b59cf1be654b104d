/* What a plug-in of this example is: a shared object with these two functions.
 * Runs in: inside. */
#ifndef EXAMPLE_PLUGIN_H
#define EXAMPLE_PLUGIN_H

#include <stdint.h>

const char *plugin_name(void);
int64_t plugin_call(int64_t x);

#endif
