/* The work: from a layout to trees in the store, and what the image says about running it.
 * Runs in: parent (confined). */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MOST_NESTED 4
#define MOST_OVERLAY 100 /* trees; the kernel takes 500, but their names must fit into a page */
#define MOST_USERS (1u << 20)

/* ---- documents ---- */
static int read_manifest(struct job *job, struct image *image, char digest[DIGEST_HEX + 1])
{
	struct descriptor d;
	enum document kind;
	const char *text, *tag = job->tag, *name = job->layout_path;
	size_t len;

	if (layout_read(job, "oci-layout", &text, &len) < 0 || layout_check(&job->arena, text, len, job->error) < 0 ||
	    layout_read(job, "index.json", &text, &len) < 0)
		return -1;
	for (int depth = 0; depth <= MOST_NESTED; depth++) {
		if (index_choose(&job->arena, name, text, len, tag, &job->platform, &d, job->error) < 0 ||
		    document_kind(&d, &kind, job->error) < 0 || blob_read(job, &d, &text, &len) < 0)
			return -1;
		if (kind == DOCUMENT_MANIFEST) {
			memcpy(digest, d.digest, sizeof d.digest);
			return manifest_read(&job->arena, d.media, text, len, job->limit[OPT_MAX_LAYERS], image, job->error);
		}
		/* Names are the outermost index's. */
		tag = NULL;
		name = arena_strdup(&job->arena, d.digest);
	}
	error_set(job->error, ERR_IMAGE_DOCUMENT, 0, NULL, d.digest, job->layout_path);
	return error_detail(job->error, "indexes within indexes, more than %d deep", MOST_NESTED);
}

static int read_image(struct job *job, struct image *image, char digest[DIGEST_HEX + 1])
{
	const char *text;
	size_t len;

	if (read_manifest(job, image, digest) < 0 || blob_read(job, &image->config_blob, &text, &len) < 0)
		return -1;
	return config_read(&job->arena, text, len, &job->platform, image, job->error);
}

/* ---- trees ---- */
static const char *info_text(struct job *job, const struct image_layer *l, const struct counts *c)
{
	return arena_printf(&job->arena, "blob sha256:%s\nfiles %llu\ndirectories %llu\nlinks %llu\nwhiteouts %llu\nleft out: devices, fifos %llu\nsetuid and setgid bits taken off %llu\n",
			    l ? l->blob.digest : "-", (unsigned long long)c->files, (unsigned long long)c->directories, (unsigned long long)c->links,
			    (unsigned long long)c->whiteouts, (unsigned long long)c->devices, (unsigned long long)c->setid);
}

static void note(struct job *job, const struct counts *c)
{
	const char *text = c->devices ? arena_printf(&job->arena, "%llu device nodes, fifos or sockets were left out", (unsigned long long)c->devices) : NULL;

	if (text)
		put_record(job, "note", text);
	text = c->setid ? arena_printf(&job->arena, "setuid and setgid bits of %llu files were taken off", (unsigned long long)c->setid) : NULL;
	if (text)
		put_record(job, "note", text);
}

/* The layer's tree, unpacked now or before. */
static int layer_tree(struct job *job, const struct image_layer *l)
{
	struct counts counts = { 0 };
	struct store_temp t;
	int fd = store_find(job, "", l->diff_id);

	if (fd != -2)
		return fd;
	if (store_begin(job, &t) < 0)
		return -1;
	if (unpack_layer(job, l, t.tree, &counts) < 0) {
		store_abort(job, &t);
		return -1;
	}
	const char *info = info_text(job, l, &counts);
	if (!info)
		return store_abort(job, &t), error_nomem(job->error);
	job->unpacked++;
	note(job, &counts);
	if (store_commit(job, &t, "", l->diff_id, info) < 0)
		return -1;
	fd = store_find(job, "", l->diff_id);
	return fd == -2 ? error_set(job->error, ERR_IMAGE_STORE, ENOENT, "openat2", l->diff_id, job->store_path) : fd;
}

