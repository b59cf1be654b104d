/* failnth: runs a launcher under ptrace, counts the system calls of it and of all its children until the
 * program itself runs, and at one of them fails the call or kills a process.
 * Runs in: the test process.
 *
 *   failnth [-u UID:GID] -p PROGRAM -o LOG [-f ROLE:INDEX:ERRNO | -k ROLE:INDEX:VICTIM] -- COMMAND…
 *
 * ROLE 0 is the launcher, 1 its first child and so on; INDEX counts from 1 within the role. LOG gets
 * "call ROLE INDEX NUMBER" per call, "hit ROLE INDEX NUMBER" for the one that was hit, "program ROLE" when
 * PROGRAM was executed; after that, or after a kill, everything runs on untraced. Ends with the launcher's
 * status (128+n for a signal). */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct tracee { pid_t pid; int role; unsigned calls; bool known, attached, failing, held; };

static struct {
	struct tracee tracees[256];
	size_t count;
	int roles;
	FILE *log;
	struct stat program;
	bool started, free;          /* free: nothing is traced any longer */
	char mode;                   /* 0 count, 'f' fail, 'k' kill */
	int role, argument;          /* argument: errno, or the victim's role */
	unsigned index;
	bool reached;
	pid_t launcher;
} t;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static struct tracee *tracee(pid_t pid)
{
	for (size_t i = 0; i < t.count; i++)
		if (t.tracees[i].pid == pid)
			return &t.tracees[i];
	if (t.count == 256)
		die("too many processes");
	t.tracees[t.count] = (struct tracee){.pid = pid, .role = -1};
	return &t.tracees[t.count++];
}

static void forget(pid_t pid)
{
	for (size_t i = 0; i < t.count; i++)
		if (t.tracees[i].pid == pid)
			t.tracees[i] = t.tracees[--t.count];
}

/* The call that is about to be made becomes none; its result is set at the exit stop. */
static void skip_call(pid_t pid)
{
#if defined(__x86_64__)
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, pid, 0, &r) == 0) {
		r.orig_rax = (unsigned long long)-1;
		ptrace(PTRACE_SETREGS, pid, 0, &r);
	}
#elif defined(__aarch64__)
	int none = -1;
	struct iovec v = {&none, sizeof(none)};

	ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &v);
#else
#error "teach failnth this architecture"
#endif
}

static void set_result(pid_t pid, long result)
{
#if defined(__x86_64__)
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, pid, 0, &r) == 0) {
		r.rax = (unsigned long long)result;
		ptrace(PTRACE_SETREGS, pid, 0, &r);
	}
#else
	struct user_regs_struct r;
	struct iovec v = {&r, sizeof(r)};

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v) == 0) {
		r.regs[0] = (unsigned long long)result;
		ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v);
	}
#endif
}

/* A victim that isn't there yet is killed at the next call of anybody. */
static void kill_victim(void)
{
	struct timespec moment = {0, 3000000}; /* its death is complete before the others run on */

	for (size_t i = 0; i < t.count; i++) {
		if (t.tracees[i].role != t.argument)
			continue;
		kill(t.tracees[i].pid, SIGKILL);
		t.free = true;
	}
	if (!t.free)
		return;
	/* A child whose parent dies before it could tell of it is nobody's to name: it goes on like the rest. */
	for (size_t i = t.count; i-- > 0;) {
		struct tracee *p = &t.tracees[i];
		if (p->held && !p->attached) {
			ptrace(PTRACE_DETACH, p->pid, 0, 0);
			forget(p->pid);
		}
	}
	nanosleep(&moment, NULL);
}

static void at_call(struct tracee *p)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (p->failing)
			set_result(p->pid, -t.argument);
		p->failing = false;
		return;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !t.started)
		return;
	p->calls++;
	fprintf(t.log, "call %d %u %llu\n", p->role, p->calls, (unsigned long long)info.entry.nr);
	if (t.reached && t.mode == 'k' && !t.free)
		kill_victim();
	if (!t.mode || p->role != t.role || p->calls != t.index)
		return;
	t.reached = true;
	fprintf(t.log, "hit %d %u %llu\n", p->role, p->calls, (unsigned long long)info.entry.nr);
	fflush(t.log);
	if (t.mode == 'k') {
		kill_victim();
		return;
	}
	p->failing = true;
	/* close(2) lets go of the descriptor even when it reports an error. */
	if (info.entry.nr != SYS_close)
		skip_call(p->pid);
}

