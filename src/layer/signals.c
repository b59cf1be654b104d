/* Signals: what the caller ignored must not be ignored inside.
 * Runs in: parent. */
#include "layer/layer.h"

int signals_compile(struct build *b)
{
	/* A program that goes on keeps its own. Else handlers are gone with the clone (CLONE_CLEAR_SIGHAND); ignored ones survive it and exec. */
	for (unsigned n = 1; n <= 64 && !layer_enters(b); n++) {
		if (!(b->host->sig_ignored & (UINT64_C(1) << (n - 1))))
			continue;
		struct op *op = build_op(b, SECTION_SIGNALS, OP_SIGNAL_DEFAULT, NULL, "default");
		if (!op)
			return -1;
		op->number[0] = n;
	}
	/* The modes of what hutch creates are exact, whatever the caller's mask; the program's own comes later. */
	return layer_has_mounts(b) && !build_op(b, SECTION_SIGNALS, OP_UMASK, NULL, "default") ? -1 : 0;
}
