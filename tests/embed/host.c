/* A program that has the library in it: starts a command in a sandbox, or confines itself and then executes it.
 * usage: embed-host DOOR [options as of hutch run] -- COMMAND…
 * DOOR: spawn; thread (from a thread that ends at once); enter; enter-crew, narrow-crew N (COMMAND is a file that each of
 * N threads tries to read afterwards); widen (COMMAND is a file; narrowed twice, the second time for more).
 * Runs in: the test process's child. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hutch/hutch.h>

enum { CREW = 8 };

static int failed(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	fputs(text, stderr);
	return HUTCH_EXIT_FAILED;
}

static int verdict(const char *word, const char *what)
{
	printf("%s %s\n", word, what);
	fflush(stdout);
	return *word == 'E';
}

/* ---- spawn ---- */
struct job { hutch_plan *plan; hutch_run *run; struct hutch_error error; int result; };

static void *start(void *job)
{
	struct job *j = job;

	j->result = hutch_spawn(j->plan, &j->run, &j->error);
	return NULL;
}

static int spawn(hutch_policy *p, char **command, int by_thread)
{
	struct job j = { 0 };
	struct hutch_report report;
	pthread_t thread;

	if (hutch_policy_command(p, command, &j.error) < 0 || hutch_plan_new(p, false, &j.plan, &j.error) < 0)
		return failed(&j.error);
	if (!by_thread)
		start(&j);
	else if (pthread_create(&thread, NULL, start, &j) || pthread_join(thread, NULL))
		return HUTCH_EXIT_FAILED;
	if (j.result < 0 || hutch_run_wait(j.run, &report, &j.error) < 0)
		return failed(&j.error);
	hutch_run_free(j.run);
	hutch_plan_free(j.plan);
	return hutch_report_exit_status(&report);
}

/* ---- this process, all of its threads ---- */
static sem_t go, done;
static const char *secret;
static int reached;

static void *member(void *unused)
{
	sem_wait(&go);
	int fd = open(secret, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		__atomic_add_fetch(&reached, 1, __ATOMIC_RELAXED);
	sem_post(&done);
	return unused;
}

static int crew(hutch_policy *p, char **command, int narrow)
{
	struct hutch_error e = { 0 };
	const struct hutch_path usr = { "/usr", "rx" };
	pthread_t t;
	int r;

	secret = command[0];
	sem_init(&go, 0, 0);
	sem_init(&done, 0, 0);
	for (int i = 0; i < CREW; i++)
		if (pthread_create(&t, NULL, member, NULL))
			return HUTCH_EXIT_FAILED;
	r = !p ? 0 : narrow ? hutch_narrow("stdio rpath", &usr, 1, 0, &e) : hutch_enter(p, &e);
	if (r < 0)
		return failed(&e);
	for (int i = 0; i < CREW; i++)
		sem_post(&go);
	for (int i = 0; i < CREW; i++)
		sem_wait(&done);
	return verdict(reached ? "ESCAPED" : "HELD", reached ? "a thread that was there before read it" : "no thread reads it");
}

/* What was given up can't be asked for again. */
static int widen(hutch_policy *p, char **command)
{
	const struct hutch_path usr = { "/usr", "r" }, all = { "/", "rwxc" };
	struct hutch_error e = { 0 };

	if (p && hutch_narrow("stdio rpath", &usr, 1, 0, &e) < 0)
		return failed(&e);
	/* Both an error and no effect are right. */
	if (hutch_narrow("stdio rpath wpath cpath inet exec proc", &all, 1, 0, &e) < 0 && !p)
		return failed(&e);
	if (open(command[0], O_RDONLY | O_CLOEXEC) >= 0)
		return verdict("ESCAPED", "the second call gave the file back");
	return verdict("HELD", strerror(errno));
}

int main(int argc, char **argv)
{
	const char *door = argc > 1 ? argv[1] : "";
	struct hutch_error e = { 0 };
	hutch_policy *p = hutch_policy_new();
	int at = 2;

	while (at < argc && strcmp(argv[at], "--"))
		at++;
	if (!p || at + 1 >= argc) {
		fputs("usage: embed-host DOOR [options] -- COMMAND\n", stderr);
		return HUTCH_EXIT_FAILED;
	}
	char **command = argv + at + 1;
	if (hutch_policy_args(p, at - 2, argv + 2, NULL, NULL, &e) < 0)
		return failed(&e);
	if (!strcmp(door, "spawn") || !strcmp(door, "thread"))
		return spawn(p, command, *door == 't');
	if (!strcmp(door, "enter-crew") || !strcmp(door, "narrow-crew"))
		return crew(p, command, *door == 'n');
	if (!strcmp(door, "bare-crew") || !strcmp(door, "bare-widen"))
		return door[5] == 'c' ? crew(NULL, command, 0) : widen(NULL, command);
	if (!strcmp(door, "widen"))
		return widen(p, command);
	if (strcmp(door, "enter"))
		return HUTCH_EXIT_FAILED;
	if (hutch_enter(p, &e) < 0)
		return failed(&e);
	execv(command[0], command);
	perror(command[0]);
	return HUTCH_EXIT_NOT_EXEC;
}
