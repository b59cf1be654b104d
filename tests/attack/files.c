/* Probes of paths, mounts, descriptors, modes.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Never touch the mount table that the suite was started in. args[0] is that namespace's name. */
static void own_mounts(const char *outer)
{
	char now[64];
	ssize_t n = readlink("/proc/self/ns/mnt", now, sizeof(now) - 1);

	if (n < 0)
		broken("no /proc/self/ns/mnt: not going on");
	now[n] = 0;
	if (!strcmp(now, outer))
		broken("this is the outer mount namespace: not going on");
}

/* args: path, reversed text expected in it or "" */
static void read_file(char **args)
{
	char buf[65536];
	long n = slurp(args[0], buf, sizeof(buf));

	if (n < 0)
		held("%s: %s", args[0], strerror(errno));
	if (n > 0 && (!args[1][0] || holds(buf, (size_t)n, args[1])))
		escaped("%s: read %ld bytes", args[0], n);
	held("%s: nothing of it in %ld bytes", args[0], n);
}

/* args: paths; the first that has anything to read */
static void read_any(char **args)
{
	char buf[64];

	for (; *args; args++)
		if (slurp(*args, buf, sizeof(buf)) > 0)
			escaped("%s is readable", *args);
	held("none is readable");
}

/* args: paths, opened for writing and closed again */
static void open_write(char **args)
{
	char why[300] = "nothing given";

	for (; *args; args++) {
		int fd = open(*args, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0)
			escaped("%s opens for writing", *args);
		snprintf(why, sizeof(why), "%s: %s", *args, strerror(errno));
	}
	held("%s", why);
}

static void open_any(char **args)
{
	for (; *args; args++)
		if (open(*args, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) >= 0)
			escaped("%s opens", *args);
	held("none opens");
}

static void append(char **args)
{
	int fd = open(args[0], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		held("%s: %s", args[0], strerror(errno));
	if (write(fd, "attack\n", 7) != 7)
		held("%s: %s", args[0], strerror(errno));
	escaped("wrote to %s", args[0]);
}

static void hard_link(char **args)
{
	if (link(args[0], args[1]))
		held("link: %s", strerror(errno));
	args++;
	append(args);
}

/* Replace a protected directory: move its parent away, make another. args: parent, child, file */
static void move_parent(char **args)
{
	char away[300], path[600];

	snprintf(away, sizeof(away), "%s.away", args[0]);
	if (rename(args[0], away))
		held("rename: %s", strerror(errno));
	mkdir(args[0], 0755);
	snprintf(path, sizeof(path), "%s/%s", args[0], args[1]);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", args[0], args[1], args[2]);
	append((char *[]){ path });
}

static void replace_link(char **args)
{
	if (unlink(args[0]))
		held("unlink: %s", strerror(errno));
	if (mkdir(args[0], 0755))
		held("mkdir: %s", strerror(errno));
	escaped("replaced %s", args[0]);
}

static void tmpfile_link(char **args)
{
	char from[64], to[300];
	int fd = open(args[0], O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	if (fd < 0)
		held("O_TMPFILE: %s", strerror(errno));
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	snprintf(to, sizeof(to), "%s/planted", args[0]);
	if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW))
		held("linkat: %s", strerror(errno));
	escaped("planted %s", to);
}

/* Directly, and from a user namespace of our own. args: outer mount namespace, path */
static void remount(char **args)
{
	int fd;

	own_mounts(args[0]);
	if (mount(NULL, args[1], NULL, MS_REMOUNT | MS_BIND, NULL) && (unshare(CLONE_NEWUSER | CLONE_NEWNS) ||
	    mount(NULL, args[1], NULL, MS_REMOUNT | MS_BIND, NULL)))
		held("remount: %s", strerror(errno));
	fd = open(args[1], O_TMPFILE | O_RDWR, 0600);
	if (fd < 0)
		held("remounted, but %s", strerror(errno));
	escaped("%s is writable now", args[1]);
}

/* args: outer mount namespace, path, file that the mount hides, reversed text of it */
static void unmount(char **args)
{
	own_mounts(args[0]);
	if (umount2(args[1], MNT_DETACH) && (unshare(CLONE_NEWUSER | CLONE_NEWNS) || umount2(args[1], MNT_DETACH)))
		held("umount: %s", strerror(errno));
	read_file(args + 2);
}

