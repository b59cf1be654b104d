/* Bounding set, securebits, groups, gid, uid: in the order in which each still has the right to be set.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

#include "sys/uapi.h"

#define SECBIT_NO_SETUID_FIXUP 4u

static bool has_privilege(const struct build *b)
{
	return b->plan->userns_new || b->plan->joins || (b->host->cap_effective & (UINT64_C(1) << CAPNO_SETUID));
}

static int bounding(struct build *b)
{
	uint64_t all = (UINT64_C(2) << b->host->cap_last) - 1, drop = all & ~b->policy->caps;
	struct op *op;

	/* In a new user namespace the bounding set starts full; else what isn't there needn't be dropped. */
	if (!b->plan->userns_new)
		drop &= b->host->cap_bounding;
	if (!drop)
		return 0;
	op = build_op(b, SECTION_CREDS, OP_DROP_BOUNDING, NULL, b->policy->origin[KEY_CAPS]);
	if (!op)
		return -1;
	op->number[0] = drop;
	return 0;
}

static int groups(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	/* An ordinary caller has the right only where ranges are mapped. */
	if (b->plan->deny_setgroups || (!p->groups_given && !b->plan->userns_new && !(b->host->cap_effective & (UINT64_C(1) << CAPNO_SETGID))))
		return 0;
	op = build_op(b, SECTION_CREDS, OP_SETGROUPS, NULL, p->origin[KEY_GROUPS]);
	if (!op)
		return -1;
	op->data = p->groups;
	op->data_len = p->groups_given ? p->group_count : 0;
	return 0;
}

static int securebits(struct build *b, uint32_t bits)
{
	struct op *op = build_op(b, SECTION_CREDS, OP_SECUREBITS, NULL, b->policy->origin[KEY_SECUREBITS]);

	if (op)
		op->number[0] = bits;
	return op ? 0 : -1;
}

/* Does the process have the program's ids already? Verified at the end in any case. */
static bool ids_in_place(const struct build *b)
{
	const struct plan *p = b->plan;

	if (!p->userns_new || p->joins)
		return false;
	return p->uid == p->uid_extents[0].inside && p->gid == p->gid_extents[0].inside && !b->policy->groups_given;
}

static int ids(struct build *b)
{
	struct op *op;

	if (ids_in_place(b))
		return 0;
	/* In a joined user namespace the process has the ids that the map there gives its own. */
	if (b->policy->ns[NS_USER].how == NS_JOIN && !b->policy->user_given)
		return groups(b);
	if (groups(b) < 0)
		return -1;
	if (!(op = build_op(b, SECTION_CREDS, OP_SETGID, NULL, b->policy->origin[KEY_USER])))
		return -1;
	op->number[0] = b->plan->gid;
	if (!(op = build_op(b, SECTION_CREDS, OP_SETUID, NULL, b->policy->origin[KEY_USER])))
		return -1;
	op->number[0] = b->plan->uid;
	/* A change of ids clears the parent-death signal. */
	return !b->plan->die_with_launcher || build_op(b, SECTION_CREDS, OP_PDEATHSIG, NULL, "default") ? 0 : -1;
}

int creds_compile(struct build *b)
{
	uint32_t bits = b->policy->securebits;

	if (b->plan->keep_identity)
		return 0;
	if (!has_privilege(b) && b->policy->strength[KEY_SECUREBITS] == STRENGTH_REQUIRED && strcmp(b->policy->origin[KEY_SECUREBITS], "default"))
		return error_set(b->error, ERR_CREDS_CAPS, 1 /* EPERM */, NULL, "securebits", b->policy->origin[KEY_SECUREBITS]);
	if (!has_privilege(b))
		return build_row(b, ROW_WEAKER, "capability bounding set", "empty", "the caller's", "no_new_privs",
				 "no privilege to empty it; no_new_privs makes it moot", b->policy->origin[KEY_CAPS]);
	if (bounding(b) < 0)
		return -1;
	/* Kept capabilities must survive the change of ids, whatever bits are asked for at the end. */
	if (!(bits & SECBIT_NO_SETUID_FIXUP) && securebits(b, SECBIT_NO_SETUID_FIXUP) < 0)
		return -1;
	if ((bits & SECBIT_NO_SETUID_FIXUP) && securebits(b, bits) < 0)
		return -1;
	if (ids(b) < 0)
		return -1;
	return !(bits & SECBIT_NO_SETUID_FIXUP) ? securebits(b, bits) : 0;
}
