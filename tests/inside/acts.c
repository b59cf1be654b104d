/* Verbs that act: processes, signals, sockets, memory, raw system calls.
 * Runs in: the sandbox's payload. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"

static void pause_for(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static struct sockaddr_in loopback(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int verb_connect(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct sockaddr_in a = loopback(argv[i]);
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char key[64];

		snprintf(key, sizeof(key), "connect:%s", argv[i]);
		say(key, "%s", s < 0 ? error_name(errno) : verdict(connect(s, (void *)&a, sizeof(a))));
		if (s >= 0)
			close(s);
	}
	return 0;
}

static int verb_bind(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct sockaddr_in a = loopback(argv[i]);
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
		char key[64];

		snprintf(key, sizeof(key), "bind:%s", argv[i]);
		if (s >= 0)
			setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		say(key, "%s", s < 0 ? error_name(errno) : verdict(bind(s, (void *)&a, sizeof(a))));
		if (s >= 0)
			close(s);
	}
	return 0;
}

static int verb_unix(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool abstract = argv[0][0] == '@';
	size_t len = strlen(argv[0]);
	char key[160];

	(void)argc;
	if (len >= sizeof(a.sun_path))
		return 2;
	memcpy(a.sun_path, argv[0], len);
	if (abstract)
		a.sun_path[0] = 0;
	snprintf(key, sizeof(key), "unix:%s", argv[0]);
	say(key, "%s", s < 0 ? error_name(errno) :
	    verdict(connect(s, (void *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract))));
	if (s >= 0)
		close(s);
	return 0;
}

static int verb_socket(int argc, char **argv)
{
	char key[64];
	int s = socket(atoi(argv[0]), argc > 1 ? atoi(argv[1]) : SOCK_DGRAM, argc > 2 ? atoi(argv[2]) : 0);

	snprintf(key, sizeof(key), "socket:%s", argv[0]);
	say(key, "%s", verdict(s));
	if (s >= 0)
		close(s);
	return 0;
}

static int verb_kill(int argc, char **argv)
{
	char key[64];

	snprintf(key, sizeof(key), "kill:%s", argv[0]);
	say(key, "%s", verdict(kill(atoi(argv[0]), argc > 1 ? signal_by_name(argv[1]) : 0)));
	return 0;
}

static long argument(const char *word)
{
	static char buffer[65536];

	if (word[0] == '@')
		return (long)(word + 1); /* pointer to this text */
	if (strcmp(word, "buf") == 0)
		return (long)buffer;     /* pointer to zeroed memory */
	if (word[0] == '-')
		return strtol(word, NULL, 0);
	return (long)strtoul(word, NULL, 0);
}

/* rs:NAME=ret errno. A call that makes a process (clone, fork) has its child end at once. */
static int verb_rs(int argc, char **argv)
{
	long a[6] = {0}, r;
	int nr = syscall_by_name(argv[0]), saved;
	pid_t me = getpid();
	char key[64];

	for (int i = 1; i < argc && i <= 6; i++)
		a[i - 1] = argument(argv[i]);
	snprintf(key, sizeof(key), "rs:%s", argv[0]);
	if (nr < 0) {
		say(key, "unknown");
		return 0;
	}
	fflush(stdout);
	errno = 0;
	r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	saved = errno;
	if (getpid() != me)
		_exit(0);
	say(key, "%ld %s", r, r < 0 ? error_name(saved) : "0");
	return 0;
}

/* The same through the 32-bit entry; ended by a signal where that is denied by kill. */
static int verb_rs32(int argc, char **argv)
{
#if defined(__x86_64__)
	long a[3] = {0}, r = strtol(argv[0], NULL, 0);
	char key[64];

	for (int i = 1; i < argc && i <= 3; i++)
		a[i - 1] = argument(argv[i]);
	snprintf(key, sizeof(key), "rs32:%s", argv[0]);
	fflush(stdout);
	__asm__ volatile("int $0x80" : "+a"(r) : "b"(a[0]), "c"(a[1]), "d"(a[2]) : "memory", "r8", "r9", "r10", "r11");
	say(key, "%d %s", (int)r < 0 ? -1 : (int)r, (int)r < 0 ? error_name(-(int)r) : "0");
#else
	(void)argc;
	say("rs32", "no such entry on this architecture: %s", argv[0]);
#endif
	return 0;
}

