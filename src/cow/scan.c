/* What a run changed: the upper tree laid beside what lies below it now.
 * Runs in: parent. */
#include "cow/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A tree that is deeper than a path can be long is nobody's honest work. */
#define REL_MAX 4000

struct scan {
	struct cow *c;
	struct cow_list *out;
	struct hutch_error *error;
	size_t tree;
};

static int scan_error(struct scan *s, int errnum, const char *call, const char *rel)
{
	char *path = cow_path(s->c, &s->c->arena, s->tree, rel);

	return error_set(s->error, ERR_COW_READ, errnum, call, path ? path : rel, NULL);
}

static struct cow_change *add(struct scan *s, enum cow_kind kind, const char *rel, const struct stat *now, const struct stat *was)
{
	struct cow_change *grown = arena_grow(&s->c->arena, s->out->items, s->out->count, &s->out->cap, sizeof *grown);

	if (!grown) {
		error_nomem(s->error);
		return NULL;
	}
	s->out->items = grown;
	grown[s->out->count] = (struct cow_change){ .kind = kind, .tree = s->tree, .rel = rel };
	if (now)
		grown[s->out->count].now = *now;
	if (was)
		grown[s->out->count].was = *was;
	return &grown[s->out->count++];
}

/* 1 = the same bytes, 0 = not, or it can't be told. */
static int same_content(int a, int b)
{
	char x[16384], y[sizeof x];

	for (;;) {
		ssize_t n = read(a, x, sizeof x), got = 0;
		if (n < 0)
			return 0;
		while (got < n) {
			ssize_t m = read(b, y + got, (size_t)(n - got));
			if (m <= 0)
				return 0;
			got += m;
		}
		if (n == 0)
			return read(b, y, 1) == 0;
		if (memcmp(x, y, (size_t)n))
			return 0;
	}
}

static bool content_differs(struct scan *s, const char *rel, int low, const struct stat *now, const struct stat *was)
{
	int a, b;
	bool same;

	if (now->st_size != was->st_size)
		return true;
	a = cow_readable(s->c->trees[s->tree].upper, rel, O_RDONLY | O_NONBLOCK);
	b = cow_reopen(low, O_RDONLY | O_NONBLOCK);
	same = a >= 0 && b >= 0 && same_content(a, b);
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return !same;
}

static int names_of_lower(struct scan *s, const char *rel, struct cow_names *names)
{
	const struct cow_tree *t = &s->c->trees[s->tree];

	for (size_t i = 0; i < t->lower_count; i++) {
		int dir = cow_beneath(t->lower[i], rel, O_RDONLY | O_DIRECTORY), r;
		if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP)
			continue;
		r = dir < 0 ? dir : cow_names(&s->c->arena, dir, names);
		if (dir >= 0)
			close(dir);
		if (r < 0)
			return scan_error(s, -r, "getdents64", rel);
	}
	return 0;
}

/* Sorted names. */
static bool has_name(const struct cow_names *names, const char *name)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(names->names[mid], name);
		if (order == 0)
			return true;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static int deleted(struct scan *s, const char *rel)
{
	struct stat was;
	int fd = cow_lower(&s->c->trees[s->tree], rel, &was);

	if (fd == -ENOENT)
		return 0; /* gone below as well */
	if (fd < 0)
		return scan_error(s, -fd, "openat2", rel);
	close(fd);
	return add(s, COW_DELETED, rel, NULL, &was) ? 0 : -1;
}

/* An opaque directory hides everything below it: what it doesn't hold itself is deleted. */
static int hidden_names(struct scan *s, const char *rel, const struct cow_names *own)
{
	struct cow_names below = { 0 };

	if (names_of_lower(s, rel, &below) < 0)
		return -1;
	for (size_t i = 0; i < below.count; i++) {
		char *path = cow_join(&s->c->arena, rel, below.names[i]);
		if (!path)
			return error_nomem(s->error);
		if (!has_name(own, below.names[i]) && !journal_is_temp(s->c, below.names[i]) && (!i || strcmp(below.names[i], below.names[i - 1])) && deleted(s, path) < 0)
			return -1;
	}
	return 0;
}

static int scan_dir(struct scan *s, const char *rel, bool opaque);

enum descend { STAY, INTO, INTO_OPAQUE };

