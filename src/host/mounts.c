/* The caller's mounts: what lies below a path, and where a path lies in its file system, whatever name leads there.
 * Runs in: parent. */
#include <stdio.h>
#include <string.h>

#include "host/internal.h"

struct mount {
	unsigned id;
	const char *place, *location; /* mount point; "major:minor:" and the path of the mount's root in its file system */
};
struct mounts {
	bool live, read;
	struct table known;      /* mount points: index of paths */
	const char **paths;
	size_t count, cap;
	struct table on;         /* "parent:mount point": struct mount * of the one on top */
	struct mount *root;
};

static int add_path(struct host *h, const char *path)
{
	struct mounts *m = h->mount_data;

	if (table_find(&m->known, path, strlen(path)))
		return 0;
	const char **grown = arena_grow(h->arena, m->paths, m->count, &m->cap, sizeof *grown);
	char *copy = arena_strdup(h->arena, path);

	if (!grown || !copy || !table_put(&m->known, h->arena, copy, strlen(copy), m->count))
		return -1;
	m->paths = grown;
	m->paths[m->count++] = copy;
	return 0;
}

/* Fields of mountinfo: id, parent, device, root in the file system, mount point, … */
static int add_line(struct host *h, char *line)
{
	struct mounts *m = h->mount_data;
	struct mount *x = arena_alloc(h->arena, sizeof *x);
	char *field[5], *rest = line, *key;

	for (int i = 0; i < 5; i++) {
		if (!(field[i] = strsep(&rest, " ")) || !rest)
			return 0; /* not a line of this kind */
	}
	host_unescape(field[3]);
	host_unescape(field[4]);
	if (!x || !(key = arena_printf(h->arena, "%s:%s", field[1], field[4])) ||
	    !(x->location = arena_printf(h->arena, "%s:%s", field[2], strcmp(field[3], "/") ? field[3] : "")))
		return -1;
	sscanf(field[0], "%u", &x->id);
	x->place = field[4];
	if (!strcmp(x->place, "/"))
		m->root = x;
	else if (!table_put(&m->on, h->arena, key, strlen(key), (size_t)x))
		return -1;
	return add_path(h, x->place);
}

static int mounts_read(struct host *h)
{
	struct mounts *m = h->mount_data;
	char *rest = host_read_file(h->arena, "/proc/self/mountinfo", NULL), *line;

	m->read = true;
	while ((line = strsep(&rest, "\n"))) {
		if (add_line(h, line) < 0)
			return -1;
	}
	return 0;
}

/* What is mounted on this beginning of the path, in mount x; mounts may be stacked. */
static const struct mount *step(struct host *h, const struct mount *x, const char *path, size_t len)
{
	struct mounts *m = h->mount_data;

	for (;;) {
		char *key = arena_printf(h->arena, "%u:%.*s", x->id, (int)len, path);
		const size_t *on = key ? table_find(&m->on, key, strlen(key)) : NULL;
		if (!on || (const struct mount *)*on == x)
			return x;
		x = (const struct mount *)*on;
	}
}

/* The mount that a canonical path lies in. */
static const struct mount *mount_of(struct host *h, const char *path)
{
	const struct mount *x = ((struct mounts *)h->mount_data)->root;

	for (size_t n = 1; path[n - 1]; n++) {
		if (path[n] == '/' || !path[n])
			x = step(h, x, path, n);
	}
	return x;
}

static const char *const *submounts(struct host *h, const char *path)
{
	struct mounts *m = h->mount_data;
	size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path), n = 0;

	if (m->live && !m->read && mounts_read(h) != 0)
		return NULL;
	const char **list = arena_alloc(h->arena, (m->count + 1) * sizeof *list);

	for (size_t i = 0; list && i < m->count; i++) {
		const char *at = m->paths[i];
		if (strncmp(at, path, len) != 0 || (at[len] != '\0' && at[len] != '/'))
			continue;
		/* One that a later mount hides can't be reached. */
		if (!m->root || strcmp(mount_of(h, at)->place, at) == 0)
			list[n++] = at;
	}
	return list;
}

static const char *locate(struct host *h, const char *path)
{
	struct mounts *m = h->mount_data;

	if (m->live && !m->read && mounts_read(h) != 0)
		return NULL;
	if (!m->root) /* a recorded host, or one without /proc: the names are all that is known */
		return arena_printf(h->arena, "?:%s", strcmp(path, "/") ? path : "");
	const struct mount *x = mount_of(h, path);
	const char *rest = !strcmp(x->place, "/") ? path : path + strlen(x->place);

	return arena_printf(h->arena, "%s%s", x->location, strcmp(rest, "/") ? rest : "");
}

int host_mounts_new(struct host *h, bool live)
{
	struct mounts *m = arena_alloc(h->arena, sizeof *m);

	if (!m)
		return -1;
	m->live = live;
	h->mount_data = m;
	h->submounts = submounts;
	h->locate = locate;
	return 0;
}

int host_table_mount(struct host *h, const char *path)
{
	return add_path(h, path);
}
