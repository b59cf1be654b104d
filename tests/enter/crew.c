/* Threads of the host program: they wait, work, block every signal, or make more threads.
 * Runs in: the test process's child. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int members, order, answered;
static const char *what, *argument;
static atomic_int breeding, generations, watching, free_ones;

static void *member(void *unused)
{
	int seen = 0;

	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (seen == order)
			pthread_cond_wait(&change, &lock);
		seen = order;
		int r = act(what, argument);
		printf("thread=%s\n", errno_name(r));
		answered++;
		pthread_cond_broadcast(&change);
	}
	return NULL;
}

void crew_start(int count)
{
	for (int i = 0; i < count; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, member, NULL))
			abort();
		members++;
	}
}

void crew_act(const char *name, const char *of)
{
	pthread_mutex_lock(&lock);
	what = name;
	argument = of;
	answered = 0;
	order++;
	pthread_cond_broadcast(&change);
	while (answered < members)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

static void *busy(void *unused)
{
	for (;;) {
		void *p = malloc(1000 + (size_t)rand() % 100000);
		free(p);
	}
	return unused;
}

void crew_busy(int count)
{
	for (int i = 0; i < count; i++) {
		pthread_t t;
		if (pthread_create(&t, NULL, busy, NULL))
			abort();
	}
}

static atomic_int ready;

static void *deaf(void *unused)
{
	uint64_t all = ~UINT64_C(0);

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	ready = 1;
	for (;;)
		pause();
	return unused;
}

static void *filtered(void *unused)
{
	struct sock_filter words[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, words };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		abort();
	ready = 1;
	for (;;)
		pause();
	return unused;
}

static void start_and_wait(void *(*run)(void *))
{
	pthread_t t;

	ready = 0;
	if (pthread_create(&t, NULL, run, NULL))
		abort();
	while (!ready)
		usleep(1000);
}

void crew_deaf(void)
{
	start_and_wait(deaf);
}

void crew_filtered(void)
{
	start_and_wait(filtered);
}

/* One that lives for a moment and leaves another behind. */
static void *breeder(void *unused)
{
	pthread_t t;
	pthread_attr_t a;

	(void)unused;
	generations++;
	if (watching && act("inet", NULL) == 0)
		free_ones++;
	usleep(200);
	if (!breeding)
		return NULL;
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &a, breeder, NULL))
		abort();
	return NULL;
}

int crew_breed(void)
{
	breeding = 1;
	for (int i = 0; i < 4; i++)
		breeder(NULL);
	return 0;
}

void crew_breed_stop(void)
{
	int before = generations;

	watching = 1;
	/* The line must go on after the process was confined, or it shows nothing. */
	for (int i = 0; i < 200 && generations < before + 20; i++)
		usleep(5000);
	printf("bred=%d\nfree=%d\n", generations > before, (int)free_ones);
	breeding = 0;
	usleep(20000);
}
