/* host-embed VERB: a program that starts sandboxes as a browser or a server does. Ends with 0 when all was right.
 * Runs in: the test process. */
#include "embed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool stop_now(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set_flag(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

/* ---- from many threads at once ---- */
enum { THREADS = 64, ROUNDS = 3 };

/* Its own number, and every descriptor that it sees. */
static char *const list_fds[] = { "sh", "-c", "echo $0; ls /proc/$$/fd; exit $0", NULL, NULL };

static void *thread_runs(void *arg)
{
	int number = (int)(intptr_t)arg, loose[2];
	char word[12], want[64], text[4096], *argv[5];
	const char *lines[] = { "fd=1=1", NULL };

	memcpy(argv, list_fds, sizeof list_fds);
	snprintf(word, sizeof word, "%d", number);
	argv[3] = word;
	hutch_plan *plan = host_plan(argv, lines);
	for (int i = 0; i < ROUNDS; i++) {
		/* Not close-on-exec, as so many programs have them: other threads' launches must not pass these on. */
		CHECK(pipe(loose) == 0, "%s", strerror(errno));
		struct hutch_report r = host_capture(plan, text, sizeof text);
		close(loose[0]);
		close(loose[1]);
		snprintf(want, sizeof want, "%d\n0\n1\n2\n", number);
		CHECK(r.end == HUTCH_END_EXITED && r.exit_code == number, "thread %d: end %d, code %d, signal %d", number, r.end, r.exit_code, r.signal);
		CHECK(!strcmp(text, want), "thread %d saw: %s", number, text);
	}
	hutch_plan_free(plan);
	return NULL;
}

static void verb_threads(void)
{
	pthread_t threads[THREADS];
	int before = host_fd_count();

	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, thread_runs, (void *)(intptr_t)i) == 0, "%d", i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(host_fd_count() == before, "%d descriptors, %d before", host_fd_count(), before);
	printf("%d runs from %d threads\n", THREADS * ROUNDS, THREADS);
}

/* ---- one plan for all of them ---- */
static void *spawns_shared(void *plan)
{
	struct hutch_error e = { 0 };
	struct hutch_report report;
	hutch_run *run;

	for (int i = 0; i < ROUNDS; i++) {
		if (hutch_spawn(plan, &run, &e) < 0 || hutch_run_wait(run, &report, &e) < 0)
			host_error("spawn", &e);
		CHECK(report.end == HUTCH_END_EXITED && report.exit_code == 4, "end %d, code %d", report.end, report.exit_code);
		hutch_run_free(run);
	}
	return NULL;
}

static void verb_shared(void)
{
	char *argv[] = { "sh", "-c", "exit 4", NULL };
	hutch_plan *plan = host_plan(argv, NULL);
	pthread_t threads[16];

	for (int i = 0; i < 16; i++)
		CHECK(pthread_create(&threads[i], NULL, spawns_shared, plan) == 0, "%d", i);
	for (int i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	hutch_plan_free(plan);
	printf("%d runs of one plan from 16 threads\n", 16 * ROUNDS);
}

/* ---- while signals rain ---- */
static int caught;

static void on_signal(int number)
{
	(void)number;
	__atomic_store_n(&caught, 1, __ATOMIC_RELAXED);
}

static void *rain(void *arg)
{
	bool *stop = arg;

	while (!stop_now(stop)) {
		kill(getpid(), SIGUSR1);
		usleep(200);
	}
	return NULL;
}

static void verb_storm(void)
{
	struct sigaction a = { .sa_handler = on_signal }; /* no SA_RESTART: everything is interrupted */
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, off = { { 0, 0 }, { 0, 0 } };
	const char *lines[] = { "fd=1=1", NULL };
	char *argv[] = { "sh", "-c", "echo done; exit 3", NULL }, text[64];
	hutch_plan *plan = host_plan(argv, lines);
	bool stop = false;
	pthread_t thread;

	sigaction(SIGUSR1, &a, NULL);
	sigaction(SIGALRM, &a, NULL);
	pthread_create(&thread, NULL, rain, &stop);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 40; i++) {
		struct hutch_report r = host_capture(plan, text, sizeof text);
		CHECK(r.end == HUTCH_END_EXITED && r.exit_code == 3 && !strcmp(text, "done\n"), "run %d: end %d, code %d: %s", i, r.end, r.exit_code, text);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	set_flag(&stop);
	pthread_join(thread, NULL);
	hutch_plan_free(plan);
	CHECK(__atomic_load_n(&caught, __ATOMIC_RELAXED), "no signal came: the check is vacuous");
	printf("40 runs\n");
}

/* ---- while other threads hold the locks of malloc and stdio ---- */
static void *hold_locks(void *arg)
{
	bool *stop = arg;
	FILE *null = fopen("/dev/null", "we");

	CHECK(null, "%s", strerror(errno));
	while (!stop_now(stop)) {
		void *p[64];
		for (int i = 0; i < 64; i++)
			p[i] = malloc((size_t)1 << (i % 18));
		fprintf(null, "%p\n", p[0]);
		for (int i = 0; i < 64; i++)
			free(p[i]);
		setenv("HUTCH_TEST_NOISE", "x", 1);
	}
	fclose(null);
	return NULL;
}

static void verb_locks(void)
{
	const char *lines[] = { "fd=1=1", NULL };
	char *argv[] = { "sh", "-c", "echo done", NULL }, text[64];
	hutch_plan *plan = host_plan(argv, lines);
	bool stop = false;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hold_locks, &stop);
	for (int i = 0; i < 40; i++) {
		struct hutch_report r = host_capture(plan, text, sizeof text);
		CHECK(r.end == HUTCH_END_EXITED && r.exit_code == 0 && !strcmp(text, "done\n"), "run %d: end %d, code %d: %s", i, r.end, r.exit_code, text);
	}
	set_flag(&stop);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	hutch_plan_free(plan);
	printf("40 runs\n");
}

