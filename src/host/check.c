/* `hutch check`: what this host offers, what a lack costs, what helps. Text of at most 100 columns, or JSON.
 * Runs in: parent. */
#include <string.h>

#include "host/internal.h"
#include "sys/sys.h"

#define COLUMNS 100
#define INDENT 30
#define ROWS_MAX 40

enum offer { OFFER_NO, OFFER_PARTLY, OFFER_YES };
struct facility {
	const char *name;
	enum offer offer;
	const char *note;                /* a fact in a few words, or NULL */
	const char *costs, *remedy;      /* of a lack */
};
struct sheet {
	struct arena *arena;
	const struct host *host;
	const struct trial *trial;
	const char *self;
	struct facility rows[ROWS_MAX];
	size_t count;
};

static const char *const offers[] = { [OFFER_NO] = "no", [OFFER_PARTLY] = "partly", [OFFER_YES] = "yes" };

static void add(struct sheet *s, const char *name, enum offer offer, const char *note, const char *costs, const char *remedy)
{
	if (s->count < ROWS_MAX)
		s->rows[s->count++] = (struct facility){ name, offer, note, costs, remedy };
}

static void add_bool(struct sheet *s, const char *name, bool have, const char *note, const char *costs, const char *remedy)
{
	add(s, name, have ? OFFER_YES : OFFER_NO, note, costs, remedy);
}

/* ---- the rows ---- */
static void add_kernel(struct sheet *s)
{
	const struct host *h = s->host;

	add_bool(s, "kernel 5.10 or newer", host_require(h, NULL) == 0 || h->at_secure, h->release,
		 "hutch doesn't start", "boot a newer kernel");
	if (h->at_secure)
		add(s, "started without raised privileges", OFFER_NO, NULL, "hutch doesn't start", "take the setuid bit and file capabilities off its file");
}

static void add_userns(struct sheet *s)
{
	const char *note = s->host->userns == USERNS_OK ? NULL : host_userns_cause(s->host->userns);

	add_bool(s, "user namespaces", s->host->userns == USERNS_OK, note && *note ? note : NULL,
		 s->host->cap_effective & 1ull << CAPNO_SYS_ADMIN ?
		 "root can work without (--userns=host); the sandbox then lacks that wall" :
		 "no private file tree, processes, network: only Landlock, seccomp and limits confine (--userns=never)",
		 host_userns_remedy(s->arena, s->host->userns, s->self));
}

static void add_namespaces(struct sheet *s)
{
	static const struct { unsigned kind; const char *name, *costs; } kinds[] = {
		{ 1, "mount namespaces", "no private file tree" }, { 2, "pid namespaces", "other processes stay visible; leftovers may survive" },
		{ 3, "network namespaces", "the network can't be taken away" }, { 4, "ipc namespaces", "System V shared memory and queues are shared" },
		{ 5, "uts namespaces", "the host name is shared" }, { 6, "cgroup namespaces", "the host's cgroup names are visible" },
		{ 7, "time namespaces", "clock offsets are impossible, uptime is visible" },
	};

	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		add_bool(s, kinds[i].name, s->host->ns[kinds[i].kind], NULL, kinds[i].costs, "use a kernel that is built with them");
}

static void add_trial(struct sheet *s)
{
	const struct host *h = s->host;

	if (h->userns != USERNS_OK)
		return;
	add_bool(s, "fresh /proc", h->proc_mountable, h->proc_mountable ? NULL : "parts of the surroundings' /proc are masked",
		 "/proc is a synthetic one (--proc=auto picks it): ps and the like see nothing",
		 "podman --security-opt unmask=ALL; docker --security-opt systempaths=unconfined; Kubernetes procMount: Unmasked");
	add_bool(s, "own loopback interface", s->trial->errnum[TRIAL_LOOPBACK] == 0, NULL,
		 "programs that talk to themselves over 127.0.0.1 fail", "look into the kernel's log which module refuses it; --net=host shares the host's");
}

static void add_overlay(struct sheet *s)
{
	const struct host *h = s->host;
	bool ok = h->overlay && h->userns == USERNS_OK;

	if (h->userns != USERNS_OK)
		return;
	add_bool(s, "overlay for users (5.11)", ok, ok ? NULL : strerror(h->overlay_errno), "--cow and --layer are refused",
		 "boot a kernel from 5.11 on with overlayfs, or let the container engine's filter allow mount(2)");
	if (ok)
		add_bool(s, "user attributes on tmpfs (6.6)", h->tmpfs_xattr, NULL, "with changes in memory, a directory of the host's can't be deleted or moved", "boot a newer kernel, or keep changes in a directory: --cow-upper DIR");
}

