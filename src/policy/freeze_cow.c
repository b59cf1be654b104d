/* Freezing copy-on-write: the layers of a root, and where changes are kept. PURE.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>

bool cow_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len <= 64 && name[0] != '.' && strspn(name, allowed) == len;
}

char *cow_name_path(struct arena *a, const char *state, const char *home, const char *name)
{
	if (state && state[0] == '/')
		return arena_printf(a, "%s/hutch/cow/%s", state, name);
	return home && home[0] == '/' ? arena_printf(a, "%s/.local/state/hutch/cow/%s", home, name) : NULL;
}

static const char *variable(const struct freeze *f, const char *name)
{
	size_t len = strlen(name);

	for (const char *const *v = f->context->environ; v && *v; v++) {
		if (!strncmp(*v, name, len) && (*v)[len] == '=')
			return *v + len + 1;
	}
	return NULL;
}

static int freeze_upper(struct freeze *f)
{
	const struct draft_line *l = f->winner[KEY_COW_UPPER];
	struct policy *p = f->policy;

	if (!l)
		return 0;
	if (l->value[0] != '@') {
		p->cow_upper = source_path(f, l, l->value);
		return p->cow_upper ? 0 : -1;
	}
	if (!cow_name_valid(l->value + 1))
		return bad_value(f, l, "a name is 1 to 64 letters, digits, dots, dashes and underscores, and doesn't begin with a dot");
	p->cow_upper = cow_name_path(f->arena, variable(f, "XDG_STATE_HOME"), f->context->home, l->value + 1);
	return p->cow_upper ? 0 : error_set(f->error, ERR_PATH_HOME, 0, NULL, l->value, l->origin);
}

static int freeze_layers(struct freeze *f)
{
	const char **layers = arena_alloc(f->arena, (f->order_count + 1) * sizeof *layers);
	struct policy *p = f->policy;

	if (!layers)
		return error_nomem(f->error);
	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		if (l->key != KEY_LAYER)
			continue;
		if (p->layer_count == LAYERS_MAX)
			return bad_value(f, l, "there are more than %u layers", LAYERS_MAX);
		if (!(layers[p->layer_count++] = source_path(f, l, l->value)))
			return -1;
	}
	p->layers = layers;
	/* A stack of layers is written to by nobody: what the program writes goes on top, unless it may not. */
	if (p->layer_count && p->strength[KEY_ROOTFS_ACCESS] != STRENGTH_REQUIRED)
		p->rootfs_cow = p->rootfs_rw = true;
	return 0;
}

int freeze_cow(struct freeze *f)
{
	return freeze_upper(f) < 0 ? -1 : freeze_layers(f);
}
