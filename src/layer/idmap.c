/* User and group id maps, and who the sandbox's processes are before the program's own ids are set.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

#include "sys/uapi.h"

static bool caller_is_root(const struct build *b)
{
	return b->host->euid == 0 && !b->host->nested_root && (b->host->cap_effective & (UINT64_C(1) << CAPNO_SETUID));
}

static int take_extents(struct build *b, const struct id_extent *u, size_t nu, const struct id_extent *g, size_t ng)
{
	struct plan *p = b->plan;

	p->uid_extents = arena_alloc(p->arena, (nu + 1) * sizeof *u);
	p->gid_extents = arena_alloc(p->arena, (ng + 1) * sizeof *g);
	if (!p->uid_extents || !p->gid_extents)
		return error_nomem(b->error);
	memcpy(p->uid_extents, u, nu * sizeof *u);
	memcpy(p->gid_extents, g, ng * sizeof *g);
	p->uid_extent_count = nu;
	p->gid_extent_count = ng;
	return 0;
}

static int single(struct build *b, uint32_t uid, uint32_t gid)
{
	bool root = caller_is_root(b);
	struct id_extent u = { uid, root ? HUTCH_ID_ALLOCATED : b->host->euid, 1 };
	struct id_extent g = { gid, root ? HUTCH_ID_ALLOCATED : b->host->egid, 1 };

	b->plan->allocate_id = root;
	/* An ordinary user can write a group map only after setgroups is denied for good. */
	b->plan->deny_setgroups = !root;
	return take_extents(b, &u, 1, &g, 1);
}

/* root inside is the caller (or an allocated id), the subordinate range follows from 1 on. */
static int automatic(struct build *b)
{
	const struct host *h = b->host;
	bool root = caller_is_root(b);

	if (!h->subuid.count || !h->subgid.count)
		return error_set(b->error, ERR_ID_RANGES, 0, NULL, arena_printf(b->plan->arena, "uid %u", h->uid),
				 b->policy->origin[KEY_MAP]);
	if (!root && (!h->newuidmap_path || !h->newgidmap_path))
		return error_set(b->error, ERR_ID_HELPER, 0, NULL, "newuidmap, newgidmap", b->policy->origin[KEY_MAP]);
	if (root) {
		struct id_extent u = { 0, h->subuid.start, h->subuid.count }, g = { 0, h->subgid.start, h->subgid.count };
		return take_extents(b, &u, 1, &g, 1);
	}
	struct id_extent u[2] = { { 0, h->euid, 1 }, { 1, h->subuid.start, h->subuid.count } };
	struct id_extent g[2] = { { 0, h->egid, 1 }, { 1, h->subgid.start, h->subgid.count } };
	b->plan->map_by_helper = true;
	return take_extents(b, u, 2, g, 2);
}

static int explicit_map(struct build *b)
{
	const struct policy *p = b->policy;
	bool root = caller_is_root(b);

	for (size_t i = 0; i < p->uid_extent_count; i++) {
		if (p->uid_extents[i].outside == 0)
			return error_set(b->error, ERR_ID_OWN_FORBIDDEN, 0, NULL, "outside uid 0", p->origin[KEY_UID_MAP]);
	}
	for (size_t i = 0; i < p->gid_extent_count; i++) {
		if (p->gid_extents[i].outside == 0)
			return error_set(b->error, ERR_ID_OWN_FORBIDDEN, 0, NULL, "outside gid 0", p->origin[KEY_GID_MAP]);
	}
	if (!root) {
		bool own = p->uid_extent_count == 1 && p->gid_extent_count == 1 && p->uid_extents[0].count == 1 &&
			   p->uid_extents[0].outside == b->host->euid && p->gid_extents[0].count == 1 &&
			   p->gid_extents[0].outside == b->host->egid;
		b->plan->deny_setgroups = own;
		b->plan->map_by_helper = !own;
		if (!own && (!b->host->newuidmap_path || !b->host->newgidmap_path))
			return error_set(b->error, ERR_ID_HELPER, 0, NULL, "newuidmap, newgidmap", p->origin[KEY_UID_MAP]);
	}
	return take_extents(b, p->uid_extents, p->uid_extent_count, p->gid_extents, p->gid_extent_count);
}

static bool mapped(const struct id_extent *x, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (id >= x[i].inside && id - x[i].inside < x[i].count)
			return true;
	}
	return false;
}

/* Whom the program runs as, inside. */
static int identity(struct build *b, uint32_t uid, uint32_t gid)
{
	const struct policy *p = b->policy;

	b->plan->uid = p->user_given ? p->user_uid : uid;
	b->plan->gid = p->user_given ? p->user_gid : gid;
	if (!b->plan->userns_new)
		return 0;
	if (!mapped(b->plan->uid_extents, b->plan->uid_extent_count, b->plan->uid) ||
	    !mapped(b->plan->gid_extents, b->plan->gid_extent_count, b->plan->gid))
		return error_set(b->error, ERR_ID_UNMAPPED, 0, NULL,
				 arena_printf(b->plan->arena, "%u:%u", b->plan->uid, b->plan->gid), p->origin[KEY_USER]);
	return 0;
}

