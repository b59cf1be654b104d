/* Tests of src/cow: changes found, shown, committed, refused; on directories made by hand.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "cow/cow.h"
#include "policy/policy.h"

struct fixture {
	char dir[64];
	struct arena arena;
	struct hutch_error error;
	const char *lower[3];
	struct cow_tree tree;
	struct cow cow;
	struct cow_list list;
	bool open;
};

static char *at(struct fixture *f, const char *name)
{
	return arena_printf(&f->arena, "%s/%s", f->dir, name);
}

static void put(struct fixture *f, const char *name, const char *text)
{
	char *path = at(f, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void dir(struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0755), 0);
}

static char *get(struct fixture *f, const char *name)
{
	char *text = arena_alloc(&f->arena, 4096);
	int fd = open(at(f, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return arena_printf(&f->arena, "!%d", errno);
	assert_true(read(fd, text, 4095) >= 0);
	close(fd);
	return text;
}

static void whiteout(struct fixture *f, const char *name)
{
	assert_int_equal(mknod(at(f, name), S_IFCHR, 0), 0);
}

static void opaque(struct fixture *f, const char *name)
{
	assert_int_equal(setxattr(at(f, name), "user.overlay.opaque", "y", 1, 0), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	*state = f;
	arena_init(&f->arena);
	snprintf(f->dir, sizeof f->dir, "/var/tmp/hutch-cow-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	dir(f, "low");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
	(void)st, (void)kind, (void)w;
	return remove(path) && errno != ENOENT;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->open)
		cow_done(&f->cow);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_done(&f->arena);
	free(f);
	return 0;
}

/* The lower tree is complete: what comes later is the host's change. */
static void start(struct fixture *f)
{
	struct timespec since;
	struct stat st;
	int fd;

	f->lower[0] = at(f, "low");
	assert_int_equal(stat(f->lower[0], &st), 0);
	f->tree = (struct cow_tree){ .lowers = f->lower, .lower_count = 1, .dst = "/w", .dev = st.st_dev, .ino = st.st_ino, .upper = -1 };
	cow_tick(&since);
	fd = cow_prepare_dir(at(f, "up"), &f->tree, 1, &since, "test", &f->error);
	if (fd < 0)
		fail_msg("E%u %s %s", f->error.id, f->error.subject, f->error.detail);
	close(fd);
}

static void scan(struct fixture *f)
{
	if (f->open)
		cow_done(&f->cow);
	f->open = true;
	f->list = (struct cow_list){ 0 };
	if (cow_open(&f->cow, at(f, "up"), &f->error) < 0 || cow_scan(&f->cow, &f->list, &f->error) < 0)
		fail_msg("E%u %s: %s", f->error.id, f->error.subject, f->error.detail);
}

static const char *listing(struct fixture *f)
{
	struct text t;
	char *s, *copy;

	text_init(&t);
	text_add(&t, "", 0);
	cow_text(&f->cow, &f->list, &t);
	copy = arena_strdup(&f->arena, t.s ? t.s : "");
	text_done(&t);
	/* The directory's own name differs from run to run. */
	while ((s = strstr(copy, f->lower[0])))
		memmove(s, s + strlen(f->lower[0]), strlen(s + strlen(f->lower[0])) + 1);
	return copy;
}

static int commit(struct fixture *f, bool force, const char *path)
{
	const char *paths[] = { path ? at(f, path) : NULL, NULL };
	size_t done, skipped;

	hutch_error_clear(&f->error);
	return cow_commit(&f->cow, &f->list, path ? paths : NULL, force, &done, &skipped, &f->error);
}

static void must_commit(struct fixture *f, bool force, const char *path)
{
	if (commit(f, force, path) < 0)
		fail_msg("E%u %s %s: %s", f->error.id, f->error.call, f->error.subject, f->error.detail);
}

