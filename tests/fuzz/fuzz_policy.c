/* Fuzzing policy text up to the frozen policy. With -DHUTCH_LIBFUZZER a libFuzzer target; else a program
 * that replays files (arguments) and then runs random mutations of known lines with a fixed seed.
 * Runs in: tests. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long frozen, refused; /* a fuzzer that reaches only one of the two shows little */

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_policy: broken promise: %s\n", what);
	abort();
}

static void check_path(const char *path)
{
	size_t len = strlen(path);

	require(len > 1 && path[0] == '/' && path[len - 1] != '/', "a place is absolute and not the root");
	require(!strstr(path, "//") && !strstr(path, "/./"), "a place is normal");
	require(!strstr(path, "/../") && (len < 3 || strcmp(path + len - 3, "/..")), "a place holds no ..");
}

/* What every later part relies on without looking again. */
static void check_policy(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct path_rule *r = &p->rules[i];
		check_path(r->dst);
		require(!i || strcmp(p->rules[i - 1].dst, r->dst) < 0, "places are sorted and unique");
		require((r->kind != RULE_RO && r->kind != RULE_RW) || r->src[0] == '/', "a source is absolute");
		require(r->origin, "a rule has an origin");
	}
	for (size_t i = 0; i < RLIMIT_KINDS; i++) {
		const struct policy_rlimit *l = &p->rlimits[i];
		require(l->soft_host || l->hard_host || l->soft <= l->hard, "soft limit up to hard limit");
	}
	for (size_t i = 1; i < p->fd_count; i++)
		require(p->fds[i - 1] < p->fds[i], "descriptors are sorted and unique");
	for (int i = 0; i < KEY_COUNT; i++)
		require(p->origin[i], "a key has an origin");
	require(p->hostname && *p->hostname && p->umask <= 0777 && p->tmp_size >= 4096, "plain values are in range");
	require(p->no_new_privs || p->context.uid == 0, "only root goes without no_new_privs");
}

static void check_error(const struct hutch_error *e)
{
	char text[2048], cut[16];
	size_t len = hutch_error_text(e, text, sizeof text);

	require(e->id && e->step[0] && e->remedy[0], "an error names step and remedy");
	require(len < sizeof text && strlen(text) == len, "the text form fits");
	require(hutch_error_text(e, cut, sizeof cut) == len && strlen(cut) == sizeof cut - 1, "a cut text is cut, not overrun");
	for (size_t i = 0; i < len; i++)
		require(text[i] == '\n' || ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f), "no control byte reaches the terminal");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const environ[] = { "PATH=/bin", "HOME=/home/u", NULL };
	struct policy_context context = { .cwd = "/work/place", .home = "/home/u", .environ = environ, .uid = size % 2 ? 0 : 1000, .gid = 1000 };
	struct arena arena;
	struct draft d = { .arena = &arena };
	struct policy p;
	struct hutch_error e = { 0 };

	arena_init(&arena);
	if (front_policy_text(&d, (const char *)data, size, "fuzz", NULL, 1, STRENGTH_REQUIRED, &e) < 0 ||
	    front_finish(&d, &e) < 0 || policy_freeze(&d, &context, &p, &e) < 0)
		check_error(&e), refused++;
	else
		check_policy(&p), frozen++;
	arena_done(&arena);
	return 0;
}

