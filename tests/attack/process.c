/* Probes of processes, identity, terminals, System V and POSIX objects.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Any process whose file (cmdline, environ, root/PATH…) holds the text. args: reversed text, file… */
static void find_process(char **args)
{
	DIR *d = opendir("/proc");
	char path[300], buf[65536];

	if (!d)
		held("/proc: %s", strerror(errno));
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		for (char **f = args + 1; *f; f++) {
			long n;
			snprintf(path, sizeof(path), "/proc/%s/%s", e->d_name, *f);
			n = slurp(path, buf, sizeof(buf));
			if (n > 0 && holds(buf, (size_t)n, args[0]))
				escaped("%s", path);
		}
	}
	held("in no process");
}

static void environment(char **args)
{
	extern char **environ;

	for (char **e = environ; *e; e++)
		if (holds(*e, strlen(*e), args[0]))
			escaped("the environment holds it");
	held("not in the environment");
}

/* Links and memory of one process. args: pid */
static void inspect(char **args)
{
	static const char *const opened[] = { "root", "cwd", "exe", "environ", "mem", "maps", "fd/0", "ns/mnt", "auxv", "pagemap" };
	char path[100], to[100];

	for (size_t i = 0; i < sizeof(opened) / sizeof(opened[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", args[0], opened[i]);
		if (readlink(path, to, sizeof(to)) > 0)
			escaped("%s can be read as a link", path);
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && (i < 3 || i > 5 || read(fd, to, sizeof(to)) > 0 || i == 4))
			escaped("%s opens", path);
	}
	held("%s: %s", path, strerror(errno));
}

static void trace(char **args)
{
	long pid = number(args[0]);
	long r = raw(SYS_ptrace, 0x4206 /* SEIZE */, pid, 0, 0, 0, 0);

	if (r == 0)
		escaped("seized %ld", pid);
	long r2 = raw(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0, 0, 0);
	if (r2 == 0)
		escaped("attached to %ld", pid);
	held("%s", strerror((int)-r));
}

static void memory(char **args)
{
	char c;
	/* An address that is mapped nowhere: EFAULT tells that the right to look was given. */
	struct iovec here = { &c, 1 }, there = { (void *)16, 1 };
	long r = raw(SYS_process_vm_readv, number(args[0]), (long)&here, 1, (long)&there, 1, 0);

	if (r == -ESRCH)
		held("no such process");
	judge("process_vm_readv", r);
}

static void memory_write(char **args)
{
	char c = 0;
	struct iovec here = { &c, 1 }, there = { (void *)16, 1 };
	long r = raw(SYS_process_vm_writev, number(args[0]), (long)&here, 1, (long)&there, 1, 0);

	if (r == -ESRCH)
		held("no such process");
	judge("process_vm_writev", r);
}

/* args: pid, or 0 for a child of our own */
static void steal_fd(char **args)
{
	long pid = number(args[0]), r = -ESRCH;
	pid_t child = 0;

	if (!pid && (child = fork()) == 0) {
		pause();
		_exit(0);
	}
	int p = (int)raw(434, pid ? pid : child, 0, 0, 0, 0, 0);
	for (int fd = 0; p >= 0 && fd < 3; fd++) {
		r = raw(438, p, fd, 0, 0, 0, 0);
		if (r >= 0)
			break;
	}
	if (child > 0)
		kill(child, SIGKILL);
	if (p < 0 || r == -EBADF || r == -ESRCH)
		held("pidfd_open: %s", strerror(p < 0 ? -p : (int)-r));
	judge("pidfd_getfd", r);
}

static void signal_(char **args)
{
	pid_t pid = (pid_t)number(args[0]);

	if (kill(pid, 0) == 0)
		escaped("%d can be signalled", pid);
	int p = (int)raw(434, pid, 0, 0, 0, 0, 0);
	if (p >= 0 && raw(424, p, 0, 0, 0, 0, 0) == 0)
		escaped("%d can be signalled through a pidfd", pid);
	held("%s", strerror(errno));
}

/* Only in a pid namespace that isn't the suite's. args: that one's name */
static void own_pids(const char *outer)
{
	char now[64];
	ssize_t n = readlink("/proc/self/ns/pid", now, sizeof(now) - 1);

	if (n < 0)
		broken("no /proc/self/ns/pid: not going on");
	now[n] = 0;
	if (!strcmp(now, outer))
		broken("this is the outer pid namespace: not going on");
}

static void kill_all(char **args)
{
	own_pids(args[0]);
	signal(SIGTERM, SIG_IGN);
	kill(-1, SIGTERM);
	kill(-1, SIGKILL);
	kill(0, 0);
	held("sent");
}

static void storm_init(char **args)
{
	static const int signals[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGHUP, SIGUSR1, SIGPIPE, SIGALRM, SIGCHLD, SIGCONT };

	own_pids(args[0]);
	if (getpid() == 1)
		broken("the probe itself is process 1");
	for (int round = 0; round < 200; round++)
		for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
			kill(1, signals[i]);
	usleep(50000);
	held("init lives");
}

/* args: tag for the list of processes. Two forks, new session, no descriptors; at most 20 seconds. */
static void daemonise(char **args)
{
	(void)args;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			for (int i = 1; i < 65; i++)
				signal(i, SIG_IGN);
			close(0), close(1), close(2);
			alarm(20);
			signal(SIGALRM, SIG_DFL);
			for (int i = 0; i < 20; i++)
				sleep(1);
		}
		_exit(0);
	}
	usleep(100000);
	held("left a daemon");
}

