/* Does the loader take the library into this program? Asked of the loader itself, which says so and starts nothing.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define PATIENCE_MS 15000
#define NO_EXEC 99 /* the start itself will say why */
#define LISTS "LD_TRACE_LOADED_OBJECTS=1" /* what ldd(1) sets */

static void loader(const char *program, char **env, int out) __attribute__((noreturn));
static void loader(const char *program, char **env, int out)
{
	char *const argv[] = { (char *)(uintptr_t)program, NULL };
	int null = open("/dev/null", O_RDWR);

	/* Swapped for a setuid file meanwhile, it would ignore what it is asked. */
	if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 2) == 2 && dup2(out, 1) == 1 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0)
		execve(program, argv, env);
	_exit(NO_EXEC);
}

static char **with_list(char **env)
{
	size_t n = 0;

	while (env[n])
		n++;
	char **v = calloc(n + 2, sizeof *v);
	if (!v)
		return NULL;
	memcpy(v, env, n * sizeof *v);
	v[n] = (char *)(uintptr_t)LISTS;
	return v;
}

/* Terminated; the loader of a program with very many libraries is cut, and ours comes first. */
static void read_list(int fd, char *text, size_t size)
{
	struct pollfd p = { fd, POLLIN, 0 };
	size_t len = 0;

	while (len < size - 1 && poll(&p, 1, PATIENCE_MS) > 0) {
		ssize_t n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
}

/* One line for each object: "\tPATH (ADDRESS)" for those that were given by path. */
static bool is_listed(const char *text, const char *library)
{
	size_t n = strlen(library);

	for (const char *s = text; (s = strstr(s, library)); s += n) {
		if (s > text && s[-1] == '\t' && !strncmp(s + n, " (", 2))
			return true;
	}
	return false;
}

bool door_loads(const char *program, const char *library, char **env)
{
	char text[65536], **list = with_list(env);
	int out[2], how = 0;
	pid_t pid;

	if (!list || pipe2(out, O_CLOEXEC) < 0) {
		free(list);
		return false;
	}
	pid = fork();
	if (pid == 0)
		loader(program, list, out[1]);
	close(out[1]);
	read_list(out[0], text, sizeof text);
	close(out[0]);
	free(list);
	if (pid < 0)
		return false;
	kill(pid, SIGKILL); /* no matter where it has ended; what it says later doesn't count */
	while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
		continue;
	return (WIFEXITED(how) && WEXITSTATUS(how) == NO_EXEC) || is_listed(text, library);
}
