/* The list of runs, read: each entry is hostile text until the kernel has confirmed it.
 * Runs in: parent. */
#include "lib/entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/run.h"

#define ENTRIES_MOST 4096

void hutch_plan_list(hutch_plan *plan, bool yes)
{
	plan->plan.listed = yes;
}

const char *hutch_state_name(enum hutch_state state)
{
	static const char *const names[] = { "running", "stopped", "frozen" };

	return (size_t)state < COUNT_OF(names) ? names[state] : "unknown";
}

void hutch_entry_free(hutch_entry *n)
{
	int fds[] = { n ? n->fd : -1, n ? n->launcher : -1, n ? n->first : -1 };

	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (n)
		arena_done(&n->arena);
	free(n);
}

/* ---- reading ---- */
/* What became of reading one file of the directory. */
enum found { FOUND, FOUND_STALE, FOUND_DOUBTFUL, FOUND_ERROR };

/* A plain file of this user that nobody else may change. */
static bool acceptable(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 077) && st->st_nlink == 1 && st->st_size <= ENTRY_MOST;
}

/* Looked at before it is opened, for opening a device acts, and after it, for it may have been changed. */
static int open_entry(int dir, const char *name, struct stat *st)
{
	int fd = fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0 || !acceptable(st) ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, st) == 0 && acceptable(st))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int read_entry(hutch_entry *n, const char **why)
{
	char *text = malloc(ENTRY_MOST + 1);
	size_t len = 0;
	ssize_t got = 1;
	int r;

	*why = "memory is out";
	if (!text)
		return -1;
	while (len <= ENTRY_MOST && (got = read(n->fd, text + len, ENTRY_MOST + 1 - len)) > 0)
		len += (size_t)got;
	r = entry_parse(text, len, &n->arena, &n->text, why);
	free(text);
	return r;
}

/* The lock was free: nobody is there any more. Removed under the lock, so that what another has put there meanwhile
 * stays; what the dead launcher left frozen goes on, and then ends. */
static void clear_stale(int dir, hutch_entry *n)
{
	struct stat st;
	const char *why;

	if (fstat(n->fd, &st) < 0 || !st.st_nlink)
		return;
	if (read_entry(n, &why) == 0)
		entry_release(&n->text);
	unlinkat(dir, n->file, 0);
}

/* All of it or nothing: launcher and first process are those of then, one holds this file, the other is its child. */
static const char *verify(hutch_entry *n, const struct stat *file)
{
	struct process launcher, first;

	n->launcher = process_open(n->text.launcher, n->text.launcher_start, &launcher);
	if (n->launcher < 0)
		return "the launcher that it names isn't that process";
	if (!process_holds(n->text.launcher, file))
		return "the launcher that it names doesn't hold it open";
	n->first = process_open(n->text.first, n->text.first_start, &first);
	if (n->first < 0)
		return "the sandbox that it names isn't that process";
	if (first.parent != n->text.launcher)
		return "the sandbox that it names isn't its launcher's child";
	n->state = first.state;
	return process_lives(n->launcher) && process_lives(n->first) ? NULL : "it has just ended";
}

/* A file with a lock that isn't filled yet is a run that is about to start: nobody's doubt, and not there yet. */
static enum found load(int dir, const char *name, hutch_entry *n, const char **why)
{
	struct stat st;

	*why = "it is no plain file of yours with mode 0600, one name and at most 16 KiB";
	copy_bounded(n->file, sizeof n->file, name);
	if (!policy_name_valid(name) || (n->fd = open_entry(dir, name, &st)) < 0)
		return FOUND_DOUBTFUL;
	if (flock(n->fd, LOCK_EX | LOCK_NB) == 0) {
		clear_stale(dir, n);
		return FOUND_STALE;
	}
	if (!st.st_size)
		return FOUND_STALE;
	if (read_entry(n, why) < 0)
		return FOUND_DOUBTFUL;
	if (!n->text.running)
		return FOUND_STALE;
	*why = verify(n, &st);
	/* One that ended meanwhile has taken its file away. */
	return !*why ? FOUND : fstat(n->fd, &st) == 0 && !st.st_nlink ? FOUND_STALE : FOUND_DOUBTFUL;
}

static hutch_entry *entry_new(void)
{
	hutch_entry *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	arena_init(&n->arena);
	n->fd = n->launcher = n->first = -1;
	return n;
}

static enum found load_new(int dir, const char *name, hutch_entry **out, const char **why)
{
	enum found f;

	*out = entry_new();
	if (!*out)
		return FOUND_ERROR;
	f = load(dir, name, *out, why);
	if (f != FOUND) {
		hutch_entry_free(*out);
		*out = NULL;
	}
	return f;
}

/* ---- the list ---- */
struct list { hutch_entry **entries; size_t count, cap, doubtful; };

