/* inside VERB ARG… [, VERB ARG…]: reports the state of the process that it is, one key=value a line.
 * Runs in: the sandbox's payload. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "inside.h"

void say_text(const char *key, const char *value, size_t len)
{
	printf("%s=", key);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if (c == '\\' || c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
	fflush(stdout); /* a later verb may be killed: what was found stays told */
}

void say(const char *key, const char *fmt, ...)
{
	char buffer[8192];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buffer, sizeof(buffer), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(buffer))
		n = sizeof(buffer) - 1;
	say_text(key, buffer, (size_t)n);
}

static const struct { int number; const char *name; } errors[] = {
#define E(x) {x, #x}
	E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(ENOEXEC), E(EBADF), E(ECHILD), E(EAGAIN),
	E(ENOMEM), E(EACCES), E(EFAULT), E(ENOTBLK), E(EBUSY), E(EEXIST), E(EXDEV), E(ENODEV), E(ENOTDIR), E(EISDIR),
	E(EINVAL), E(ENFILE), E(EMFILE), E(ENOTTY), E(ETXTBSY), E(EFBIG), E(ENOSPC), E(ESPIPE), E(EROFS), E(EMLINK),
	E(EPIPE), E(EDOM), E(ERANGE), E(ENAMETOOLONG), E(ENOSYS), E(ENOTEMPTY), E(ELOOP), E(EOVERFLOW), E(EUSERS),
	E(EOPNOTSUPP), E(EAFNOSUPPORT), E(EADDRINUSE), E(EADDRNOTAVAIL), E(ENETUNREACH), E(ECONNREFUSED),
	E(EHOSTUNREACH), E(ETIMEDOUT), E(EDQUOT), E(EPROTONOSUPPORT), E(ESOCKTNOSUPPORT), E(EINPROGRESS), E(ENOKEY),
	E(ESTALE), E(ENODATA),
#undef E
};

const char *error_name(int errnum)
{
	static char other[16];

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == errnum)
			return errors[i].name;
	snprintf(other, sizeof(other), "E%d", errnum);
	return other;
}

const char *verdict(long result)
{
	return result >= 0 ? "ok" : error_name(errno);
}

static const struct { const char *name; int number; } calls[] = {
#define C(x) {#x, SYS_##x}
	C(read), C(write), C(close), C(ioctl), C(mmap), C(mprotect), C(socket), C(connect), C(bind), C(clone), C(execve),
	C(kill), C(ptrace), C(personality), C(mount), C(umount2), C(pivot_root), C(chroot), C(setns), C(unshare), C(sethostname),
	C(setdomainname), C(init_module), C(delete_module), C(finit_module), C(kexec_load), C(reboot), C(swapon), C(swapoff), C(syslog),
	C(add_key), C(request_key), C(keyctl), C(bpf), C(perf_event_open), C(userfaultfd), C(process_vm_readv),
	C(process_vm_writev), C(kcmp), C(open_by_handle_at), C(name_to_handle_at), C(clock_settime), C(settimeofday), C(adjtimex),
	C(acct), C(quotactl), C(fanotify_init), C(lookup_dcookie), C(setuid), C(setgid), C(setresuid), C(setresgid), C(setgroups), C(capset),
	C(capget), C(prctl), C(memfd_create), C(getpid), C(getppid), C(gettid), C(sched_setscheduler), C(sched_setaffinity), C(setpriority),
	C(mlockall), C(vhangup), C(move_pages), C(migrate_pages), C(mbind), C(set_mempolicy), C(seccomp), C(prlimit64), C(getrandom),
	C(mknodat), C(fchmodat), C(fchownat), C(linkat), C(symlinkat), C(renameat2), C(unlinkat), C(openat), C(statx), C(splice), C(vmsplice), C(tee),
	C(shmget), C(msgget), C(semget), C(mq_open), C(timer_create), C(setsid), C(setpgid), C(uname), C(getcwd), C(umask),
	{"open_tree", 428}, {"move_mount", 429}, {"fsopen", 430}, {"fsconfig", 431}, {"fsmount", 432}, {"fspick", 433},
	{"pidfd_open", 434}, {"clone3", 435}, {"close_range", 436}, {"openat2", 437}, {"pidfd_getfd", 438}, {"faccessat2", 439},
	{"process_madvise", 440}, {"mount_setattr", 442}, {"landlock_create_ruleset", 444}, {"memfd_secret", 447},
	{"io_uring_setup", 425}, {"io_uring_enter", 426}, {"io_uring_register", 427}, {"pidfd_send_signal", 424},
	{"statmount", 457}, {"listmount", 458}, {"setxattrat", 463}, {"fchmodat2", 452},
#ifdef SYS_iopl
	C(iopl), C(ioperm), C(modify_ldt), C(arch_prctl), C(uselib), C(ustat), C(sysfs), C(open), C(fork), C(vfork), C(mknod), C(time),
#endif
#undef C
};

int syscall_by_name(const char *name)
{
	if (isdigit((unsigned char)name[0]))
		return (int)strtol(name, NULL, 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	return -1;
}

static const struct { const char *name; int number; } signals[] = {
	{"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"ILL", SIGILL}, {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
	{"BUS", SIGBUS}, {"FPE", SIGFPE}, {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
	{"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}, {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"STOP", SIGSTOP},
	{"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}, {"URG", SIGURG}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
	{"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO}, {"PWR", SIGPWR}, {"SYS", SIGSYS},
};

int signal_by_name(const char *name)
{
	if (isdigit((unsigned char)name[0]))
		return atoi(name);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcmp(signals[i].name, name) == 0)
			return signals[i].number;
	return -1;
}

const char *signal_text(int sig)
{
	static char other[16];

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i].number == sig)
			return signals[i].name;
	snprintf(other, sizeof(other), "%d", sig);
	return other;
}

static const struct verb *find(const char *name)
{
	const struct verb *tables[] = {verbs_state, verbs_files, verbs_acts};

	for (size_t t = 0; t < 3; t++)
		for (const struct verb *v = tables[t]; v->name; v++)
			if (strcmp(v->name, name) == 0)
				return v;
	return NULL;
}

static int usage(void)
{
	const struct verb *tables[] = {verbs_state, verbs_files, verbs_acts};

	fprintf(stderr, "use: inside VERB ARG… [, VERB ARG…]\n");
	for (size_t t = 0; t < 3; t++)
		for (const struct verb *v = tables[t]; v->name; v++)
			fprintf(stderr, "  %-12s %s\n", v->name, v->help);
	return 2;
}

int main(int argc, char **argv)
{
	int at = 1;

	if (argc < 2)
		return usage();
	while (at < argc) {
		const struct verb *v = find(argv[at]);
		int end = at + 1, status;

		while (end < argc && strcmp(argv[end], ",") != 0)
			end++;
		if (!v || end - at - 1 < v->min_args) {
			fprintf(stderr, "inside: unknown verb or too few arguments: %s\n", argv[at]);
			return usage();
		}
		status = v->run(end - at - 1, argv + at + 1);
		fflush(stdout);
		if (status != 0)
			return status;
		at = end + 1;
	}
	return 0;
}
