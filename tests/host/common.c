/* See embed.h.
 * Runs in: the test process. */
#include "embed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void host_error(const char *what, const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	fprintf(stderr, "%s: %s", what, text);
	_Exit(1);
}

hutch_plan *host_plan(char *const argv[], const char *const *lines)
{
	struct hutch_error e = { 0 };
	hutch_policy *p = hutch_policy_new();
	hutch_plan *plan = NULL;
	char key[64];

	CHECK(p, "no memory");
	for (; lines && *lines; lines++) {
		size_t n = strcspn(*lines, "=");
		snprintf(key, sizeof key, "%.*s", (int)n, *lines);
		if (hutch_policy_set(p, key, *lines + n + 1, &e) < 0)
			host_error(*lines, &e);
	}
	if (hutch_policy_command(p, argv, &e) < 0 || hutch_plan_new(p, false, &plan, &e) < 0)
		host_error("plan", &e);
	hutch_policy_free(p);
	return plan;
}

struct hutch_report host_capture(const hutch_plan *plan, char *text, size_t size)
{
	struct hutch_error e = { 0 };
	struct hutch_report report;
	hutch_run *run;
	size_t len = 0;
	ssize_t n;
	int out[2];

	CHECK(pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
	struct hutch_fd place = { 1, out[1] };
	if (hutch_spawn_fds(plan, &place, 1, &run, &e) < 0)
		host_error("spawn", &e);
	close(out[1]);
	while ((n = read(out[0], text + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR))
		len += n > 0 ? (size_t)n : 0;
	text[len] = 0;
	close(out[0]);
	if (hutch_run_wait(run, &report, &e) < 0)
		host_error("wait", &e);
	hutch_run_free(run);
	return report;
}

int host_fd_count(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1; /* its own */

	CHECK(d, "%s", strerror(errno));
	for (struct dirent *f; (f = readdir(d));)
		n += f->d_name[0] != '.';
	closedir(d);
	return n;
}

double host_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

long host_status_kib(int pid, const char *field)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = strtol(line + strlen(field) + 1, NULL, 10);
	}
	if (f)
		fclose(f);
	return value;
}

int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}
