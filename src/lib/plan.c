/* Public plan: freeze, probe, compile; and spawn.
 * Runs in: parent. */
#include "lib/compile.h"
#include "lib/entry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "layer/layer.h"

#ifndef HUTCH_VERSION
#define HUTCH_VERSION "0.1.0"
#endif

extern char **environ;

const char *hutch_version(void)
{
	return HUTCH_VERSION;
}

/* Everything that outlives the policy object is copied into the plan's own arena. */
static int copy_draft(const struct draft *from, struct draft *to, struct arena *a, struct hutch_error *e)
{
	memset(to, 0, sizeof *to);
	to->arena = a;
	to->sources = from->sources;
	for (size_t i = 0; i < from->count; i++) {
		const struct draft_line *l = &from->lines[i];
		const char *key = key_rows[l->key].name;
		int r = l->data ? draft_add_data(to, key, l->value, l->data, l->data_len, l->origin, l->source, l->depth, l->strength, e)
				: draft_add(to, key, l->value, l->origin, l->source, l->depth, l->strength, e);
		if (r < 0)
			return -1;
		to->lines[to->count - 1].resolved = l->resolved;
	}
	to->argv = arena_alloc(a, (from->argc + 1) * sizeof *to->argv);
	if (!to->argv)
		return error_nomem(e);
	for (size_t i = 0; i < from->argc; i++) {
		to->argv[i] = arena_strdup(a, from->argv[i]);
		if (!to->argv[i])
			return error_nomem(e);
	}
	to->argc = from->argc;
	return 0;
}

static int copy_context(struct policy_context *c, struct arena *a, struct hutch_error *e)
{
	size_t n = 0;
	char cwd[4096];

	while (environ && environ[n])
		n++;
	const char **env = arena_alloc(a, (n + 1) * sizeof *env);
	if (!env)
		return error_nomem(e);
	for (size_t i = 0; i < n; i++) {
		env[i] = arena_strdup(a, environ[i]);
		if (!env[i])
			return error_nomem(e);
		if (!strncmp(env[i], "HOME=/", 6))
			c->home = env[i] + 5;
	}
	c->environ = env;
	/* A deleted directory, or one that can't be reached from the root, has no name to go by. */
	c->cwd = getcwd(cwd, sizeof cwd) && cwd[0] == '/' ? arena_strdup(a, cwd) : NULL;
	return 0;
}

static bool wants_overlay(const struct policy *p, struct host *h)
{
	bool wanted = p->rootfs_cow || p->layer_count;

	for (size_t i = 0; i < p->rule_count; i++)
		wanted |= p->rules[i].kind == RULE_COW && !(p->rules[i].optional && h->lookup(h, NULL, p->rules[i].src)->errnum);
	return wanted;
}

static int take_lines(const hutch_policy *p, hutch_plan *plan, struct draft *draft, struct policy_context *context, struct hutch_error *e)
{
	*context = (struct policy_context){ 0 };
	return copy_draft(&p->draft, draft, &plan->arena, e) < 0 || front_finish(draft, e) < 0 || copy_context(context, &plan->arena, e) < 0 ? -1 : 0;
}

int policy_of_lines(const hutch_policy *p, hutch_plan *plan, struct hutch_error *e)
{
	struct draft draft;
	struct policy_context context;

	if (take_lines(p, plan, &draft, &context, e) < 0)
		return -1;
	context.uid = geteuid();
	context.gid = getegid();
	return policy_freeze(&draft, &context, &plan->policy, e);
}

