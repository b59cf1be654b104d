/* System call filters of the plan.
 * Runs in: parent. */
#include "layer/layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "layer/filter.h"

/* A policy names the file, so it is read here; this is the one place where compiling reads a file. */
static char *read_profile(struct build *b, const struct seccomp_want *w, size_t *len)
{
	const size_t most = 4u << 20;
	FILE *f = fopen(w->path, "re");
	char *text = f ? arena_alloc(b->plan->arena, most + 1) : NULL;

	if (!f) {
		error_set(b->error, ERR_SECCOMP_READ, errno, "open", w->path, w->origin);
		return NULL;
	}
	if (text) {
		*len = fread(text, 1, most + 1, f);
		if (ferror(f) || *len > most) {
			error_set(b->error, ERR_SECCOMP_READ, ferror(f) ? EIO : EFBIG, "read", w->path, w->origin);
			text = NULL;
		}
	} else {
		error_nomem(b->error);
	}
	fclose(f);
	return text;
}

static int profile(struct build *b, const struct seccomp_want *w, struct filter *out, const char **notes)
{
	struct text t;
	struct sock_filter *words;
	size_t len = 0;
	char *bytes = read_profile(b, w, &len);
	int r;

	if (!bytes)
		return -1;
	text_init(&t);
	r = filter_profile(b->plan->arena, w->path, bytes, len, b->policy->caps, b->host->kernel_major, b->host->kernel_minor,
			   &words, &out->count, &t, w->origin, b->error);
	out->words = words;
	*notes = t.len ? arena_strdup(b->plan->arena, t.s) : NULL;
	text_done(&t);
	return r;
}

static int one(struct build *b, const struct seccomp_want *w)
{
	struct plan *p = b->plan;
	struct filter *f = &p->filters[p->filter_count];
	const char *notes = NULL, *origin = w->origin;
	struct op *op;

	if (p->filter_count >= COUNT_OF(p->filters))
		return error_set(b->error, ERR_SECCOMP_MANY, 0, NULL, "seccomp", origin);
	if (w->kind == SECCOMP_PROFILE_FILE) {
		f->name = w->path;
		if (profile(b, w, f, &notes) < 0)
			return -1;
	} else {
		f->name = w->kind == SECCOMP_BUILTIN_STRICT ? "strict" : "default";
		f->words = filter_builtin(f->name, b->policy->compat_deny, b->policy->nest, &f->count);
		if (!f->words)
			return error_set(b->error, ERR_SECCOMP_MISSING, 0, NULL, f->name, origin);
	}
	op = build_op(b, SECTION_SECCOMP, OP_SECCOMP, f->name, origin);
	if (!op)
		return -1;
	op->number[0] = p->filter_count++;
	return build_row(b, ROW_ENFORCED, "system calls", f->name, f->name, arena_printf(p->arena, "seccomp filter, %zu instructions", f->count), notes, origin);
}

int seccomp_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (!p->seccomp_count)
		return build_row(b, ROW_OPEN, "system calls", "none", "all", "-", "no filter", p->origin[KEY_SECCOMP]);
	if (!b->host->seccomp_filter)
		return error_set(b->error, ERR_SECCOMP_MISSING, 22, "seccomp", "this kernel", p->origin[KEY_SECCOMP]);
	/* Profiles of files first: the built-in filters refuse to stack listeners, not filters, so any order holds. */
	for (size_t i = 0; i < p->seccomp_count; i++) {
		if (one(b, &p->seccomp[i]) < 0)
			return -1;
	}
	return 0;
}