/* args: outer mount namespace, type, target */
static void mount_type(char **args)
{
	int kept;

	own_mounts(args[0]);
	if (!mount("probe", args[2], args[1], 0, NULL))
		escaped("%s mounts", args[1]);
	kept = errno;
	if (!unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) && !mount("probe", args[2], args[1], 0, NULL))
		escaped("%s mounts in a namespace of its own", args[1]);
	held("%s: %s, nested: %s", args[1], strerror(kept), strerror(errno));
}

/* The classic way out of chroot. args: directory to work in, secret, reversed text */
static void chroot_break(char **args)
{
	int d = open("/", O_RDONLY | O_DIRECTORY);

	mkdir(args[0], 0755);
	if (chroot(args[0]))
		held("chroot: %s", strerror(errno));
	if (fchdir(d))
		held("fchdir: %s", strerror(errno));
	for (int i = 0; i < 64; i++)
		if (chdir(".."))
			break;
	if (chroot("."))
		held("second chroot: %s", strerror(errno));
	read_file(args + 1);
}

static void old_root(char **args)
{
	char buf[262144];
	long n = slurp("/proc/self/mountinfo", buf, sizeof(buf));

	if (n < 0)
		broken("no mountinfo");
	for (; *args; args++)
		if (holds(buf, (size_t)n, *args))
			escaped("mountinfo shows the host's mount (%s reversed)", *args);
	held("no such mount in %ld bytes", n);
}

/* Descriptors beyond the standard three. */
static void fd_scan(char **args)
{
	(void)args;
	for (int fd = 3; fd < 4096; fd++) {
		char path[64], to[200] = "?";
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, to, sizeof(to) - 1) < 0)
			strcpy(to, "unreadable");
		escaped("descriptor %d is open: %s", fd, to);
	}
	held("3-4095 are closed");
}

/* args: a name under / that only the host has */
static void fd_dirs(char **args)
{
	static const int fds[] = { 9, 11 };
	struct stat st;

	if (openat(9, args[0], O_RDONLY) >= 0)
		escaped("openat(9, %s)", args[0]);
	if (!fchdir(9) && !stat(args[0], &st))
		escaped("fchdir(9)");
	if (openat(11, "..", O_RDONLY | O_DIRECTORY) >= 0)
		escaped("openat(11, ..)");
	for (size_t i = 0; i < 2; i++)
		if (fcntl(fds[i], F_GETFD) >= 0)
			escaped("descriptor %d is open", fds[i]);
	for (int fd = 0; fd < 64; fd++) {
		char path[96];
		snprintf(path, sizeof(path), "/proc/self/fd/%d/../%s", fd, args[0]);
		if (!stat(path, &st))
			escaped("%s", path);
	}
	held("no directory behind any descriptor");
}

static void fd_read10(char **args)
{
	char buf[100];
	ssize_t n = pread(10, buf, sizeof(buf), 0);

	if (n > 0 && holds(buf, (size_t)n, args[0]))
		escaped("descriptor 10 gives the secret");
	held("descriptor 10: %s", strerror(errno));
}

/* Standard input was given read-only. */
static void stdin_write(char **args)
{
	static const char *const ways[] = { "/proc/self/fd/0", "/dev/stdin", "/dev/fd/0", "/proc/thread-self/fd/0" };

	struct stat st;

	(void)args;
	if (!fstat(0, &st) && !S_ISREG(st.st_mode))
		held("standard input is a copy (mode %o)", st.st_mode);
	for (size_t i = 0; i < 4; i++)
		if (open(ways[i], O_WRONLY | O_APPEND) >= 0 || open(ways[i], O_RDWR) >= 0)
			escaped("%s opens for writing", ways[i]);
	held("%s", strerror(errno));
}

static void stdin_dir(char **args)
{
	if (openat(0, args[0], O_RDONLY) >= 0)
		escaped("standard input is a directory: openat(0, %s)", args[0]);
	held("%s", strerror(errno));
}

/* args: name only in the host's working directory */
static void cwd(char **args)
{
	struct stat st;
	char path[300], buf[4096];

	if (!getcwd(buf, sizeof(buf)) || buf[0] != '/')
		escaped("the working directory is outside of the root");
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", (const char *[]){ "", "/proc/self/cwd/", "../../../../../../../.." }[i], i == 2 ? args[1] : args[0]);
		if (!stat(path, &st))
			escaped("%s is there", path);
	}
	held("cwd is %s", buf);
}

