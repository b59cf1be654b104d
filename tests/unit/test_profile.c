/* Docker and OCI profiles: a whole one, each comparison and action, and what must be refused rather than read
 * with less in it than it says.
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

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define CAP(n) (UINT64_C(1) << (n))
#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

struct loaded { struct arena arena; struct text notes; struct sock_filter *words; size_t count; struct hutch_error error; int r; };

static void profile_load(struct loaded *l, const char *bytes, size_t len, uint64_t caps)
{
	memset(l, 0, sizeof *l);
	arena_init(&l->arena);
	text_init(&l->notes);
	l->r = filter_profile(&l->arena, "p.json", bytes, len, caps, 5, 10, &l->words, &l->count, &l->notes, "policy:7", &l->error);
	if (l->r == 0)
		assert_true(filter_valid(l->words, l->count));
	else
		assert_int_equal(l->error.id, ERR_PROFILE);
}

static void loaded_done(struct loaded *l)
{
	text_done(&l->notes);
	arena_done(&l->arena);
}

static int64_t run_number(const struct loaded *l, uint32_t arch, int number, uint64_t a0, uint64_t a1)
{
	struct seccomp_data d = { .nr = number, .arch = arch, .args = { a0, a1 } };

	assert_int_equal(l->r, 0);
	return filter_simulate(l->words, l->count, &d);
}

static int64_t run(const struct loaded *l, const char *call, uint64_t a0, uint64_t a1)
{
	int number = syscall_number(NATIVE, call);

	assert_true(number >= 0);
	return run_number(l, NATIVE, number, a0, a1);
}

static char *file_bytes(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *bytes = malloc(1 << 20);

	if (!f || !bytes) {
		fail_msg("%s: %s (the tests run in the top folder)", path, strerror(errno));
		exit(1); /* fail_msg has jumped away; checkers don't know */
	}
	*len = fread(bytes, 1, 1 << 20, f);
	fclose(f);
	return bytes;
}

static void docker_without_capabilities(void **state)
{
	static const struct { const char *call; uint64_t a0; int64_t want; } cases[] = {
		{ "read", 0, SECCOMP_RET_ALLOW }, { "fchmodat2", 0, SECCOMP_RET_ALLOW }, { "ptrace", 0, SECCOMP_RET_ALLOW },
		{ "keyctl", 0, ERRNO(EPERM) }, { "mount", 0, ERRNO(EPERM) }, { "bpf", 0, ERRNO(EPERM) }, { "unshare", 0, ERRNO(EPERM) },
		{ "reboot", 0, ERRNO(EPERM) }, { "syslog", 0, ERRNO(EPERM) }, { "clone3", 0, ERRNO(ENOSYS) },
		{ "clone", 0x1200011, SECCOMP_RET_ALLOW }, { "clone", 0x10000011, ERRNO(EPERM) }, { "clone", 0x20000, ERRNO(EPERM) },
		{ "socket", 2, SECCOMP_RET_ALLOW }, { "socket", 40, ERRNO(EPERM) }, { "socket", UINT64_C(1) << 32 | 40, ERRNO(EPERM) },
		{ "personality", 8, SECCOMP_RET_ALLOW }, { "personality", 131080, SECCOMP_RET_ALLOW }, { "personality", 9, ERRNO(EPERM) },
		{ "personality", UINT64_MAX, SECCOMP_RET_ALLOW }, { "acct", 0, SECCOMP_RET_LOG }, { "swapon", 0, SECCOMP_RET_TRAP },
		{ "swapoff", 0, SECCOMP_RET_KILL_THREAD }, { "kexec_load", 0, SECCOMP_RET_KILL_PROCESS },
		{ "setxattrat", 0, ERRNO(ENOSYS) }, /* newer than all that the profile names */
	};
	struct loaded l;
	size_t len;
	char *bytes = file_bytes("tests/data/docker.json", &len);

	(void)state;
	profile_load(&l, bytes, len, 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (run(&l, cases[i].call, cases[i].a0, 0) != cases[i].want)
			fail_msg("%s(%#llx): %#llx", cases[i].call, (unsigned long long)cases[i].a0, (unsigned long long)run(&l, cases[i].call, cases[i].a0, 0));
	}
	assert_non_null(strstr(l.notes.s, "riscv_hwprobe_not_here"));
	assert_null(strstr(l.notes.s, "_llseek"));
	loaded_done(&l);
	free(bytes);
}

