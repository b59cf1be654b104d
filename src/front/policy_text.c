/* Policy files and presets: lines of `key = value` to draft lines, includes followed.
 * Runs in: parent. */
#include "front/front.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (16u << 20) /* some hundred thousand rules */
#define LEVELS_MOST 16u
#define SOURCES_MOST 1000u /* a tree of includes can name the same files again and again */

/* The files that are being read, innermost first: what a cycle is recognised by. */
struct reading {
	const struct reading *outer;
	const char *preset;      /* NULL for a file */
	dev_t dev;
	ino_t ino;
	unsigned level;
};

struct reader {
	struct draft *draft;
	struct hutch_error *error;
	const struct reading *here;
	const char *name, *directory;
	const char *next, *end;  /* not yet read */
	unsigned line, depth, source;
	enum strength strength;
	bool preset;
};

static int read_file(struct draft *d, const char *path, const char *origin, unsigned depth, enum strength s,
		     const struct reading *outer, struct hutch_error *e);
static int read_preset(struct draft *d, const char *name, const char *origin, unsigned depth,
		       const struct reading *outer, struct hutch_error *e);

/* A preset has no file that one could look into, so its name says more than a line number. */
static const char *origin_of(const struct reader *r)
{
	if (r->preset)
		return r->name;
	const char *origin = arena_printf(r->draft->arena, "%s:%u", r->name, r->line);
	return origin ? origin : r->name;
}

static int bad_line(const struct reader *r, const char *subject, const char *detail)
{
	error_set(r->error, ERR_POLICY_LINE, 0, NULL, subject, origin_of(r));
	return error_detail(r->error, "%s", detail);
}

