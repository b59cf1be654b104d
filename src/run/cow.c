/* Where a run's changes are kept: the launcher's part.
 * Runs in: parent. */
#include "run/run.h"

#include <unistd.h>

#include "cow/cow.h"

static struct cow_tree *trees_of(const struct plan *p)
{
	struct cow_tree *trees = arena_alloc(p->arena, (p->cow.count + 1) * sizeof *trees);

	for (size_t i = 0; trees && i < p->cow.count; i++) {
		const struct cow_pair *x = &p->cow.pairs[i];
		trees[i] = (struct cow_tree){ .lowers = x->lowers, .lower_count = x->lower_count, .dst = x->dst, .dev = x->dev, .ino = x->ino, .upper = -1 };
	}
	return trees;
}

int cow_prepare(const struct plan *p, struct hutch_run *r, struct hutch_error *e)
{
	struct cow_tree *trees = trees_of(p);

	if (!trees)
		return error_nomem(e);
	cow_tick(&r->cow_since);
	if (!p->policy->cow_upper)
		return 0; /* in memory: the child makes it and sends it here */
	r->cow = cow_prepare_dir(p->policy->cow_upper, trees, p->cow.count, &r->cow_since, p->policy->origin[KEY_COW_UPPER], e);
	return r->cow < 0 ? -1 : 0;
}

int cow_of_run(const struct hutch_run *r, struct cow *out, struct hutch_error *e)
{
	const struct plan *p = r->plan;
	const char *path = p->policy->cow_upper;
	struct cow_tree *trees = r->cow < 0 ? NULL : trees_of(p);
	/* In a directory of the host owners are mapped back by the mount; in memory they are those of the run. */
	bool mapped = p->allocate_id && !path;

	if (!trees)
		return r->cow < 0 ? error_set(e, ERR_COW_NONE, 0, NULL, "a run without copy-on-write", "api") : error_nomem(e);
	return cow_take(out, r->cow, path, trees, p->cow.count, &r->cow_since, mapped ? r->allocated_id : geteuid(), mapped ? r->allocated_id : getegid(), e);
}
