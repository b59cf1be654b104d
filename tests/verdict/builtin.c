/* The built-in filters through the simulator: every number of every variant against the rules, what common
 * programs need, what each argument decides, and that the document tells all of it.
 * Runs in: any. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "layer/filter.h"
#include "layer/filter_build.h"

#define ALLOW SECCOMP_RET_ALLOW
#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define HIGH (UINT64_C(0xdead) << 32)

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
static const uint32_t archs[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386 };
#else
#define NATIVE AUDIT_ARCH_AARCH64
static const uint32_t archs[] = { AUDIT_ARCH_AARCH64 };
#endif
static const char *const filters[] = { "default", "strict", "setid" };

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Arguments that the rules look at, so that they hold now and then. */
static uint64_t value(uint64_t *seed)
{
	static const uint64_t known[] = { 0, 1, 2, 3, 5, 6, 8, 10, 16, 17, 31, 0x5412, 0x5423, 0x7e020000, 0x80, 04755, 02755, 0755, 0100, 020000000, 0x40000, 0xffffffff, 0020600 };
	uint64_t v = next(seed) % 8 ? known[next(seed) % COUNT_OF(known)] : next(seed);

	return next(seed) % 4 ? v : v | HIGH;
}

static void built_words_say_what_the_rules_say(void **state)
{
	uint64_t seed = 0x5851f42d4c957f2d;
	unsigned allowed = 0, refused = 0;

	(void)state;
	for (unsigned v = 0; v < 4 * COUNT_OF(filters); v++) {
		const char *name = filters[v / 4];
		bool deny = v & 2, nest = v & 1;
		size_t count;
		const struct sock_filter *words = filter_builtin(name, deny, nest, &count);
		assert_non_null(words);
		for (size_t a = 0; a < COUNT_OF(archs); a++) {
			struct arena arena;
			struct ruleset rules = { 0 };
			arena_init(&arena);
			assert_int_equal(filter_policy(&arena, name, archs[a], nest, &rules), 0);
			for (unsigned i = 0; i < 500 * 12; i++) {
				struct seccomp_data d = { .nr = (int)(i / 12), .arch = archs[a] };
				uint64_t args[6];
				for (int k = 0; k < 6; k++)
					d.args[k] = args[k] = value(&seed);
				int64_t got = filter_simulate(words, count, &d);
				assert_int_equal(got, a && deny ? ERRNO(ENOSYS) : ruleset_evaluate(archs[a], &rules, i / 12, args));
				allowed += got == ALLOW;
				refused += got != ALLOW;
			}
			arena_done(&arena);
		}
	}
	assert_true(allowed > 10000 && refused > 10000);
}

static int64_t verdict(const char *filter, bool nest, uint32_t arch, const char *call, const uint64_t *a)
{
	size_t count;
	const struct sock_filter *words = filter_builtin(filter, false, nest, &count);
	struct seccomp_data d = { .nr = syscall_number(arch, call), .arch = arch, .args = { a[0], a[1], a[2], a[3] } };

	assert_non_null(words);
	return d.nr < 0 ? -2 : filter_simulate(words, count, &d);
}

static void check(const char *filter, bool nest, const char *call, const uint64_t *a, int64_t want)
{
	bool seen = false;

	for (size_t i = 0; i < COUNT_OF(archs); i++) {
		/* 32-bit registers have no upper half. */
		if (archs[i] == AUDIT_ARCH_I386 && (a[0] | a[1] | a[2] | a[3]) > UINT32_MAX)
			continue;
		int64_t got = verdict(filter, nest, archs[i], call, a);
		seen |= got != -2;
		if (got != -2 && got != want)
			fail_msg("%s%s: %s(%#llx, %#llx, %#llx, %#llx) on %#x: %#llx", filter, nest ? " nest" : "", call, (unsigned long long)a[0],
				 (unsigned long long)a[1], (unsigned long long)a[2], (unsigned long long)a[3], archs[i], (unsigned long long)got);
	}
#if defined(__x86_64__)
	if (!seen)
		fail_msg("%s is no call of this machine", call);
#endif
}