/* Next line without its newline. false at the end. */
static bool take_line(struct reader *r, const char **line, size_t *len)
{
	const char *newline;

	if (r->next == r->end)
		return false;
	newline = memchr(r->next, '\n', (size_t)(r->end - r->next));
	*line = r->next;
	*len = (size_t)((newline ? newline : r->end) - r->next);
	r->next = newline ? newline + 1 : r->end;
	r->line++;
	return true;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the comment, turns " \#" into " #", takes blanks off both ends; in place. */
static char *clean(char *s)
{
	char *to, *start;

	start = s + strspn(s, " \t\r");
	if (*start == '#')
		*start = '\0';
	for (s = to = start; *s; s++) {
		bool after_blank = s > start && blank(s[-1]);
		if (after_blank && *s == '#')
			break;
		if (after_blank && s[0] == '\\' && s[1] == '#')
			s++;
		*to++ = *s;
	}
	while (to > start && blank(to[-1]))
		to--;
	*to = '\0';
	return start;
}

/* "DST <<WORD": cuts value to DST and gives WORD, NULL = no heredoc. */
static char *heredoc_word(char *value)
{
	char *mark = NULL, *word, *s = value;

	while ((s = strstr(s, "<<"))) {
		if (s > value && blank(s[-1]))
			mark = s;
		s += 2;
	}
	if (!mark)
		return NULL;
	word = mark + 2;
	if (!*word || strpbrk(word, " \t"))
		return NULL;
	while (mark > value && blank(mark[-1]))
		mark--;
	*mark = '\0';
	return word;
}

static int add_heredoc(struct reader *r, const char *key, const char *value, const char *word)
{
	const char *origin = origin_of(r), *start = r->next, *line;
	size_t len, word_len = strlen(word);

	while (take_line(r, &line, &len)) {
		if (len == word_len && !memcmp(line, word, len))
			return draft_add_data(r->draft, key, value, start, (size_t)(line - start), origin, r->source,
					      r->depth, r->strength, r->error);
	}
	error_set(r->error, ERR_POLICY_LINE, 0, NULL, value, origin);
	error_detail(r->error, "the content has no end: there is no line \"%.60s\" after it", word);
	return error_remedy(r->error, "end the content with a line that holds %.60s alone", word);
}

static int include(struct draft *d, const char *name, const char *directory, const char *origin, unsigned depth,
		   enum strength s, const struct reading *outer, struct hutch_error *e)
{
	if (!strchr(name, '/') && preset_text(name))
		return read_preset(d, name, origin, depth + 1, outer, e);
	if (!directory || !*name) {
		error_set(e, ERR_PRESET_UNKNOWN, 0, NULL, name, origin);
		return error_detail(e, "there is no such preset, and files can't be included here");
	}
	const char *path = name[0] == '/' || !strcmp(directory, ".") ? name : arena_printf(d->arena, "%s/%s", directory, name);
	return path ? read_file(d, path, origin, depth + 1, s, outer, e) : error_nomem(e);
}

/* Remembers that the include was followed, so that front_finish() leaves it alone. */
static int add_include(struct draft *d, const char *name, const char *origin, unsigned source, unsigned depth,
		       enum strength s, struct hutch_error *e)
{
	if (draft_add(d, "include", name, origin, source, depth, s, e) < 0)
		return -1;
	d->lines[d->count - 1].resolved = true;
	return 0;
}

static int add_pair(struct reader *r, const char *key, char *value)
{
	char *word = !strcmp(key, "file") ? heredoc_word(value) : NULL;

	if (word)
		return add_heredoc(r, key, value, word);
	if (strcmp(key, "include"))
		return draft_add(r->draft, key, value, origin_of(r), r->source, r->depth, r->strength, r->error);
	if (add_include(r->draft, value, origin_of(r), r->source, r->depth, r->strength, r->error) < 0)
		return -1;
	return include(r->draft, value, r->directory, origin_of(r), r->depth, r->strength, r->here, r->error);
}

static int one_line(struct reader *r, const char *line, size_t len)
{
	char *copy, *eq, *key_end, *text;

	if (memchr(line, '\0', len))
		return bad_line(r, "", "it holds a zero byte: this isn't a text file");
	copy = arena_strndup(r->draft->arena, line, len);
	if (!copy)
		return error_nomem(r->error);
	text = clean(copy);
	if (!*text)
		return 0;
	eq = strchr(text, '=');
	if (!eq || eq == text)
		return bad_line(r, text, eq ? "there is no key before the =" : "there is no =");
	key_end = eq;
	while (key_end > text && blank(key_end[-1]))
		key_end--;
	*key_end = '\0';
	return add_pair(r, text, eq + 1 + strspn(eq + 1, " \t\r"));
}

static int read_text(struct reader *r, const char *text, size_t len)
{
	const char *line;

	if (r->here->level > LEVELS_MOST || r->draft->sources >= SOURCES_MOST)
		return error_set(r->error, ERR_POLICY_DEPTH, 0, NULL, r->name, NULL);
	r->source = draft_source(r->draft);
	r->next = text;
	r->end = text + len;
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		r->next += 3; /* some editors put this mark at the start */
	while (take_line(r, &line, &len)) {
		if (one_line(r, line, len) < 0)
			return -1;
	}
	return 0;
}

/* ---- presets ---- */
static int read_preset(struct draft *d, const char *name, const char *origin, unsigned depth,
		       const struct reading *outer, struct hutch_error *e)
{
	struct reading here = { .outer = outer, .preset = name, .level = outer ? outer->level + 1 : 0 };
	struct reader r = { .draft = d, .error = e, .here = &here, .depth = depth, .strength = STRENGTH_PREFERRED, .preset = true };

	r.name = arena_printf(d->arena, "preset %s", name);
	if (!r.name)
		return error_nomem(e);
	for (const struct reading *x = outer; x; x = x->outer) {
		if (x->preset && !strcmp(x->preset, name))
			return error_set(e, ERR_POLICY_CYCLE, 0, NULL, r.name, origin);
	}
	return read_text(&r, preset_text(name), strlen(preset_text(name)));
}

/* ---- files ---- */
/* The name of a preset with a slip in it ends here, as a file that doesn't exist. */
static int open_error(const char *path, int errnum, const char *origin, struct hutch_error *e)
{
	const char *near = NULL;
	unsigned best = 3;

	error_set(e, ERR_POLICY_FILE, errnum, "open", path, origin);
	for (size_t i = 0; errnum == ENOENT && preset_name(i); i++) {
		unsigned edits = name_distance(path, preset_name(i));
		if (edits < best) {
			best = edits;
			near = preset_name(i);
		}
	}
	return near ? error_remedy(e, "did you mean the preset %s?", near) : -1;
}

static int check_file(int fd, const char *path, const char *origin, struct reading *here, size_t *size, struct hutch_error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(e, ERR_POLICY_FILE, errno, "fstat", path, origin);
	if (!S_ISREG(st.st_mode)) {
		error_set(e, ERR_POLICY_FILE, 0, NULL, path, origin);
		return error_detail(e, "it isn't a regular file");
	}
	if (st.st_size > (off_t)FILE_MOST)
		return error_set(e, ERR_POLICY_FILE, EFBIG, NULL, path, origin);
	here->dev = st.st_dev;
	here->ino = st.st_ino;
	for (const struct reading *x = here->outer; x; x = x->outer) {
		if (!x->preset && x->dev == here->dev && x->ino == here->ino)
			return error_set(e, ERR_POLICY_CYCLE, 0, NULL, path, origin);
	}
	*size = (size_t)st.st_size;
	return 0;
}

/* A file that grows meanwhile is taken as long as it was when it was opened. */
static char *read_all(struct draft *d, int fd, const char *path, const char *origin, size_t *size, struct hutch_error *e)
{
	char *text = arena_alloc(d->arena, *size + 1);
	size_t len = 0;

	if (!text) {
		error_nomem(e);
		return NULL;
	}
	while (len < *size) {
		ssize_t n = read(fd, text + len, *size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error_set(e, ERR_POLICY_FILE, errno, "read", path, origin);
			return NULL;
		}
		if (!n)
			break;
		len += (size_t)n;
	}
	*size = len;
	return text;
}

/* To the end, for what has no size to go by: a pipe. */
static char *read_stream(struct draft *d, int fd, const char *name, const char *origin, size_t *size, struct hutch_error *e)
{
	size_t cap = 65536, len = 0;
	char *text = arena_alloc(d->arena, cap);

	while (text) {
		ssize_t n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || len + (size_t)n > FILE_MOST) {
			error_set(e, ERR_POLICY_FILE, n < 0 ? errno : EFBIG, "read", name, origin);
			return NULL;
		}
		*size = len += (size_t)n;
		if (!n)
			return text;
		if (len < cap)
			continue;
		char *bigger = arena_alloc(d->arena, cap * 2);
		if (bigger)
			memcpy(bigger, text, len);
		text = bigger;
		cap *= 2;
	}
	error_nomem(e);
	return NULL;
}

