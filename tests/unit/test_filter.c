/* System call filters: the table against libseccomp, the compiler against the rules themselves, the verdicts
 * of the built-in filters, profiles of files.
 * Runs in: any. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "layer/filter.h"
#include "layer/filter_build.h"

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))

static void table_agrees_with_libseccomp(void **state)
{
	static const struct { uint32_t ours, theirs; } archs[] = {
		{ AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64 }, { AUDIT_ARCH_I386, SCMP_ARCH_X86 }, { AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64 },
	};
	int compared = 0;

	(void)state;
	for (size_t a = 0; a < COUNT_OF(archs); a++) {
		for (int n = 0; n < 600; n++) {
			char *theirs = seccomp_syscall_resolve_num_arch(archs[a].theirs, n);
			const char *ours = syscall_name(archs[a].ours, n);
			/* libseccomp may be older than the kernel that the table describes, never the other way round. */
			if (theirs) {
				assert_non_null(ours);
				assert_string_equal(ours, theirs);
				compared++;
			}
			if (ours)
				assert_int_equal(syscall_number(archs[a].ours, ours), n);
			free(theirs);
		}
	}
	assert_true(compared > 1000);
	assert_int_equal(syscall_number(AUDIT_ARCH_X86_64, "nonesuch"), -1);
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Values near each other and near the edges of both halves, so that comparisons hit. */
static uint64_t value(uint64_t *seed)
{
	static const uint64_t edges[] = { 0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x100000001, UINT64_MAX, 0x8000000000000000 };

	return next(seed) % 3 ? edges[next(seed) % COUNT_OF(edges)] : next(seed);
}

static void random_rules(struct arena *a, uint64_t *seed, struct ruleset *set)
{
	static const uint32_t actions[] = { SECCOMP_RET_ALLOW, ERRNO(EPERM), ERRNO(ENOSYS), SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG };
	unsigned count = (unsigned)(next(seed) % 120);

	memset(set, 0, sizeof *set);
	set->fallback = actions[next(seed) % COUNT_OF(actions)];
	for (unsigned i = 0; i < count; i++) {
		struct rule r = { .number = (int)(next(seed) % 60), .action = actions[next(seed) % COUNT_OF(actions)] };
		r.count = next(seed) % 2 ? 0 : 1 + (unsigned)(next(seed) % 6);
		for (unsigned k = 0; k < r.count; k++)
			r.cmp[k] = (struct cmp){ .arg = (uint8_t)(next(seed) % 6), .op = (uint8_t)(next(seed) % 8), .low32 = next(seed) % 2, .value = value(seed), .mask = value(seed) };
		assert_int_equal(ruleset_add(a, set, &r), 0);
	}
	if (next(seed) % 2) {
		set->known_to = 59 + (int)(next(seed) % 5);
		set->beyond = ERRNO(ENOSYS);
	}
}

/* Mostly numbers that have rules; also what is beyond them, x32, and what is negative as an int. */
static int number(uint64_t *seed)
{
	static const uint32_t far[] = { 4000, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0x80000000, 0xffffffff };

	return (int)(next(seed) % 12 ? next(seed) % 66 : far[next(seed) % COUNT_OF(far)]);
}

static void compiled_tree_says_what_the_rules_say(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct arena a;
		struct ruleset one, two;
		struct sock_filter *words;
		size_t count;
		arena_init(&a);
		random_rules(&a, &seed, &one);
		random_rules(&a, &seed, &two);
		struct arch_rules archs[] = { { AUDIT_ARCH_X86_64, &one }, { AUDIT_ARCH_I386, &two } };
		assert_int_equal(filter_compile(&a, archs, 2, SECCOMP_RET_KILL_THREAD, &words, &count), 0);
		assert_true(filter_valid(words, count));
		for (int probe = 0; probe < 300; probe++) {
			struct seccomp_data d = { .nr = number(&seed), .arch = probe % 2 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_I386 };
			uint64_t args[6];
			for (int k = 0; k < 6; k++)
				d.args[k] = args[k] = value(&seed);
			assert_int_equal(filter_simulate(words, count, &d), ruleset_evaluate(d.arch, probe % 2 ? &one : &two, (uint32_t)d.nr, args));
		}
		struct seccomp_data other = { .nr = 1, .arch = AUDIT_ARCH_AARCH64 };
		assert_int_equal(filter_simulate(words, count, &other), SECCOMP_RET_KILL_THREAD);
		arena_done(&a);
	}
}