int lib_compile(const hutch_policy *p, bool full, bool enter, hutch_plan *out, struct hutch_error *e)
{
	struct draft draft;
	struct policy_context context;

	if (take_lines(p, out, &draft, &context, e) < 0)
		return -1;
	if ((full ? host_probe_full(&out->host, &out->arena, e) : host_probe(&out->host, &out->arena, e)) < 0)
		return -1;
	context.uid = out->host.euid;
	context.gid = out->host.egid;
	if (policy_freeze(&draft, &context, &out->policy, e) < 0)
		return -1;
	/* A choice that hangs on whether namespaces can be had needs the answer before the launch. */
	if (!full && out->policy.ns[NS_USER].how == NS_TRY && host_probe_full(&out->host, &out->arena, e) < 0)
		return -1;
	if (!full && (out->policy.map == MAP_AUTO || out->policy.map == MAP_EXPLICIT))
		host_probe_ids(&out->host);
	if (!full && wants_overlay(&out->policy, &out->host))
		host_probe_overlay(&out->host);
	if (policy_limits(&out->policy))
		host_probe_cgroups(&out->host, out->policy.cgroup_parent);
	if (cgroup_wants_pid_max(&out->policy, &out->host))
		host_probe_pid_max(&out->host);
	if (enter && host_probe_threads(&out->host, e) < 0)
		return -1;
	return (enter ? plan_compile_enter : plan_compile)(&out->policy, &out->host, &out->arena, &out->plan, e);
}

int hutch_plan_new(const hutch_policy *p, bool full, hutch_plan **out, struct hutch_error *e)
{
	hutch_plan *plan = calloc(1, sizeof *plan);

	*out = NULL;
	if (!plan)
		return error_nomem(e);
	arena_init(&plan->arena);
	if (lib_compile(p, full, false, plan, e) < 0) {
		/* Symptoms of a known cause get its name and its remedy. */
		if (e)
			host_explain(e);
		hutch_plan_free(plan);
		return -1;
	}
	*out = plan;
	return 0;
}

void hutch_plan_free(hutch_plan *plan)
{
	if (!plan)
		return;
	arena_done(&plan->arena);
	free(plan);
}

char *hutch_plan_text(const hutch_plan *plan, bool json)
{
	struct text t;

	text_init(&t);
	if (json)
		plan_print_json(&plan->plan, &t);
	else
		plan_print(&plan->plan, &t);
	if (t.failed || !t.s) {
		text_done(&t);
		return NULL;
	}
	return t.s;
}

char *hutch_check_text(bool json, struct hutch_error *e)
{
	struct text t;

	text_init(&t);
	if (host_check(&t, json, e) < 0 || t.failed) {
		if (t.failed)
			error_nomem(e);
		text_done(&t);
		return NULL;
	}
	return t.s;
}

int hutch_spawn(const hutch_plan *plan, hutch_run **out, struct hutch_error *e)
{
	return hutch_spawn_fds(plan, NULL, 0, out, e);
}

int hutch_spawn_fds(const hutch_plan *plan, const struct hutch_fd *fds, size_t count, hutch_run **out, struct hutch_error *e)
{
	return lib_spawn(plan, fds, count, -1, out, e);
}

int lib_spawn(const hutch_plan *plan, const struct hutch_fd *fds, size_t count, int exempt, hutch_run **out, struct hutch_error *e)
{
	struct hutch_run *r = calloc(1, sizeof *r);
	struct hutch_error own;

	if (!e)
		e = &own;
	*out = NULL;
	if (!r)
		return error_nomem(e);
	if (getauxval(AT_SECURE)) {
		free(r);
		return error_set(e, ERR_LAUNCH_PREPARE, 1 /* EPERM */, NULL, "a process with raised privileges (setuid or file capabilities)", "caller");
	}
	r->given = fds;
	r->given_count = count;
	r->exempt = exempt;
	if (plan->policy.name)
		entry_sweep(); /* or the name would be taken over from a dead launcher, and with it what tells of a frozen run */
	if (run_launch(&plan->plan, &plan->host, r, e) < 0) {
		if (e->id == ERR_EXEC_FAILED || e->id == ERR_EXEC_NOT_FOUND)
			host_explain_exec(plan->plan.exec_host_path ? plan->plan.exec_host_path : plan->plan.exec_path, e->errnum, e);
		else
			host_explain(e);
		hutch_run_free(r);
		return -1;
	}
	entry_sweep_beside(r);
	r->given = NULL;
	r->given_count = 0;
	*out = r;
	return 0;
}
