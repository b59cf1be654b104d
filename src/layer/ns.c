/* Namespaces: which are made, kept or joined.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

#include "sys/uapi.h"

static const struct {
	const char *name;
	uint64_t flag;
	enum key_id key;
} kinds[NS_KINDS] = {
	[NS_USER] = { "user", U_CLONE_NEWUSER, KEY_USERNS }, [NS_MNT] = { "mount", U_CLONE_NEWNS, KEY_MNTNS },
	[NS_PID] = { "pid", U_CLONE_NEWPID, KEY_PIDNS },     [NS_NET] = { "network", U_CLONE_NEWNET, KEY_NET },
	[NS_IPC] = { "ipc", U_CLONE_NEWIPC, KEY_IPCNS },     [NS_UTS] = { "uts", U_CLONE_NEWUTS, KEY_UTSNS },
	[NS_CGROUP] = { "cgroup", U_CLONE_NEWCGROUP, KEY_CGROUPNS }, [NS_TIME] = { "time", U_CLONE_NEWTIME, KEY_TIMENS },
};

static bool userns_refused(const struct host *h)
{
	return h->userns != USERNS_OK && h->userns != USERNS_UNKNOWN;
}

bool layer_never(const struct build *b)
{
	enum ns_how how = b->policy->ns[NS_USER].how;

	return how == NS_NEVER || (how == NS_TRY && (userns_refused(b->host) || (layer_enters(b) && b->host->threads > 1)));
}

bool layer_has_mounts(const struct build *b)
{
	return !layer_never(b) && b->policy->ns[NS_MNT].how == NS_NEW;
}

/* Keys whose effect hangs on a namespace: what a person named is refused rather than left out. */
static int refuse_named(struct build *b)
{
	static const enum key_id keys[] = {
		KEY_HOSTNAME, KEY_DOMAINNAME, KEY_TIME_MONOTONIC, KEY_TIME_BOOTTIME, KEY_MAP, KEY_UID_MAP, KEY_GID_MAP, KEY_GROUPS,
		KEY_PROC, KEY_PROC_SUBSET, KEY_HIDEPID, KEY_SYS, KEY_CHROOT, KEY_HOST_ROOT, KEY_TMP_SIZE, KEY_TMP_INODES, KEY_HOME,
		KEY_MACHINE_ID,
	};
	const struct policy *p = b->policy;

	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		if (p->strength[keys[i]] != STRENGTH_REQUIRED || !strcmp(p->origin[keys[i]], "default"))
			continue;
		if (keys[i] == KEY_HOME && !p->home_private)
			continue; /* there is none, as asked for */
		return error_set(b->error, ERR_NS_CONFLICT, 0, NULL,
				 arena_printf(b->plan->arena, "%s together with userns = never", key_rows[keys[i]].name), p->origin[keys[i]]);
	}
	return 0;
}

static int ns_never(struct build *b)
{
	const struct policy *p = b->policy;
	bool chosen = p->ns[NS_USER].how == NS_NEVER;

	if (refuse_named(b) < 0)
		return -1;

	for (int i = NS_MNT; i < NS_KINDS; i++) {
		if (p->strength[kinds[i].key] == STRENGTH_REQUIRED && p->ns[i].how != NS_HOST) {
			return error_set(b->error, ERR_NS_CONFLICT, 0, NULL,
					 arena_printf(b->plan->arena, "%s together with userns = never", key_rows[kinds[i].key].name),
					 p->origin[kinds[i].key]);
		}
		if (build_row(b, ROW_MISSING, arena_printf(b->plan->arena, "%s namespace", kinds[i].name), "new", "host", "-",
			      "no user namespace", p->origin[KEY_USERNS]) < 0)
			return -1;
	}
	return build_row(b, ROW_MISSING, "user namespace", chosen ? "never" : "try", "host", "Landlock and seccomp instead",
			 chosen ? "asked for" : !userns_refused(b->host) ? "the process has more than one thread" : "this host refuses user namespaces", p->origin[KEY_USERNS]);
}