/* Every kind of change, in the lower tree and in the upper one. */
static void all_kinds(struct fixture *f)
{
	put(f, "low/same", "same");
	put(f, "low/changed", "old");
	put(f, "low/mode", "m");
	put(f, "low/gone", "g");
	dir(f, "low/gone-dir");
	put(f, "low/gone-dir/x", "x");
	dir(f, "low/to-file");
	put(f, "low/to-file/y", "y");
	put(f, "low/to-dir", "d");
	dir(f, "low/anew");
	put(f, "low/anew/hidden", "h");
	put(f, "low/anew/kept", "k");
	dir(f, "low/merged");
	put(f, "low/merged/stays", "s");
	assert_int_equal(symlink("changed", at(f, "low/link")), 0);
	start(f);
	put(f, "up/0/upper/same", "same");
	put(f, "up/0/upper/changed", "new");
	put(f, "up/0/upper/mode", "m");
	assert_int_equal(chmod(at(f, "up/0/upper/mode"), 0755), 0);
	whiteout(f, "up/0/upper/gone");
	whiteout(f, "up/0/upper/gone-dir");
	put(f, "up/0/upper/to-file", "file now");
	dir(f, "up/0/upper/to-dir");
	put(f, "up/0/upper/to-dir/in", "in");
	dir(f, "up/0/upper/anew");
	opaque(f, "up/0/upper/anew");
	put(f, "up/0/upper/anew/kept", "other");
	put(f, "up/0/upper/anew/first", "1");
	dir(f, "up/0/upper/merged");
	put(f, "up/0/upper/merged/more", "+");
	assert_int_equal(chmod(at(f, "up/0/upper/merged"), 0700), 0);
	assert_int_equal(symlink("mode", at(f, "up/0/upper/link")), 0);
	dir(f, "up/0/upper/new-dir");
	put(f, "up/0/upper/new-dir/ a\nb\\", "odd name");
	assert_int_equal(mkfifo(at(f, "up/0/upper/pipe"), 0640), 0);
	whiteout(f, "up/0/upper/never-was");
}

static void scan_kinds(void **state)
{
	struct fixture *f = *state;

	all_kinds(f);
	scan(f);
	assert_string_equal(listing(f),
			    "D /anew/hidden\n"
			    "A /anew/first\n"
			    "M /anew/kept\n"
			    "M /changed\n"
			    "D /gone\n"
			    "D /gone-dir/\n"
			    "M /link (link)\n"
			    "M /merged/ (mode 0755 -> 0700)\n"
			    "A /merged/more\n"
			    "M /mode (mode 0644 -> 0755)\n"
			    "A /new-dir/\n"
			    "A /new-dir/ a\\nb\\\\\n"
			    "A /pipe (fifo)\n"
			    "T /to-dir/ (file -> directory)\n"
			    "A /to-dir/in\n"
			    "T /to-file (directory -> file)\n");
}

static void commit_kinds(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	all_kinds(f);
	scan(f);
	must_commit(f, false, NULL);
	assert_string_equal(get(f, "low/changed"), "new");
	assert_string_equal(get(f, "low/same"), "same");
	assert_string_equal(get(f, "low/gone"), "!2");
	assert_string_equal(get(f, "low/to-file"), "file now");
	assert_string_equal(get(f, "low/to-dir/in"), "in");
	assert_string_equal(get(f, "low/anew/hidden"), "!2");
	assert_string_equal(get(f, "low/anew/kept"), "other");
	assert_string_equal(get(f, "low/merged/stays"), "s");
	assert_string_equal(get(f, "low/new-dir/ a\nb\\"), "odd name");
	assert_int_equal(stat(at(f, "low/gone-dir"), &st), -1);
	assert_true(stat(at(f, "low/mode"), &st) == 0 && (st.st_mode & 07777) == 0755);
	assert_true(stat(at(f, "low/merged"), &st) == 0 && (st.st_mode & 07777) == 0700);
	assert_true(stat(at(f, "low/pipe"), &st) == 0 && S_ISFIFO(st.st_mode) && (st.st_mode & 07777) == 0640);
	/* Nothing more to do, and nothing left beside the files. */
	scan(f);
	assert_string_equal(listing(f), "");
	assert_int_equal(system(arena_printf(&f->arena, "find %s/low -name '.hutch-*' | grep -q .", f->dir)) != 0, 1);
	assert_int_equal(cow_discard(&f->cow, &f->error), 0);
	assert_int_equal(stat(at(f, "up"), &st), -1);
}

