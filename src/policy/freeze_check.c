/* Combinations of keys that contradict each other, and what only root may loosen.
 * Runs in: parent. */
#include "policy/freeze.h"

static bool named(const struct freeze *f, enum key_id key)
{
	return f->winner[key] && f->winner[key]->strength == STRENGTH_REQUIRED;
}

static int root_only(struct freeze *f, enum key_id key, const char *why)
{
	const struct draft_line *l = f->winner[key];

	error_set(f->error, ERR_KEY_PRIVILEGE, 0, NULL, arena_printf(f->arena, "%s = %s", key_rows[key].name, value_of(f, key)),
		  l ? l->origin : "default");
	return error_detail(f->error, "%s", why);
}

static int check_privilege(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (f->context->uid == 0)
		return 0;
	if (!p->no_new_privs)
		return root_only(f, KEY_NO_NEW_PRIVS, "without no_new_privs the program could gain rights by setuid files");
	if (p->ns[NS_USER].how == NS_HOST)
		return root_only(f, KEY_USERNS, "an ordinary user gets the right to confine only from a user namespace of the sandbox");
	return 0;
}

static int check_namespaces(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (p->have_time_offset && p->ns[NS_TIME].how != NS_NEW)
		return conflict(f, f->winner[KEY_TIME_MONOTONIC] ? KEY_TIME_MONOTONIC : KEY_TIME_BOOTTIME, KEY_TIMENS,
				"clock offsets need a time namespace of the sandbox");
	if (named(f, KEY_HOSTNAME) && p->ns[NS_UTS].how != NS_NEW)
		return conflict(f, KEY_HOSTNAME, KEY_UTSNS, "it would rename the host or another sandbox");
	if (named(f, KEY_DOMAINNAME) && p->ns[NS_UTS].how != NS_NEW)
		return conflict(f, KEY_DOMAINNAME, KEY_UTSNS, "it would rename the host or another sandbox");
	if (p->proc == PROC_BIND && p->ns[NS_PID].how != NS_HOST)
		return conflict(f, KEY_PROC, KEY_PIDNS, "the outer /proc may be shown only where its processes are shared: add --pidns=host, or --proc=auto");
	if (!p->init && p->ns[NS_PID].how == NS_HOST)
		return conflict(f, KEY_INIT, KEY_PIDNS, "the program can be PID 1 only in a pid namespace of its own");
	return 0;
}

static enum key_id key_of(enum rule_kind k)
{
	static const enum key_id keys[] = {
		[RULE_RO] = KEY_RO, [RULE_RW] = KEY_RW, [RULE_TMPFS] = KEY_TMPFS, [RULE_DIR] = KEY_DIR, [RULE_SYMLINK] = KEY_SYMLINK,
		[RULE_FILE] = KEY_FILE, [RULE_FILE_FD] = KEY_FILE_FD, [RULE_MASK] = KEY_MASK, [RULE_DEVICE] = KEY_DEVICE, [RULE_COW] = KEY_COW,
		[RULE_PROTECT] = KEY_PROTECT, [RULE_HIDE] = KEY_HIDE,
	};
	return keys[k];
}

static int check_files(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (p->chroot && !p->rootfs)
		return conflict(f, KEY_CHROOT, KEY_ROOTFS, "chroot changes into a tree that rootfs names");
	if (p->host_root && p->rootfs)
		return conflict(f, KEY_HOST_ROOT, KEY_ROOTFS, "there is one root");
	/* Without user namespaces the rules become grants of Landlock: the planner says which of them it can hold. */
	if (p->ns[NS_MNT].how == NS_NEW || p->ns[NS_USER].how == NS_NEVER)
		return 0;
	if (p->rootfs)
		return conflict(f, KEY_ROOTFS, KEY_MNTNS, "another root needs a mount namespace of the sandbox");
	if (p->rule_count)
		return conflict(f, key_of(p->rules[0].kind), KEY_MNTNS, "rules for files need a mount namespace of the sandbox");
	return 0;
}

