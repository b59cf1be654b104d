/* Error objects: the table of all errors, filling one, and its text form.
 * Runs in: any. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

/* The whole library is built with hidden names; these two are public. */
#define PUBLIC __attribute__((visibility("default")))

static const struct error_row rows[] = {
#define X(symbol, number, layer, step, remedy) { number, #symbol, layer, step, remedy },
#include "errors.def"
#undef X
};

const struct error_row *error_rows(size_t *count)
{
	*count = COUNT_OF(rows);
	return rows;
}

const struct error_row *error_row(uint32_t id)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (rows[i].id == id)
			return &rows[i];
	}
	return NULL;
}

void copy_bounded(char *to, size_t size, const char *from)
{
	size_t i = 0;

	if (!size)
		return;
	for (; from && from[i] && i + 1 < size; i++)
		to[i] = from[i];
	to[i] = '\0';
}

PUBLIC void hutch_error_clear(struct hutch_error *e)
{
	if (e)
		memset(e, 0, sizeof *e);
}

int error_set(struct hutch_error *e, enum error_id id, int errnum, const char *call,
	      const char *subject, const char *origin)
{
	const struct error_row *row = error_row(id);

	if (!e)
		return -1;
	hutch_error_clear(e);
	e->id = id;
	e->errnum = errnum;
	if (row) {
		copy_bounded(e->layer, sizeof e->layer, row->layer);
		copy_bounded(e->step, sizeof e->step, row->step);
		copy_bounded(e->remedy, sizeof e->remedy, row->remedy);
	}
	copy_bounded(e->call, sizeof e->call, call);
	copy_bounded(e->subject, sizeof e->subject, subject);
	copy_bounded(e->origin, sizeof e->origin, origin);
	return -1;
}

int error_detail(struct hutch_error *e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (e)
		vsnprintf(e->detail, sizeof e->detail, fmt, args);
	va_end(args);
	return -1;
}

int error_remedy(struct hutch_error *e, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (e)
		vsnprintf(e->remedy, sizeof e->remedy, fmt, args);
	va_end(args);
	return -1;
}

void error_set_nomem(struct hutch_error *e)
{
	error_set(e, ERR_NO_MEMORY, 12 /* ENOMEM */, NULL, NULL, NULL);
}

/* ---- text form; into the caller's buffer, so that running out of memory can be told too ---- */
struct sink {
	char *buffer;
	size_t size, len;
};

static void put(struct sink *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++, s->len++) {
		if (s->len + 1 < s->size)
			s->buffer[s->len] = text[i];
	}
}

static void put_plain(struct sink *s, const char *text)
{
	put(s, text, strlen(text));
}

/* Subjects are other people's bytes: what a terminal would obey is shown as \xNN. */
static void put_safe(struct sink *s, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	while (*text) {
		size_t len = utf8_printable(text);
		if (len) {
			put(s, text, len);
			text += len;
			continue;
		}
		unsigned char c = (unsigned char)*text++;
		if (c == '\n')
			put_plain(s, "\\n");
		else
			put(s, (char[]){ '\\', 'x', hex[c >> 4], hex[c & 15] }, 4);
	}
}

static void put_first_line(struct sink *s, const struct hutch_error *e)
{
	put_plain(s, "hutch: ");
	put_safe(s, e->layer[0] ? e->layer : "error");
	put_plain(s, ": failed while ");
	put_safe(s, e->step[0] ? e->step : "working");
	if (e->subject[0]) {
		put_plain(s, " ");
		put_safe(s, e->subject);
	}
	if (e->call[0]) {
		put_plain(s, ": ");
		put_safe(s, e->call);
	}
	if (e->errnum) {
		put_plain(s, ": ");
		put_safe(s, strerror(e->errnum));
	}
	if (e->detail[0]) {
		put_plain(s, ": ");
		put_safe(s, e->detail);
	}
	put_plain(s, "\n");
}

PUBLIC size_t hutch_error_text(const struct hutch_error *e, char *buffer, size_t size)
{
	struct sink s = { buffer, size, 0 };
	char number[40];

	if (!e->id && !e->step[0]) {
		put_plain(&s, "hutch: no error\n");
	} else {
		put_first_line(&s, e);
		if (e->origin[0]) {
			put_plain(&s, "  asked for by ");
			put_safe(&s, e->origin);
			put_plain(&s, "\n");
		}
		put_plain(&s, "  ");
		put_safe(&s, e->remedy);
		snprintf(number, sizeof number, "%ssee hutch-errors(7) E%04u\n", e->remedy[0] ? "; " : "", (unsigned)e->id);
		put_plain(&s, number);
	}
	if (size)
		buffer[s.len < size ? s.len : size - 1] = '\0';
	return s.len;
}