/* args: tag, how: stop or sleep; bounded by the alarm of main */
static void stay(char **args)
{
	printf("READY\n");
	fflush(stdout);
	if (fork() == 0) {
		alarm(20);
		if (!strcmp(args[1], "stop"))
			kill(getpid(), SIGSTOP);
		for (int i = 0; i < 20; i++)
			sleep(1);
		_exit(0);
	}
	for (int i = 0; i < 20; i++)
		sleep(1);
	held("stayed");
}

/* Forks without an end but this: 4 seconds. */
static void fork_storm(char **args)
{
	(void)args;
	printf("READY\n");
	fflush(stdout);
	alarm(4);
	for (int i = 0; i < 200000; i++) {
		pid_t p = fork();
		if (p == 0) {
			if (fork() == 0)
				usleep(2000);
			_exit(0);
		}
		if (p > 0)
			waitpid(p, NULL, 0);
	}
	held("done");
}

static void orphans(char **args)
{
	(void)args;
	for (int i = 0; i < 500; i++) {
		pid_t p = fork();
		if (p == 0) {
			if (fork() == 0)
				_exit(3);
			_exit(0);
		}
		if (p < 0)
			held("fork: %s after %d", strerror(errno), i);
		waitpid(p, NULL, 0);
	}
	usleep(200000);
	DIR *d = opendir("/proc");
	int zombies = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[300], buf[600];
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		zombies += slurp(path, buf, sizeof(buf)) > 0 && strstr(buf, ") Z ");
	}
	if (zombies > 5)
		escaped("%d zombies stay", zombies);
	held("%d zombies", zombies);
}

static void clone_parent(char **args)
{
	(void)args;
	long r = raw(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);

	if (r == 0)
		_exit(77);
	usleep(50000);
	held("clone: %ld", r);
}

/* Forged words for whoever listens to our descriptors; the true status is 7. */
static void forge(char **args)
{
	(void)args;
	for (int fd = 3; fd < 64; fd++)
		if (write(fd, "{\"exit\":0}\n\0\0\0\0", 15) > 0)
			dprintf(1, "wrote %d\n", fd);
	_exit(7);
}

static void namespaces(char **args)
{
	char path[64], now[64];

	for (; *args; args++) {
		char *name = strdup(*args), *colon = strchr(name, ':');
		if (!colon)
			broken("no colon");
		*colon = 0;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
		ssize_t n = readlink(path, now, sizeof(now) - 1);
		now[n < 0 ? 0 : n] = 0;
		if (!strcmp(now, *args))
			escaped("the same %s namespace", name);
	}
	held("none is the host's");
}

