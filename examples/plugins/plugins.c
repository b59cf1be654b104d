/* plugins NUMBER FILE.so…: loads shared objects that nobody vouches for, each in a confined worker of its own, calls
 * them with a time limit, and goes on whatever they do. The worker is this same program, started anew.
 * Runs in: parent, and inside (worker). */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hutch/channel.h>

enum { CALL = 1, ANSWER, FAILURE };
enum { TIME_LIMIT_MS = 1000, FRAME = 512 };

/* ---- inside: the only code that touches the plug-in ---- */
static int worker_fail(hutch_channel *c, const char *why)
{
	char room[FRAME];
	struct hutch_frame f = { .data = room, .size = sizeof room };

	/* As the answer to the first call: who has ended already isn't heard any more. */
	hutch_channel_next(c, &f, -1, NULL);
	hutch_channel_put(c, FAILURE, why, strnlen(why, FRAME), NULL, 0, -1, NULL);
	return 1;
}

static int worker(const char *path)
{
	struct hutch_channel_limits limits = { .frame_max = FRAME };
	int64_t x, (*call)(int64_t);
	struct hutch_frame f = { .data = &x, .size = sizeof x };
	char room[FRAME];
	hutch_channel *c;
	void *object;

	if (hutch_channel_open(3, &limits, &c, NULL) < 0)
		return 2;
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return worker_fail(c, dlerror());
	*(void **)&call = dlsym(object, "plugin_call");
	if (!call)
		return worker_fail(c, "it has no plugin_call");
	f.data = room;
	f.size = sizeof room;
	while (hutch_channel_next(c, &f, -1, NULL) == 1 && f.len == sizeof x) {
		memcpy(&x, room, sizeof x);
		x = call(x);
		hutch_channel_put(c, ANSWER, &x, sizeof x, NULL, 0, -1, NULL);
	}
	return 0;
}

/* ---- the host program ---- */
static int complain(const char *path, const struct hutch_error *e)
{
	char text[2048];

	hutch_error_text(e, text, sizeof text);
	text[strcspn(text, "\n")] = 0;
	printf("%s: %s\n", path, text);
	return -1;
}

static hutch_plan *plan_for(const char *self, const char *path, struct hutch_error *e)
{
	/* Its own file, the libraries, nothing else; no more memory, time and files than a plug-in may need. Where no
	 * cgroup can be had, something weaker stands in. */
	static const char *const lines[][2] = {
		{ "fd", "3" }, { "net", "none" }, { "cwd-access", "none" }, { "home", "none" }, { "seccomp", "strict" },
		{ "limits", "prefer" }, { "memory", "64M" }, { "pids", "8" }, { "cpu-time", "10s" }, { "rlimit-nofile", "32" }, { "tmp-size", "1M" },
	};
	char *argv[] = { (char *)(uintptr_t)self, "--worker", "/plugin.so", NULL }, where[4200];
	hutch_policy *p = hutch_policy_new();
	hutch_plan *plan = NULL;
	int r = p ? 0 : -1;

	snprintf(where, sizeof where, "%s:/plugin.so", path);
	for (size_t i = 0; r == 0 && i < sizeof lines / sizeof *lines; i++)
		r = hutch_policy_set(p, lines[i][0], lines[i][1], e);
	if (r == 0 && hutch_policy_set(p, "ro", where, e) == 0 && hutch_policy_command(p, argv, e) == 0)
		hutch_plan_new(p, false, &plan, e);
	hutch_policy_free(p);
	return plan;
}

static int call_plugin(hutch_worker *w, const char *path, int64_t x)
{
	struct hutch_error e = { 0 };
	char room[FRAME];
	struct hutch_frame f = { .data = room, .size = sizeof room };
	int64_t answer;

	if (hutch_worker_call(w, CALL, &x, sizeof x, NULL, 0, &f, TIME_LIMIT_MS, &e) < 0)
		return complain(path, &e);
	if (f.tag != ANSWER || f.len != sizeof answer) {
		printf("%s: can't be used: %.*s\n", path, (int)f.len, room);
		return -1;
	}
	memcpy(&answer, room, sizeof answer);
	printf("%s: %lld -> %lld\n", path, (long long)x, (long long)answer);
	return 0;
}

static int use(const char *self, const char *path, int64_t x)
{
	struct hutch_worker_options o = { .limits = { .frame_max = FRAME } };
	struct hutch_error e = { 0 };
	hutch_plan *plan = plan_for(self, path, &e);
	hutch_worker *w = NULL;
	int r = -1;

	if (!plan || hutch_worker_new(plan, &o, &w, &e) < 0)
		complain(path, &e);
	else
		r = call_plugin(w, path, x);
	hutch_worker_free(w);
	hutch_plan_free(plan);
	return r;
}

int main(int argc, char **argv)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int failures = 0;

	if (argc == 3 && !strcmp(argv[1], "--worker"))
		return worker(argv[2]);
	if (argc < 3 || n < 0) {
		fputs("usage: plugins NUMBER FILE.so...\n", stderr);
		return 2;
	}
	self[n] = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 2; i < argc; i++)
		failures += use(self, argv[i], strtoll(argv[1], NULL, 10)) < 0;
	printf("%d of %d plug-ins failed; this program goes on\n", failures, argc - 2);
	return 0;
}