static void add_calls(struct sheet *s)
{
	const struct host *h = s->host;
	const char *remedy = h->seccomp_mode ? "a filter around hutch hides it: update the container engine or its seccomp profile" : "boot a newer kernel";

	add_bool(s, "openat2 (5.6)", h->openat2, NULL, "a slower walk of our own keeps paths inside", remedy);
	add_bool(s, "open_tree, move_mount (5.2)", h->open_tree && h->move_mount, NULL, "mounts are made by the older calls", remedy);
	add_bool(s, "fsopen, fsmount (5.2)", h->fsopen, NULL, "mounts are made by the older calls", remedy);
	add_bool(s, "mount_setattr (5.12)", h->mount_setattr, NULL, "read-only trees are set mount by mount; no mapped owners", remedy);
	add_bool(s, "clone3 (5.3)", h->clone3, NULL, "a launch takes more steps", remedy);
	add_bool(s, "close_range (5.9)", h->close_range, NULL, "descriptors are closed one by one", remedy);
	add_bool(s, "pidfd_open (5.3)", h->pidfd, NULL, "hutch doesn't start", remedy);
}

static void add_filters(struct sheet *s)
{
	unsigned abi = s->host->landlock_abi;
	const char *note = abi ? arena_printf(s->arena, "ABI %u", abi) : NULL;
	const char *costs = abi >= 6 ? NULL : abi >= 5 ? "no signal and abstract socket scopes (6.12)" :
		abi >= 4 ? "no scopes (6.12), no device ioctl rules (6.10)" :
		abi ? "file rules only: no scopes (6.12), no TCP rules (6.7)" :
		"--userns=never has no file rules and is refused; no second wall under the mounts";

	add(s, "Landlock", abi >= 6 ? OFFER_YES : abi ? OFFER_PARTLY : OFFER_NO, note, costs,
	    abi ? "boot a newer kernel" : "boot a kernel from 5.13 on with landlock in its lsm= list");
	add_bool(s, "seccomp filters", s->host->seccomp_filter, s->host->seccomp_mode ? "the caller is filtered itself" : NULL,
		 "system calls can't be filtered: refused, or --seccomp=none", "use a kernel with CONFIG_SECCOMP_FILTER");
}

/* Which controllers a run's own cgroup would have, and how one comes by it. */
static void add_cgroups(struct sheet *s)
{
	static const enum controller shown[] = { CG_MEMORY, CG_PIDS, CG_CPU, CG_IO, CG_CPUSET };
	const struct host *h = s->host;
	const char *list = "", *remedy;
	size_t usable = 0;

	for (size_t i = 0; i < COUNT_OF(shown); i++) {
		const struct host_cgroup *g = &h->cgroup[shown[i]];
		if (!g->version || !g->writable || (g->version == 2 && !g->enabled && h->cgroup2_procs == CGROUP_OTHERS))
			continue;
		list = arena_printf(s->arena, "%s%s%s (v%u)", list, *list ? ", " : "", host_controller_names[shown[i]], g->version);
		usable++;
	}
	if (!usable && h->cgroup_manager && h->scope_helper) {
		add(s, "limits of a whole run", OFFER_YES, arena_printf(s->arena, "by a scope of the %s's systemd", h->cgroup_manager), NULL, NULL);
		return;
	}
	remedy = h->cgroup_manager ? "build hutch with libsystemd-dev installed: its helper asks systemd for a scope"
		: h->cgroup2.version ? "systemd-run --user --scope -q -p Delegate=yes hutch …, or --cgroup-parent with a cgroup that is the caller's"
		: "--cgroup-parent with a cgroup that is the caller's";
	add(s, "limits of a whole run", usable >= 3 ? OFFER_YES : usable ? OFFER_PARTLY : OFFER_NO, usable ? list : NULL,
	    usable >= 3 ? NULL : "limits that need a cgroup are refused, or --limits=prefer takes weaker stand-ins", remedy);
}

static void add_ids(struct sheet *s)
{
	const struct host *h = s->host;
	bool helpers = h->newuidmap && h->newgidmap, ranges = h->subuid.count && h->subgid.count;
	const char *note = ranges ? arena_printf(s->arena, "%u uids from %u, %u gids from %u", h->subuid.count, h->subuid.start,
						 h->subgid.count, h->subgid.start) : NULL;

	if (h->euid == 0 && h->cap_effective & 1ull << CAPNO_SETUID) {
		add(s, "more than one id inside", OFFER_YES, "root maps them itself", NULL, NULL);
		return;
	}
	add_bool(s, "newuidmap, newgidmap", helpers, helpers ? NULL : h->newuidmap_path ? "found, but without the right that they need" : NULL,
		 "--map=auto is refused: one id inside",
		 "install the package uidmap (shadow-utils on Fedora)");
	add_bool(s, "subordinate id ranges", ranges, note, "--map=auto is refused: one id inside",
		 "let root add them: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME");
}

