/* The text of an entry: "key value" lines, bounded, every field of a known form.
 * Runs in: parent. PURE. */
#include "lib/entry.h"

#include <string.h>

struct reader {
	struct arena *arena;
	struct entry_text *out;
	unsigned seen;            /* bit n = scalar n was there */
	bool ended;
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX back to bytes; NULL = not in the form that we write. */
static char *unescape(struct arena *a, const char *s)
{
	size_t n = strlen(s), k = 0;
	char *out = arena_alloc(a, n + 1);

	for (size_t i = 0; out && i < n; i++) {
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return NULL;
		if (s[i] != '%') {
			out[k++] = s[i];
			continue;
		}
		int high = hex(s[i + 1]), low = high < 0 ? -1 : hex(s[i + 2]);
		if (low < 0 || !(high * 16 + low))
			return NULL;
		out[k++] = (char)(high * 16 + low);
		i += 2;
	}
	return out;
}

static int number(const char *s, uint64_t most, uint64_t *out)
{
	return parse_u64(s, out) < 0 || *out > most ? -1 : 0;
}

/* "PID START" */
static int read_process(char *value, pid_t *pid, uint64_t *start)
{
	char *blank = strchr(value, ' ');
	uint64_t n;

	if (!blank)
		return -1;
	*blank = '\0';
	if (number(value, INT32_MAX, &n) < 0 || n < 2 || number(blank + 1, INT64_MAX, start) < 0 || !*start)
		return -1;
	*pid = (pid_t)n;
	return 0;
}

static int read_cgroup(struct reader *r, unsigned version, const char *value)
{
	struct entry_text *t = r->out;
	const char *path = unescape(r->arena, value);

	if (!path || path[0] != '/' || strlen(path) > 4000 || strstr(path, "/../") || t->cgroup_count == ENTRY_CGROUPS)
		return -1;
	t->cgroups[t->cgroup_count].version = version;
	t->cgroups[t->cgroup_count++].path = path;
	return 0;
}

static int read_word(struct reader *r, const char *value)
{
	const char *word = unescape(r->arena, value);

	if (!word)
		return -1;
	if (r->out->word_count < ENTRY_WORDS)
		r->out->words[r->out->word_count++] = word;
	return 0;
}

/* "ID PLACE": attached; with "gone": taken away again. */
static int read_mount(struct reader *r, char *value, bool gone)
{
	struct entry_text *t = r->out;
	char *blank = strchr(value, ' ');
	const char *at;
	uint64_t id;

	if (!blank)
		return -1;
	*blank = '\0';
	at = unescape(r->arena, blank + 1);
	if (number(value, UINT64_MAX, &id) < 0 || !at || at[0] != '/' || strlen(at) > 4000)
		return -1;
	for (size_t i = 0; gone && i < t->mount_count; i++) {
		if (t->mounts[i].id != id || strcmp(t->mounts[i].at, at))
			continue;
		memmove(&t->mounts[i], &t->mounts[i + 1], (--t->mount_count - i) * sizeof *t->mounts);
		return 0;
	}
	if (gone || t->mount_count == ENTRY_MOUNTS)
		return -1;
	t->mounts[t->mount_count].id = id;
	t->mounts[t->mount_count++].at = at;
	return 0;
}

static int read_scalar(struct reader *r, int which, char *value)
{
	struct entry_text *t = r->out;
	uint64_t n = 0;
	int result;

	if (r->seen & (1u << which))
		return -1;
	r->seen |= 1u << which;
	switch (which) {
	case 0:
		result = strcmp(value, "1") ? -1 : 0;
		break;
	case 1:
		result = policy_name_valid(value) ? 0 : -1;
		copy_bounded(t->id, sizeof t->id, value);
		break;
	case 2:
		return read_process(value, &t->launcher, &t->launcher_start);
	case 3:
		return read_process(value, &t->first, &t->first_start);
	case 4:
		result = number(value, 1, &n);
		t->init = n == 1;
		break;
	default:
		result = number(value, INT64_MAX / 1000, &n);
		t->started = (int64_t)n;
	}
	return result;
}

static int read_line(struct reader *r, char *line)
{
	static const char *const scalars[] = { "hutch", "id", "launcher", "first", "init", "started" };
	char *value = strchr(line, ' ');

	if (!strcmp(line, "end")) {
		bool whole = !r->ended && r->seen == (1u << COUNT_OF(scalars)) - 1;
		r->ended = true;
		return whole ? 0 : -1;
	}
	if (!value)
		return -1;
	*value++ = '\0';
	if (r->ended)
		return !strcmp(line, "mount") ? read_mount(r, value, false) : !strcmp(line, "umount") ? read_mount(r, value, true) : -1;
	for (int i = 0; i < (int)COUNT_OF(scalars); i++) {
		if (!strcmp(line, scalars[i]))
			return read_scalar(r, i, value);
	}
	if (!strcmp(line, "cgroup1") || !strcmp(line, "cgroup2"))
		return read_cgroup(r, (unsigned)(line[6] - '0'), value);
	return !strcmp(line, "word") ? read_word(r, value) : -1;
}

int entry_parse(const char *text, size_t len, struct arena *a, struct entry_text *out, const char **why)
{
	struct reader r = { .arena = a, .out = out };
	char *copy = arena_strndup(a, text, len);

	*out = (struct entry_text){ 0 };
	*why = "it isn't in the form that hutch writes";
	if (!copy || len > ENTRY_MOST || memchr(text, '\0', len) || !len || text[len - 1] != '\n')
		return -1;
	for (char *line = copy, *next; *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			return -1;
		*next++ = '\0';
		if (read_line(&r, line) < 0)
			return -1;
	}
	out->running = r.ended;
	*why = NULL;
	return 0;
}
