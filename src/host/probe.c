/* Cheap facts for a plain run: about a dozen system calls, none of which changes anything.
 * Runs in: parent. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

#ifndef O_PATH
#define O_PATH 010000000
#endif
#define ST_READONLY 1 /* ST_RDONLY of statfs(2) */

static int probe_release(struct host *h, struct hutch_error *e)
{
	struct utsname u;

	if (uname(&u) != 0)
		return error_set(e, ERR_HOST_PROBE, errno, "uname", "its release", NULL);
	h->release = arena_strdup(h->arena, u.release);
	h->machine = arena_strdup(h->arena, u.machine);
	if (!h->release || !h->machine)
		return error_nomem(e);
	/* An unreadable release counts as 0.0: then nothing is assumed and each call is probed. */
	host_parse_release(h->release, &h->kernel_major, &h->kernel_minor);
	return 0;
}

/* The same facts from calls, for a host whose /proc is hidden or cut. */
static void probe_ids_by_call(struct host *h)
{
	h->uid = getuid();
	h->euid = geteuid();
	h->gid = getgid();
	h->egid = getegid();
}

static int probe_groups_by_call(struct host *h, struct hutch_error *e)
{
	int n = getgroups(0, NULL);
	uint32_t *list = arena_alloc(h->arena, (n > 0 ? (size_t)n : 1) * sizeof *list);

	if (!list)
		return error_nomem(e);
	n = n > 0 ? getgroups(n, (gid_t *)list) : 0;
	h->groups = list;
	h->group_count = n > 0 ? (size_t)n : 0;
	return 0;
}

static void probe_caps_by_call(struct host *h)
{
	struct u_cap_header head = { U_CAP_VERSION_3, 0 };
	struct u_cap_data data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	SYS2(SYS_capget, &head, data);
	h->cap_effective = data[0].effective | (uint64_t)data[1].effective << 32;
	h->cap_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	h->cap_bounding = 0;
	for (unsigned cap = 0; cap < 64; cap++) {
		int has = sys_prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has < 0)
			break;
		h->cap_bounding |= (uint64_t)(has == 1) << cap;
	}
}

static void probe_signals_by_call(struct host *h)
{
	for (int sig = 1; sig <= 64; sig++) {
		/* Starts with the handler on every Linux; larger than any kernel's struct sigaction. */
		struct { uintptr_t handler; unsigned char rest[120]; } old = { 0, { 0 } };

		if (SYS4(SYS_rt_sigaction, sig, 0, &old, 8) == 0 && old.handler == (uintptr_t)SIG_IGN)
			h->sig_ignored |= 1ull << (sig - 1);
	}
}