/* Root's first process is still the host's uid 0, which no inside id stands for: it takes a mapped id
 * before it makes a file, or every file it makes would be refused (EOVERFLOW). */
static int early_identity(struct build *b)
{
	struct op *op;

	if (!b->plan->userns_new || (!caller_is_root(b) && !b->plan->map_by_helper))
		return 0;
	uint32_t uid = b->plan->uid_extents[0].inside, gid = b->plan->gid_extents[0].inside;
	if (!(op = build_op(b, SECTION_IDENTITY, OP_SETGROUPS, NULL, "default")))
		return -1;
	if (!(op = build_op(b, SECTION_IDENTITY, OP_SETGID, NULL, "default")))
		return -1;
	op->number[0] = gid;
	if (!(op = build_op(b, SECTION_IDENTITY, OP_SETUID, NULL, "default")))
		return -1;
	op->number[0] = uid;
	/* A change of ids clears it. */
	return !b->plan->die_with_launcher || build_op(b, SECTION_IDENTITY, OP_PDEATHSIG, NULL, "default") ? 0 : -1;
}

static int without_userns(struct build *b)
{
	bool root = caller_is_root(b) && !b->plan->keep_identity;

	if (b->plan->keep_identity)
		return identity(b, b->host->euid, b->host->egid);
	/* The lock that keeps an id for one run must be held by somebody whom the run can't touch. */
	if (root && !b->policy->user_given && b->plan->mode == PLAN_ENTER_HERE)
		return error_set(b->error, ERR_ENTER_ROOT, 0, NULL, "user", b->policy->origin[KEY_USER]);
	b->plan->allocate_id = root && !b->policy->user_given;
	if (b->policy->user_given && root && (b->policy->user_uid == 0 || b->policy->user_gid == 0))
		return error_set(b->error, ERR_ID_OWN_FORBIDDEN, 0, NULL, "user 0 without a user namespace", b->policy->origin[KEY_USER]);
	if (b->policy->user_given && !root && b->policy->user_uid != b->host->euid)
		return error_set(b->error, ERR_ID_UNMAPPED, 0, NULL, arena_printf(b->plan->arena, "%u", b->policy->user_uid), b->policy->origin[KEY_USER]);
	return identity(b, root ? HUTCH_ID_ALLOCATED : b->host->euid, root ? HUTCH_ID_ALLOCATED : b->host->egid);
}

/* Inside, root's runs look like an ordinary user's. */
#define ORDINARY_ID 1000

int idmap_compile(struct build *b)
{
	const struct policy *p = b->policy;
	bool root = caller_is_root(b);
	uint32_t uid = root ? ORDINARY_ID : b->host->euid, gid = root ? ORDINARY_ID : b->host->egid;
	int r;

	b->plan->die_with_launcher = p->die_with_launcher && b->plan->mode != PLAN_ENTER_HERE;
	if (!b->plan->userns_new)
		return without_userns(b);
	if (p->map == MAP_AUTO) {
		uid = gid = 0;
		r = automatic(b);
	} else if (p->map == MAP_EXPLICIT) {
		uid = p->uid_extent_count ? p->uid_extents[0].inside : 0;
		gid = p->gid_extent_count ? p->gid_extents[0].inside : 0;
		r = explicit_map(b);
	} else {
		if (p->map == MAP_ROOT)
			uid = gid = 0;
		if (p->map == MAP_SINGLE) {
			uid = p->map_uid;
			gid = p->map_gid;
		}
		if (p->user_given) {
			uid = p->user_uid;
			gid = p->user_gid;
		}
		r = single(b, uid, gid);
	}
	if (r < 0 || identity(b, uid, gid) < 0)
		return -1;
	if (p->groups_given && p->group_count && b->plan->deny_setgroups)
		return error_set(b->error, ERR_ID_GROUPS, 0, NULL, NULL, p->origin[KEY_GROUPS]);
	if (build_row(b, ROW_ENFORCED, "identity", "-", arena_printf(b->plan->arena, "uid %u gid %u inside", b->plan->uid, b->plan->gid),
		      b->plan->allocate_id ? "an id of this run's own outside" : b->plan->map_by_helper ? "newuidmap, newgidmap" : "the caller's own id outside",
		      b->plan->deny_setgroups && b->host->group_count ? "the caller's supplementary groups stay in force (setgroups is denied)" : NULL,
		      p->origin[KEY_MAP]) < 0)
		return -1;
	return early_identity(b);
}
