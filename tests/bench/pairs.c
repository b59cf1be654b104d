/* Times two commands in interleaved pairs and prints medians and the median ratio of the pairs.
 * usage: pairs COUNT CMD-A… :: CMD-B…
 * Runs in: any. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double run_once(char **argv)
{
	double start = now_us();
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ)) {
		perror(argv[0]);
		exit(2);
	}
	while (waitpid(pid, &status, 0) < 0)
		continue;
	if (status) {
		fprintf(stderr, "%s: status %#x\n", argv[0], status);
		exit(2);
	}
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(double *v, int n, double q)
{
	qsort(v, (size_t)n, sizeof *v, compare);
	return v[(int)(q * (n - 1))];
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0, split = 0;

	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "::"))
			split = i;
	}
	if (n < 1 || !split || split + 1 >= argc)
		return fprintf(stderr, "usage: pairs COUNT CMD-A… :: CMD-B…\n"), 2;
	argv[split] = NULL;
	double *a = calloc((size_t)n, sizeof *a), *b = calloc((size_t)n, sizeof *b), *r = calloc((size_t)n, sizeof *r);
	if (!a || !b || !r)
		return 2;
	for (int i = -5; i < n; i++) {
		/* Which goes first alternates; the first five pairs only warm caches. */
		double first = run_once(i & 1 ? argv + 2 : argv + split + 1), second = run_once(i & 1 ? argv + split + 1 : argv + 2);
		if (i < 0)
			continue;
		a[i] = i & 1 ? first : second;
		b[i] = i & 1 ? second : first;
		r[i] = a[i] / b[i];
	}
	printf("a %.0f us (p99 %.0f)  b %.0f us (p99 %.0f)  a/b %.3f\n", quantile(a, n, .5), quantile(a, n, .99), quantile(b, n, .5),
	       quantile(b, n, .99), quantile(r, n, .5));
	return 0;
}