/* Only in a root of hutch's own can there be such a file without one in the tree. */
static int check_machine_id(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (!named(f, KEY_MACHINE_ID) || (!p->rootfs && !p->host_root && p->ns[NS_USER].how != NS_NEVER && p->ns[NS_MNT].how == NS_NEW))
		return 0;
	if (p->rootfs || p->host_root)
		return conflict(f, KEY_MACHINE_ID, p->rootfs ? KEY_ROOTFS : KEY_HOST_ROOT, "the tree has its own /etc/machine-id");
	return conflict(f, KEY_MACHINE_ID, p->ns[NS_USER].how == NS_NEVER ? KEY_USERNS : KEY_MNTNS, "/etc is the host's there");
}

static bool any_cow(const struct policy *p)
{
	bool found = p->rootfs_cow;

	for (size_t i = 0; i < p->rule_count; i++)
		found |= p->rules[i].kind == RULE_COW;
	return found;
}

static int check_cow(struct freeze *f)
{
	const struct policy *p = f->policy;
	static const enum key_id of_cow[] = { KEY_COW_UPPER, KEY_COW_SIZE, KEY_ON_EXIT };

	if (p->layer_count && !p->rootfs)
		return conflict(f, KEY_LAYER, KEY_ROOTFS, "layers lie over a tree that rootfs names");
	if (p->rootfs_cow && !p->rootfs)
		return conflict(f, KEY_ROOTFS_ACCESS, KEY_ROOTFS, "there is no rootfs tree");
	if (p->layer_count && named(f, KEY_ROOTFS_ACCESS) && p->rootfs_rw && !p->rootfs_cow)
		return conflict(f, KEY_LAYER, KEY_ROOTFS_ACCESS, "a tree under layers can't be written to: take rootfs-access = cow, or ro");
	for (size_t i = 0; i < 3; i++) {
		if (named(f, of_cow[i]) && !any_cow(p))
			return conflict(f, of_cow[i], KEY_COW, "there are no changes to keep without cow, layer or rootfs-access = cow");
	}
	if (named(f, KEY_COW_UPPER) && named(f, KEY_COW_SIZE))
		return conflict(f, KEY_COW_SIZE, KEY_COW_UPPER, "cow-size caps memory; a directory is as large as its file system");
	if (p->on_exit == ON_EXIT_KEEP && !p->cow_upper)
		return conflict(f, KEY_ON_EXIT, KEY_COW_UPPER, "changes in memory end with the run: name a directory to keep them in");
	return 0;
}

static int check_ids(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (p->groups_given && p->map != MAP_AUTO && p->map != MAP_EXPLICIT && f->context->uid != 0)
		return conflict(f, KEY_GROUPS, KEY_MAP, "with a single mapped id the kernel denies setgroups: use --map=auto, or --uid-map and --gid-map");
	return 0;
}

/* Standard output and error go to one place each. */
static int check_output(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (p->stdout_file && policy_places(p, 1))
		return conflict(f, KEY_FD, KEY_STDOUT, "descriptor 1 leads to one of them");
	if (p->stderr_file && policy_places(p, 2))
		return conflict(f, KEY_FD, KEY_STDERR, "descriptor 2 leads to one of them");
	if (p->output_limited && (policy_places(p, 1) || policy_places(p, 2)))
		return conflict(f, KEY_FD, KEY_OUTPUT_MAX, "what goes past the launcher through descriptor %d can't be counted: leave one of them out", policy_places(p, 1) ? 1 : 2);
	return 0;
}

int freeze_check(struct freeze *f)
{
	const struct policy *p = f->policy;

	if (check_privilege(f) < 0 || check_namespaces(f) < 0 || check_files(f) < 0 || check_machine_id(f) < 0 || check_cow(f) < 0 || check_ids(f) < 0 || check_output(f) < 0)
		return -1;
	if ((p->tcp_connect.given || p->tcp_bind.given) && p->landlock == LANDLOCK_OFF)
		return conflict(f, p->tcp_connect.given ? KEY_TCP_CONNECT : KEY_TCP_BIND, KEY_LANDLOCK, "Landlock is what enforces port lists");
	return 0;
}
