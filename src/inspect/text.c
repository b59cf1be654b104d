/* The report as text: aligned, section by section.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <string.h>

#define LABEL 16

static int print_row(FILE *f, const struct row *row, size_t width, bool colour)
{
	struct lines l;
	int bad;

	lines_make(&l, row, width > LABEL + 24 ? width - LABEL - 2 : 24, 0);
	for (size_t i = 0; i < l.count; i++)
		fprintf(f, "  %s%-*s%s%s\n", colour ? "\033[2m" : "", LABEL, i ? "" : row->label, colour ? "\033[0m" : "", l.line[i]);
	bad = l.failed;
	lines_free(&l);
	return bad ? -1 : 0;
}

int print_text(FILE *f, const struct report *r, size_t width, bool colour)
{
	struct rows rows;
	const char *section = "";
	int bad = 0;

	rows_make(&rows, r, true);
	for (int i = 0; i < ROWS; i++) {
		if (strcmp(section, rows.row[i].section)) {
			fprintf(f, "%s%s%s%s\n", *section ? "\n" : "", colour ? "\033[1m" : "", rows.row[i].section, colour ? "\033[0m" : "");
			section = rows.row[i].section;
		}
		bad |= print_row(f, &rows.row[i], width, colour);
	}
	bad |= rows.failed ? -1 : 0;
	rows_free(&rows);
	return bad;
}
