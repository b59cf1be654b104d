/* host-worker VERB: a broker that calls confined workers through channels; the workers are this program too, and
 * some of them are hostile. Ends with 0 when all was right.
 * Runs in: the test process, and inside. */
#include "embed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hutch/channel.h>

enum { ECHO = 1, CRASH, HANG, EXIT, BIG, FLOOD, LIE, FDS, MEMORY, FILES, SOCKETS, STREAM, SPIN, OUTPUT, DENIED };

/* A sanitizer's own memory leaves no room for such a limit. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BOUNDED 0
#else
#define BOUNDED 1
#endif

static char buffer[HUTCH_FRAME_MAX];

/* ---- inside ---- */
static void raw(const void *bytes, size_t len, const int *fds, unsigned count)
{
	struct iovec io = { (void *)(uintptr_t)bytes, len };
	union { struct cmsghdr h; char space[CMSG_SPACE(253 * sizeof(int))]; } control = { .h = { CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };

	if (count) {
		memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	if (sendmsg(3, &m, MSG_NOSIGNAL) < 0)
		_exit(9);
}

static void raw_output(void)
{
	char line[4096];

	memset(line, 'x', sizeof line);
	if (write(1, line, sizeof line) < 0)
		_exit(9);
}

static void misbehave(unsigned how)
{
	static char zero[HUTCH_FRAME_MAX];
	uint32_t lie[2] = { 1000, 1 };
	int many[253], memory = memfd_create("x", 0);

	for (unsigned i = 0; i < 253; i++)
		many[i] = memory;
	switch (how) {
	case CRASH: signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); break; /* not to a sanitizer */
	case HANG: for (;;) pause(); break;
	case EXIT: _exit(4); break;
	case BIG: raw(zero, sizeof zero, NULL, 0); break;
	case FLOOD: fcntl(3, F_SETFL, O_NONBLOCK); for (;;) send(3, (uint32_t[]){ 0, 99 }, 8, MSG_NOSIGNAL); break;
	case LIE: raw(lie, sizeof lie, NULL, 0); break;
	case FDS: for (;;) raw((uint32_t[]){ 0, 1 }, 8, many, 253); break;
	case SPIN: for (volatile int i = 0;; i++) continue; break;
	case OUTPUT: for (;;) raw_output(); break;
	case DENIED: syscall(SYS_reboot, 0, 0, 0, NULL); break; /* without the magic numbers nothing happens anywhere */
	case MEMORY: for (;;) memset(malloc(1 << 20), 1, 1 << 20); break;
	}
}

/* What the worker can reach besides: nothing of it. */
static const char *way_out(unsigned how)
{
	if (how == FILES)
		return open("/etc/shadow", O_RDONLY) >= 0 || open("/root/.bashrc", O_RDONLY) >= 0 ? "opened" : "refused";
	struct { unsigned short family, port; uint32_t address; char zero[8]; } a = { AF_INET, 0x1600, 0x0100007f, { 0 } };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	return s >= 0 && connect(s, (void *)&a, sizeof a) == 0 ? "connected" : "refused";
}

static int serve(void)
{
	struct hutch_frame f = { .data = buffer, .size = sizeof buffer };
	hutch_channel *c;
	struct hutch_error e;

	if (hutch_channel_open(3, &(struct hutch_channel_limits){ .fds_max = 4 }, &c, &e) < 0)
		host_error("worker", &e);
	while (hutch_channel_next(c, &f, -1, &e) == 1) {
		if (f.tag == FILES || f.tag == SOCKETS) {
			const char *s = way_out(f.tag);
			hutch_channel_put(c, f.tag, s, strlen(s), NULL, 0, -1, NULL);
			continue;
		}
		misbehave(f.tag);
		hutch_channel_put(c, f.tag, f.data, f.len, f.fds, f.fd_count, -1, NULL);
		hutch_frame_close(&f);
	}
	return 0;
}

/* ---- the broker ---- */
static hutch_plan *worker_plan(void)
{
	static char self[4096];
	const char *lines[] = { "fd=3", "net=none", "cwd-access=none", "rlimit-core=0", BOUNDED ? "rlimit-as=64M" : NULL, NULL };
	char *argv[] = { self, "serve", NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	CHECK(n > 0, "%s", strerror(errno));
	self[n] = 0;
	return host_plan(argv, lines);
}

static hutch_worker *worker_of(hutch_plan *plan, unsigned starts)
{
	struct hutch_worker_options o = { .limits = { .fds_max = 4, .frames_per_second = 100000 }, .starts_max = starts };
	struct hutch_error e = { 0 };
	hutch_worker *w;

	if (hutch_worker_new(plan, &o, &w, &e) < 0)
		host_error("worker", &e);
	return w;
}

/* 0 = answered, else the error's number. */
static unsigned call(hutch_worker *w, unsigned what, const char *text, char *answer, struct hutch_error *e)
{
	struct hutch_frame f = { .data = buffer, .size = sizeof buffer };

	if (hutch_worker_call(w, what, text, strlen(text), NULL, 0, &f, what == HANG ? 500 : 10000, e) < 0)
		return e->id;
	snprintf(answer, 100, "%.*s", (int)f.len, (char *)f.data);
	hutch_frame_close(&f);
	return 0;
}

static void verb_calls(void)
{
	hutch_plan *plan = worker_plan();
	hutch_worker *w = worker_of(plan, 2);
	struct hutch_error e = { 0 };
	char answer[100];
	double start = 0;

	for (int i = 0; i < 1000; i++) {
		char text[20];
		snprintf(text, sizeof text, "call %d", i);
		if (i == 1)
			start = host_now_ms();
		CHECK(call(w, ECHO, text, answer, &e) == 0 && !strcmp(text, answer), "%s: %s", answer, e.detail);
	}
	CHECK(hutch_worker_starts(w) == 1, "%u starts", hutch_worker_starts(w));
	double us = host_now_ms() - start;
	/* A descriptor goes there and back. */
	int memory = memfd_create("passed", MFD_CLOEXEC);
	struct hutch_frame f = { .data = buffer, .size = sizeof buffer };
	CHECK(write(memory, "seen", 4) == 4 && hutch_worker_call(w, ECHO, "x", 1, &memory, 1, &f, 10000, &e) == 1 && f.fd_count == 1, "%s", e.detail);
	CHECK(pread(f.fds[0], answer, 4, 0) == 4 && !memcmp(answer, "seen", 4), "another file came back");
	hutch_frame_close(&f);
	CHECK(call(w, FILES, "", answer, &e) == 0 && !strcmp(answer, "refused"), "files: %s", answer);
	CHECK(call(w, SOCKETS, "", answer, &e) == 0 && !strcmp(answer, "refused"), "sockets: %s", answer);
	hutch_worker_free(w);
	hutch_plan_free(plan);
	printf("1000 calls, %.0f us each\n", us);
}

static void verb_hostile(void)
{
	static const struct { unsigned how, id; } ways[] = {
		{ CRASH, 866 }, { HANG, 865 }, { EXIT, 866 }, { BIG, 863 }, { LIE, 863 }, { FDS, 863 }, { MEMORY, 866 },
	};
	hutch_plan *plan = worker_plan();
	hutch_worker *w = worker_of(plan, 100);
	struct hutch_report r;
	struct hutch_error e = { 0 };
	char answer[100];
	int before = host_fd_count();

	for (size_t i = 0; i < sizeof ways / sizeof *ways - !BOUNDED; i++) {
		double start = host_now_ms();
		unsigned id = call(w, ways[i].how, "", answer, &e);
		CHECK(id == ways[i].id, "way %u: E%04u %s", ways[i].how, id, e.detail);
		CHECK(host_now_ms() - start < 8000, "way %u took %.0f ms", ways[i].how, host_now_ms() - start);
		CHECK(hutch_worker_run(w) == NULL, "it still runs");
		hutch_worker_report(w, &r);
		CHECK(ways[i].how != EXIT || (r.end == HUTCH_END_EXITED && r.exit_code == 4), "exit: %d %d", r.end, r.exit_code);
		CHECK(ways[i].how != CRASH || (r.end == HUTCH_END_SIGNALLED && r.signal == SIGSEGV), "crash: %d %d", r.end, r.signal);
		CHECK(call(w, ECHO, "again", answer, &e) == 0 && !strcmp(answer, "again"), "after way %u: %s", ways[i].how, e.detail);
	}
	/* A flood: the broker takes one answer that nobody asked for; what follows waits in the socket, bounded. */
	CHECK(call(w, FLOOD, "", answer, &e) == 0, "%s", e.detail);
	CHECK(host_status_kib(getpid(), "VmRSS") < 64 * 1024, "the broker grew to %ld KiB", host_status_kib(getpid(), "VmRSS"));
	hutch_worker_stop(w);
	CHECK(call(w, ECHO, "again", answer, &e) == 0, "%s", e.detail);
	hutch_worker_stop(w);
	CHECK(host_fd_count() == before, "%d descriptors, %d before", host_fd_count(), before);
	hutch_worker_free(w);
	/* One that fails always isn't started for ever. */
	w = worker_of(plan, 3);
	for (int i = 0; i < 3; i++)
		CHECK(call(w, EXIT, "", answer, &e) == 866, "%s", e.detail);
	CHECK(call(w, ECHO, "", answer, &e) == 867, "E%04u %s", e.id, e.detail);
	hutch_worker_free(w);
	hutch_plan_free(plan);
	printf("%zu ways\n", sizeof ways / sizeof *ways + 1);
}

/* What ends a run ends a worker, in the middle of a call too, and the caller is told the word. */
static void verb_limits(void)
{
	static const struct { const char *line; unsigned how; const char *word; } ways[] = {
		{ "wall-time=300ms", HANG, "wall-time" }, { "cpu-time=300ms", SPIN, "cpu-time" }, { "memory=64M", MEMORY, "memory" },
		{ "output-max=64K", OUTPUT, "output" }, { "on-denied=kill", DENIED, "syscall-denied" },
	};
	char self[4096] = { 0 }, *argv[] = { self, "serve", NULL }, answer[100], wanted[64];

	CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0, "%s", strerror(errno));
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		const char *lines[] = { "fd=3", "net=none", "cwd-access=none", "rlimit-core=0", "limits=prefer", "stdout=/dev/null", ways[i].line, NULL };
		struct hutch_error e = { 0 };
		hutch_plan *plan = ways[i].how == MEMORY && !BOUNDED ? NULL : host_plan(argv, lines);
		hutch_worker *w = plan ? worker_of(plan, 4) : NULL;
		double start = host_now_ms();
		snprintf(wanted, sizeof wanted, "it was ended: %s", ways[i].word);
		CHECK(!w || (call(w, ways[i].how, "", answer, &e) == 866 && !strcmp(e.detail, wanted)), "%s: E%04u %s", ways[i].line, e.id, e.detail);
		CHECK(host_now_ms() - start < 8000, "%s took %.0f ms", ways[i].line, host_now_ms() - start);
		hutch_worker_free(w);
		hutch_plan_free(plan);
	}
	puts("5 limits");
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve();
	if (argc == 2 && !strcmp(argv[1], "calls"))
		verb_calls();
	else if (argc == 2 && !strcmp(argv[1], "hostile"))
		verb_hostile();
	else if (argc == 2 && !strcmp(argv[1], "limits"))
		verb_limits();
	else
		return 2;
	return fflush(stdout) ? 1 : 0;
}
