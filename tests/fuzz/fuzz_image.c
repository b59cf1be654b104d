/* Fuzzes the readers of an image's documents: whatever comes in, it is refused with an error, or what comes out holds
 * what the code behind relies on. The first byte picks the document.
 * Without libFuzzer: replays the files that are named, then a fixed series of mutations.
 * Runs in: any. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/parse.h"

static unsigned long taken, refused;

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_image: broken promise: %s\n", what);
	abort();
}

/* It becomes a file's name in the layout. */
static void check_digest(const char *digest)
{
	require(strlen(digest) == DIGEST_HEX && strspn(digest, "0123456789abcdef") == DIGEST_HEX, "a digest is 64 hex digits");
}

static int try_index(struct arena *a, const char *text, size_t len, struct hutch_error *e)
{
	struct platform here = platform_here();
	struct descriptor d = { 0 };
	enum document kind;

	if (index_choose(a, "fuzz", text, len, len % 2 ? NULL : "t", &here, &d, e) < 0)
		return -1;
	check_digest(d.digest);
	require(d.media != NULL, "a descriptor has a media type");
	return document_kind(&d, &kind, e);
}

static int try_manifest(struct arena *a, const char *text, size_t len, struct hutch_error *e)
{
	struct image image = { 0 };

	if (manifest_read(a, "application/vnd.oci.image.manifest.v1+json", text, len, 8, &image, e) < 0)
		return -1;
	check_digest(image.config_blob.digest);
	require(image.layer_count >= 1 && image.layer_count <= 8, "one layer to the most that are allowed");
	for (size_t i = 0; i < image.layer_count; i++)
		check_digest(image.layers[i].blob.digest);
	return 0;
}

static void check_words(const char **words, size_t count)
{
	require((words == NULL) == (count == 0) || words[count] == NULL, "a list ends with NULL");
	for (size_t i = 0; i < count; i++)
		require(words[i] != NULL, "a list has no holes");
}

static int try_config(struct arena *a, const char *text, size_t len, struct hutch_error *e)
{
	struct image_layer layers[2] = { { .packed = PACKED_NOT } };
	struct image image = { .layers = layers, .layer_count = 1 };
	struct platform here = platform_here();

	if (config_read(a, text, len, &here, &image, e) < 0)
		return -1;
	check_digest(layers[0].diff_id);
	check_words(image.env, image.env_count);
	check_words(image.entrypoint, image.entrypoint_count);
	check_words(image.cmd, image.cmd_count);
	for (size_t i = 0; i < image.env_count; i++)
		require(strchr(image.env[i], '=') > image.env[i], "a variable has a name");
	require(!image.cwd || image.cwd[0] == '/', "a directory is absolute");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const readers[])(struct arena *, const char *, size_t, struct hutch_error *) = { try_index, try_manifest, try_config, layout_check };
	struct hutch_error e = { 0 };
	struct arena arena;
	char *text;

	if (!size || !(text = malloc(size)))
		return 0;
	/* As long as it is, and ended as the reader's buffers are. */
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	arena_init(&arena);
	if (readers[data[0] % COUNT_OF(readers)](&arena, text, size - 1, &e) == 0) {
		taken++;
	} else {
		require(e.id != 0, "a refusal has an error");
		refused++;
	}
	arena_done(&arena);
	free(text);
	return 0;
}

#ifndef HUTCH_LIBFUZZER
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#if defined(__x86_64__)
#define ARCH "amd64"
#else
#define ARCH "arm64"
#endif
static const char *const seeds[] = {
	"\0{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:" HEX
	"\",\"size\":7,\"annotations\":{\"org.opencontainers.image.ref.name\":\"t\"},\"platform\":{\"os\":\"linux\",\"architecture\":\"" ARCH "\"}}]}",
	"\1{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:" HEX
	"\",\"size\":2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:" HEX "\",\"size\":9}]}",
	"\2{\"architecture\":\"" ARCH "\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX "\"]},\"config\":{\"Env\":"
	"[\"A=\\u00e9\\ud83d\\ude00\\n\"],\"Cmd\":[\"x\",\"\"],\"Entrypoint\":null,\"WorkingDir\":\"/w\",\"User\":\"u:g\"}}",
	"\3{\"imageLayoutVersion\":\"1.0.0\"}",
};

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void run_random(unsigned count)
{
	static const char bytes[] = "{}[]\",:\\0123456789-.eunulltrue\\ud8 \n";
	uint32_t state = 0x9e3779b9;

	for (unsigned i = 0; i < count; i++) {
		const char *seed = seeds[i % COUNT_OF(seeds)];
		size_t len = 1 + strlen(seed + 1), changes = next_random(&state) % 4;
		uint8_t *copy = malloc(len);
		require(copy, "memory for the test");
		memcpy(copy, seed, len);
		for (size_t k = 0; k < changes; k++) {
			size_t at = 1 + next_random(&state) % (len - 1);
			if (next_random(&state) % 4)
				copy[at] = (uint8_t)bytes[next_random(&state) % (sizeof bytes - 1)];
			else
				len = at + 1;
			if (len < 3)
				break;
		}
		LLVMFuzzerTestOneInput(copy, len);
		free(copy);
	}
}

static bool replay(const char *path)
{
	static const size_t most = 1u << 20;
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = f ? malloc(most) : NULL;
	size_t len = bytes ? fread(bytes, 1, most, f) : 0;

	if (bytes)
		LLVMFuzzerTestOneInput(bytes, len);
	else
		perror(path);
	free(bytes);
	if (f)
		fclose(f);
	return bytes;
}

int main(int argc, char **argv)
{
	const char *rounds = getenv("FUZZ_ROUNDS");
	unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 20000;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += !replay(argv[i]);
	run_random(count);
	printf("fuzz_image: %d files, %u random inputs: %lu taken, %lu refused\n", argc - 1, count, taken, refused);
	require(count < 1000 || (taken > count / 50 && refused > count / 50), "both outcomes are reached");
	return failed;
}
#endif