static void commit_some(void **state)
{
	struct fixture *f = *state;

	all_kinds(f);
	scan(f);
	must_commit(f, false, "low/new-dir/ a\nb\\");
	assert_string_equal(get(f, "low/new-dir/ a\nb\\"), "odd name");
	assert_string_equal(get(f, "low/changed"), "old");
	scan(f);
	must_commit(f, false, "low/anew");
	assert_string_equal(get(f, "low/anew/hidden"), "!2");
	assert_string_equal(get(f, "low/changed"), "old");
	assert_int_equal(commit(f, false, "low/nothing"), -1);
	assert_int_equal(f->error.id, ERR_COW_PATH);
	scan(f);
	must_commit(f, false, NULL);
	scan(f);
	assert_string_equal(listing(f), "");
}

/* The host changed what the program saw: refused as a whole, until it is forced. */
static void conflicts(void **state)
{
	static const char *const ways[] = { "changed", "replaced", "deleted-dir", "made", "mode", "copied-up" };
	struct fixture *f;

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		if (i) {
			teardown(state);
			setup(state);
		}
		f = *state;
		put(f, "low/first", "1");
		put(f, "low/f", "old");
		dir(f, "low/d");
		dir(f, "low/d/e");
		put(f, "low/d/e/x", "x");
		start(f);
		put(f, "up/0/upper/first", "one");
		if (i == 2)
			whiteout(f, "up/0/upper/d");
		else
			put(f, i == 3 ? "up/0/upper/new" : "up/0/upper/f", "program's");
		if (i == 5)
			assert_int_equal(setxattr(at(f, "up/0/upper/f"), "user.overlay.origin", "x", 1, 0), 0);
		if (i == 0)
			put(f, "low/f", "host's");
		if (i == 1) { /* an older file of the same size takes its place */
			put(f, "low/g", "abc");
			assert_int_equal(rename(at(f, "low/g"), at(f, "low/f")), 0);
		}
		if (i == 2)
			put(f, "low/d/e/y", "y");
		if (i == 3)
			put(f, "low/new", "host's");
		if (i == 4)
			assert_int_equal(chmod(at(f, "low/f"), 0600), 0);
		if (i == 5)
			assert_int_equal(unlink(at(f, "low/f")), 0);
		scan(f);
		if (commit(f, false, NULL) == 0)
			fail_msg("%s: not noticed", ways[i]);
		assert_int_equal(f->error.id, ERR_COW_CONFLICT);
		/* Whatever comes before it in the list: nothing is done. */
		assert_string_equal(get(f, "low/first"), "1");
		must_commit(f, true, NULL);
		assert_string_equal(get(f, "low/first"), "one");
		assert_string_equal(get(f, i == 2 ? "low/d/e/x" : i == 3 ? "low/new" : "low/f"), i == 2 ? "!2" : "program's");
	}
}

/* Between the look and the rename. */
static void late_conflict(void **state)
{
	struct fixture *f = *state;

	put(f, "low/f", "old");
	start(f);
	put(f, "up/0/upper/f", "program's");
	put(f, "up/0/upper/n", "program's");
	scan(f);
	put(f, "low/f", "late");
	assert_int_equal(commit(f, true, "low/f"), -1);
	assert_int_equal(f->error.id, ERR_COW_CONFLICT);
	assert_string_equal(get(f, "low/f"), "late");
	put(f, "low/n", "late");
	assert_int_equal(commit(f, true, "low/n"), -1);
	assert_int_equal(f->error.id, ERR_COW_CONFLICT);
	assert_string_equal(get(f, "low/n"), "late");
	assert_int_equal(system(arena_printf(&f->arena, "find %s/low -name '.hutch-*' | grep -q .", f->dir)) != 0, 1);
}

