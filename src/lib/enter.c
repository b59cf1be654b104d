/* hutch_enter: the calling process confines itself and goes on.
 * Runs in: parent, and from the program that goes on in the child as well. */
#include "lib/lib.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/compile.h"
#include "run/child.h"
#include "sys/sys.h"

extern char **environ;

struct entering {
	struct hutch_plan *plan;
	struct hutch_run *run;
	char **environment;          /* the new one, made while making it can still fail */
	struct child block;          /* only where the kernel finds the first environment */
};

/* ---- environment ---- */

static char *old_string(const char *pair)
{
	for (char **v = environ; v && *v; v++) {
		if (!strcmp(*v, pair))
			return *v;
	}
	return NULL;
}

/* Variables that stay as they are keep their place in memory: somebody may hold a pointer to one. */
static int make_environment(struct entering *n, struct hutch_error *e)
{
	char *const *from = n->plan->plan.envp;
	size_t count = 0;

	while (from[count])
		count++;
	n->environment = calloc(count + 1, sizeof *n->environment);
	if (!n->environment)
		return error_nomem(e);
	for (size_t i = 0; i < count; i++) {
		char *old = old_string(from[i]);
		n->environment[i] = old ? old : from[i];
	}
	return 0;
}

static bool stays(const struct entering *n, const char *s)
{
	for (char **v = n->environment; *v; v++) {
		if (*v == s)
			return true;
	}
	return false;
}

/* What is gone from the environment is gone from /proc/self/environ as well: zero bytes take its place there.
 * Strings elsewhere may be constants, and stay. */
static void take_environment(struct entering *n)
{
	for (char **v = environ; v && *v; v++) {
		if (*v >= n->block.environment.start && *v < n->block.environment.end && !stays(n, *v))
			explicit_bzero(*v, strlen(*v));
	}
	environ = n->environment;
}

static void find_block(struct entering *n)
{
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = 0;
	/* Without /proc nobody sees it there either. */
	if (got <= 0 || parse_words(text, &n->block, NULL) < 0)
		n->block.environment.start = n->block.environment.end = NULL;
}

/* ---- what can be looked at before anything changes ---- */

static int check_limits(const struct plan *p, struct hutch_error *e)
{
	for (size_t i = 0; i < p->op_count; i++) {
		const struct op *op = &p->ops[i];
		struct { uint64_t soft, hard; } now;
		if (op->kind != OP_RLIMIT || (op->number[3] & 2))
			continue;
		int r = sys_prlimit(0, (int)op->number[0], NULL, &now);
		if (r < 0 || (op->number[2] > now.hard && geteuid() != 0))
			return error_set(e, ERR_RLIMIT, r < 0 ? -r : EPERM, "prlimit", op->path, op->origin);
	}
	return 0;
}

/* Open, and of a kind that leads nowhere, as for a program that is started. */
static int check_descriptors(const struct plan *p, struct hutch_error *e)
{
	static const struct hutch_run none; /* no other descriptors than the policy's */
	int *held = calloc(p->policy->fd_count + 1, sizeof *held), r;

	if (!held)
		return error_nomem(e);
	r = fds_hold(p, &none, held, e);
	free(held);
	return r;
}

static int check_here(const struct plan *p, struct hutch_error *e)
{
	return check_limits(p, e) < 0 || check_descriptors(p, e) < 0 ? -1 : run_try_landlock(p, e);
}

/* ---- the two ways ---- */

static int enter_here(struct entering *n, struct hutch_error *e)
{
	bool changed = false;

	if (check_here(&n->plan->plan, e) < 0)
		return -1;
	if (run_enter_here(&n->plan->plan, &changed, e) < 0)
		return changed ? enter_partial(e) : -1;
	take_environment(n);
	return 0;
}

static int enter_child(struct entering *n, struct hutch_error *e)
{
	sigset_t all, old;
	int r;

	if (!(n->run = calloc(1, sizeof *n->run)))
		return error_nomem(e);
	/* What comes meanwhile is for the program: it waits until there is somebody to hand it on. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = run_launch(&n->plan->plan, &n->plan->host, n->run, e);
	if (r != 0)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		host_explain(e);
		hutch_run_free(n->run);
		return -1;
	}
	if (r == 0)
		run_supervise(n->run);
	free(n->run);
	take_environment(n);
	return 0;
}

static int compile(const hutch_policy *p, struct hutch_plan **out, struct hutch_error *e)
{
	struct hutch_plan *plan = calloc(1, sizeof *plan);

	if (!plan)
		return error_nomem(e);
	arena_init(&plan->arena);
	if (lib_compile(p, false, true, plan, e) < 0) {
		host_explain(e);
		hutch_plan_free(plan);
		return -1;
	}
	*out = plan;
	return 0;
}

int hutch_enter(const hutch_policy *p, struct hutch_error *e)
{
	struct entering n = { 0 };
	struct hutch_error own;
	int r;

	if (!e)
		e = &own;
	if (getauxval(AT_SECURE))
		return error_set(e, ERR_LAUNCH_PREPARE, EPERM, NULL, "a process with raised privileges (setuid or file capabilities)", "caller");
	if (compile(p, &n.plan, e) < 0)
		return -1;
	find_block(&n);
	r = make_environment(&n, e);
	if (r == 0)
		r = n.plan->plan.mode == PLAN_ENTER ? enter_child(&n, e) : enter_here(&n, e);
	if (r == 0)
		return 0; /* the plan stays, as environ does, whose strings live in it: NOLINT(clang-analyzer-unix.Malloc) */
	free(n.environment);
	hutch_plan_free(n.plan);
	return -1;
}

char *hutch_enter_text(const hutch_policy *p, bool json, struct hutch_error *e)
{
	struct hutch_plan *plan = NULL;
	struct hutch_error own;
	char *text;

	if (compile(p, &plan, e ? e : &own) < 0)
		return NULL;
	text = hutch_plan_text(plan, json);
	hutch_plan_free(plan);
	if (!text)
		error_nomem(e);
	return text;
}