static int compare(struct scan *s, const char *rel, int up, int low, const struct stat *now, const struct stat *was)
{
	struct arena *a = &s->c->arena;
	struct cow_change *change;
	bool mode = !S_ISLNK(now->st_mode) && (now->st_mode & 07777) != (was->st_mode & 07777), content = false;

	if ((now->st_mode & S_IFMT) != (was->st_mode & S_IFMT))
		return !add(s, COW_TYPE, rel, now, was) ? -1 : S_ISDIR(now->st_mode) ? INTO : STAY;
	if (S_ISREG(now->st_mode))
		content = content_differs(s, rel, low, now, was);
	else if (S_ISLNK(now->st_mode)) {
		char *x = cow_link_text(a, up), *y = cow_link_text(a, low);
		content = !x || !y || strcmp(x, y);
	} else if (S_ISCHR(now->st_mode) || S_ISBLK(now->st_mode)) {
		content = now->st_rdev != was->st_rdev;
	}
	if (content || mode) {
		if (!(change = add(s, COW_CHANGED, rel, now, was)))
			return -1;
		change->content = content;
		change->mode = mode;
	}
	return !S_ISDIR(now->st_mode) ? STAY : cow_is_opaque(up) ? INTO_OPAQUE : INTO;
}

/* What is at one name; -1, or whether to look into it. No descriptor stays open meanwhile: trees can be deep. */
static int look(struct scan *s, const char *rel)
{
	const struct cow_tree *t = &s->c->trees[s->tree];
	int up = cow_beneath(t->upper, rel, O_PATH), low, r;
	struct stat now, was;

	if (up < 0)
		return scan_error(s, -up, "openat2", rel);
	if (fstat(up, &now) < 0)
		r = scan_error(s, errno, "fstat", rel);
	else if (cow_is_whiteout(up, &now))
		r = deleted(s, rel);
	else if ((low = cow_lower(t, rel, &was)) >= 0) {
		r = compare(s, rel, up, low, &now, &was);
		close(low);
	} else if (low != -ENOENT)
		r = scan_error(s, -low, "openat2", rel);
	else
		r = !add(s, COW_ADDED, rel, &now, NULL) ? -1 : S_ISDIR(now.st_mode) ? INTO : STAY;
	close(up);
	return r;
}

static int scan_names(struct scan *s, const char *rel, const struct cow_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		char *path = cow_join(&s->c->arena, rel, names->names[i]);
		if (!path)
			return error_nomem(s->error);
		int into = look(s, path);
		if (into < 0 || (into != STAY && scan_dir(s, path, into == INTO_OPAQUE) < 0))
			return -1;
	}
	return 0;
}

/* The program took away the right to enter: as its owner we have it for a moment. */
static int scan_locked(struct scan *s, const struct cow_locked *l, const struct cow_names *names)
{
	struct cow *c = s->c;
	struct cow_locked *grown = arena_grow(&c->arena, c->locked, c->locked_count, &c->locked_cap, sizeof *grown);
	int r, back;

	if (!grown)
		return error_nomem(s->error);
	c->locked = grown;
	grown[c->locked_count++] = *l;
	r = cow_chmod_upper(c, l, true);
	if (r < 0)
		return scan_error(s, -r, "chmod", l->rel);
	r = scan_names(s, l->rel, names);
	back = cow_chmod_upper(c, l, false);
	return r < 0 ? -1 : back < 0 ? scan_error(s, -back, "chmod", l->rel) : 0;
}

static int scan_dir(struct scan *s, const char *rel, bool opaque)
{
	struct cow_locked l = { .tree = s->tree, .rel = rel };
	struct cow_names names = { 0 };
	struct stat st;
	int dir, r;

	if (strlen(rel) > REL_MAX)
		return scan_error(s, ENAMETOOLONG, NULL, rel);
	dir = cow_readable(s->c->trees[s->tree].upper, rel, O_RDONLY | O_DIRECTORY);
	r = dir < 0 ? dir : fstat(dir, &st) < 0 ? -errno : cow_names(&s->c->arena, dir, &names);
	if (dir >= 0)
		close(dir);
	if (r < 0)
		return scan_error(s, -r, "getdents64", rel);
	if (opaque && hidden_names(s, rel, &names) < 0)
		return -1;
	l.mode = st.st_mode & 07777;
	return geteuid() != 0 && st.st_uid == geteuid() && !(st.st_mode & 0100) && names.count ? scan_locked(s, &l, &names) : scan_names(s, rel, &names);
}

int cow_scan(struct cow *c, struct cow_list *out, struct hutch_error *e)
{
	struct scan s = { .c = c, .out = out, .error = e };

	for (s.tree = 0; s.tree < c->tree_count; s.tree++) {
		if (c->trees[s.tree].upper >= 0 && scan_dir(&s, "", cow_is_opaque(c->trees[s.tree].upper)) < 0)
			return -1;
	}
	return 0;
}
