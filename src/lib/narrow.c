/* hutch_narrow: the calling process gives up system calls and paths, step by step.
 * Runs in: parent. */
#include "lib/lib.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer/layer.h"
#include "layer/promise.h"
#include "sys/sys.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* What a plan of this kind needs; no policy is behind it, so all of that is empty. */
struct narrowing { struct arena arena; struct policy policy; struct host host; struct plan plan; struct build build; };

static int parse_rights(const struct hutch_path *p, bool directory, unsigned abi, uint64_t *out, struct hutch_error *e)
{
	static const struct { char letter; uint64_t file, directory; } rights[] = {
		{ 'r', LL_READ_FILE, LL_READ_FILE | LL_READ_DIR },
		{ 'w', LL_WRITE_FILE | LL_TRUNCATE | LL_IOCTL_DEV, LL_WRITE_FILE | LL_TRUNCATE | LL_IOCTL_DEV },
		{ 'x', LL_EXECUTE, LL_EXECUTE },
		{ 'c', 0, LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | LL_MAKE_SOCK | LL_MAKE_FIFO | LL_MAKE_SYM | LL_REFER },
	};

	*out = 0;
	for (const char *s = p->rights; *s; s++) {
		size_t i = 0;
		while (i < COUNT_OF(rights) && rights[i].letter != *s)
			i++;
		if (i == COUNT_OF(rights)) {
			error_set(e, ERR_NARROW_PATH, EINVAL, NULL, p->path, "api");
			return error_detail(e, "no such right: %c", *s);
		}
		*out |= directory ? rights[i].directory : rights[i].file;
	}
	*out &= landlock_handled(abi);
	return 0;
}

static int one_path(struct narrowing *n, const struct hutch_path *p, struct hutch_error *e)
{
	struct stat st;
	uint64_t access;
	struct op *op;

	if (!p->path || !p->rights || stat(p->path, &st) < 0)
		return error_set(e, ERR_NARROW_PATH, p->path && p->rights ? errno : EINVAL, "stat", p->path, "api");
	if (parse_rights(p, S_ISDIR(st.st_mode), n->host.landlock_abi, &access, e) < 0)
		return -1;
	if (!access)
		return 0; /* a name without rights grants nothing, as if it weren't there */
	if (!(op = build_op(&n->build, SECTION_LANDLOCK, OP_LANDLOCK_PATH, p->path, "api")))
		return -1;
	op->number[0] = access;
	op->number[1] = st.st_dev;
	op->number[2] = st.st_ino;
	op->number[3] = 1;
	return 0;
}

static int add_paths(struct narrowing *n, const struct hutch_path *paths, size_t count, struct hutch_error *e)
{
	long abi = SYS3(NR_landlock_create_ruleset, NULL, 0, U_LANDLOCK_VERSION);
	struct op *op;

	if (abi < 1)
		return error_set(e, ERR_LANDLOCK_MISSING, (int)-abi, "landlock_create_ruleset", "the list of paths", "api");
	n->host.landlock_abi = (unsigned)abi;
	if (host_probe_threads(&n->host, e) < 0 || !(op = build_op(&n->build, SECTION_LANDLOCK, OP_LANDLOCK_RULESET, NULL, "api")))
		return -1;
	op->number[0] = landlock_handled(n->host.landlock_abi);
	op->number[3] = 8;
	for (size_t i = 0; i < count; i++) {
		if (one_path(n, &paths[i], e) < 0)
			return -1;
	}
	if (each_thread_compile(&n->build) < 0)
		return -1;
	return build_op(&n->build, SECTION_LANDLOCK, OP_LANDLOCK_RESTRICT, NULL, "api") ? 0 : -1;
}

static int add_promises(struct narrowing *n, const char *promises, unsigned flags, struct hutch_error *e)
{
	uint32_t set, refusal = flags & HUTCH_NARROW_KILL ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
	struct filter *f = &n->plan.filters[0];
	struct ruleset rules = { 0 };
	struct arch_rules arch = { NATIVE, &rules };
	struct sock_filter *words;
	struct op *op;

	if (promises_parse(promises, &set, e) < 0)
		return -1;
	if (promises_rules(&n->arena, set, NATIVE, (uint32_t)getpid(), refusal, &rules) < 0 ||
	    filter_compile(&n->arena, &arch, 1, refusal, &words, &f->count) < 0)
		return error_nomem(e);
	f->name = "promises";
	f->words = words;
	n->plan.filter_count = 1;
	if (!(op = build_op(&n->build, SECTION_SECCOMP, OP_SECCOMP, f->name, "api")))
		return -1;
	op->number[1] = SECCOMP_FILTER_FLAG_TSYNC;
	return 0;
}

static int plan(struct narrowing *n, const char *promises, const struct hutch_path *paths, size_t count, unsigned flags, struct hutch_error *e)
{
	n->plan.arena = &n->arena;
	n->plan.policy = &n->policy;
	n->plan.mode = PLAN_NARROW;
	n->build = (struct build){ .policy = &n->policy, .host = &n->host, .plan = &n->plan, .error = e };
	if (flags & ~HUTCH_NARROW_KILL)
		return error_set(e, ERR_NARROW_PROMISE, EINVAL, NULL, "unknown flags", "api");
	if (!build_op(&n->build, SECTION_CAPS, OP_NO_NEW_PRIVS, NULL, "api"))
		return -1;
	if (paths && add_paths(n, paths, count, e) < 0)
		return -1;
	if (promises && add_promises(n, promises, flags, e) < 0)
		return -1;
	enter_flag(&n->build);
	return 0;
}

int hutch_narrow(const char *promises, const struct hutch_path *paths, size_t count, unsigned flags, struct hutch_error *e)
{
	struct narrowing n = { 0 };
	struct hutch_error own;
	bool changed = false;
	int r;

	if (!e)
		e = &own;
	arena_init(&n.arena);
	r = plan(&n, promises, paths, count, flags, e);
	if (r == 0)
		r = run_try_landlock(&n.plan, e);
	if (r == 0 && (r = run_enter_here(&n.plan, &changed, e)) < 0)
		enter_partial(e);
	arena_done(&n.arena);
	return r;
}

const char *hutch_promise(size_t index, const char **help)
{
	const struct promise *p = promise_row(index);

	if (p && help)
		*help = p->help;
	return p ? p->name : NULL;
}
