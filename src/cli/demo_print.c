/* The demo's two columns.
 * Runs in: parent. */
#include <stdlib.h>
#include <string.h>

#include "cli/demo.h"

/* 14 + 42 + 1 + 42 columns: it fits a terminal of 100. */
#define LABEL     14
#define COLUMN    42
#define MAX_LINES 4
#define YELLOW       "\033[33m"
#define GREEN     "\033[32m"
#define BOLD      "\033[1m"
#define PLAIN     "\033[0m"

/* Takes one line's worth off the text: broken at a blank, or within a word that is longer than a line. The
 * texts are ASCII but for the mark of what was left out, so that bytes of a character's rest take no column. */
static size_t take_line(const char **rest, int *columns)
{
	const char *s = *rest, *last = NULL;
	int last_width = 0, width = 0;
	size_t bytes;

	for (; *s && *s != '\n'; s++) {
		bool starts = ((unsigned char)*s & 0xc0) != 0x80;
		if (starts && width == COLUMN)
			break;
		if (*s == ' ') {
			last = s;
			last_width = width;
		}
		width += starts;
	}
	if (*s && *s != '\n' && *s != ' ' && last && last != *rest) {
		s = last;
		width = last_width;
	}
	bytes = (size_t)(s - *rest);
	*rest = *s ? s + (*s == '\n' || *s == ' ') : s;
	*columns = width;
	return bytes;
}

static int count_lines(const char *text)
{
	int lines = 0, columns;

	do {
		take_line(&text, &columns);
		lines++;
	} while (*text);
	return lines;
}

static char *row_text(const struct inspect_row *row, const struct inspect_report *r, unsigned most)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	row->print(f, r, most);
	return fclose(f) == 0 ? text : NULL;
}

/* As many entries as a few lines hold. */
static char *short_text(const struct inspect_row *row, const struct inspect_report *r)
{
	char *text = row_text(row, r, 0);

	for (unsigned most = 30; text && most && count_lines(text) > MAX_LINES; most--) {
		free(text);
		text = row_text(row, r, most);
	}
	return text;
}

static void print_cell(FILE *f, const char **rest, const char *colour, bool pad)
{
	const char *start = *rest;
	int columns = 0;
	size_t bytes = *start ? take_line(rest, &columns) : 0;

	fprintf(f, "%s%.*s%s", bytes ? colour : "", (int)bytes, start, bytes && *colour ? PLAIN : "");
	if (pad)
		fprintf(f, "%*s", COLUMN + 1 - columns, "");
}

static void print_row(FILE *f, const struct inspect_row *row, const char *left, const char *right, bool colour)
{
	bool differ = strcmp(left, right);
	const char *open = colour && differ ? YELLOW : "", *confined = colour && differ ? GREEN : "";
	const char *label = row->label;

	do {
		fprintf(f, "  %-*s", LABEL - 2, label);
		print_cell(f, &left, open, *right);
		print_cell(f, &right, confined, false);
		fputc('\n', f);
		label = "";
	} while (*left || *right);
}

void demo_print(FILE *f, const struct inspect_report *outside, const struct inspect_report *inside, bool colour)
{
	const struct inspect_row *row;
	const char *bold = colour ? BOLD : "", *plain = colour ? PLAIN : "";

	fprintf(f, "%s%-*s%-*s %s%s\n", bold, LABEL, "", COLUMN, "OUTSIDE", "INSIDE", plain);
	for (size_t i = 0; (row = inspect_row(i)); i++) {
		char *left = short_text(row, outside), *right = short_text(row, inside);
		if (row->section)
			fprintf(f, "%s%s%s%s\n", i ? "\n" : "", bold, row->section, plain);
		if (left && right)
			print_row(f, row, left, right, colour);
		free(left);
		free(right);
	}
}
