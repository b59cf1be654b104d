/* Symptom to cause to remedy: why this host refused a step of set-up, and what helps. Only on the way of failure.
 * Runs in: parent. */
#include <string.h>

#include "host/internal.h"
#include "sys/sys.h"

struct cause {
	const char *name;
	bool (*fits)(const struct symptoms *s, const struct hutch_error *e);
	const char *detail, *remedy;     /* NULL = told() writes it */
	void (*told)(const struct symptoms *s, struct hutch_error *e);
};

/* ---- user namespaces: one text for diagnosis and for check ---- */
const char *host_userns_cause(enum userns_state state)
{
	switch (state) {
	case USERNS_UNKNOWN:
	case USERNS_OK: return "";
	case USERNS_NO_LIMIT: return "no further user namespace may be made here: user.max_user_namespaces is 0 or used up (surrounding sandboxes set it too)";
	case USERNS_NO_SYSCTL: return "this host forbids user namespaces to ordinary users (kernel.unprivileged_userns_clone=0)";
	case USERNS_NO_APPARMOR:
		return "AppArmor lets only programs with a profile use user namespaces (kernel.apparmor_restrict_unprivileged_userns=1, Ubuntu 23.10 and later)";
	case USERNS_NO_SECCOMP: return "a system call filter around hutch (a container, another sandbox) refuses new user namespaces";
	case USERNS_NO_KERNEL: return "this kernel has no user namespaces (CONFIG_USER_NS)";
	case USERNS_NO_CHROOT: return "the kernel refuses user namespaces to a caller inside a chroot";
	case USERNS_NO_OTHER: return "a policy of this host (a security module, unmapped ids of the caller) refuses them";
	}
	return "";
}