static void each_word(const char *words, const char *filter, bool nest, int64_t want)
{
	static const uint64_t none[4] = { 0 };
	char text[2048], *save = NULL;

	assert_true(strlen(words) < sizeof text);
	strcpy(text, words);
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
		check(filter, nest, w, none, want);
}

static void what_programs_need(void **state)
{
	(void)state;
	/* compilers, interpreters, git, redis, sqlite, make; a debugger inside; job control */
	each_word("execve execveat fork vfork wait4 waitid exit_group clone mmap mprotect brk munmap mremap madvise rseq set_robust_list set_tid_address futex "
		  "getrandom membarrier sched_getaffinity sched_setaffinity sched_setscheduler sched_yield sched_getattr getcpu", "default", false, ALLOW);
	each_word("open openat close read pread64 readv preadv2 write pwrite64 writev lseek fsync fdatasync ftruncate fallocate flock fcntl rename renameat2 link "
		  "symlink unlink rmdir getdents64 statx newfstatat faccessat2 utimensat copy_file_range sendfile splice memfd_create setxattr close_range",
		  "default", false, ALLOW);
	each_word("ptrace process_vm_readv process_vm_writev pidfd_open pidfd_send_signal kill tgkill rt_sigqueueinfo setpgid setsid getsid mlock mlock2 mlockall "
		  "inotify_init1 inotify_add_watch timerfd_create timerfd_settime timer_create epoll_create1 epoll_wait eventfd2 signalfd4", "default", false, ALLOW);
	each_word("bind listen accept4 connect sendmsg recvmsg sendmmsg getsockopt setsockopt getsockname shutdown prlimit64 setrlimit capset setuid setgroups "
		  "landlock_create_ruleset seccomp io_setup io_submit shmget semop msgsnd mq_open pkey_alloc mbind futex_waitv map_shadow_stack uretprobe",
		  "default", false, ALLOW);
	each_word("read write openat execve fork clone mmap futex exit_group getrandom wait4 pipe2 rt_sigaction rseq", "strict", false, ALLOW);
}

static void what_both_refuse(void **state)
{
	(void)state;
	for (size_t f = 0; f < COUNT_OF(filters); f++) {
		each_word("mount umount umount2 pivot_root chroot setns fsopen fsconfig fsmount fspick open_tree open_tree_attr move_mount mount_setattr statmount "
			  "listmount listns bpf perf_event_open userfaultfd keyctl add_key request_key kexec_load kexec_file_load init_module finit_module "
			  "delete_module reboot swapon swapoff acct quotactl quotactl_fd settimeofday stime clock_settime clock_settime64 adjtimex clock_adjtime "
			  "clock_adjtime64 iopl ioperm modify_ldt vm86 vm86old open_by_handle_at name_to_handle_at syslog pidfd_getfd kcmp process_madvise "
			  "process_mrelease migrate_pages move_pages fanotify_init fanotify_mark lsm_set_self_attr sethostname setdomainname vhangup",
			  filters[f], false, ERRNO(EPERM));
		each_word("clone3 openat2 io_uring_setup io_uring_enter io_uring_register socketcall lookup_dcookie _sysctl uselib ustat sysfs create_module "
			  "get_kernel_syms query_module nfsservctl vserver afs_syscall tuxcall memfd_secret file_setattr", filters[f], false, ERRNO(ENOSYS));
	}
	each_word("ptrace process_vm_readv process_vm_writev execveat mbind set_mempolicy get_mempolicy sched_setscheduler sched_setattr sched_setparam setuid capset "
		  "splice tee vmsplice shmget mq_open ipc", "strict", false, ERRNO(EPERM));
}

static void what_nesting_permits(void **state)
{
	static const uint64_t newuser[4] = { 0x10000011 }, newtime[4] = { 0x80 };

	(void)state;
	for (size_t f = 0; f < COUNT_OF(filters); f++) {
		each_word("mount umount umount2 pivot_root chroot setns fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr sethostname", filters[f], true, ALLOW);
		each_word("bpf keyctl perf_event_open open_by_handle_at init_module pidfd_getfd", filters[f], true, ERRNO(EPERM));
		each_word("clone3 openat2 io_uring_setup", filters[f], true, ERRNO(ENOSYS));
		check(filters[f], true, "clone", newuser, ALLOW);
		check(filters[f], true, "unshare", newuser, ALLOW);
		check(filters[f], true, "unshare", newtime, ALLOW);
		check(filters[f], false, "unshare", newtime, ERRNO(EPERM));
	}
}

