/* The documents of an image: layout, index, manifest, config.
 * Runs in: any. PURE. */
#include "image/parse.h"

#include <string.h>

#define MOST_MANIFESTS 10000
#define MOST_ENV 4096
#define MOST_WORDS 4096

/* ---- descriptors ---- */
static int digest(struct json *j, int i, const char *text, char *out)
{
	if (!text || strncmp(text, "sha256:", 7))
		return json_bad(j, i, text ? "a digest of another kind than sha256" : "a descriptor without a digest");
	text += 7;
	if (strlen(text) != DIGEST_HEX || strspn(text, "0123456789abcdef") != DIGEST_HEX)
		return json_bad(j, i, "a malformed digest");
	memcpy(out, text, DIGEST_HEX + 1);
	return 0;
}

static int read_descriptor(struct json *j, int i, struct descriptor *out)
{
	const char *text;
	int size;

	if (!json_is(j, i, JSON_OBJECT))
		return json_bad(j, i, "a descriptor that isn't an object");
	if (json_text(j, i, "mediaType", &out->media) < 0 || json_text(j, i, "digest", &text) < 0 || digest(j, i, text, out->digest) < 0 ||
	    json_get(j, i, "size", JSON_NUMBER, &size) < 0)
		return -1;
	if (!out->media || size < 0)
		return json_bad(j, i, "a descriptor without a mediaType or size");
	return json_number(j, size, &out->size);
}

int document_kind(const struct descriptor *d, enum document *out, struct hutch_error *e)
{
	static const struct { const char *media; enum document kind; } known[] = {
		{ "application/vnd.oci.image.index.v1+json", DOCUMENT_INDEX },
		{ "application/vnd.docker.distribution.manifest.list.v2+json", DOCUMENT_INDEX },
		{ "application/vnd.oci.image.manifest.v1+json", DOCUMENT_MANIFEST },
		{ "application/vnd.docker.distribution.manifest.v2+json", DOCUMENT_MANIFEST },
	};

	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (!strcmp(known[i].media, d->media)) {
			*out = known[i].kind;
			return 0;
		}
	}
	error_set(e, ERR_IMAGE_DOCUMENT, 0, NULL, d->digest, NULL);
	return error_detail(e, "it is neither an index nor a manifest of an image, but %s", d->media);
}

/* ---- platforms ---- */
struct platform platform_here(void)
{
#if defined(__x86_64__)
	return (struct platform){ "linux", "amd64", NULL };
#elif defined(__aarch64__)
	return (struct platform){ "linux", "arm64", NULL };
#else
#error "no name for this architecture"
#endif
}

int platform_parse(struct arena *a, const char *text, struct platform *out)
{
	const char *slash = strchr(text, '/'), *second = slash ? strchr(slash + 1, '/') : NULL;

	if (!slash || slash == text || !slash[1] || slash + 1 == second || (second && (!second[1] || strchr(second + 1, '/'))))
		return -1;
	out->os = arena_strndup(a, text, (size_t)(slash - text));
	out->arch = second ? arena_strndup(a, slash + 1, (size_t)(second - slash - 1)) : arena_strdup(a, slash + 1);
	out->variant = second ? arena_strdup(a, second + 1) : NULL;
	return out->os && out->arch && (!second || out->variant) ? 0 : -1;
}

static int read_platform(struct json *j, int object, struct platform *out)
{
	return json_text(j, object, "os", &out->os) < 0 || json_text(j, object, "architecture", &out->arch) < 0 ||
	       json_text(j, object, "variant", &out->variant) < 0 ? -1 : 0;
}

/* v8 is what every arm64 is; a variant that nobody asked for is no reason to refuse. */
static bool fits(const struct platform *p, const struct platform *want)
{
	if (!p->os || !p->arch || strcmp(p->os, want->os) || strcmp(p->arch, want->arch))
		return false;
	return !want->variant || (p->variant ? !strcmp(p->variant, want->variant) : !strcmp(want->variant, "v8"));
}

static const char *platform_text(struct arena *a, const struct platform *p)
{
	const char *text = arena_printf(a, "%s/%s%s%s", p->os ? p->os : "?", p->arch ? p->arch : "?", p->variant ? "/" : "", p->variant ? p->variant : "");

	return text ? text : "?";
}

/* ---- index ---- */
struct choice {
	struct json json;
	const char *tag;
	const struct platform *want;
	unsigned tagged;               /* entries of that tag */
	unsigned found;
	struct text others;            /* what there is, for the error */
};

/* Name that the entry has: what follows DIR: */
static int ref_name(struct json *j, int entry, const char **out)
{
	int annotations;

	*out = NULL;
	if (json_get(j, entry, "annotations", JSON_OBJECT, &annotations) < 0)
		return -1;
	return annotations < 0 ? 0 : json_text(j, annotations, "org.opencontainers.image.ref.name", out);
}

static void note_other(struct choice *c, const char *name, const struct platform *p, bool has_platform)
{
	if (c->others.len > 150)
		return;
	text_printf(&c->others, "%s%s%s%s", c->others.len ? ", " : "", name ? name : "", name && has_platform ? " " : "",
		    has_platform ? platform_text(c->json.arena, p) : name ? "" : "one without a name");
}

