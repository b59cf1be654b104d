/* What the files of the unpacker share: the job, the store, trees that are written beneath one directory.
 * Runs in: parent (a process of its own, confined before it reads an image). */
#ifndef HUTCH_IMAGE_H
#define HUTCH_IMAGE_H

#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "image/parse.h"

enum option_type { OPTION_TEXT, OPTION_SIZE, OPTION_COUNT, OPTION_TIME };
enum option_id {
#define OPTION(symbol, name, type, def, value, help) OPT_##symbol,
#include "image/options.def"
#undef OPTION
	OPTIONS
};

/* Who owns what is unpacked. */
struct owners {
	bool ranges;                   /* else all belongs to the caller */
	bool inside;                   /* ranges, in a user namespace that has them: ids are as the archive says */
	uint32_t uid_base, gid_base;   /* added to the archive's ids (root, who needs no namespace for it) */
	uint32_t uid_count, gid_count; /* ids from this on aren't mapped */
	char tag[64];                  /* part of the names in the store: other owners are another tree */
};

struct job {
	struct arena arena;
	struct hutch_error *error;
	const char *text[OPTIONS];     /* options of text; NULL = not given */
	uint64_t limit[OPTIONS];       /* those of numbers */
	bool flatten, records;         /* one tree; NUL-terminated records for the command */
	const char *layout_path, *tag, *store_path;
	int layout, store;             /* directories */
	struct platform platform;
	struct owners owners;
	uint64_t bytes, entries;       /* unpacked so far, of all layers */
	unsigned unpacked;             /* layers that weren't in the store */
	struct text out;
};

/* What a layer held and the unpacked tree doesn't. */
struct counts { uint64_t files, directories, links, whiteouts, devices, setid; };

/* ---- stream.c: a blob's bytes, verified and uncompressed ---- */
/* All of a small blob, its digest and size verified. */
int blob_read(struct job *job, const struct descriptor *d, const char **text, size_t *len);
/* A file of the layout's top that has no digest. */
int layout_read(struct job *job, const char *name, const char **text, size_t *len);
struct stream;
int stream_open(struct job *job, const struct image_layer *l, struct stream **out);
/* Uncompressed bytes: how many, 0 = the end, -1 = error set. *at is valid until the next call. */
ssize_t stream_pull(struct stream *s, const void **at);
/* Takes what is left and verifies both digests and the size. */
int stream_verify(struct stream *s);
void stream_close(struct stream *s);
void digest_text(const void *data, size_t len, char hex[DIGEST_HEX + 1]);

/* ---- tree.c: everything is done beneath one directory, and no link is ever followed ---- */
struct directory {                     /* what it gets at the end: until then we must be able to write to it */
	const char *path;
	mode_t mode;
	uint32_t uid, gid;
	struct timespec mtime;
	bool implicit;                 /* the archive has no entry for it: it is as the layers below have it */
};
struct tree {
	struct job *job;
	int root, parent;              /* parent: the directory used last, -1 = none */
	char *parent_path;
	struct directory *directories;
	size_t directory_count, directory_cap;
	size_t implicit;               /* directories that stayed so, the root aside */
};
void tree_init(struct tree *t, struct job *job, int root);
void tree_done(struct tree *t);
/* Directory of a clean relative path ("" = the root); create: those that are missing are made. A
 * descriptor that stays the tree's; -1 = error set, or (create false) -2 = there is none. */
int tree_directory(struct tree *t, const char *path, bool create);
/* What is at name in a directory: false = nothing. */
bool tree_stat(int dir, const char *name, struct stat *st);
bool tree_is_whiteout(const struct stat *st);
/* Takes away what is at name, whatever it is. */
int tree_remove(struct tree *t, int dir, const char *name);
int tree_make_whiteout(struct tree *t, int dir, const char *name);
int tree_set_opaque(struct tree *t, int dir, const char *path);
bool tree_is_opaque(int dir);
/* Marks that a flat tree is made by: of one directory, and (on the root) of any below it. */
bool tree_is_implicit(int dir);
bool tree_has_implicit(int root);
int tree_mark_implicit(struct tree *t);
/* For the end: mode, owner and time of a directory. */
int tree_note_directory(struct tree *t, const struct directory *d);
int tree_finish_directories(struct tree *t);
/* Ids of the archive to those for chown; -1 = error set. Does nothing where all belongs to the caller. */
int owners_apply(struct job *job, int fd, uint32_t uid, uint32_t gid, const char *path);
/* Removes a directory of ours with all below it; remove_tree() by name. */
int remove_tree(int dir, const char *name, unsigned depth);
int open_beneath(int dir, const char *path, int flags, unsigned mode);

/* ---- unpack.c, flatten.c ---- */
int unpack_layer(struct job *job, const struct image_layer *l, int root, struct counts *counts);
int flatten_layers(struct job *job, const int *layers, size_t count, int root);

/* ---- store.c ---- */
int store_open(struct job *job);
/* The tree of a finished entry as a descriptor; -2 = there is none, -1 = error set. */
int store_find(struct job *job, const char *prefix, const char *digest);
const char *store_path(struct job *job, const char *prefix, const char *digest);
struct store_temp { int dir, tree; char name[128]; };
int store_begin(struct job *job, struct store_temp *t);
/* Makes it durable, then visible under its name at once. One that came first is as good. */
int store_commit(struct job *job, struct store_temp *t, const char *prefix, const char *digest, const char *info);
void store_abort(struct job *job, struct store_temp *t);
/* Removes what killed runs left. */
void store_sweep(struct job *job);

/* ---- confine.c ---- */
int confine(struct job *job);

/* ---- owners.c ---- */
int owners_decide(struct job *job);
/* In a child that has the ranges, or here: runs work and gives its exit status. */
int owners_run(struct job *job, int (*work)(struct job *));

/* ---- image.c: the work ---- */
int image_work(struct job *job);

/* ---- output.c ---- */
void put_record(struct job *job, const char *key, const char *value);
int put_error(const struct job *job);
int put_flush(struct job *job);

#endif
