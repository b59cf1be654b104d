/* Costly facts: the trial, security modules, containers, subordinate ids. For check, explain, diagnosis.
 * Runs in: parent. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

/* ---- subordinate ids ---- */
/* Setuid root, or with the capability in the file: the helper is of no use otherwise. */
static bool helper_usable(const char *path, const char *capability_name)
{
	struct stat s;
	char value[64];

	if (stat(path, &s) != 0 || !S_ISREG(s.st_mode) || !(s.st_mode & 0111))
		return false;
	if ((s.st_mode & S_ISUID) && s.st_uid == 0)
		return true;
	return SYS4(SYS_getxattr, path, capability_name, value, sizeof value) > 0;
}

/* Only absolute system directories: what PATH names isn't trusted with somebody's ids. */
static bool find_helper(struct host *h, const char *name, const char **path)
{
	static const char *const directories[] = { "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/" };

	for (size_t i = 0; i < COUNT_OF(directories); i++) {
		char *full = arena_printf(h->arena, "%s%s", directories[i], name);

		if (full && access(full, X_OK) == 0) {
			*path = full;
			return helper_usable(full, "security.capability");
		}
	}
	return false;
}

void host_probe_ids(struct host *h)
{
	const char *passwd = host_read_file(h->arena, "/etc/passwd", NULL), *name = NULL;
	const char *uids = host_read_file(h->arena, "/etc/subuid", NULL);
	const char *gids = host_read_file(h->arena, "/etc/subgid", NULL);
	struct host_range r;
	size_t len;

	/* Read by hand: getpwuid may load modules, talk to daemons and allocate. */
	if (passwd && (passwd = host_parse_passwd(passwd, h->uid, &len)))
		name = arena_strndup(h->arena, passwd, len);
	if (uids) {
		r = host_parse_subid(uids, name, h->uid);
		h->subuid.start = r.start;
		h->subuid.count = r.count;
	}
	if (gids) { /* /etc/subgid is by user too, not by group */
		r = host_parse_subid(gids, name, h->uid);
		h->subgid.start = r.start;
		h->subgid.count = r.count;
	}
	h->newuidmap = find_helper(h, "newuidmap", &h->newuidmap_path);
	h->newgidmap = find_helper(h, "newgidmap", &h->newgidmap_path);
}

/* ---- surroundings ---- */
static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Is the word in the comma-separated list? */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0' || p[n] == '\n'))
			return true;
	return false;
}

static void probe_modules(struct host *h)
{
	size_t len;
	char *lsm = host_read_file(h->arena, "/sys/kernel/security/lsm", &len);

	if (lsm)
		lsm[strcspn(lsm, "\n")] = '\0';
	h->lsm = lsm;
	/* Without securityfs (containers) each module is asked for by a trace of its own. */
	h->apparmor = lsm ? listed(lsm, "apparmor") : host_read_number("/sys/module/apparmor/parameters/enabled") == 1;
	h->selinux = lsm ? listed(lsm, "selinux") : exists("/sys/fs/selinux/enforce");
	h->yama = exists("/proc/sys/kernel/yama/ptrace_scope");
}

static const char *container_by_env(struct host *h)
{
	static const char *const known[] = { "docker", "podman", "systemd-nspawn", "lxc", "oci", "rkt", "wsl" };
	const char *v = getenv("container");
	size_t len;

	if (!v || !*v) {
		/* PID 1 keeps it where the shell in between cleared it; readable for the same user. */
		char *env = host_read_file(h->arena, "/proc/1/environ", &len);

		for (char *p = env; p && p < env + len; p += strlen(p) + 1)
			if (strncmp(p, "container=", 10) == 0)
				v = p + 10;
	}
	for (size_t i = 0; v && i < COUNT_OF(known); i++)
		if (strcmp(v, known[i]) == 0)
			return known[i];
	return v && *v ? "unknown" : NULL;
}

static void probe_container(struct host *h)
{
	const char *cgroup = host_read_file(h->arena, "/proc/self/cgroup", NULL);

	if (exists("/run/.containerenv"))
		h->container = "podman";
	else if (exists("/.dockerenv"))
		h->container = "docker";
	else if (!(h->container = container_by_env(h)) && cgroup)
		h->container = host_parse_container(cgroup);
}

