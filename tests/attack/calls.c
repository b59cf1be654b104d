/* Probes of single system calls: native, through the 32-bit gate, with the x32 bit, under more filters.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#define _GNU_SOURCE
#include "probe.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BAD 1 /* an address that the kernel can't read: EFAULT tells that it tried */

/* Every row asks for something impossible (bad address, flag, descriptor), so that success of the attack
 * is an error other than a refusal, and nothing changes. Numbers: x86_64, i386 (-1: none). */
static const struct call { const char *name; int nr, nr32; long a[6]; } calls[] = {
	{ "mount", 165, 21, { BAD, BAD, BAD, 0, BAD } },
	{ "umount2", 166, 52, { BAD, 0 } },
	{ "pivot_root", 155, 217, { BAD, BAD } },
	{ "chroot", 161, 61, { BAD } },
	{ "open_tree", 428, 428, { -1, BAD, 0 } },
	{ "move_mount", 429, 429, { -1, BAD, -1, BAD, 0 } },
	{ "fsopen", 430, 430, { BAD, 0 } },
	{ "fsconfig", 431, 431, { -1, 99, BAD, BAD, 0 } },
	{ "fsmount", 432, 432, { -1, 0, 0 } },
	{ "fspick", 433, 433, { -1, BAD, 0 } },
	{ "mount_setattr", 442, 442, { -1, BAD, 0, BAD, 0 } },
	{ "open_tree_attr", 467, 467, { -1, BAD, 0, 0, 8 } },
	{ "statmount", 457, 457, { BAD, BAD, 64, 0 } },
	{ "listmount", 458, 458, { BAD, BAD, 1, 0 } },
	{ "setns", 308, 346, { -1, 0 } },
	{ "clone3", 435, 435, { BAD, 88 } },
	{ "bpf", 321, 357, { 0, BAD, 8 } },
	{ "perf_event_open", 298, 336, { BAD, 0, -1, -1, 0 } },
	{ "userfaultfd", 323, 374, { 1 } },
	{ "io_uring_setup", 425, 425, { 1, BAD } },
	{ "io_uring_enter", 426, 426, { -1, 0, 0, 0, 0, 0 } },
	{ "io_uring_register", 427, 427, { -1, 0, 0, 0 } },
	{ "keyctl", 250, 288, { 0, -3, 0 } },
	{ "add_key", 248, 286, { BAD, BAD, BAD, 1, -3 } },
	{ "request_key", 249, 287, { BAD, BAD, BAD, -3 } },
	{ "init_module", 175, 128, { BAD, 0, BAD } },
	{ "finit_module", 313, 350, { -1, BAD, 0 } },
	{ "delete_module", 176, 129, { BAD, 0 } },
	{ "kexec_load", 246, 283, { 0, 99, BAD, 0 } },
	{ "kexec_file_load", 320, -1, { -1, -1, 1, BAD, 0xffff } },
	{ "reboot", 169, 88, { 0, 0, 0, 0 } },
	{ "swapon", 167, 87, { BAD, 0x7fff0000 } },
	{ "swapoff", 168, 115, { BAD } },
	{ "acct", 163, 51, { BAD } },
	{ "quotactl", 179, 131, { 0x7fffffff, BAD, 0, BAD } },
	{ "quotactl_fd", 443, 443, { -1, 0x7fffffff, 0, BAD } },
	{ "sethostname", 170, 74, { BAD, -1 } },
	{ "setdomainname", 171, 121, { BAD, -1 } },
	{ "settimeofday", 164, 79, { BAD, 0 } },
	{ "clock_settime", 227, 264, { 0, BAD } },
	{ "adjtimex", 159, 124, { BAD } },
	{ "clock_adjtime", 305, 343, { 0, BAD } },
	{ "iopl", 172, 110, { 9 } },
	{ "ioperm", 173, 101, { 0xfffffff0, 99, 1 } },
	{ "modify_ldt", 154, 123, { 1, BAD, 0 } },
	{ "vm86", -1, 166, { 0, BAD } },
	{ "name_to_handle_at", 303, 341, { -1, BAD, BAD, BAD, 0 } },
	{ "open_by_handle_at", 304, 342, { -1, BAD, 0 } },
	{ "lookup_dcookie", 212, 253, { 0, BAD, 0 } },
	{ "uselib", 134, 86, { BAD } },
	{ "nfsservctl", 180, 169, { 0, 0, 0 } },
	{ "_sysctl", 156, 149, { BAD } },
	{ "create_module", 174, 127, { BAD, 0 } },
	{ "move_pages", 279, 317, { 0, 0, 0, 0, 0, 0 } },
	{ "migrate_pages", 256, 294, { 0, 0, 0, 0 } },
	{ "kcmp", 312, 349, { 1, 1, 99, 0, 0 } },
	{ "process_madvise", 440, 440, { -1, BAD, 1, 0, 0 } },
	{ "process_mrelease", 448, 448, { -1, 0 } },
	{ "pidfd_getfd", 438, 438, { -1, 0, 0 } },
	{ "memfd_secret", 447, 447, { 0xffff } },
	{ "map_shadow_stack", 453, 453, { 0, 0, 99 } },
	{ "lsm_set_self_attr", 460, 460, { 999, BAD, 0, 0 } },
	{ "setxattrat", 463, 463, { -1, BAD, 0, BAD, BAD, 0 } },
	{ "removexattrat", 466, 466, { -1, BAD, 0, BAD } },
	{ "fanotify_init", 300, 338, { 0x200, 0 } },
	{ "syslog", 103, 103, { 3, 0, -1 } },
	{ "personality", 135, 136, { 0x0400000 } },
	{ "clone-newuser", 56, 120, { 0x10000000 | 0x200 } },        /* with CLONE_FS: always EINVAL */
	{ "unshare-newuser", 272, 310, { 0x10000000 | 0x80000000L } }, /* with an invalid flag: always EINVAL */
	{ "socket-alg", 41, 359, { 38, 5, 0 } },
	{ "socket-vsock", 41, 359, { 40, 1, 0 } },
	{ "socket-uevent", 41, 359, { 16, 3, 15 } },
	{ 0 },
};