/* ---- hosts that ignore SIGCHLD, or wait for every child ---- */
static void *wait_for_all(void *arg)
{
	bool *stop = arg;

	while (!stop_now(stop)) {
		if (waitpid(-1, NULL, 0) < 0)
			usleep(100);
	}
	return NULL;
}

static void expect_statuses(const hutch_plan *plan)
{
	char text[64];

	for (int i = 0; i < 20; i++) {
		struct hutch_report r = host_capture(plan, text, sizeof text);
		CHECK(r.end == HUTCH_END_EXITED && r.exit_code == 7 && !strcmp(text, "done\n"), "run %d: end %d, code %d: %s", i, r.end, r.exit_code, text);
	}
}

static void verb_sigchld(void)
{
	const char *lines[] = { "fd=1=1", NULL }, *alone[] = { "init=no", NULL };
	char *argv[] = { "sh", "-c", "sh -c 'exit 1'; echo done; exit 7", NULL };
	hutch_plan *plan = host_plan(argv, lines), *direct = host_plan(argv, alone);
	struct hutch_error e = { 0 };
	struct hutch_report report;
	hutch_run *run;
	bool stop = false;
	pthread_t thread;

	signal(SIGCHLD, SIG_IGN); /* after the plan was made */
	expect_statuses(plan);
	/* Without init the kernel alone has the status, and gives it to nobody: an error, no wrong answer, no hang. */
	CHECK(hutch_spawn(direct, &run, &e) == 0, "spawn");
	CHECK(hutch_run_wait(run, &report, &e) < 0 && strstr(e.detail, "SIGCHLD"), "wait: %s", e.detail);
	hutch_run_free(run);
	signal(SIGCHLD, SIG_DFL);
	pthread_create(&thread, NULL, wait_for_all, &stop);
	expect_statuses(plan);
	set_flag(&stop);
	pthread_join(thread, NULL);
	hutch_plan_free(plan);
	hutch_plan_free(direct);
	printf("40 runs\n");
}

/* ---- nothing is lost, whatever fails ---- */
static void expect_refusal(const char *line, int inside, int outside, unsigned id)
{
	const char *lines[] = { line, NULL };
	char *argv[] = { "true", NULL };
	hutch_plan *plan = host_plan(argv, lines);
	struct hutch_error e = { 0 };
	hutch_run *run = NULL;
	struct hutch_fd place = { inside, outside };

	CHECK(hutch_spawn_fds(plan, &place, 1, &run, &e) < 0 && !run && e.id == id, "%s, %d from %d: E%04u", line, inside, outside, e.id);
	hutch_plan_free(plan);
}