/* Was it the program itself that has just been executed? Told by the file, not by its name. */
static void at_exec(struct tracee *p)
{
	char path[64];
	struct stat s;

	t.started = true;
	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	if (stat(path, &s) == 0 && s.st_dev == t.program.st_dev && s.st_ino == t.program.st_ino) {
		fprintf(t.log, "program %d\n", p->role);
		t.free = true;
	}
}

static void resume(struct tracee *p, int sig)
{
	ptrace(t.free ? PTRACE_DETACH : PTRACE_SYSCALL, p->pid, 0, sig);
	if (t.free)
		forget(p->pid);
}

static void at_stop(struct tracee *p, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	unsigned long message = 0;

	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		struct tracee *child;

		ptrace(PTRACE_GETEVENTMSG, p->pid, 0, &message);
		resume(p, 0);
		child = tracee((pid_t)message);
		child->role = t.roles++;
		child->known = true;
		if (child->held) {
			child->attached = true;
			resume(child, 0);
		}
		return;
	}
	if (event == PTRACE_EVENT_EXEC) {
		at_exec(p);
		resume(p, 0);
	} else if (sig == (SIGTRAP | 0x80)) {
		at_call(p);
		resume(p, 0);
	} else if (!p->attached && sig == SIGSTOP) {
		if (!p->known && !t.free) { /* its parent's event comes later and gives it its role */
			p->held = true;
			return;
		}
		p->attached = true;
		resume(p, 0);
	} else {
		resume(p, sig == SIGTRAP ? 0 : sig);
	}
}

/* The launcher is gone: who was only just being attached must not be left in that stop. */
static void let_go(void)
{
	const struct timespec moment = {0, 3000000};

	for (int i = 0; i < 10; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);

		if (pid > 0 && WIFSTOPPED(status)) {
			int sig = WSTOPSIG(status);

			ptrace(PTRACE_DETACH, pid, 0, sig == SIGSTOP || (sig & ~0x80) == SIGTRAP ? 0 : sig);
			i = 0;
		}
		nanosleep(&moment, NULL);
	}
}

static int loop(void)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0) {
			if (errno == EINTR)
				continue;
			return 98;
		}
		if (!WIFSTOPPED(status)) {
			forget(pid);
			if (pid == t.launcher && t.mode == 'k')
				let_go();
			if (pid == t.launcher)
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			continue;
		}
		at_stop(tracee(pid), status);
	}
}

static void start(char **argv, uid_t uid, gid_t gid, bool change)
{
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	struct tracee *p;
	int status;

	if (t.mode != 'k')
		options |= PTRACE_O_EXITKILL;
	t.launcher = fork();
	if (t.launcher == 0) {
		if (change && (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0))
			die("changing the user");
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
			die("PTRACE_TRACEME");
		raise(SIGSTOP);
		execv(argv[0], argv);
		die(argv[0]);
	}
	if (t.launcher < 0 || waitpid(t.launcher, &status, __WALL) < 0 || !WIFSTOPPED(status))
		die("starting");
	if (ptrace(PTRACE_SETOPTIONS, t.launcher, 0, options) != 0)
		die("PTRACE_SETOPTIONS");
	p = tracee(t.launcher);
	p->role = t.roles++;
	p->known = p->attached = true;
	ptrace(PTRACE_SYSCALL, t.launcher, 0, 0);
}

int main(int argc, char **argv)
{
	unsigned uid = 0, gid = 0;
	bool change = false;
	int option, status;

	while ((option = getopt(argc, argv, "+u:p:o:f:k:")) != -1) {
		if (option == 'u' && sscanf(optarg, "%u:%u", &uid, &gid) == 2)
			change = true;
		else if (option == 'p' && stat(optarg, &t.program) == 0)
			;
		else if (option == 'o' && (t.log = fopen(optarg, "we")) != NULL)
			;
		else if ((option == 'f' || option == 'k') && sscanf(optarg, "%d:%u:%d", &t.role, &t.index, &t.argument) == 3)
			t.mode = (char)option;
		else
			return 99;
	}
	if (optind >= argc || !t.log || !t.program.st_ino)
		return 99;
	start(argv + optind, uid, gid, change);
	status = loop();
	fprintf(t.log, "status %d\n", status);
	fclose(t.log);
	return status;
}