static void docker_with_capabilities(void **state)
{
	struct loaded l;
	size_t len;
	char *bytes = file_bytes("tests/data/docker.json", &len);

	(void)state;
	profile_load(&l, bytes, len, CAP(21) /* SYS_ADMIN */);
	assert_int_equal(run(&l, "mount", 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "clone", 0x10000011, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "clone3", 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "syslog", 0, 0), ERRNO(EPERM)); /* wants both */
	assert_int_equal(run(&l, "reboot", 0, 0), ERRNO(EPERM));
	loaded_done(&l);
	profile_load(&l, bytes, len, CAP(21) | CAP(34) | CAP(22) /* SYSLOG, SYS_BOOT */);
	assert_int_equal(run(&l, "syslog", 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "reboot", 0, 0), SECCOMP_RET_ALLOW);
	loaded_done(&l);
	free(bytes);
}

#if defined(__x86_64__)
static void other_abis(void **state)
{
	static const char deny_list[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ERRNO\"}]}";
	struct loaded l;
	size_t len;
	char *bytes = file_bytes("tests/data/docker.json", &len);

	(void)state;
	profile_load(&l, bytes, len, 0);
	assert_int_equal(run_number(&l, AUDIT_ARCH_I386, 3 /* read */, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run_number(&l, AUDIT_ARCH_I386, 21 /* mount */, 0, 0), ERRNO(EPERM));
	assert_int_equal(run_number(&l, AUDIT_ARCH_I386, 359 /* socket */, 40, 0), ERRNO(EPERM));
	assert_int_equal(run_number(&l, AUDIT_ARCH_X86_64, 0x40000000 /* x32 read */, 0, 0), ERRNO(ENOSYS));
	assert_int_equal(run_number(&l, AUDIT_ARCH_AARCH64, 63 /* read */, 0, 0), SECCOMP_RET_KILL_PROCESS);
	loaded_done(&l);
	/* The same call through x32 must not get past a list of refused calls. */
	profile_load(&l, deny_list, strlen(deny_list), 0);
	assert_int_equal(run(&l, "mount", 0, 0), ERRNO(EPERM));
	assert_int_equal(run(&l, "read", 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run_number(&l, AUDIT_ARCH_X86_64, 0x40000000 | 165, 0, 0), ERRNO(ENOSYS));
	assert_int_equal(run_number(&l, AUDIT_ARCH_I386, 21, 0, 0), SECCOMP_RET_KILL_PROCESS); /* no architecture but ours is named */
	loaded_done(&l);
	free(bytes);
}
#endif

static void each_comparison(void **state)
{
	/* 0x100000005 is 4294967301: both halves count where the kernel takes 64 bits. */
	static const struct { const char *op; uint64_t v, w, hit, miss; } cases[] = {
		{ "SCMP_CMP_EQ", 4294967301, 0, 4294967301, 5 }, { "SCMP_CMP_NE", 4294967301, 0, 5, 4294967301 },
		{ "SCMP_CMP_LT", 4294967301, 0, 4294967300, 4294967301 }, { "SCMP_CMP_LE", 4294967301, 0, 4294967301, 4294967302 },
		{ "SCMP_CMP_GT", 4294967301, 0, 8589934592, 4294967301 }, { "SCMP_CMP_GE", 4294967301, 0, 4294967301, 4294967300 },
		{ "SCMP_CMP_MASKED_EQ", 4294967297, 4294967296, 4294967298, 4294967297 },
		{ "SCMP_CMP_MASKED_EQ", 15, 21 /* 5 where the mask looks */, 0xf5, 0xf6 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct loaded l;
		char json[400];
		snprintf(json, sizeof json, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"lseek\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":71,"
			 "\"args\":[{\"index\":1,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"%s\"}]}]}", (unsigned long long)cases[i].v, (unsigned long long)cases[i].w, cases[i].op);
		profile_load(&l, json, strlen(json), 0);
		if (run(&l, "lseek", 0, cases[i].hit) != ERRNO(71) || run(&l, "lseek", 0, cases[i].miss) != SECCOMP_RET_ALLOW)
			fail_msg("%s %llu", cases[i].op, (unsigned long long)cases[i].v);
		loaded_done(&l);
	}
}

static void int_arguments_have_32_bits(void **state)
{
	static const char json[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"ioctl\"],\"action\":\"SCMP_ACT_ERRNO\","
				   "\"args\":[{\"index\":1,\"value\":21522,\"op\":\"SCMP_CMP_EQ\"}]}]}";
	struct loaded l;

	(void)state;
	profile_load(&l, json, strlen(json), 0);
	assert_int_equal(run(&l, "ioctl", 0, 0x5412), ERRNO(EPERM));
	assert_int_equal(run(&l, "ioctl", 0, UINT64_C(0x7700005412)), ERRNO(EPERM));
	assert_int_equal(run(&l, "ioctl", 0, 0x5413), SECCOMP_RET_ALLOW);
	loaded_done(&l);
}

static void arguments_hold_together_and_one_argument_alternates(void **state)
{
	static const char json[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";
	struct loaded l;

	(void)state;
	profile_load(&l, json, strlen(json), 0);
	assert_int_equal(run(&l, "lseek", 1, 2), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "lseek", 1, 3), ERRNO(EPERM));
	assert_int_equal(run(&l, "lseek", 0, 2), ERRNO(EPERM));
	assert_int_equal(run(&l, "read", 1, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "read", 2, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&l, "read", 3, 0), ERRNO(EPERM));
	loaded_done(&l);
}

static void conditions_on_the_kernel(void **state)
{
	/* The kernel is 5.10 here. */
	static const struct { const char *version; bool reached; } cases[] = {
		{ "5.10", true }, { "5.9", true }, { "4.20", true }, { "5.11", false }, { "6.1", false }, { "5.100", false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		bool include = i % 2, want = cases[i / 2].reached == include;
		struct loaded l;
		char json[300];
		snprintf(json, sizeof json, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"%s\":{\"minKernel\":\"%s\"}},"
			 "{\"names\":[\"setns\"],\"action\":\"SCMP_ACT_ALLOW\"}]}", include ? "includes" : "excludes", cases[i / 2].version);
		profile_load(&l, json, strlen(json), 0);
		if ((run(&l, "read", 0, 0) == SECCOMP_RET_ALLOW) != want)
			fail_msg("%s %s", include ? "includes" : "excludes", cases[i / 2].version);
		loaded_done(&l);
	}
}

/* Each would be a wider filter if the odd part were passed over. detail: what the message must name. */
static void nothing_is_passed_over(void **state)
{
#define ENTRY(text) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"," text "}]}"
#define ARG(text) ENTRY("\"args\":[{" text "}]")
	static const struct { const char *json, *detail; } cases[] = {
		{ ENTRY("\"args\":{\"index\":0}"), "args" }, { ENTRY("\"args\":\"none\""), "args" }, { ENTRY("\"args\":[7]"), "args" },
		{ ENTRY("\"arg\":[]"), "unknown key: arg" }, { ENTRY("\"includes\":[]"), "includes" }, { ENTRY("\"includes\":\"x\""), "includes" },
		{ ENTRY("\"includes\":{\"cap\":[\"CAP_SYS_ADMIN\"]}"), "unknown key: cap" }, { ENTRY("\"includes\":{\"caps\":\"CAP_SYS_ADMIN\"}"), "caps" },
		{ ENTRY("\"includes\":{\"minKernel\":\"new\"}"), "minKernel" }, { ENTRY("\"includes\":{\"minKernel\":\"6.x\"}"), "minKernel" },
		{ ENTRY("\"includes\":{\"minKernel\":6}"), "minKernel" }, { ENTRY("\"excludes\":{\"arches\":{}}"), "arches" },
		{ ENTRY("\"names\":[\"write\"]"), "given twice: names" }, { ENTRY("\"name\":\"write\""), "names" }, { ENTRY("\"errno\":\"EACCES\""), "errnoRet" },
		{ ENTRY("\"errnoRet\":4096"), "range" }, { ENTRY("\"errnoRet\":\"1\""), "number" }, { ENTRY("\"includes\""), "no value: includes" }, { ENTRY("\"includes\",\"comment\":\"x\""), "no value: includes" },
		{ ARG("\"index\":0,\"value\":1"), "args" }, { ARG("\"index\":0,\"op\":\"SCMP_CMP_EQ\""), "args" },
		{ ARG("\"index\":0,\"value\":1,\"op\":\"EQ\""), "comparison" }, { ARG("\"index\":0,\"value\":\"1\",\"op\":\"SCMP_CMP_EQ\""), "number" },
		{ ARG("\"index\":0,\"value\":1.5,\"op\":\"SCMP_CMP_EQ\""), "number" }, { ARG("\"index\":0,\"value\":18446744073709551616,\"op\":\"SCMP_CMP_EQ\""), "number" },
		{ ARG("\"index\":0,\"value\":1,\"value2\":1,\"op\":\"SCMP_CMP_EQ\""), "unknown key: value2" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[[\"read\"]],\"action\":\"SCMP_ACT_ALLOW\"}]}", "name of a system call" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscals\":[]}", "unknown key: syscals" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[7]}", "entry" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultAction\":\"SCMP_ACT_KILL\"}", "given twice" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrno\":\"ENOSYS\"}", "defaultErrnoRet" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"listenerPath\":\"/run/x\"}", "listenerPath" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}", "SCMP_ACT_NOTIFY" },
		{ "{\"defaultAction\":\"SCMP_ACT_TRACE\"}", "SCMP_ACT_TRACE" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\"} {\"defaultAction\":\"SCMP_ACT_KILL\"}", "behind" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct loaded l;
		profile_load(&l, cases[i].json, strlen(cases[i].json), 0);
		if (l.r == 0 || !strstr(l.error.detail, cases[i].detail))
			fail_msg("%s: %d, %s", cases[i].json, l.r, l.error.detail);
		assert_string_equal(l.error.subject, "p.json");
		assert_string_equal(l.error.origin, "policy:7");
		loaded_done(&l);
	}
}

static void a_cut_profile_is_never_taken(void **state)
{
	size_t len;
	char *bytes = file_bytes("tests/data/docker.json", &len), *copy;

	(void)state;
	for (size_t cut = 0; cut + 2 < len; cut += cut < 600 ? 1 : 37) {
		struct loaded l;
		copy = malloc(cut ? cut : 1); /* exactly as long: a sanitizer sees each byte read beyond */
		assert_non_null(copy);
		memcpy(copy, bytes, cut);
		profile_load(&l, copy, cut, 0);
		if (l.r == 0)
			fail_msg("taken: the first %zu bytes", cut);
		loaded_done(&l);
		free(copy);
	}
	free(bytes);
}

static void podman_writes_both_kinds_of_errno(void **state)
{
	static const char json[] = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"defaultErrno\":\"ENOSYS\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
				   "\"syscalls\":[{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":null,\"errnoRet\":1,\"errno\":\"EPERM\"}]}";
	struct loaded l;

	(void)state;
	profile_load(&l, json, strlen(json), 0);
	assert_int_equal(run(&l, "mount", 0, 0), ERRNO(EPERM));
	assert_int_equal(run(&l, "read", 0, 0), ERRNO(ENOSYS));
	assert_non_null(strstr(l.notes.s, "flags"));
	loaded_done(&l);
}

static void raw_programs(void **state)
{
	struct sock_filter allow[] = { { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } }, jump[] = { { BPF_JMP | BPF_JA, 0, 0, 1 }, allow[0] };
	struct loaded l;

	(void)state;
	profile_load(&l, (char *)allow, sizeof allow, 0);
	assert_int_equal(run(&l, "read", 0, 0), SECCOMP_RET_ALLOW);
	loaded_done(&l);
	profile_load(&l, (char *)allow, sizeof allow - 1, 0);
	assert_int_equal(l.r, -1);
	loaded_done(&l);
	profile_load(&l, (char *)jump, sizeof jump, 0);
	assert_int_equal(l.r, -1);
	loaded_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(docker_without_capabilities),
		cmocka_unit_test(docker_with_capabilities),
#if defined(__x86_64__)
		cmocka_unit_test(other_abis),
#endif
		cmocka_unit_test(each_comparison),
		cmocka_unit_test(int_arguments_have_32_bits),
		cmocka_unit_test(arguments_hold_together_and_one_argument_alternates),
		cmocka_unit_test(conditions_on_the_kernel),
		cmocka_unit_test(nothing_is_passed_over),
		cmocka_unit_test(a_cut_profile_is_never_taken),
		cmocka_unit_test(podman_writes_both_kinds_of_errno),
		cmocka_unit_test(raw_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
