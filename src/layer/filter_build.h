/* Rules of a system call filter, before they are compiled to BPF.
 * Runs in: parent (and at build time). */
#ifndef HUTCH_FILTER_BUILD_H
#define HUTCH_FILTER_BUILD_H

#include <linux/filter.h>

#include "base/base.h"

enum cmp_op { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_MASKED_EQ, CMP_ANY_BIT };
/* low32: the kernel takes an int there, so the upper half of the register decides nothing (CVE-2019-10063). */
struct cmp { uint8_t arg, op; bool low32; uint64_t value, mask; };
/* The first rule of a system call whose comparisons all hold decides. */
struct rule { int number; uint32_t action; unsigned count; struct cmp cmp[6]; };
struct ruleset {
	struct rule *rules;      /* in order; those of one number needn't be adjacent */
	size_t count, cap;
	uint32_t fallback;       /* for numbers without a rule, and where no rule of a number holds */
	int known_to;            /* 0, or the highest number that the rules' author knew (no rule is above): what is above gets beyond */
	uint32_t beyond;
};
struct arch_rules { uint32_t arch; const struct ruleset *rules; };

int ruleset_add(struct arena *a, struct ruleset *r, const struct rule *rule);
/* On x86-64 numbers from here on are the x32 ABI (its bit is set): they never get more than ENOSYS, also where
 * the fallback allows, or a list of refused calls could be got round by that bit. */
#define X32_FIRST 0x40000000u
/* Straight from the rules: what the compiled program must say. */
uint32_t ruleset_evaluate(uint32_t arch, const struct ruleset *r, uint32_t number, const uint64_t args[6]);
/* A balanced tree over ranges of equal action for each architecture; other architectures are killed.
 * 0, -ENOMEM, or -E2BIG (over the kernel's 4096 instructions). */
int filter_compile(struct arena *a, const struct arch_rules *archs, size_t arch_count, uint32_t other_arch,
		   struct sock_filter **words, size_t *count);

/* The rules of a built-in filter ("default", "strict") for one architecture. */
int filter_policy(struct arena *a, const char *name, uint32_t arch, bool nest, struct ruleset *out);

#endif