static void traps(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	start(f);
	put(f, "up/0/upper/suid", "s");
	assert_int_equal(chmod(at(f, "up/0/upper/suid"), 04755), 0);
	scan(f);
	assert_int_equal(commit(f, false, NULL), -1);
	assert_int_equal(f->error.id, ERR_COW_REFUSED);
	assert_int_equal(commit(f, true, "low"), -1); /* neither by force nor by what is above it */
	assert_int_equal(f->error.id, ERR_COW_REFUSED);
	assert_string_equal(get(f, "low/suid"), "!2");
	must_commit(f, false, "low/suid");
	assert_true(stat(at(f, "low/suid"), &st) == 0 && (st.st_mode & 07777) == 04755);
	if (geteuid() != 0)
		return;
	assert_int_equal(mknod(at(f, "up/0/upper/null"), S_IFCHR | 0666, 0x103), 0);
	scan(f);
	assert_int_equal(commit(f, true, NULL), -1);
	assert_int_equal(f->error.id, ERR_COW_REFUSED);
	must_commit(f, false, "low/null");
	assert_true(stat(at(f, "low/null"), &st) == 0 && S_ISCHR(st.st_mode));
}

/* Links planted on either side lead nowhere. */
static void links(void **state)
{
	struct fixture *f = *state;

	dir(f, "out");
	put(f, "out/secret", "secret");
	dir(f, "low/d");
	put(f, "low/d/f", "old");
	start(f);
	/* above: a link to a directory is a link, not what it leads to */
	assert_int_equal(symlink(at(f, "out"), at(f, "up/0/upper/away")), 0);
	dir(f, "up/0/upper/d");
	put(f, "up/0/upper/d/f", "new");
	put(f, "up/0/upper/d/g", "new");
	scan(f);
	assert_string_equal(listing(f), "A /away (link)\nM /d/f\nA /d/g\n");
	/* below: the directory becomes a link after the look */
	assert_int_equal(rename(at(f, "low/d"), at(f, "moved")), 0);
	assert_int_equal(symlink(at(f, "out"), at(f, "low/d")), 0);
	assert_int_equal(commit(f, true, NULL), -1);
	assert_string_equal(get(f, "out/f"), "!2");
	assert_string_equal(get(f, "out/g"), "!2");
	assert_string_equal(get(f, "out/secret"), "secret");
	scan(f);
	assert_int_equal(commit(f, false, NULL), -1);
	assert_int_equal(f->error.id, ERR_COW_CONFLICT);
	/* forced, the link gives way to the program's directory, and what it led to is untouched */
	must_commit(f, true, NULL);
	assert_string_equal(get(f, "low/d/f"), "new");
	assert_string_equal(get(f, "out/f"), "!2");
}

/* A second commit knows what the first one put there, also when it was cut off. */
static void goes_on(void **state)
{
	struct fixture *f = *state;
	char temp[32];
	int fd;

	all_kinds(f);
	scan(f);
	must_commit(f, false, "low/changed");
	must_commit(f, false, "low/gone");
	journal_temp(&f->cow, 0, "changed", temp);
	put(f, arena_printf(&f->arena, "low/%s", temp), "half");
	fd = open(at(f, "up/journal"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "p 0 12", 6), 6);
	close(fd);
	/* changed again above (a later run would): what lies below is ours, not the host's */
	put(f, "up/0/upper/changed", "newer");
	scan(f);
	must_commit(f, false, NULL);
	assert_string_equal(get(f, "low/changed"), "newer");
	assert_string_equal(get(f, arena_printf(&f->arena, "low/%s", temp)), "!2");
	scan(f);
	assert_string_equal(listing(f), "");
	/* but the host's change after our commit is the host's */
	put(f, "low/changed", "host's");
	scan(f);
	assert_int_equal(commit(f, false, NULL), -1);
	assert_int_equal(f->error.id, ERR_COW_CONFLICT);
}