static void exe_write(char **args)
{
	(void)args;
	for (int i = 0; i < 200; i++) {
		int fd = open("/proc/1/exe", O_WRONLY | O_CLOEXEC);
		if (fd >= 0 || open("/proc/1/exe", O_RDONLY) >= 0)
			escaped("/proc/1/exe opens");
	}
	held("%s", strerror(errno));
}

/* Set-id files and devices left for later. args: directory */
static void set_id(char **args)
{
	char path[400];
	struct stat st;

	snprintf(path, sizeof(path), "%s/setid", args[0]);
	int fd = (int)raw(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_RDWR | O_CLOEXEC, 0755, 0, 0);
	if (fd < 0)
		broken("%s: %s", path, strerror(-fd));
	for (int way = 0; way < 6; way++) {
		if (way == 0)
			raw(SYS_chmod, (long)path, 04755, 0, 0, 0, 0);
		else if (way == 1)
			raw(SYS_fchmod, fd, 02755, 0, 0, 0, 0);
		else if (way == 2)
			raw(SYS_fchmodat, AT_FDCWD, (long)path, 04755, 0, 0, 0);
		else if (way == 3)
			raw(452 /* fchmodat2 */, AT_FDCWD, (long)path, 04755, 0, 0, 0);
		else if (way == 4)
			raw(SYS_fchmod, fd, (1L << 32) | 06755, 0, 0, 0, 0);
		if (!fstat(fd, &st) && (st.st_mode & 06000))
			escaped("way %d left mode %o", way, st.st_mode);
	}
	snprintf(path, sizeof(path), "%s/setid2", args[0]);
	fd = (int)raw(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_RDWR | O_EXCL, 06755, 0, 0);
	if (fd >= 0 && !fstat(fd, &st) && (st.st_mode & 06000))
		escaped("open left mode %o", st.st_mode);
	snprintf(path, sizeof(path), "%s/setgid", args[0]);
	raw(SYS_mkdir, (long)path, 02755, 0, 0, 0, 0);
	raw(SYS_mknod, (long)path, S_IFREG | 04755, 0, 0, 0, 0);
	if (!stat(path, &st) && (st.st_mode & 06000))
		escaped("mkdir or mknod left mode %o", st.st_mode);
	held("no set-id bit");
}

/* openat2 takes the mode from memory, where no filter reads it. args: directory */
static void set_id_openat2(char **args)
{
	struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_RDWR | O_EXCL, 04755, 0 };
	char path[400];
	struct stat st;
	long r;

	snprintf(path, sizeof(path), "%s/openat2", args[0]);
	r = raw(437, AT_FDCWD, (long)path, (long)&how, sizeof(how), 0, 0);
	if (r >= 0 && !fstat((int)r, &st) && (st.st_mode & 06000))
		escaped("openat2 left mode %o", st.st_mode);
	held("openat2: %s", r < 0 ? strerror((int)-r) : "no set-id bit");
}

/* args: path; the 0:0 device needs no right on the host */
static void make_node(char **args)
{
	judge("mknod", raw(SYS_mknodat, AT_FDCWD, (long)args[0], S_IFCHR | 0600, makedev(0, 0), 0, 0));
}

static void file_caps(char **args)
{
	/* version 2, cap_net_raw, effective */
	uint32_t data[5] = { 0x02000001, 1u << 13, 0, 0, 0 };
	int fd = open(args[0], O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	if (fd < 0)
		broken("%s: %s", args[0], strerror(errno));
	if (setxattr(args[0], "security.capability", data, sizeof(data), 0))
		held("setxattr: %s", strerror(errno));
	escaped("%s has file capabilities", args[0]);
}

/* Name and flags flip in shared memory while they are opened. args: allowed, denied */
static void flip(char **args)
{
	char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), buf[100];
	long wins = 0;
	pid_t p;

	if (shared == MAP_FAILED || strlen(args[0]) > 500 || strlen(args[1]) > 500)
		broken("no memory");
	strcpy(shared, args[0]);
	p = fork();
	if (p == 0) {
		for (int i = 0; i < 4000000; i++)
			strcpy(shared, args[i & 1]);
		_exit(0);
	}
	for (int i = 0; i < 30000; i++) {
		int fd = open(shared, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));
		wins += n > 0 && holds(buf, (size_t)n, args[2]);
		if (fd >= 0)
			close(fd);
	}
	kill(p, 9);
	waitpid(p, NULL, 0);
	if (wins)
		escaped("%ld of 30000", wins);
	held("0 of 30000");
}

