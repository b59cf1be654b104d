/* Where a cgroup of the run's own can be made: own cgroups of the caller, per hierarchy, and who may write there.
 * Runs in: parent. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

#define MOUNTED_AT 4 /* fields of mountinfo, counted from 0 */
#define MOUNT_ROOT 3

const char *const host_controller_names[CG_CONTROLLERS] = {
	[CG_CPU] = "cpu", [CG_CPUACCT] = "cpuacct", [CG_CPUSET] = "cpuset", [CG_MEMORY] = "memory", [CG_PIDS] = "pids",
	[CG_IO] = "io", [CG_HUGETLB] = "hugetlb", [CG_RDMA] = "rdma", [CG_MISC] = "misc", [CG_FREEZER] = "freezer",
};

static const char *v1_name(size_t controller)
{
	return controller == CG_IO ? "blkio" : host_controller_names[controller];
}

/* Is word one of the words of a list that ends at a blank, a newline or the end? */
static bool in_list(const char *list, char separator, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t n = 0;
		while (list[n] && list[n] != separator && !isspace((unsigned char)list[n]))
			n++;
		if (n == len && memcmp(list, word, len) == 0)
			return true;
		if (list[n] != separator)
			return false;
		list += n + 1;
	}
}

static const char *line_after(const char *s)
{
	const char *end = strchr(s, '\n');

	return end ? end + 1 : s + strlen(s);
}

/* The caller's path in one hierarchy: a line "ID:CONTROLLERS:PATH"; version 2 has an empty list. NULL = not in it. */
static char *own_path(struct arena *a, const char *cgroup, const char *controller)
{
	for (const char *line = cgroup; *line; line = line_after(line)) {
		const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		size_t len;
		if (!path || path > line + strcspn(line, "\n"))
			continue;
		/* The list ends at the colon: compare a copy. */
		char *copy = arena_strndup(a, list + 1, (size_t)(path - list - 1));
		if (!copy || (*controller ? !in_list(copy, ',', controller) : *copy))
			continue;
		len = strcspn(++path, "\n");
		return arena_strndup(a, path, len);
	}
	return NULL;
}

static char *field(struct arena *a, const char *line, int number)
{
	for (; number > 0; number--) {
		line = strchr(line, ' ');
		if (!line)
			return NULL;
		line++;
	}
	char *s = arena_strndup(a, line, strcspn(line, " \n"));
	if (s)
		host_unescape(s);
	return s;
}

/* path, seen through a mount of the part of the hierarchy that starts at root. NULL = outside of it. */
static const char *through_mount(struct arena *a, const char *at, const char *root, const char *path)
{
	size_t n = strcmp(root, "/") ? strlen(root) : 0;

	if (!path || strstr(path, "/..") || strncmp(path, root, n) || (path[n] && path[n] != '/'))
		return NULL;
	return arena_printf(a, "%s%s", at, strcmp(path + n, "/") ? path + n : "");
}

static const char *parent_in(struct arena *a, const char *at, const char *root, const char *own, const char *wanted)
{
	size_t n = strlen(at);

	if (!wanted)
		return through_mount(a, at, root, own);
	if (!strncmp(wanted, at, n) && (!wanted[n] || wanted[n] == '/'))
		return wanted;
	/* A directory of another hierarchy isn't a name of this one. */
	return strncmp(wanted, "/sys/fs/cgroup/", 15) ? through_mount(a, at, root, wanted) : NULL;
}

static void take_mount(struct host *h, const char *cgroup, const char *line, const char *wanted)
{
	const char *end = line + strcspn(line, "\n"), *type = strstr(line, " - ");
	char *at, *root, *copy;

	if (!type || type > end || strncmp(type + 3, "cgroup", 6))
		return;
	copy = arena_strndup(h->arena, type + 3, (size_t)(end - type - 3));
	at = field(h->arena, line, MOUNTED_AT);
	root = field(h->arena, line, MOUNT_ROOT);
	if (!copy || !at || !root)
		return;
	if (!strncmp(copy, "cgroup2 ", 8)) {
		const char *parent = parent_in(h->arena, at, root, own_path(h->arena, cgroup, ""), wanted);
		if (parent && !h->cgroup2.version)
			h->cgroup2 = (struct host_cgroup){ .version = 2, .parent = parent };
		return;
	}
	const char *options = strrchr(copy, ' ');
	for (size_t i = 0; options && i < CG_CONTROLLERS; i++) {
		if (h->cgroup[i].version || !in_list(options + 1, ',', v1_name(i)))
			continue;
		const char *parent = parent_in(h->arena, at, root, own_path(h->arena, cgroup, v1_name(i)), wanted);
		if (parent)
			h->cgroup[i] = (struct host_cgroup){ .version = 1, .parent = parent };
	}
}

void host_parse_cgroups(struct host *h, const char *cgroup, const char *mountinfo, const char *parent)
{
	memset(h->cgroup, 0, sizeof h->cgroup);
	memset(&h->cgroup2, 0, sizeof h->cgroup2);
	if (parent && !strncmp(parent, "/proc/self/fd/", 14)) {
		h->cgroup2 = (struct host_cgroup){ .version = 2, .parent = parent };
		return;
	}
	for (const char *line = mountinfo; *line; line = line_after(line))
		take_mount(h, cgroup, line, parent);
}