static void what_arguments_decide(void **state)
{
	static const struct { const char *call; uint64_t a[4]; int64_t want; } cases[] = {
		/* every namespace, each alone, whatever stands above the 32 bits */
		{ "clone", { 0x00020000 }, ERRNO(EPERM) }, { "clone", { 0x02000000 }, ERRNO(EPERM) }, { "clone", { 0x04000000 }, ERRNO(EPERM) },
		{ "clone", { 0x08000000 }, ERRNO(EPERM) }, { "clone", { 0x10000000 }, ERRNO(EPERM) }, { "clone", { 0x20000000 }, ERRNO(EPERM) },
		{ "clone", { 0x40000000 }, ERRNO(EPERM) }, { "clone", { HIGH | 0x10000000 }, ERRNO(EPERM) }, { "clone", { 0x3d0f00 }, ALLOW },
		{ "clone", { 0x80 | 17 }, ALLOW }, { "unshare", { 0x10000000 }, ERRNO(EPERM) }, { "unshare", { HIGH | 0x80 }, ERRNO(EPERM) },
		{ "unshare", { 0x400 | 0x200 }, ALLOW },
		/* set-id bits wherever a mode is given */
		{ "chmod", { 0, 06755 }, ERRNO(EPERM) }, { "fchmod", { 0, 02755 }, ERRNO(EPERM) }, { "fchmodat", { 0, 0, 04755 }, ERRNO(EPERM) },
		{ "fchmodat2", { 0, 0, HIGH | 04755 }, ERRNO(EPERM) }, { "creat", { 0, 04755 }, ERRNO(EPERM) }, { "mkdir", { 0, 02755 }, ERRNO(EPERM) },
		{ "mkdirat", { 0, 0, 02755 }, ERRNO(EPERM) }, { "mknod", { 0, 0104755 }, ERRNO(EPERM) }, { "mknodat", { 0, 0, 0104755 }, ERRNO(EPERM) },
		{ "chmod", { 0, 01777 }, ALLOW }, { "mkdir", { 0, 01777 }, ALLOW }, { "fchmod", { 04755, 0644 }, ALLOW },
		{ "open", { 0, 0100, 04755 }, ERRNO(EPERM) }, { "open", { 0, 020000000, 02755 }, ERRNO(EPERM) }, { "open", { 0, 2, 04755 }, ALLOW },
		{ "openat", { 0, 0, 0102, 04755 }, ERRNO(EPERM) }, { "openat", { 0, 0, HIGH | 0100, HIGH | 04755 }, ERRNO(EPERM) },
		{ "openat", { 0, 0, 0102, 0644 }, ALLOW }, { "openat", { 0, 0, 020200000, 0600 }, ALLOW }, { "openat", { 0, 0, 0200000, 07777 }, ALLOW },
		/* nodes */
		{ "mknod", { 0, 0020600 }, ERRNO(EPERM) }, { "mknod", { 0, 0060600 }, ERRNO(EPERM) }, { "mknodat", { 0, 0, HIGH | 0020600 }, ERRNO(EPERM) },
		{ "mknod", { 0, 0010600 }, ALLOW }, { "mknod", { 0, 0140600 }, ALLOW }, { "mknod", { 0, 0100600 }, ALLOW }, { "mknod", { 0, 0600 }, ALLOW },
		/* sockets: family, type without its flags, protocol */
		{ "socket", { 1, 2 }, ALLOW }, { "socket", { 1, 5 | 04000 }, ALLOW }, { "socket", { 2, 1 }, ALLOW }, { "socket", { 10, 2 | 02004000, 17 }, ALLOW },
		{ "socket", { 2, 3, 1 }, ERRNO(EPERM) }, { "socket", { 10, 3 | 02000000, 58 }, ERRNO(EPERM) }, { "socket", { 2, 10, 768 }, ERRNO(EPERM) },
		{ "socket", { 2, 5, 0 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 2, 6, 0 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 10, 5, 132 }, ERRNO(EPROTONOSUPPORT) },
		{ "socket", { 2, 1, 262 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 2, 1, 132 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 2, 2, 136 }, ERRNO(EPROTONOSUPPORT) },
		{ "socket", { 2, 6, 33 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 2, 1, 256 }, ERRNO(EPROTONOSUPPORT) }, { "socket", { 2, 1, HIGH | 262 }, ERRNO(EPROTONOSUPPORT) },
		{ "socket", { 17, 3 }, ERRNO(EAFNOSUPPORT) }, { "socket", { 38, 5 }, ERRNO(EAFNOSUPPORT) }, { "socket", { 40, 1 }, ERRNO(EAFNOSUPPORT) },
		{ "socket", { 43, 1 }, ERRNO(EAFNOSUPPORT) }, { "socket", { HIGH | 17, 3 }, ERRNO(EAFNOSUPPORT) }, { "socketpair", { 1, 1 }, ALLOW },
		{ "socketpair", { 30, 1 }, ERRNO(EAFNOSUPPORT) }, { "setsockopt", { 3, 6, 31 }, ERRNO(ENOPROTOOPT) }, { "setsockopt", { 3, HIGH | 6, HIGH | 31 }, ERRNO(ENOPROTOOPT) },
		{ "setsockopt", { 3, 6, 1 }, ALLOW }, { "setsockopt", { 3, 1, 31 }, ALLOW },
		/* requests */
		{ "ioctl", { 0, 0x5412 }, ERRNO(EPERM) }, { "ioctl", { 0, HIGH | 0x5412 }, ERRNO(EPERM) }, { "ioctl", { 0, 0x541c }, ERRNO(EPERM) },
		{ "ioctl", { 0, 0x541d }, ERRNO(EPERM) }, { "ioctl", { 0, 0x5423 }, ERRNO(EPERM) }, { "ioctl", { 0, 1 }, ERRNO(EPERM) }, { "ioctl", { 0, 0xaa00 }, ERRNO(EPERM) },
		{ "ioctl", { 0, 0xc0045877 }, ERRNO(EPERM) }, { "ioctl", { 0, HIGH | 0xc0045878 }, ERRNO(EPERM) }, { "ioctl", { 0, 0x540e /* TIOCSCTTY */ }, ALLOW },
		{ "ioctl", { 0, 0x5401 }, ALLOW }, { "ioctl", { 0x5412, 0x5413 }, ALLOW },
		{ "seccomp", { 1, 8 | 1 }, ERRNO(EPERM) }, { "seccomp", { 1, HIGH | 8 }, ERRNO(EPERM) }, { "seccomp", { 1, 1 }, ALLOW },
		{ "personality", { 0 }, ALLOW }, { "personality", { 0xffffffff }, ALLOW }, { "personality", { UINT64_MAX }, ALLOW },
		{ "personality", { 0x0400000 }, ERRNO(EPERM) }, { "personality", { 0x0100000 }, ERRNO(EPERM) }, { "personality", { 0x40008 }, ERRNO(EPERM) },
	};
	static const uint64_t route[4] = { 16, 3, 0 }, audit[4] = { 16, 3, 9 }, netfilter[4] = { 16, 2, 12 }, aslr[4] = { 0x40000 }, linux32[4] = { 8 };

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		for (size_t i = 0; i < COUNT_OF(cases); i++)
			check(filters[f], false, cases[i].call, cases[i].a, cases[i].want);
		check(filters[f], false, "socket", audit, ERRNO(EAFNOSUPPORT));
		check(filters[f], false, "socket", netfilter, ERRNO(EAFNOSUPPORT));
		check(filters[f], false, "socket", route, f ? ERRNO(EAFNOSUPPORT) : ALLOW);
		check(filters[f], false, "personality", aslr, f ? ERRNO(EPERM) : ALLOW);
		check(filters[f], false, "personality", linux32, f ? ERRNO(EPERM) : ALLOW);
	}
}

