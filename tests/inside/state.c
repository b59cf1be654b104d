/* Verbs that read the state of the process and its surroundings, changing nothing.
 * Runs in: the sandbox's payload. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"

extern char **environ;

static int verb_id(int argc, char **argv)
{
	uid_t r, e, s;
	gid_t gr, ge, gs, groups[4096];
	char list[16384] = "";
	int n;

	(void)argc, (void)argv;
	if (getresuid(&r, &e, &s) != 0 || getresgid(&gr, &ge, &gs) != 0)
		return 1;
	say("uid", "%u,%u,%u", r, e, s);
	say("gid", "%u,%u,%u", gr, ge, gs);
	n = getgroups(4096, groups);
	for (int i = 0; i < n; i++)
		sprintf(list + strlen(list), "%s%u", i ? "," : "", groups[i]);
	say("groups", "%s", list);
	return 0;
}

static uint64_t prctl_mask(int option, int second, bool second_is_op)
{
	uint64_t mask = 0;

	for (int c = 0; c < 64; c++) {
		int r = second_is_op ? prctl(option, second, c, 0, 0) : prctl(option, c, 0, 0, 0);

		if (r == 1)
			mask |= (uint64_t)1 << c;
	}
	return mask;
}

static int verb_caps(int argc, char **argv)
{
	struct { uint32_t version; int pid; } header = {0x20080522, 0};
	struct { uint32_t eff, prm, inh; } data[2] = {{0}};

	(void)argc, (void)argv;
	if (syscall(SYS_capget, &header, data) != 0)
		say("caps_error", "%s", error_name(errno));
	say("cap_inh", "%08x%08x", data[1].inh, data[0].inh);
	say("cap_prm", "%08x%08x", data[1].prm, data[0].prm);
	say("cap_eff", "%08x%08x", data[1].eff, data[0].eff);
	say("cap_bnd", "%016llx", (unsigned long long)prctl_mask(PR_CAPBSET_READ, 0, false));
	say("cap_amb", "%016llx", (unsigned long long)prctl_mask(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, true));
	say("securebits", "0x%x", (unsigned)prctl(PR_GET_SECUREBITS));
	return 0;
}

static int verb_nnp(int argc, char **argv)
{
	(void)argc, (void)argv;
	say("nnp", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	say("dumpable", "%d", prctl(PR_GET_DUMPABLE));
	return 0;
}

/* The line of /proc/self/status that starts with name, or NULL. */
static const char *status_line(const char *name)
{
	static char line[4096];
	FILE *f = fopen("/proc/self/status", "re");
	size_t len = strlen(name);

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, len) == 0 && line[len] == ':') {
			fclose(f);
			line[strcspn(line, "\n")] = 0;
			return line + len + 1 + strspn(line + len + 1, " \t");
		}
	if (f)
		fclose(f);
	return NULL;
}

static int verb_seccomp(int argc, char **argv)
{
	const char *filters = status_line("Seccomp_filters");

	(void)argc, (void)argv;
	say("seccomp_filters", "%s", filters ? filters : "?");
	say("seccomp", "%d", prctl(PR_GET_SECCOMP));
	return 0;
}

static int verb_status(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *value = status_line(argv[i]);

		say(argv[i], "%s", value ? value : "?");
	}
	return 0;
}

static int verb_ns(int argc, char **argv)
{
	static const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};

	(void)argc, (void)argv;
	for (size_t i = 0; i < 8; i++) {
		char path[64], key[32], to[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		snprintf(key, sizeof(key), "ns_%s", kinds[i]);
		n = readlink(path, to, sizeof(to) - 1);
		if (n < 0)
			say(key, "%s", error_name(errno));
		else
			say_text(key, to, (size_t)n);
	}
	return 0;
}

static int verb_pid(int argc, char **argv)
{
	(void)argc, (void)argv;
	say("pid", "%d", getpid());
	say("ppid", "%d", getppid());
	say("sid", "%d", getsid(0));
	say("pgrp", "%d", getpgrp());
	return 0;
}

/* mount=POINT|FSTYPE|OPTIONS|SUPER OPTIONS, in the kernel's order */
static int verb_mounts(int argc, char **argv)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[8192];

	(void)argc, (void)argv;
	if (!f) {
		say("mounts", "%s", error_name(errno));
		return 0;
	}
	while (fgets(line, sizeof(line), f)) {
		char *save = NULL, *field[64];
		int n = 0, dash;

		line[strcspn(line, "\n")] = 0;
		for (char *w = strtok_r(line, " ", &save); w && n < 64; w = strtok_r(NULL, " ", &save))
			field[n++] = w;
		for (dash = 6; dash < n && strcmp(field[dash], "-") != 0; dash++)
			;
		if (dash + 3 < n)
			say("mount", "%s|%s|%s|%s", field[4], field[dash + 1], field[5], field[dash + 3]);
	}
	fclose(f);
	return 0;
}

