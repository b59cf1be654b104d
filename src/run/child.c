/* THE SPINE: every step between the clone and the program's exec, in order, on one screen.
 * The child decides nothing: each step executes its section of the plan, and any failure ends it.
 * A process that confines itself takes the same steps, but for the exec.
 * Runs in: child. */
#include "run/child.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "run/sync.h"
#include "sys/sys.h"

#define LOOSE_MOST 16 /* well below every RLIMIT_NOFILE that a program can run with */

static op_function *const operations[OP_KINDS] = {
#define X(symbol, name) [OP_##symbol] = child_op_##symbol,
	PLAN_OPS(X)
#undef X
};

int child_fail(struct child *c, const struct op *op, enum error_id id, int result, const char *call, const char *subject)
{
	return error_set(c->error, id, result < 0 ? -result : 0, call, subject ? subject : op ? op->path : NULL, op ? op->origin : NULL);
}

uint32_t child_id(const struct child *c, uint64_t id)
{
	return id == HUTCH_ID_ALLOCATED && c->allocated_id ? *c->allocated_id : (uint32_t)id;
}

int child_section(struct child *c, enum plan_section s)
{
	const struct plan *p = c->plan;

	for (size_t i = p->section_start[s]; i < p->section_start[s + 1]; i++) {
		if (operations[p->ops[i].kind](c, &p->ops[i]) < 0)
			return -1;
	}
	return 0;
}

/* In this very process: nobody was cloned. */
static bool goes_on(const struct child *c)
{
	return c->plan->mode == PLAN_ENTER_HERE || c->plan->mode == PLAN_NARROW;
}

void child_release(struct child *c, int fd)
{
	/* All are close-on-exec and beyond what init holds. Only many of them must not run into the limit, and who goes
	 * on without an exec must not find them. */
	if (c->loose < LOOSE_MOST && !goes_on(c))
		c->loose++;
	else
		sys_close(fd);
}

void child_report(struct child *c)
{
	struct { uint32_t tag; struct hutch_error error; } record = { STATUS_ERROR, *c->error };

	sys_write(c->status, &record, sizeof record);
}

void child_give_up(struct child *c)
{
	child_report(c);
	sys_exit(125);
}

/* A step that failed is the last. */
#define must(c, step) do { if ((step) < 0) return -1; } while (0)

/* EOF and silence mean abort, never "go". */
int child_wait_go(struct child *c)
{
	struct message m;
	int r;

	if (goes_on(c))
		return 0; /* nobody waits */
	r = sync_receive(c->control, &m, NULL, 60000);
	if (r == 1 && m.type == MSG_GO)
		return 0;
	return child_fail(c, NULL, ERR_LAUNCH_ORPHAN, r < 0 ? r : 0, "recvmsg", "the launcher's word to go on");
}

static int arm_parent_death(struct child *c)
{
	int r = c->plan->die_with_launcher ? sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) : 0;

	return r < 0 ? child_fail(c, NULL, ERR_CREDS_DEATH, r, "prctl", NULL) : 0;
}

static int closed_to_peers(struct child *c)
{
	int r = c->plan->joins && !c->plan->userns_new ? sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) : 0;

	return r < 0 ? child_fail(c, NULL, ERR_LAUNCH_PREPARE, r, "prctl PR_SET_DUMPABLE", NULL) : 0;
}

/* Set-up inside needs no way to the host's cgroups. */
static int leave_cgroup_fd(struct child *c)
{
	int r = c->birth >= 0 ? sys_close(c->birth) : 0;

	c->birth = -1;
	return r < 0 ? child_fail(c, NULL, ERR_FD_CLOSE, r, "close", "the cgroup") : 0;
}

/* After joining, or in the helper: the process that goes on is made in the joined or new namespaces, as the launcher's
 * own child. */
static int enter_joined(struct child *c)
{
	int pid, pidfd = -1;
	struct u_clone_args a = { .flags = c->plan->clone_flags | U_CLONE_PARENT | U_CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd };

	if (!c->plan->joins && !c->small)
		return leave_cgroup_fd(c);
	if (c->birth >= 0) {
		a.flags |= U_CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)c->birth;
	}
	pid = sys_clone3(&a);
	if (pid < 0)
		return child_fail(c, NULL, ERR_LAUNCH_CLONE, pid, "clone3", c->plan->joins ? "the process in the joined namespaces" : "user and other namespaces");
	if (pid == 0)
		return leave_cgroup_fd(c);
	sync_send(c->control, &(struct message){ .type = MSG_PID, .a = pid }, pidfd);
	sys_exit(0);
}