/* ---- user namespaces ---- */
enum userns_state host_classify_userns(const struct userns_facts *f)
{
	int errnum = f->unshare_errno ? f->unshare_errno : f->later_errno;
	bool denied = errnum == EPERM || errnum == EACCES;

	if (!errnum)
		return USERNS_OK;
	if (f->max_namespaces == 0 || errnum == ENOSPC)
		return USERNS_NO_LIMIT;
	if (denied && !f->privileged && f->unprivileged_clone == 0)
		return USERNS_NO_SYSCTL;
	/* Ubuntu: the namespace comes into being, but under a profile that denies every capability in it. */
	if (denied && !f->privileged && f->apparmor_restrict == 1)
		return USERNS_NO_APPARMOR;
	if (!f->unshare_errno)
		return USERNS_NO_OTHER;
	if (errnum == EINVAL)
		return USERNS_NO_KERNEL;
	if (errnum == ENOSYS)
		return f->seccomp_mode ? USERNS_NO_SECCOMP : USERNS_NO_KERNEL;
	if (denied && f->chrooted)
		return USERNS_NO_CHROOT;
	if (denied && f->seccomp_mode)
		return USERNS_NO_SECCOMP;
	return USERNS_NO_OTHER;
}

static bool chrooted(struct host *h)
{
	const char *mountinfo = host_read_file(h->arena, "/proc/self/mountinfo", NULL);
	struct stat own, first;

	if (mountinfo && host_parse_chrooted(mountinfo))
		return true;
	/* Another root than PID 1's, in the same mount namespace; only root may look. */
	if (stat("/", &own) != 0 || stat("/proc/1/root/", &first) != 0 || (own.st_dev == first.st_dev && own.st_ino == first.st_ino))
		return false;
	return stat("/proc/self/ns/mnt", &own) == 0 && stat("/proc/1/ns/mnt", &first) == 0 && own.st_ino == first.st_ino;
}

void host_trial_facts(struct host *h, struct trial *t, struct userns_facts *f)
{
	memset(f, 0, sizeof *f);
	f->unshare_errno = t->errnum[TRIAL_USERNS] > 0 ? t->errnum[TRIAL_USERNS] : 0;
	for (int step = TRIAL_MAP; step <= TRIAL_TMPFS && !f->later_errno; step++)
		if (t->errnum[step] > 0)
			f->later_errno = t->errnum[step];
	/* Network last: where only its loopback is denied, that is the restriction's doing as well. */
	if (!f->later_errno && t->errnum[TRIAL_LOOPBACK] > 0)
		f->later_errno = t->errnum[TRIAL_LOOPBACK];
	f->max_namespaces = host_read_number("/proc/sys/user/max_user_namespaces");
	f->unprivileged_clone = host_read_number("/proc/sys/kernel/unprivileged_userns_clone");
	f->apparmor_restrict = host_read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	f->seccomp_mode = h->seccomp_mode;
	f->apparmor = h->apparmor;
	f->privileged = h->cap_effective & 1ull << CAPNO_SYS_ADMIN;
	f->chrooted = chrooted(h);
}

int host_probe_full(struct host *h, struct arena *a, struct hutch_error *e)
{
	struct userns_facts facts;
	struct trial t;
	const char *mountinfo;

	if (host_probe(h, a, e) != 0)
		return -1;
	probe_modules(h);
	probe_container(h);
	host_probe_ids(h);
	mountinfo = host_read_file(a, "/proc/self/mountinfo", NULL);
	h->cgroup_version = mountinfo ? host_parse_cgroup_version(mountinfo) : 0;
	host_probe_cgroups(h, NULL);
	if (host_trial(h, &t, e) != 0)
		return -1;
	host_trial_facts(h, &t, &facts);
	h->userns = host_classify_userns(&facts);
	if (t.errnum[TRIAL_PROC] >= 0) /* else the trial never came so far: it says nothing of root without it */
		h->proc_mountable = t.errnum[TRIAL_PROC] == 0;
	if (t.errnum[TRIAL_API] >= 0) { /* asked again with the capabilities held */
		h->move_mount = h->move_mount && t.move_mount;
		h->fsopen = h->fsopen && t.fsopen;
	}
	host_probe_overlay(h);
	h->full = true;
	return 0;
}