#if defined(__x86_64__)
static int64_t verdict(const char *filter, uint32_t arch, const char *call, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	size_t count;
	const struct sock_filter *words = filter_builtin(filter, false, false, &count);
	struct seccomp_data d = { .nr = syscall_number(arch, call), .arch = arch, .args = { a0, a1, a2, a3 } };

	assert_non_null(words);
	assert_true(d.nr >= 0);
	return filter_simulate(words, count, &d);
}

static void verdicts_of_the_built_in_filters(void **state)
{
	static const struct { const char *filter, *call; uint64_t a[4]; int64_t want; bool i386; } cases[] = {
		{ "default", "read", { 0 }, SECCOMP_RET_ALLOW, true },
		{ "default", "execve", { 0 }, SECCOMP_RET_ALLOW, true },
		{ "default", "ptrace", { 0 }, SECCOMP_RET_ALLOW, true },
		{ "strict", "ptrace", { 0 }, ERRNO(EPERM), true },
		{ "default", "mount", { 0 }, ERRNO(EPERM), true },
		{ "default", "umount2", { 0 }, ERRNO(EPERM), true },
		{ "default", "pivot_root", { 0 }, ERRNO(EPERM), true },
		{ "default", "open_tree", { 0 }, ERRNO(EPERM), true },
		{ "default", "move_mount", { 0 }, ERRNO(EPERM), true },
		{ "default", "mount_setattr", { 0 }, ERRNO(EPERM), true },
		{ "default", "open_tree_attr", { 0 }, ERRNO(EPERM), true },
		{ "default", "setns", { 0 }, ERRNO(EPERM), true },
		{ "default", "bpf", { 0 }, ERRNO(EPERM), true },
		{ "default", "keyctl", { 0 }, ERRNO(EPERM), true },
		{ "default", "userfaultfd", { 0 }, ERRNO(EPERM), true },
		{ "default", "open_by_handle_at", { 0 }, ERRNO(EPERM), true },
		{ "default", "pidfd_getfd", { 0 }, ERRNO(EPERM), true },
		{ "default", "clone3", { 0 }, ERRNO(ENOSYS), true },
		{ "default", "io_uring_setup", { 0 }, ERRNO(ENOSYS), true },
		{ "default", "openat2", { 0 }, ERRNO(ENOSYS), true },
		{ "default", "clone", { 0x1200011 }, SECCOMP_RET_ALLOW, true },
		{ "default", "clone", { 0x10000011 }, ERRNO(EPERM), true },
		{ "default", "clone", { 0xffffffff00000000 | 0x20011 }, ERRNO(EPERM), true },
		{ "default", "unshare", { 0x400 }, SECCOMP_RET_ALLOW, true },
		{ "default", "unshare", { 0x80 }, ERRNO(EPERM), true },
		{ "default", "unshare", { 0x40000000 }, ERRNO(EPERM), true },
		{ "default", "chmod", { 0, 0755 }, SECCOMP_RET_ALLOW, true },
		{ "default", "chmod", { 0, 04755 }, ERRNO(EPERM), true },
		{ "default", "fchmodat2", { 0, 0, 02755 }, ERRNO(EPERM), true },
		{ "default", "open", { 0, 0100, 04755 }, ERRNO(EPERM), true },
		{ "default", "open", { 0, 0, 04755 }, SECCOMP_RET_ALLOW, true },
		{ "default", "openat", { 0, 0, 020000000 | 2, 02644 }, ERRNO(EPERM), true },
		{ "default", "openat", { 0, 0, 0102, 0644 }, SECCOMP_RET_ALLOW, true },
		{ "default", "mknod", { 0, 0020666 }, ERRNO(EPERM), true },
		{ "default", "mknod", { 0, 0060666 }, ERRNO(EPERM), true },
		{ "default", "mknod", { 0, 0010666 }, SECCOMP_RET_ALLOW, true },
		{ "default", "socket", { 1, 1, 0 }, SECCOMP_RET_ALLOW, true },
		{ "default", "socket", { 2, 1 | 02000000, 6 }, SECCOMP_RET_ALLOW, true },
		{ "default", "socket", { 2, 3, 255 }, ERRNO(EPERM), true },
		{ "default", "socket", { 2, 2, 1 }, ERRNO(EPROTONOSUPPORT), true },
		{ "default", "socket", { 10, 1, 262 }, ERRNO(EPROTONOSUPPORT), true },
		{ "default", "socket", { 17, 3, 0 }, ERRNO(EAFNOSUPPORT), true },
		{ "default", "socket", { 40, 1, 0 }, ERRNO(EAFNOSUPPORT), true },
		{ "default", "socket", { 16, 3, 0 }, SECCOMP_RET_ALLOW, true },
		{ "default", "socket", { 16, 3, 15 }, ERRNO(EAFNOSUPPORT), true },
		{ "strict", "socket", { 16, 3, 0 }, ERRNO(EAFNOSUPPORT), true },
		{ "default", "socket", { UINT64_C(1) << 32 | 17, 3, 0 }, ERRNO(EAFNOSUPPORT), false },
		{ "default", "ioctl", { 0, 0x5412 }, ERRNO(EPERM), true },
		{ "default", "ioctl", { 0, UINT64_C(1) << 32 | 0x5412 }, ERRNO(EPERM), false },
		{ "default", "ioctl", { 0, 0x541c }, ERRNO(EPERM), true },
		{ "default", "ioctl", { 0, 0x5401 }, SECCOMP_RET_ALLOW, true },
		{ "default", "personality", { 0xffffffff }, SECCOMP_RET_ALLOW, true },
		{ "default", "personality", { 0x0400000 }, ERRNO(EPERM), true },
		{ "strict", "personality", { 0x40000 }, ERRNO(EPERM), true },
		{ "default", "seccomp", { 1, 8 }, ERRNO(EPERM), true },
		{ "default", "seccomp", { 1, 1 }, SECCOMP_RET_ALLOW, true },
		{ "default", "sendto", { 0, 0, 0, 0x20000000 }, ERRNO(EOPNOTSUPP), true },
		{ "default", "sendto", { 0, 0, 0, 0x4000 }, SECCOMP_RET_ALLOW, true },
		{ "default", "prlimit64", { 0 }, SECCOMP_RET_ALLOW, true },
		{ "default", "prlimit64", { 1 }, ERRNO(EPERM), true },
		{ "strict", "execveat", { 0 }, ERRNO(EPERM), true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const uint64_t *a = cases[i].a;
		if (verdict(cases[i].filter, AUDIT_ARCH_X86_64, cases[i].call, a[0], a[1], a[2], a[3]) != cases[i].want)
			fail_msg("%s: %s: case %zu", cases[i].filter, cases[i].call, i);
		if (cases[i].i386 && verdict(cases[i].filter, AUDIT_ARCH_I386, cases[i].call, a[0], a[1], a[2], a[3]) != cases[i].want)
			fail_msg("%s: %s on i386: case %zu", cases[i].filter, cases[i].call, i);
	}
	assert_int_equal(verdict("default", AUDIT_ARCH_I386, "socketcall", 1, 0, 0, 0), ERRNO(ENOSYS));
}

static void unknown_numbers_and_other_machines(void **state)
{
	static const char *const filters[] = { "default", "strict" };
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64 };

	(void)state;
	for (size_t f = 0; f < COUNT_OF(filters); f++) {
		for (int variant = 0; variant < 4; variant++) {
			size_t count;
			const struct sock_filter *words = filter_builtin(filters[f], variant & 2, variant & 1, &count);
			assert_non_null(words);
			assert_true(filter_valid(words, count));
			d.arch = AUDIT_ARCH_X86_64;
			for (int n = 472; n < 2000; n++) {
				d.nr = n;
				assert_int_equal(filter_simulate(words, count, &d), ERRNO(ENOSYS));
			}
			d.nr = 0x40000000; /* x32 read */
			assert_int_equal(filter_simulate(words, count, &d), ERRNO(ENOSYS));
			d.nr = 3;
			d.arch = AUDIT_ARCH_I386;
			assert_int_equal(filter_simulate(words, count, &d), variant & 2 ? ERRNO(ENOSYS) : SECCOMP_RET_ALLOW);
			d.arch = AUDIT_ARCH_AARCH64;
			assert_int_equal(filter_simulate(words, count, &d), SECCOMP_RET_KILL_PROCESS);
		}
	}
}