static bool may_write(const char *dir, const char *file)
{
	char path[4096];
	size_t n = strlen(dir), m = strlen(file);

	if (n + m + 2 > sizeof path)
		return false;
	memcpy(path, dir, n);
	path[n] = '/';
	memcpy(path + n + 1, file, m + 1);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static const char *read_in(struct host *h, const char *dir, const char *file)
{
	const char *path = arena_printf(h->arena, "%s/%s", dir, file), *text = path ? host_read_file(h->arena, path, NULL) : NULL;

	return text ? text : "";
}

/* Which processes the parent holds. Of the top cgroup the rule against inner processes doesn't hold. */
static enum cgroup_procs procs_in(struct host *h, const char *dir)
{
	const char *text;
	enum cgroup_procs found = CGROUP_EMPTY;
	char *path = arena_printf(h->arena, "%s/cgroup.type", dir);

	if (path && faccessat(AT_FDCWD, path, F_OK, 0) < 0)
		return CGROUP_EMPTY;
	text = read_in(h, dir, "cgroup.procs");
	for (; *text; text = line_after(text)) {
		if (strtol(text, NULL, 10) != (long)getpid())
			return CGROUP_OTHERS;
		found = CGROUP_SELF;
	}
	return found;
}

static void probe_version2(struct host *h)
{
	struct host_cgroup *g = &h->cgroup2;
	const char *offered, *enabled;

	if (!g->version)
		return;
	g->writable = may_write(g->parent, ".") && may_write(g->parent, "cgroup.procs");
	offered = read_in(h, g->parent, "cgroup.controllers");
	enabled = read_in(h, g->parent, "cgroup.subtree_control");
	h->cgroup2_procs = procs_in(h, g->parent);
	for (size_t i = 0; i < CG_CONTROLLERS; i++) {
		if (h->cgroup[i].version || i == CG_CPUACCT || i == CG_FREEZER || !in_list(offered, ' ', host_controller_names[i]))
			continue;
		h->cgroup[i] = *g;
		h->cgroup[i].enabled = in_list(enabled, ' ', host_controller_names[i]);
	}
}

/* A systemd that manages this caller's cgroups. */
static void probe_manager(struct host *h)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *bus;

	if (faccessat(AT_FDCWD, "/run/systemd/system", F_OK, 0) < 0 || !h->cgroup2.version)
		return;
	if (h->euid == 0) {
		if (!h->nested_root && faccessat(AT_FDCWD, "/run/dbus/system_bus_socket", W_OK, AT_EACCESS) == 0)
			h->cgroup_manager = "system";
		return;
	}
	if (!runtime || runtime[0] != '/')
		runtime = arena_printf(h->arena, "/run/user/%u", h->euid);
	bus = runtime ? arena_printf(h->arena, "%s/bus", runtime) : NULL;
	if (bus && faccessat(AT_FDCWD, bus, W_OK, AT_EACCESS) == 0)
		h->cgroup_manager = "user";
}

/* Our own helper: beside this program (a build tree), or where it was installed to. Never by PATH. */
static void probe_helper(struct host *h)
{
	static const char *const places[] = { "/hutch-scope", "/../libexec/hutch/hutch-scope" };
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		for (size_t i = 0; slash && i < COUNT_OF(places); i++) {
			char *path = arena_printf(h->arena, "%.*s%s", (int)(slash - self), self, places[i]);
			if (path && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0) {
				h->scope_helper = path;
				return;
			}
		}
	}
#ifdef HUTCH_LIBEXEC
	if (faccessat(AT_FDCWD, HUTCH_LIBEXEC "/hutch-scope", X_OK, AT_EACCESS) == 0)
		h->scope_helper = HUTCH_LIBEXEC "/hutch-scope";
#endif
}

void host_probe_cgroups(struct host *h, const char *parent)
{
	const char *cgroup = host_read_file(h->arena, "/proc/self/cgroup", NULL);
	const char *mountinfo = host_read_file(h->arena, "/proc/self/mountinfo", NULL);

	if (!cgroup || !mountinfo)
		return;
	host_parse_cgroups(h, cgroup, mountinfo, parent);
	for (size_t i = 0; i < CG_CONTROLLERS; i++) {
		struct host_cgroup *g = &h->cgroup[i];
		if (g->version == 1)
			g->writable = may_write(g->parent, ".");
	}
	probe_version2(h);
	if (h->cgroup[CG_MEMORY].version == 1)
		h->swap_limit = *read_in(h, h->cgroup[CG_MEMORY].parent, "memory.memsw.limit_in_bytes") != '\0';
	else
		h->swap_limit = faccessat(AT_FDCWD, "/proc/swaps", F_OK, 0) == 0;
	if (!parent) {
		probe_manager(h);
		probe_helper(h);
	}
}
