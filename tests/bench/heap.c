/* bench-heap MIB COUNT: what a launch costs a program that has so much memory in use, beside plain fork and exec.
 * Runs in: the test process. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hutch/hutch.h>

static double clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static char *const words[] = { "/bin/true", NULL };

static void by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execv(words[0], words);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void by_hutch(const hutch_plan *plan)
{
	struct hutch_error e = { 0 };
	hutch_run *run;
	char text[2048];

	if (hutch_spawn(plan, &run, &e) < 0 || hutch_run_wait(run, NULL, &e) < 0) {
		hutch_error_text(&e, text, sizeof text);
		fputs(text, stderr);
		exit(1);
	}
	hutch_run_free(run);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 10, count = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan;
	double *t[2] = { calloc(count, sizeof **t), calloc(count, sizeof **t) };
	double *cpu[2] = { calloc(count, sizeof **cpu), calloc(count, sizeof **cpu) };
	char *heap = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!count || heap == MAP_FAILED || !policy || !t[0] || !t[1] || !cpu[0] || !cpu[1]) {
		perror("bench-heap");
		return 1;
	}
	madvise(heap, mib << 20, MADV_NOHUGEPAGE); /* as malloc's memory is after a while */
	memset(heap, 1, mib << 20);
	if (hutch_policy_command(policy, words, NULL) < 0 || hutch_plan_new(policy, false, &plan, NULL) < 0)
		return 1;
	for (size_t i = 0; i < count; i++) {
		for (int way = 0; way < 2; way++) {
			double wall = clock_ms(CLOCK_MONOTONIC), own = clock_ms(CLOCK_THREAD_CPUTIME_ID);
			if (way)
				by_hutch(plan);
			else
				by_fork();
			cpu[way][i] = clock_ms(CLOCK_THREAD_CPUTIME_ID) - own;
			t[way][i] = clock_ms(CLOCK_MONOTONIC) - wall;
		}
	}
	for (int way = 0; way < 2; way++) {
		qsort(t[way], count, sizeof **t, compare);
		qsort(cpu[way], count, sizeof **t, compare);
	}
	printf("%6zu MiB: fork and exec %7.2f ms, hutch %6.2f ms, to the end of /bin/true; processor time of the caller %.2f, %.2f ms (medians of %zu)\n", mib,
	       t[0][count / 2], t[1][count / 2], cpu[0][count / 2], cpu[1][count / 2], count);
	return 0;
}
