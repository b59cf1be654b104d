/* Reading JSON documents that nobody vouches for: strict about what two readers could see differently.
 * Runs in: any. PURE. */
#include "image/parse.h"

#include <string.h>

/* Without the links to parents jsmn looks back through all tokens at each comma: minutes for 4 MiB. */
#define JSMN_PARENT_LINKS
#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#define MOST_TOKENS 1000000
#define MOST_DEPTH 64

static jsmntok_t *token(const struct json *j, int i)
{
	return (jsmntok_t *)j->tokens + i;
}

int json_bad(struct json *j, int i, const char *what)
{
	error_set(j->error, ERR_IMAGE_DOCUMENT, 0, NULL, j->name, NULL);
	if (i < 0)
		return error_detail(j->error, "%s", what);
	const jsmntok_t *t = token(j, i);
	return error_detail(j->error, "%s: %.*s", what, t->end - t->start > 80 ? 80 : t->end - t->start, j->text + t->start);
}

static bool too_deep(const char *text, size_t len)
{
	unsigned depth = 0;

	/* Brackets within strings count too: no real document comes near. */
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '{' || text[i] == '[')
			depth++;
		else if ((text[i] == '}' || text[i] == ']') && depth)
			depth--;
		if (depth > MOST_DEPTH)
			return true;
	}
	return false;
}

int json_parse(struct json *j, struct arena *a, const char *name, const char *text, size_t len, struct hutch_error *e)
{
	jsmn_parser parser;
	int n;

	*j = (struct json){ .arena = a, .text = text, .name = name, .error = e };
	if (memchr(text, 0, len) || too_deep(text, len))
		return json_bad(j, -1, "it isn't a JSON document of that kind");
	jsmn_init(&parser);
	n = jsmn_parse(&parser, text, len, NULL, 0);
	if (n <= 0 || n > MOST_TOKENS)
		return json_bad(j, -1, "it isn't JSON");
	j->tokens = arena_alloc(a, (size_t)n * sizeof(jsmntok_t));
	if (!j->tokens)
		return error_nomem(e);
	jsmn_init(&parser);
	j->count = jsmn_parse(&parser, text, len, j->tokens, (unsigned)n);
	if (j->count <= 0 || token(j, 0)->type != JSMN_OBJECT)
		return json_bad(j, -1, "it isn't a JSON object");
	for (size_t i = (size_t)token(j, 0)->end; i < len; i++) {
		if (!strchr(" \t\r\n", text[i]))
			return json_bad(j, -1, "something follows the JSON object");
	}
	return 0;
}

int json_next(const struct json *j, int i)
{
	int end = token(j, i)->end;

	for (i++; i < j->count && token(j, i)->start < end; i++)
		continue;
	return i;
}

int json_first(int array)
{
	return array + 1;
}

int json_size(const struct json *j, int i)
{
	return token(j, i)->size;
}

bool json_is(const struct json *j, int i, enum json_type type)
{
	static const jsmntype_t types[] = { [JSON_OBJECT] = JSMN_OBJECT, [JSON_ARRAY] = JSMN_ARRAY, [JSON_STRING] = JSMN_STRING, [JSON_NUMBER] = JSMN_PRIMITIVE };

	return i >= 0 && i < j->count && token(j, i)->type == types[type];
}

static bool same(const struct json *j, int i, const char *s)
{
	const jsmntok_t *t = token(j, i);

	return (size_t)(t->end - t->start) == strlen(s) && !memcmp(j->text + t->start, s, strlen(s));
}

int json_get(struct json *j, int object, const char *key, enum json_type type, int *out)
{
	int k = object + 1, end = json_next(j, object);

	*out = -1;
	while (k < end) {
		const jsmntok_t *t = token(j, k);
		if (t->type != JSMN_STRING || t->size != 1 || k + 1 >= end)
			return json_bad(j, k, "a key without a value");
		/* \u0065nv is env to some readers. */
		if (memchr(j->text + t->start, '\\', (size_t)(t->end - t->start)))
			return json_bad(j, k, "an escape in a key");
		if (same(j, k, key)) {
			if (*out >= 0)
				return json_bad(j, k, "a key that is there twice");
			*out = k + 1;
		}
		k = json_next(j, k + 1);
	}
	if (*out >= 0 && token(j, *out)->type == JSMN_PRIMITIVE && same(j, *out, "null"))
		*out = -1;
	if (*out >= 0 && !json_is(j, *out, type))
		return json_bad(j, *out - 1, "a value of the wrong type");
	return 0;
}