/* One read has it all, unless the caller is in hundreds of groups. */
static unsigned probe_status(struct host *h)
{
	char text[4096];
	int fd = sys_openat(AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	long n = fd >= 0 ? sys_read(fd, text, sizeof text - 1) : -1;

	if (fd >= 0)
		sys_close(fd);
	h->proc_mounted = n > 0;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (n < (long)sizeof text - 1)
		return host_parse_status(h, text);
	const char *whole = host_read_file(h->arena, "/proc/self/status", NULL);

	return whole ? host_parse_status(h, whole) : 0;
}

static int probe_caller(struct host *h, struct hutch_error *e)
{
	unsigned seen = probe_status(h);

	h->at_secure = getauxval(AT_SECURE) != 0;
	if (!(seen & STATUS_IDS))
		probe_ids_by_call(h);
	if (!(seen & STATUS_GROUPS) && probe_groups_by_call(h, e) != 0)
		return -1;
	if (!(seen & STATUS_CAPS))
		probe_caps_by_call(h);
	if (!(seen & STATUS_SIGNALS))
		probe_signals_by_call(h);
	if (!(seen & STATUS_NNP))
		h->no_new_privs = sys_prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (!(seen & STATUS_SECCOMP)) {
		int mode = sys_prctl(PR_GET_SECCOMP, 0, 0, 0, 0);

		h->seccomp_mode = mode > 0 ? (unsigned)mode : 0;
	}
	/* EFAULT for the missing program tells that filters are known. */
	if (!h->seccomp_filter)
		h->seccomp_filter = sys_prctl(PR_SET_SECCOMP, 2 /* filter */, 0, 0, 0) == -EFAULT;
	return 0;
}

/* What the bounding set lacks need not be dropped, so the highest bit in it is as good as asking. */
static void set_cap_last(struct host *h)
{
	bool v59 = h->kernel_major > 5 || (h->kernel_major == 5 && h->kernel_minor >= 9);
	bool v58 = h->kernel_major == 5 && h->kernel_minor == 8;

	h->cap_last = v59 ? 40 : v58 ? 39 : 37;
	for (unsigned cap = h->cap_last + 1; cap < 64; cap++)
		if (h->cap_bounding & 1ull << cap)
			h->cap_last = cap;
}

static bool is_null_device(const struct stat *s)
{
	return S_ISCHR(s->st_mode) && s->st_rdev == makedev(1, 3);
}

/* Shows O_PATH: a mere reference can do more than the descriptor seems to (a socket's path, a device).
 * Not asked of a terminal, which answered an ioctl, nor of a pipe, whose ends anybody holding one can reopen. */
static int fd_flags(int fd)
{
	int flags = sys_fcntl(fd, F_GETFL, 0);

	return flags < 0 ? 0 : flags;
}

/* The name counts only while it still leads to that very file: it may have been moved or unlinked. */
static const char *stdin_path(struct host *h, const struct stat *s)
{
	char name[4096];
	struct stat now;
	long n = SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/fd/0", name, sizeof name - 1);

	if (n <= 0 || name[0] != '/')
		return NULL;
	name[n] = '\0';
	if (lstat(name, &now) != 0 || now.st_dev != s->st_dev || now.st_ino != s->st_ino)
		return NULL;
	return arena_strdup(h->arena, name);
}

static void probe_stdio(struct host *h)
{
	struct stat s[3];

	for (int fd = 0; fd < 3; fd++) {
		struct termios t;

		memset(&s[fd], 0, sizeof s[fd]);
		/* Only EBADF means closed: what can't be looked at (a filter) is still the program's output. */
		h->fd_open[fd] = fstat(fd, &s[fd]) == 0 || errno != EBADF;
		if (!h->fd_open[fd])
			continue;
		h->fd_mode[fd] = s[fd].st_mode;
		if (is_null_device(&s[fd]))
			continue;
		if (S_ISCHR(s[fd].st_mode))
			h->fd_tty[fd] = sys_ioctl(fd, TCGETS, &t) == 0;
		if (!h->fd_tty[fd] && !S_ISFIFO(s[fd].st_mode))
			h->fd_flags[fd] = fd_flags(fd);
	}
	if (h->fd_open[0] && S_ISREG(h->fd_mode[0]))
		h->stdin_path = stdin_path(h, &s[0]);
}

/* Marks the kinds that a piece of the listing names. */
static void note_namespaces(struct host *h, const char *buffer, long n)
{
	for (long at = 0; at < n;) {
		/* struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name */
		uint16_t length;

		memcpy(&length, buffer + at + 16, sizeof length);
		for (size_t k = 0; k < HOST_NS_KINDS; k++)
			if (strcmp(buffer + at + 19, host_ns_names[k]) == 0)
				h->ns[k] = true;
		at += length;
	}
}

/* One directory listing instead of eight look-ups. It comes in pieces where a signal is on its way. */
static void probe_namespaces(struct host *h)
{
	char buffer[2048];
	int fd = sys_openat(AT_FDCWD, "/proc/self/ns", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long n = fd >= 0 ? SYS3(SYS_getdents64, fd, buffer, sizeof buffer) : -1;

	for (size_t k = 0; k < HOST_NS_KINDS; k++)
		h->ns[k] = n <= 0; /* no /proc: the launch finds out, and says so */
	while (n > 0) {
		note_namespaces(h, buffer, n);
		n = SYS3(SYS_getdents64, fd, buffer, sizeof buffer);
	}
	if (fd >= 0)
		sys_close(fd);
}

static bool answers(long result)
{
	return result != -ENOSYS && result != -EPERM;
}

/* Every argument here is one that an unfiltered kernel must refuse with EINVAL or EFAULT, before it looks
 * at privilege. move_mount and fsopen look at privilege first: without it their neighbours (which every
 * filter in the field treats alike) answer for them, and the trial of the full probe asks again. */
static void probe_calls(struct host *h)
{
	bool may_mount = h->cap_effective & 1ull << CAPNO_SYS_ADMIN;
	long result;

	h->openat2 = answers(SYS4(NR_openat2, -1, "", NULL, 0));
	h->open_tree = answers(SYS3(NR_open_tree, -1, "", ~0u));
	h->mount_setattr = answers(SYS5(NR_mount_setattr, -1, "", ~0u, NULL, 0));
	h->clone3 = answers(SYS2(NR_clone3, NULL, 0));
	h->close_range = answers(SYS3(NR_close_range, 1, 0, 0));
	h->pidfd = answers(SYS2(NR_pidfd_open, -1, 0));
	result = SYS5(NR_move_mount, -1, "", -1, "", ~0u);
	h->move_mount = answers(result) || (result == -EPERM && !may_mount && h->open_tree);
	result = SYS2(NR_fsopen, NULL, ~0u);
	h->fsopen = answers(result) ||
		    (result == -EPERM && !may_mount && answers(SYS5(NR_fsconfig, -1, ~0u, NULL, NULL, 0)));
}

static void assume_calls(struct host *h)
{
	h->openat2 = h->open_tree = h->move_mount = h->fsopen = true;
	h->mount_setattr = h->clone3 = h->close_range = h->pidfd = true;
}

static void probe_interfaces(struct host *h)
{
	struct statfs fs;
	int abi = sys_landlock_create(NULL, 0, U_LANDLOCK_VERSION);

	h->landlock_abi = abi > 0 ? (unsigned)abi : 0;
	/* 5.12 has them all; only a filter could hide one, and a filter shows in the caller's status. */
	if (h->seccomp_mode == 0 && h->proc_mounted &&
	    (h->kernel_major > 5 || (h->kernel_major == 5 && h->kernel_minor >= 12)))
		assume_calls(h);
	else
		probe_calls(h);
	h->proc_sys_writable = statfs("/proc/sys", &fs) == 0 && !(fs.f_flags & ST_READONLY);
}

/* A user namespace maps what its maker was given; the ids that hutch hands out to root's runs lie high. */
static void probe_nested_root(struct host *h)
{
	static const char first[] = "user:[4026531837]"; /* PROC_USER_INIT_INO: the namespace that the kernel starts with */
	char text[4096];

	if (h->euid != 0 || (SYS4(SYS_readlinkat, AT_FDCWD, "/proc/self/ns/user", text, sizeof text) == (long)sizeof first - 1 &&
			     memcmp(text, first, sizeof first - 1) == 0))
		return;
	int fd = sys_openat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? -1 : sys_read(fd, text, sizeof text - 1);

	if (fd >= 0)
		sys_close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	h->nested_root = true;
	for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char *at;
		unsigned long inside = strtoul(line, &at, 10), count;
		strtoul(at, &at, 10);
		count = strtoul(at, &at, 10);
		if (inside <= HOST_ID_POOL_START && inside + count >= HOST_ID_POOL_START + HOST_ID_POOL_SIZE)
			h->nested_root = false;
	}
}

int host_probe(struct host *h, struct arena *a, struct hutch_error *e)
{
	memset(h, 0, sizeof *h);
	h->arena = a;
	if (probe_release(h, e) != 0 || probe_caller(h, e) != 0)
		return -1;
	set_cap_last(h);
	probe_nested_root(h);
	probe_stdio(h);
	probe_namespaces(h);
	probe_interfaces(h);
	/* Optimistic until a trial says otherwise: the launch finds out. */
	h->userns = USERNS_UNKNOWN;
	h->proc_mountable = h->proc_mounted;
	return host_lookup_live(h) == 0 ? 0 : error_nomem(e);
}

int host_require(const struct host *h, struct hutch_error *e)
{
	if (h->at_secure)
		return error_set(e, ERR_HOST_SETUID, 0, NULL, NULL, NULL);
	if (h->kernel_major > 5 || (h->kernel_major == 5 && h->kernel_minor >= 10))
		return 0;
	error_set(e, ERR_HOST_KERNEL, 0, NULL, h->release, NULL);
	return error_detail(e, "this kernel says %s; here %s", h->release,
			    h->openat2 && h->open_tree && h->pidfd ?
			    "the needed calls answer, but nothing older than 5.10 is tested" :
			    "the needed calls are missing");
}
