/* A host program that confines itself in the middle of its run: the words of its command line are done in order.
 * usage: enter-host VERB [ARGUMENT…] , VERB …
 * Runs in: the test process's child. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

#include "host.h"

extern char **environ;

static hutch_policy *policy;

static int said(int r, const char *what, const struct hutch_error *e)
{
	char text[4096];

	if (r == 0) {
		printf("%s=ok\n", what);
		return 0;
	}
	hutch_error_text(e, text, sizeof text);
	printf("%s=E%04u\n%s", what, e->id, text);
	return 0;
}

static int enter(void)
{
	struct hutch_error e = { 0 };
	int r = hutch_enter(policy, &e);

	return said(r, "enter", &e);
}

/* PROMISES|- [PATH:RIGHTS…]; "none" as the only path: an empty list */
static int narrow(char **words, unsigned flags)
{
	struct hutch_error e = { 0 };
	struct hutch_path paths[16];
	char copy[16][256];
	size_t n = 0;
	int any = words[1] != NULL;

	for (char **w = words + 1; words[0] && *w && n < 16; w++) {
		if (!strcmp(*w, "none"))
			continue;
		snprintf(copy[n], sizeof copy[n], "%s", *w);
		char *colon = strrchr(copy[n], ':');
		*colon = 0;
		paths[n] = (struct hutch_path){ copy[n], colon + 1 };
		n++;
	}
	return said(hutch_narrow(strcmp(words[0], "-") ? words[0] : NULL, any ? paths : NULL, n, flags, &e), "narrow", &e);
}

static void field(const char *path, const char *name)
{
	char line[512];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof line, f)) {
		size_t n = strlen(name);
		if (!strncmp(line, name, n) && line[n] == ':') {
			char *v = line + n + 1 + strspn(line + n + 1, " \t");
			v[strcspn(v, "\n")] = 0;
			printf("%s=%s\n", name, v);
		}
	}
	if (f)
		fclose(f);
}

static int tasks(void)
{
	static const char *const names[] = { "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapEff", "CapPrm", "CapBnd", "Uid", "Gid" };
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int count = 0;

	while (d && (e = readdir(d))) {
		char path[512];
		if (e->d_name[0] == '.')
			continue;
		count++;
		snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			field(path, names[i]);
	}
	if (d)
		closedir(d);
	printf("tasks=%d\n", count);
	return 0;
}

static int descriptors(void)
{
	for (int fd = 0; fd < 300; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			printf("fd=%d\n", fd);
	}
	return 0;
}

static int environment(void)
{
	for (char **v = environ; *v; v++)
		printf("variable=%s\n", *v);
	return 0;
}

static volatile sig_atomic_t caught;
static void on_signal(int n)
{
	caught = n;
}

static int wait_signal(void)
{
	for (int i = 0; i < 500 && !caught; i++)
		usleep(10000);
	printf("caught=%d\n", (int)caught);
	return 0;
}

static int load(const char *key, const char *value)
{
	struct hutch_error e = { 0 };
	int r = key ? hutch_policy_set(policy, key, value, &e) : hutch_policy_load(policy, value, &e);

	return r < 0 ? said(r, "policy", &e), 1 : 0;
}

static int one(char **w)
{
	const char *v = w[0];
	struct hutch_error e = { 0 };

	if (!strcmp(v, "set")) return load(w[1], w[2]);
	if (!strcmp(v, "load")) return load(NULL, w[1]);
	if (!strcmp(v, "enter")) return enter();
	if (!strcmp(v, "plan")) { char *t = hutch_enter_text(policy, false, &e); puts(t ? t : "none"); free(t); return t ? 0 : (said(-1, "plan", &e), 0); }
	if (!strcmp(v, "narrow")) return narrow(w + 1, 0);
	if (!strcmp(v, "narrow-kill")) return narrow(w + 1, HUTCH_NARROW_KILL);
	if (!strcmp(v, "threads")) return crew_start(atoi(w[1])), 0;
	if (!strcmp(v, "busy")) return crew_busy(atoi(w[1])), 0;
	if (!strcmp(v, "deaf")) return crew_deaf(), 0;
	if (!strcmp(v, "filtered")) return crew_filtered(), 0;
	if (!strcmp(v, "breed")) return crew_breed();
	if (!strcmp(v, "breed-stop")) return crew_breed_stop(), 0;
	if (!strcmp(v, "each")) return crew_act(w[1], w[2]), 0;
	if (!strcmp(v, "try")) { int r = act(w[1], w[2]); printf("%s=%s\n", w[1], errno_name(r)); return 0; }
	if (!strcmp(v, "tasks")) return tasks();
	if (!strcmp(v, "fds")) return descriptors();
	if (!strcmp(v, "environ")) return environment();
	if (!strcmp(v, "say")) return puts(w[1]), 0;
	if (!strcmp(v, "pid")) return printf("pid=%d\n", (int)getpid()), 0;
	if (!strcmp(v, "handler")) return signal(atoi(w[1]), on_signal) == SIG_ERR;
	if (!strcmp(v, "wait-signal")) return wait_signal();
	if (!strcmp(v, "raise")) return fflush(NULL), raise(atoi(w[1]));
	if (!strcmp(v, "sleep")) return usleep((useconds_t)atoi(w[1]) * 1000) != 0 && errno != EINTR;
	if (!strcmp(v, "file")) { FILE *f = fopen(w[1], "w"); return !f || fclose(f); }
	if (!strcmp(v, "dumpable")) return printf("dumpable=%d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)), 0;
	if (!strcmp(v, "exit")) { fflush(NULL); _exit(atoi(w[1])); }
	printf("no such verb: %s\n", v);
	return 1;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	policy = hutch_policy_new();
	for (int i = 1; i < argc;) {
		int end = i;
		while (end < argc && strcmp(argv[end], ","))
			end++;
		argv[end] = NULL; /* the comma, or the end of argv */
		if (one(argv + i))
			return 1;
		i = end + 1;
	}
	fflush(NULL);
	return 0;
}