/* For who installs packages: set-id bits, and nothing else beyond the default. */
static void setid_is_default_with_set_id_bits(void **state)
{
	static const struct { const char *call; uint64_t a[4]; int64_t want, usual; } cases[] = {
		{ "chmod", { 0, 06755 }, ALLOW, ERRNO(EPERM) }, { "fchmod", { 0, 02755 }, ALLOW, ERRNO(EPERM) }, { "fchmodat", { 0, 0, 04755 }, ALLOW, ERRNO(EPERM) },
		{ "openat", { 0, 0, 0100, 04755 }, ALLOW, ERRNO(EPERM) }, { "mkdir", { 0, 02755 }, ALLOW, ERRNO(EPERM) }, { "mknod", { 0, 0104755 }, ALLOW, ERRNO(EPERM) },
		{ "mknod", { 0, 0020600 }, ERRNO(EPERM), ERRNO(EPERM) }, { "mknodat", { 0, 0, 0060600 }, ERRNO(EPERM), ERRNO(EPERM) }, { "mkdir", { 0, 0755 }, ALLOW, ALLOW },
	};
	unsigned differ = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		check("setid", false, cases[i].call, cases[i].a, cases[i].want);
		check("default", false, cases[i].call, cases[i].a, cases[i].usual);
	}
	for (int nr = 0; nr < 500; nr++) {
		for (int variant = 0; variant < 4; variant++) {
			size_t a_count, b_count;
			const struct sock_filter *a = filter_builtin("default", variant & 2, variant & 1, &a_count), *b = filter_builtin("setid", variant & 2, variant & 1, &b_count);
			struct seccomp_data d = { .nr = nr, .arch = archs[0] };
			differ += filter_simulate(a, a_count, &d) != filter_simulate(b, b_count, &d);
		}
	}
	assert_int_equal(differ, 0);
}

