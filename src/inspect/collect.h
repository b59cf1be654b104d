/* What the parts of the collection share.
 * Runs in: any. */
#ifndef HUTCH_INSPECT_COLLECT_H
#define HUTCH_INSPECT_COLLECT_H

#include "inspect/inspect.h"

void collect_interfaces(struct inspect_list *l);

#endif
