/* Freezing of the key fd: which descriptors the program gets, and under which numbers.
 * Runs in: parent. PURE. */
#include "policy/freeze.h"

#include <string.h>

#define FD_MAX 1048576u

/* "N", or "INSIDE=OUTSIDE". 0-2 are the caller's own unless another descriptor is named for them. */
static int parse_place(struct freeze *f, const struct draft_line *l, int *inside, int *outside)
{
	const char *equals = strchr(l->value, '=');
	char *first = equals ? arena_strndup(f->arena, l->value, (size_t)(equals - l->value)) : NULL;
	uint64_t in, out;

	if (equals && !first)
		return error_nomem(f->error);
	if (parse_u64(first ? first : l->value, &in) < 0 || in > FD_MAX || (!equals && in < 3))
		return bad_value(f, l, "it isn't such a descriptor number (0 to 2 are always there; INSIDE=OUTSIDE gives another for them)");
	out = in;
	if (equals && (parse_u64(equals + 1, &out) < 0 || out > FD_MAX))
		return bad_value(f, l, "\"%.40s\" isn't a descriptor number", equals + 1);
	*inside = (int)in;
	*outside = (int)out;
	return 0;
}

/* Both arrays grow together and stay sorted by the inside number. */
static int insert(struct freeze *f, size_t at, int inside, int outside)
{
	struct policy *p = f->policy;

	for (size_t i = p->fd_count; i > at; i--) {
		p->fds[i] = p->fds[i - 1];
		p->fds_from[i] = p->fds_from[i - 1];
	}
	p->fds[at] = inside;
	p->fds_from[at] = outside;
	p->fd_count++;
	return 0;
}

static int add_place(struct freeze *f, const struct draft_line *l)
{
	struct policy *p = f->policy;
	int inside = -1, outside = -1;
	size_t at = 0;

	if (parse_place(f, l, &inside, &outside) < 0)
		return -1;
	while (at < p->fd_count && p->fds[at] < inside)
		at++;
	if (at == p->fd_count || p->fds[at] != inside)
		return insert(f, at, inside, outside);
	if (p->fds_from[at] == outside)
		return 0;
	return bad_value(f, l, "descriptor %d inside is already the caller's %d", inside, p->fds_from[at]);
}

int freeze_fds(struct freeze *f)
{
	struct policy *p = f->policy;
	size_t lines = 0;

	for (size_t i = 0; i < f->order_count; i++)
		lines += f->order[i]->key == KEY_FD;
	if (!lines)
		return 0;
	p->fds = arena_alloc(f->arena, lines * sizeof *p->fds);
	p->fds_from = arena_alloc(f->arena, lines * sizeof *p->fds_from);
	if (!p->fds || !p->fds_from)
		return error_nomem(f->error);
	for (size_t i = 0; i < f->order_count; i++) {
		if (f->order[i]->key == KEY_FD && add_place(f, f->order[i]) < 0)
			return -1;
	}
	return 0;
}

bool policy_places(const struct policy *p, int inside)
{
	for (size_t i = 0; i < p->fd_count && p->fds[i] <= inside; i++) {
		if (p->fds[i] == inside)
			return true;
	}
	return false;
}
