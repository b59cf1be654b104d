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
	case BPF_DIV: return k ? a / k : 0;
	case BPF_AND: return a & k;
	case BPF_OR: return a | k;
	case BPF_XOR: return a ^ k;
	case BPF_LSH: return k < 32 ? a << k : 0;
	case BPF_RSH: return k < 32 ? a >> k : 0;
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

/* The instructions that the kernel takes in a filter, jumps forward and in range, a return at the end. */
static bool word_valid(const struct sock_filter *w, size_t i, size_t count)
{
	switch (w->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return w->k % 4 == 0 && w->k + 4 <= sizeof(struct seccomp_data);
	case BPF_LD | BPF_IMM: case BPF_LDX | BPF_IMM: case BPF_LD | BPF_W | BPF_LEN: case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_MISC | BPF_TAX: case BPF_MISC | BPF_TXA: case BPF_RET | BPF_K: case BPF_RET | BPF_A: case BPF_ALU | BPF_NEG:
		return true;
	case BPF_LD | BPF_MEM: case BPF_LDX | BPF_MEM: case BPF_ST: case BPF_STX:
		return w->k < BPF_MEMWORDS;
	case BPF_JMP | BPF_JA:
		return w->k < count - i - 1;
	default:
		break;
	}
	if (BPF_CLASS(w->code) == BPF_JMP && (w->code & 0xf0) >= BPF_JEQ && (w->code & 0xf0) <= BPF_JSET && !(w->code & ~0x7d & 0xff00))
		return i + 1 + w->jt < count && i + 1 + w->jf < count;
	if (BPF_CLASS(w->code) == BPF_ALU && BPF_OP(w->code) <= BPF_XOR && BPF_OP(w->code) != BPF_MOD)
		return BPF_SRC(w->code) == BPF_X || BPF_OP(w->code) != BPF_DIV || w->k;
	return false;
}

bool filter_valid(const struct sock_filter *words, size_t count)
{
	if (!count || count > MOST_WORDS || BPF_CLASS(words[count - 1].code) != BPF_RET)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!word_valid(&words[i], i, count))
			return false;
	}
	return true;
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
		case BPF_ALU: a = alu(w->code, a, k); break;
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
