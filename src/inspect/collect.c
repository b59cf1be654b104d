/* Fills the report of the process it runs in. Nothing here needs /proc: where it's missing, a part
 * says why it's empty.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <errno.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static void collect_ids(struct report *r)
{
	uid_t u[3];
	gid_t g[3];
	gid_t list[4096];
	int n = getgroups(4096, list);

	memset(r->uid, 0xff, sizeof r->uid);
	memset(r->gid, 0xff, sizeof r->gid);
	if (getresuid(&u[0], &u[1], &u[2]) == 0 && getresgid(&g[0], &g[1], &g[2]) == 0) {
		for (int i = 0; i < 3; i++) {
			r->uid[i] = u[i];
			r->gid[i] = g[i];
		}
	}
	/* An impossible id changes nothing and the present one comes back. */
	r->uid[3] = (uint32_t)setfsuid((uid_t)-1);
	r->gid[3] = (uint32_t)setfsgid((gid_t)-1);
	r->groups.errnum = n < 0 ? errno : 0;
	r->groups.total = n < 0 ? 0 : (uint32_t)n;
	for (int i = 0; i < n && i < 64; i++)
		r->groups.id[r->groups.kept++] = list[i];
	r->pid = getpid();
	r->ppid = getppid();
	r->session = getsid(0);
}

static void collect_caps(struct report *r)
{
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	struct { uint32_t effective, permitted, inheritable; } data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		r->caps_errnum = errno;
	r->caps[CAPS_EFFECTIVE] = data[0].effective | (uint64_t)data[1].effective << 32;
	r->caps[CAPS_PERMITTED] = data[0].permitted | (uint64_t)data[1].permitted << 32;
	r->caps[CAPS_INHERITABLE] = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	for (unsigned n = 0; n < 64; n++) {
		int in = prctl(PR_CAPBSET_READ, n, 0, 0, 0);
		if (in < 0) {
			/* EINVAL ends the list; another one means that the set can't be read. */
			if (errno != EINVAL)
				r->caps_errnum = errno;
			break;
		}
		r->cap_count = n + 1;
		r->caps[CAPS_BOUNDING] |= (uint64_t)in << n;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, n, 0, 0) == 1)
			r->caps[CAPS_AMBIENT] |= 1ull << n;
	}
}

static int32_t prctl_value(int what)
{
	int value = prctl(what, 0, 0, 0, 0);

	return value < 0 ? -errno : value;
}

static void collect_status(struct report *r)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[1024];

	r->no_new_privs = prctl_value(PR_GET_NO_NEW_PRIVS);
	r->seccomp = prctl_value(PR_GET_SECCOMP);
	r->securebits = prctl_value(PR_GET_SECUREBITS);
	r->filters = -1;
	while (f && fgets(line, sizeof line, f)) {
		int n;
		if (sscanf(line, "Seccomp_filters: %d", &n) == 1)
			r->filters = n;
	}
	if (f)
		fclose(f);
}

static void collect_map(struct seen_map *m, const char *path)
{
	FILE *f = fopen(path, "re");
	struct seen_extent x;
	char line[128];

	m->errnum = f ? 0 : errno;
	while (f && fgets(line, sizeof line, f)) {
		if (!decode_extent(line, &x))
			continue;
		m->total++;
		if (m->kept < 8)
			m->extent[m->kept++] = x;
	}
	if (f)
		fclose(f);
}

static void collect_namespaces(struct report *r)
{
	for (unsigned i = 0; i < NAMESPACES; i++) {
		char path[64];
		struct stat st;
		snprintf(path, sizeof path, "/proc/self/ns/%s", namespace_names[i]);
		r->ns[i] = stat(path, &st) == 0 ? st.st_ino : 0;
	}
}

static void collect_host(struct report *r)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	copy_name(r->host_name, sizeof r->host_name, u.nodename);
	copy_name(r->domain_name, sizeof r->domain_name, u.domainname);
	copy_name(r->kernel, sizeof r->kernel, u.release);
}

static void collect_env(struct report *r)
{
	for (char **e = environ; e && *e; e++) {
		char name[256];
		size_t len = strcspn(*e, "=");
		snprintf(name, sizeof name, "%.*s", len < 255 ? (int)len : 255, *e);
		add_name(&r->env, name);
	}
	sort_names(&r->env);
}

static void collect_limits(struct report *r)
{
	for (int i = 0; i < LIMITS; i++) {
		struct rlimit l;
		if (getrlimit(i, &l) < 0) {
			r->limit[i].errnum = errno;
			continue;
		}
		r->limit[i].soft = l.rlim_cur == RLIM_INFINITY ? UINT64_MAX : l.rlim_cur;
		r->limit[i].hard = l.rlim_max == RLIM_INFINITY ? UINT64_MAX : l.rlim_max;
	}
}

void report_collect(struct report *r, const struct inspect_options *o)
{
	memset(r, 0, sizeof *r);
	r->magic = REPORT_MAGIC;
	r->size = sizeof *r;
	collect_fds(r); /* first: before we open anything ourselves */
	collect_ids(r);
	collect_caps(r);
	collect_status(r);
	collect_map(&r->uid_map, "/proc/self/uid_map");
	collect_map(&r->gid_map, "/proc/self/gid_map");
	collect_namespaces(r);
	collect_host(r);
	collect_env(r);
	collect_limits(r);
	collect_files(r, o);
	collect_processes(r);
	collect_mounts(r);
	collect_interfaces(r);
	collect_memory(&r->memory, o->alloc_mib);
}
