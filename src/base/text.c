/* Growing text with a sticky failure flag; escaped forms for terminals and JSON.
 * Runs in: parent. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_init(struct text *t)
{
	*t = (struct text){ 0 };
}

void text_done(struct text *t)
{
	free(t->s);
	text_init(t);
}

static bool reserve(struct text *t, size_t more)
{
	size_t cap = t->cap ? t->cap : 256;
	char *s;

	if (t->failed || more > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) {
		t->failed = true;
		return false;
	}
	if (t->s && t->len + more < t->cap)
		return true;
	while (cap <= t->len + more)
		cap *= 2;
	s = realloc(t->s, cap);
	if (!s) {
		t->failed = true;
		return false;
	}
	t->s = s;
	t->cap = cap;
	return true;
}

void text_add(struct text *t, const char *s, size_t len)
{
	if (!reserve(t, len))
		return;
	if (len)
		memcpy(t->s + t->len, s, len);
	t->len += len;
	t->s[t->len] = '\0';
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0) {
		t->failed = true;
		return;
	}
	if (!reserve(t, (size_t)len))
		return;
	va_start(args, fmt);
	vsnprintf(t->s + t->len, (size_t)len + 1, fmt, args);
	va_end(args);
	t->len += (size_t)len;
}

static bool continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Shortest forms only, no surrogates, nothing above U+10FFFF. A NUL ends every comparison. */
size_t utf8_length(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] < 0x80)
		return u[0] ? 1 : 0;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		return continues(u[1]) ? 2 : 0;
	if (u[0] >= 0xe0 && u[0] <= 0xef) {
		if (!continues(u[1]) || (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f))
			return 0;
		return continues(u[2]) ? 3 : 0;
	}
	if (u[0] >= 0xf0 && u[0] <= 0xf4) {
		if (!continues(u[1]) || (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
			return 0;
		return continues(u[2]) && continues(u[3]) ? 4 : 0;
	}
	return 0;
}

/* Also takes the C1 controls (U+0080-U+009F), which some terminals obey, and what turns the direction of
 * text around (U+202A-E, U+2066-9). */
size_t utf8_printable(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len = utf8_length(s);

	if (len == 1)
		return u[0] >= 0x20 && u[0] != 0x7f;
	if (len == 2 && u[0] == 0xc2 && u[1] < 0xa0)
		return 0;
	if (len == 3 && u[0] == 0xe2 && ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)))
		return 0;
	return len;
}

static void add_escaped_byte(struct text *t, unsigned char c)
{
	switch (c) {
	case '\n': text_add(t, "\\n", 2); break;
	case '\r': text_add(t, "\\r", 2); break;
	case '\t': text_add(t, "\\t", 2); break;
	default: text_printf(t, "\\x%02x", c);
	}
}

void text_quoted(struct text *t, const char *s)
{
	while (*s) {
		size_t len = utf8_printable(s);
		if (!len) {
			add_escaped_byte(t, (unsigned char)*s++);
			continue;
		}
		if (*s == '"' || *s == '\\')
			text_add(t, "\\", 1);
		text_add(t, s, len);
		s += len;
	}
}

void text_json(struct text *t, const char *s)
{
	text_add(t, "\"", 1);
	while (*s) {
		size_t len = utf8_length(s);
		unsigned char c = (unsigned char)*s;
		if (!len || c < 0x20 || c == 0x7f) {
			if (c == '\n')
				text_add(t, "\\n", 2);
			else if (c == '\t')
				text_add(t, "\\t", 2);
			else
				text_printf(t, "\\u%04x", c);
			s++;
			continue;
		}
		if (c == '"' || c == '\\')
			text_add(t, "\\", 1);
		text_add(t, s, len);
		s += len;
	}
	text_add(t, "\"", 1);
}