static char *directory_of(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return arena_strdup(a, ".");
	return arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path));
}

static int read_file(struct draft *d, const char *path, const char *origin, unsigned depth, enum strength s,
		     const struct reading *outer, struct hutch_error *e)
{
	struct reading here = { .outer = outer, .level = outer ? outer->level + 1 : 0 };
	struct reader r = { .draft = d, .error = e, .here = &here, .name = path, .depth = depth, .strength = s };
	/* Not blocking: opening a fifo must fail as "not a regular file" instead of waiting for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t size = 0;
	char *text;

	if (fd < 0)
		return open_error(path, errno, origin, e);
	text = check_file(fd, path, origin, &here, &size, e) < 0 ? NULL : read_all(d, fd, path, origin, &size, e);
	close(fd);
	if (!text)
		return -1;
	r.directory = directory_of(d->arena, path);
	return r.directory ? read_text(&r, text, size) : error_nomem(e);
}

/* ---- what others call ---- */
int front_policy_text(struct draft *d, const char *text, size_t len, const char *name,
		      const char *directory, unsigned depth, enum strength s, struct hutch_error *e)
{
	/* A text has no inode; an unlikely pair of numbers keeps it apart from every file. */
	struct reading here = { .dev = (dev_t)-1, .ino = (ino_t)-1 };
	struct reader r = { .draft = d, .error = e, .here = &here, .name = name, .directory = directory, .depth = depth, .strength = s };

	return read_text(&r, text, len);
}

int front_policy_file(struct draft *d, const char *path, unsigned depth, struct hutch_error *e)
{
	return read_file(d, path, NULL, depth, STRENGTH_REQUIRED, NULL, e);
}

int front_policy_stdin(struct draft *d, const char *origin, unsigned depth, struct hutch_error *e)
{
	size_t size = 0;
	char *text = read_stream(d, 0, "standard input", origin, &size, e);

	return text ? front_policy_text(d, text, size, "standard input", ".", depth, STRENGTH_REQUIRED, e) : -1;
}

int front_include(struct draft *d, const char *name, const char *directory, const char *origin,
		  unsigned source, unsigned depth, enum strength s, struct hutch_error *e)
{
	if (add_include(d, name, origin, source, depth, s, e) < 0)
		return -1;
	return include(d, name, directory, origin, depth, s, NULL, e);
}

int front_finish(struct draft *d, struct hutch_error *e)
{
	bool preset = false;

	for (size_t i = 0; i < d->count; i++) {
		struct draft_line l = d->lines[i];
		if (l.key != KEY_INCLUDE)
			continue;
		preset = preset || (!strchr(l.value, '/') && preset_text(l.value));
		d->lines[i].resolved = true;
		if (!l.resolved && include(d, l.value, ".", l.origin, l.depth, l.strength, NULL, e) < 0)
			return -1;
	}
	if (preset)
		return 0;
	if (add_include(d, "default", "default", draft_source(d), DRAFT_DEPTH_MAX, STRENGTH_PREFERRED, e) < 0)
		return -1;
	return read_preset(d, "default", "default", DRAFT_DEPTH_MAX, NULL, e);
}
