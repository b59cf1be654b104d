/* A process that confines itself: in a child with new namespaces, or as it is with all of its threads.
 * Runs in: parent. PURE. */
#include "layer/layer.h"

#include <string.h>

bool layer_enters(const struct build *b)
{
	return b->plan->mode != PLAN_RUN;
}

static int refuse_from(struct build *b, enum key_id key, const char *why, const char *origin)
{
	const char *what = arena_printf(b->plan->arena, "%s: %s", key_rows[key].name, why);

	return error_set(b->error, ERR_ENTER_KEY, 0, NULL, what, origin);
}

static int refuse(struct build *b, enum key_id key, const char *why)
{
	return refuse_from(b, key, why, b->policy->origin[key]);
}

static bool named(const struct policy *p, enum key_id key)
{
	return p->strength[key] == STRENGTH_REQUIRED && strcmp(p->origin[key], "default");
}

/* What a person named and a running process can't be given. */
int enter_check(struct build *b)
{
	const struct policy *p = b->policy;

	if (!layer_enters(b))
		return 0;
	if (p->tty == TTY_PRIVATE || (p->tty == TTY_NONE && named(p, KEY_TTY)))
		return refuse(b, KEY_TTY, "the process has its session and terminal already");
	if (p->output_limited || p->stdout_file || p->stderr_file)
		return refuse(b, p->output_limited ? KEY_OUTPUT_MAX : p->stdout_file ? KEY_STDOUT : KEY_STDERR, "the process writes to its own descriptors already");
	if (p->on_exit == ON_EXIT_COMMIT || p->on_exit == ON_EXIT_ASK)
		return refuse(b, KEY_ON_EXIT, "nobody is left who would do it: use cow-upper, and hutch commit afterwards");
	if (p->protect_check)
		return refuse(b, KEY_PROTECT_NEW, "nobody is left who would look: take close");
	if (!p->init)
		return refuse(b, KEY_INIT, "the process can't become PID 1 and stay what the C library knows it as");
	for (size_t i = 0; i < p->fd_count; i++) {
		if (p->fds[i] < 3 || p->fds[i] != p->fds_from[i])
			return refuse(b, KEY_FD, "the process has its descriptors already, under their numbers");
	}
	/* A file whose content is taken from a descriptor, or a kept one, must be there; launch looks at that. */
	return 0;
}

/* What a launcher holds, and here is none. */
static int check_here(struct build *b)
{
	static const enum key_id outside[] = { KEY_NAME, KEY_GRACE, KEY_CGROUP_PARENT, KEY_DIE_WITH_LAUNCHER };
	const struct policy *p = b->policy;

	for (size_t i = 0; i < COUNT_OF(outside); i++) {
		/* That it may outlive its launcher needs nobody. */
		if (named(p, outside[i]) && (outside[i] != KEY_DIE_WITH_LAUNCHER || p->die_with_launcher))
			return refuse(b, outside[i], "without namespaces nobody stays outside to hold it");
	}
	for (size_t i = 0; i < LIMIT_KINDS; i++) {
		if (p->limits[i].given)
			return refuse(b, p->limits[i].key, "without namespaces nobody stays outside to hold it");
	}
	if (p->wall_ms || p->cpu_ms || p->denied_kill)
		return refuse(b, p->wall_ms ? KEY_WALL_TIME : p->cpu_ms ? KEY_CPU_TIME : KEY_ON_DENIED, "without namespaces nobody stays outside to hold it");
	/* Keys that may stand several times have their origin with each line. */
	const struct named_limit *line = p->io_max_count ? p->io_max : p->cgroup_set_count ? p->cgroup_set : NULL;
	if (line)
		return refuse_from(b, line->key, "without namespaces nobody stays outside to hold it", line->origin);
	if (p->cgroup == CGROUP_YES)
		return refuse(b, KEY_CGROUP, "without namespaces nobody stays outside to hold it");
	return 0;
}

/* Namespaces and joining take a new process; everything else can be done in this one. */
int enter_choose(struct build *b)
{
	struct plan *p = b->plan;
	bool child = p->clone_flags || p->joins;

	if (!layer_enters(b))
		return 0;
	if (!child) {
		p->mode = PLAN_ENTER_HERE;
		return check_here(b);
	}
	if (b->host->threads > 1) {
		error_set(b->error, ERR_ENTER_THREADS, 0, NULL, "new namespaces", b->policy->origin[KEY_USERNS]);
		return error_detail(b->error, "%u threads", b->host->threads);
	}
	return build_row(b, ROW_ENFORCED, "this process", "enter", "goes on in a child; the caller stays outside and waits for it", "fork", NULL, "api");
}

int each_thread_compile(struct build *b)
{
	const struct host *h = b->host;
	struct op *op;

	if ((b->plan->mode != PLAN_ENTER_HERE && b->plan->mode != PLAN_NARROW) || h->threads <= 1 || b->plan->each_thread)
		return 0;
	if (!h->thread_signal) {
		error_set(b->error, ERR_ENTER_THREAD, 0, NULL, "one blocks all signals", "caller");
		return error_detail(b->error, "thread %u", h->thread_deaf);
	}
	op = build_op(b, SECTION_LANDLOCK, OP_EACH_THREAD, NULL, "api");
	if (!op)
		return -1;
	op->number[0] = h->thread_signal;
	op->number[1] = h->threads - 1;
	b->plan->each_thread = true;
	return build_row(b, ROW_ENFORCED, "threads", "all", arena_printf(b->plan->arena, "%u", h->threads), "each confines itself in a signal handler",
			 h->landlock_abi == 6 ? "this kernel's Landlock keeps them from signalling each other afterwards (fixed in 6.15)" : NULL, "api");
}

/* The kernel keeps credentials and Landlock domains for each thread. */
void enter_flag(struct build *b)
{
	static const enum op_kind kinds[] = {
		OP_DROP_BOUNDING, OP_SECUREBITS, OP_SETGROUPS, OP_SETGID, OP_SETUID, OP_CAPSET, OP_AMBIENT, OP_NO_NEW_PRIVS,
		OP_LANDLOCK_RESTRICT, OP_VERIFY,
	};

	for (size_t i = 0; b->plan->each_thread && i < b->plan->op_count; i++) {
		for (size_t k = 0; k < COUNT_OF(kinds); k++) {
			if (b->plan->ops[i].kind == kinds[k])
				b->plan->ops[i].flags |= OPF_EACH_THREAD;
		}
	}
}
