/* compile(policy, host) -> plan. The order of the calls is the order of the spine.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>

typedef int compile_step(struct build *b);

static int compile(const struct policy *p, struct host *h, struct arena *a, struct plan *out, enum plan_mode mode, struct hutch_error *e)
{
	struct build b = { .policy = p, .host = h, .plan = out, .error = e };
	struct view v = { 0 };
	static compile_step *const before_mounts[] = {
		ns_compile, enter_choose, signals_compile, fds_compile, timens_compile, idmap_compile, cgroup_compile, limits_compile, uts_compile, net_compile,
		sysctl_compile,
	};
	static compile_step *const after_mounts[] = {
		root_compile, tty_compile, init_compile, fds_place_compile, rlimit_compile, creds_compile, caps_compile,
	};

	memset(out, 0, sizeof *out);
	out->arena = a;
	out->policy = p;
	out->mode = mode;
	if (mode == PLAN_RUN && p->argc == 0)
		return error_set(e, ERR_EXEC_COMMAND, 0, NULL, NULL, NULL);
	if (host_require(h, e) < 0 || enter_check(&b) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(before_mounts); i++) {
		if (before_mounts[i](&b) < 0)
			return -1;
	}
	/* The program is looked for before the view is closed: its own file is always visible. */
	if (env_compile(&b, &v) < 0 || view_compile(&b, &v) < 0 || mount_compile(&b, &v) < 0)
		return -1;
	for (size_t i = 0; i < COUNT_OF(after_mounts); i++) {
		if (after_mounts[i](&b) < 0)
			return -1;
	}
	if (cwd_compile(&b, &v) < 0 || landlock_compile(&b, &v) < 0 || each_thread_compile(&b) < 0 || verify_compile(&b) < 0 || seccomp_compile(&b) < 0)
		return -1;
	enter_flag(&b);
	return mode == PLAN_RUN ? exec_compile(&b, &v) : 0; /* else the program that goes on is there already */
}

int plan_compile(const struct policy *p, struct host *h, struct arena *a, struct plan *out, struct hutch_error *e)
{
	return compile(p, h, a, out, PLAN_RUN, e);
}

int plan_compile_enter(const struct policy *p, struct host *h, struct arena *a, struct plan *out, struct hutch_error *e)
{
	return compile(p, h, a, out, PLAN_ENTER, e);
}
