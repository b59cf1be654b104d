/* A busy host program: 64 threads start sandboxes at once, while signals rain on the process and other threads hold
 * the allocator's only lock most of the time.
 * usage: enter-spawners THREADS ROUNDS
 * Runs in: the test process's child. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hutch/hutch.h>

static atomic_int good, bad, signals, stop;
static int rounds;
static pthread_barrier_t line;

static void on_signal(int n)
{
	(void)n;
	signals++;
}

static int once(int status)
{
	char code[16], text[2048];
	char *argv[] = { (char *)"sh", (char *)"-c", code, NULL };
	struct hutch_error e = { 0 };
	struct hutch_report report = { .exit_code = -1 };
	hutch_policy *p = hutch_policy_new();
	hutch_plan *plan = NULL;
	hutch_run *run = NULL;
	int r;

	snprintf(code, sizeof code, "exit %d", status);
	r = !p || hutch_policy_command(p, argv, &e) < 0 || hutch_plan_new(p, false, &plan, &e) < 0 || hutch_spawn(plan, &run, &e) < 0 ||
	    hutch_run_wait(run, &report, &e) < 0;
	if (r) {
		hutch_error_text(&e, text, sizeof text);
		fputs(text, stdout);
	}
	hutch_run_free(run);
	hutch_plan_free(plan);
	hutch_policy_free(p);
	return !r && hutch_report_exit_status(&report) == status;
}

static void *spawner(void *number)
{
	pthread_barrier_wait(&line);
	for (int i = 0; i < rounds; i++) {
		if (once(1 + (int)(long)number % 100))
			good++;
		else
			bad++;
	}
	return NULL;
}

static void *allocator(void *unused)
{
	while (!stop) {
		void *p[64];
		for (int i = 0; i < 64; i++)
			p[i] = malloc(64 + (size_t)i * 40);
		for (int i = 0; i < 64; i++)
			free(p[i]);
	}
	return unused;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 64;
	struct sigaction a = { .sa_handler = on_signal };
	struct itimerval storm = { { 0, 500 }, { 0, 500 } }, calm = { { 0, 0 }, { 0, 0 } };
	pthread_t spawners[256], allocators[2];
	int before = open_fds();

	rounds = argc > 2 ? atoi(argv[2]) : 2;
	mallopt(M_ARENA_MAX, 1);
	sigaction(SIGALRM, &a, NULL);
	sigaction(SIGUSR1, &a, NULL);
	pthread_barrier_init(&line, NULL, (unsigned)count);
	for (int i = 0; i < 2; i++)
		pthread_create(&allocators[i], NULL, allocator, NULL);
	setitimer(ITIMER_REAL, &storm, NULL);
	for (long i = 0; i < count; i++)
		pthread_create(&spawners[i], NULL, spawner, (void *)i);
	for (int i = 0; i < count; i++) {
		kill(getpid(), SIGUSR1);
		pthread_join(spawners[i], NULL);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(allocators[i], NULL);
	setitimer(ITIMER_REAL, &calm, NULL);
	printf("good=%d\nbad=%d\nstorm=%d\nleaked=%d\nchildren=%d\n", (int)good, (int)bad, signals > 20, open_fds() - before,
	       waitpid(-1, NULL, WNOHANG) >= 0);
	return bad != 0;
}
