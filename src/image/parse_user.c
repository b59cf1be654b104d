/* The user that an image names, by the image's own passwd and group.
 * Runs in: any. PURE. */
#include "image/parse.h"

#include <string.h>

#define MOST_ID (UINT32_MAX - 1)

/* Fields of a line of passwd or group, split at colons; how many. */
static size_t fields(char *line, char **out, size_t most)
{
	size_t n = 0;

	while (line && n < most) {
		char *colon = strchr(line, ':');
		out[n++] = line;
		if (colon)
			*colon = 0;
		line = colon ? colon + 1 : NULL;
	}
	return n;
}

static int id(const char *s, uint32_t *out)
{
	uint64_t n;

	if (parse_u64(s, &n) < 0 || n > MOST_ID)
		return -1;
	*out = (uint32_t)n;
	return 0;
}

/* Next line of *text, copied; NULL at the end. */
static char *line(struct arena *a, const char **text)
{
	size_t n;
	char *copy;

	if (!*text || !**text)
		return NULL;
	n = strcspn(*text, "\n");
	copy = arena_strndup(a, *text, n);
	*text += n + ((*text)[n] == '\n');
	return copy;
}

/* The passwd line of that name (NULL: of that id). */
static bool find_user(struct arena *a, const char *passwd, const char *name, uint32_t uid, struct image_user *out)
{
	char *l, *f[7];

	while ((l = line(a, &passwd))) {
		uint32_t u, g;
		if (fields(l, f, 7) < 6 || id(f[2], &u) < 0 || id(f[3], &g) < 0 || (name ? strcmp(f[0], name) != 0 : u != uid))
			continue;
		out->uid = u;
		out->gid = g;
		out->name = f[0];
		out->home = f[5][0] == '/' ? f[5] : NULL;
		return true;
	}
	return false;
}

static bool find_group(struct arena *a, const char *group, const char *name, uint32_t *gid)
{
	char *l, *f[4];

	while ((l = line(a, &group))) {
		if (fields(l, f, 4) >= 3 && !strcmp(f[0], name) && id(f[2], gid) == 0)
			return true;
	}
	return false;
}

static bool lists(const char *members, const char *name)
{
	size_t n = strlen(name);

	while (*members) {
		size_t len = strcspn(members, ",");
		if (len == n && !memcmp(members, name, n))
			return true;
		members += len + (members[len] == ',');
	}
	return false;
}

static void supplementary(struct arena *a, const char *group, struct image_user *out)
{
	char *l, *f[4];
	uint32_t gid;

	while ((l = line(a, &group)) && out->group_count < COUNT_OF(out->groups)) {
		if (fields(l, f, 4) == 4 && id(f[2], &gid) == 0 && gid != out->gid && lists(f[3], out->name))
			out->groups[out->group_count++] = gid;
	}
}

int user_parse(struct arena *a, const char *user, const char *passwd, const char *group, struct image_user *out, const char **why)
{
	const char *colon = strchr(user, ':');
	char *who = colon ? arena_strndup(a, user, (size_t)(colon - user)) : arena_strdup(a, user);
	bool known, number;

	*out = (struct image_user){ 0 };
	if (!who)
		return *why = "out of memory", -1;
	number = !*who || id(who, &out->uid) == 0;
	known = find_user(a, passwd, number ? NULL : who, out->uid, out);
	if (!known && !number)
		return *why = passwd ? "its passwd has no such name" : "it has no readable /etc/passwd, and this is no number", -1;
	if (colon && colon[1] && id(colon + 1, &out->gid) < 0 && !find_group(a, group, colon + 1, &out->gid))
		return *why = group ? "its group has no such name" : "it has no readable /etc/group, and this is no number", -1;
	/* A group that is named stands alone, as elsewhere with images. */
	if (known && !(colon && colon[1]))
		supplementary(a, group, out);
	return 0;
}
