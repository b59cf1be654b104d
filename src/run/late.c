/* Names that must not have been made, looked for when the run has ended: what stands there is moved aside.
 * Nobody of the sandbox is left, so what is looked at doesn't change any more by its hand.
 * Runs in: parent. */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sys.h"

#define NOREPLACE 1u /* RENAME_NOREPLACE */
#define SUFFIX ".hutch-aside"
#define TRIES 1000

static void note(struct hutch_run *r, const struct late_name *l, size_t len, const char *to, int errnum)
{
	struct late_found *grown = realloc(r->aside, (r->aside_count + 1) * sizeof *grown);
	struct text path, moved;

	if (!grown) {
		r->aside_lost = true;
		return;
	}
	r->aside = grown;
	text_init(&path);
	text_init(&moved);
	text_printf(&path, "%s/%.*s", l->tree, (int)len, l->rest);
	if (to) {
		const char *slash = memrchr(l->rest, '/', len);
		text_printf(&moved, "%s/%.*s%s", l->tree, slash ? (int)(slash - l->rest + 1) : 0, l->rest, to);
	}
	r->aside_lost |= path.failed || moved.failed;
	grown[r->aside_count++] = (struct late_found){ .path = path.s, .to = moved.s, .origin = l->origin, .errnum = errnum };
}

/* Beside itself, under a name that nothing looks for and that isn't taken. */
static void move_aside(struct hutch_run *r, const struct late_name *l, int dir, const char *name, size_t len)
{
	char to[300];
	int n = -EEXIST;

	for (unsigned i = 1; i <= TRIES && n == -EEXIST; i++) {
		if (i == 1)
			snprintf(to, sizeof to, "%.230s" SUFFIX, name);
		else
			snprintf(to, sizeof to, "%.230s" SUFFIX "-%u", name, i);
		n = (int)SYS5(SYS_renameat2, dir, name, dir, to, NOREPLACE);
	}
	note(r, l, len, n < 0 ? NULL : to, n < 0 ? -n : 0);
}

static bool same_link(int dir, const char *name, const char *text)
{
	char now[4096];
	long n = text ? SYS4(SYS_readlinkat, dir, name, now, sizeof now) : -1;

	return n >= 0 && (size_t)n == strlen(text) && !memcmp(now, text, (size_t)n);
}

/* 1 = go on below name, whose descriptor is in *dir, beside top; 0 = this is the end. */
static int descend(struct hutch_run *r, const struct late_name *l, int top, int *dir, const char *name, size_t len, bool last)
{
	struct stat s;
	int next;

	if (fstatat(*dir, name, &s, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			note(r, l, len, NULL, errno);
		return 0;
	}
	if (last && l->link && same_link(*dir, name, l->link))
		return 0;
	/* A link or a file on the way leads elsewhere: it wasn't there, or it was a directory. */
	if (last || !S_ISDIR(s.st_mode)) {
		move_aside(r, l, *dir, name, len);
		return 0;
	}
	next = openat(*dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0) {
		note(r, l, len, NULL, errno);
		return 0;
	}
	if (*dir != top)
		close(*dir);
	*dir = next;
	return 1;
}

static void look(struct hutch_run *r, const struct late_name *l, int top)
{
	int dir = top, go = 1;

	for (size_t at = 0; go && l->rest[at];) {
		size_t n = strcspn(l->rest + at, "/"), end = at + n;
		char name[256];
		copy_bounded(name, n + 1 < sizeof name ? n + 1 : sizeof name, l->rest + at);
		go = descend(r, l, top, &dir, name, end, !l->rest[end]);
		at = end + (l->rest[end] == '/');
	}
	if (dir != top)
		close(dir);
}

/* The very directory that the plan was made for. Negative errno. */
static int open_tree_of(const struct late_name *l)
{
	int fd = open(l->tree, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat s;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &s) == 0 && s.st_dev == l->dev && s.st_ino == l->ino)
		return fd;
	close(fd);
	return -ESTALE;
}

void late_check(struct hutch_run *r)
{
	const struct plan *p = r->plan;
	int top = -1;

	for (size_t i = 0; i < p->late_count; i++) {
		const struct late_name *l = &p->late[i];
		if (!i || strcmp(l->tree, p->late[i - 1].tree)) {
			if (top >= 0)
				close(top);
			top = open_tree_of(l);
		}
		if (top < 0)
			note(r, l, strlen(l->rest), NULL, -top);
		else
			look(r, l, top);
	}
	if (top >= 0)
		close(top);
}

void late_done(struct hutch_run *r)
{
	for (size_t i = 0; i < r->aside_count; i++) {
		free(r->aside[i].path);
		free(r->aside[i].to);
	}
	free(r->aside);
	r->aside = NULL;
	r->aside_count = 0;
}

bool hutch_run_aside(const hutch_run *r, size_t index, struct hutch_aside *out)
{
	if (index >= r->aside_count)
		return false;
	*out = (struct hutch_aside){ r->aside[index].path, r->aside[index].to, r->aside[index].errnum };
	return true;
}
