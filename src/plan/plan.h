/* The plan: one array of concrete operations, in the order in which the child executes them, and
 * the effective table. compile() is PURE; `hutch explain` prints this very array.
 * Runs in: parent (built, printed), child (read only). */
#ifndef HUTCH_PLAN_H
#define HUTCH_PLAN_H

#include <linux/filter.h>

#include "host/host.h"
#include "policy/policy.h"

/* Sections are the steps of the spine (run/child.c), in its order. */
#define PLAN_SECTIONS(X) \
	X(JOIN, "join") X(SIGNALS, "signals") X(FDS, "descriptors") X(TIME, "clocks") X(IDENTITY, "identity") X(UTS, "host name") \
	X(NET, "network") X(SYSCTL, "sysctl") X(MOUNT, "mounts") X(ROOT, "root") X(TTY, "terminal") \
	X(INIT, "init") X(PLACE, "numbers") X(RLIMIT, "limits") X(CREDS, "credentials") X(CAPS, "capabilities") \
	X(CWD, "directory") X(LANDLOCK, "landlock") X(VERIFY, "verify") X(SECCOMP, "seccomp") X(EXEC, "exec")
enum plan_section {
#define X(symbol, text) SECTION_##symbol,
	PLAN_SECTIONS(X)
#undef X
	SECTION_COUNT
};

/* X(symbol, name as printed, printf-like form for explain)
 * In the form: %p path, %q path2, %n number[0], %m number[1], %f flags by name */
#define PLAN_OPS(X) \
	/* signals, descriptors */ \
	X(SIGNAL_DEFAULT, "signal-default") /* number[0] = signal that the caller ignored */ \
	X(FD_KEEP, "keep-fd") /* number: inside, outside, index in policy->fds */ \
	X(STDIN_READONLY, "stdin-readonly") /* path: reopen 0 through a read-only copy of its mount */ \
	X(FD_NULL, "fd-null") /* number[0] = fd of 0-2 that was closed */ \
	/* join */ \
	X(SETNS, "setns") /* number[0] = slot of plan->opened, number[1] = CLONE_NEW* */ \
	/* uts, time, net, sysctl */ \
	X(CGROUPNS, "unshare-cgroup") /* after the launcher has put us into the cgroup */ \
	X(HOSTNAME, "sethostname") X(DOMAINNAME, "setdomainname") \
	X(TIMENS, "timens-offsets") /* path = text to write */ \
	X(LOOPBACK_UP, "loopback-up") \
	X(SYSCTL, "sysctl") /* path, data = value */ \
	/* mounts; path is relative to the new root unless said otherwise */ \
	X(PRIVATE, "propagation") /* number[0] = MS_PRIVATE or MS_SLAVE */ \
	X(ROOT_TMPFS, "root-tmpfs") /* path = host directory that is covered meanwhile, data = options */ \
	X(ROOT_BIND, "root-bind") /* path = host tree that becomes the root */ \
	X(MKDIR, "mkdir") /* mode = number[0] */ \
	X(MKFILE, "mount-point") /* an empty file to mount on */ \
	X(SYMLINK, "symlink") /* path2 = text */ \
	X(WRITE, "file") /* data, mode = number[0] */ \
	X(MACHINE_ID, "machine-id") /* 32 random digits, mode = number[0] */ \
	X(WRITE_FD, "file-fd") /* number[0] = fd, number[1] = mode */ \
	X(BIND, "bind") /* path2 = host source, or opened slot; number: dev, ino vetted; attr */ \
	X(TMPFS, "tmpfs") /* data = options, attr */ \
	X(PROC, "proc") X(PROC_BIND, "proc-bind") X(DEVPTS, "devpts") X(SYSFS_BIND, "sys-bind") \
	X(ATTR, "mount-attr") /* attr set / cleared, recursive by flag */ \
	X(MASK_FILE, "mask-file") X(MASK_DIR, "mask-dir") \
	X(UNLINK, "unlink") \
	X(OVERMOUNT, "overmount") /* path2 (in our own root) is mounted over path */ \
	X(PIN, "pin") /* path becomes a mount point of itself, so that it can't be renamed */ \
	X(COPY, "copy") /* path2 = host file whose content is copied to path */ \
	X(COW_STORE, "cow-store") /* where changes go: data = tmpfs options, or path2 = host directory; number[1] = how many overlays */ \
	X(OVERLAY_LOWER, "overlay-lower") /* path2 = host tree, number: dev, ino vetted; the topmost comes first */ \
	X(OVERLAY, "overlay") /* the lowers named before it, number[0] = its place in the store, OVERLAY_RO = none */ \
	X(OVERLAY_ROOT, "overlay-root") /* the same as the new root; path = host directory that is covered meanwhile */ \
	X(COW_DETACH, "cow-detach") /* the store has no place in the tree; the overlays hold it */ \
	/* root */ \
	X(PIVOT, "pivot-root") X(CHROOT, "chroot") \
	/* terminal, init */ \
	X(PTY, "pty") X(SETSID, "setsid") X(INIT, "init") X(SUBREAPER, "subreaper") \
	/* limits, credentials, capabilities */ \
	X(RLIMIT, "rlimit") /* number: resource, soft, hard */ \
	X(UMASK, "umask") \
	X(DROP_BOUNDING, "drop-bounding") /* number[0] = mask of capabilities to drop */ \
	X(SECUREBITS, "securebits") \
	X(SETGROUPS, "setgroups") /* data = array of gid_t */ \
	X(SETGID, "setresgid") X(SETUID, "setresuid") \
	X(PDEATHSIG, "parent-death-signal") \
	X(CAPSET, "capset") /* number: permitted=effective, inheritable */ \
	X(AMBIENT, "ambient") /* number[0] = mask, raised one by one */ \
	X(NO_NEW_PRIVS, "no-new-privs") \
	/* directory, landlock, verify, filter, exec */ \
	X(CHDIR, "chdir") \
	X(LANDLOCK_RULESET, "landlock-ruleset") /* number: fs, net, scoped */ \
	X(LANDLOCK_PATH, "landlock-path") /* path, number[0] = allowed access */ \
	X(LANDLOCK_PORT, "landlock-port") /* number: port, access */ \
	X(LANDLOCK_RESTRICT, "landlock-restrict") \
	X(EACH_THREAD, "each-thread") /* number[0] = signal, number[1] = threads seen: the flagged operations, in every other thread */ \
	X(DUMPABLE, "dumpable") /* a process that goes on is given back to its own user */ \
	X(VERIFY, "verify") /* number: caps, uid, gid … what /proc/self/status must say */ \
	X(EXEC_CHECK, "program-file") /* path leads, interpreters included, through no magic link of /proc */ \
	X(SECCOMP, "seccomp") /* number[0] = index of plan->filters */ \
	X(EXEC, "exec") /* path */
