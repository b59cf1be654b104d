/* Limits, ids, capabilities: set, then read back.
 * Runs in: child. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "run/child.h"
#include "sys/sys.h"

int child_restore_files(struct child *c)
{
	int r = c->files ? sys_prlimit(0, RLIMIT_NOFILE, c->files, NULL) : 0;

	return r < 0 ? child_fail(c, NULL, ERR_RLIMIT, r, "prlimit", "nofile") : 0;
}

int child_op_RLIMIT(struct child *c, const struct op *op)
{
	struct { uint64_t soft, hard; } l = { op->number[1], op->number[2] }, was = { 0 };
	int r = op->number[3] ? sys_prlimit(0, (int)op->number[0], NULL, &was) : 0; /* "host" parts keep the value */

	if (r < 0)
		return child_fail(c, op, ERR_RLIMIT, r, "prlimit", NULL);
	if (op->number[3] & 1)
		l.soft = was.soft;
	if (op->number[3] & 2)
		l.hard = was.hard;
	r = sys_prlimit(0, (int)op->number[0], &l, NULL);
	return r < 0 ? child_fail(c, op, ERR_RLIMIT, r, "prlimit", NULL) : 0;
}

int child_op_UMASK(struct child *c, const struct op *op)
{
	(void)c;
	sys_umask((unsigned)op->number[0]);
	return 0;
}

/* The kernel has no call that drops several. */
int child_op_DROP_BOUNDING(struct child *c, const struct op *op)
{
	for (unsigned n = 0; n < 64; n++) {
		if (!(op->number[0] & (UINT64_C(1) << n)))
			continue;
		int r = sys_prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
		if (r < 0)
			return child_fail(c, op, ERR_CREDS_BOUNDING, r, "prctl PR_CAPBSET_DROP", NULL);
	}
	return 0;
}

int child_op_SECUREBITS(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_SET_SECUREBITS, op->number[0], 0, 0, 0);

	return r < 0 ? child_fail(c, op, ERR_CREDS_SECUREBITS, r, "prctl PR_SET_SECUREBITS", NULL) : 0;
}

int child_op_SETGROUPS(struct child *c, const struct op *op)
{
	int r = sys_setgroups(op->data_len, op->data);

	return r < 0 ? child_fail(c, op, ERR_CREDS_GROUPS, r, "setgroups", NULL) : 0;
}

int child_op_SETGID(struct child *c, const struct op *op)
{
	uint32_t id = child_id(c, op->number[0]);
	int r = sys_setresgid(id, id, id);

	return r < 0 ? child_fail(c, op, ERR_CREDS_GID, r, "setresgid", NULL) : 0;
}

int child_op_SETUID(struct child *c, const struct op *op)
{
	uint32_t id = child_id(c, op->number[0]);
	int r = sys_setresuid(id, id, id);

	return r < 0 ? child_fail(c, op, ERR_CREDS_UID, r, "setresuid", NULL) : 0;
}

int child_op_PDEATHSIG(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);

	return r < 0 ? child_fail(c, op, ERR_CREDS_DEATH, r, "prctl PR_SET_PDEATHSIG", NULL) : 0;
}

static int set_caps(uint64_t permitted, uint64_t inheritable)
{
	struct u_cap_header h = { .version = U_CAP_VERSION_3 };
	struct u_cap_data d[2];

	for (int i = 0; i < 2; i++) {
		d[i].effective = d[i].permitted = (uint32_t)(permitted >> (32 * i));
		d[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return sys_capset(&h, d);
}

int child_op_CAPSET(struct child *c, const struct op *op)
{
	int r = set_caps(op->number[0], op->number[1]);

	return r < 0 ? child_fail(c, op, ERR_CREDS_CAPS, r, "capset", NULL) : 0;
}

int child_op_AMBIENT(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

	for (unsigned n = 0; n < 64 && r >= 0; n++) {
		if (op->number[0] & (UINT64_C(1) << n))
			r = sys_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0);
	}
	return r < 0 ? child_fail(c, op, ERR_CREDS_CAPS, r, "prctl PR_CAP_AMBIENT", NULL) : 0;
}

int child_op_NO_NEW_PRIVS(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	return r < 0 ? child_fail(c, op, ERR_CREDS_NNP, r, "prctl PR_SET_NO_NEW_PRIVS", NULL) : 0;
}

int child_op_DUMPABLE(struct child *c, const struct op *op)
{
	int r = sys_prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);

	return r < 0 ? child_fail(c, op, ERR_LAUNCH_PREPARE, r, "prctl PR_SET_DUMPABLE", NULL) : 0;
}

static int verify_caps(uint64_t most)
{
	struct u_cap_header h = { .version = U_CAP_VERSION_3 };
	struct u_cap_data d[2] = { 0 };
	int r = (int)SYS2(SYS_capget, &h, d);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		uint32_t allowed = (uint32_t)(most >> (32 * i));
		if ((d[i].effective | d[i].permitted | d[i].inheritable) & ~allowed)
			return -EPERM;
	}
	return 0;
}

int child_op_VERIFY(struct child *c, const struct op *op)
{
	uint32_t uid = child_id(c, op->number[0]), gid = child_id(c, op->number[1]), r_id, e_id, s_id;
	int r = verify_caps(op->number[2]);

	if (r < 0)
		return child_fail(c, op, ERR_VERIFY, r, "capget", "capabilities");
	bool any = op->flags & OPF_NOVERIFY;
	if (SYS3(SYS_getresuid, &r_id, &e_id, &s_id) < 0 || (!any && r_id != uid) || e_id != r_id || s_id != r_id)
		return child_fail(c, op, ERR_VERIFY, 0, "getresuid", "user ids");
	if (SYS3(SYS_getresgid, &r_id, &e_id, &s_id) < 0 || (!any && r_id != gid) || e_id != r_id || s_id != r_id)
		return child_fail(c, op, ERR_VERIFY, 0, "getresgid", "group ids");
	r = sys_prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (r != (int)op->number[3])
		return child_fail(c, op, ERR_VERIFY, r < 0 ? r : 0, "prctl", "no_new_privs");
	return 0;
}
