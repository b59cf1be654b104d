/* Numbers, sizes, times, yes and no: strict, the whole string, no sign, no blank.
 * Runs in: any. */
#include "base/base.h"

#include <errno.h>
#include <string.h>

/* Digits from *s on; *s then stands after them. */
static int digits(const char **s, uint64_t *out)
{
	uint64_t n = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		unsigned digit = (unsigned)(**s - '0');
		if (n > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

int parse_u64(const char *s, uint64_t *out)
{
	uint64_t n;
	int r = digits(&s, &n);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*out = n;
	return 0;
}

int parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	uint64_t n;
	int r = digits(&s, &n);

	if (r < 0)
		return r;
	if (*s) {
		char letter = *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
		const char *unit = strchr(units, letter);
		if (!unit || s[1])
			return -EINVAL;
		shift = 10u * (unsigned)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*out = n << shift;
	return 0;
}

/* Milliseconds in a unit, 0 = no such unit. */
static uint64_t time_unit(const char *s)
{
	static const struct { const char *name; uint64_t ms; } units[] = {
		{ "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 },
	};

	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (!strcmp(units[i].name, s))
			return units[i].ms;
	}
	return 0;
}

int parse_seconds_ms(const char *s, uint64_t *out_ms)
{
	uint64_t whole, part = 0, scale = 1, unit, ms;
	int r = digits(&s, &whole);

	if (r < 0)
		return r;
	if (*s == '.') {
		const char *start = ++s;
		r = digits(&s, &part);
		if (r < 0 || s - start > 9)
			return r < 0 ? r : -ERANGE;
		for (ptrdiff_t i = 0; i < s - start; i++)
			scale *= 10;
	}
	unit = time_unit(s);
	if (!unit)
		return -EINVAL;
	if (whole > (UINT64_MAX - unit) / unit)
		return -ERANGE;
	ms = whole * unit + part * unit / scale;
	/* Something small must not become nothing: zero often means "no limit". */
	if (!ms && (whole || part))
		return -ERANGE;
	*out_ms = ms;
	return 0;
}

int parse_bool(const char *s, bool *out)
{
	static const char *const words[2][4] = { { "no", "false", "off", "0" }, { "yes", "true", "on", "1" } };

	for (size_t i = 0; i < 8; i++) {
		if (!strcmp(words[i / 4][i % 4], s)) {
			*out = i / 4;
			return 0;
		}
	}
	return -EINVAL;
}