/* Nothing that a shell or AppArmor could take for syntax. */
static bool plain_path(const char *s)
{
	return s && s[0] == '/' && s[strspn(s, "/-_.+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

const char *host_userns_remedy(struct arena *a, enum userns_state state, const char *self)
{
	const char *text;

	switch (state) {
	case USERNS_UNKNOWN:
	case USERNS_OK:
		return "";
	case USERNS_NO_LIMIT:
		return "--userns=never works here (Landlock and seccomp alone); or let root raise the limit: sysctl user.max_user_namespaces=15000";
	case USERNS_NO_SYSCTL:
		return "--userns=never works here (Landlock and seccomp alone); or start hutch as root, or let root allow it: sysctl kernel.unprivileged_userns_clone=1";
	case USERNS_NO_APPARMOR:
		text = arena_printf(a, "give hutch a profile, once: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile hutch %s flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/hutch && sudo apparmor_parser -r /etc/apparmor.d/hutch; or --userns=never (Landlock and seccomp alone)",
				    plain_path(self) ? self : "/usr/bin/hutch");
		return text ? text : "";
	case USERNS_NO_SECCOMP:
		return "--userns=never works here (Landlock and seccomp alone); or start the container with a profile that allows unshare, clone and mount (docker, podman: --security-opt seccomp=PROFILE.json; Kubernetes: seccompProfile)";
	case USERNS_NO_KERNEL:
		return "--userns=never works here (Landlock and seccomp alone); or start hutch as root with --userns=host; or boot a kernel with CONFIG_USER_NS";
	case USERNS_NO_CHROOT:
		return "start hutch outside of the chroot, or enter that tree with pivot_root (systemd-nspawn, unshare) instead; --userns=never works here";
	case USERNS_NO_OTHER:
		return "--userns=never confines with Landlock and seccomp alone; the kernel's log (dmesg, audit) names the module that refused";
	}
	return "";
}

/* ---- what fits ---- */
static bool denied(const struct hutch_error *e)
{
	return e->errnum == EPERM || e->errnum == EACCES;
}

/* Steps that live on the capabilities of the new user namespace. Not those that fail by the caller's own
 * rights on a path: there the kernel's answer is the whole truth. */
static bool needs_userns(const struct hutch_error *e)
{
	static const uint16_t ids[] = {
		ERR_LAUNCH_CLONE, ERR_ID_MAP, ERR_ID_GROUPS, ERR_HOSTNAME, ERR_LOOPBACK, ERR_SYSCTL,
		ERR_MOUNT_PROPAGATION, ERR_MOUNT_ROOT, ERR_MOUNT_ATTACH, ERR_MOUNT_ATTR, ERR_MOUNT_FS, ERR_MOUNT_PROC,
		ERR_MOUNT_PIVOT, ERR_CREDS_BOUNDING, ERR_CREDS_SECUREBITS, ERR_CREDS_GROUPS, ERR_CREDS_GID,
		ERR_CREDS_UID, ERR_CREDS_CAPS,
	};

	for (size_t i = 0; i < COUNT_OF(ids); i++)
		if (e->id == ids[i])
			return true;
	return false;
}

static bool by_helper(const struct hutch_error *e)
{
	return e->id == ERR_ID_HELPER || e->id == ERR_ID_RANGES;
}

static bool fits_no_helper(const struct symptoms *s, const struct hutch_error *e)
{
	return by_helper(e) && (!s->host->newuidmap_path || !s->host->newgidmap_path);
}

static bool fits_helper_bits(const struct symptoms *s, const struct hutch_error *e)
{
	return by_helper(e) && (!s->host->newuidmap || !s->host->newgidmap);
}

static bool fits_no_ranges(const struct symptoms *s, const struct hutch_error *e)
{
	return by_helper(e) && (!s->host->subuid.count || !s->host->subgid.count);
}

static bool fits_helper_nnp(const struct symptoms *s, const struct hutch_error *e)
{
	return e->id == ERR_ID_HELPER && s->host->no_new_privs;
}

static bool fits_nesting(const struct symptoms *s, const struct hutch_error *e)
{
	return s && e->id == ERR_LAUNCH_CLONE && e->errnum == EUSERS;
}

static bool fits_masked_proc(const struct symptoms *s, const struct hutch_error *e)
{
	return e->id == ERR_MOUNT_PROC && denied(e) && s->trial->errnum[TRIAL_PROC] > 0 && s->trial->errnum[TRIAL_TMPFS] == 0;
}

static bool fits_userns(const struct symptoms *s, const struct hutch_error *e)
{
	if (!needs_userns(e) || s->host->userns == USERNS_OK || s->host->userns == USERNS_UNKNOWN)
		return false;
	switch (s->host->userns) {
	case USERNS_NO_LIMIT: return e->id == ERR_LAUNCH_CLONE && (e->errnum == ENOSPC || e->errnum == EUSERS || e->errnum == EPERM);
	case USERNS_NO_KERNEL: return e->id == ERR_LAUNCH_CLONE && (e->errnum == EINVAL || e->errnum == ENOSYS);
	case USERNS_NO_SECCOMP: return denied(e) || e->errnum == ENOSYS;
	default: return denied(e);
	}
}

static bool fits_kind_limit(const struct symptoms *s, const struct hutch_error *e)
{
	return s->host->userns != USERNS_NO_LIMIT && e->id == ERR_LAUNCH_CLONE && e->errnum == ENOSPC;
}

static bool fits_kind_missing(const struct symptoms *s, const struct hutch_error *e)
{
	if (e->id != ERR_LAUNCH_CLONE || e->errnum != EINVAL)
		return false;
	for (size_t k = 0; k < HOST_NS_KINDS; k++)
		if (!s->host->ns[k])
			return true;
	return false;
}

static bool fits_processes(const struct symptoms *s, const struct hutch_error *e)
{
	return s && e->id == ERR_LAUNCH_CLONE && e->errnum == EAGAIN;
}

/* Is the failed call one of the new ones that filters of older making don't know? */
static bool new_call(const struct hutch_error *e)
{
	static const char *const names[] = {
		"openat2", "clone3", "mount_setattr", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
		"close_range", "pidfd_open", "pidfd_send_signal",
	};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(e->call, names[i]) == 0)
			return true;
	return false;
}

static bool fits_filtered(const struct symptoms *s, const struct hutch_error *e)
{
	const struct { const char *name; bool answers; } calls[] = {
		{ "openat2", s->host->openat2 }, { "clone3", s->host->clone3 }, { "mount_setattr", s->host->mount_setattr },
		{ "open_tree", s->host->open_tree }, { "move_mount", s->host->move_mount },
		{ "fsopen", s->host->fsopen }, { "fsconfig", s->host->fsopen }, { "fsmount", s->host->fsopen },
		{ "close_range", s->host->close_range }, { "pidfd_open", s->host->pidfd }, { "pidfd_send_signal", s->host->pidfd },
	};

	if (!s->host->seccomp_mode || (e->errnum != EPERM && e->errnum != ENOSYS))
		return false;
	for (size_t i = 0; i < COUNT_OF(calls); i++)
		if (strcmp(e->call, calls[i].name) == 0)
			return !calls[i].answers;
	return e->id == ERR_MOUNT_NO_API;
}

static bool fits_old_kernel(const struct symptoms *s, const struct hutch_error *e)
{
	return !s->host->seccomp_mode && ((new_call(e) && e->errnum == ENOSYS) || e->id == ERR_MOUNT_NO_API);
}

static bool fits_pivot(const struct symptoms *s, const struct hutch_error *e)
{
	return e->id == ERR_MOUNT_PIVOT && (e->errnum == EINVAL || s->facts->chrooted);
}

static bool fits_cgroup(const struct symptoms *s, const struct hutch_error *e)
{
	return s && (denied(e) || e->errnum == EROFS) &&
	       (strcmp(e->layer, "cgroup") == 0 || strncmp(e->subject, "/sys/fs/cgroup/", 15) == 0);
}

static bool fits_network_filtered(const struct symptoms *s, const struct hutch_error *e)
{
	return e->id == ERR_LOOPBACK && s->trial->errnum[TRIAL_LOOPBACK] > 0;
}

static bool fits_weak_root(const struct symptoms *s, const struct hutch_error *e)
{
	bool wanted = needs_userns(e) || e->id == ERR_NS_HOST_PRIVILEGE || e->id == ERR_NS_JOIN;

	return wanted && denied(e) && s->host->euid == 0 && !(s->host->cap_effective & 1ull << CAPNO_SYS_ADMIN);
}

/* ---- what is told ---- */
static void tell_userns(const struct symptoms *s, struct hutch_error *e)
{
	struct arena a;

	arena_init(&a);
	error_detail(e, "%s", host_userns_cause(s->host->userns));
	/* An unknown policy: at least say how far a trial came. */
	for (int step = 0; s->host->userns == USERNS_NO_OTHER && step < TRIAL_STEPS; step++)
		if (s->trial->errnum[step] > 0) {
			error_detail(e, "%s; a trial failed at %s (errno %d)", host_userns_cause(s->host->userns), host_trial_names[step],
				     s->trial->errnum[step]);
			break;
		}
	error_remedy(e, "%s", host_userns_remedy(&a, s->host->userns, s->self));
	arena_done(&a);
}

static void tell_no_helper(const struct symptoms *s, struct hutch_error *e)
{
	error_detail(e, "%s isn't in /usr/bin, /bin, /usr/sbin or /sbin", s->host->newuidmap_path ? "newgidmap" : "newuidmap");
}

static void tell_helper_bits(const struct symptoms *s, struct hutch_error *e)
{
	const char *path = s->host->newuidmap ? s->host->newgidmap_path : s->host->newuidmap_path;

	error_detail(e, "%s is neither setuid root nor has it a file capability", path);
	error_remedy(e, "let root repair it: chmod u+s %s (or reinstall the package uidmap, shadow-utils on Fedora); or do without ranges: --map=own", path);
}

static void tell_no_ranges(const struct symptoms *s, struct hutch_error *e)
{
	error_detail(e, "/etc/%s has no range for user id %u", s->host->subuid.count ? "subgid" : "subuid", s->host->uid);
}

static void tell_kind_missing(const struct symptoms *s, struct hutch_error *e)
{
	char list[96] = "";

	for (size_t k = 0; k < HOST_NS_KINDS; k++)
		if (!s->host->ns[k]) {
			size_t used = strlen(list);

			copy_bounded(list + used, sizeof list - used, " ");
			copy_bounded(list + used + 1, sizeof list - used - 1, host_ns_names[k]);
		}
	error_detail(e, "this kernel was built without namespaces of kind:%s", list);
}

static void tell_filtered(const struct symptoms *s, struct hutch_error *e)
{
	error_detail(e, "a system call filter around hutch%s%s refuses %s", s->host->container ? ", of the container by " : "",
		     s->host->container ? s->host->container : "", e->call[0] ? e->call : "the mount calls of Linux 5.2");
}

static void tell_old_kernel(const struct symptoms *s, struct hutch_error *e)
{
	error_detail(e, "Linux %s doesn't have %s", s->host->release, e->call[0] ? e->call : "the mount interface of 5.12");
}

static void tell_network(const struct symptoms *s, struct hutch_error *e)
{
	error_detail(e, "a trial failed at the same step (errno %d), so this host's policy refuses it to every program of yours",
		     s->trial->errnum[TRIAL_LOOPBACK]);
}

/* The first that fits counts: the narrow ones stand before the broad ones. */
static const struct cause causes[] = {
	{ "helper-missing", fits_no_helper, NULL, "install the package uidmap (shadow-utils on Fedora, shadow on Arch); or do without ranges: --map=own", tell_no_helper },
	{ "helper-not-setuid", fits_helper_bits, NULL, NULL, tell_helper_bits },
	{ "no-subordinate-ids", fits_no_ranges, NULL, "let root add ranges: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME; or do without: --map=own", tell_no_ranges },
	{ "helper-no-new-privs", fits_helper_nnp, "no_new_privs is set on the caller, so newuidmap can't gain the right that it needs",
	  "start hutch outside of that sandbox or service (systemd: NoNewPrivileges=no); or do without ranges: --map=own", NULL },
	{ "nesting-limit", fits_nesting, "user namespaces lie more than 32 deep already", "start hutch further out: it runs inside too many sandboxes", NULL },
	{ "masked-proc", fits_masked_proc, "parts of /proc are masked here (containers do that), and the kernel then refuses a fresh one in a user namespace",
	  "--proc=synthetic works here, and so does --proc=bind with --pidns=host; or unmask it for the container: podman --security-opt unmask=ALL, docker --security-opt systempaths=unconfined, Kubernetes securityContext.procMount: Unmasked", NULL },
	{ "filtered-call", fits_filtered, NULL, "let the surroundings' filter answer ENOSYS or allow it: update the container engine and libseccomp, or give it a newer seccomp profile; --userns=never needs no mount calls", tell_filtered },
	{ "old-kernel", fits_old_kernel, NULL, "boot a newer kernel (5.12 or later has all that hutch uses); --userns=never needs no mount calls", tell_old_kernel },
	{ "user-namespaces", fits_userns, NULL, NULL, tell_userns },
	{ "weak-root", fits_weak_root, "the caller is root without CAP_SYS_ADMIN, as in a container: that root may no more than an ordinary user",
	  "use --userns=new (the default) or --userns=never; or give the container the capability: --cap-add SYS_ADMIN", NULL },
	{ "namespace-limit", fits_kind_limit, "a limit for one of the namespace kinds is used up (/proc/sys/user/max_*_namespaces)",
	  "end other sandboxes, or let root raise the limit that is too low: sysctl -a | grep 'user.max_.*_namespaces'", NULL },
	{ "namespace-kind", fits_kind_missing, NULL, "ask for `host` for that kind if you can do without its isolation", tell_kind_missing },
	{ "process-limit", fits_processes, "the number of processes of this user, of the cgroup or of the machine is used up",
	  "end some, or raise it: ulimit -u, the cgroup's pids.max, kernel.pid_max", NULL },
	{ "pivot-in-chroot", fits_pivot, "the caller's root is no mount of its own: a chroot or an initramfs",
	  "start hutch outside of the chroot; or take the weaker way: --chroot with --rootfs", NULL },
	{ "cgroup-not-delegated", fits_cgroup, "this cgroup belongs to somebody else (root, systemd): it isn't delegated to the caller",
	  "start it in a delegated one: systemd-run --user --scope -p Delegate=yes hutch …; or leave the cgroup limits out", NULL },
	{ "network-refused", fits_network_filtered, NULL, "--net=host leaves the network as it is (and shared); the kernel's log names the module that refused", tell_network },
};

const char *host_explain_with(const struct symptoms *s, struct hutch_error *e)
{
	for (size_t i = 0; i < COUNT_OF(causes); i++) {
		const struct cause *c = &causes[i];

		if (!c->fits(s, e))
			continue;
		if (c->detail)
			error_detail(e, "%s", c->detail);
		if (c->remedy)
			error_remedy(e, "%s", c->remedy);
		if (c->told)
			c->told(s, e);
		return c->name;
	}
	return NULL;
}

void host_explain(struct hutch_error *e)
{
	struct userns_facts facts;
	struct arena a;
	struct host h;
	struct trial t;
	char self[4096];

	if (!e || e->id < ERR_HOST_SETUID) /* a policy's own mistake is no host's fault */
		return;
	arena_init(&a);
	long n = SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = '\0';
	/* A probe that fails leaves *e alone: what failed first is what counts. */
	if (host_probe_full(&h, &a, NULL) == 0 && host_trial(&h, &t, NULL) == 0) {
		host_trial_facts(&h, &t, &facts);
		struct symptoms s = { .host = &h, .trial = &t, .facts = &facts, .self = n > 0 ? self : NULL };

		host_explain_with(&s, e);
	}
	arena_done(&a);
}
