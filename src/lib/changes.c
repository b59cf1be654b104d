/* Public changes: what a run made copy-on-write.
 * Runs in: parent. */
#include "lib/lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cow/cow.h"

struct hutch_changes {
	struct cow cow;
	struct cow_list list;
};

static int scanned(hutch_changes *c, int opened, hutch_changes **out, struct hutch_error *e)
{
	if (opened < 0 || cow_scan(&c->cow, &c->list, e) < 0) {
		hutch_changes_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

/* A name without a slash that is no directory here is one of hutch's own. */
static char *resolve(struct arena *a, const char *where, struct hutch_error *e)
{
	struct stat st;
	char *path;

	if (where[0] != '@' && (strchr(where, '/') || stat(where, &st) == 0))
		return arena_strdup(a, where);
	where += where[0] == '@';
	if (!cow_name_valid(where)) {
		error_set(e, ERR_COW_NONE, ENOENT, NULL, where, NULL);
		return NULL;
	}
	path = cow_name_path(a, getenv("XDG_STATE_HOME"), getenv("HOME"), where);
	if (!path)
		error_set(e, ERR_PATH_HOME, 0, NULL, where, NULL);
	return path;
}

int hutch_changes_open(const char *where, hutch_changes **out, struct hutch_error *e)
{
	hutch_changes *c = calloc(1, sizeof *c);
	struct arena a;
	char *path;
	int r = -1;

	*out = NULL;
	if (!c)
		return error_nomem(e);
	arena_init(&a);
	path = resolve(&a, where, e);
	if (path) {
		r = cow_open(&c->cow, path, e);
	} else {
		free(c);
		c = NULL;
	}
	arena_done(&a);
	return c ? scanned(c, r, out, e) : -1;
}

int hutch_run_changes(const hutch_run *r, hutch_changes **out, struct hutch_error *e)
{
	hutch_changes *c;

	*out = NULL;
	if (r->cow < 0 || !r->reaped)
		return error_set(e, ERR_COW_NONE, r->cow < 0 ? 0 : EBUSY, NULL, r->cow < 0 ? "a run without copy-on-write" : "a run that goes on", "api");
	c = calloc(1, sizeof *c);
	return c ? scanned(c, cow_of_run(r, &c->cow, e), out, e) : error_nomem(e);
}

size_t hutch_changes_count(const hutch_changes *c)
{
	return c->list.count;
}

char *hutch_changes_text(hutch_changes *c, unsigned how, struct hutch_error *e)
{
	struct text t;
	int r = 0;

	text_init(&t);
	text_add(&t, "", 0);
	if (how & HUTCH_CHANGES_JSON)
		cow_json(&c->cow, &c->list, &t);
	else if (how & HUTCH_CHANGES_UNIFIED)
		r = cow_unified(&c->cow, &c->list, how & HUTCH_CHANGES_SAFE, &t, e);
	else
		cow_text(&c->cow, &c->list, &t);
	if (r == 0 && !t.failed && !t.s)
		t.s = calloc(1, 1); /* no change */
	if (r < 0 || t.failed || !t.s) {
		text_done(&t);
		if (r == 0)
			error_nomem(e);
		return NULL;
	}
	return t.s;
}

int hutch_changes_commit(hutch_changes *c, const char *const *paths, unsigned flags, size_t *done, size_t *skipped, struct hutch_error *e)
{
	size_t own_done, own_skipped;

	return cow_commit(&c->cow, &c->list, paths, flags & HUTCH_COMMIT_FORCE, done ? done : &own_done, skipped ? skipped : &own_skipped, e);
}

int hutch_changes_discard(hutch_changes *c, struct hutch_error *e)
{
	return cow_discard(&c->cow, e);
}

int hutch_changes_discard_at(const char *where, struct hutch_error *e)
{
	struct cow c;
	struct arena a;
	char *path;
	int r = -1;

	arena_init(&a);
	path = resolve(&a, where, e);
	if (path) {
		r = cow_open_store(&c, path, e) < 0 ? -1 : cow_discard(&c, e);
		cow_done(&c);
	}
	arena_done(&a);
	return r;
}

void hutch_changes_free(hutch_changes *c)
{
	if (!c)
		return;
	cow_done(&c->cow);
	free(c);
}

const char *hutch_run_on_exit(const hutch_run *r)
{
	static const char *const words[] = { [ON_EXIT_COMMIT] = "commit", [ON_EXIT_DISCARD] = "discard", [ON_EXIT_KEEP] = "keep", [ON_EXIT_ASK] = "ask" };
	const struct policy *p = r->plan->policy;

	if (!r->plan->cow.used)
		return NULL;
	return p->on_exit == ON_EXIT_AUTO ? words[p->cow_upper ? ON_EXIT_KEEP : ON_EXIT_DISCARD] : words[p->on_exit];
}

bool hutch_run_kept(const hutch_run *r)
{
	return r->cow >= 0 && r->plan->policy->cow_upper;
}

int hutch_run_usage(const hutch_run *r, struct hutch_usage *out, struct hutch_error *e)
{
	int n = r->cow < 0 ? -EBADF : cow_usage(r->cow, &out->bytes_used, &out->bytes, &out->files_used, &out->files);

	return n < 0 ? error_set(e, ERR_COW_NONE, r->cow < 0 ? 0 : -n, r->cow < 0 ? NULL : "fstatfs", "this run", "api") : 0;
}