/* Every open descriptor: number, link, access mode. Works without /proc too. */
static int verb_fds(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (int fd = 0; fd < 4096; fd++) {
		char path[64], to[512] = "?";
		int flags = fcntl(fd, F_GETFL);
		ssize_t n;

		if (flags < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 1] = 0;
		say("fd", "%d|%s|%s", fd, (flags & O_ACCMODE) == O_RDONLY ? "r" : (flags & O_ACCMODE) == O_WRONLY ? "w" : "rw", to);
	}
	return 0;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int verb_env(int argc, char **argv)
{
	size_t n = 0;

	(void)argc, (void)argv;
	while (environ[n])
		n++;
	qsort(environ, n, sizeof(environ[0]), compare_text);
	for (size_t i = 0; i < n; i++)
		say_text("env", environ[i], strlen(environ[i]));
	return 0;
}

static int verb_tty(int argc, char **argv)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct winsize w = {0};

	(void)argc, (void)argv;
	say("ctty", "%s", verdict(fd));
	say("tty", "%d,%d,%d", isatty(0), isatty(1), isatty(2));
	say("foreground", "%d", tcgetpgrp(0) == getpgrp());
	if (ioctl(0, TIOCGWINSZ, &w) == 0)
		say("winsize", "%dx%d", w.ws_col, w.ws_row);
	if (fd >= 0)
		close(fd);
	return 0;
}

static const char *const limit_names[16] = {
	[RLIMIT_AS] = "as", [RLIMIT_CORE] = "core", [RLIMIT_CPU] = "cpu", [RLIMIT_DATA] = "data", [RLIMIT_FSIZE] = "fsize",
	[10] = "locks", [RLIMIT_MEMLOCK] = "memlock", [12] = "msgqueue", [13] = "nice",
	[RLIMIT_NOFILE] = "nofile", [RLIMIT_NPROC] = "nproc", [RLIMIT_RSS] = "rss", [14] = "rtprio",
	[15] = "rttime", [11] = "sigpending", [RLIMIT_STACK] = "stack",
};

static int verb_rlimit(int argc, char **argv)
{
	for (unsigned i = 0; i < 16; i++) {
		struct { uint64_t soft, hard; } l = {0, 0};
		char key[32], soft[24] = "unlimited", hard[24] = "unlimited";

		if (argc > 0 && strcmp(argv[0], limit_names[i]) != 0)
			continue;
		snprintf(key, sizeof(key), "rlimit_%s", limit_names[i]);
		if (syscall(SYS_prlimit64, 0, i, NULL, &l) != 0) {
			say(key, "%s", error_name(errno));
			continue;
		}
		if (l.soft != UINT64_MAX)
			snprintf(soft, sizeof(soft), "%llu", (unsigned long long)l.soft);
		if (l.hard != UINT64_MAX)
			snprintf(hard, sizeof(hard), "%llu", (unsigned long long)l.hard);
		say(key, "%s:%s", soft, hard);
	}
	return 0;
}

/* Signals that are not at their default, and those blocked. */
static int verb_signals(int argc, char **argv)
{
	sigset_t blocked;
	char ignored[512] = "", held[512] = "";

	(void)argc, (void)argv;
	sigemptyset(&blocked);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int s = 1; s < 32; s++) {
		struct sigaction a;

		if (sigaction(s, NULL, &a) == 0 && a.sa_handler == SIG_IGN)
			sprintf(ignored + strlen(ignored), "%s%s", *ignored ? "," : "", signal_text(s));
		if (sigismember(&blocked, s) == 1)
			sprintf(held + strlen(held), "%s%s", *held ? "," : "", signal_text(s));
	}
	say("sig_ignored", "%s", ignored);
	say("sig_blocked", "%s", held);
	return 0;
}

/* Every process that /proc shows. */
static int verb_procs(int argc, char **argv)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	(void)argc, (void)argv;
	if (!d) {
		say("procs", "%s", error_name(errno));
		return 0;
	}
	while ((entry = readdir(d)) != NULL) {
		char path[300], name[64] = "?";
		FILE *f;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		count++;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "re");
		if (f) {
			if (fgets(name, sizeof(name), f))
				name[strcspn(name, "\n")] = 0;
			fclose(f);
		}
		say("proc", "%s|%s", entry->d_name, name);
	}
	closedir(d);
	say("procs", "%d", count);
	return 0;
}

