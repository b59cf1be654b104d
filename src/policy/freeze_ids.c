/* Freezing id maps, the user and the supplementary groups.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>

/* UID[:GID]; the group is the same number where it isn't named. */
static int id_pair(struct freeze *f, const struct draft_line *l, uint32_t *uid, uint32_t *gid)
{
	const char *rest = l->value;
	char *first = next_part(f, &rest, ':');

	if (!first)
		return error_nomem(f->error);
	if (parse_id(first, uid) < 0)
		return bad_value(f, l, "\"%.60s\" isn't a user id; names aren't looked up, `id -u NAME` tells the number", first);
	*gid = *uid;
	if (rest && parse_id(rest, gid) < 0)
		return bad_value(f, l, "\"%.60s\" isn't a group id; names aren't looked up", rest);
	return 0;
}

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
	return (uint64_t)a < (uint64_t)b + b_count && (uint64_t)b < (uint64_t)a + a_count;
}

static int parse_extent(struct freeze *f, const struct draft_line *l, struct id_extent *out)
{
	const char *rest = l->value;
	uint32_t *const fields[] = { &out->inside, &out->outside, &out->count };

	for (size_t i = 0; i < 3; i++) {
		char *part = rest ? next_part(f, &rest, ':') : NULL;
		if (!part || parse_id(part, fields[i]) < 0)
			return bad_value(f, l, "it isn't three numbers with colons between");
	}
	if (rest)
		return bad_value(f, l, "it has more than three numbers");
	if (!out->count)
		return bad_value(f, l, "it maps nothing: the count is 0");
	if ((uint64_t)out->inside + out->count > UINT32_MAX || (uint64_t)out->outside + out->count > UINT32_MAX)
		return bad_value(f, l, "the range goes beyond the last id, 4294967294");
	return 0;
}

#define EXTENTS_MOST 340u /* the kernel's UID_GID_MAP_MAX_EXTENTS */

static int freeze_extents(struct freeze *f, enum key_id key, struct id_extent **extents, size_t *count)
{
	size_t cap = 0;

	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		struct id_extent x = { 0 };
		if (l->key != key)
			continue;
		if (parse_extent(f, l, &x) < 0)
			return -1;
		if (*count == EXTENTS_MOST)
			return bad_value(f, l, "the kernel takes at most %u lines", EXTENTS_MOST);
		for (size_t j = 0; j < *count; j++) {
			const struct id_extent *y = &(*extents)[j];
			if (overlap(x.inside, x.count, y->inside, y->count) || overlap(x.outside, x.count, y->outside, y->count))
				return bad_value(f, l, "it overlaps %u:%u:%u", y->inside, y->outside, y->count);
		}
		struct id_extent *grown = arena_grow(f->arena, *extents, *count, &cap, sizeof *grown);
		if (!grown)
			return error_nomem(f->error);
		*extents = grown;
		(*extents)[(*count)++] = x;
	}
	return 0;
}

/* Which of `map` and the explicit lines holds: the one nearer to the person; both at one level contradict. */
static int explicit_wins(struct freeze *f, bool *wins)
{
	const struct draft_line *map = f->winner[KEY_MAP], *uid = f->winner[KEY_UID_MAP], *gid = f->winner[KEY_GID_MAP];
	const struct draft_line *line = uid ? uid : gid;

	*wins = false;
	if (!line)
		return 0;
	if (map && map->depth == line->depth)
		return conflict(f, KEY_MAP, uid ? KEY_UID_MAP : KEY_GID_MAP, "the map is either named or written out");
	if (map && map->depth < line->depth)
		return 0;
	if (!uid || !gid)
		return bad_value(f, line, "there is no %s beside it", uid ? "gid-map" : "uid-map");
	*wins = true;
	return 0;
}

static int freeze_map(struct freeze *f)
{
	static const struct { const char *word; enum id_map map; } words[] = { { "own", MAP_OWN }, { "root", MAP_ROOT }, { "auto", MAP_AUTO } };
	struct policy *p = f->policy;
	bool explicit_map;
	const char *value = value_of(f, KEY_MAP);

	if (explicit_wins(f, &explicit_map) < 0)
		return -1;
	if (explicit_map) {
		p->map = MAP_EXPLICIT;
		return freeze_extents(f, KEY_UID_MAP, &p->uid_extents, &p->uid_extent_count) < 0 ||
		       freeze_extents(f, KEY_GID_MAP, &p->gid_extents, &p->gid_extent_count) < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!strcmp(words[i].word, value)) {
			p->map = words[i].map;
			return 0;
		}
	}
	p->map = MAP_SINGLE;
	return id_pair(f, f->winner[KEY_MAP], &p->map_uid, &p->map_gid);
}

#define GROUPS_MOST 65536u /* the kernel's NGROUPS_MAX */

static int freeze_groups(struct freeze *f)
{
	struct policy *p = f->policy;
	const struct draft_line *l = f->winner[KEY_GROUPS];
	const char *rest = l ? l->value : NULL;
	size_t cap = 0;

	p->groups_given = l;
	if (!l || !strcmp(l->value, "none"))
		return 0;
	while (rest) {
		char *part = next_part(f, &rest, ',');
		uint32_t gid, *grown = arena_grow(f->arena, p->groups, p->group_count, &cap, sizeof *grown);
		if (!part || !grown)
			return error_nomem(f->error);
		p->groups = grown;
		if (parse_id(part, &gid) < 0)
			return bad_value(f, l, "\"%.60s\" isn't a group id; names aren't looked up", part);
		if (p->group_count == GROUPS_MOST)
			return bad_value(f, l, "the kernel takes at most %u groups", GROUPS_MOST);
		p->groups[p->group_count++] = gid;
	}
	return 0;
}

int freeze_ids(struct freeze *f)
{
	struct policy *p = f->policy;

	if (freeze_map(f) < 0 || freeze_groups(f) < 0)
		return -1;
	p->user_given = f->winner[KEY_USER];
	return p->user_given ? id_pair(f, f->winner[KEY_USER], &p->user_uid, &p->user_gid) : 0;
}
