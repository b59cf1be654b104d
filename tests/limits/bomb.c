/* Programs that use too much, one verb each. Every one is bounded by itself too: a sandbox that fails to stop it
 * must not cost the machine anything.
 * Runs in: child (the sandboxed program); "tick" on the host. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MOST 8u
#define MEMORY_MOST (512u << 20)
#define PROCESSES_MOST 400
#define BYTES_MOST (256u << 20)

static long number(const char *text)
{
	return strtol(text, NULL, 0);
}

static int64_t clock_ms(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

/* Holds this process and all that it starts. */
static void bound(void)
{
	struct rlimit cpu = { SECONDS_MOST, SECONDS_MOST + 1 }, as = { MEMORY_MOST + (256u << 20), MEMORY_MOST + (256u << 20) };

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_AS, &as);
	alarm(SECONDS_MOST);
}

static void burn(long ms)
{
	volatile unsigned n = 0;

	while (clock_ms(CLOCK_PROCESS_CPUTIME_ID) < ms)
		for (int i = 0; i < 10000; i++)
			n = n + 1;
}

static pid_t child(void)
{
	pid_t p = fork();

	if (p == 0)
		alarm(SECONDS_MOST);
	return p;
}

/* ---- ends that the program chooses ---- */
static int verb_exit(char **args)
{
	return (int)number(args[0]);
}

static int verb_signal(char **args)
{
	struct rlimit none = { 0, 0 };

	if (args[1])
		none.rlim_cur = none.rlim_max = (rlim_t)number(args[1]);
	setrlimit(RLIMIT_CORE, &none);
	signal((int)number(args[0]), SIG_DFL);
	raise((int)number(args[0]));
	return 0;
}

/* ---- time ---- */
/* args: milliseconds, who: self, child (never waited for), orphan (forked twice), churn (many short ones that nobody
 * waits for) */
static int verb_cpu(char **args)
{
	int *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
	long ms = number(args[0]);

	if (done == MAP_FAILED)
		return 99;
	if (!strcmp(args[1], "churn")) {
		signal(SIGCHLD, SIG_IGN);
		for (long i = 0; i < ms / 10 && i < PROCESSES_MOST; i++) {
			if (child() == 0) {
				burn(10);
				_exit(0);
			}
			sleep_ms(10);
		}
		return 0;
	}
	if (!strcmp(args[1], "self")) {
		burn(ms);
		return 0;
	}
	if (child() == 0) {
		if (!strcmp(args[1], "orphan")) {
			setsid();
			if (child() > 0)
				_exit(0);
		}
		burn(ms);
		__atomic_store_n(done, 1, __ATOMIC_SEQ_CST);
		_exit(0);
	}
	/* It isn't waited for, but its work is. */
	for (int i = 0; i < 4000 && !__atomic_load_n(done, __ATOMIC_SEQ_CST); i++)
		sleep_ms(2);
	return 0;
}

static int verb_sleep(char **args)
{
	sleep_ms(number(args[0]));
	return 0;
}

static int verb_stop(char **args)
{
	raise(SIGSTOP);
	sleep_ms(number(args[0]));
	return 0;
}

static int verb_ignore(char **args)
{
	for (int i = 1; i < 65; i++)
		if (i != SIGALRM && i != SIGCHLD)
			signal(i, SIG_IGN);
	sleep_ms(number(args[0]));
	return 0;
}

static void on_term(int signal)
{
	(void)signal;
	if (write(1, "term\n", 5) != 5)
		_exit(8);
	_exit(7);
}

static int verb_onterm(char **args)
{
	signal(SIGTERM, on_term);
	sleep_ms(number(args[0]));
	return 0;
}

/* A child in a trace stop, which no signal but KILL gets out of. */
static int verb_traced(char **args)
{
	pid_t p = child();
	int status;

	if (p == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(9);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(p, &status, WUNTRACED) != p || !WIFSTOPPED(status))
		return 9;
	puts("traced");
	fflush(stdout);
	sleep_ms(number(args[0]));
	return 0;
}