static unsigned long long set_of(int which)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	unsigned long long set = 0;

	if (raw(SYS_capget, (long)&h, (long)d, 0, 0, 0, 0))
		broken("capget");
	for (int c = 0; c < 64 && which >= 3; c++) {
		int r = which == 3 ? prctl(PR_CAPBSET_READ, c, 0, 0, 0) : prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0);
		set |= (unsigned long long)(r == 1) << c;
	}
	for (int i = 0; i < 2 && which < 3; i++)
		set |= (unsigned long long)(which == 0 ? d[i].inheritable : which == 1 ? d[i].permitted : d[i].effective) << (32 * i);
	return set;
}

static void capabilities(char **args)
{
	(void)args;
	for (int i = 0; i < 5; i++)
		if (set_of(i))
			escaped("%s: %llx", (const char *[]){ "inheritable", "permitted", "effective", "bounding", "ambient" }[i], set_of(i));
	held("all sets are empty");
}

static void effective(char **args)
{
	(void)args;
	if (set_of(1) || set_of(2))
		escaped("permitted %llx, effective %llx", set_of(1), set_of(2));
	held("no capability");
}

static void new_privs(char **args)
{
	(void)args;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		escaped("no_new_privs is off");
	held("no_new_privs is on");
}

static void ids(char **args)
{
	(void)args;
	if (geteuid() != getuid() || getegid() != getgid())
		escaped("uid %d, euid %d", getuid(), geteuid());
	held("uid %d", getuid());
}

/* args: the uid outside that must not be ours: 0 in an unmapped or initial user namespace */
static void not_root(char **args)
{
	char buf[4096];
	unsigned in, out, count;

	(void)args;
	if (slurp("/proc/self/uid_map", buf, sizeof(buf)) < 0)
		broken("no uid_map");
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%u %u %u", &in, &out, &count) == 3 && out == 0)
			escaped("an inside id is the outer 0: %s", line);
	held("the outer 0 is in no map");
}

static void groups(char **args)
{
	(void)args;
	gid_t list[64];
	int n = getgroups(64, list);

	for (int i = 0; i < n; i++)
		if (list[i] == (gid_t)number(args[0]))
			escaped("group %u is still there", list[i]);
	held("%d groups", n);
}

static void regain(char **args)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { 0xffffffff, 0xffffffff, 0xffffffff }, { 0x1ff, 0x1ff, 0x1ff } };

	(void)args;
	if (raw(SYS_capset, (long)&h, (long)d, 0, 0, 0, 0) == 0)
		escaped("capset");
	for (int c = 0; c < 41; c++) {
		memset(d, 0, sizeof(d));
		d[c / 32].effective = d[c / 32].permitted = 1u << (c % 32);
		if (raw(SYS_capset, (long)&h, (long)d, 0, 0, 0, 0) == 0)
			escaped("capset of %d", c);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) == 0)
			escaped("ambient %d", c);
	}
	if (prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0)
		escaped("securebits");
	held("%s", strerror(errno));
}

/* args: text for /proc/self/uid_map */
static void map(char **args)
{
	int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, args[0], strlen(args[0])) < 0)
		held("uid_map: %s", strerror(errno));
	escaped("uid_map taken");
}

/* The control: where no map was written yet, one line is taken. */
static void map_fresh(char **args)
{
	if (unshare(CLONE_NEWUSER))
		broken("unshare: %s", strerror(errno));
	map(args);
}

static void core(char **args)
{
	struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t p;

	if (chdir(args[0]))
		broken("%s: %s", args[0], strerror(errno));
	setrlimit(RLIMIT_CORE, &l);
	p = fork();
	if (p == 0) {
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		_exit(0);
	}
	int status = 0;
	waitpid(p, &status, 0);
	if (WCOREDUMP(status))
		escaped("a core was written");
	held("no core");
}

