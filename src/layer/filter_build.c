/* Rules to BPF: a balanced decision tree over ranges of system calls with equal action.
 * Runs in: parent (and at build time). */
#include "layer/filter_build.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 4096 /* BPF_MAXINSNS */
/* Jump targets that are known once the rule is complete. */
#define TO_FAIL 254
#define TO_PASS 253

int ruleset_add(struct arena *a, struct ruleset *r, const struct rule *rule)
{
	struct rule *rules = arena_grow(a, r->rules, r->count, &r->cap, sizeof *rules);

	if (!rules)
		return -ENOMEM;
	r->rules = rules;
	rules[r->count++] = *rule;
	return 0;
}

static bool holds(const struct cmp *c, uint64_t v)
{
	uint64_t value = c->value, mask = c->mask;

	if (c->low32) {
		v = (uint32_t)v;
		value = (uint32_t)value;
		mask = (uint32_t)mask;
	}
	switch (c->op) {
	case CMP_EQ: return v == value;
	case CMP_NE: return v != value;
	case CMP_LT: return v < value;
	case CMP_LE: return v <= value;
	case CMP_GT: return v > value;
	case CMP_GE: return v >= value;
	case CMP_MASKED_EQ: return (v & mask) == value;
	case CMP_ANY_BIT: return v & value;
	}
	return false;
}

static uint32_t x32_action(uint32_t fallback)
{
	switch (fallback & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_KILL_PROCESS: case SECCOMP_RET_KILL_THREAD: case SECCOMP_RET_TRAP: return fallback;
	default: return SECCOMP_RET_ERRNO | ENOSYS; /* what a kernel without that ABI says */
	}
}

uint32_t ruleset_evaluate(uint32_t arch, const struct ruleset *r, uint32_t number, const uint64_t args[6])
{
	if (arch == AUDIT_ARCH_X86_64 && number >= X32_FIRST)
		return x32_action(r->fallback);
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->rules[i];
		bool all = (uint32_t)rule->number == number;
		for (unsigned k = 0; all && k < rule->count; k++)
			all = holds(&rule->cmp[k], args[rule->cmp[k].arg]);
		if (all)
			return rule->action;
	}
	return r->known_to && number > (uint32_t)r->known_to ? r->beyond : r->fallback;
}

struct code {
	struct arena *arena;
	struct sock_filter *words;
	size_t count, cap;
	int error;
};

static size_t emit(struct code *c, uint16_t op, uint8_t jt, uint8_t jf, uint32_t k)
{
	struct sock_filter *w = c->error ? NULL : arena_grow(c->arena, c->words, c->count, &c->cap, sizeof *w);

	if (!w || c->count >= MOST_WORDS) {
		c->error = w ? -E2BIG : c->error ? c->error : -ENOMEM;
		return 0;
	}
	c->words = w;
	w[c->count] = (struct sock_filter){ op, jt, jf, k };
	return c->count++;
}