static int try_entry(struct choice *c, int entry, struct descriptor *out)
{
	struct json *j = &c->json;
	struct descriptor d = { 0 };
	struct platform p = { 0 };
	const char *name;
	int platform;

	if (read_descriptor(j, entry, &d) < 0 || ref_name(j, entry, &name) < 0 || json_get(j, entry, "platform", JSON_OBJECT, &platform) < 0 ||
	    (platform >= 0 && read_platform(j, platform, &p) < 0))
		return -1;
	note_other(c, name, &p, platform >= 0);
	if (c->tag && (!name || strcmp(name, c->tag)))
		return 0;
	c->tagged++;
	if (platform >= 0 && !fits(&p, c->want))
		return 0;
	/* The same twice is no question. */
	if (c->found && !strcmp(out->digest, d.digest))
		return 0;
	c->found++;
	*out = d;
	return 0;
}

static int no_choice(struct choice *c)
{
	struct hutch_error *e = c->json.error;
	const char *others = c->others.s ? c->others.s : "nothing";

	error_set(e, ERR_IMAGE_CHOICE, 0, NULL, c->json.name, NULL);
	if (c->tag && !c->tagged)
		return error_detail(e, "it has no image named %.60s; there is: %s", c->tag, others);
	if (!c->found)
		return error_detail(e, "none is for %s; there is: %s", platform_text(c->json.arena, c->want), others);
	return error_detail(e, "%u fit; there is: %s", c->found, others);
}

int index_choose(struct arena *a, const char *name, const char *text, size_t len, const char *tag,
		 const struct platform *want, struct descriptor *out, struct hutch_error *e)
{
	struct choice c = { .tag = tag, .want = want };
	struct json *j = &c.json;
	int list, i, r = 0;

	if (json_parse(j, a, name, text, len, e) < 0 || json_get(j, 0, "manifests", JSON_ARRAY, &list) < 0)
		return -1;
	if (list < 0)
		return json_bad(j, -1, "an index without manifests");
	int layers, config;
	if (json_get(j, 0, "layers", JSON_ARRAY, &layers) < 0 || json_get(j, 0, "config", JSON_OBJECT, &config) < 0)
		return -1;
	/* A document that is both is one thing to a checker and another to a runner. */
	if (layers >= 0 || config >= 0)
		return json_bad(j, -1, "it is an index and a manifest at once");
	if (json_size(j, list) > MOST_MANIFESTS)
		return json_bad(j, -1, "too many manifests");
	text_init(&c.others);
	i = json_first(list);
	for (int n = 0; n < json_size(j, list) && r == 0; n++, i = json_next(j, i))
		r = try_entry(&c, i, out);
	if (r == 0 && c.found != 1)
		r = no_choice(&c);
	text_done(&c.others);
	return r;
}

int layout_check(struct arena *a, const char *text, size_t len, struct hutch_error *e)
{
	struct json j;
	const char *version;

	if (json_parse(&j, a, "oci-layout", text, len, e) < 0 || json_text(&j, 0, "imageLayoutVersion", &version) < 0)
		return -1;
	if (!version || strncmp(version, "1.", 2)) {
		error_set(e, ERR_IMAGE_LAYOUT, 0, NULL, "oci-layout", NULL);
		return error_detail(e, "its version is %s, known is 1", version ? version : "missing");
	}
	return 0;
}

