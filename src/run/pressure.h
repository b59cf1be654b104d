/* Pressure of a cgroup as the kernel tells it: cpu.pressure, memory.pressure, io.pressure.
 * Runs in: parent. */
#ifndef HUTCH_RUN_PRESSURE_H
#define HUTCH_RUN_PRESSURE_H

#include <hutch/entry.h>

/* What isn't in the text is -1. PURE. */
void pressure_parse(const char *text, struct hutch_pressure *out);
#define PRESSURE_TEXT_MAX 256

#endif