static void load(struct code *c, size_t offset)
{
	emit(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* Both architectures are little-endian: the lower half comes first. */
static void load_arg(struct code *c, unsigned arg, bool high)
{
	load(c, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * arg + (high ? 4 : 0));
}

static void test(struct code *c, uint16_t op, uint32_t k, uint8_t yes, uint8_t no)
{
	emit(c, BPF_JMP | op | BPF_K, yes, no, k);
}

/* v > value (or >=) over both halves. yes and no are TO_PASS and TO_FAIL, either way round. */
static void greater(struct code *c, const struct cmp *x, uint16_t last, uint8_t yes, uint8_t no)
{
	if (!x->low32) {
		load_arg(c, x->arg, true);
		test(c, BPF_JGT, (uint32_t)(x->value >> 32), yes, 0);
		test(c, BPF_JEQ, (uint32_t)(x->value >> 32), 0, no);
	}
	load_arg(c, x->arg, false);
	test(c, last, (uint32_t)x->value, yes, no);
}

static void masked_equal(struct code *c, const struct cmp *x, uint64_t mask, uint8_t yes, uint8_t no)
{
	for (int high = x->low32 ? 0 : 1; high >= 0; high--) {
		uint32_t m = (uint32_t)(mask >> (32 * high)), v = (uint32_t)(x->value >> (32 * high));
		load_arg(c, x->arg, high);
		if (m != UINT32_MAX)
			emit(c, BPF_ALU | BPF_AND | BPF_K, 0, 0, m);
		/* The upper half alone can only decide that they differ. */
		test(c, BPF_JEQ, v, high ? 0 : yes, no);
	}
}

static void any_bit(struct code *c, const struct cmp *x)
{
	if (!x->low32) {
		load_arg(c, x->arg, true);
		test(c, BPF_JSET, (uint32_t)(x->value >> 32), TO_PASS, 0);
	}
	load_arg(c, x->arg, false);
	test(c, BPF_JSET, (uint32_t)x->value, TO_PASS, TO_FAIL);
}

static void compare(struct code *c, const struct cmp *x)
{
	switch (x->op) {
	case CMP_EQ: masked_equal(c, x, UINT64_MAX, TO_PASS, TO_FAIL); break;
	case CMP_NE: masked_equal(c, x, UINT64_MAX, TO_FAIL, TO_PASS); break;
	case CMP_GT: greater(c, x, BPF_JGT, TO_PASS, TO_FAIL); break;
	case CMP_GE: greater(c, x, BPF_JGE, TO_PASS, TO_FAIL); break;
	case CMP_LE: greater(c, x, BPF_JGT, TO_FAIL, TO_PASS); break;
	case CMP_LT: greater(c, x, BPF_JGE, TO_FAIL, TO_PASS); break;
	case CMP_MASKED_EQ: masked_equal(c, x, x->mask, TO_PASS, TO_FAIL); break;
	case CMP_ANY_BIT: any_bit(c, x); break;
	}
}

static void resolve(struct code *c, size_t from, size_t to, uint8_t mark, size_t target)
{
	for (size_t i = from; i < to && !c->error; i++) {
		struct sock_filter *w = &c->words[i];
		if (BPF_CLASS(w->code) != BPF_JMP)
			continue;
		if (w->jt == mark)
			w->jt = (uint8_t)(target - i - 1);
		if (w->jf == mark)
			w->jf = (uint8_t)(target - i - 1);
	}
}

static void return_action(struct code *c, uint32_t action)
{
	emit(c, BPF_RET | BPF_K, 0, 0, action);
}

/* One rule: all comparisons, then its action; a failing comparison goes on behind it. */
static void rule_code(struct code *c, const struct rule *r)
{
	size_t start = c->count;

	for (unsigned k = 0; k < r->count; k++) {
		size_t at = c->count;
		compare(c, &r->cmp[k]);
		resolve(c, at, c->count, TO_PASS, c->count);
	}
	return_action(c, r->action);
	resolve(c, start, c->count, TO_FAIL, c->count);
}

/* A range of numbers: one action, or (plain = false) the rules of one number. */
struct range { int first; bool plain; uint32_t action; };

static void range_code(struct code *c, const struct ruleset *r, const struct range *x)
{
	if (x->plain) {
		return_action(c, x->action);
		return;
	}
	for (size_t i = 0; i < r->count; i++) {
		if (r->rules[i].number != x->first)
			continue;
		rule_code(c, &r->rules[i]);
		if (!r->rules[i].count)
			return; /* nothing gets past a rule without conditions */
	}
	return_action(c, r->fallback);
}

/* The number is in the accumulator at every node; leaves may load what they like. */
static void tree_code(struct code *c, const struct ruleset *r, const struct range *x, size_t n)
{
	size_t half = n / 2, node, left;

	if (n == 1) {
		range_code(c, r, x);
		return;
	}
	node = emit(c, BPF_JMP | BPF_JGE | BPF_K, 0, 0, (uint32_t)x[half].first);
	size_t far = emit(c, BPF_JMP | BPF_JA, 0, 0, 0);
	left = c->count;
	tree_code(c, r, x, half);
	if (c->error)
		return;
	if (c->count - left < 250) {
		/* Near enough for the test itself: the long jump isn't needed. */
		memmove(&c->words[far], &c->words[left], (c->count - left) * sizeof *c->words);
		c->count--;
		c->words[node].jt = (uint8_t)(c->count - far);
	} else {
		c->words[node].jf = 1;
		c->words[far].k = (uint32_t)(c->count - left);
	}
	tree_code(c, r, x + half, n - half);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static bool conditional(const struct ruleset *r, int number, uint32_t *action)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->rules[i].number != number)
			continue;
		*action = r->rules[i].action;
		return r->rules[i].count;
	}
	return false;
}

static void add_range(struct range *x, size_t *n, int first, bool plain, uint32_t action)
{
	if (*n && plain && x[*n - 1].plain && x[*n - 1].action == action)
		return;
	if (*n && x[*n - 1].first == first)
		(*n)--; /* the gap before it was empty */
	if (*n && plain && x[*n - 1].plain && x[*n - 1].action == action)
		return;
	x[(*n)++] = (struct range){ first, plain, action };
}

static struct range *make_ranges(struct arena *a, uint32_t arch, const struct ruleset *r, size_t *n)
{
	int *numbers = arena_alloc(a, (r->count + 1) * sizeof *numbers);
	struct range *x = arena_alloc(a, (2 * r->count + 4) * sizeof *x);

	if (!numbers || !x)
		return NULL;
	for (size_t i = 0; i < r->count; i++)
		numbers[i] = r->rules[i].number;
	qsort(numbers, r->count, sizeof *numbers, by_number);
	*n = 0;
	add_range(x, n, 0, true, r->fallback);
	for (size_t i = 0; i < r->count; i++) {
		uint32_t action = 0;
		bool c;
		if (i && numbers[i] == numbers[i - 1])
			continue;
		c = conditional(r, numbers[i], &action);
		add_range(x, n, numbers[i], !c, action);
		add_range(x, n, numbers[i] + 1, true, r->fallback);
	}
	if (r->known_to)
		add_range(x, n, r->known_to + 1, true, r->beyond);
	if (arch == AUDIT_ARCH_X86_64)
		add_range(x, n, (int)X32_FIRST, true, x32_action(r->fallback));
	return x;
}

int filter_compile(struct arena *a, const struct arch_rules *archs, size_t arch_count, uint32_t other_arch,
		   struct sock_filter **words, size_t *count)
{
	struct code c = { .arena = a };

	for (size_t i = 0; i < arch_count; i++) {
		size_t n, far;
		struct range *x = make_ranges(a, archs[i].arch, archs[i].rules, &n);
		if (!x)
			return -ENOMEM;
		load(&c, offsetof(struct seccomp_data, arch));
		emit(&c, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, archs[i].arch);
		far = emit(&c, BPF_JMP | BPF_JA, 0, 0, 0);
		load(&c, offsetof(struct seccomp_data, nr));
		tree_code(&c, archs[i].rules, x, n);
		if (c.error)
			return c.error;
		c.words[far].k = (uint32_t)(c.count - far - 1);
	}
	return_action(&c, other_arch);
	*words = c.words;
	*count = c.count;
	return c.error;
}