static void collect(struct sheet *s)
{
	add_kernel(s);
	add_userns(s);
	add_namespaces(s);
	add_trial(s);
	add_overlay(s);
	add_calls(s);
	add_filters(s);
	add_cgroups(s);
	add_ids(s);
}

/* ---- printing ---- */
static void spaces(struct text *out, size_t n)
{
	while (n--)
		text_add(out, " ", 1);
}

/* Words of s from column at on, further lines indented. */
static void wrapped(struct text *out, size_t at, const char *s)
{
	while (*s) {
		size_t len = strcspn(s, " ");

		if (at > INDENT && at + 1 + len > COLUMNS) {
			text_add(out, "\n", 1);
			spaces(out, INDENT);
			at = INDENT;
		} else if (at > INDENT) {
			text_add(out, " ", 1);
			at++;
		}
		text_add(out, s, len);
		at += len;
		s += len;
		s += strspn(s, " ");
	}
	text_add(out, "\n", 1);
}

static void labelled(struct text *out, const char *label, const char *s)
{
	size_t n = strlen(label);

	if (!s || !*s)
		return;
	spaces(out, INDENT);
	text_add(out, label, n);
	wrapped(out, INDENT + n, s);
}

static void print_row(struct text *out, const struct facility *f)
{
	text_printf(out, "%-*s", INDENT, f->name);
	text_printf(out, "%s%s", offers[f->offer], f->note ? ":" : "");
	wrapped(out, INDENT + strlen(offers[f->offer]) + (f->note != NULL), f->note ? f->note : "");
	if (f->offer == OFFER_YES)
		return;
	labelled(out, "costs:", f->costs);
	labelled(out, "helps:", f->remedy);
}

static void print_text(const struct sheet *s, struct text *out)
{
	const struct host *h = s->host;
	static const char *const cgroups[] = { "none", "version 1", "version 2", "versions 1 and 2" };

	text_printf(out, "Linux %s %s, user id %u%s%s\n", h->release, h->machine, h->euid,
		    h->container ? ", in a container: " : "", h->container ? h->container : "");
	text_printf(out, "security modules: %s\ncgroups: %s%s\n\n", h->lsm ? h->lsm : h->apparmor ? "apparmor" : h->selinux ? "selinux" : "unknown",
		    cgroups[h->cgroup_version & 3], h->no_new_privs ? "; no_new_privs is set on the caller" : "");
	for (size_t i = 0; i < s->count; i++)
		print_row(out, &s->rows[i]);
}

static void json_member(struct text *out, const char *name, const char *value)
{
	text_printf(out, ",\"%s\":", name);
	if (value)
		text_json(out, value);
	else
		text_add(out, "null", 4);
}

static void print_json(const struct sheet *s, struct text *out)
{
	const struct host *h = s->host;

	text_add(out, "{\"kernel\":", 10);
	text_json(out, h->release);
	json_member(out, "machine", h->machine);
	text_printf(out, ",\"uid\":%u,\"gid\":%u", h->euid, h->egid);
	json_member(out, "container", h->container);
	json_member(out, "lsm", h->lsm);
	json_member(out, "userns", host_userns_name(h->userns));
	text_printf(out, ",\"landlock_abi\":%u,\"cgroup_version\":%d,\"no_new_privs\":%s,\"seccomp_mode\":%u,\"facilities\":[", h->landlock_abi,
		    h->cgroup_version, h->no_new_privs ? "true" : "false", h->seccomp_mode);
	for (size_t i = 0; i < s->count; i++) {
		const struct facility *f = &s->rows[i];
		bool lack = f->offer != OFFER_YES;

		text_add(out, i ? ",{\"name\":" : "{\"name\":", i ? 9 : 8);
		text_json(out, f->name);
		json_member(out, "offered", offers[f->offer]);
		json_member(out, "note", f->note);
		json_member(out, "costs", lack ? f->costs : NULL);
		json_member(out, "remedy", lack ? f->remedy : NULL);
		text_add(out, "}", 1);
	}
	text_add(out, "]}\n", 3);
}

void host_check_with(const struct host *h, const struct trial *t, const char *self, struct arena *a, bool json, struct text *out)
{
	struct sheet s = { .arena = a, .host = h, .trial = t, .self = self };

	collect(&s);
	if (json)
		print_json(&s, out);
	else
		print_text(&s, out);
}

int host_check(struct text *out, bool json, struct hutch_error *e)
{
	char self[4096];
	struct arena a;
	struct host h;
	struct trial t;
	int r = -1;

	arena_init(&a);
	long n = SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = '\0';
	if (host_probe_full(&h, &a, e) == 0 && host_trial(&h, &t, e) == 0) {
		host_check_with(&h, &t, n > 0 ? self : NULL, &a, json, out);
		r = out->failed ? error_nomem(e) : 0;
	}
	arena_done(&a);
	return r;
}