static int64_t profile_verdict(const char *json, uint64_t caps, const char *call, uint64_t a0, struct hutch_error *e)
{
	struct arena a;
	struct text notes;
	struct sock_filter *words;
	size_t count;
	int64_t v = -2;

	arena_init(&a);
	text_init(&notes);
	hutch_error_clear(e);
	if (filter_profile(&a, "p.json", json, strlen(json), caps, 6, 1, &words, &count, &notes, "test", e) == 0) {
		struct seccomp_data d = { .nr = syscall_number(AUDIT_ARCH_X86_64, call), .arch = AUDIT_ARCH_X86_64, .args = { a0 } };
		v = filter_simulate(words, count, &d);
	}
	text_done(&notes);
	arena_done(&a);
	return v;
}

static void docker_profiles(void **state)
{
	static const char profile[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
		"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]}],"
		"\"syscalls\":["
		"{\"names\":[\"read\",\"write\",\"no_such_call\",\"setxattrat\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"includes\":{},\"excludes\":{}},"
		"{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":8,\"valueTwo\":0,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
		"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
		"{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}},"
		"{\"names\":[\"sync\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
		"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":22,\"args\":[{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_NE\"}]}"
		"]}";
	const uint64_t admin = UINT64_C(1) << 21;
	struct hutch_error e;

	(void)state;
	assert_int_equal(profile_verdict(profile, 0, "read", 0, &e), SECCOMP_RET_ALLOW);
	assert_int_equal(profile_verdict(profile, 0, "close", 0, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, 0, "personality", 8, &e), SECCOMP_RET_ALLOW);
	assert_int_equal(profile_verdict(profile, 0, "personality", 9, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, 0, "clone", 0x11, &e), SECCOMP_RET_ALLOW);
	assert_int_equal(profile_verdict(profile, 0, "clone", 0x10000000, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, admin, "clone", 0x11, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, admin, "mount", 0, &e), SECCOMP_RET_ALLOW);
	assert_int_equal(profile_verdict(profile, 0, "mount", 0, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, 0, "ptrace", 0, &e), SECCOMP_RET_ALLOW);
	assert_int_equal(profile_verdict(profile, 0, "bpf", 0, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, 0, "sync", 0, &e), ERRNO(ENOSYS));
	assert_int_equal(profile_verdict(profile, 0, "socket", 40, &e), ERRNO(EINVAL));
	assert_int_equal(profile_verdict(profile, 0, "socket", 2, &e), SECCOMP_RET_ALLOW);
}

static void bad_profiles_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "x", "{", "{}", "[]", "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "{\"defaultAction\":\"SCMP_ACT_TRACE\"}", "{\"defaultAction\":\"NO\"}",
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}",
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":99999}", "\x06\x00\x00\x00\x00\x00",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct hutch_error e;
		if (profile_verdict(bad[i], 0, "read", 0, &e) != -2)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(e.id, ERR_PROFILE);
		assert_string_equal(e.origin, "test");
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_agrees_with_libseccomp),
		cmocka_unit_test(compiled_tree_says_what_the_rules_say),
#if defined(__x86_64__)
		cmocka_unit_test(verdicts_of_the_built_in_filters),
		cmocka_unit_test(unknown_numbers_and_other_machines),
		cmocka_unit_test(docker_profiles),
		cmocka_unit_test(bad_profiles_are_refused),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
