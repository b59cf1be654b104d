/* Layers in overlay form to one plain tree: files are hard links to the layers' (nothing ever writes to either).
 * Runs in: parent (confined). */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct merge {
	struct job *job;
	struct tree tree;
	char path[8192];
};

static int failed(struct merge *m, int errnum, const char *call, const char *name)
{
	return error_set(m->job->error, ERR_IMAGE_STORE, errnum, call, name, m->job->store_path);
}

static int merge_directory(struct merge *m, int from, int to, size_t len);

static int remove_content_of(struct merge *m, int dir)
{
	int copy = open_beneath(dir, "", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	int r = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return failed(m, copy < 0 ? -copy : errno, "openat2", "(directory)");
	}
	while (r == 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = tree_remove(&m->tree, dir, entry->d_name);
	}
	closedir(d);
	return r;
}

/* Mode, owner and time, at the end: until then it must be writable. */
static int note(struct merge *m, const struct stat *st)
{
	const struct owners *o = &m->job->owners;
	struct directory d = { .path = arena_strdup(&m->job->arena, m->path), .mode = st->st_mode & 07777, .mtime = st->st_mtim };

	if (o->ranges) {
		d.uid = st->st_uid - o->uid_base;
		d.gid = st->st_gid - o->gid_base;
	}
	return d.path ? tree_note_directory(&m->tree, &d) : error_nomem(m->job->error);
}

static int enter(struct merge *m, int from, int to, const char *name, size_t len, const struct stat *st)
{
	struct stat before;
	bool there = tree_stat(to, name, &before) && S_ISDIR(before.st_mode);
	int below, into, r;

	if (!there) {
		if (tree_remove(&m->tree, to, name) < 0)
			return -1;
		if (mkdirat(to, name, 0700) < 0)
			return failed(m, errno, "mkdirat", m->path);
	}
	below = open_beneath(from, name, O_RDONLY | O_DIRECTORY, 0);
	into = open_beneath(to, name, O_RDONLY | O_DIRECTORY, 0);
	if (below < 0 || into < 0)
		r = failed(m, below < 0 ? -below : -into, "openat2", m->path);
	else
		r = there && tree_is_implicit(below) ? 0 : note(m, st);
	if (r == 0 && tree_is_opaque(below))
		r = remove_content_of(m, into);
	if (r == 0)
		r = merge_directory(m, below, into, len);
	if (below >= 0)
		close(below);
	if (into >= 0)
		close(into);
	return r;
}

static int merge_entry(struct merge *m, int from, int to, const char *name, size_t at)
{
	size_t n = strlen(name), len = at + (at ? 1 : 0) + n;
	struct stat st;

	if (len >= sizeof m->path)
		return failed(m, ENAMETOOLONG, NULL, name);
	if (at)
		m->path[at] = '/';
	memcpy(m->path + len - n, name, n + 1);
	if (!tree_stat(from, name, &st))
		return failed(m, errno, "fstatat", m->path);
	if (S_ISDIR(st.st_mode))
		return enter(m, from, to, name, len, &st);
	if (tree_remove(&m->tree, to, name) < 0)
		return -1;
	if (tree_is_whiteout(&st))
		return 0;
	return linkat(from, name, to, name, 0) == 0 ? 0 : failed(m, errno, "linkat", m->path);
}

static int merge_directory(struct merge *m, int from, int to, size_t len)
{
	int copy = open_beneath(from, "", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	int r = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return failed(m, copy < 0 ? -copy : errno, "openat2", m->path);
	}
	while (r == 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = merge_entry(m, from, to, entry->d_name, len);
		m->path[len] = 0;
	}
	closedir(d);
	return r;
}

static int merge_layer(struct merge *m, int from, int root, bool first)
{
	struct stat st;

	m->path[0] = 0;
	if (fstat(from, &st) < 0)
		return failed(m, errno, "fstat", "(layer)");
	if (((first || !tree_is_implicit(from)) && note(m, &st) < 0) || (tree_is_opaque(from) && remove_content_of(m, root) < 0))
		return -1;
	return merge_directory(m, from, root, 0);
}

int flatten_layers(struct job *job, const int *layers, size_t count, int root)
{
	struct merge m = { .job = job };
	int r = 0;

	tree_init(&m.tree, job, root);
	for (size_t i = 0; i < count && r == 0; i++)
		r = merge_layer(&m, layers[i], root, i == 0);
	if (r == 0)
		r = tree_finish_directories(&m.tree);
	tree_done(&m.tree);
	return r;
}