enum op_kind {
#define X(symbol, name) OP_##symbol,
	PLAN_OPS(X)
#undef X
	OP_KINDS
};

#define OPF_RECURSIVE 1u   /* the attribute or bind covers submounts */
#define OPF_WALK      2u   /* path lies in a bound tree: resolve with openat2(RESOLVE_IN_ROOT), not as own skeleton */
#define OPF_OPENED    4u   /* the source is plan->opened[slot] (a detached copy made by the parent) */
#define OPF_NOVERIFY  8u   /* the source isn't compared with what was seen: nobody but root could replace it */
#define OPF_CLASSIC  16u   /* mount(2) with flags, for kernels without mount_setattr */
#define OPF_LISTEN   64u   /* the filter's listener goes to the launcher */
#define OPF_GROUP    128u  /* mount(2) alone: the attributes come with one change for a whole group */
#define OPF_EACH_THREAD 256u /* the kernel keeps it for each thread: EACH_THREAD runs it in the others */
#define OPF_NODE     32u   /* one device node: bound as it is, noexec by its file system */

struct op {
	uint16_t kind, section;
	uint32_t flags;
	uint64_t number[4];
	uint64_t attr_set, attr_clr;   /* MOUNT_ATTR_* */
	const char *path, *path2;
	const void *data;
	size_t data_len;
	const char *origin;
};

/* A descriptor that the parent opens before the clone and the child uses: "slot". */
enum opened_kind { OPENED_PATH /* O_PATH or namespace file */, OPENED_TREE /* detached copy, may be idmapped */ };
struct opened {
	enum opened_kind kind;
	const char *path;
	bool recursive, idmap;
	uint64_t attr_set;          /* OPENED_TREE: MOUNT_ATTR_* that the launcher sets */
	bool idmap_must;         /* without mapped owners it is of no use */
	uint32_t idmap_from, idmap_from_gid, idmap_to, idmap_to_gid; /* owner on disk -> owner seen through the mount */
	const char *origin;
};

/* One row of the effective table. */
enum row_state { ROW_ENFORCED, ROW_WEAKER, ROW_MISSING, ROW_OPEN /* the user asked for host */ };
struct row {
	const char *what, *asked, *got, *means, *why, *origin;
	enum row_state state;
};

/* A cgroup of the run's own in one hierarchy: the launcher makes it before the clone. */
struct cgroup_dir {
	unsigned version;
	const char *parent;         /* directory; NULL = a scope that systemd makes */
	const char *enable;         /* version 2: what the parent must enable for it first ("+memory +pids"), NULL = nothing */
	bool leave;                 /* version 2: the launcher goes to a leaf first, for then the parent may hold no process */
	uint32_t controllers;       /* bit n = enum controller n is ruled or counted here */
};
/* value NULL: what the parent's file says. */
struct cgroup_write { unsigned dir; const char *file, *value, *origin; };

/* What the launcher watches over. 0 = no limit. */
struct plan_limits {
	uint64_t wall_ms, cpu_ms, grace_ms;
	uint64_t memory;            /* the cgroup's limit, or what the stand-in watches for */
	uint64_t pids;              /* of the program: init apart */
	bool watch_memory;          /* no cgroup: the launcher adds up the processes */
	bool output_limited;
	uint64_t output_max;
	uint64_t standin_nproc, standin_data; /* rlimits in place of a cgroup */
	uint64_t standin_pid_max;   /* of the run's own pid namespace, beside the first; 0 = not set */
};

