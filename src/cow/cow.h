/* Changes that a run made copy-on-write: found, shown, put into the host's files, or thrown away.
 * A store is a directory with N/upper and N/work of each tree, and, where it isn't in memory, two files: "record"
 * (which trees, and when) and "journal" (what a commit has done so far). What lies in an upper directory was made
 * by a program that nobody vouches for: every name is opened beneath its directory, through no link and no mount.
 * Runs in: parent. */
#ifndef HUTCH_COW_H
#define HUTCH_COW_H

#include <sys/stat.h>
#include <time.h>

#include "base/base.h"

struct cow_tree {
	const char *const *lowers;      /* host directories, the topmost first */
	size_t lower_count;
	const char *dst;                /* where the run saw it */
	uint64_t dev, ino;              /* of lowers[0] at the start */
	int *lower;                     /* O_PATH, one each */
	int upper;
};

struct cow {
	struct arena arena;
	int dir;                        /* the store, locked where it is a directory of the host */
	const char *path;               /* of the store, NULL = in memory */
	struct timespec since;          /* files that the host changed after the start have this ctime or a later one */
	uint32_t owner, group;          /* ids in the upper that stand for the caller */
	struct cow_tree *trees;
	size_t tree_count;
	struct cow_locked *locked;      /* upper directories that lack their owner's right to enter them */
	size_t locked_count, locked_cap;
	struct journal_line *journal;   /* of an earlier commit */
	size_t journal_count, journal_cap;
	bool journal_sorted;
	int journal_fd;                 /* -1 = none is kept */
};

struct cow_locked { size_t tree; const char *rel; mode_t mode; };

enum cow_kind { COW_ADDED, COW_CHANGED, COW_DELETED, COW_TYPE };
struct cow_change {
	enum cow_kind kind;
	bool content, mode;             /* COW_CHANGED: what */
	size_t tree;
	const char *rel;                /* beneath the tree */
	struct stat now, was;           /* upper, lower */
	bool chosen, named;             /* commit: taken; by its very name */
};
struct cow_list { struct cow_change *items; size_t count, cap; };

/* ---- record.c: the store ---- */
/* The next tick of the clock that file systems take: what is changed later can be told from what was before. */
void cow_tick(struct timespec *since);
/* Makes or takes up the directory, checks that it can hold changes, locks it. Descriptor, -1 = error. *since: the
 * start, or that of the first run whose changes lie there. */
int cow_prepare_dir(const char *path, const struct cow_tree *trees, size_t count, struct timespec *since, const char *origin, struct hutch_error *e);
/* Locks a store and reads its record and journal; the trees stay closed, and may be gone. */
int cow_open_store(struct cow *c, const char *path, struct hutch_error *e);
/* Opens a store for diff, commit, discard. The caller's struct; cow_done() whatever the result. */
int cow_open(struct cow *c, const char *path, struct hutch_error *e);
/* The same for one in memory (dir is copied), or of a run that has just ended (path not NULL). */
int cow_take(struct cow *c, int dir, const char *path, const struct cow_tree *trees, size_t count, const struct timespec *since,
	     uint32_t owner, uint32_t group, struct hutch_error *e);
void cow_done(struct cow *c);
/* How full the file system of a store is. */
int cow_usage(int dir, uint64_t *used, uint64_t *size, uint64_t *files_used, uint64_t *files);

/* ---- tree.c: names in upper and lower trees ---- */
int cow_beneath(int dir, const char *rel, int flags);             /* descriptor or -errno; "" is dir itself */
/* For reading what the owner took the own right away from; flags as of open. Descriptor or -errno. */
int cow_readable(int dir, const char *rel, int flags);
/* The file behind an O_PATH descriptor, with no name looked up again. Descriptor or -errno. */
int cow_reopen(int fd, int flags);
/* What the lower trees hold together at rel: 0 and an O_PATH descriptor, or -errno (-ENOENT = nothing). */
int cow_lower(const struct cow_tree *t, const char *rel, struct stat *st);
bool cow_is_whiteout(int fd, const struct stat *st);
bool cow_is_opaque(int fd);
bool cow_has_xattr(int fd, const char *name);
char *cow_join(struct arena *a, const char *rel, const char *name);
/* Lets us into the locked directories that a scan has found, and locks them again. 0 or -errno. */
int cow_unlock(struct cow *c, bool open);
int cow_chmod_upper(const struct cow *c, const struct cow_locked *l, bool open);
/* Names of a directory, sorted; strings in the arena. */
struct cow_names { char **names; size_t count, cap; };
int cow_names(struct arena *a, int dir, struct cow_names *out);   /* 0 or -errno */
/* Removes name in dir with all beneath it, on one file system, through no link. 0 or -errno. */
int cow_remove(int dir, const char *name);
char *cow_link_text(struct arena *a, int fd);                     /* of an O_PATH descriptor; NULL = error */
/* Absolute host path of a change. */
char *cow_path(const struct cow *c, struct arena *a, size_t tree, const char *rel);

/* ---- scan.c, text.c, unified.c ---- */
int cow_scan(struct cow *c, struct cow_list *out, struct hutch_error *e);
void cow_text(struct cow *c, const struct cow_list *l, struct text *out);
void cow_json(struct cow *c, const struct cow_list *l, struct text *out);
/* safe: control bytes of file contents are escaped, for a terminal. */
int cow_unified(struct cow *c, const struct cow_list *l, bool safe, struct text *out, struct hutch_error *e);
/* Unified hunks of two texts. */
void unified_hunks(const char *a, size_t a_len, const char *b, size_t b_len, bool safe, struct text *out);

/* ---- commit.c, journal.c ---- */
/* paths: absolute and normalised, or NULL = all. skipped: how many sockets were left out. */
int cow_commit(struct cow *c, struct cow_list *l, const char *const *paths, bool force, size_t *done, size_t *skipped, struct hutch_error *e);
int cow_discard(struct cow *c, struct hutch_error *e);

struct journal_line {
	char what;                      /* w = will be written, p = put there, d = deleted */
	size_t tree;
	uint64_t dev, ino, size;
	int64_t mtime_ns;
	const char *rel;
};
int journal_read(struct cow *c, struct hutch_error *e);
int journal_open(struct cow *c, struct hutch_error *e);
/* Adds a line; sync: it is on the disk before this returns. */
int journal_add(struct cow *c, const struct journal_line *line, bool sync, struct hutch_error *e);
/* Did a commit of ours put this very file there? */
bool journal_ours(struct cow *c, size_t tree, const char *rel, const struct stat *st);
/* Did one change names in this directory? */
bool journal_touched(struct cow *c, size_t tree, const char *dir);
/* Is this the name of a half-written file that a commit, cut off, left? */
bool journal_is_temp(const struct cow *c, const char *name);
/* The name beside rel that its new content has until it takes its place. */
void journal_temp(const struct cow *c, size_t tree, const char *rel, char out[32]);

#endif