/* ---- memory ---- */
static void *grab(size_t bytes, bool shared)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	memset(p, 1, bytes);
	return p;
}

/* args: MiB, how: private, shared, children (four that share the amount) */
static int verb_memory(char **args)
{
	size_t most = (size_t)number(args[0]) << 20, got = 0;
	bool shared = !strcmp(args[1], "shared");
	int split = !strcmp(args[1], "children") ? 4 : 1;

	if (most > MEMORY_MOST)
		return 99;
	for (int i = 1; i < split && child() != 0; i++)
		continue;
	for (; got < most / (size_t)split; got += 1u << 20)
		if (!grab(1u << 20, shared))
			return 9;
	/* Where it is added up only now and then, somebody must look meanwhile. */
	sleep_ms(split > 1 || shared ? 1000 : 0);
	return 0;
}

/* args: MiB, milliseconds: taken, held, given back */
static int verb_hold(char **args)
{
	size_t bytes = (size_t)number(args[0]) << 20;
	void *p = bytes > MEMORY_MOST ? NULL : grab(bytes, false);

	if (!p)
		return 9;
	sleep_ms(number(args[1]));
	munmap(p, bytes);
	return 0;
}

/* ---- processes ---- */
static int verb_fork(char **args)
{
	long want = number(args[0]), made = 0;
	pid_t pids[PROCESSES_MOST];

	for (; made < want && made < PROCESSES_MOST; made++) {
		pids[made] = child();
		if (pids[made] < 0)
			break;
		if (pids[made] == 0) {
			sleep_ms(number(args[1]));
			_exit(0);
		}
	}
	if (made < want)
		sleep_ms(number(args[1]));
	printf("made %ld\n", made);
	for (long i = 0; i < made; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		continue;
	return made < want;
}

static void *nap(void *ms)
{
	sleep_ms((long)(intptr_t)ms);
	return NULL;
}

static int verb_threads(char **args)
{
	long want = number(args[0]), made = 0;
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	while (made < want && made < PROCESSES_MOST && pthread_create(&t, &small, nap, (void *)(intptr_t)number(args[1])) == 0)
		made++;
	if (made < want)
		sleep_ms(number(args[1]));
	printf("made %ld\n", made);
	return made < want;
}

/* Forks as fast as it can, the children too: at most 1500 times, and for these milliseconds. */
static int verb_storm(char **args)
{
	int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
	int64_t end = clock_ms(CLOCK_MONOTONIC) + number(args[0]);
	struct rlimit l = { PROCESSES_MOST, PROCESSES_MOST };

	if (count == MAP_FAILED)
		return 99;
	setrlimit(RLIMIT_NPROC, &l);
	signal(SIGCHLD, SIG_IGN);
	while (clock_ms(CLOCK_MONOTONIC) < end && __atomic_load_n(count, __ATOMIC_SEQ_CST) < 1500) {
		if (fork() < 0)
			sleep_ms(1);
		else
			__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	}
	return 1;
}

static int verb_daemon(char **args)
{
	if (child() == 0) {
		setsid();
		if (child() == 0) {
			for (int i = 1; i < 65; i++)
				if (i != SIGALRM)
					signal(i, SIG_IGN);
			if (args[1])
				close(0), close(1), close(2);
			sleep_ms(number(args[0]));
		}
		_exit(0);
	}
	sleep_ms(50);
	return 0;
}

/* ---- output and files ---- */
static int put(int fd, long bytes)
{
	static char block[65536];

	memset(block, 'x', sizeof block);
	for (long done = 0; done < bytes && done < (long)BYTES_MOST;) {
		long left = bytes - done;
		ssize_t n = write(fd, block, left < (long)sizeof block ? (size_t)left : sizeof block);
		if (n < 0)
			return -1;
		done += n;
	}
	return 0;
}

static int verb_out(char **args)
{
	if (args[2])
		signal(SIGPIPE, SIG_IGN);
	return put((int)number(args[0]), number(args[1])) < 0 ? 1 : 0;
}

static int verb_file(char **args)
{
	int fd = open(args[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (args[2])
		signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return 9;
	return put(fd, number(args[1])) < 0 ? (errno == ENOSPC ? 2 : 1) : 0;
}

static int verb_inodes(char **args)
{
	char path[300];

	for (long i = 0; i < number(args[1]) && i < 20000; i++) {
		int fd;
		snprintf(path, sizeof path, "%s/%ld", args[0], i);
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		if (fd < 0)
			return errno == ENOSPC ? 2 : 1;
		close(fd);
	}
	return 0;
}

/* ---- calls ---- */
static int verb_call(char **args)
{
	return syscall(number(args[0]), 0, 0, 0, 0, 0, 0) < 0 ? 3 : 0;
}

static int verb_call32(char **args)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(number(args[0])), "b"(0), "c"(0), "d"(0) : "memory");
	return r < 0 ? 3 : 0;
#else
	(void)args;
	return 98;
#endif
}

/* ---- the record ---- */
static void write_into(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) > 0)
			printf("wrote %s\n", path);
		close(fd);
	}
}