/* Which door the plan is for. */
enum plan_mode {
	PLAN_RUN,           /* a program that is started */
	PLAN_ENTER,         /* this program goes on in a child, in new namespaces; the caller becomes its supervisor */
	PLAN_ENTER_HERE,    /* this very process, all threads of it, without namespaces */
	PLAN_NARROW,        /* the same, giving up more: no policy, nothing is closed */
};
/* One tree that is shown copy-on-write: its changes are STORE/N/upper, N being its index. */
struct cow_pair {
	const char *const *lowers;     /* host trees, the topmost first */
	size_t lower_count;
	const char *dst;
	uint64_t dev, ino;             /* of lowers[0] when the plan was made */
};
#define OVERLAY_RO UINT64_MAX

/* A name that isn't there yet and must not be when the run has ended: looked for by the launcher then. */
struct late_name {
	const char *tree, *rest;    /* host directory that the program can't move, and the path below it */
	uint64_t dev, ino;          /* of the tree */
	const char *link;           /* it is there as a link with this text, which must stay; else NULL */
	const char *origin;
};

struct filter { const char *name; const struct sock_filter *words; size_t count; };

struct plan {
	struct arena *arena;
	const struct policy *policy;
	struct op *ops;
	size_t op_count, op_cap;
	size_t section_start[SECTION_COUNT + 1];
	struct opened *opened;
	size_t opened_count, opened_cap;
	struct row *rows;
	size_t row_count, row_cap;
	struct filter filters[10]; /* eight of the policy, and up to two of our own */
	size_t filter_count;

	struct late_name *late;
	size_t late_count, late_cap;

	struct cgroup_dir *cgroups;
	size_t cgroup_count, cgroup_cap;
	struct cgroup_write *cgroup_writes;
	size_t cgroup_write_count, cgroup_write_cap;
	const char *cgroup_manager; /* the scope's systemd: "user", "system"; NULL = we make the cgroups ourselves */
	bool late_cgroupns;         /* the cgroup namespace is made by the child once it is in its cgroup */
	struct plan_limits limits;
	bool relay_output[3];       /* 1, 2: through a pipe to the launcher */
	const char *output_file[3];

	enum plan_mode mode;
	bool each_thread;           /* the operation is there */
	struct { struct cow_pair *pairs; size_t count, cap, store_op; bool used; } cow;

	uint64_t clone_flags;       /* CLONE_NEW* of the child's clone3 */
	uint64_t unshare_flags;     /* after joining, or for the payload (time) */
	bool userns_new, joins;
	struct id_extent *uid_extents, *gid_extents;
	size_t uid_extent_count, gid_extent_count;
	bool map_by_helper;         /* newuidmap, newgidmap write the ranges */
	bool deny_setgroups;
	bool keep_identity;         /* root with host-root: ids and capabilities stay the caller's */
	bool allocate_id;           /* root: one unprivileged id is taken for this run; outside = HUTCH_ID_ALLOCATED */
	bool need_init, private_tty, shared_session, die_with_launcher;
	bool listed;                /* hutch ps knows of it, where an entry can be made; policy->name: it must */
	bool listen;                /* denied system calls are told to the launcher */
	bool relay_stdin;           /* stdin's file can't be reopened read-only: copied through a pipe */
	uint32_t uid, gid;          /* the payload's, inside */
	char *const *argv, *const *envp;
	const char *exec_path;      /* inside */
	const char *exec_host_path; /* the same file outside, for diagnosis; may be NULL */
};
/* Stands for the allocated id in extents until the launcher knows it. */
#define HUTCH_ID_ALLOCATED UINT32_MAX

/* PURE: same inputs, same plan. Fails with the key, its origin and the remedy when something that is
 * required can't be had on this host. */
int plan_compile(const struct policy *p, struct host *h, struct arena *a, struct plan *out, struct hutch_error *e);
/* The same for a process that confines itself; h->threads says how many threads it has. */
int plan_compile_enter(const struct policy *p, struct host *h, struct arena *a, struct plan *out, struct hutch_error *e);
void plan_print(const struct plan *p, struct text *out);       /* one line per operation, then the table */
void plan_print_json(const struct plan *p, struct text *out);
void plan_rows(const struct plan *p, struct text *out);        /* the effective table alone */
void plan_rows_json(const struct plan *p, struct text *out);   /* as a JSON array */

/* ---- for the layers' compile functions ---- */
struct build { const struct policy *policy; struct host *host; struct plan *plan; struct hutch_error *error; };
/* Appends an operation; sections must be filled in order. NULL = out of memory, error set. */
struct op *build_op(struct build *b, enum plan_section s, enum op_kind k, const char *path, const char *origin);
int build_row(struct build *b, enum row_state state, const char *what, const char *asked, const char *got,
	      const char *means, const char *why, const char *origin);
/* Index of a new slot, -1 = error. */
int build_opened(struct build *b, enum opened_kind k, const char *path, const char *origin);
#endif
