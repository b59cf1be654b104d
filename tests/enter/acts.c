/* Things that a promise or a policy allows or refuses: one system call each, harmless where it succeeds.
 * Runs in: the test process's child. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

static int made(int fd)
{
	int e = errno;

	if (fd < 0)
		return e;
	close(fd);
	return 0;
}

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int do_fork(const char *unused)
{
	pid_t pid = fork();
	int status;

	(void)unused;
	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : ECHILD;
}

static void *nothing(void *p)
{
	return p;
}

static int do_thread(const char *unused)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);

	(void)unused;
	return r ? r : pthread_join(t, NULL);
}

static int do_exec(const char *words)
{
	char *argv[] = { (char *)(uintptr_t)"/bin/sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)words, NULL };

	fflush(NULL);
	execv(argv[0], argv);
	return errno;
}

static int do_pipe(const char *unused)
{
	int p[2];
	char c = 0;

	(void)unused;
	if (pipe(p) < 0)
		return errno;
	int bad = write(p[1], "x", 1) != 1 || read(p[0], &c, 1) != 1 || c != 'x';
	close(p[0]);
	close(p[1]);
	return bad ? EIO : 0;
}

static int do_sendmsg(const char *unused)
{
	int s[2];
	struct iovec io = { (void *)(uintptr_t)"x", 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	(void)unused;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s) < 0)
		return errno;
	int r = result(sendmsg(s[0], &m, 0));
	close(s[0]);
	close(s[1]);
	return r;
}

static int do_connect(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), r;

	if (s < 0)
		return errno;
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	r = result(connect(s, (struct sockaddr *)&a, sizeof a));
	close(s);
	return r;
}

static int do_lock(const char *path)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return errno;
	int r = result(fcntl(fd, F_SETLK, &l));
	close(fd);
	return r;
}

static int do_map(int protection)
{
	void *p = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, 4096);
	return 0;
}

static int do_protect(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	(void)unused;
	if (p == MAP_FAILED)
		return errno;
	r = result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	munmap(p, 4096);
	return r;
}

static int do_newns(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_unshare, CLONE_NEWUSER));
}

static int do_read(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return errno;
	r = result(read(fd, &c, 1));
	close(fd);
	return r;
}

static int open_read(const char *a) { return made(open(a, O_RDONLY | O_CLOEXEC)); }
static int open_write(const char *a) { return made(open(a, O_WRONLY | O_CLOEXEC)); }
static int open_both(const char *a) { return made(open(a, O_RDWR | O_CLOEXEC)); }
static int open_cut(const char *a) { return made(open(a, O_RDONLY | O_TRUNC | O_CLOEXEC)); }
static int open_make(const char *a) { return made(open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); }
static int open_temporary(const char *a) { return made(open(a, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); }
static int do_stat(const char *a) { struct stat s; return result(stat(a, &s)); }
static int do_fstat(const char *a) { struct stat s; (void)a; return result(fstat(1, &s)); }
static int do_list(const char *a) { return made(open(a, O_RDONLY | O_DIRECTORY)); }
static int do_chdir(const char *a) { return result(chdir(a)); }
static int do_truncate(const char *a) { return result(truncate(a, 0)); }
static int do_mkdir(const char *a) { return result(mkdir(a, 0700)); }
static int do_rmdir(const char *a) { return result(rmdir(a)); }
static int do_unlink(const char *a) { return result(unlink(a)); }
static int do_symlink(const char *a) { return result(symlink("x", a)); }
static int do_chmod(const char *a) { return result(chmod(a, 0600)); }
static int do_setid(const char *a) { return result(chmod(a, 04700)); }
static int do_utime(const char *a) { return result(utimensat(AT_FDCWD, a, NULL, 0)); }
static int do_chown(const char *a) { return result(chown(a, (uid_t)-1, (gid_t)-1)); }
static int do_flock(const char *a) { (void)a; return result(flock(1, LOCK_UN)); }
static int inet(const char *a) { (void)a; return made(socket(AF_INET, SOCK_STREAM, 0)); }
static int inet6(const char *a) { (void)a; return made(socket(AF_INET6, SOCK_DGRAM, 0)); }
static int raw(const char *a) { (void)a; return made(socket(AF_INET, SOCK_RAW, 1)); }
static int netlink(const char *a) { (void)a; return made(socket(AF_NETLINK, SOCK_RAW, 0)); }
static int local(const char *a) { (void)a; return made(socket(AF_UNIX, SOCK_STREAM, 0)); }
static int map_exec(const char *a) { (void)a; return do_map(PROT_READ | PROT_EXEC); }
static int map_plain(const char *a) { (void)a; return do_map(PROT_READ | PROT_WRITE); }
static int signal_self(const char *a) { (void)a; return result(kill(getpid(), 0)); }
static int signal_other(const char *a) { return result(kill(atoi(a), 0)); }
static int do_priority(const char *a) { (void)a; return result(setpriority(PRIO_PROCESS, 0, 0)); }
/* Any descriptor will do: a refusal comes before the kernel says that it is no terminal. */
static int tty_modes(const char *a) { char t[64] = { 0 }; (void)a; return result(ioctl(0, 0x5404 /* TCSETSF */, t)); }
static int tty_type(const char *a) { (void)a; return result(ioctl(0, TIOCSTI, "x")); }
static int do_setuid(const char *a) { (void)a; return result(syscall(SYS_setresuid, -1, -1, -1)); }
static int do_rlimit(const char *a) { struct rlimit l; (void)a; getrlimit(RLIMIT_NOFILE, &l); return result(setrlimit(RLIMIT_NOFILE, &l)); }
static int do_ptrace(const char *a) { (void)a; return result(ptrace(PTRACE_TRACEME, 0, 0, 0)); }
static int do_uring(const char *a) { (void)a; char p[256] = { 0 }; return made((int)syscall(425, 1, p)); }
static int do_openat2(const char *a) { uint64_t how[3] = { 0 }; return made((int)syscall(437, AT_FDCWD, a, how, sizeof how)); }
static int future(const char *a) { (void)a; return result(syscall(3000)); }
static int do_getrandom(const char *a) { char c; (void)a; return result(syscall(SYS_getrandom, &c, 1, 0)); }
static int do_mount(const char *a) { (void)a; return result(syscall(SYS_umount2, "/nowhere", 0)); }

