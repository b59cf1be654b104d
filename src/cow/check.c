/* What a commit looks at before it changes anything.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cow/commit.h"

const char *commit_path(struct commit *m, const struct cow_change *x)
{
	const char *path = cow_path(m->c, &m->c->arena, x->tree, x->rel);

	return path ? path : x->rel;
}

int commit_conflict(struct commit *m, const struct cow_change *x, const char *why)
{
	error_set(m->error, ERR_COW_CONFLICT, 0, NULL, commit_path(m, x), NULL);
	return error_detail(m->error, "%s", why);
}

/* ---- choosing ---- */
static bool below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !strcmp(top, "/") || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

static void choose_one(struct commit *m, struct cow_change *x, const char *const *paths, bool *used)
{
	const char *path = commit_path(m, x);

	for (size_t i = 0; paths[i]; i++) {
		if (!below(path, paths[i]))
			continue;
		x->chosen = used[i] = true;
		x->named |= !strcmp(path, paths[i]);
	}
}

/* The list has parents first: from the end on, a chosen child chooses the new directory that it is in. */
static void choose_parents(struct cow_list *l)
{
	for (size_t i = l->count; i-- > 0;) {
		struct cow_change *dir = &l->items[i];
		size_t n = strlen(dir->rel);
		if (dir->chosen || (dir->kind != COW_ADDED && dir->kind != COW_TYPE) || !S_ISDIR(dir->now.st_mode))
			continue;
		for (size_t k = i + 1; k < l->count && l->items[k].tree == dir->tree && !strncmp(l->items[k].rel, dir->rel, n) && l->items[k].rel[n] == '/'; k++)
			dir->chosen |= l->items[k].chosen;
	}
}

int commit_choose(struct commit *m, const char *const *paths, size_t *skipped)
{
	struct cow_list *l = m->list;
	size_t count = 0;
	bool *used;

	while (paths && paths[count])
		count++;
	used = arena_alloc(&m->c->arena, (count + 1) * sizeof *used);
	if (!used)
		return error_nomem(m->error);
	for (size_t i = 0; i < l->count; i++) {
		l->items[i].chosen = !paths;
		l->items[i].named = false;
		if (paths)
			choose_one(m, &l->items[i], paths, used);
	}
	for (size_t i = 0; i < count; i++) {
		if (!used[i])
			return error_set(m->error, ERR_COW_PATH, 0, NULL, paths[i], NULL);
	}
	choose_parents(l);
	/* A socket without its server is a mere name. */
	for (size_t i = 0; i < l->count; i++) {
		struct cow_change *x = &l->items[i];
		if (x->chosen && x->kind != COW_DELETED && S_ISSOCK(x->now.st_mode)) {
			x->chosen = false;
			++*skipped;
		}
	}
	return 0;
}

/* ---- traps ---- */
static int refuse(struct commit *m, const struct cow_change *x, const char *why)
{
	error_set(m->error, ERR_COW_REFUSED, 0, NULL, commit_path(m, x), NULL);
	return error_detail(m->error, "%s", why);
}

static int check_kind(struct commit *m, const struct cow_change *x)
{
	mode_t mode = x->now.st_mode;

	if (x->kind == COW_DELETED || x->named)
		return 0;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return refuse(m, x, "it is a device node");
	if (!S_ISDIR(mode) && !S_ISLNK(mode) && (mode & (S_ISUID | S_ISGID)))
		return refuse(m, x, "it has a set-user-id or set-group-id bit");
	return 0;
}

/* ---- the host's side ---- */
static bool since(const struct timespec *t, const struct timespec *start)
{
	return t->tv_sec > start->tv_sec || (t->tv_sec == start->tv_sec && t->tv_nsec >= start->tv_nsec);
}

/* Changed after the start, and not by an earlier commit of ours? */
static bool newer(struct commit *m, size_t tree, const char *rel, const struct stat *st)
{
	if (!since(&st->st_ctim, &m->c->since) || journal_ours(m->c, tree, rel, st))
		return false;
	return !S_ISDIR(st->st_mode) || !journal_touched(m->c, tree, rel);
}

static int check_tree(struct commit *m, const struct cow_change *x, const char *rel)
{
	int top = m->c->trees[x->tree].lower[0], fd = cow_beneath(top, rel, O_PATH), r = 0;
	struct cow_names names = { 0 };
	struct stat st;

	if (fd == -EXDEV)
		return commit_conflict(m, x, "something is mounted in it");
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(m->error, ERR_COW_READ, fd < 0 ? -fd : errno, "openat2", rel, NULL);
	close(fd);
	if (newer(m, x->tree, rel, &st))
		return commit_conflict(m, x, arena_printf(&m->c->arena, "on the host, %s in it was changed after the run had begun", rel));
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = cow_beneath(top, rel, O_RDONLY | O_DIRECTORY);
	r = fd < 0 ? fd : cow_names(&m->c->arena, fd, &names);
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return error_set(m->error, ERR_COW_READ, -r, "getdents64", rel, NULL);
	for (size_t i = 0; i < names.count; i++) {
		char *path = cow_join(&m->c->arena, rel, names.names[i]);
		if (!path)
			return error_nomem(m->error);
		if (!journal_is_temp(m->c, names.names[i]) && check_tree(m, x, path) < 0)
			return -1;
	}
	return 0;
}

/* A file that was copied up from below, and now there is none: the host deleted it, or the program moved it here. The
 * directory tells: if nothing was made or deleted in it since, it was the program. */
static int check_added(struct commit *m, const struct cow_change *x)
{
	const struct cow_tree *t = &m->c->trees[x->tree];
	const char *slash = strrchr(x->rel, '/');
	char *dir = slash ? arena_strndup(&m->c->arena, x->rel, (size_t)(slash - x->rel)) : arena_strdup(&m->c->arena, "");
	int up = cow_beneath(t->upper, x->rel, O_PATH), low;
	bool copied = up >= 0 && !S_ISLNK(x->now.st_mode) && cow_has_xattr(up, "user.overlay.origin");
	struct stat st;
	int r = 0;

	if (up >= 0)
		close(up);
	if (!dir)
		return error_nomem(m->error);
	if (!copied)
		return 0;
	low = cow_beneath(t->lower[0], dir, O_PATH | O_DIRECTORY);
	if (low >= 0 && fstat(low, &st) == 0 && since(&st.st_mtim, &m->c->since) && !journal_touched(m->c, x->tree, dir))
		r = commit_conflict(m, x, "on the host it seems to have been deleted after the run had begun");
	if (low >= 0)
		close(low);
	return r;
}

static int check_host(struct commit *m, const struct cow_change *x)
{
	if (m->force)
		return 0;
	if (x->kind == COW_ADDED)
		return check_added(m, x);
	if (x->kind == COW_CHANGED && S_ISDIR(x->now.st_mode))
		return 0; /* its names are looked at one by one */
	if (S_ISDIR(x->was.st_mode))
		return check_tree(m, x, x->rel);
	return newer(m, x->tree, x->rel, &x->was) ? commit_conflict(m, x, "on the host it was changed or made after the run had begun") : 0;
}

int commit_check(struct commit *m)
{
	for (size_t i = 0; i < m->list->count; i++) {
		const struct cow_change *x = &m->list->items[i];
		if (!x->chosen)
			continue;
		if (m->c->trees[x->tree].lower_count != 1)
			return error_set(m->error, ERR_COW_LAYERS, 0, NULL, commit_path(m, x), NULL);
		if (check_kind(m, x) < 0 || check_host(m, x) < 0)
			return -1;
	}
	return 0;
}
