/* Unified diff of text files: Myers' O(ND) search over lines.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/sys.h"

#define FILE_MAX (4u << 20)  /* beyond, and beyond EDITS_MAX, a file is said to differ, or shown as wholly replaced */
#define EDITS_MAX 1500
#define CONTEXT ((size_t)3)

struct line { const char *s; size_t len; uint64_t hash; };
struct side { struct line *lines; size_t count; };
/* One bit of the way from one text to the other, in order. */
struct edit { char what; /* ' ' '-' '+' */ size_t a, b; };
struct edits { struct edit *items; size_t count; };

static bool split(const char *s, size_t len, struct side *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\n';
	n += len && s[len - 1] != '\n';
	out->lines = calloc(n + 1, sizeof *out->lines);
	if (!out->lines)
		return false;
	for (size_t at = 0; at < len;) {
		const char *end = memchr(s + at, '\n', len - at);
		size_t size = end ? (size_t)(end - s) - at + 1 : len - at;
		uint64_t hash = 14695981039346656037u;
		for (size_t i = 0; i < size; i++)
			hash = (hash ^ (unsigned char)s[at + i]) * 1099511628211u;
		out->lines[out->count++] = (struct line){ s + at, size, hash };
		at += size;
	}
	return true;
}

static bool same(const struct line *x, const struct line *y)
{
	return x->hash == y->hash && x->len == y->len && (x->len == 0 || !memcmp(x->s, y->s, x->len));
}

static void push(struct edits *e, char what, size_t a, size_t b)
{
	e->items[e->count++] = (struct edit){ what, a, b };
}

/* Walks the saved rows back from the end; edits come out last first. */
static void walk_back(struct edits *e, int *const *rows, long d, long n, long m)
{
	long x = n, y = m;

	for (; d >= 0; d--) {
		const int *v = rows[d] + d + 1; /* row d holds diagonals -d-1 … d+1 as they were before step d */
		long k = x - y;
		long before = d == 0 ? 0 : k == -d || (k != d && v[k - 1] < v[k + 1]) ? k + 1 : k - 1;
		long px = d == 0 ? 0 : v[before], py = px - before;
		while (x > px && y > py && x > 0 && y > 0) {
			x--, y--;
			push(e, ' ', (size_t)x, (size_t)y);
		}
		if (d == 0)
			break;
		if (x == px)
			push(e, '+', (size_t)x, (size_t)--y);
		else
			push(e, '-', (size_t)--x, (size_t)y);
	}
}

/* 1 = found, 0 = too many edits, -1 = memory. */
static int search(const struct side *a, const struct side *b, struct edits *e)
{
	long n = (long)a->count, m = (long)b->count, most = n + m < EDITS_MAX ? n + m : EDITS_MAX, d;
	int *v = calloc((size_t)(2 * most + 3), sizeof *v), *centre = v + most + 1;
	int **rows = calloc((size_t)most + 1, sizeof *rows);
	int result = v && rows ? 0 : -1;

	for (d = 0; result == 0 && d <= most; d++) {
		rows[d] = malloc((size_t)(2 * d + 3) * sizeof **rows);
		if (!rows[d]) {
			result = -1;
			break;
		}
		memcpy(rows[d], centre - d - 1, (size_t)(2 * d + 3) * sizeof **rows);
		for (long k = -d; k <= d && result == 0; k += 2) {
			long x = k == -d || (k != d && centre[k - 1] < centre[k + 1]) ? centre[k + 1] : centre[k - 1] + 1, y = x - k;
			while (x < n && y < m && same(&a->lines[x], &b->lines[y]))
				x++, y++;
			centre[k] = (int)x;
			if (x >= n && y >= m)
				result = 1;
		}
		if (result == 1) {
			walk_back(e, rows, d, n, m);
			break;
		}
	}
	for (d = 0; rows && d <= most; d++)
		free(rows[d]);
	free(rows);
	free(v);
	return result;
}

/* Without a short way: what is alike at both ends stays, the rest is replaced. Last first, as search() gives it. */
static void replace_all(const struct side *a, const struct side *b, struct edits *e)
{
	size_t head = 0, tail = 0;

	while (head < a->count && head < b->count && same(&a->lines[head], &b->lines[head]))
		head++;
	while (tail < a->count - head && tail < b->count - head && same(&a->lines[a->count - 1 - tail], &b->lines[b->count - 1 - tail]))
		tail++;
	for (size_t i = 0; i < tail; i++)
		push(e, ' ', a->count - 1 - i, b->count - 1 - i);
	for (size_t i = b->count - tail; i-- > head;)
		push(e, '+', head, i);
	for (size_t i = a->count - tail; i-- > head;)
		push(e, '-', i, head);
	for (size_t i = head; i-- > 0;)
		push(e, ' ', i, i);
}

static void put_line(struct text *out, char what, const struct line *l, bool safe)
{
	text_add(out, &what, 1);
	for (size_t i = 0; i < l->len;) {
		char one[8] = "";
		size_t n = 1;
		if (!safe || l->s[i] == '\n' || l->s[i] == '\t') {
			text_add(out, l->s + i, 1);
			i++;
			continue;
		}
		/* utf8_printable wants a terminated string; a character has four bytes at most. */
		memcpy(one, l->s + i, l->len - i < 4 ? l->len - i : 4);
		n = utf8_printable(one);
		if (n)
			text_add(out, one, n);
		else
			text_printf(out, "\\x%02x", (unsigned char)l->s[i]);
		i += n ? n : 1;
	}
	if (!l->len || l->s[l->len - 1] != '\n')
		text_printf(out, "\n\\ No newline at end of file\n");
}

