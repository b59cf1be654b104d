/* Freezing resource limits, clock offsets and the umask.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>
#include <sys/resource.h>

static const struct { enum key_id key; int resource; bool bytes; } limits[] = {
	{ KEY_RLIMIT_AS, RLIMIT_AS, true }, { KEY_RLIMIT_CORE, RLIMIT_CORE, true }, { KEY_RLIMIT_CPU, RLIMIT_CPU, false },
	{ KEY_RLIMIT_DATA, RLIMIT_DATA, true }, { KEY_RLIMIT_FSIZE, RLIMIT_FSIZE, true }, { KEY_RLIMIT_LOCKS, RLIMIT_LOCKS, false },
	{ KEY_RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, true }, { KEY_RLIMIT_MSGQUEUE, RLIMIT_MSGQUEUE, true },
	{ KEY_RLIMIT_NICE, RLIMIT_NICE, false }, { KEY_RLIMIT_NOFILE, RLIMIT_NOFILE, false }, { KEY_RLIMIT_NPROC, RLIMIT_NPROC, false },
	{ KEY_RLIMIT_RSS, RLIMIT_RSS, true }, { KEY_RLIMIT_RTPRIO, RLIMIT_RTPRIO, false }, { KEY_RLIMIT_RTTIME, RLIMIT_RTTIME, false },
	{ KEY_RLIMIT_SIGPENDING, RLIMIT_SIGPENDING, false }, { KEY_RLIMIT_STACK, RLIMIT_STACK, true },
};
_Static_assert(COUNT_OF(limits) == RLIMIT_KINDS, "every limit has its key");

/* Units of bytes only where bytes are counted: 2M processor seconds would be a slip. */
static int one_limit(struct freeze *f, const struct draft_line *l, const char *text, bool bytes, uint64_t *out, bool *host)
{
	*host = !strcmp(text, "host");
	*out = UINT64_MAX;
	if (*host || !strcmp(text, "unlimited"))
		return 0;
	if ((bytes ? parse_size(text, out) : parse_u64(text, out)) < 0 || *out == UINT64_MAX)
		return bad_value(f, l, "\"%.60s\" is neither %s nor unlimited nor host", text, bytes ? "a size" : "a number");
	return 0;
}

static int freeze_rlimit(struct freeze *f, size_t i)
{
	const struct draft_line *winner = f->winner[limits[i].key];
	struct draft_line def = { .key = limits[i].key, .value = key_rows[limits[i].key].def, .origin = "default" };
	const struct draft_line *l = winner ? winner : &def;
	struct policy_rlimit *out = &f->policy->rlimits[limits[i].resource];
	const char *rest = l->value;
	char *soft;

	if (!rest)
		return 0;
	out->given = true;
	soft = next_part(f, &rest, ':');
	if (!soft)
		return error_nomem(f->error);
	if (one_limit(f, l, soft, limits[i].bytes, &out->soft, &out->soft_host) < 0 ||
	    one_limit(f, l, rest ? rest : soft, limits[i].bytes, &out->hard, &out->hard_host) < 0)
		return -1;
	if (!out->soft_host && !out->hard_host && out->soft > out->hard)
		return bad_value(f, l, "the soft limit is above the hard limit");
	return 0;
}

#define OFFSET_MOST UINT64_C(4000000000) /* 126 years; the kernel's clocks end at 292 */

static int fraction(const char *s, uint32_t *nanoseconds)
{
	uint32_t n = 0;
	size_t len = strlen(s);

	if (!len || len > 9 || strspn(s, "0123456789") != len)
		return -1;
	for (size_t i = 0; i < 9; i++)
		n = n * 10 + (i < len ? (uint32_t)(s[i] - '0') : 0);
	*nanoseconds = n;
	return 0;
}

/* The kernel takes seconds of either sign plus nanoseconds upwards: -1.25 is -2 s + 0.75 s. */
static int freeze_offset(struct freeze *f, enum key_id key, int64_t *seconds, uint32_t *nanoseconds)
{
	const struct draft_line *l = f->winner[key];
	const char *rest;
	bool negative;
	uint64_t n;
	char *whole;

	if (!l)
		return 0;
	negative = l->value[0] == '-';
	rest = l->value + negative;
	whole = next_part(f, &rest, '.');
	if (!whole)
		return error_nomem(f->error);
	if (parse_u64(whole, &n) < 0 || (rest && fraction(rest, nanoseconds) < 0))
		return bad_value(f, l, "it isn't a number of seconds");
	if (n > OFFSET_MOST)
		return bad_value(f, l, "it is more than %llu seconds", (unsigned long long)OFFSET_MOST);
	*seconds = negative ? -(int64_t)n : (int64_t)n;
	if (negative && *nanoseconds) {
		--*seconds;
		*nanoseconds = 1000000000 - *nanoseconds;
	}
	f->policy->have_time_offset = true;
	return 0;
}

static int freeze_umask(struct freeze *f)
{
	const char *s = value_of(f, KEY_UMASK);
	unsigned mask = 0;

	for (size_t i = 0; s[i]; i++) {
		if (s[i] < '0' || s[i] > '7' || i > 4)
			return bad_value(f, f->winner[KEY_UMASK], "it isn't an octal number");
		mask = mask * 8 + (unsigned)(s[i] - '0');
	}
	if (!*s || mask > 0777)
		return bad_value(f, f->winner[KEY_UMASK], "it isn't between 0 and 0777");
	f->policy->umask = mask;
	return 0;
}

int freeze_limits(struct freeze *f)
{
	struct policy *p = f->policy;

	for (size_t i = 0; i < COUNT_OF(limits); i++) {
		if (freeze_rlimit(f, i) < 0)
			return -1;
	}
	if (freeze_offset(f, KEY_TIME_MONOTONIC, &p->monotonic_s, &p->monotonic_ns) < 0 ||
	    freeze_offset(f, KEY_TIME_BOOTTIME, &p->boottime_s, &p->boottime_ns) < 0)
		return -1;
	return freeze_umask(f);
}