static const char *allowed_devices[] = { "null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", NULL };
static char stray[300];

static int see_device(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return 0;
	for (const char **a = allowed_devices; *a; a++)
		if (!strcmp(path + ftw->base, *a))
			return 0;
	if (!strncmp(path, "/dev/pts/", 9))
		return 0;
	snprintf(stray, sizeof(stray), "%s", path);
	return 1;
}

static int see_socket(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	if (!strncmp(path, "/proc", 5) || !strncmp(path, "/sys", 4))
		return FTW_SKIP_SUBTREE;
	if (ftw->level > 6)
		return FTW_SKIP_SIBLINGS;
	if (!S_ISSOCK(st->st_mode))
		return 0;
	snprintf(stray, sizeof(stray), "%s", path);
	return FTW_STOP;
}

static int see_writable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)type;
	if (!strncmp(path, "/proc/", 6) && path[6] >= '0' && path[6] <= '9')
		return FTW_SKIP_SUBTREE;
	if (!strcmp(path, "/proc/self") || !strcmp(path, "/proc/thread-self") || ftw->level > 8 || !S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	close(fd);
	snprintf(stray, sizeof(stray), "%s", path);
	return FTW_STOP;
}

static void devices(char **args)
{
	(void)args;
	if (nftw("/dev", see_device, 16, FTW_PHYS) == 1)
		escaped("%s", stray);
	held("only the known ones");
}

static void sockets(char **args)
{
	if (nftw(args[0], see_socket, 16, FTW_PHYS | FTW_ACTIONRETVAL) == FTW_STOP)
		escaped("%s", stray);
	held("no socket below %s", args[0]);
}

static void writable(char **args)
{
	for (; *args; args++)
		if (nftw(*args, see_writable, 16, FTW_PHYS | FTW_ACTIONRETVAL) == FTW_STOP)
			escaped("%s opens for writing", stray);
	held("nothing opens for writing");
}

/* args: directory, reversed name */
static void listed(char **args)
{
	char cmd[4096] = "";
	struct stat st;
	size_t n = strlen(args[1]);
	size_t at = (size_t)snprintf(cmd, 400, "%s/", args[0]);

	if (n > 200)
		broken("too long");
	for (size_t i = 0; i < n; i++)
		cmd[at + i] = args[1][n - 1 - i];
	if (!lstat(cmd, &st))
		escaped("%s is there", cmd);
	held("%s: %s", cmd, strerror(errno));
}

/* args: file system id of the host's devpts, path */
static void same_device(char **args)
{
	struct stat st;

	if (!strcmp(args[1], "0") ? fstat(0, &st) : stat(args[1], &st))
		held("%s: %s", args[1], strerror(errno));
	if ((long)st.st_dev == number(args[0]))
		escaped("%s lies on the host's instance", args[1]);
	held("%s lies on another instance", args[1]);
}

static void true_(char **args)
{
	(void)args;
	held("ran");
}

const struct verb file_verbs[] = {
	{ "read", 2, read_file }, { "readany", 1, read_any }, { "openw", 1, open_write }, { "openany", 1, open_any }, { "append", 1, append },
	{ "link", 2, hard_link }, { "moveparent", 3, move_parent }, { "relink", 1, replace_link }, { "tmpfile", 1, tmpfile_link },
	{ "remount", 2, remount }, { "umount", 4, unmount }, { "mountfs", 3, mount_type }, { "chrootbreak", 3, chroot_break },
	{ "mountinfo", 1, old_root }, { "fdscan", 0, fd_scan }, { "fddirs", 1, fd_dirs }, { "fd10", 1, fd_read10 }, { "stdinw", 0, stdin_write },
	{ "stdindir", 1, stdin_dir }, { "cwd", 2, cwd }, { "exew", 0, exe_write }, { "setid", 1, set_id }, { "setid-openat2", 1, set_id_openat2 },
	{ "mknod", 1, make_node }, { "filecaps", 1, file_caps }, { "flip", 3, flip }, { "devices", 0, devices }, { "sockets", 1, sockets },
	{ "writable", 1, writable }, { "listed", 2, listed }, { "samedev", 2, same_device }, { "true", 0, true_ }, { 0 },
};