static void range(struct text *out, char sign, size_t start, size_t count)
{
	text_printf(out, count == 1 ? " %c%zu" : " %c%zu,%zu", sign, count ? start + 1 : start, count);
}

/* items are in reverse: item i of the way is items[count - 1 - i]. */
static void hunks(const struct side *a, const struct side *b, const struct edits *e, bool safe, struct text *out)
{
#define AT(i) e->items[e->count - 1 - (i)]
	for (size_t i = 0; i < e->count;) {
		size_t start, end, quiet = 0, minus = 0, plus = 0;
		while (i < e->count && AT(i).what == ' ')
			i++;
		if (i == e->count)
			break;
		start = i > CONTEXT ? i - CONTEXT : 0;
		for (end = i; end < e->count && quiet <= 2 * CONTEXT; end++)
			quiet = AT(end).what == ' ' ? quiet + 1 : 0;
		i = end;
		end -= quiet > CONTEXT ? quiet - CONTEXT : 0;
		for (size_t k = start; k < end; k++) {
			minus += AT(k).what != '+';
			plus += AT(k).what != '-';
		}
		text_printf(out, "@@");
		range(out, '-', AT(start).a, minus);
		range(out, '+', AT(start).b, plus);
		text_printf(out, " @@\n");
		for (size_t k = start; k < end; k++)
			put_line(out, AT(k).what, AT(k).what == '+' ? &b->lines[AT(k).b] : &a->lines[AT(k).a], safe);
	}
#undef AT
}

void unified_hunks(const char *a_text, size_t a_len, const char *b_text, size_t b_len, bool safe, struct text *out)
{
	struct side a = { 0 }, b = { 0 };
	struct edits e = { 0 };
	int found = -1;

	if (split(a_text, a_len, &a) && split(b_text, b_len, &b) && (e.items = calloc(a.count + b.count + 1, sizeof *e.items)))
		found = search(&a, &b, &e);
	if (found == 0)
		replace_all(&a, &b, &e);
	if (found >= 0)
		hunks(&a, &b, &e, safe, out);
	else
		out->failed = true;
	free(e.items);
	free(a.lines);
	free(b.lines);
}

/* ---- files ---- */
struct content { char *s; size_t len; bool text; };

/* text = false: too large, not readable, or with a zero byte in it. */
static struct content read_all(int fd, const struct stat *st)
{
	struct content c = { 0 };
	ssize_t n = 0;

	if (fd < 0 || !S_ISREG(st->st_mode) || st->st_size > (off_t)FILE_MAX || !(c.s = malloc((size_t)st->st_size + 1)))
		return c;
	while (c.len < (size_t)st->st_size && (n = read(fd, c.s + c.len, (size_t)st->st_size - c.len)) > 0)
		c.len += (size_t)n;
	c.text = n >= 0 && !memchr(c.s, 0, c.len);
	return c;
}

static void label(struct text *out, const char *mark, const char *prefix, const char *rel, bool there)
{
	text_printf(out, "%s ", mark);
	text_printf(out, there ? "%s/" : "/dev/null", prefix);
	if (there)
		text_quoted(out, rel);
	text_printf(out, "\n");
}

static void one_file(struct cow *c, const struct cow_change *x, bool safe, struct text *out)
{
	const struct cow_tree *t = &c->trees[x->tree];
	bool was = x->kind != COW_ADDED && S_ISREG(x->was.st_mode), now = x->kind != COW_DELETED && S_ISREG(x->now.st_mode);
	struct stat st;
	int low = was ? cow_lower(t, x->rel, &st) : -ENOENT, a = low < 0 ? -1 : cow_reopen(low, O_RDONLY | O_NONBLOCK);
	int b = now ? cow_readable(t->upper, x->rel, O_RDONLY | O_NONBLOCK) : -1;
	struct content from = { .text = true }, to = { .text = true };

	if (was)
		from = read_all(a, &x->was);
	if (now)
		to = read_all(b, &x->now);
	if (from.text && to.text && (from.len || to.len)) {
		label(out, "---", "a", x->rel, was);
		label(out, "+++", "b", x->rel, now);
		unified_hunks(from.s ? from.s : "", from.len, to.s ? to.s : "", to.len, safe, out);
	} else if (!from.text || !to.text) {
		text_printf(out, "Files a/");
		text_quoted(out, x->rel);
		text_printf(out, " and b/");
		text_quoted(out, x->rel);
		text_printf(out, " differ (binary, very large, or not readable)\n");
	}
	free(from.s);
	free(to.s);
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? low : i == 1 ? a : b;
		if (fd >= 0)
			close(fd);
	}
}

/* What lay in a deleted directory isn't in the list: its name says it all. */
int cow_unified(struct cow *c, const struct cow_list *l, bool safe, struct text *out, struct hutch_error *e)
{
	size_t tree = SIZE_MAX;

	for (size_t i = 0; i < l->count; i++) {
		const struct cow_change *x = &l->items[i];
		struct cow_list single = { .items = &l->items[i], .count = 1 };
		bool file = (x->kind == COW_CHANGED && x->content && S_ISREG(x->now.st_mode)) ||
			    (x->kind != COW_CHANGED && ((x->kind != COW_DELETED && S_ISREG(x->now.st_mode)) || (x->kind != COW_ADDED && S_ISREG(x->was.st_mode))));
		if (x->tree != tree && c->tree_count > 1) {
			text_printf(out, "# beneath ");
			text_quoted(out, c->trees[x->tree].lowers[0]);
			text_printf(out, ":\n");
		}
		tree = x->tree;
		text_printf(out, "# ");
		cow_text(c, &single, out);
		if (file)
			one_file(c, x, safe, out);
	}
	return out->failed ? error_nomem(e) : 0;
}
