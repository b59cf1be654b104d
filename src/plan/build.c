/* Appending to a plan under construction.
 * Runs in: parent. */
#include "plan/plan.h"

#include <string.h>

struct op *build_op(struct build *b, enum plan_section s, enum op_kind k, const char *path, const char *origin)
{
	struct plan *p = b->plan;
	struct op *ops = arena_grow(p->arena, p->ops, p->op_count, &p->op_cap, sizeof *ops);

	if (!ops) {
		error_nomem(b->error);
		return NULL;
	}
	p->ops = ops;
	struct op *op = &ops[p->op_count++];
	memset(op, 0, sizeof *op);
	op->kind = (uint16_t)k;
	op->section = (uint16_t)s;
	op->path = path;
	op->origin = origin;
	for (size_t i = (size_t)s + 1; i <= SECTION_COUNT; i++)
		p->section_start[i] = p->op_count;
	return op;
}

int build_row(struct build *b, enum row_state state, const char *what, const char *asked, const char *got,
	      const char *means, const char *why, const char *origin)
{
	struct plan *p = b->plan;
	struct row *rows = arena_grow(p->arena, p->rows, p->row_count, &p->row_cap, sizeof *rows);

	if (!rows)
		return error_nomem(b->error);
	p->rows = rows;
	rows[p->row_count++] = (struct row){
		.what = what, .asked = asked, .got = got, .means = means, .why = why, .origin = origin, .state = state,
	};
	return 0;
}

int build_opened(struct build *b, enum opened_kind k, const char *path, const char *origin)
{
	struct plan *p = b->plan;
	struct opened *o = arena_grow(p->arena, p->opened, p->opened_count, &p->opened_cap, sizeof *o);

	if (!o)
		return error_nomem(b->error);
	p->opened = o;
	o[p->opened_count] = (struct opened){ .kind = k, .path = path, .origin = origin };
	return (int)p->opened_count++;
}