static int verb_cwd(int argc, char **argv)
{
	char cwd[4096];

	(void)argc, (void)argv;
	say("cwd", "%s", getcwd(cwd, sizeof(cwd)) ? cwd : error_name(errno));
	return 0;
}

static int verb_uts(int argc, char **argv)
{
	struct utsname u;

	(void)argc, (void)argv;
	if (uname(&u) == 0) {
		say("hostname", "%s", u.nodename);
		say("domainname", "%s", u.domainname);
	}
	return 0;
}

static int verb_clock(int argc, char **argv)
{
	struct timespec m = {0}, b = {0};

	(void)argc, (void)argv;
	clock_gettime(CLOCK_MONOTONIC, &m);
	clock_gettime(CLOCK_BOOTTIME, &b);
	say("monotonic", "%lld.%09ld", (long long)m.tv_sec, m.tv_nsec);
	say("boottime", "%lld.%09ld", (long long)b.tv_sec, b.tv_nsec);
	return 0;
}

/* if=NAME|up|down */
static int verb_net(int argc, char **argv)
{
	struct if_nameindex *list = if_nameindex();
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)argc, (void)argv;
	say("socket", "%s", verdict(s));
	for (struct if_nameindex *i = list; i && i->if_name; i++) {
		struct ifreq r = {0};

		strncpy(r.ifr_name, i->if_name, sizeof(r.ifr_name) - 1);
		if (ioctl(s, SIOCGIFFLAGS, &r) != 0)
			say("if", "%s|%s", i->if_name, error_name(errno));
		else
			say("if", "%s|%s", i->if_name, r.ifr_flags & IFF_UP ? "up" : "down");
	}
	if (list)
		if_freenameindex(list);
	if (s >= 0)
		close(s);
	return 0;
}

static int verb_umask(int argc, char **argv)
{
	mode_t m = umask(0);

	(void)argc, (void)argv;
	umask(m);
	say("umask", "%04o", m);
	return 0;
}

static int verb_death(int argc, char **argv)
{
	int sig = -1;

	(void)argc, (void)argv;
	prctl(PR_GET_PDEATHSIG, &sig);
	say("pdeathsig", "%d", sig);
	return 0;
}

/* All that makes up the confinement, for a comparison of two runs: nothing that differs from run to run. */
static int verb_report(int argc, char **argv)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	say("ctty", "%s", verdict(tty));
	if (tty >= 0)
		close(tty);
	say("session", "%s", getsid(0) > 0 ? "inside" : "the caller's");
	verb_id(argc, argv);
	verb_caps(argc, argv);
	verb_nnp(argc, argv);
	verb_seccomp(argc, argv);
	verb_mounts(argc, argv);
	verb_fds(argc, argv);
	verb_env(argc, argv);
	verb_rlimit(0, NULL);
	verb_signals(argc, argv);
	verb_cwd(argc, argv);
	verb_uts(argc, argv);
	verb_net(argc, argv);
	verb_umask(argc, argv);
	return 0;
}

const struct verb verbs_state[] = {
	{"id", 0, verb_id, "real, effective, saved ids and groups"},
	{"caps", 0, verb_caps, "the five capability sets and the securebits"},
	{"nnp", 0, verb_nnp, "no_new_privs, dumpable"},
	{"seccomp", 0, verb_seccomp, "mode and number of filters"},
	{"status", 1, verb_status, "NAME…: lines of /proc/self/status"},
	{"ns", 0, verb_ns, "the eight namespace ids"},
	{"pid", 0, verb_pid, "pid, parent, session, group"},
	{"mounts", 0, verb_mounts, "the mount table"},
	{"fds", 0, verb_fds, "open descriptors"},
	{"env", 0, verb_env, "the environment, sorted"},
	{"tty", 0, verb_tty, "which of 0-2 are terminals, the controlling one"},
	{"rlimit", 0, verb_rlimit, "[NAME]: resource limits"},
	{"sigstate", 0, verb_signals, "ignored and blocked signals"},
	{"procs", 0, verb_procs, "processes that /proc shows"},
	{"cwd", 0, verb_cwd, "the working directory"},
	{"uts", 0, verb_uts, "host and domain name"},
	{"clock", 0, verb_clock, "monotonic and boot time"},
	{"net", 0, verb_net, "interfaces and their state"},
	{"umask", 0, verb_umask, "the file mode mask"},
	{"death", 0, verb_death, "the parent-death signal"},
	{"report", 0, verb_report, "the whole confinement"},
	{NULL, 0, NULL, NULL},
};
