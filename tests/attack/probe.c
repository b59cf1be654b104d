/* The attack probe: one verb per attack, raw system calls, one line "ESCAPED|HELD|ERROR detail".
 * Runs in: child (the sandboxed program), and outside as its own positive control.
 * Harmless where it succeeds: triggers are opened and closed, never written; calls that would change the
 * machine get arguments that the kernel refuses after it has let the caller in. */
#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 3, 0))) static void say(int status, const char *word, const char *fmt, va_list ap)
{
	char detail[700];

	vsnprintf(detail, sizeof(detail), fmt, ap);
	for (char *p = detail; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	printf("%s %s\n", word, detail);
	fflush(stdout);
	_exit(status);
}

void escaped(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(10, "ESCAPED", fmt, ap);
}

void held(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(0, "HELD", fmt, ap);
}

void broken(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(20, "ERROR", fmt, ap);
}

long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);

	return r == -1 ? -errno : r;
}

bool refused(long r)
{
	return r == -EPERM || r == -ENOSYS || r == -EACCES || r == -EROFS || r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT ||
	       r == -ESOCKTNOSUPPORT || r == -ENOSPC;
}

void judge(const char *what, long r)
{
	if (refused(r))
		held("%s: %s", what, strerror((int)-r));
	if (r < 0)
		escaped("%s: the kernel took it and said %s", what, strerror((int)-r));
	escaped("%s: %ld", what, r);
}

long number(const char *text)
{
	return (long)strtoul(text, NULL, 0);
}

long slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t n = 0;

	if (fd < 0)
		return -1;
	while (n < size - 1) {
		ssize_t r = read(fd, buf + n, size - 1 - n);
		if (r < 0 && n == 0) {
			close(fd);
			return -1;
		}
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	close(fd);
	buf[n] = 0;
	return (long)n;
}

bool holds(const char *buf, size_t size, const char *reversed)
{
	char needle[256];
	size_t n = strlen(reversed);

	if (n == 0 || n >= sizeof(needle))
		return false;
	for (size_t i = 0; i < n; i++)
		needle[i] = reversed[n - 1 - i];
	return memmem(buf, size, needle, n) != NULL;
}

int main(int argc, char **argv)
{
	static const struct verb *const tables[] = { call_verbs, file_verbs, process_verbs, net_verbs, limit_verbs };

	alarm(30); /* no probe may stay behind */
	if (argc < 2)
		broken("usage: probe VERB [ARGUMENT…]");
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct verb *v = tables[t]; v->name; v++) {
			if (strcmp(v->name, argv[1]))
				continue;
			if (argc - 2 < v->least)
				broken("%s needs %d arguments", v->name, v->least);
			v->run(argv + 2);
			broken("%s gave no verdict", v->name);
		}
	}
	broken("no verb %s", argv[1]);
}
