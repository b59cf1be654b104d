/* hutch run --door=preload: starts a program with libhutch-preload.so in it, and believes nothing until the library
 * has said that the program is confined.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/cli.h"
#include "preload/preload.h"
#include "sys/sys.h"

#ifndef HUTCH_LIBDIR
#define HUTCH_LIBDIR "/usr/local/lib"
#endif
#define PATIENCE_MS 15000
#define OPTION_VALUE 131 /* hutch-errors(7) */

extern char **environ;

struct door {
	char *const *command;
	char program[4096], library[4096];
	int words, ack[2], failed[2], signals;
	pid_t pid;
};

int door_bad_option(struct hutch_error *e, const char *word, int at)
{
	hutch_error_clear(e);
	e->id = OPTION_VALUE;
	snprintf(e->layer, sizeof e->layer, "options");
	snprintf(e->step, sizeof e->step, "reading the option");
	snprintf(e->subject, sizeof e->subject, "%s", word);
	snprintf(e->origin, sizeof e->origin, "argv[%d]", at);
	snprintf(e->remedy, sizeof e->remedy, "--door takes command (the usual way) or preload");
	return -1;
}

static int say(const char *what, const char *subject, const char *why)
{
	fprintf(stderr, "hutch: door: %s%s%s: %s\n", what, subject ? " " : "", subject ? subject : "", why);
	return HUTCH_EXIT_FAILED;
}

/* ---- before the start ---- */

/* As a shell would look for it. 0, or the exit status. */
static int find_program(struct door *d)
{
	const char *name = d->command[0], *path = getenv("PATH");

	if (strchr(name, '/') || !path) {
		snprintf(d->program, sizeof d->program, "%s", name);
		return access(name, F_OK) < 0 ? (say("finding", name, strerror(errno)), HUTCH_EXIT_NOT_FOUND) : 0;
	}
	while (*path) {
		size_t n = strcspn(path, ":");
		snprintf(d->program, sizeof d->program, "%.*s/%s", (int)n, n ? path : ".", name);
		if (access(d->program, X_OK) == 0)
			return 0;
		path += n + (path[n] == ':');
	}
	return say("finding", name, "no executable of that name in PATH"), HUTCH_EXIT_NOT_FOUND;
}

static int check_program(struct door *d)
{
	bool missing = false;
	int fd = open(d->program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = fd < 0 ? strerror(errno) : door_refuses(fd, &missing);

	if (fd >= 0)
		close(fd);
	if (!why)
		return 0;
	say("loading the library into", d->program, why);
	if (fd < 0 || missing)
		return HUTCH_EXIT_NOT_EXEC;
	fputs("  nothing was run; `hutch run -- CMD`, the door that works for every program, confines it from outside\n", stderr);
	return HUTCH_EXIT_FAILED;
}

/* Beside the command (a build folder), or where it was installed. The list that names it has blanks and colons between. */
static int find_library(struct door *d)
{
	char own[3072];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
	char *slash;

	own[n > 0 ? n : 0] = 0;
	slash = strrchr(own, '/');
	if (slash) {
		*slash = 0;
		snprintf(d->library, sizeof d->library, "%s/%s", own, PRELOAD_LIBRARY);
	}
	if (!slash || access(d->library, R_OK) < 0)
		snprintf(d->library, sizeof d->library, "%s/%s", HUTCH_LIBDIR, PRELOAD_LIBRARY);
	if (access(d->library, R_OK) < 0)
		return say("finding", d->library, strerror(errno));
	return strpbrk(d->library, ": ") ? say("naming", d->library, "a blank or colon in its path can't be written in LD_PRELOAD") : 0;
}

/* The policy's words go in a file in memory, so that they mean to the library what they mean here. */
static int write_words(struct door *d, int argc, char *const argv[], int count)
{
	d->words = memfd_create("hutch-words", 0);
	if (d->words < 0 || argc < count)
		return say("making a file in memory", NULL, strerror(errno));
	for (int i = 0; i < count; i++) {
		size_t n = strlen(argv[i]) + 1;
		if (write(d->words, argv[i], n) != (ssize_t)n)
			return say("writing to a file in memory", NULL, strerror(errno));
	}
	return 0;
}

/* Where the command begins; the words before it are the policy's. */
static int split_command(struct door *d, int argc, char *const argv[])
{
	int count = 0;

	while (count < argc && strcmp(argv[count], "--"))
		count++;
	if (count + 1 >= argc)
		return say("reading the command", NULL, "with --door=preload it stands behind --: hutch run --door=preload [options] -- CMD [ARG...]");
	d->command = argv + count + 1;
	return write_words(d, argc, argv, count);
}

/* ---- the start ---- */

static char **environment(const struct door *d, struct arena *a)
{
	const char *more = getenv("LD_PRELOAD");
	size_t n = 0, at = 0;

	while (environ[n])
		n++;
	char **v = arena_alloc(a, (n + 4) * sizeof *v);
	if (!v)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(environ[i], "LD_PRELOAD=", 11) && strncmp(environ[i], "HUTCH_", 6))
			v[at++] = environ[i];
	}
	v[at] = arena_printf(a, "LD_PRELOAD=%s%s%s", d->library, more ? ":" : "", more ? more : "");
	v[at + 1] = arena_printf(a, "%s=%d", PRELOAD_WORDS, d->words);
	v[at + 2] = arena_printf(a, "%s=%d", PRELOAD_ACK, d->ack[1]);
	v[at + 3] = NULL;
	return v[at] && v[at + 1] && v[at + 2] ? v : NULL;
}