/* Into every descriptor but our own three, by number and by name, of us and of init. args: text */
static int verb_forge(char **args)
{
	char path[64];

	for (int fd = 3; fd < 1024; fd++) {
		if (write(fd, args[0], strlen(args[0])) > 0)
			printf("wrote %d\n", fd);
		for (int who = 0; who < 2; who++) {
			snprintf(path, sizeof path, who ? "/proc/1/fd/%d" : "/proc/self/fd/%d", fd);
			write_into(path, args[0]);
		}
	}
	return 7;
}

/* The record's own name, shown to us with the right to write. args: path, text, how */
static int verb_scribble(char **args)
{
	const char *how = args[2];

	if (!strcmp(how, "replace") && unlink(args[0]) < 0)
		return 9;
	if (!strcmp(how, "link") && (unlink(args[0]) < 0 || symlink(args[3], args[0]) < 0))
		return 9;
	if (!strcmp(how, "fifo") && (unlink(args[0]) < 0 || mkfifo(args[0], 0666) < 0))
		return 9;
	if (!strcmp(how, "replace") || !strcmp(how, "append")) {
		FILE *f = fopen(args[0], "a");
		if (!f)
			return 9;
		for (int i = 0; i < 500; i++)
			fprintf(f, "%s\n", args[1]);
		fclose(f);
	}
	return 7;
}

/* On the host: how many ticks of 100 ms came within this time, and the longest wait for one. */
static int verb_tick(char **args)
{
	int64_t start = clock_ms(CLOCK_MONOTONIC), last = start, most = 0, now = start;
	long ticks = 0;

	while (now - start < number(args[0])) {
		sleep_ms(100);
		now = clock_ms(CLOCK_MONOTONIC);
		most = now - last > most ? now - last : most;
		last = now;
		ticks++;
	}
	printf("ticks %ld most %lld ms %lld\n", ticks, (long long)most, (long long)(now - start));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int least; int (*run)(char **args); } verbs[] = {
		{ "exit", 1, verb_exit }, { "signal", 1, verb_signal }, { "cpu", 2, verb_cpu }, { "sleep", 1, verb_sleep },
		{ "stop", 1, verb_stop }, { "ignore", 1, verb_ignore }, { "onterm", 1, verb_onterm }, { "traced", 1, verb_traced },
		{ "memory", 2, verb_memory }, { "hold", 2, verb_hold }, { "fork", 2, verb_fork }, { "threads", 2, verb_threads },
		{ "storm", 1, verb_storm }, { "daemon", 1, verb_daemon }, { "out", 2, verb_out }, { "file", 2, verb_file },
		{ "inodes", 2, verb_inodes }, { "call", 1, verb_call }, { "call32", 1, verb_call32 }, { "forge", 1, verb_forge },
		{ "scribble", 3, verb_scribble }, { "tick", 1, verb_tick },
	};

	bound();
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
		if (!strcmp(argv[1], verbs[i].name) && argc - 2 >= verbs[i].least)
			return verbs[i].run(argv + 2);
	}
	fprintf(stderr, "usage: bomb VERB [ARGUMENT...]\n");
	return 99;
}