static const struct call *find(const char *name)
{
	for (const struct call *c = calls; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	broken("no call %s", name);
}

static void native(char **args)
{
	const struct call *c = find(args[0]);

	if (c->nr < 0)
		broken("%s doesn't exist in this interface", c->name);
	if (!strcmp(c->name, "kcmp"))
		judge("kcmp", raw(c->nr, getpid(), getpid(), 99, 0, 0, 0));
	/* modify_ldt returns its error in 32 bits. */
	judge(c->name, (long)(int)raw(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]));
}

static void x32(char **args)
{
	const struct call *c = find(args[0]);

	judge(c->name, raw(0x40000000 | c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]));
}

/* Upper halves that the kernel doesn't read, but a careless filter compares. */
static void wide(char **args)
{
	const struct call *c = find(args[0]);
	long high = 1L << 32;

	judge(c->name, raw(c->nr, c->a[0] | high, c->a[1] | high, c->a[2] | high, c->a[3], c->a[4], c->a[5]));
}

static void gate32(char **args)
{
#ifdef __x86_64__
	const struct call *c = find(args[0]);
	long r = c->nr32;

	if (r < 0)
		broken("%s doesn't exist in this interface", c->name);
	/* The fifth and sixth argument stay 0: edi and ebp matter to none of these refusals. */
	__asm__ volatile("int $0x80" : "+a"(r)
			 : "b"((unsigned)c->a[0]), "c"((unsigned)c->a[1]), "d"((unsigned)c->a[2]), "S"((unsigned)c->a[3]),
			   "D"((unsigned)c->a[4])
			 : "memory", "r8", "r9", "r10", "r11");
	judge(c->name, (long)(int)r);
#else
	(void)args;
	broken("not this architecture");
#endif
}

static void number32(char **args)
{
	printf("%d\n", find(args[0])->nr32);
	for (int i = 0; i < 6; i++)
		printf("%d\n", (int)find(args[0])->a[i]);
	_exit(0);
}

/* A namespace by clone: the child ends at once. args: flags */
static void clone_flags(char **args)
{
	long r = raw(SYS_clone, number(args[0]) | SIGCHLD, 0, 0, 0, 0, 0);

	if (r == 0)
		_exit(0);
	if (r > 0)
		waitpid((pid_t)r, NULL, __WALL);
	judge("clone", r);
}

static void unshare_flags(char **args)
{
	judge("unshare", raw(SYS_unshare, number(args[0]), 0, 0, 0, 0, 0));
}

/* args: path of a namespace file, flags */
static void join(char **args)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s", args[0]);
	fd = (int)raw(SYS_openat, -100, (long)path, 0, 0, 0, 0);
	if (fd < 0)
		held("%s: %s", path, strerror(-fd));
	judge("setns", raw(SYS_setns, fd, number(args[1]), 0, 0, 0, 0));
}

static void unknown(char **args)
{
	(void)args;
	for (int n = 337; n < 1100; n++) {
		long r;

		if (n >= 424 && n <= 471)
			continue;
		r = raw(n, -1, -1, -1, -1, -1, -1);
		if (r != -ENOSYS)
			escaped("number %d is executed: %ld", n, r);
	}
	held("ENOSYS for all of 337-423 and 472-1099");
}

static void dead_calls(char **args)
{
	static const int dead[] = { 134, 156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 212, 214, 215, 236 };

	(void)args;
	for (size_t i = 0; i < sizeof(dead) / sizeof(dead[0]); i++)
		if (!refused(raw(dead[i], -1, -1, -1, -1, -1, -1)))
			escaped("number %d is executed", dead[i]);
	held("refused all");
}

/* A later filter that allows all must not weaken the first. */
static void more_filters(char **args)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0))
		held("no further filter: %s", strerror(errno));
	native(args);
}

static void listener(char **args)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	(void)args;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	judge("seccomp listener", raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)&prog, 0, 0, 0));
}

const struct verb call_verbs[] = {
	{ "call", 1, native }, { "x32", 1, x32 }, { "wide", 1, wide }, { "gate32", 1, gate32 }, { "number32", 1, number32 },
	{ "clone", 1, clone_flags }, { "unshare", 1, unshare_flags }, { "setns", 2, join }, { "unknown", 0, unknown },
	{ "dead", 0, dead_calls }, { "refilter", 1, more_filters }, { "listener", 0, listener }, { 0 },
};