/* A tree, not a list: a call costs some twenty instructions, wherever its number lies. */
static void few_instructions_a_call(void **state)
{
	size_t count, most = 0;
	const struct sock_filter *words = filter_builtin("default", false, false, &count);

	(void)state;
	for (uint32_t n = 0; n < 500; n++) {
		size_t steps = 0, i = 0;
		/* The longest way through the number's tests: as if no comparison of an argument held. */
		uint32_t a = 0;
		bool number = false;
		for (; BPF_CLASS(words[i].code) != BPF_RET; i++, steps++) {
			const struct sock_filter *w = &words[i];
			if (w->code == (BPF_LD | BPF_W | BPF_ABS)) {
				number = w->k == offsetof(struct seccomp_data, nr);
				a = number ? n : w->k == offsetof(struct seccomp_data, arch) ? NATIVE : 0x12345678;
			} else if (w->code == (BPF_JMP | BPF_JA)) {
				i += w->k;
			} else if (BPF_CLASS(w->code) == BPF_JMP) {
				bool yes = BPF_OP(w->code) == BPF_JGE ? a >= w->k : BPF_OP(w->code) == BPF_JEQ ? a == w->k : false;
				i += yes ? w->jt : w->jf;
			}
			if (number && steps > most)
				most = steps;
		}
	}
	assert_in_range(most, 5, 20);
}

static void the_document_is_what_the_generator_says(void **state)
{
	const char *build = getenv("BUILD");
	char command[4096], fresh[256], kept[256];
	FILE *g, *d = fopen("docs/security/syscalls.md", "re");
	unsigned lines = 0;

	(void)state;
	snprintf(command, sizeof command, "%s/filtergen --doc", build ? build : "build");
	g = popen(command, "re");
	assert_non_null(g);
	assert_non_null(d); /* the tests run in the top folder */
	for (;;) {
		char *f = fgets(fresh, sizeof fresh, g), *k = fgets(kept, sizeof kept, d);
		if (!f && !k)
			break;
		if (!f || !k || strcmp(f, k))
			fail_msg("docs/security/syscalls.md is not up to date: %s > docs/security/syscalls.md", command);
		lines++;
	}
	assert_int_equal(pclose(g), 0);
	fclose(d);
	assert_true(lines > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_words_say_what_the_rules_say),
		cmocka_unit_test(what_programs_need),
		cmocka_unit_test(what_both_refuse),
		cmocka_unit_test(what_nesting_permits),
		cmocka_unit_test(what_arguments_decide), cmocka_unit_test(setid_is_default_with_set_id_bits),
		cmocka_unit_test(few_instructions_a_call),
		cmocka_unit_test(the_document_is_what_the_generator_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