/* The name for layers one above the other, as the specification has it. */
static int chain_id(struct job *job, const struct image *image, char hex[DIGEST_HEX + 1])
{
	memcpy(hex, image->layers[0].diff_id, DIGEST_HEX + 1);
	for (size_t i = 1; i < image->layer_count; i++) {
		const char *text = arena_printf(&job->arena, "sha256:%s sha256:%s", hex, image->layers[i].diff_id);
		if (!text)
			return error_nomem(job->error);
		digest_text(text, strlen(text), hex);
	}
	return 0;
}

static int flat_tree(struct job *job, const struct image *image, const int *layers, const char **path)
{
	char hex[DIGEST_HEX + 1];
	struct counts none = { 0 };
	struct store_temp t;
	int fd;

	if (chain_id(job, image, hex) < 0)
		return -1;
	if (!(*path = store_path(job, "flat-", hex)))
		return error_nomem(job->error);
	fd = store_find(job, "flat-", hex);
	if (fd != -2)
		return fd < 0 ? -1 : (close(fd), 0);
	if (store_begin(job, &t) < 0)
		return -1;
	const char *info = info_text(job, NULL, &none);
	if (!info || flatten_layers(job, layers, image->layer_count, t.tree) < 0) {
		store_abort(job, &t);
		return info ? -1 : error_nomem(job->error);
	}
	return store_commit(job, &t, "flat-", hex, info);
}

/* An overlay takes no notice of an opaque root: what is below such a layer isn't named at all. */
static size_t first_visible(const int *layers, size_t count)
{
	size_t first = 0;

	for (size_t i = 0; i < count; i++)
		first = tree_is_opaque(layers[i]) ? i : first;
	return first;
}

/* An overlay shows a directory as the topmost layer has it. Where that layer has no entry for it, only made it for what
 * lies in it, this would be wrong: such layers are made one tree, which takes it from below. */
static bool overlay_is_right(const int *layers, size_t first, size_t count)
{
	struct stat top, below;
	size_t i = count - 1;

	for (size_t k = first + 1; k < count; k++) {
		if (tree_has_implicit(layers[k]))
			return false;
	}
	while (i > first && tree_is_implicit(layers[i]))
		i--;
	return fstat(layers[count - 1], &top) == 0 && fstat(layers[i], &below) == 0 && top.st_mode == below.st_mode &&
	       top.st_uid == below.st_uid && top.st_gid == below.st_gid;
}

static void note_unpacked(struct job *job)
{
	const char *text = arena_printf(&job->arena, "%u layers unpacked; their files %s", job->unpacked, job->owners.ranges
		? "keep their owners, by the caller's ranges of ids" : "all belong to the caller");

	if (job->unpacked && text)
		put_record(job, "note", text);
}

static int put_trees(struct job *job, const struct image *image, const int *layers)
{
	size_t first = first_visible(layers, image->layer_count), count = image->layer_count - first;
	const char *path;

	/* A tree alone must not show its whiteouts, and an overlay takes only so many. */
	if (job->flatten || count == 1 || count > MOST_OVERLAY || !overlay_is_right(layers, first, image->layer_count)) {
		if (flat_tree(job, image, layers, &path) < 0)
			return -1;
		put_record(job, "rootfs", path);
		return 0;
	}
	for (size_t i = first; i < image->layer_count; i++) {
		if (!(path = store_path(job, "", image->layers[i].diff_id)))
			return error_nomem(job->error);
		put_record(job, "layer", path);
	}
	return 0;
}

