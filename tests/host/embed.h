/* Shared by the host programs: a policy in one call, a run with its output, and failures that end the program.
 * Runs in: the test process. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <stdio.h>
#include <stdlib.h>

#include <hutch/hutch.h>

#define CHECK(what, ...) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #what); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			_Exit(1); \
		} \
	} while (0)

/* lines: "key=value" until NULL. */
hutch_plan *host_plan(char *const argv[], const char *const *lines);
/* Runs the plan with its standard output in a pipe; the plan has "fd=1=1". Fills text (terminated). */
struct hutch_report host_capture(const hutch_plan *plan, char *text, size_t size);
void host_error(const char *what, const struct hutch_error *e) __attribute__((noreturn));
/* How many descriptors this process has open. */
int host_fd_count(void);
double host_now_ms(void);
long host_status_kib(int pid, const char *field);   /* of /proc/PID/status; -1 = can't be read */
int compare_double(const void *a, const void *b);

#endif