/* Touches memory in blocks of 1 MiB up to MAX: memory=bytes|errno */
static int verb_memory(int argc, char **argv)
{
	unsigned long long max = strtoull(argv[0], NULL, 0), done = 0;
	const size_t block = 1 << 20;

	(void)argc;
	while (done < max) {
		void *m = mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (m == MAP_FAILED) {
			say("memory", "%llu|%s", done, error_name(errno));
			return 0;
		}
		memset(m, 1, block);
		done += block;
	}
	say("memory", "%llu|ok", done);
	return 0;
}

/* Makes COUNT processes that wait: fork=made|errno */
static int verb_fork(int argc, char **argv)
{
	int count = atoi(argv[0]), made = 0, why = 0;
	pid_t *pids = calloc((size_t)count + 1, sizeof(pid_t));

	(void)argc;
	for (; pids && made < count; made++) {
		pid_t p = fork();

		if (p == 0) {
			pause();
			_exit(0);
		}
		if (p < 0) {
			why = errno;
			break;
		}
		pids[made] = p;
	}
	for (int i = 0; i < made; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	free(pids);
	say("fork", "%d|%s", made, why ? error_name(why) : "ok");
	return 0;
}

/* A grandchild whose parent ends: who adopts it, and is it reaped when it ends? */
static int verb_orphan(int argc, char **argv)
{
	int fds[2], new_parent = -1, left;
	pid_t child, orphan = -1;
	char path[64];

	(void)argc, (void)argv;
	if (pipe(fds) != 0)
		return 1;
	child = fork();
	if (child == 0) {
		pid_t middle = getpid();

		if (fork() == 0) {
			pid_t said[2];

			while (getppid() == middle)
				pause_for(0.005);
			said[0] = getpid(), said[1] = getppid();
			if (write(fds[1], said, sizeof(said)) < 0)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(child, NULL, 0);
	{
		pid_t said[2];

		if (read(fds[0], said, sizeof(said)) == (ssize_t)sizeof(said))
			orphan = said[0], new_parent = said[1];
	}
	snprintf(path, sizeof(path), "/proc/%d", orphan);
	for (left = 100; left > 0 && access(path, F_OK) == 0; left--)
		pause_for(0.02);
	say("orphan_parent", "%d", new_parent);
	say("orphan_reaped", "%s", left > 0 ? "yes" : "no");
	return 0;
}

/* A process that leaves session, group and parent and stays for SECONDS; TAG is in its argv. */
static int verb_daemon(int argc, char **argv)
{
	pid_t child = fork();

	if (child == 0) {
		setsid();
		if (fork() == 0) {
			for (int s = 1; s < 32; s++)
				signal(s, SIG_IGN);
			for (int fd = 0; fd < 64; fd++)
				close(fd);
			pause_for(atof(argv[0]));
			_exit(0);
		}
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say("daemon", "%s", argc > 1 ? argv[1] : "started");
	return 0;
}

static int verb_sleep(int argc, char **argv)
{
	(void)argc;
	pause_for(atof(argv[0]));
	return 0;
}

/* Prints each signal that arrives within SECONDS; ends early after TERM. Says "ready=1" first. */
static int verb_catch(int argc, char **argv)
{
	struct timespec end, now;
	sigset_t all;

	(void)argc;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	say("ready", "1");
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += atoi(argv[0]);
	for (;;) {
		struct timespec wait = {0, 100000000};
		int s = sigtimedwait(&all, NULL, &wait);

		if (s > 0)
			say("signal", "%s", signal_text(s));
		if (s == SIGTERM)
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= end.tv_sec)
			return 0;
	}
}

static int verb_say(int argc, char **argv)
{
	say(argv[0], "%s", argc > 1 ? argv[1] : "");
	return 0;
}

static int verb_stderr(int argc, char **argv)
{
	(void)argc;
	fprintf(stderr, "%s\n", argv[0]);
	return 0;
}

static int verb_exit(int argc, char **argv)
{
	(void)argc;
	fflush(stdout);
	_exit(atoi(argv[0]));
}

static int verb_raise(int argc, char **argv)
{
	int s = signal_by_name(argv[0]);

	(void)argc;
	fflush(stdout);
	signal(s, SIG_DFL);
	kill(getpid(), s);
	pause_for(0.2);
	return 1;
}

static int verb_exec(int argc, char **argv)
{
	char **words = calloc((size_t)argc + 1, sizeof(char *));
	char key[4400];

	for (int i = 0; words && i < argc; i++)
		words[i] = argv[i];
	fflush(stdout);
	if (words)
		execvp(words[0], words);
	snprintf(key, sizeof(key), "exec:%s", argv[0]);
	say(key, "%s", error_name(errno));
	free(words);
	return 0;
}

/* Runs what follows in a child and waits: spawn:PROGRAM=status N | signal NAME | errno of exec */
static int verb_spawn(int argc, char **argv)
{
	char key[4400];
	int status = 0;
	pid_t p;

	fflush(stdout);
	p = fork();
	if (p == 0) {
		verb_exec(argc, argv);
		fflush(stdout);
		_exit(127);
	}
	snprintf(key, sizeof(key), "spawn:%s", argv[0]);
	if (p < 0 || waitpid(p, &status, 0) < 0)
		say(key, "%s", error_name(errno));
	else if (WIFSIGNALED(status))
		say(key, "signal %s", signal_text(WTERMSIG(status)));
	else
		say(key, "status %d", WEXITSTATUS(status));
	return 0;
}

/* Everything printed from here on goes to the end of this file. */
static int verb_out(int argc, char **argv)
{
	(void)argc;
	fflush(stdout);
	return freopen(argv[0], "ae", stdout) ? 0 : 1;
}

static int verb_cpu(int argc, char **argv)
{
	(void)argc;
	for (time_t end = time(NULL) + atoi(argv[0]); time(NULL) < end;)
		for (volatile int i = 0; i < 1000000; i++)
			;
	return 0;
}

const struct verb verbs_acts[] = {
	{"connect", 1, verb_connect, "PORT…: TCP to 127.0.0.1"},
	{"bind", 1, verb_bind, "PORT…: TCP on 127.0.0.1"},
	{"unix", 1, verb_unix, "PATH or @NAME: connect"},
	{"socket", 1, verb_socket, "FAMILY [TYPE [PROTOCOL]]"},
	{"kill", 1, verb_kill, "PID [SIGNAL] (0 = only ask)"},
	{"rs", 1, verb_rs, "NAME|NR ARG…: raw system call; @text, buf, numbers"},
	{"rs32", 1, verb_rs32, "NR ARG…: through int 0x80"},
	{"memory", 1, verb_memory, "MAX: touch memory up to it"},
	{"fork", 1, verb_fork, "COUNT: processes at once"},
	{"orphan", 0, verb_orphan, "who adopts and reaps"},
	{"daemon", 1, verb_daemon, "SECONDS [TAG]: leave everything and stay"},
	{"sleep", 1, verb_sleep, "SECONDS"},
	{"catch", 1, verb_catch, "SECONDS: print the signals that arrive"},
	{"say", 1, verb_say, "KEY [VALUE]"},
	{"stderr", 1, verb_stderr, "TEXT"},
	{"exit", 1, verb_exit, "STATUS"},
	{"raise", 1, verb_raise, "SIGNAL"},
	{"exec", 1, verb_exec, "PROGRAM ARG…"},
	{"spawn", 1, verb_spawn, "PROGRAM ARG…: and wait"},
	{"out", 1, verb_out, "FILE: print there from now on"},
	{"cpu", 1, verb_cpu, "SECONDS: burn"},
	{NULL, 0, NULL, NULL},
};
