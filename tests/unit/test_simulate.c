/* The simulator and the verifier of filters: what each instruction does, and that we take exactly the programs
 * that this kernel takes.
 * Runs in: any (programs are loaded in children; they begin with "allow", so that none decides anything). */
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

static const struct seccomp_data sample = { .nr = 7, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = 0x1122334455667788, .args = { 0xaabbccdd00000005, 2 } };

#define K(op, k) BPF_STMT(op, k)
#define ABS(field) K(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET_A K(BPF_RET | BPF_A, 0)
#define X_IS(k) K(BPF_LDX | BPF_IMM, k)
#define A_IS(k) K(BPF_LD | BPF_IMM, k)

static void each_instruction(void **state)
{
	static const struct { int64_t want; struct sock_filter words[8]; size_t count; } cases[] = {
		{ 7, { ABS(nr), RET_A }, 2 },
		{ 5, { ABS(args[0]), RET_A }, 2 },
		{ 0xaabbccdd, { K(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4), RET_A }, 2 },
		{ 0x55667788, { ABS(instruction_pointer), RET_A }, 2 },
		{ 64, { K(BPF_LD | BPF_W | BPF_LEN, 0), RET_A }, 2 },
		{ 64, { K(BPF_LDX | BPF_W | BPF_LEN, 0), K(BPF_MISC | BPF_TXA, 0), RET_A }, 3 },
		{ 9, { A_IS(4), X_IS(5), K(BPF_ALU | BPF_ADD | BPF_X, 0), RET_A }, 4 },
		{ 0xffffffff, { A_IS(4), K(BPF_ALU | BPF_SUB | BPF_K, 5), RET_A }, 3 },
		{ 20, { A_IS(4), K(BPF_ALU | BPF_MUL | BPF_K, 5), RET_A }, 3 },
		{ 3, { A_IS(17), K(BPF_ALU | BPF_DIV | BPF_K, 5), RET_A }, 3 },
		{ 0, { A_IS(17), X_IS(0), K(BPF_ALU | BPF_DIV | BPF_X, 0), K(BPF_RET | BPF_K, 99) }, 4 },
		{ 0xfffffffc, { A_IS(4), K(BPF_ALU | BPF_NEG, 0), RET_A }, 3 },
		{ 6, { A_IS(5), K(BPF_ALU | BPF_XOR | BPF_K, 3), RET_A }, 3 },
		{ 7, { A_IS(5), K(BPF_ALU | BPF_OR | BPF_K, 3), RET_A }, 3 },
		{ 1, { A_IS(5), K(BPF_ALU | BPF_AND | BPF_K, 3), RET_A }, 3 },
		{ 40, { A_IS(5), K(BPF_ALU | BPF_LSH | BPF_K, 3), RET_A }, 3 },
		{ 2, { A_IS(5), X_IS(1), K(BPF_ALU | BPF_RSH | BPF_X, 0), RET_A }, 4 },
		{ 11, { A_IS(11), K(BPF_ST, 3), A_IS(0), K(BPF_LD | BPF_MEM, 3), RET_A }, 5 },
		{ 12, { X_IS(12), K(BPF_STX, 15), K(BPF_LD | BPF_MEM, 15), RET_A }, 4 },
		{ 13, { A_IS(13), K(BPF_MISC | BPF_TAX, 0), A_IS(0), K(BPF_MISC | BPF_TXA, 0), RET_A }, 5 },
		{ 2, { K(BPF_JMP | BPF_JA, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 3 },
		{ 1, { ABS(nr), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 6, 0, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 4 },
		{ 2, { ABS(nr), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 7, 0, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 4 },
		{ 1, { ABS(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 7, 0, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 4 },
		{ 1, { ABS(nr), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 12, 0, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 4 },
		{ 2, { ABS(nr), X_IS(8), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), K(BPF_RET | BPF_K, 1), K(BPF_RET | BPF_K, 2) }, 5 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (filter_simulate(cases[i].words, cases[i].count, &sample) != cases[i].want)
			fail_msg("case %zu", i);
	}
}

static void programs_that_no_kernel_takes(void **state)
{
	static const struct { struct sock_filter words[4]; size_t count; } cases[] = {
		{ { RET_A }, 0 },
		{ { A_IS(1) }, 1 },
		{ { K(BPF_LD | BPF_W | BPF_ABS, 64), RET_A }, 2 },
		{ { K(BPF_LD | BPF_W | BPF_ABS, 2), RET_A }, 2 },
		{ { K(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc), RET_A }, 2 },
		{ { K(BPF_LD | BPF_H | BPF_ABS, 0), RET_A }, 2 },
		{ { K(BPF_LD | BPF_W | BPF_IND, 0), RET_A }, 2 },
		{ { K(BPF_JMP | BPF_JA, 1), RET_A }, 2 },
		{ { K(BPF_JMP | BPF_JA, 0xffffffff), RET_A }, 2 },
		{ { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), RET_A }, 2 },
		{ { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 255, 0), RET_A }, 2 },
		{ { K(BPF_ALU | BPF_DIV | BPF_K, 0), RET_A }, 2 },
		{ { K(BPF_ALU | BPF_MOD | BPF_K, 3), RET_A }, 2 },
		{ { K(BPF_ALU | BPF_LSH | BPF_K, 32), RET_A }, 2 },
		{ { K(BPF_ALU | BPF_NEG | BPF_X, 0), RET_A }, 2 },
		{ { K(BPF_RET | BPF_X, 0), RET_A }, 2 },
		{ { K(BPF_LD | BPF_MEM, 16), RET_A }, 2 },
		{ { K(BPF_LD | BPF_MEM, 0), RET_A }, 2 },
		{ { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), K(BPF_ST, 1), K(BPF_LD | BPF_MEM, 1), RET_A }, 4 },
		{ { K(0x100 | BPF_RET | BPF_K, 0), RET_A }, 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (filter_valid(cases[i].words, cases[i].count) || filter_simulate(cases[i].words, cases[i].count, &sample) != -1)
			fail_msg("case %zu is taken", i);
	}
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static bool kernel_takes(struct sock_filter *words, size_t count)
{
	struct sock_fprog program = { (unsigned short)count, words };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(9);
		_exit(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno == EINVAL ? 1 : 9);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void we_take_what_the_kernel_takes(void **state)
{
	/* Words as filters have them, and in most programs one that is anything at all. */
	static const uint16_t usual[] = { BPF_LD | BPF_MEM, BPF_ST, BPF_STX, BPF_LDX | BPF_MEM, BPF_JMP | BPF_JEQ, BPF_JMP | BPF_JA, BPF_JMP | BPF_JSET | BPF_X };
	static const uint32_t ks[] = { 0, 1, 2, 3, 4, 15, 16, 31, 32, 60, 64, 0xffffffff };
	uint64_t seed = 0x2545f4914f6cdd1d;
	unsigned taken = 0, rounds = 600;

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct sock_filter words[16] = { { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW }, { BPF_ST, 0, 0, 0 } };
		size_t count = 3 + next(&seed) % 8, odd = 2 + next(&seed) % (count - 2);
		for (size_t i = 2; i < count; i++)
			words[i] = (struct sock_filter){ usual[next(&seed) % COUNT_OF(usual)], (uint8_t)(next(&seed) % 2), (uint8_t)(next(&seed) % 2), (uint32_t)(next(&seed) % 2) };
		if (round % 4) {
			words[odd].code = next(&seed) % 20 ? (uint16_t)(next(&seed) & 0xff) : (uint16_t)next(&seed);
			words[odd].k = ks[next(&seed) % COUNT_OF(ks)];
			words[odd].jt = (uint8_t)(next(&seed) % 4);
		}
		words[count] = words[0];
		words[count + 1] = words[0];
		count += 2;
		bool kernel = kernel_takes(words, count);
		if (kernel != filter_valid(words, count))
			fail_msg("round %u: the kernel %s it", round, kernel ? "takes" : "refuses");
		taken += kernel;
	}
	assert_true(taken > rounds / 10 && taken < rounds * 9 / 10); /* else the comparison says little */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instruction),
		cmocka_unit_test(programs_that_no_kernel_takes),
		cmocka_unit_test(we_take_what_the_kernel_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