static void verb_leaks(void)
{
	const char *lines[] = { "fd=1=1", NULL };
	char *argv[] = { "true", NULL }, *bad[] = { "/etc/passwd", NULL }, text[16];
	hutch_plan *plan = host_plan(argv, lines), *fails = host_plan(bad, NULL);
	int before = host_fd_count(), directory = open("/", O_RDONLY | O_CLOEXEC), plain = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	struct hutch_error e;
	hutch_run *run;

	for (int i = 0; i < 30; i++) {
		host_capture(plan, text, sizeof text);
		CHECK(hutch_spawn(fails, &run, &e) < 0 && !run, "a text file was executed");
		expect_refusal("fd=3=0", 3, directory, 550);
		expect_refusal("fd=3=0", 3, 9999, 550);
		expect_refusal("fd=3=0", 4, plain, 550);
	}
	CHECK(host_fd_count() == before + 2, "%d descriptors, %d before", host_fd_count(), before + 2);
	errno = 0;
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child is left");
	hutch_plan_free(plan);
	hutch_plan_free(fails);
	close(directory);
	close(plain);
	printf("150 launches\n");
}

/* ---- where descriptors are few, or 0-2 are closed or closed on exec ---- */
static void verb_few(void)
{
	const char *lines[] = { "fd=1=1", "fd=50=1", NULL };
	char *argv[] = { "bash", "-c", "echo done >&50; for i in {0..50}; do [ ! -e /proc/$$/fd/$i ] || echo -n \"$i \"; done", NULL }, text[128];
	struct rlimit few = { 51, 51 };
	struct hutch_error e = { 0 };
	struct hutch_report report;
	hutch_run *run;
	int out[2], status;
	ssize_t n;

	CHECK(pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
	struct hutch_fd places[] = { { 50, out[1] }, { 1, out[1] } };
	setrlimit(RLIMIT_NOFILE, &few);
	fcntl(2, F_SETFD, FD_CLOEXEC);
	close(0);
	hutch_plan *plan = host_plan(argv, lines);
	if (hutch_spawn_fds(plan, places, 2, &run, &e) < 0)
		host_error("spawn", &e);
	close(out[1]);
	CHECK(hutch_run_wait(run, &report, &e) == 0, "wait");
	for (status = 0; (n = read(out[0], text + status, sizeof text - 1 - (size_t)status)) > 0;)
		status += (int)n;
	text[status] = 0;
	CHECK(!strncmp(text, "done\n0 1 2 50 ", 14), "saw %s", text);
	hutch_run_free(run);
	/* What 0 to 2 are has become part of the plan. */
	CHECK(hutch_spawn(plan, &run, &e) == 0, "E%04u %s", e.id, e.detail);
	hutch_run_free(run);
	CHECK(dup2(open("/", O_RDONLY | O_CLOEXEC), 2) == 2 && open("/dev/null", O_RDONLY) >= 0, "%s", strerror(errno));
	CHECK(hutch_spawn(plan, &run, &e) < 0 && e.id == 551, "E%04u %s", e.id, e.detail);
	hutch_plan_free(plan);
	puts("0 closed, 2 closed on exec, 51 descriptors");
}

/* ---- the launching thread may end; the caller's memory stays the caller's ---- */
struct job { hutch_plan *plan; hutch_run *run; };

static void *spawn_and_end(void *arg)
{
	struct job *j = arg;
	struct hutch_error e = { 0 };

	if (hutch_spawn(j->plan, &j->run, &e) < 0)
		host_error("spawn", &e);
	return NULL;
}

static void verb_outlives(void)
{
	char *argv[] = { "sh", "-c", "sleep 0.3; exit 5", NULL };
	struct job j = { .plan = host_plan(argv, NULL) };
	size_t size = 300u << 20;
	char *heap = malloc(size);
	struct hutch_report report;
	struct hutch_error e = { 0 };
	pthread_t thread;
	long own, init;

	CHECK(heap, "no memory");
	memset(heap, 'x', size);
	pthread_create(&thread, NULL, spawn_and_end, &j);
	pthread_join(thread, NULL);
	own = host_status_kib(getpid(), "VmRSS");
	init = host_status_kib(hutch_run_pid(j.run), "VmSize");
	CHECK(own > 300 * 1024, "the heap isn't there: %ld KiB", own);
	CHECK(init >= 0 && init < 4096, "init has %ld KiB of memory: a copy of the caller", init);
	if (hutch_run_wait(j.run, &report, &e) < 0)
		host_error("wait", &e);
	CHECK(report.end == HUTCH_END_EXITED && report.exit_code == 5, "end %d, code %d, signal %d", report.end, report.exit_code, report.signal);
	CHECK(heap[size / 2] == 'x', "the heap changed");
	hutch_run_free(j.run);
	hutch_plan_free(j.plan);
	free(heap);
	printf("caller %ld KiB, init %ld KiB\n", own, init);
}

/* ---- what a launch costs the caller doesn't grow with its memory ---- */
enum { HEAP_MIB = 400, HEAP_RUNS = 15 };

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* Medians of both ways, in turn. */
static void launch_costs(const hutch_plan *plan, double *by_hutch, double *forking)
{
	double t[2][HEAP_RUNS], start;
	struct hutch_error e = { 0 };
	hutch_run *run;

	for (int i = 0; i < HEAP_RUNS; i++) {
		start = cpu_ms();
		if (hutch_spawn(plan, &run, &e) < 0 || hutch_run_wait(run, NULL, &e) < 0)
			host_error("spawn", &e);
		hutch_run_free(run);
		t[0][i] = cpu_ms() - start;
		start = cpu_ms();
		by_fork();
		t[1][i] = cpu_ms() - start;
	}
	qsort(t[0], HEAP_RUNS, sizeof **t, compare_double);
	qsort(t[1], HEAP_RUNS, sizeof **t, compare_double);
	*by_hutch = t[0][HEAP_RUNS / 2];
	*forking = t[1][HEAP_RUNS / 2];
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void verb_heap(void)
{
	(void)launch_costs;
	puts("SKIP a sanitizer's own memory is copied by fork as well");
}
#else
static void verb_heap(void)
{
	char *argv[] = { "true", NULL };
	hutch_plan *plan = host_plan(argv, NULL);
	size_t size = (size_t)HEAP_MIB << 20;
	double small[2], large[2];
	char *heap;

	launch_costs(plan, &small[0], &small[1]);
	heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(heap != MAP_FAILED, "%s", strerror(errno));
	madvise(heap, size, MADV_NOHUGEPAGE);
	memset(heap, 1, size);
	launch_costs(plan, &large[0], &large[1]);
	munmap(heap, size);
	hutch_plan_free(plan);
	CHECK(large[1] > 3 * small[1], "fork took %.2f ms, then %.2f ms: nothing can be told here", small[1], large[1]);
	CHECK(large[0] < 2 * small[0] + 1, "a launch took %.2f ms, with %d MiB more %.2f ms", small[0], HEAP_MIB, large[0]);
	printf("hutch %.2f ms, then %.2f; fork %.2f ms, then %.2f\n", small[0], large[0], small[1], large[1]);
}
#endif

/* ---- an event loop, with a kill ---- */
static void verb_loop(void)
{
	char *argv[] = { "sleep", "60", NULL };
	hutch_plan *plan = host_plan(argv, NULL);
	hutch_run *runs[8];
	struct hutch_error e = { 0 };
	struct hutch_report report;
	int left = 8;
	double start = host_now_ms();

	for (int i = 0; i < 8; i++) {
		if (hutch_spawn(plan, &runs[i], &e) < 0)
			host_error("spawn", &e);
	}
	for (int i = 0; i < 8; i++)
		CHECK((i % 2 ? hutch_run_kill(runs[i], &e) : hutch_run_signal(runs[i], SIGTERM, &e)) == 0, "%d", i);
	while (left) {
		struct pollfd p[8 * 8];
		int from[9] = { 0 }, n = 0;
		for (int i = 0; i < 8; i++, from[i] = n)
			n += runs[i] ? hutch_run_pollfds(runs[i], p + n, 8) : 0;
		CHECK(poll(p, (nfds_t)n, 10000) > 0, "nothing happens");
		for (int i = 0; i < 8; i++) {
			if (!runs[i] || hutch_run_step(runs[i], p + from[i], from[i + 1] - from[i], &e) != 1)
				continue;
			CHECK(hutch_run_wait(runs[i], &report, &e) == 0, "wait");
			CHECK(report.end == (i % 2 ? HUTCH_END_KILLED : HUTCH_END_SIGNALLED), "run %d ended as %d", i, report.end);
			hutch_run_free(runs[i]);
			runs[i] = NULL;
			left--;
		}
	}
	hutch_plan_free(plan);
	printf("8 runs in %.0f ms\n", host_now_ms() - start);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } verbs[] = {
		{ "threads", verb_threads }, { "shared", verb_shared }, { "storm", verb_storm }, { "locks", verb_locks }, { "sigchld", verb_sigchld },
		{ "leaks", verb_leaks }, { "few", verb_few }, { "outlives", verb_outlives }, { "loop", verb_loop }, { "heap", verb_heap },
	};

	for (size_t i = 0; argc == 2 && i < sizeof verbs / sizeof *verbs; i++) {
		if (!strcmp(verbs[i].name, argv[1])) {
			verbs[i].run();
			return fflush(stdout) ? 1 : 0;
		}
	}
	fputs("usage: host-embed threads|shared|storm|locks|sigchld|leaks|few|outlives|loop|heap\n", stderr);
	return 2;
}
