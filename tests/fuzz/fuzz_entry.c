/* Fuzzes the names of archives' entries and the reading of an image's users: a name that is taken leads nowhere but down.
 * The first byte picks; of users, zero bytes part the user, passwd and group.
 * Without libFuzzer: replays the files that are named, then a fixed series of random names.
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
	fprintf(stderr, "fuzz_entry: broken promise: %s\n", what);
	abort();
}

static void check_component(const char *s, size_t len)
{
	require(len > 0 && len <= 255, "a component has a length that can be");
	require(!(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.'), "no component is . or ..");
}

static void check_parent(const char *parent, size_t depth)
{
	size_t seen = 0;

	require(parent[0] != '/', "a parent is relative");
	while (*parent) {
		size_t n = strcspn(parent, "/");
		check_component(parent, n);
		require(strncmp(parent, ".wh.", 4) != 0, "no directory has the name of a whiteout");
		seen++;
		parent += n;
		require(!*parent || parent[1], "a parent has no slash at its end");
		parent += *parent == '/';
	}
	require(seen < depth, "a parent isn't deeper than allowed");
}

static void try_name(const char *path)
{
	static const struct path_limits limits = { 600, 12 };
	struct entry_name n;
	struct arena arena;
	const char *why = NULL;

	arena_init(&arena);
	if (entry_name_parse(&arena, path, &limits, &n, &why) < 0) {
		require(why != NULL, "a refusal has a reason");
		refused++;
	} else {
		require(path[0] != '/' && strlen(path) <= limits.length, "absolute and long names are refused");
		check_parent(n.parent, limits.depth);
		require((n.kind == NAME_ROOT) == (n.name[0] == 0), "only the root has no name");
		require(!strchr(n.name, '/'), "a name is one component");
		if (n.kind != NAME_ROOT)
			check_component(n.name, strlen(n.name));
		require(n.kind != NAME_PLAIN || strncmp(n.name, ".wh.", 4) != 0, "no file has the name of a whiteout");
		taken++;
	}
	arena_done(&arena);
}

static void try_user(const char *user, const char *passwd, const char *group)
{
	struct image_user u;
	struct arena arena;
	const char *why = NULL;

	arena_init(&arena);
	if (user_parse(&arena, user, passwd, group, &u, &why) < 0) {
		require(why != NULL, "a refusal has a reason");
	} else {
		require(u.uid != UINT32_MAX && u.gid != UINT32_MAX, "nobody has the id that means none");
		require(u.group_count <= COUNT_OF(u.groups), "the groups fit");
		require(!u.home || u.home[0] == '/', "a home is absolute");
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *passwd, *group;

	if (!size || !(text = calloc(1, size + 3)))
		return 0;
	memcpy(text, data + 1, size - 1);
	passwd = text + strlen(text) + 1;
	if (data[0] % 4) {
		try_name(text);
	} else {
		/* Two more zero bytes are behind it: each part ends within the buffer. */
		passwd = passwd > text + size ? text + size : passwd;
		group = passwd + strlen(passwd) + 1;
		try_user(text, passwd, group > text + size + 2 ? NULL : group);
	}
	free(text);
	return 0;
}

#ifndef HUTCH_LIBFUZZER
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void run_random(unsigned count)
{
	static const char *const pieces[] = { "/", "..", ".", "a", "bc", ".wh.", ".wh..wh..opq", "//", "...", "\xff\xfe", "name", "0", ":", ",", "\n", "root:x:0:0::/:", "33" };
	uint32_t state = 0x9e3779b9;

	for (unsigned i = 0; i < count; i++) {
		char name[1024] = { 0 };
		size_t len = 1, parts = 1 + next_random(&state) % 24;
		name[0] = (char)next_random(&state);
		for (size_t k = 0; k < parts && len < 900; k++) {
			const char *p = pieces[next_random(&state) % COUNT_OF(pieces)];
			memcpy(name + len, p, strlen(p));
			len += strlen(p) + (name[0] % 4 == 0 && next_random(&state) % 8 == 0);
		}
		LLVMFuzzerTestOneInput((const uint8_t *)name, len);
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
	unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 50000;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += !replay(argv[i]);
	run_random(count);
	printf("fuzz_entry: %d files, %u random inputs: %lu names taken, %lu refused\n", argc - 1, count, taken, refused);
	require(count < 1000 || (taken > count / 50 && refused > count / 50), "both outcomes are reached");
	return failed;
}
#endif
