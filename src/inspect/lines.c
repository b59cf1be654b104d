/* Rows to lines of a given width: items are wrapped between each other, cut where a cell gets too long,
 * and nothing of what they hold can act on the terminal.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <stdlib.h>
#include <string.h>

size_t text_columns(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Bytes that may not reach a terminal become \xNN. malloc'd. */
static char *safe_text(const char *s)
{
	char *out = malloc(strlen(s) * 4 + 1), *to = out;

	if (!out)
		return NULL;
	while (*s) {
		size_t n = utf8_safe(s);
		if (n) {
			memcpy(to, s, n);
			to += n;
			s += n;
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)*s++);
		}
	}
	*to = '\0';
	return out;
}

/* Bytes that the first `columns` characters of s take. */
static size_t bytes_of(const char *s, size_t columns)
{
	size_t i = 0;

	while (s[i] && columns) {
		i++;
		while (((unsigned char)s[i] & 0xc0) == 0x80)
			i++;
		columns--;
	}
	return i;
}

static void append(struct lines *l, const char *s, size_t len)
{
	char **more = realloc(l->line, (l->count + 1) * sizeof *more);

	if (!more) {
		l->failed = true;
		return;
	}
	l->line = more;
	l->line[l->count] = strndup(s, len);
	if (l->line[l->count])
		l->count++;
	else
		l->failed = true;
}

/* Splits at blanks where it can; what follows is indented. Of the text that is longer than `most` lines the
 * rest is left out, and a mark stands for it. */
static void append_wrapped(struct lines *l, const char *s, size_t width, size_t most)
{
	char buffer[1024];
	const char *indent = "";

	while (text_columns(s) + strlen(indent) > width) {
		size_t len = bytes_of(s, width - strlen(indent)), cut = len;
		if (--most == 0) {
			len = bytes_of(s, width - strlen(indent) - 1);
			snprintf(buffer, sizeof buffer, "%s%.*s…", indent, (int)len, s);
			append(l, buffer, strlen(buffer));
			return;
		}
		while (cut > len / 2 && s[cut] != ' ')
			cut--;
		if (s[cut] != ' ')
			cut = len;
		snprintf(buffer, sizeof buffer, "%s%.*s", indent, (int)cut, s);
		append(l, buffer, strlen(buffer));
		s += cut;
		s += strspn(s, " ");
		indent = "  ";
	}
	snprintf(buffer, sizeof buffer, "%s%s", indent, s);
	append(l, buffer, strlen(buffer));
}

/* Lines that are still free where `left` items follow, which take at least one. */
static size_t room(const struct lines *l, size_t max, size_t left)
{
	size_t used = l->count + (left ? 1 : 0);

	if (!max)
		return SIZE_MAX;
	return used < max ? max - used : 0;
}

static void say_more(struct lines *l, size_t n)
{
	char text[64];

	snprintf(text, sizeof text, "… and %zu more", n);
	append(l, text, strlen(text));
}

/* One item a line. Where there is no room for all, the last line says how many are left. */
static void make_lines(struct lines *l, const struct row *row, char **items, size_t width, size_t max)
{
	size_t i = 0;

	if (row->head)
		append_wrapped(l, row->head, width, SIZE_MAX);
	for (; i < row->count; i++) {
		size_t before = l->count, free_lines = room(l, max, row->count - i - 1 + row->more);
		if (!free_lines)
			break;
		/* The first is cut rather than left out. */
		append_wrapped(l, items[i], width, i ? SIZE_MAX : free_lines);
		if (l->count - before > free_lines) {
			while (l->count > before)
				free(l->line[--l->count]);
			break;
		}
	}
	if (row->count - i + row->more)
		say_more(l, row->count - i + row->more);
}

/* Does the item still go on the line, with the comma after it, and with "and N more" where that must follow? */
static bool fits(const char *line, const char *item, size_t left, bool final, size_t width)
{
	char more[64];
	size_t need = text_columns(line) + text_columns(item) + (left ? 1 : 0);

	if (final && left) {
		snprintf(more, sizeof more, " … and %zu more", left);
		need += text_columns(more);
	}
	return need <= width;
}

static void end_line(struct lines *l, char *line)
{
	size_t len = strlen(line);

	if (len && line[len - 1] == ' ')
		len--;
	if (len)
		append(l, line, len);
	*line = '\0';
}

/* Items that flow. */
static void make_words(struct lines *l, const struct row *row, char **items, size_t width, size_t max)
{
	char line[1024];
	size_t i;

	snprintf(line, sizeof line, "%s", row->head ? row->head : "");
	for (i = 0; i < row->count; i++) {
		size_t left = row->count - i - 1 + row->more;
		bool final = max && l->count + 1 >= max, fit = fits(line, items[i], left, final, width);
		if (!fit && final && (l->count || *line))
			break;
		if (!fit && *line) {
			end_line(l, line);
			i--; /* once more, on a line of its own */
			continue;
		}
		if (!fit) {
			if (!room(l, max, left))
				break;
			append_wrapped(l, items[i], width, room(l, max, left));
			continue;
		}
		snprintf(line + strlen(line), sizeof line - strlen(line), "%s%s", items[i], left ? ", " : "");
	}
	if (row->count - i + row->more)
		snprintf(line + strlen(line), sizeof line - strlen(line), "… and %zu more", row->count - i + row->more);
	end_line(l, line);
}

void lines_make(struct lines *l, const struct row *row, size_t width, size_t max)
{
	char **items = calloc(row->count + 1, sizeof *items);

	*l = (struct lines){ .failed = !items };
	for (size_t i = 0; items && i < row->count; i++) {
		items[i] = safe_text(row->items[i]);
		l->failed |= !items[i];
	}
	if (items && !l->failed && row->form == FORM_LINES)
		make_lines(l, row, items, width, max);
	else if (items && !l->failed)
		make_words(l, row, items, width, max);
	for (size_t i = 0; items && i < row->count; i++)
		free(items[i]);
	free(items);
}

void lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->line[i]);
	free(l->line);
	*l = (struct lines){ 0 };
}
