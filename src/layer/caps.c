/* Capabilities and no_new_privs.
 * Runs in: parent. */
#include "layer/layer.h"

#include "sys/uapi.h"

static int no_new_privs(struct build *b)
{
	const struct policy *p = b->policy;

	if (!p->no_new_privs) {
		if (p->seccomp_count || p->landlock != LANDLOCK_OFF)
			return error_set(b->error, ERR_NS_CONFLICT, 0, NULL, "no-new-privs = no with a filter: after the capabilities are gone the kernel takes seccomp and Landlock only with no_new_privs (add --seccomp=none --landlock=off)", p->origin[KEY_NO_NEW_PRIVS]);
		return build_row(b, ROW_OPEN, "no new privileges", "no", "no", "-", "setuid programs keep their power inside", p->origin[KEY_NO_NEW_PRIVS]);
	}
	if (!build_op(b, SECTION_CAPS, OP_NO_NEW_PRIVS, NULL, p->origin[KEY_NO_NEW_PRIVS]))
		return -1;
	return build_row(b, ROW_ENFORCED, "no new privileges", "yes", "yes", "no_new_privs", NULL, p->origin[KEY_NO_NEW_PRIVS]);
}

int caps_compile(struct build *b)
{
	const struct policy *p = b->policy;
	struct op *op;

	if (b->plan->keep_identity)
		return no_new_privs(b);
	if (p->caps && !b->plan->userns_new && !b->plan->joins && (p->caps & ~b->host->cap_permitted))
		return error_set(b->error, ERR_CREDS_CAPS, 1, NULL, "caps", p->origin[KEY_CAPS]);
	if (!(op = build_op(b, SECTION_CAPS, OP_CAPSET, NULL, p->origin[KEY_CAPS])))
		return -1;
	op->number[0] = p->caps;
	op->number[1] = p->ambient ? p->caps : 0; /* ambient needs inheritable */
	/* With nothing permitted the kernel clears the ambient set by itself. */
	if (p->caps && p->ambient) {
		if (!(op = build_op(b, SECTION_CAPS, OP_AMBIENT, NULL, p->origin[KEY_AMBIENT])))
			return -1;
		op->number[0] = p->caps;
	}
	if (build_row(b, p->caps ? ROW_OPEN : ROW_ENFORCED, "capabilities", p->caps ? "some" : "none",
		      p->caps ? arena_printf(b->plan->arena, "mask %#llx", (unsigned long long)p->caps) : "none in the five sets", "capset, prctl",
		      p->caps & (UINT64_C(1) << CAPNO_SYS_ADMIN) ? "with sys_admin the file rules can be taken away from inside" : NULL, p->origin[KEY_CAPS]) < 0)
		return -1;
	return no_new_privs(b);
}