static int append(struct list *l, hutch_entry *n)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		hutch_entry **grown = realloc(l->entries, cap * sizeof *grown);
		if (!grown)
			return -1;
		l->entries = grown;
		l->cap = cap;
	}
	l->entries[l->count++] = n;
	return 0;
}

static void list_free(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		hutch_entry_free(l->entries[i]);
	free(l->entries);
	*l = (struct list){ 0 };
}

static int by_start(const void *a, const void *b)
{
	const struct hutch_entry *x = *(hutch_entry *const *)a, *y = *(hutch_entry *const *)b;

	return x->text.first_start < y->text.first_start ? -1 : x->text.first_start > y->text.first_start;
}

static int fill_list(int dir, struct list *l)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *item;
	int r = d ? 0 : -1;

	if (!d && copy >= 0)
		close(copy);
	for (size_t seen = 0; r == 0 && seen < ENTRIES_MOST && (item = readdir(d)); seen++) {
		const char *why;
		hutch_entry *n;
		if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, ".."))
			continue;
		enum found f = load_new(dir, item->d_name, &n, &why);
		l->doubtful += f == FOUND_DOUBTFUL;
		if (f == FOUND_ERROR || (f == FOUND && append(l, n) < 0)) {
			hutch_entry_free(n);
			r = -1;
		}
	}
	if (d)
		closedir(d);
	return r;
}

static void sweep_in(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *item;

	if (!d && copy >= 0)
		close(copy);
	for (size_t seen = 0; d && seen < ENTRIES_MOST && (item = readdir(d)); seen++) {
		hutch_entry *n = policy_name_valid(item->d_name) ? entry_new() : NULL;
		struct stat st;
		if (!n)
			continue;
		copy_bounded(n->file, sizeof n->file, item->d_name);
		n->fd = open_entry(dir, item->d_name, &st);
		if (n->fd >= 0 && flock(n->fd, LOCK_EX | LOCK_NB) == 0)
			clear_stale(dir, n);
		hutch_entry_free(n);
	}
	if (d)
		closedir(d);
}

void entry_sweep(void)
{
	int dir = entry_directory(false, NULL, NULL);

	if (dir < 0)
		return;
	sweep_in(dir);
	close(dir);
}

#define TMPFS_ONE 60 /* size of a tmpfs directory with one name: 20 bytes for each, two of which are always counted */

void entry_sweep_beside(const struct hutch_run *r)
{
	struct stat st;

	/* One call where this run is alone, which is the usual case. */
	if (r->entry.dir >= 0 && fstat(r->entry.dir, &st) == 0 && st.st_size != TMPFS_ONE)
		sweep_in(r->entry.dir);
}

int hutch_entry_list(hutch_entry ***out, size_t *count, size_t *doubtful, struct hutch_error *e)
{
	struct list l = { 0 };
	int dir = entry_directory(true, NULL, e), r;

	*out = NULL;
	*count = 0;
	if (dir < 0)
		return -1;
	r = fill_list(dir, &l);
	close(dir);
	if (r < 0) {
		list_free(&l);
		return error_nomem(e);
	}
	if (l.count)
		qsort(l.entries, l.count, sizeof(hutch_entry *), by_start);
	*out = l.entries;
	*count = l.count;
	if (doubtful)
		*doubtful = l.doubtful;
	return 0;
}

/* By its file's name first, then by the id that is written in one of them. */
static int find_in(int dir, const char *name, hutch_entry **out, struct hutch_error *e)
{
	const char *why = NULL;
	struct list l = { 0 };
	enum found f = policy_name_valid(name) && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? load_new(dir, name, out, &why) : FOUND_STALE;

	if (f == FOUND)
		return 0;
	if (f == FOUND_DOUBTFUL) {
		error_set(e, ERR_ENTRY_DOUBTFUL, 0, NULL, name, NULL);
		return error_detail(e, "%s", why);
	}
	if (f == FOUND_ERROR || fill_list(dir, &l) < 0) {
		list_free(&l);
		return error_nomem(e);
	}
	for (size_t i = 0; i < l.count && !*out; i++) {
		if (strcmp(l.entries[i]->text.id, name))
			continue;
		*out = l.entries[i];
		l.entries[i] = l.entries[--l.count];
	}
	list_free(&l);
	return *out ? 0 : error_set(e, ERR_ENTRY_NONE, 0, NULL, name, NULL);
}

int hutch_entry_find(const char *name, hutch_entry **out, struct hutch_error *e)
{
	int dir = entry_directory(true, NULL, e), r;

	*out = NULL;
	if (dir < 0)
		return -1;
	r = find_in(dir, name, out, e);
	close(dir);
	return r;
}

void hutch_entry_facts(const hutch_entry *n, struct hutch_facts *out)
{
	*out = (struct hutch_facts){
		.id = n->text.id, .name = n->file, .launcher = n->text.launcher, .pid = n->text.first, .started = n->text.started, .words = n->text.words,
	};
}
