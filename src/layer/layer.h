/* The isolation layers: each has a pure compile function (x.c) and what its operations do in the
 * child (x_child.c). plan/compile.c and run/child.c fix the order; nothing here calls across.
 * Runs in: parent (compile), child (execute). */
#ifndef HUTCH_LAYER_H
#define HUTCH_LAYER_H

#include "plan/plan.h"

/* ---- the view: every path rule, defaults included, sorted by destination ---- */
enum view_kind { VIEW_BIND, VIEW_TMPFS, VIEW_DIR, VIEW_SYMLINK, VIEW_DATA, VIEW_FD, VIEW_MASK, VIEW_DEVICE, VIEW_PROC, VIEW_DEV, VIEW_SYS };
struct view_entry {
	enum view_kind kind;
	const char *dst, *src;      /* src: canonical host path, or link text */
	bool rw, noexec, device, named; /* named: a person asked, so it is required */
	bool file;                  /* the source is not a directory */
	const struct host_file *host;
	uint64_t size, inodes;
	unsigned mode;
	const void *data;
	size_t data_len;
	int fd;
	const char *origin;
};
struct view {
	struct view_entry *entries;
	size_t count, cap;
	const char *home, *cwd;     /* inside */
	const char *const *env;     /* of the program */
};
int view_compile(struct build *b, struct view *v);
/* Deepest entry at or above an inside path that decides what is there; NULL = only the empty root. */
const struct view_entry *view_find(const struct view *v, const char *path);
/* Host path of an inside path, NULL if it isn't shown from the host. */
const char *view_host_path(struct build *b, const struct view *v, const char *inside);
bool path_below(const char *path, const char *ancestor);      /* at or below */
bool layer_has_mounts(const struct build *b);                 /* own mount namespace and a root to build */
bool layer_never(const struct build *b);                      /* no user namespace: Landlock is the first line */

/* ---- compile, in the order of the spine ---- */
int signals_compile(struct build *b);
int fds_compile(struct build *b);
int fds_place_compile(struct build *b);
bool fds_caller_tty(const struct build *b);                   /* one of 0-2 is the caller's terminal */
int ns_compile(struct build *b);
int idmap_compile(struct build *b);
int uts_compile(struct build *b);
int timens_compile(struct build *b);
int net_compile(struct build *b);
int sysctl_compile(struct build *b);
int mount_compile(struct build *b, const struct view *v);
int root_compile(struct build *b);
int tty_compile(struct build *b);
int init_compile(struct build *b);
int rlimit_compile(struct build *b);
int creds_compile(struct build *b);
int caps_compile(struct build *b);
int cwd_compile(struct build *b, const struct view *v);
int landlock_compile(struct build *b, const struct view *v);
int verify_compile(struct build *b);
int seccomp_compile(struct build *b);
int exec_compile(struct build *b, const struct view *v);
/* Environment first: PATH decides which program is meant. */
int env_compile(struct build *b, struct view *v);
/* Finds the program (host path and inside path); runs before the view is complete. */
int exec_resolve(struct build *b, struct view *v);

/* ---- execute ---- */
struct child;
typedef int op_function(struct child *c, const struct op *op);
/* One per operation; defined in the layers' x_child.c. They return 0, or -1 with c->error filled. */
#define X(symbol, name) op_function child_op_##symbol;
PLAN_OPS(X)
#undef X

/* Everything that the child may touch. Filled by the launcher before the clone. */
struct child {
	const struct plan *plan;
	int control;                /* SEQPACKET to the launcher */
	int status;                 /* close-on-exec pipe: READY, then an error or EOF */
	const int *slots;           /* descriptors of plan->opened */
	const int *held;            /* the launcher's copies of policy->fds_from, in that order */
	const int *keep;            /* sorted: all that must survive the first closing */
	size_t keep_count;
	const uint32_t *allocated_id; /* NULL = none */
	int stdin_fd;               /* read end of the relay pipe, -1 = none */
	/* The launcher's own words and environment, as /proc would show them of init, its copy: cleared there. */
	struct { char *start, *end; } words, environment;
	int id_lock;                /* -1 = none */
	bool small;                 /* started by the helper: the process that goes on is yet to be cloned */
	int pty_slave;              /* -1 until the terminal step */
	int landlock;               /* ruleset under construction */
	int launcher;               /* pidfd of the launcher's process, -1 = not followed */
	struct hutch_error *error;
};
int child_wait_go(struct child *c);
/* Runs the operations of one section in order. */
int child_section(struct child *c, enum plan_section s);
uint32_t child_id(const struct child *c, uint64_t id); /* the allocated id in place of its stand-in */
/* PID 1 or subreaper: never returns. */
void init_main(struct child *c, int payload, int gate) __attribute__((noreturn));
/* Tells the launcher of c->error. */
void child_report(struct child *c);

/* Fills c->error from the operation and returns -1. */
int child_fail(struct child *c, const struct op *op, enum error_id id, int result, const char *call, const char *subject);

#endif