static int hex4(const char *s, const char *end, uint32_t *out)
{
	*out = 0;
	if (end - s < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		unsigned v = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
			: c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
		if (v > 15)
			return -1;
		*out = *out << 4 | v;
	}
	return 0;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80)
		return to[0] = (char)c, 1;
	if (c < 0x800)
		return to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
	if (c < 0x10000)
		return to[0] = (char)(0xe0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63)), 3;
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* One escape at *s (behind the backslash) to bytes at to: never more than it was long. 0 = it is wrong. */
static size_t unescape(const char **s, const char *end, char *to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *at = *s < end && **s ? strchr(from, **s) : NULL;
	uint32_t c, low;

	if (at) {
		(*s)++;
		return to[0] = into[at - from], 1;
	}
	if (*s >= end || **s != 'u' || hex4(*s + 1, end, &c) < 0)
		return 0;
	*s += 5;
	if (c >= 0xd800 && c < 0xdc00) {
		if (end - *s < 6 || (*s)[0] != '\\' || (*s)[1] != 'u' || hex4(*s + 2, end, &low) < 0 || low < 0xdc00 || low > 0xdfff)
			return 0;
		*s += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return 0;
	}
	return c ? put_utf8(to, c) : 0;
}

int json_string(struct json *j, int i, const char **out)
{
	const jsmntok_t *t = token(j, i);
	const char *s = j->text + t->start, *end = j->text + t->end;
	char *copy = arena_alloc(j->arena, (size_t)(end - s) + 1), *to = copy;

	if (!copy)
		return error_nomem(j->error);
	while (s < end) {
		if (*s != '\\') {
			*to++ = *s++;
			continue;
		}
		s++;
		size_t n = unescape(&s, end, to);
		if (!n)
			return json_bad(j, i, "an escape that no text may hold");
		to += n;
	}
	*to = 0;
	*out = copy;
	return 0;
}

int json_number(struct json *j, int i, uint64_t *out)
{
	const jsmntok_t *t = token(j, i);
	char digits[24];

	copy_bounded(digits, (size_t)(t->end - t->start) < sizeof digits ? (size_t)(t->end - t->start) + 1 : sizeof digits, j->text + t->start);
	if ((size_t)(t->end - t->start) >= sizeof digits || parse_u64(digits, out) < 0)
		return json_bad(j, i, "not a whole number");
	return 0;
}

int json_text(struct json *j, int object, const char *key, const char **out)
{
	int i;

	*out = NULL;
	if (json_get(j, object, key, JSON_STRING, &i) < 0)
		return -1;
	return i < 0 ? 0 : json_string(j, i, out);
}

int json_list(struct json *j, int object, const char *key, size_t most, const char ***out, size_t *count)
{
	int list, i;

	*out = NULL;
	*count = 0;
	if (json_get(j, object, key, JSON_ARRAY, &list) < 0)
		return -1;
	if (list < 0)
		return 0;
	if ((size_t)json_size(j, list) > most)
		return json_bad(j, -1, "a list that is too long");
	*out = arena_alloc(j->arena, ((size_t)json_size(j, list) + 1) * sizeof **out);
	if (!*out)
		return error_nomem(j->error);
	i = json_first(list);
	for (int n = 0; n < json_size(j, list); n++) {
		if (!json_is(j, i, JSON_STRING))
			return json_bad(j, list, "a list of something else than texts");
		if (json_string(j, i, &(*out)[(*count)++]) < 0)
			return -1;
		i = json_next(j, i);
	}
	return 0;
}
