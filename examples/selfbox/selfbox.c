/* A program with a sandbox inside it: looks around, confines itself, runs the application's code, and narrows
 * itself once that has what it needs. Prints what it could do before and what it can do after.
 * usage: selfbox FILE     FILE: something of yours that the application has no business with
 * Build: cc selfbox.c $(pkg-config --cflags --libs hutch)
 * Runs in: an application. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hutch/hutch.h>

extern char **environ;

#define STAGES 3
#define PROBES 8
static char answers[PROBES][STAGES][40];
static const char *file;

/* ---- what can this process do? ---- */

static void say(char *out, int failed, const char *good)
{
	snprintf(out, 40, "%s", failed ? strerror(errno) : good);
}

static void count(char *out, const char *path, int numbers_only)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (!d) {
		say(out, 1, "");
		return;
	}
	while ((e = readdir(d)))
		n += numbers_only ? e->d_name[0] >= '1' && e->d_name[0] <= '9' : e->d_name[0] != '.';
	closedir(d);
	snprintf(out, 40, "%d", n);
}

static void run_program(char *out)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (pid > 0 && status)
		errno = ENOEXEC;
	say(out, pid < 0 || status, "yes");
}

static void interfaces(char *out)
{
	struct if_nameindex *list = if_nameindex();
	int n = 0;

	for (; list && list[n].if_index; n++)
		continue;
	if (!list) {
		say(out, 1, "");
		return;
	}
	snprintf(out, 40, "%d", n);
	if_freenameindex(list);
}

static void look(int stage)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), n = 0;
	void *p;

	say(answers[0][stage], fd < 0, "yes");
	if (fd >= 0)
		close(fd);
	count(answers[1][stage], "/", 0);
	count(answers[2][stage], "/proc", 1);
	interfaces(answers[3][stage]);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	say(answers[4][stage], fd < 0, "yes");
	if (fd >= 0)
		close(fd);
	run_program(answers[5][stage]);
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say(answers[6][stage], p == MAP_FAILED, "yes");
	while (environ[n])
		n++;
	snprintf(answers[7][stage], 40, "%d", n);
}

static void print(void)
{
	static const char *const what[PROBES] = {
		"read your file", "names in /", "processes in /proc", "network interfaces", "make an internet socket",
		"start a program", "make code at run time", "variables in the environment",
	};

	printf("%-30s %-28s %-28s %s\n", "", "before", "after hutch_enter", "after hutch_narrow");
	for (int i = 0; i < PROBES; i++)
		printf("%-30s %-28s %-28s %s\n", what[i], answers[i][0], answers[i][1], answers[i][2]);
}

/* ---- the program ---- */

static void stop(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	fputs(text, stderr);
	exit(HUTCH_EXIT_FAILED);
}

/* The part that works on what a stranger has sent. */
static void application_run(void)
{
	struct hutch_error e = { 0 };

	look(1);
	/* Here it would read its configuration; afterwards it needs nothing but what is open. */
	if (hutch_narrow("stdio", NULL, 0, 0, &e) < 0)
		stop(&e);
	look(2);
	print();
}

int main(int argc, char **argv)
{
	struct hutch_error e = { 0 };
	hutch_policy *policy = hutch_policy_new();

	if (argc != 2 || !policy) {
		fputs("usage: selfbox FILE\n", stderr);
		return 2;
	}
	file = argv[1];
	look(0);
	if (hutch_policy_set(policy, "cwd-access", "none", &e) < 0 || hutch_enter(policy, &e) < 0)
		stop(&e);
	hutch_policy_free(policy);
	application_run();
	return 0;
}