static int ns_join(struct build *b, int kind)
{
	const struct policy *p = b->policy;
	/* Eight keys may name a namespace: the message says which did. */
	const char *origin = arena_printf(b->plan->arena, "%s, %s", key_rows[kinds[kind].key].name, p->origin[kinds[kind].key]);
	int slot = origin ? build_opened(b, OPENED_PATH, p->ns[kind].path, origin) : error_nomem(b->error);
	struct op *op;

	if (slot < 0)
		return -1;
	op = build_op(b, SECTION_JOIN, OP_SETNS, p->ns[kind].path, origin);
	if (!op)
		return -1;
	op->number[0] = (uint64_t)slot;
	op->number[1] = kinds[kind].flag;
	b->plan->joins = true;
	return build_row(b, ROW_OPEN, arena_printf(b->plan->arena, "%s namespace", kinds[kind].name), p->ns[kind].path, "joined",
			 "setns", NULL, p->origin[kinds[kind].key]);
}

static int ns_one(struct build *b, int kind)
{
	const struct policy *p = b->policy;
	const char *what = arena_printf(b->plan->arena, "%s namespace", kinds[kind].name);
	const char *origin = p->origin[kinds[kind].key];

	if (!what)
		return error_nomem(b->error);
	if (p->ns[kind].how == NS_JOIN)
		return ns_join(b, kind);
	/* Only the view changes: who the program is stays as it is, and root needs no user namespace to mount. */
	if (kind == NS_USER && p->host_root && (b->host->cap_effective & (UINT64_C(1) << CAPNO_SYS_ADMIN))) {
		b->plan->keep_identity = true;
		return build_row(b, ROW_OPEN, what, "host-root", "host", "-", "the caller's own identity and capabilities", p->origin[KEY_HOST_ROOT]);
	}
	if (p->ns[kind].how == NS_HOST)
		return build_row(b, ROW_OPEN, what, "host", "host", "-", NULL, origin);
	if (!b->host->ns[kind]) {
		if (p->strength[kinds[kind].key] == STRENGTH_REQUIRED || kind != NS_TIME)
			return error_set(b->error, ERR_NS_MISSING, 0, NULL, kinds[kind].name, origin);
		return build_row(b, ROW_MISSING, what, "new", "host", "-", "this kernel has no time namespaces (5.6 has)", origin);
	}
	b->plan->clone_flags |= kinds[kind].flag;
	return build_row(b, ROW_ENFORCED, what, "new", "new", "clone3", NULL, origin);
}

int ns_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (layer_never(b))
		return ns_never(b);
	if (userns_refused(b->host) && (p->ns[NS_USER].how == NS_NEW || p->ns[NS_USER].how == NS_TRY)) {
		error_set(b->error, ERR_LAUNCH_CLONE, b->host->userns == USERNS_NO_LIMIT ? 28 /* ENOSPC */ : 1 /* EPERM */, "clone3",
			  "user namespace", p->origin[KEY_USERNS]);
		return -1;
	}
	if (p->ns[NS_USER].how == NS_HOST && !(b->host->cap_effective & (UINT64_C(1) << CAPNO_SYS_ADMIN)))
		return error_set(b->error, ERR_NS_HOST_PRIVILEGE, 0, NULL, "userns = host", p->origin[KEY_USERNS]);
	/* A user namespace is joined first: it gives the right to join or make the others. */
	for (int i = 0; i < NS_KINDS; i++) {
		struct policy_ns n = p->ns[i];
		if (i == NS_USER && n.how == NS_TRY) {
			b->plan->clone_flags |= U_CLONE_NEWUSER;
			if (build_row(b, ROW_ENFORCED, "user namespace", "try", "new", "clone3", NULL, p->origin[KEY_USERNS]) < 0)
				return -1;
			continue;
		}
		if (ns_one(b, i) < 0)
			return -1;
	}
	b->plan->userns_new = b->plan->clone_flags & U_CLONE_NEWUSER;
	return 0;
}
