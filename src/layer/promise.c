/* Promises to rules.
 * Runs in: parent. */
#include "layer/promise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>

#include "layer/filter.h"

enum {
#define PROMISE(symbol, name, help, calls) P_##symbol,
#define WHEN(symbol, ...)
#include "layer/promises.def"
#undef PROMISE
#undef WHEN
	P_COUNT
};

static const struct promise promises[] = {
#define PROMISE(symbol, name, help, calls) { name, help, calls },
#define WHEN(symbol, ...)
#include "layer/promises.def"
#undef PROMISE
#undef WHEN
};

#define NAMESPACES 0x7e020080u /* every CLONE_NEW*; the lowest is a signal number to clone, and no usual one */
#define SELF_PID UINT64_MAX
#define IS(n, v) { .arg = (n), .op = CMP_EQ, .low32 = true, .value = (v) }
#define NO_BITS(n, m) { .arg = (n), .op = CMP_MASKED_EQ, .low32 = true, .mask = (m), .value = 0 }
#define BITS(n, m, v) { .arg = (n), .op = CMP_MASKED_EQ, .low32 = true, .mask = (m), .value = (v) }
#define NOTHING(n) { .arg = (n), .op = CMP_EQ, .value = 0 }
#define SELF(n) { .arg = (n), .op = CMP_EQ, .low32 = true, .value = SELF_PID }

static const struct condition { uint8_t promise; const char *calls, *text; struct cmp cmp[2]; } conditions[] = {
#define PROMISE(symbol, name, help, calls)
#define WHEN(symbol, calls, text, ...) { P_##symbol, calls, text, { __VA_ARGS__ } },
#include "layer/promises.def"
#undef PROMISE
#undef WHEN
};

const struct promise *promise_row(size_t index)
{
	return index < P_COUNT ? &promises[index] : NULL;
}

bool promise_condition(size_t index, size_t *promise, const char **calls, const char **text)
{
	if (index >= COUNT_OF(conditions))
		return false;
	*promise = conditions[index].promise;
	*calls = conditions[index].calls;
	*text = conditions[index].text;
	return true;
}

int promises_parse(const char *text, uint32_t *set, struct hutch_error *e)
{
	*set = 0;
	for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
		size_t len = strcspn(text, " \t"), i = 0;
		while (i < P_COUNT && (strlen(promises[i].name) != len || strncmp(promises[i].name, text, len)))
			i++;
		if (i == P_COUNT) {
			char name[64];
			copy_bounded(name, len < sizeof name ? len + 1 : sizeof name, text);
			return error_set(e, ERR_NARROW_PROMISE, 0, NULL, name, "api");
		}
		*set |= 1u << i;
		text += len;
	}
	return 0;
}

struct making { struct arena *arena; struct ruleset *out; uint32_t arch; int error; };

static void add(struct making *m, const char *name, size_t len, uint32_t action, unsigned count, const struct cmp *cmp)
{
	char word[32];
	struct rule r = { .action = action, .count = count };

	copy_bounded(word, len < sizeof word ? len + 1 : sizeof word, name);
	r.number = syscall_number(m->arch, word);
	if (r.number < 0 || m->error)
		return; /* this architecture has no such call */
	for (unsigned i = 0; i < count; i++)
		r.cmp[i] = cmp[i];
	m->error = ruleset_add(m->arena, m->out, &r);
}

static void add_words(struct making *m, const char *words, uint32_t action, unsigned count, const struct cmp *cmp)
{
	for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
		size_t len = strcspn(words, " ");
		add(m, words, len, action, count, cmp);
		words += len;
	}
}

/* Which promises an open(2) with these flags takes: a bit set, by access mode, truncation, creation. */
static uint32_t open_needs(uint32_t access, bool truncate, bool create)
{
	uint32_t needs = 0;

	if (access == O_RDONLY || access == O_RDWR)
		needs |= 1u << P_RPATH;
	if (access == O_WRONLY || access == O_RDWR || truncate)
		needs |= 1u << P_WPATH;
	return create ? needs | 1u << P_CPATH : needs;
}

static void opens(struct making *m, uint32_t set)
{
	static const struct { const char *name; uint8_t flags; } calls[] = { { "open", 1 }, { "openat", 2 } };
	const uint32_t tmpfile = 020000000 /* __O_TMPFILE */, mask = O_ACCMODE | O_TRUNC | O_CREAT | tmpfile;

	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		for (uint32_t k = 0; k < 24; k++) {
			uint32_t access = k % 3, truncate = k / 3 % 2 ? O_TRUNC : 0;
			uint32_t create = k / 6 == 0 ? 0 : k / 6 == 1 ? O_CREAT : k / 6 == 2 ? tmpfile : O_CREAT | tmpfile;
			uint32_t needs = open_needs(access, truncate, create);
			if ((set & needs) != needs)
				continue;
			add(m, calls[i].name, strlen(calls[i].name), SECCOMP_RET_ALLOW, 1,
			    &(struct cmp){ .arg = calls[i].flags, .op = CMP_MASKED_EQ, .low32 = true, .mask = mask, .value = access | truncate | create });
		}
	}
	uint32_t needs = open_needs(O_WRONLY, true, true);
	if ((set & needs) == needs)
		add_words(m, "creat", SECCOMP_RET_ALLOW, 0, NULL);
}

int promises_rules(struct arena *a, uint32_t set, uint32_t arch, uint32_t self, uint32_t refusal, struct ruleset *out)
{
	struct making m = { a, out, arch, 0 };

	out->fallback = refusal;
	out->beyond = SECCOMP_RET_ERRNO | ENOSYS;
	for (int n = 0; n < 1024; n++) {
		if (syscall_name(arch, n))
			out->known_to = n;
	}
	add_words(&m, "clone3 openat2", SECCOMP_RET_ERRNO | ENOSYS, 0, NULL);
	for (size_t i = 0; i < P_COUNT; i++) {
		if (set & (1u << i))
			add_words(&m, promises[i].calls, SECCOMP_RET_ALLOW, 0, NULL);
	}
	opens(&m, set);
	for (size_t i = 0; i < COUNT_OF(conditions); i++) {
		struct cmp cmp[2] = { conditions[i].cmp[0], conditions[i].cmp[1] };
		unsigned count = cmp[1].op == CMP_EQ && !cmp[1].low32 && !cmp[1].arg ? 1 : 2;
		for (unsigned k = 0; k < count; k++)
			cmp[k].value = cmp[k].value == SELF_PID ? self : cmp[k].value;
		if (set & (1u << conditions[i].promise))
			add_words(&m, conditions[i].calls, SECCOMP_RET_ALLOW, count, cmp);
	}
	return m.error;
}
