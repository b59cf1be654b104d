/* See pressure.h.
 * Runs in: parent. PURE. */
#include "run/pressure.h"

#include <stdlib.h>
#include <string.h>

/* "name=" in this line; NULL = it isn't there. */
static const char *value(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at && at < line + strcspn(line, "\n") ? at + strlen(name) : NULL;
}

/* Two digits after the point, by the kernel's own format. */
static int64_t hundredths(const char *s)
{
	char *end;
	int64_t n = s ? strtoll(s, &end, 10) : -1;

	if (n < 0 || *end != '.' || end[1] < '0' || end[1] > '9' || end[2] < '0' || end[2] > '9')
		return -1;
	return n * 100 + (int64_t)(end[1] - '0') * 10 + (end[2] - '0');
}

static int64_t microseconds(const char *s)
{
	return s && *s >= '0' && *s <= '9' ? strtoll(s, NULL, 10) : -1;
}

void pressure_parse(const char *text, struct hutch_pressure *out)
{
	*out = (struct hutch_pressure){ -1, -1, -1, -1 };
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (!strncmp(line, "some ", 5)) {
			out->some_us = microseconds(value(line, " total="));
			out->some_avg10 = hundredths(value(line, " avg10="));
		} else if (!strncmp(line, "full ", 5)) {
			out->full_us = microseconds(value(line, " total="));
			out->full_avg10 = hundredths(value(line, " avg10="));
		}
	}
}
