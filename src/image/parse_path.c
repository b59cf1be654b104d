/* Names in archives: what they mean, and which are refused.
 * Runs in: any. PURE. */
#include "image/parse.h"

#include <string.h>

#define MOST_COMPONENT 255

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

/* Components joined again with single slashes, without "." and trailing slashes. */
static int clean(const char *path, const struct path_limits *limits, char *to, const char **why)
{
	size_t depth = 0, out = 0;

	while (*path) {
		size_t n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return refuse(why, "a name that leads upwards (..)");
		if (n > MOST_COMPONENT)
			return refuse(why, "a name that is too long");
		if (n && !(n == 1 && path[0] == '.')) {
			if (++depth > limits->depth)
				return refuse(why, "too deep (--image-max-depth)");
			if (out)
				to[out++] = '/';
			memcpy(to + out, path, n);
			out += n;
		}
		path += n + (path[n] == '/');
	}
	to[out] = 0;
	return 0;
}

/* .wh.NAME hides NAME of the layers below, .wh..wh..opq all of the directory; other names of that kind are
 * notes of AUFS and mean nothing. */
static int whiteout(struct entry_name *out, const char **why)
{
	if (strncmp(out->name, ".wh.", 4))
		return 0;
	if (!strncmp(out->name, ".wh..wh.", 8)) {
		out->kind = strcmp(out->name, ".wh..wh..opq") ? NAME_IGNORED : NAME_OPAQUE;
		return 0;
	}
	out->name += 4;
	out->kind = NAME_WHITEOUT;
	if (!out->name[0] || !strcmp(out->name, ".") || !strcmp(out->name, ".."))
		return refuse(why, "a whiteout of no name");
	return 0;
}

static bool has_whiteout(const char *parent)
{
	while (*parent) {
		if (!strncmp(parent, ".wh.", 4))
			return true;
		parent += strcspn(parent, "/");
		parent += *parent == '/';
	}
	return false;
}

int entry_name_parse(struct arena *a, const char *path, const struct path_limits *limits, struct entry_name *out, const char **why)
{
	char *copy, *slash;
	size_t len = strlen(path);

	*out = (struct entry_name){ .kind = NAME_PLAIN };
	if (!len)
		return refuse(why, "an empty name");
	if (path[0] == '/')
		return refuse(why, "an absolute name");
	if (len > limits->length)
		return refuse(why, "longer than allowed (--image-max-path)");
	copy = arena_alloc(a, len + 2);
	if (!copy)
		return refuse(why, "out of memory");
	/* One byte of room before it: the root's parent needs a text of its own. */
	copy++;
	if (clean(path, limits, copy, why) < 0)
		return -1;
	slash = strrchr(copy, '/');
	out->parent = slash ? copy : copy - 1;
	out->name = slash ? slash + 1 : copy;
	if (slash)
		*slash = 0;
	if (!*copy) {
		out->kind = NAME_ROOT;
		return 0;
	}
	if (has_whiteout(out->parent))
		return refuse(why, "a directory with the name of a whiteout");
	return whiteout(out, why);
}
