/* Fuzzes the reader of system call filter profiles (JSON and raw BPF): whatever comes in, it is refused with an
 * error, or gives a program that is valid and ends with a verdict for every call that is tried on it.
 * Without libFuzzer: replays the files that are named, then a fixed series of mutations.
 * Runs in: any. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer/filter.h"

static unsigned long taken, refused;

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_profile: broken promise: %s\n", what);
	abort();
}

static void try_program(const struct sock_filter *words, size_t count)
{
	static const uint32_t archs[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64 };

	require(filter_valid(words, count), "a taken profile is a program that the kernel would load");
	for (size_t a = 0; a < COUNT_OF(archs); a++) {
		for (int n = -1; n < 500; n += 7) {
			struct seccomp_data d = { .nr = n, .arch = archs[a], .args = { 0, UINT64_MAX, 1u << 31 } };
			require(filter_simulate(words, count, &d) >= 0, "it ends with a verdict");
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct text notes;
	struct hutch_error e = { 0 };
	struct sock_filter *words = NULL;
	size_t count = 0;

	arena_init(&arena);
	text_init(&notes);
	if (filter_profile(&arena, "fuzz", (const char *)data, size, 1u << 21, 6, 1, &words, &count, &notes, "fuzz", &e) == 0) {
		try_program(words, count);
		taken++;
	} else {
		require(e.id != 0, "a refusal has an error");
		refused++;
	}
	text_done(&notes);
	arena_done(&arena);
	return 0;
}

#ifndef HUTCH_LIBFUZZER
static const char seed[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
	"\"subArchitectures\":[\"SCMP_ARCH_X86\"]}],\"syscalls\":[{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"},"
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,\"valueTwo\":0,"
	"\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},{\"names\":[\"ptrace\"],\"action\":"
	"\"SCMP_ACT_ERRNO\",\"errnoRet\":38,\"includes\":{\"minKernel\":\"4.8\"}}]}";

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static void run_random(unsigned count)
{
	static const char bytes[] = "{}[]\",:0123456789-.eSCMP_ACTnulltrue\\ \n";
	uint32_t state = 0x9e3779b9;

	for (unsigned i = 0; i < count; i++) {
		size_t len = sizeof seed - 1, changes = next_random(&state) % 4;
		uint8_t *copy = malloc(len);
		require(copy, "memory for the test");
		memcpy(copy, seed, len);
		for (size_t k = 0; k < changes; k++) {
			size_t at = next_random(&state) % len;
			if (next_random(&state) % 3)
				copy[at] = (uint8_t)bytes[next_random(&state) % (sizeof bytes - 1)];
			else
				len = at + 1; /* cut short */
		}
		uint8_t *exact = malloc(len);
		require(exact, "memory for the test");
		memcpy(exact, copy, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
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
	unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 5000;
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed += !replay(argv[i]);
	run_random(count);
	printf("fuzz_profile: %d files, %u random inputs: %lu taken, %lu refused\n", argc - 1, count, taken, refused);
	require(count < 1000 || (taken > count / 50 && refused > count / 50), "both outcomes are reached");
	return failed;
}
#endif