static const struct { const char *name; int (*run)(const char *argument); } acts[] = {
	{ "read", do_read }, { "open-read", open_read }, { "open-write", open_write }, { "open-both", open_both }, { "open-cut", open_cut },
	{ "open-make", open_make }, { "open-temporary", open_temporary }, { "stat", do_stat }, { "fstat", do_fstat }, { "list", do_list },
	{ "chdir", do_chdir }, { "truncate", do_truncate }, { "mkdir", do_mkdir }, { "rmdir", do_rmdir }, { "unlink", do_unlink }, { "symlink", do_symlink },
	{ "chmod", do_chmod }, { "set-id", do_setid }, { "utime", do_utime }, { "chown", do_chown }, { "flock", do_flock }, { "lock", do_lock },
	{ "inet", inet }, { "inet6", inet6 }, { "raw", raw }, { "netlink", netlink }, { "unix", local }, { "connect-unix", do_connect },
	{ "sendmsg", do_sendmsg }, { "fork", do_fork }, { "thread", do_thread }, { "exec", do_exec }, { "map-exec", map_exec }, { "map", map_plain },
	{ "protect-exec", do_protect }, { "signal-self", signal_self }, { "signal-other", signal_other }, { "priority", do_priority },
	{ "tty-modes", tty_modes }, { "tty-type", tty_type }, { "setuid", do_setuid }, { "rlimit", do_rlimit }, { "ptrace", do_ptrace },
	{ "uring", do_uring }, { "openat2", do_openat2 }, { "future", future }, { "pipe", do_pipe }, { "getrandom", do_getrandom },
	{ "new-namespace", do_newns }, { "umount", do_mount },
};

int act(const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		if (!strcmp(acts[i].name, name))
			return acts[i].run(argument);
	}
	return -1;
}

const char *errno_name(int number)
{
	static const struct { int number; const char *name; } names[] = {
		{ 0, "ok" }, { EPERM, "EPERM" }, { EACCES, "EACCES" }, { ENOENT, "ENOENT" }, { ENOSYS, "ENOSYS" }, { ENOTTY, "ENOTTY" },
		{ EINVAL, "EINVAL" }, { EBADF, "EBADF" }, { EXDEV, "EXDEV" }, { EROFS, "EROFS" }, { ESRCH, "ESRCH" }, { EAFNOSUPPORT, "EAFNOSUPPORT" },
		{ EIO, "EIO" }, { ECONNREFUSED, "ECONNREFUSED" }, { EPROTONOSUPPORT, "EPROTONOSUPPORT" }, { EFAULT, "EFAULT" }, { EEXIST, "EEXIST" },
		{ ECHILD, "ECHILD" }, { EAGAIN, "EAGAIN" }, { -1, "no-such-act" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (names[i].number == number)
			return names[i].name;
	}
	return strerror(number);
}
