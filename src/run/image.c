/* Packs a plan for the launching helper. The child decides nothing, so it needs no more than this.
 * Runs in: parent. */
#include "run/image.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct image { char *data; size_t len, cap; bool failed; };

/* A pointer that is added to one of these must be packed below, or the child would follow it into nothing. */
_Static_assert(sizeof(struct op) == 96, "pack the new member of struct op");
_Static_assert(sizeof(struct child) == 696, "pack the new member of struct child");
_Static_assert(sizeof(struct plan) == 872, "pack the new member of struct plan, or clear it");

/* Offset of len zeroed bytes. */
static size_t reserve(struct image *m, size_t len)
{
	size_t at = (m->len + 15) & ~(size_t)15, cap = m->cap ? m->cap : 32768;
	char *grown;

	while (cap < at + len)
		cap *= 2;
	if (cap != m->cap) {
		grown = m->failed ? NULL : realloc(m->data, cap);
		if (!grown) {
			m->failed = true;
			return 0;
		}
		memset(grown + m->cap, 0, cap - m->cap);
		m->data = grown;
		m->cap = cap;
	}
	m->len = at + len;
	return at;
}

static void *address(size_t at)
{
	return (void *)(uintptr_t)(IMAGE_BASE + at);
}

static void *put(struct image *m, const void *bytes, size_t len)
{
	size_t at;

	if (!bytes)
		return NULL;
	at = reserve(m, len + 1); /* one more: a string stays one */
	if (m->failed)
		return NULL;
	if (len)
		memcpy(m->data + at, bytes, len);
	return address(at);
}

static char *put_string(struct image *m, const char *s)
{
	return s ? put(m, s, strlen(s)) : NULL;
}

static size_t data_size(const struct op *op)
{
	if (op->kind == OP_SETGROUPS)
		return op->data_len * sizeof(uint32_t);
	return op->data_len ? op->data_len : op->data ? strlen(op->data) : 0;
}

static struct op *put_ops(struct image *m, const struct plan *p)
{
	size_t at = reserve(m, (p->op_count + 1) * sizeof(struct op));

	for (size_t i = 0; i < p->op_count; i++) {
		struct op op = p->ops[i];
		op.path = put_string(m, op.path);
		op.path2 = put_string(m, op.path2);
		op.origin = put_string(m, op.origin);
		op.data = put(m, op.data, data_size(&p->ops[i]));
		if (m->failed)
			return NULL;
		memcpy(m->data + at + i * sizeof op, &op, sizeof op);
	}
	return address(at);
}

static char *const *put_strings(struct image *m, char *const *list)
{
	size_t count = 0, at;

	while (list[count])
		count++;
	at = reserve(m, (count + 1) * sizeof *list);
	for (size_t i = 0; i < count; i++) {
		char *s = put_string(m, list[i]);
		if (m->failed)
			return NULL;
		memcpy(m->data + at + i * sizeof s, &s, sizeof s);
	}
	return address(at);
}

static void put_plan(struct image *m, const struct plan *p, struct plan *out)
{
	*out = *p;
	/* The launcher's alone. */
	out->arena = NULL;
	out->opened = NULL;
	out->rows = NULL;
	out->uid_extents = out->gid_extents = NULL;
	out->exec_path = out->exec_host_path = NULL;
	out->cgroups = NULL;
	out->cgroup_writes = NULL;
	out->late = NULL;
	out->cgroup_manager = NULL;
	memset(&out->cow, 0, sizeof out->cow); /* the helper isn't used for it */
	memset(out->output_file, 0, sizeof out->output_file);
	out->policy = address(offsetof(struct image_header, policy));
	out->ops = put_ops(m, p);
	out->argv = put_strings(m, p->argv);
	out->envp = put_strings(m, p->envp);
	for (size_t i = 0; i < p->filter_count; i++) {
		out->filters[i].name = put_string(m, p->filters[i].name);
		out->filters[i].words = put(m, p->filters[i].words, p->filters[i].count * sizeof *p->filters[i].words);
	}
}

void *image_pack(const struct child *c, size_t *size)
{
	struct image m = { 0 };
	struct image_header h = { .magic = IMAGE_MAGIC, .child = *c, .policy = *c->plan->policy };
	struct child *child = &h.child;

	reserve(&m, sizeof h);
	put_plan(&m, c->plan, &h.plan);
	child->plan = address(offsetof(struct image_header, plan));
	child->error = address(offsetof(struct image_header, error));
	child->slots = put(&m, c->slots, c->plan->opened_count * sizeof *c->slots);
	child->held = put(&m, c->held, c->plan->policy->fd_count * sizeof *c->held);
	child->keep = put(&m, c->keep, c->keep_count * sizeof *c->keep);
	child->files = put(&m, c->files, sizeof *c->files);
	child->fork = NULL; /* of the launcher's C library; it stands for programs that go on */
	if (c->allocated_id) {
		h.allocated_id = *c->allocated_id;
		child->allocated_id = address(offsetof(struct image_header, allocated_id));
	}
	/* The helper's own words and environment hold nothing of the caller's. */
	child->words.start = child->words.end = child->environment.start = child->environment.end = NULL;
	child->small = true;
	if (m.failed) {
		free(m.data);
		return NULL;
	}
	h.size = *size = m.len;
	memcpy(m.data, &h, sizeof h);
	return m.data;
}
