/* Fuzzes the broker's end of a channel: whatever packets a peer sends, with whatever descriptors, each is a frame
 * within the bounds or breaks the channel, nothing waits, and no descriptor is left.
 * Without libFuzzer: replays the files that are named, then a fixed series of random inputs.
 * Runs in: any. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hutch/channel.h>

static unsigned long taken, broken;

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_channel: broken promise: %s\n", what);
	abort();
}

/* One packet: descriptors, then bytes; a header that tells the truth where the first bit says so. */
static size_t send_packet(int fd, const uint8_t *data, size_t size, const int kinds[4])
{
	static uint8_t packet[70000];
	int fds[64];
	union { struct cmsghdr h; char space[CMSG_SPACE(sizeof fds)]; } control = { 0 };
	struct iovec io = { packet, 0 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	unsigned count = data[0] >> 2, len = data[1] | (data[0] & 2 ? (unsigned)data[2] << 8 : 0);
	uint32_t true_len;

	for (unsigned i = 0; i < count; i++)
		fds[i] = kinds[(data[1] + i) % 4];
	size -= 3;
	if (len <= size)
		memcpy(packet + (data[0] & 1 ? 8 : 0), data + 3, len);
	true_len = len;
	if (data[0] & 1)
		memcpy(packet, &true_len, sizeof true_len);
	io.iov_len = len + (data[0] & 1 ? 8 : 0);
	if (count) {
		control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	return 3 + (len <= size ? len : size);
}

static void drain(hutch_channel *c)
{
	static uint8_t buffer[4096 + 1];
	struct hutch_frame f = { .data = buffer, .size = 4096 };
	struct hutch_error e = { 0 };
	int r;

	buffer[4096] = 0x5a;
	while ((r = hutch_channel_receive(c, &f, &e)) == 1) {
		require(f.len <= 4096 && f.fd_count <= 2, "a frame keeps the bounds");
		for (unsigned i = 0; i < f.fd_count; i++)
			require(fcntl(f.fds[i], F_GETFD) == FD_CLOEXEC, "its descriptors are open, and closed on exec");
		hutch_frame_close(&f);
		taken++;
	}
	require(buffer[4096] == 0x5a, "the buffer is not overrun");
	require(f.fd_count == 0, "no descriptor without a frame");
	if (r < 0) {
		require(e.id == 863 || e.id == 864, "an error of the peer's");
		broken++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hutch_channel_limits limits = { .frame_max = 4096, .fds_max = 2 };
	int ends[2], p[2], kinds[4], next;
	hutch_channel *c;

	next = dup(0);
	close(next);
	require(hutch_channel_pair(ends, NULL) == 0 && hutch_channel_open(ends[0], &limits, &c, NULL) == 0 && pipe(p) == 0, "a channel");
	kinds[0] = kinds[1] = p[0];
	kinds[2] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	kinds[3] = open("/", O_RDONLY | O_CLOEXEC);
	while (size >= 3) {
		size_t used = send_packet(ends[1], data, size, kinds);
		if (data[1] % 3 == 0)
			drain(c);
		data += used;
		size -= used;
	}
	if (size == 1)
		shutdown(ends[1], SHUT_WR);
	drain(c);
	hutch_channel_free(c);
	close(ends[1]);
	for (int i = 0; i < 2; i++)
		close(p[i]), close(kinds[i + 2]);
	int again = dup(0);
	close(again);
	require(again == next, "no descriptor is left");
	return 0;
}

#ifndef HUTCH_LIBFUZZER
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	return *state ^= *state << 5;
}

static bool replay(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *f = fopen(path, "rb");

	if (!f) {
		perror(path);
		return false;
	}
	LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof bytes, f));
	fclose(f);
	return true;
}

int main(int argc, char **argv)
{
	uint32_t state = 0x9e3779b9;
	bool good = true;

	for (int i = 1; i < argc; i++)
		good &= replay(argv[i]);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t input[200];
		size_t len = next_random(&state) % sizeof input;
		for (size_t k = 0; k < len; k++)
			input[k] = (uint8_t)next_random(&state);
		/* Most headers true and few descriptors, or hardly a frame would be taken. */
		for (size_t k = 0; k + 2 < len; k += 3 + input[k + 1] % 8)
			input[k] = (next_random(&state) % 8) ? (uint8_t)(1 | (next_random(&state) % 4 ? 0 : 4)) : input[k], input[k + 1] %= 8;
		LLVMFuzzerTestOneInput(input, len);
	}
	printf("fuzz_channel: %lu frames taken, %lu channels broken\n", taken, broken);
	return good && taken > 100 && broken > 100 ? 0 : 1;
}
#endif
