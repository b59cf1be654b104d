/* The demo's two columns.
 * Runs in: parent. */
#include "cli/demo.h"

#include <stdlib.h>
#include <string.h>

#define LABEL     16
#define RED       "\033[31m"
#define GREEN     "\033[32m"
#define BOLD      "\033[1m"
#define DIM       "\033[2m"
#define PLAIN     "\033[0m"

/* What the demo shows of the report: without the rows that repeat others. */
static const struct { enum row_id id; const char *label; bool confines; } shown[] = {
	{ ROW_USER, "user", true }, { ROW_GROUPS, "other groups", true }, { ROW_UID_MAP, "user ids", true },
	{ ROW_EFFECTIVE, "capabilities", true }, { ROW_BOUNDING, "to be gained", true },
	{ ROW_NO_NEW_PRIVS, "no_new_privs", true }, { ROW_SECCOMP, "system calls", true },
	{ ROW_PROCESS, "this one", false }, { ROW_PROCESSES, "visible", true },
	{ ROW_ROOT, "in /", true }, { ROW_MOUNTS, "mounts", true }, { ROW_SHARED, "shared dir.", true }, { ROW_CREATE, "new file there", true },
	{ ROW_INTERFACES, "interfaces", true }, { ROW_HOST_NAME, "host name", true },
	{ ROW_ENV, "environment", true }, { ROW_FDS, "descriptors", true },
	{ ROW_NAMESPACES, "namespaces", true }, { ROW_LIMITS, "limits", true }, { ROW_MEMORY, "memory", true },
};

static const struct { const char *section, *note; } notes[] = {
	{ "identity", "an unprivileged id in a user namespace of its own, also where root starts it" },
	{ "privilege", "nothing to use, nothing to gain, fewer system calls to try" },
	{ "processes", "only its own; the others can't be seen, signalled or traced" },
	{ "files", "an own tree, where what isn't named isn't there; /shared was named, read-only" },
	{ "network", "a loopback of its own; nothing of the host's answers there" },
	{ "inherited", "the planted variable and the planted open file stay outside" },
	{ "kernel", "own instances of what processes share, and a limit that holds" },
};

static const char *note_of(const char *section)
{
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
		if (!strcmp(notes[i].section, section))
			return notes[i].note;
	}
	return "";
}

static bool same(const struct lines *a, const struct lines *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->line[i], b->line[i]))
			return false;
	}
	return true;
}

static void print_cell(FILE *f, const char *s, const char *colour, size_t pad)
{
	size_t used = text_columns(s);

	fprintf(f, "%s%s%s", *s ? colour : "", s, *s && *colour ? PLAIN : "");
	if (pad > used)
		fprintf(f, "%*s", (int)(pad - used), "");
}

/* What leaks through descriptors is in their names: they get the room to show them. */
static size_t most_lines(enum row_id id)
{
	return id == ROW_FDS ? 10 : id == ROW_NAMESPACES || id == ROW_LIMITS || id == ROW_MOUNTS ? 6 : 4;
}

static int print_row(FILE *f, size_t at, struct row left, struct row right, size_t column, bool colour)
{
	enum row_id id = shown[at].id;
	struct lines l, r;
	int bad;

	/* A line for each of these would take half the page. */
	if (id == ROW_NAMESPACES || id == ROW_LIMITS)
		left.form = right.form = FORM_WORDS;
	lines_make(&l, &left, column, most_lines(id));
	lines_make(&r, &right, column, most_lines(id));
	bool differ = shown[at].confines && colour && !same(&l, &r);
	for (size_t i = 0; i < l.count || i < r.count; i++) {
		fprintf(f, " %-*s", LABEL - 1, i ? "" : shown[at].label);
		print_cell(f, i < l.count ? l.line[i] : "", differ ? RED : "", column);
		fprintf(f, "%s │%s%s", colour ? DIM : "", colour ? PLAIN : "", i < r.count ? " " : "");
		print_cell(f, i < r.count ? r.line[i] : "", differ ? GREEN : "", 0);
		fputc('\n', f);
	}
	bad = l.failed || r.failed ? -1 : 0;
	lines_free(&l);
	lines_free(&r);
	return bad;
}

int demo_print(FILE *f, const struct report *outside, const struct report *inside, size_t width, bool colour)
{
	const char *bold = colour ? BOLD : "", *dim = colour ? DIM : "", *plain = colour ? PLAIN : "", *section = "";
	size_t column = (width - LABEL - 3) / 2;
	struct rows left, right;
	int bad;

	rows_make(&left, outside, false);
	rows_make(&right, inside, false);
	bad = left.failed || right.failed ? -1 : 0;
	fprintf(f, "%s%-*s%-*s   %s%s\n", bold, LABEL, "", (int)column, "OUTSIDE", "INSIDE", plain);
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		const struct row *row = &left.row[shown[i].id];
		if (strcmp(section, row->section)) {
			section = row->section;
			fprintf(f, "\n%s%s%s  %s%s%s\n", bold, section, plain, dim, note_of(section), plain);
		}
		bad |= print_row(f, i, *row, right.row[shown[i].id], column, colour);
	}
	rows_free(&left);
	rows_free(&right);
	return bad;
}
