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
	bool random_id;             /* VIEW_DATA without content: a number that the child draws */
	bool cow;                   /* written to, but the changes stay out of the host */
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
	struct table index;         /* dst to index of entries */
	const char *home, *cwd;     /* inside */
	const char *const *env;     /* of the program */
	/* The project's git directories, its repository's first; .git files, which lead to some of them. */
	struct { const char **dirs, **links; size_t count, cap, link_count, link_cap; } git;
};
int view_compile(struct build *b, struct view *v);
/* Entry of this very path, len bytes of it; NULL = none. Valid until the next entry is added. */
struct view_entry *view_at(const struct view *v, const char *dst, size_t len);
struct view_entry *view_append(struct build *b, struct view *v, const struct view_entry *e);
/* Parents first; to be called whenever an entry's place has changed. */
int view_sort(struct build *b, struct view *v);
/* Nearest entry above a path that is a file system of its own; NULL = the root. */
const struct view_entry *view_under(const struct view *v, const char *path);
/* view_sets.c: the names inside of a path of the host. Visits each entry that shows it; f gets the entry's index. */
typedef int view_name(struct build *b, struct view *v, const struct path_rule *r, size_t entry, const char *dst);
int view_each_name(struct build *b, struct view *v, const struct path_rule *r, const char *host, view_name *f, size_t *count);
/* Host path with no link but the last part in it; parts that aren't there stay as they are. NULL = out of memory. */
const char *view_real(struct build *b, const char *path);
int view_git(struct build *b, struct view *v);   /* view_git.c */
int view_hide(struct build *b, struct view *v);
int view_protect(struct build *b, struct view *v);
int view_aliases(struct build *b, struct view *v);
size_t path_above(const char *path, size_t len);              /* length of the directory part; 0 = the top */
/* Deepest entry at or above an inside path that decides what is there; NULL = only the empty root. */
const struct view_entry *view_find(const struct view *v, const char *path);
/* Where a path inside leads through the links that hutch itself makes. NULL = out of memory. */
const char *view_through_links(struct build *b, const struct view *v, const char *path);
/* Host path of an inside path, NULL if it isn't shown from the host. */
const char *view_host_path(struct build *b, const struct view *v, const char *inside);
bool path_below(const char *path, const char *ancestor);      /* at or below */
bool layer_has_mounts(const struct build *b);                 /* own mount namespace and a root to build */
bool output_relayed(const struct build *b, unsigned fd);      /* fd 1, 2: a pipe to the launcher stands there */
bool layer_never(const struct build *b);                      /* no user namespace: Landlock is the first line */

/* ---- compile, in the order of the spine ---- */
int signals_compile(struct build *b);
int fds_compile(struct build *b);
int fds_place_compile(struct build *b);
bool fds_caller_tty(const struct build *b);                   /* one of 0-2 is the caller's terminal */
int ns_compile(struct build *b);
int idmap_compile(struct build *b);
int cgroup_compile(struct build *b);
/* For a run that is there: b->host says that its own cgroups are the parents. Fills plan->cgroups, cgroup_writes. */
int cgroup_update_compile(struct build *b);
bool cgroup_key(enum key_id key);                             /* a limit that a cgroup holds */
/* Would pids fall to the stand-ins, of which the pid namespace's own most is one? */
bool cgroup_wants_pid_max(const struct policy *p, const struct host *h);
int limits_compile(struct build *b);
int uts_compile(struct build *b);
int timens_compile(struct build *b);
int net_compile(struct build *b);
int sysctl_compile(struct build *b);
int mount_compile(struct build *b, const struct view *v);
/* overlay.c: a bound entry that is shown copy-on-write, the root of several layers, and what ends both. */
int overlay_compile(struct build *b, const struct view *v, const struct view_entry *e, uint32_t walk);
bool overlay_offered(const struct build *b);                  /* a host that can show a tree copy-on-write */
bool overlay_is_root(const struct build *b);
int overlay_root_compile(struct build *b, const struct view *v, const char *cover);
int overlay_end(struct build *b);
/* A path in the root tree, layers included. */
const struct host_file *root_lookup(struct build *b, const char *path);
int root_compile(struct build *b);
int tty_compile(struct build *b);
int init_compile(struct build *b);
int rlimit_compile(struct build *b);
int creds_compile(struct build *b);
int caps_compile(struct build *b);
int cwd_compile(struct build *b, const struct view *v);
uint64_t landlock_handled(unsigned abi);                      /* every right to files that this version knows */
int landlock_compile(struct build *b, const struct view *v);
int each_thread_compile(struct build *b);                     /* enter.c: once, before the process gives up what reaches its threads */
int verify_compile(struct build *b);
int seccomp_compile(struct build *b);
int exec_compile(struct build *b, const struct view *v);
/* A process that confines itself: what can't be had in it is refused, what has no meaning there is left out. */
int enter_check(struct build *b);
int enter_choose(struct build *b);                            /* after ns_compile: here, or in a child */
void enter_flag(struct build *b);                             /* what each thread must do for itself */
bool layer_enters(const struct build *b);
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
	int output[3];              /* 1, 2: write ends of the output pipes, all above 2; else none */
	/* The launcher's own words and environment, as /proc would show them of init, its copy: cleared there. */
	struct { char *start, *end; } words, environment;
	int id_lock;                /* -1 = none */
	bool small;                 /* started by the helper: the process that goes on is yet to be cloned */
	int birth;                  /* cgroup that it is born in, -1 = the launcher's */
	int pty_slave;              /* -1 until the terminal step */
	int landlock;               /* ruleset under construction */
	unsigned loose;             /* descriptors that were left for the exec to close */
	const struct rlimit *files; /* the caller's limit of descriptors, where the launcher raised it; else NULL */
	int cow_dir;                /* the launcher's descriptor of cow-upper, -1 = none */
	int store, store_mount;     /* where changes go; what must be detached at the end; -1 = none */
	int lowers[LAYERS_MAX + 1]; /* of the overlay that comes next */
	bool lower_attached[LAYERS_MAX + 1];
	size_t lower_count;
	int launcher;               /* pidfd of the launcher's process, -1 = not followed */
	bool one_of_many;           /* a thread that follows: what all share is left alone */
	int (*fork)(void);          /* the C library's, where a program goes on that uses it; NULL = the system call */
	uint32_t cost_us;           /* processor time of set-up until now, of this process and the ones before it */
	struct hutch_error *error;
};
int child_wait_go(struct child *c);
/* Adds this process's processor time to the cost of set-up, which isn't the program's. */
int child_note_cost(struct child *c);
/* Runs the operations of one section in order. */
int child_section(struct child *c, enum plan_section s);
uint32_t child_id(const struct child *c, uint64_t id); /* the allocated id in place of its stand-in */
/* PID 1 or subreaper: never returns. */
void init_main(struct child *c, int payload, int gate) __attribute__((noreturn));
/* A descriptor that is needed no more: the exec closes it, a call less for each. */
void child_release(struct child *c, int fd);
/* Tells the launcher of c->error. */
void child_report(struct child *c);

/* Fills c->error from the operation and returns -1. */
int child_fail(struct child *c, const struct op *op, enum error_id id, int result, const char *call, const char *subject);

#endif