static void program(struct door *d, char **env, pid_t parent) __attribute__((noreturn));
static void program(struct door *d, char **env, pid_t parent)
{
	sigset_t none;
	int error;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Swapped for a setuid file meanwhile, it would run without the library; and it must not outlive us. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent)
		execve(d->program, d->command, env);
	error = errno;
	if (write(d->failed[1], &error, sizeof error) != (ssize_t)sizeof error)
		_exit(HUTCH_EXIT_FAILED);
	_exit(HUTCH_EXIT_NOT_EXEC);
}

/* A loader that can't open the library, or takes it for another machine's, says so and starts the program without it. */
static int try_library(const struct door *d, char **env)
{
	if (door_loads(d->program, d->library, env))
		return 0;
	say("loading the library into", d->program, "the loader leaves it out");
	fprintf(stderr, "  the library is %s; LD_PRELOAD=… LD_TRACE_LOADED_OBJECTS=1 shows the loader's words; nothing was run\n", d->library);
	return HUTCH_EXIT_FAILED;
}

static int start_with(struct door *d, struct arena *a)
{
	struct hutch_error e = { 0 };
	pid_t parent = getpid();
	char **env;
	int status;

	/* The ack's writing end and the words go into the program: no close-on-exec. */
	if (pipe(d->ack) < 0 || fcntl(d->ack[0], F_SETFD, FD_CLOEXEC) < 0 || pipe2(d->failed, O_CLOEXEC) < 0)
		return say("making a pipe", NULL, strerror(errno));
	if ((d->signals = watch_signals(&e)) < 0)
		return cli_error(&e);
	if (!(env = environment(d, a)))
		return cli_nomem();
	if ((status = try_library(d, env)))
		return status;
	fflush(NULL);
	d->pid = fork();
	if (d->pid < 0)
		return say("starting a process", NULL, strerror(errno));
	if (d->pid == 0)
		program(d, env, parent);
	close(d->ack[1]);
	close(d->failed[1]);
	close(d->words);
	return 0;
}

static int start(struct door *d)
{
	struct arena a;
	int status;

	arena_init(&a);
	status = start_with(d, &a);
	arena_done(&a);
	return status;
}

/* ---- until the library has spoken, and until the end ---- */

static int end(struct door *d, int status)
{
	int how;

	kill(d->pid, SIGKILL);
	while (waitpid(d->pid, &how, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

/* With the status that the library ends with, it has said why. */
static int ended_early(struct door *d)
{
	int how = 0;

	kill(d->pid, SIGKILL); /* no matter where it has ended already */
	while (waitpid(d->pid, &how, 0) < 0 && errno == EINTR)
		continue;
	if (!WIFEXITED(how) || WEXITSTATUS(how) != HUTCH_EXIT_FAILED)
		say("waiting for the library in", d->program, "it ended, or closed its descriptors, without a word that it is confined");
	return HUTCH_EXIT_FAILED;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int exec_result(struct door *d)
{
	int error = 0;

	if (read(d->failed[0], &error, sizeof error) != (ssize_t)sizeof error)
		return 0; /* the exec went well */
	say("executing", d->program, strerror(error));
	return end(d, error == ENOENT ? HUTCH_EXIT_NOT_FOUND : HUTCH_EXIT_NOT_EXEC);
}

static int wait_for_word(struct door *d)
{
	struct pollfd p = { d->ack[0], POLLIN, 0 };
	int64_t until = now_ms() + PATIENCE_MS, left;
	char word = 0;
	int r = exec_result(d);

	if (r)
		return r;
	while ((left = until - now_ms()) > 0) {
		r = poll(&p, 1, (int)left);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		if (read(d->ack[0], &word, 1) == 1 && word == PRELOAD_DONE[0])
			return 0;
		return ended_early(d);
	}
	say("waiting for the library in", d->program, "no word that it is confined: it was ended; `hutch run -- CMD` confines it from outside");
	return end(d, HUTCH_EXIT_FAILED);
}

static void forward(struct door *d)
{
	struct signalfd_siginfo s;

	while (read(d->signals, &s, sizeof s) == (ssize_t)sizeof s) {
		/* What the terminal sends it sends to the whole process group. */
		if (s.ssi_code != SI_KERNEL)
			kill(d->pid, (int)s.ssi_signo);
	}
}

static int supervise(struct door *d)
{
	int pidfd = (int)syscall(NR_pidfd_open, d->pid, 0), how;

	for (;;) {
		struct pollfd p[2] = { { pidfd, POLLIN, 0 }, { d->signals, POLLIN, 0 } };
		poll(p, 2, pidfd < 0 ? 50 : 1000);
		forward(d);
		pid_t r = waitpid(d->pid, &how, WNOHANG | WUNTRACED);
		if (r < 0 && errno != EINTR)
			return say("waiting for", d->program, strerror(errno));
		if (r == d->pid && WIFSTOPPED(how)) {
			kill(getpid(), SIGSTOP);
			kill(d->pid, SIGCONT);
		} else if (r == d->pid) {
			return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
		}
	}
}

int door_preload(int argc, char *const argv[], bool report)
{
	struct door d = { .words = -1 };
	int status;

	if (report)
		return say("writing a report", NULL, "only the command door sees how a run ends: leave --report or --door=preload out");
	if ((status = split_command(&d, argc, argv)) || (status = find_program(&d)) || (status = check_program(&d)) || (status = find_library(&d)))
		return status;
	if ((status = start(&d)) || (status = wait_for_word(&d)))
		return status;
	return supervise(&d);
}