/* ---- manifest ---- */
static int compression(struct json *j, int i, struct image_layer *l)
{
	static const struct { const char *media; enum compression packed; } known[] = {
		{ "application/vnd.oci.image.layer.v1.tar", PACKED_NOT },
		{ "application/vnd.oci.image.layer.v1.tar+gzip", PACKED_GZIP },
		{ "application/vnd.oci.image.layer.v1.tar+zstd", PACKED_ZSTD },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar", PACKED_NOT },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", PACKED_GZIP },
		{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", PACKED_ZSTD },
		{ "application/vnd.docker.image.rootfs.diff.tar", PACKED_NOT },
		{ "application/vnd.docker.image.rootfs.diff.tar.gzip", PACKED_GZIP },
		{ "application/vnd.docker.image.rootfs.diff.tar.zstd", PACKED_ZSTD },
		{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", PACKED_GZIP },
	};

	for (size_t k = 0; k < COUNT_OF(known); k++) {
		if (!strcmp(known[k].media, l->blob.media)) {
			l->packed = known[k].packed;
			return 0;
		}
	}
	return json_bad(j, i, "a layer of an unknown kind");
}

static int read_layers(struct json *j, int list, uint64_t most, struct image *out)
{
	int n = json_size(j, list), i = json_first(list);

	if ((uint64_t)n > most) {
		error_set(j->error, ERR_IMAGE_LIMIT, 0, NULL, j->name, NULL);
		return error_detail(j->error, "%d layers; --image-max-layers is %llu", n, (unsigned long long)most);
	}
	out->layers = arena_alloc(j->arena, ((size_t)n + 1) * sizeof *out->layers);
	if (!out->layers)
		return error_nomem(j->error);
	for (out->layer_count = 0; out->layer_count < (size_t)n; out->layer_count++, i = json_next(j, i)) {
		struct image_layer *l = &out->layers[out->layer_count];
		if (read_descriptor(j, i, &l->blob) < 0 || compression(j, i, l) < 0)
			return -1;
	}
	return n ? 0 : json_bad(j, -1, "a manifest without layers");
}

int manifest_read(struct arena *a, const char *media, const char *text, size_t len, uint64_t most_layers,
		  struct image *out, struct hutch_error *e)
{
	struct json j;
	const char *own;
	int config, layers, manifests;
	uint64_t version;

	if (json_parse(&j, a, "manifest", text, len, e) < 0 || json_text(&j, 0, "mediaType", &own) < 0 ||
	    json_get(&j, 0, "manifests", JSON_ARRAY, &manifests) < 0 || json_get(&j, 0, "schemaVersion", JSON_NUMBER, &config) < 0)
		return -1;
	if (config < 0 || json_number(&j, config, &version) < 0 || version != 2)
		return json_bad(&j, -1, "its schemaVersion isn't 2");
	if (own && strcmp(own, media))
		return json_bad(&j, -1, "its mediaType isn't what the index says");
	if (manifests >= 0)
		return json_bad(&j, -1, "it is an index and a manifest at once");
	if (json_get(&j, 0, "config", JSON_OBJECT, &config) < 0 || json_get(&j, 0, "layers", JSON_ARRAY, &layers) < 0)
		return -1;
	if (config < 0 || layers < 0)
		return json_bad(&j, -1, "a manifest without config or layers");
	if (read_descriptor(&j, config, &out->config_blob) < 0)
		return -1;
	if (strcmp(out->config_blob.media, "application/vnd.oci.image.config.v1+json") &&
	    strcmp(out->config_blob.media, "application/vnd.docker.container.image.v1+json"))
		return json_bad(&j, config, "its config is none of an image that can be run");
	return read_layers(&j, layers, most_layers, out);
}

/* ---- config ---- */
static int read_diff_ids(struct json *j, struct image *out)
{
	const char *type, **ids;
	size_t count;
	int rootfs;

	if (json_get(j, 0, "rootfs", JSON_OBJECT, &rootfs) < 0)
		return -1;
	if (rootfs < 0)
		return json_bad(j, -1, "a config without rootfs");
	if (json_text(j, rootfs, "type", &type) < 0 || json_list(j, rootfs, "diff_ids", out->layer_count, &ids, &count) < 0)
		return -1;
	if (!type || strcmp(type, "layers") || count != out->layer_count)
		return json_bad(j, -1, "its rootfs doesn't list the manifest's layers");
	for (size_t i = 0; i < count; i++) {
		if (digest(j, rootfs, ids[i], out->layers[i].diff_id) < 0)
			return -1;
	}
	return 0;
}

static int check_env(struct json *j, const struct image *out)
{
	for (size_t i = 0; i < out->env_count; i++) {
		const char *eq = strchr(out->env[i], '=');
		if (!eq || eq == out->env[i])
			return json_bad(j, -1, "a variable without a name or value");
	}
	return 0;
}

static int read_process(struct json *j, struct image *out)
{
	int config;

	if (json_get(j, 0, "config", JSON_OBJECT, &config) < 0)
		return -1;
	if (config < 0)
		return 0;
	if (json_list(j, config, "Env", MOST_ENV, &out->env, &out->env_count) < 0 || check_env(j, out) < 0 ||
	    json_list(j, config, "Entrypoint", MOST_WORDS, &out->entrypoint, &out->entrypoint_count) < 0 ||
	    json_list(j, config, "Cmd", MOST_WORDS, &out->cmd, &out->cmd_count) < 0 ||
	    json_text(j, config, "WorkingDir", &out->cwd) < 0 || json_text(j, config, "User", &out->user) < 0)
		return -1;
	if (out->cwd && !*out->cwd)
		out->cwd = NULL;
	return out->cwd && out->cwd[0] != '/' ? json_bad(j, -1, "a WorkingDir that isn't absolute") : 0;
}

int config_read(struct arena *a, const char *text, size_t len, const struct platform *want, struct image *out,
		struct hutch_error *e)
{
	struct json j;

	if (json_parse(&j, a, "config", text, len, e) < 0 || read_platform(&j, 0, &out->platform) < 0)
		return -1;
	if (!out->platform.os || !out->platform.arch)
		return json_bad(&j, -1, "a config without os or architecture");
	if (!fits(&out->platform, want)) {
		error_set(e, ERR_IMAGE_CHOICE, 0, NULL, platform_text(a, &out->platform), NULL);
		return error_detail(e, "the image is for %s, not for %s", platform_text(a, &out->platform), platform_text(a, want));
	}
	return read_diff_ids(&j, out) < 0 ? -1 : read_process(&j, out);
}
