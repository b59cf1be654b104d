/* Runs a filter on one system call as the kernel would: for tests and for checking foreign programs.
 * Runs in: parent. */
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "layer/filter.h"

#define MOST_WORDS 4096

static uint32_t field(const struct seccomp_data *data, uint32_t offset)
{
	uint32_t v;

	memcpy(&v, (const char *)data + offset, sizeof v);
	return v;
}

static uint32_t alu(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_ADD: return a + k;
	case BPF_SUB: return a - k;
	case BPF_MUL: return a * k;
	case BPF_DIV: return a / k;
	case BPF_AND: return a & k;
	case BPF_OR: return a | k;
	case BPF_XOR: return a ^ k;
	case BPF_LSH: return a << (k & 31);
	case BPF_RSH: return a >> (k & 31);
	default: return -a; /* BPF_NEG */
	}
}

static bool taken(uint16_t code, uint32_t a, uint32_t k)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ: return a == k;
	case BPF_JGT: return a > k;
	case BPF_JGE: return a >= k;
	default: return a & k; /* BPF_JSET */
	}
}

/* The instructions that the kernel takes in a filter; jumps go forward and stay inside. */
static bool word_valid(const struct sock_filter *w, size_t i, size_t count)
{
	switch (w->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return w->k % 4 == 0 && w->k < sizeof(struct seccomp_data);
	case BPF_LD | BPF_IMM: case BPF_LDX | BPF_IMM: case BPF_LD | BPF_W | BPF_LEN: case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_MISC | BPF_TAX: case BPF_MISC | BPF_TXA: case BPF_RET | BPF_K: case BPF_RET | BPF_A: case BPF_ALU | BPF_NEG:
	/* NOLINTNEXTLINE(misc-redundant-expression): BPF_ADD and BPF_K are both 0, and still named */
	case BPF_ALU | BPF_ADD | BPF_K: case BPF_ALU | BPF_ADD | BPF_X: case BPF_ALU | BPF_SUB | BPF_K: case BPF_ALU | BPF_SUB | BPF_X:
	case BPF_ALU | BPF_MUL | BPF_K: case BPF_ALU | BPF_MUL | BPF_X: case BPF_ALU | BPF_DIV | BPF_X: case BPF_ALU | BPF_AND | BPF_K:
	case BPF_ALU | BPF_AND | BPF_X: case BPF_ALU | BPF_OR | BPF_K: case BPF_ALU | BPF_OR | BPF_X: case BPF_ALU | BPF_XOR | BPF_K:
	case BPF_ALU | BPF_XOR | BPF_X: case BPF_ALU | BPF_LSH | BPF_X: case BPF_ALU | BPF_RSH | BPF_X:
		return true;
	case BPF_ALU | BPF_DIV | BPF_K:
		return w->k != 0;
	case BPF_ALU | BPF_LSH | BPF_K: case BPF_ALU | BPF_RSH | BPF_K:
		return w->k < 32;
	case BPF_LD | BPF_MEM: case BPF_LDX | BPF_MEM: case BPF_ST: case BPF_STX:
		return w->k < BPF_MEMWORDS;
	case BPF_JMP | BPF_JA:
		return w->k < count - i - 1;
	case BPF_JMP | BPF_JEQ | BPF_K: case BPF_JMP | BPF_JEQ | BPF_X: case BPF_JMP | BPF_JGT | BPF_K: case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_K: case BPF_JMP | BPF_JGE | BPF_X: case BPF_JMP | BPF_JSET | BPF_K: case BPF_JMP | BPF_JSET | BPF_X:
		return i + 1 + w->jt < count && i + 1 + w->jf < count;
	default:
		return false;
	}
}

/* Every word of scratch memory is stored to, on every path, before it is loaded: the kernel insists on it. Jumps
 * only go forward, so one pass sees all that leads to a word before the word itself. */
static bool memory_valid(const struct sock_filter *words, size_t count)
{
	uint16_t known[MOST_WORDS + 1], stored = 0; /* bit n: mem[n] was written, whichever way one got here */

	memset(known, 0xff, sizeof known);
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter *w = &words[i];
		stored &= known[i];
		switch (w->code) {
		case BPF_ST: case BPF_STX: stored |= (uint16_t)(1u << w->k); break;
		case BPF_LD | BPF_MEM: case BPF_LDX | BPF_MEM:
			if (!(stored & (1u << w->k)))
				return false;
			break;
		case BPF_JMP | BPF_JA:
			known[i + 1 + w->k] &= stored;
			stored = 0xffff;
			break;
		default:
			if (BPF_CLASS(w->code) != BPF_JMP)
				break;
			known[i + 1 + w->jt] &= stored;
			known[i + 1 + w->jf] &= stored;
			stored = 0xffff;
		}
	}
	return true;
}

bool filter_valid(const struct sock_filter *words, size_t count)
{
	if (!count || count > MOST_WORDS || BPF_CLASS(words[count - 1].code) != BPF_RET)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!word_valid(&words[i], i, count))
			return false;
	}
	return memory_valid(words, count);
}

int64_t filter_simulate(const struct sock_filter *words, size_t count, const struct seccomp_data *data)
{
	uint32_t a = 0, x = 0, mem[BPF_MEMWORDS] = { 0 };

	if (!filter_valid(words, count))
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter *w = &words[i];
		uint32_t k = BPF_CLASS(w->code) != BPF_LD && BPF_CLASS(w->code) != BPF_LDX && BPF_SRC(w->code) == BPF_X ? x : w->k;
		switch (BPF_CLASS(w->code)) {
		case BPF_LD:
			a = BPF_MODE(w->code) == BPF_ABS ? field(data, w->k) : BPF_MODE(w->code) == BPF_MEM ? mem[w->k] : BPF_MODE(w->code) == BPF_LEN ? (uint32_t)sizeof *data : w->k;
			break;
		case BPF_LDX:
			x = BPF_MODE(w->code) == BPF_MEM ? mem[w->k] : BPF_MODE(w->code) == BPF_LEN ? (uint32_t)sizeof *data : w->k;
			break;
		case BPF_ST: mem[w->k] = a; break;
		case BPF_STX: mem[w->k] = x; break;
		case BPF_ALU:
			if (BPF_OP(w->code) == BPF_DIV && !k)
				return 0; /* so the kernel ends a program that divides by zero */
			a = alu(w->code, a, k);
			break;
		case BPF_JMP:
			i += BPF_OP(w->code) == BPF_JA ? w->k : taken(w->code, a, k) ? w->jt : w->jf;
			break;
		case BPF_RET: return BPF_RVAL(w->code) == BPF_A ? a : w->k;
		default:
			if (BPF_MISCOP(w->code) == BPF_TAX)
				x = a;
			else
				a = x;
		}
	}
	return -1;
}