static void filtered(char **args)
{
	(void)args;
	pid_t p = fork();
	if (p > 0) {
		int status;
		waitpid(p, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		escaped("mode %d", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	held("mode 2 after fork and exec");
}

/* args: request, terminal */
static void terminal(char **args)
{
	char c[64] = "i";
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	unsigned long request = strtoul(args[0], NULL, 0);

	if ((request & 0xffff) == 0x541c)
		c[0] = 17; /* not paste: an unknown one */
	long r = raw(SYS_ioctl, 0, (long)request, (long)c, 0, 0, 0);
	if (refused(r) && fd >= 0)
		r = raw(SYS_ioctl, fd, (long)request, (long)c, 0, 0, 0);
	judge("ioctl", r);
}

static void sysv(char **args)
{
	key_t key = (key_t)number(args[0]);

	if (shmget(key, 0, 0) >= 0)
		escaped("shared memory");
	if (semget(key, 0, 0) >= 0)
		escaped("semaphores");
	if (msgget(key, 0) >= 0)
		escaped("message queue");
	held("%s", strerror(errno));
}

static void queue(char **args)
{
	if (mq_open(args[0], O_RDONLY) >= 0)
		escaped("opened");
	held("%s", strerror(errno));
}

static void keyring(char **args)
{
	long r = raw(SYS_keyctl, 10 /* SEARCH */, -4 /* @u */, (long)"user", (long)args[0], 0, 0);

	if (r == -ENOKEY)
		escaped("the keyring can be searched");
	judge("keyctl", r);
}

static void priority(char **args)
{
	struct sched_param p = { 1 };

	(void)args;
	if (setpriority(PRIO_PROCESS, 0, -20) == 0)
		escaped("nice -20");
	if (sched_setscheduler(0, SCHED_FIFO, &p) == 0)
		escaped("SCHED_FIFO");
	if (raw(SYS_ioprio_set, 1, 0, 1 << 13, 0, 0, 0) == 0)
		escaped("realtime io");
	held("%s", strerror(errno));
}

static void oom(char **args)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	(void)args;
	if (fd >= 0 && write(fd, "-1000", 5) == 5)
		escaped("oom_score_adj -1000");
	held("%s", strerror(errno));
}

static void page_frames(char **args)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	(void)args;
	if (fd >= 0 && pread(fd, &entry, 8, (off_t)((uintptr_t)&entry / 4096 * 8)) == 8 && (entry & ((1ULL << 55) - 1)))
		escaped("a page frame number");
	held("no frame number");
}

static void cgroup_paths(char **args)
{
	char buf[8192];

	(void)args;
	if (slurp("/proc/self/cgroup", buf, sizeof(buf)) < 0)
		held("%s", strerror(errno));
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		char *path = strrchr(line, ':');
		if (path && strcmp(path, ":/"))
			escaped("%s", line);
	}
	held("all are /");
}

const struct verb process_verbs[] = {
	{ "findproc", 2, find_process }, { "environ", 1, environment }, { "inspect", 1, inspect }, { "trace", 1, trace }, { "vmread", 1, memory },
	{ "vmwrite", 1, memory_write }, { "getfd", 1, steal_fd }, { "signal", 1, signal_ }, { "killall", 1, kill_all }, { "storminit", 1, storm_init },
	{ "daemon", 1, daemonise }, { "stay", 2, stay }, { "forkstorm", 1, fork_storm }, { "orphans", 0, orphans }, { "cloneparent", 0, clone_parent },
	{ "forge", 0, forge }, { "namespaces", 1, namespaces }, { "caps", 0, capabilities }, { "effective", 0, effective }, { "nnp", 0, new_privs },
	{ "ids", 0, ids }, { "notroot", 0, not_root }, { "groups", 1, groups }, { "regain", 0, regain }, { "map", 1, map }, { "mapfresh", 1, map_fresh }, { "core", 1, core },
	{ "filtered", 0, filtered }, { "ioctl", 1, terminal }, { "sysv", 1, sysv }, { "mq", 1, queue }, { "keyring", 1, keyring },
	{ "priority", 0, priority }, { "oom", 0, oom }, { "pagemap", 0, page_frames }, { "cgroup", 0, cgroup_paths }, { 0 },
};