/* Where even this call is refused, set-up counts as the program's: nothing is lost but exactness. */
int child_note_cost(struct child *c)
{
	struct timespec t = { 0 };

	if (SYS2(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &t) == 0)
		c->cost_us += (uint32_t)(t.tv_sec * 1000000 + t.tv_nsec / 1000);
	return 0;
}

int child_steps(struct child *c)
{
	must(c, closed_to_peers(c));                 /* who lives in a joined namespace must not look into us */
	must(c, child_close_others(c));              /* before any right in the new namespaces is used; its own copy of the
	                                              * launcher's end would keep the socket open after the launcher's death */
	must(c, child_section(c, SECTION_JOIN));     /* while the caller's rights still count */
	must(c, enter_joined(c));                    /* a pid namespace takes effect for children only */
	must(c, arm_parent_death(c));                /* then look whether the launcher is there: its GO is the proof */
	must(c, child_wait_go(c));                   /* ids are mapped now; EOF = abort */
	must(c, child_section(c, SECTION_SIGNALS));  /* what the caller ignored must not stay ignored */
	must(c, child_section(c, SECTION_FDS));      /* 0-2 made safe while the old tree is there to reopen from */
	must(c, child_section(c, SECTION_TIME));     /* offsets freeze with the first process inside: before the fork;
	                                              * a change of ids would close /proc/self to us */
	must(c, child_section(c, SECTION_IDENTITY)); /* a mapped id, or new files would have no owner */
	must(c, child_section(c, SECTION_UTS));
	must(c, child_section(c, SECTION_NET));
	must(c, child_section(c, SECTION_SYSCTL));   /* /proc/sys is still the old, writable one */
	must(c, child_section(c, SECTION_MOUNT));    /* the new tree, detached from every other namespace first */
	must(c, child_section(c, SECTION_ROOT));     /* the old root is gone after this */
	must(c, child_section(c, SECTION_TTY));      /* from the new /dev/pts; session before the fork */
	must(c, child_section(c, SECTION_INIT));     /* init stays behind; what goes on is the program's process */
	must(c, child_restore_files(c));             /* the launcher may have raised it, for many sources */
	must(c, child_section(c, SECTION_PLACE));    /* after the fork, so that init never has them; what is opened later gets other numbers */
	must(c, child_section(c, SECTION_RLIMIT));   /* after the fork, so that they don't bind init */
	must(c, child_section(c, SECTION_CREDS));    /* bounding set, securebits, groups, gid, uid: each while it is allowed */
	must(c, child_section(c, SECTION_CAPS));     /* capabilities final, then no_new_privs */
	must(c, child_section(c, SECTION_CWD));      /* as the final user, in the final tree */
	must(c, child_section(c, SECTION_LANDLOCK)); /* needs no_new_privs; forbids mounts, so after them */
	must(c, child_section(c, SECTION_VERIFY));   /* trust nothing: read back what the kernel holds */
	must(c, child_note_cost(c));                 /* while the call is allowed */
	must(c, child_section(c, SECTION_SECCOMP));  /* last, for it may forbid every call above */
	return 0;
}

void child_main(struct child *c)
{
	if (child_steps(c) == 0)
		child_section(c, SECTION_EXEC);
	child_give_up(c);                            /* exec never comes back but with an error */
}

/* From here on what the program does is its own: unblock, say READY, execute. */
int child_op_EXEC(struct child *c, const struct op *op)
{
	struct status_ready ready = { STATUS_READY, c->cost_us };
	uint64_t none = 0;
	int r = (int)SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);

	if (r < 0)
		return child_fail(c, op, ERR_SIGNALS, r, "rt_sigprocmask", NULL);
	if (sys_write(c->status, &ready, sizeof ready) != (long)sizeof ready)
		return child_fail(c, op, ERR_LAUNCH_HANDSHAKE, -EPIPE, "write", NULL);
	r = sys_execve(op->path, c->plan->argv, c->plan->envp);
	return child_fail(c, op, r == -ENOENT || r == -ENOTDIR ? ERR_EXEC_NOT_FOUND : ERR_EXEC_FAILED, r, "execve", NULL);
}
