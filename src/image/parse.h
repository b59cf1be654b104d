/* What is read out of an image's bytes: documents, names in archives, users. PURE: no system call but memory.
 * Runs in: any. */
#ifndef HUTCH_IMAGE_PARSE_H
#define HUTCH_IMAGE_PARSE_H

#include "base/base.h"

/* ---- parse_json.c ---- */
enum json_type { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER };
struct json {
	struct arena *arena;
	const char *text, *name;     /* name: for errors */
	void *tokens;                /* jsmn's, known to parse_json.c alone */
	int count;
	struct hutch_error *error;
};
/* The whole text must be one object. */
int json_parse(struct json *j, struct arena *a, const char *name, const char *text, size_t len, struct hutch_error *e);
/* Fills the error with what is wrong at token i (-1 = in general); returns -1. */
int json_bad(struct json *j, int i, const char *what);
/* Token of the object's member, -1 in *out where it is absent or null. Another type, or a key that is
 * there twice (two readers would see two documents), is an error. */
int json_get(struct json *j, int object, const char *key, enum json_type type, int *out);
int json_size(const struct json *j, int i);
/* First element of an array, and the one behind i. */
int json_first(int array);
int json_next(const struct json *j, int i);
bool json_is(const struct json *j, int i, enum json_type type);
/* The string with its escapes undone; without NUL bytes. */
int json_string(struct json *j, int i, const char **out);
int json_number(struct json *j, int i, uint64_t *out);
/* Member as a string, NULL where absent. */
int json_text(struct json *j, int object, const char *key, const char **out);
/* Array of strings, NULL-terminated; NULL and 0 where absent. */
int json_list(struct json *j, int object, const char *key, size_t most, const char ***out, size_t *count);

/* ---- parse_image.c ---- */
#define DIGEST_HEX 64
struct descriptor {
	const char *media;
	char digest[DIGEST_HEX + 1];   /* of SHA-256, without "sha256:" */
	uint64_t size;
};
struct platform { const char *os, *arch, *variant; };   /* variant NULL = none */
enum compression { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD };
struct image_layer {
	struct descriptor blob;
	enum compression packed;
	char diff_id[DIGEST_HEX + 1];
};
struct image {
	struct descriptor config_blob;
	struct image_layer *layers;    /* bottom first */
	size_t layer_count;
	struct platform platform;
	const char **env, **entrypoint, **cmd;   /* NULL-terminated, NULL = none */
	size_t env_count, entrypoint_count, cmd_count;
	const char *cwd, *user;        /* NULL = none */
};
enum document { DOCUMENT_INDEX, DOCUMENT_MANIFEST };
/* "os/arch[/variant]". */
int platform_parse(struct arena *a, const char *text, struct platform *out);
struct platform platform_here(void);
/* What a descriptor points to; -1 with the error for a type that can't be used. */
int document_kind(const struct descriptor *d, enum document *out, struct hutch_error *e);
/* The one entry of an index that the tag (NULL = any) and the platform name. */
int index_choose(struct arena *a, const char *name, const char *text, size_t len, const char *tag,
		 const struct platform *want, struct descriptor *out, struct hutch_error *e);
int layout_check(struct arena *a, const char *text, size_t len, struct hutch_error *e);
/* Fills the layers' blobs and the config's. media: what the descriptor said the document is. */
int manifest_read(struct arena *a, const char *media, const char *text, size_t len, uint64_t most_layers,
		  struct image *out, struct hutch_error *e);
/* Fills the rest; the layers are there already. */
int config_read(struct arena *a, const char *text, size_t len, const struct platform *want, struct image *out,
		struct hutch_error *e);

/* ---- parse_path.c ---- */
struct path_limits { size_t length, depth; };
enum name_kind { NAME_ROOT, NAME_PLAIN, NAME_WHITEOUT, NAME_OPAQUE, NAME_IGNORED };
struct entry_name {
	enum name_kind kind;
	char *parent;                  /* "" = the root of the tree; else relative, clean, no dots */
	char *name;                    /* last component; of a whiteout without .wh. */
};
/* A name in an archive to what it means. Absolute names, "..", long and deep ones are refused: -1 and *why. */
int entry_name_parse(struct arena *a, const char *path, const struct path_limits *limits, struct entry_name *out, const char **why);

/* ---- parse_user.c ---- */
struct image_user {
	uint32_t uid, gid;
	const char *name, *home;       /* NULL = not known */
	uint32_t groups[64];           /* supplementary, gid not among them */
	size_t group_count;
};
/* "", USER[:GROUP], each a number or a name; the texts of the image's passwd and group, NULL = there is none. */
int user_parse(struct arena *a, const char *user, const char *passwd, const char *group, struct image_user *out, const char **why);

#endif