/* ---- users ---- */
/* /etc/NAME as the layers together show it; NULL where it can't be read as a plain file. */
static const char *etc_file(struct job *job, const int *layers, size_t count, const char *name)
{
	const char *path = arena_printf(&job->arena, "etc/%s", name);

	for (size_t i = count; path && i-- > 0;) {
		int fd = open_beneath(layers[i], path, O_RDONLY | O_NONBLOCK, 0), etc;
		struct stat st;
		if (fd >= 0) {
			char *text = NULL;
			if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size < MOST_USERS &&
			    (text = arena_alloc(&job->arena, (size_t)st.st_size + 1)) && read(fd, text, (size_t)st.st_size) != (ssize_t)st.st_size)
				text = NULL;
			close(fd);
			return text;
		}
		if (fd != -ENOENT)
			return NULL; /* hidden by this layer, or a link */
		etc = open_beneath(layers[i], "etc", O_RDONLY | O_DIRECTORY, 0);
		bool ends = (etc < 0 && etc != -ENOENT) || (etc >= 0 && tree_is_opaque(etc)) || tree_is_opaque(layers[i]);
		if (etc >= 0)
			close(etc);
		if (ends)
			return NULL;
	}
	return NULL;
}

static void put_number(struct job *job, const char *key, uint32_t n)
{
	const char *text = arena_printf(&job->arena, "%u", n);

	put_record(job, key, text ? text : "");
}

static int put_user(struct job *job, const struct image *image, const int *layers)
{
	const char *why, *user = image->user ? image->user : "";
	struct image_user u;

	if (user_parse(&job->arena, user, etc_file(job, layers, image->layer_count, "passwd"), etc_file(job, layers, image->layer_count, "group"), &u, &why) < 0) {
		/* Not fatal: the caller may name one. The command decides. */
		put_record(job, "user-unknown", user);
		put_record(job, "user-why", why);
		return 0;
	}
	put_record(job, "user", user);
	put_number(job, "uid", u.uid);
	put_number(job, "gid", u.gid);
	for (size_t i = 0; i < u.group_count; i++)
		put_number(job, "group", u.groups[i]);
	if (u.name)
		put_record(job, "name", u.name);
	if (u.home)
		put_record(job, "home", u.home);
	return 0;
}

static void put_list(struct job *job, const char *key, const char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_record(job, key, list[i]);
}

static int put_all(struct job *job, const struct image *image, const char *digest, const int *layers)
{
	const char *platform = arena_printf(&job->arena, "%s/%s%s%s", image->platform.os, image->platform.arch,
					    image->platform.variant ? "/" : "", image->platform.variant ? image->platform.variant : "");
	const char *manifest = arena_printf(&job->arena, "sha256:%s", digest);

	if (!platform || !manifest)
		return error_nomem(job->error);
	put_record(job, "manifest", manifest);
	put_record(job, "platform", platform);
	note_unpacked(job);
	put_record(job, "owners", job->owners.ranges ? "ranges" : "own");
	if (put_trees(job, image, layers) < 0 || put_user(job, image, layers) < 0)
		return -1;
	put_list(job, "env", image->env, image->env_count);
	put_list(job, "entrypoint", image->entrypoint, image->entrypoint_count);
	put_list(job, "cmd", image->cmd, image->cmd_count);
	if (image->cwd)
		put_record(job, "cwd", image->cwd);
	return put_flush(job);
}

static int work(struct job *job)
{
	struct image image = { 0 };
	char digest[DIGEST_HEX + 1];
	int *layers, r = 0;
	size_t n = 0;

	if (confine(job) < 0)
		return -1;
	store_sweep(job);
	if (read_image(job, &image, digest) < 0)
		return -1;
	layers = arena_alloc(&job->arena, (image.layer_count + 1) * sizeof *layers);
	if (!layers)
		return error_nomem(job->error);
	for (; n < image.layer_count && r == 0; n += r == 0) {
		layers[n] = layer_tree(job, &image.layers[n]);
		r = layers[n] < 0 ? -1 : 0;
	}
	if (r == 0)
		r = put_all(job, &image, digest, layers);
	while (n-- > 0)
		close(layers[n]);
	return r;
}

int image_work(struct job *job)
{
	if (work(job) == 0)
		return 0;
	put_error(job);
	return 1;
}
