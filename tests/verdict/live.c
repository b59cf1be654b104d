/* The default filter in the kernel: the same verdicts as the simulator gives, through both system call gates.
 * Every call is harmless where it is allowed: its arguments are invalid, or change nothing.
 * Runs in: any (the calls are made in a child that has given up root and new privileges). */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "layer/filter.h"

struct call { const char *name; long args[4]; int want; /* errno, 0 = reaches the kernel proper */ };

static const struct call calls[] = {
	{ "getpid", { 0 }, 0 },
	{ "mount", { 0, 0, 0, 0 }, EPERM },
	{ "umount2", { 0, 0 }, EPERM },
	{ "pivot_root", { 0, 0 }, EPERM },
	{ "chroot", { 0 }, EPERM },
	{ "setns", { -1, 0 }, EPERM },
	{ "unshare", { 0x10000000 }, EPERM },
	{ "unshare", { 0x80 }, EPERM },
	{ "unshare", { 0 }, 0 },
	{ "clone3", { 0, 0 }, ENOSYS },
	{ "io_uring_setup", { 0, 0 }, ENOSYS },
	{ "openat2", { -1, 0, 0, 0 }, ENOSYS },
	{ "bpf", { 0, 0, 0 }, EPERM },
	{ "keyctl", { -1, 0, 0, 0 }, EPERM },
	{ "userfaultfd", { -1 }, EPERM },
	{ "perf_event_open", { 0, 0, 0, 0 }, EPERM },
	{ "init_module", { 0, 0, 0 }, EPERM },
	{ "fsopen", { 0, 0 }, EPERM },
	{ "open_tree", { -1, 0, 0 }, EPERM },
	{ "mount_setattr", { -1, 0, 0, 0 }, EPERM },
	{ "pidfd_getfd", { -1, 0, 0 }, EPERM },
	{ "chmod", { 0, 04755 }, EPERM },
	{ "socket", { 17, 3, 0 }, EAFNOSUPPORT },
	{ "socket", { 2, 1, 132 }, EPROTONOSUPPORT },
	{ "socket", { 2, 5, 0 }, EPROTONOSUPPORT },
	{ "socket", { 2, 3, 255 }, EPERM },
	{ "setsockopt", { -1, 6, 31, 0 }, ENOPROTOOPT },
	{ "mknod", { 0, 0020600, 0 }, EPERM },
	{ "mkdir", { 0, 02755 }, EPERM },
	{ "openat", { -1, 0, 0100, 04755 }, EPERM },
	{ "clone", { 0x10000800 /* invalid: shares handlers and not memory */, 0, 0, 0 }, EPERM },
	{ "seccomp", { 1, 8, 0 }, EPERM },
	{ "ioctl", { -1, 0x5423, 0 }, EPERM },
	{ "ioctl", { -1, 0x5412, 0 }, EPERM },
	{ "personality", { 0xffffffff }, 0 },
	{ "personality", { 0x0400000 }, EPERM },
};

static int load(void)
{
	size_t count;
	const struct sock_filter *words = filter_builtin("default", false, false, &count);
	struct sock_fprog program = { (unsigned short)count, (struct sock_filter *)(uintptr_t)words };

	if (!words || (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* Exit status of the child: 0 = as wanted, 200 = set-up failed, else the index of the first wrong call + 1. */
static int in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(load() < 0 ? 200 : check());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

static int check_native(void)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const struct call *c = &calls[i];
		int number = syscall_number(NATIVE, c->name);
		long r = number < 0 ? -1 : syscall(number, c->args[0], c->args[1], c->args[2], c->args[3], 0, 0);
		if (number >= 0 && (c->want ? r != -1 || errno != c->want : r < 0))
			return (int)i + 1;
	}
	return 0;
}

static void native_calls(void **state)
{
	int r = in_child(check_native);

	(void)state;
	if (r)
		fail_msg("%s", r == 200 ? "loading the filter" : calls[r - 1].name);
}

#if defined(__x86_64__)
static long gate32(long number, const long *a)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int check_i386(void)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		const struct call *c = &calls[i];
		int number = syscall_number(AUDIT_ARCH_I386, c->name);
		int r = number < 0 ? 0 : (int)gate32(number, c->args);
		if (number >= 0 && (c->want ? r != -c->want : r < 0 && r > -4096))
			return (int)i + 1;
	}
	return 0;
}

static void i386_calls(void **state)
{
	long none[4] = { 0 };
	int r;

	(void)state;
	/* A kernel without the 32-bit gate answers with a fault: then there is nothing to hold. */
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka's would go on with the tests in this child */
		_exit(gate32(20 /* getpid */, none) == getpid() ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &r, 0), pid);
	if (!WIFEXITED(r) || WEXITSTATUS(r))
		skip();
	r = in_child(check_i386);
	if (r)
		fail_msg("%s", r == 200 ? "loading the filter" : calls[r - 1].name);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(native_calls),
#if defined(__x86_64__)
		cmocka_unit_test(i386_calls),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