static void stores(void **state)
{
	struct fixture *f = *state;
	struct timespec since = { 0 };
	struct cow other;
	struct stat st;
	int fd;

	start(f);
	scan(f);
	/* locked */
	assert_int_equal(cow_open(&other, at(f, "up"), &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_BUSY);
	cow_done(&other);
	assert_int_equal(cow_prepare_dir(at(f, "up"), &f->tree, 1, &since, "test", &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_BUSY);
	cow_done(&f->cow);
	f->open = false;
	/* taken up again with the first start's time; not with other trees */
	fd = cow_prepare_dir(at(f, "up"), &f->tree, 1, &since, "test", &f->error);
	assert_true(fd >= 0 && since.tv_sec > 0);
	close(fd);
	f->tree.ino++;
	assert_int_equal(cow_prepare_dir(at(f, "up"), &f->tree, 1, &since, "test", &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_UPPER);
	f->tree.ino--;
	/* another directory in the tree's place */
	assert_int_equal(rename(at(f, "low"), at(f, "low2")), 0);
	dir(f, "low");
	assert_int_equal(cow_open(&other, at(f, "up"), &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_CONFLICT);
	cow_done(&other);
	/* no store, a damaged one, a foreign one */
	assert_int_equal(cow_open(&other, at(f, "low"), &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_NONE);
	cow_done(&other);
	assert_int_equal(truncate(at(f, "up/record"), 40), 0);
	assert_int_equal(cow_open_store(&other, at(f, "up"), &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_RECORD);
	cow_done(&other);
	dir(f, "used");
	put(f, "used/file", "mine");
	assert_int_equal(cow_prepare_dir(at(f, "used"), &f->tree, 1, &since, "test", &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_UPPER);
	assert_int_equal(mkdir(at(f, "open"), 0777) | chmod(at(f, "open"), 0777), 0);
	assert_int_equal(cow_prepare_dir(at(f, "open"), &f->tree, 1, &since, "test", &f->error), -1);
	assert_int_equal(symlink(at(f, "low2"), at(f, "linked")), 0);
	assert_int_equal(cow_prepare_dir(at(f, "linked"), &f->tree, 1, &since, "test", &f->error), -1);
	assert_true(stat(at(f, "low2/record"), &st) < 0);
}

/* However deep and locked a tree is. */
static void deep_discard(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd, next;

	start(f);
	fd = open(at(f, "up/0/upper"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(fd, "a-name-of-some-length", 0755), 0);
		next = openat(fd, "a-name-of-some-length", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0));
		if (i % 7 == 0)
			fchmod(fd, 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(cow_open(&f->cow, at(f, "up"), &f->error), 0);
	f->open = true;
	assert_int_equal(cow_scan(&f->cow, &f->list, &f->error), -1);
	assert_int_equal(f->error.id, ERR_COW_READ);
	assert_int_equal(f->error.errnum, ENAMETOOLONG);
	assert_int_equal(cow_discard(&f->cow, &f->error), 0);
	assert_int_equal(stat(at(f, "up"), &st), -1);
}

static void sparse(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd;

	start(f);
	put(f, "up/0/upper/big", "begin");
	fd = open(at(f, "up/0/upper/big"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "middle", 6, 1 << 30), 6);
	assert_int_equal(ftruncate(fd, 3ll << 30), 0);
	close(fd);
	scan(f);
	must_commit(f, false, NULL);
	assert_int_equal(stat(at(f, "low/big"), &st), 0);
	assert_true(st.st_size == 3ll << 30 && st.st_blocks < 2048);
	fd = open(at(f, "low/big"), O_RDONLY | O_CLOEXEC);
	char buffer[8] = "";
	assert_true(pread(fd, buffer, 6, 1 << 30) == 6 && !strcmp(buffer, "middle"));
	close(fd);
}

/* Three trees: whiteouts of both kinds and opaque directories decide what is seen. */
static void layers(void **state)
{
	static const struct { const char *rel; int from; } wanted[] = {
		{ "base", 2 }, { "both", 0 }, { "mid", 1 }, { "gone", -1 }, { "gone-x", -1 }, { "d/low", -1 }, { "d/top", 0 }, { "d", 0 }, { "f/under", -1 },
		{ "f", 1 }, { "m/a", 2 }, { "m/b", 1 }, { "m/c", -1 }, { "none", -1 }, { "gone/in", -1 },
	};
	struct fixture *f = *state;
	int fds[3];
	struct cow_tree t = { .lowers = f->lower, .lower_count = 3, .lower = fds };

	for (int i = 0; i < 3; i++) {
		dir(f, arena_printf(&f->arena, "%d", i));
		fds[i] = open(at(f, arena_printf(&f->arena, "%d", i)), O_PATH | O_CLOEXEC);
	}
	put(f, "2/base", "");
	put(f, "2/both", "");
	put(f, "0/both", "");
	put(f, "1/mid", "");
	dir(f, "2/gone");
	put(f, "2/gone/in", "");
	whiteout(f, "1/gone");
	put(f, "2/gone-x", "x");
	put(f, "0/gone-x", "");
	assert_int_equal(setxattr(at(f, "0/gone-x"), "user.overlay.whiteout", "y", 1, 0), 0);
	dir(f, "2/d");
	put(f, "2/d/low", "");
	dir(f, "0/d");
	opaque(f, "0/d");
	put(f, "0/d/top", "");
	dir(f, "2/f");
	put(f, "2/f/under", "");
	put(f, "1/f", "");
	dir(f, "2/m");
	dir(f, "1/m");
	dir(f, "0/m");
	put(f, "2/m/a", "");
	put(f, "1/m/b", "");
	put(f, "2/m/c", "");
	whiteout(f, "1/m/c");
	for (size_t i = 0; i < COUNT_OF(wanted); i++) {
		struct stat st, real;
		int fd = cow_lower(&t, wanted[i].rel, &st);
		if ((fd >= 0) != (wanted[i].from >= 0))
			fail_msg("%s: %d", wanted[i].rel, fd);
		if (fd < 0) {
			assert_int_equal(fd, -ENOENT);
			continue;
		}
		close(fd);
		assert_int_equal(stat(at(f, arena_printf(&f->arena, "%d/%s", wanted[i].from, wanted[i].rel)), &real), 0);
		if (real.st_ino != st.st_ino)
			fail_msg("%s comes from another tree", wanted[i].rel);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* ---- unified diff: applied to the one text it must give the other ---- */
static const char *line_at(const char *s, const char *end, size_t *len)
{
	const char *nl = memchr(s, '\n', (size_t)(end - s));

	*len = nl ? (size_t)(nl - s) + 1 : (size_t)(end - s);
	return s;
}

static void apply(const char *a, size_t a_len, const char *hunks, struct text *out)
{
	const char *end = a + a_len, *h = hunks;
	size_t at_line = 0, n;

	text_add(out, "", 0);
	while (*h) {
		unsigned long start = 0, count = 1;
		if (h[0] == '@') {
			sscanf(h, "@@ -%lu,%lu", &start, &count);
			/* "-N" alone means one line; "-N,0" stands behind line N. */
			if (!strchr(h, ',') || strchr(h, ',') > strchr(h, '+'))
				count = 1;
			for (size_t stop = count ? start - 1 : start; at_line < stop; at_line++) {
				line_at(a, end, &n);
				text_add(out, a, n);
				a += n;
			}
		} else {
			const char *eol = strchr(h, '\n');
			size_t len = (size_t)(eol - h); /* without the newline */
			bool none = !strncmp(eol + 1, "\\ No newline", 12);
			if (*h != '+') {
				line_at(a, end, &n);
				assert_int_equal(n, len - 1 + !none);
				assert_memory_equal(a, h + 1, n);
				a += n;
				at_line++;
			}
			if (*h != '-')
				text_add(out, h + 1, len - 1 + !none);
			if (none)
				h = eol + 1;
		}
		h = strchr(h, '\n') + 1;
	}
	text_add(out, a, (size_t)(end - a));
}

static void check_diff(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct text hunks, result;

	text_init(&hunks);
	text_init(&result);
	unified_hunks(a, a_len, b, b_len, false, &hunks);
	assert_false(hunks.failed);
	apply(a, a_len, hunks.s ? hunks.s : "", &result);
	if (result.len != b_len || memcmp(result.s ? result.s : "", b, b_len))
		fail_msg("of\n%.*s\nto\n%.*s\nby\n%s\ncame\n%s", (int)a_len, a, (int)b_len, b, hunks.s ? hunks.s : "", result.s ? result.s : "");
	if (a_len == b_len && !memcmp(a, b, a_len))
		assert_int_equal(hunks.len, 0);
	text_done(&hunks);
	text_done(&result);
}

static size_t random_text(char *to, unsigned *seed, unsigned lines)
{
	size_t len = 0;

	for (unsigned i = 0; i < lines; i++) {
		to[len++] = (char)('a' + rand_r(seed) % 4);
		to[len++] = '\n';
	}
	return len && rand_r(seed) % 4 == 0 ? len - 1 : len;
}

static void unified(void **state)
{
	static char a[200000], b[200000];
	unsigned seed = 7;
	struct text t;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		size_t n = random_text(a, &seed, (unsigned)rand_r(&seed) % 30), m = random_text(b, &seed, (unsigned)rand_r(&seed) % 30);
		check_diff(a, n, b, m);
	}
	/* More edits than are looked for: still a right one. */
	size_t n = 0, m = 0;
	for (int i = 0; i < 4000; i++) {
		n += (size_t)sprintf(a + n, i % 500 ? "old %d\n" : "same %d\n", i);
		m += (size_t)sprintf(b + m, i % 500 ? "new %d\n" : "same %d\n", i);
	}
	check_diff(a, n, b, m);
	text_init(&t);
	unified_hunks("1\n2\n3\n4\n5\n6\n7\n8\n9\n", 18, "1\n2\n3\n4\nfive\n6\n7\n8\n9", 20, false, &t);
	assert_string_equal(t.s, "@@ -2,8 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n-9\n+9\n\\ No newline at end of file\n");
	text_done(&t);
	text_init(&t);
	unified_hunks("", 0, "\x1b[31m\xc3\xa9\xff\n", 9, true, &t);
	assert_string_equal(t.s, "@@ -0,0 +1 @@\n+\\x1b[31m\xc3\xa9\\xff\n");
	text_done(&t);
}

static void names(void **state)
{
	struct fixture *f = *state;

	assert_true(cow_name_valid("a.b-C_9") && !cow_name_valid("") && !cow_name_valid(".a") && !cow_name_valid("a/b") && !cow_name_valid("a b"));
	assert_string_equal(cow_name_path(&f->arena, NULL, "/home/u", "x"), "/home/u/.local/state/hutch/cow/x");
	assert_string_equal(cow_name_path(&f->arena, "/s", "/home/u", "x"), "/s/hutch/cow/x");
	assert_null(cow_name_path(&f->arena, "relative", NULL, "x"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(scan_kinds), TEST(commit_kinds), TEST(commit_some), TEST(conflicts), TEST(late_conflict), TEST(traps), TEST(links), TEST(goes_on),
		TEST(stores), TEST(deep_discard), TEST(sparse), TEST(layers), TEST(unified), TEST(names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