#ifndef HUTCH_LIBFUZZER
static const char *const seeds[] = {
	"ro = /a\\:b:/c\nrw = ?./x\nro = ../y\ntmpfs = /t:size=4M,inodes=100,mode=700,noexec\ndir = sub/./dir:mode=755\n",
	"symlink = a/b:/l\nfile = /f=some text\nfile = /g <<END\nline # not a comment\nEND\nfile-fd = 7:/h\nmask = /m\ndevice = /dev/fuse\n",
	"# comment\nuserns = host\nnet = pid:12\nutsns = /proc/1/ns/uts\ntime-monotonic = -5.25\nhostname = x # y\n",
	"uid-map = 0:1000:1\ngid-map = 0:1000:1\ngroups = 1,2,3\nuser = 0:0\ncaps = cap_net_raw,SYS_ADMIN\nsecurebits = none\n",
	"seccomp = none\nseccomp = ./p.json\ntcp-connect = 80,443\ntcp-bind = none\nlandlock = files\ncompat-abi = deny\n",
	"env = A=b=c\nenv = TERM\nunset-env = LANG\nfd = 3\nfd = 9\nfd = 3\nfd = 0=7\nfd = 12=2\numask = 077\nrlimit-as = 1G:2G\nrlimit-cpu = host:unlimited\n",
	"include = strict\ninclude = view\ninclude = default\nchroot = yes\nrootfs = ~/tree\nno-new-privs = no\ninit = no\n",
};

/* xorshift: the same inputs on every machine. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static const char *random_word(uint32_t *state)
{
	static const char *const words[] = {
		"yes", "no", "none", "host", "new", "../", "/", ":", "\\:", "\\", "=", "#", " #", "<<X\n", "\nX\n", "~/", "?", "pid:", "0",
		"18446744073709551615", "4294967295", "999999999999999999999", "K", "-", ".", ",", "\xff", "\xe2\x80\xae", "\x1b[2J", "\r", "\n",
	};
	return words[next_random(state) % COUNT_OF(words)];
}

static size_t put_in(char *buffer, size_t len, size_t most, size_t at, const char *word)
{
	size_t n = strlen(word);

	if (len + n > most)
		return len;
	memmove(buffer + at + n, buffer + at, len - at);
	memcpy(buffer + at, word, n);
	return len + n;
}

static size_t mutate(char *buffer, size_t len, size_t most, uint32_t *state)
{
	size_t at = len ? next_random(state) % len : 0, n;
	char name[80];

	switch (next_random(state) % 6) {
	case 0:
		if (len)
			buffer[at] = (char)next_random(state);
		return len;
	case 1:
		n = next_random(state) % 8;
		if (at + n > len)
			n = len - at;
		memmove(buffer + at, buffer + at + n, len - at - n);
		return len - n;
	case 2:
		snprintf(name, sizeof name, "\n%s = ", key_rows[next_random(state) % KEY_COUNT].name);
		return put_in(buffer, len, most, at, name);
	case 3:
		return put_in(buffer, len, most, len, seeds[next_random(state) % COUNT_OF(seeds)]);
	default:
		return put_in(buffer, len, most, at, random_word(state));
	}
}

static void run_random(unsigned count)
{
	static const size_t most = 4096;
	uint32_t state = 0x9e3779b9;
	char *buffer = malloc(most);

	require(buffer, "memory for the test");
	for (unsigned i = 0; i < count; i++) {
		const char *seed = seeds[next_random(&state) % COUNT_OF(seeds)];
		size_t len = strlen(seed);
		memcpy(buffer, seed, len);
		for (unsigned j = next_random(&state) % 12; j > 0; j--)
			len = mutate(buffer, len, most, &state);
		/* A block of just that size: a read beyond the end is seen by the sanitizer. */
		uint8_t *exact = malloc(len ? len : 1);
		require(exact, "memory for the test");
		memcpy(exact, buffer, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
	}
	free(buffer);
}

static bool replay(const char *path)
{
	static const size_t most = 1u << 20;
	FILE *f = fopen(path, "rb");
	char *bytes = f ? malloc(most) : NULL;
	size_t len = bytes ? fread(bytes, 1, most, f) : 0;

	if (bytes)
		LLVMFuzzerTestOneInput((uint8_t *)bytes, len);
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
	printf("fuzz_policy: %d files, %u random inputs: %lu frozen, %lu refused\n", argc - 1, count, frozen, refused);
	require(count < 1000 || (frozen > count / 50 && refused > count / 50), "both outcomes are reached");
	return failed ? 1 : 0;
}
#endif
