/* libhutch-preload.so: confines an unchanged dynamic program before its main(), then gets out of the way.
 * It installs kernel policy only: no function is replaced. Whatever goes wrong, the program does not reach main.
 * Runs in: the program, at its start, before it has a second thread. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hutch/hutch.h>

#include "preload/preload.h"

extern char **environ;

static void give_up(const char *text) __attribute__((noreturn));
static void give_up(const char *text)
{
	/* No stdio: the program's is not set up by us. A closed standard error loses the words, not the end. */
	if (write(2, text, strlen(text)) < 0)
		_exit(HUTCH_EXIT_FAILED);
	_exit(HUTCH_EXIT_FAILED);
}

static void give_up_error(const struct hutch_error *e) __attribute__((noreturn));
static void give_up_error(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof text);
	give_up(text);
}

/* ---- our variables: read, and then gone from the environment and from the memory that /proc shows ---- */

struct request { char policy[4096]; int words, ack; };

static bool is(const char *pair, const char *name, const char **value)
{
	size_t n = strlen(name);

	*value = pair + n + 1;
	return !strncmp(pair, name, n) && pair[n] == '=';
}

static int number(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return *s && !*end && n > 2 && n < 1 << 20 ? (int)n : -2;
}

static bool ours(const char *entry, size_t len)
{
	static const char name[] = "libhutch-preload.so";
	size_t n = sizeof name - 1;

	return len >= n && !memcmp(entry + len - n, name, n) && (len == n || entry[len - n - 1] == '/');
}

/* Takes our entry out of LD_PRELOAD's list, in place. false = nothing is left. */
static bool without_ours(char *list)
{
	char *to = list;
	bool first = true;

	for (const char *s = list; *s;) {
		size_t gap = strspn(s, ": "), len = strcspn(s + gap, ": ");
		if (len && !ours(s + gap, len)) {
			if (!first)
				*to++ = ':';
			memmove(to, s + gap, len);
			to += len;
			first = false;
		}
		s += gap + len;
	}
	explicit_bzero(to, strlen(to));
	return to != list;
}

static bool take(char *pair, struct request *r)
{
	const char *v;

	if (is(pair, "LD_PRELOAD", &v))
		return !without_ours(pair + sizeof "LD_PRELOAD=" - 1);
	if (strncmp(pair, "HUTCH_", 6))
		return false;
	if (is(pair, "HUTCH_POLICY", &v)) {
		if (strlen(v) >= sizeof r->policy)
			give_up("hutch: preload: HUTCH_POLICY is too long\n");
		strcpy(r->policy, v);
	}
	if (is(pair, PRELOAD_WORDS, &v))
		r->words = number(v);
	if (is(pair, PRELOAD_ACK, &v))
		r->ack = number(v);
	return true;
}

static void take_variables(struct request *r)
{
	char **to = environ;

	for (char **from = environ; from && *from; from++) {
		if (take(*from, r))
			explicit_bzero(*from, strlen(*from));
		else
			*to++ = *from;
	}
	if (to)
		*to = NULL;
}

/* ---- the policy ---- */

/* `hutch run` has taken its own words already. */
static int skip(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	(void)data;
	(void)argc;
	(void)e;
	return !strncmp(argv[at], "--door=", 7) ? 1 : !strcmp(argv[at], "--door") ? 2 : 0;
}

/* The command line of `hutch run`, word by word, out of a file in memory. */
static int take_words(hutch_policy *p, int fd, struct hutch_error *e)
{
	struct stat st;
	size_t n = 0, words = 0;

	if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > 4 << 20)
		give_up("hutch: preload: the command line can't be read\n");
	size_t size = (size_t)st.st_size;
	char *text = calloc(size + 1, 1), **argv;
	while (text && n < size) {
		ssize_t got = pread(fd, text + n, size - n, (off_t)n);
		if (got <= 0)
			give_up("hutch: preload: the command line can't be read\n");
		n += (size_t)got;
	}
	close(fd);
	for (size_t i = 0; text && i < size; i++)
		words += !text[i];
	argv = calloc(words + 1, sizeof *argv);
	if (!text || !argv)
		give_up("hutch: preload: out of memory\n");
	for (size_t i = 0, at = 0; i < words; at += strlen(text + at) + 1)
		argv[i++] = text + at;
	int r = hutch_policy_args(p, (int)words, argv, skip, NULL, e);
	free(argv);
	free(text);
	return r;
}

static bool is_preset(const char *name)
{
	const char *known;

	for (size_t i = 0; (known = hutch_preset_name(i)); i++) {
		if (!strcmp(known, name))
			return true;
	}
	return false;
}

static void fill(hutch_policy *p, const struct request *r)
{
	struct hutch_error e = { 0 };
	char fd[16];
	int status;

	if (r->words >= 0)
		status = take_words(p, r->words, &e);
	else if (is_preset(r->policy))
		status = hutch_policy_set(p, "include", r->policy, &e);
	else
		status = hutch_policy_load(p, r->policy, &e);
	if (status == 0 && r->ack >= 0) {
		snprintf(fd, sizeof fd, "%d", r->ack);
		status = hutch_policy_set(p, "fd", fd, &e);
	}
	if (status < 0)
		give_up_error(&e);
}

/* Constructors after ours get the first vector from the loader: it shows the new environment too, as far as it holds. */
static void show_in(char **first, size_t room)
{
	size_t i = 0;

	for (; i < room && environ[i]; i++)
		first[i] = environ[i];
	first[i] = NULL;
}

static void confine(const struct request *r)
{
	struct hutch_error e = { 0 };
	hutch_policy *p = hutch_policy_new();
	char **first = environ;
	size_t room = 0;

	if (!p)
		give_up("hutch: preload: out of memory\n");
	while (first && first[room])
		room++;
	fill(p, r);
	if (hutch_enter(p, &e) < 0)
		give_up_error(&e);
	hutch_policy_free(p);
	if (first)
		show_in(first, room);
	if (r->ack >= 0 && (write(r->ack, PRELOAD_DONE, 1) != 1 || close(r->ack) < 0))
		_exit(HUTCH_EXIT_FAILED);
}

static void set_up(void) __attribute__((constructor));
static void set_up(void)
{
	struct request r = { .words = -1, .ack = -1 };

	if (getauxval(AT_SECURE))
		give_up("hutch: preload: this program has raised privileges (setuid, setgid or file capabilities), and its environment can't be trusted; start it with `hutch run --`\n");
	take_variables(&r);
	if (r.words == -2 || r.ack == -2)
		give_up("hutch: preload: a descriptor in HUTCH_* is no number\n");
	if (r.words < 0 && !*r.policy)
		give_up("hutch: preload: no policy: set HUTCH_POLICY to a policy file or a preset's name, or start with `hutch run --door=preload --`\n");
	/* The kernel refuses this to a process with threads, and it changes nothing for one without. */
	if (unshare(CLONE_THREAD) < 0 && errno == EINVAL)
		give_up("hutch: preload: a library has started a thread already, before main; start the program with `hutch run --`\n");
	confine(&r);
}
