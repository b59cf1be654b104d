/* Policy: keys, the mutable draft, and the frozen policy that all else is derived from.
 * Freezing is PURE: no system call but memory; what it may know of the caller is in policy_context.
 * Runs in: parent. */
#ifndef HUTCH_POLICY_H
#define HUTCH_POLICY_H

#include "base/base.h"

#define LIST 1u
#define ROOT 2u
enum key_id {
#define KEY(symbol, name, type, def, range, flags, group, help) KEY_##symbol,
#include "policy/keys.def"
#undef KEY
	KEY_COUNT
};
enum key_type { KEY_BOOL, KEY_CHOICE, KEY_COUNT_NUMBER, KEY_SIZE, KEY_TIME, KEY_STRING, KEY_PATH, KEY_NS };
struct key_row {
	const char *name;
	enum key_type type;
	const char *def, *range, *group, *help;
	unsigned flags;
};
extern const struct key_row key_rows[KEY_COUNT];
/* Key of a name, or -1; *near (may be NULL) is then the closest known name or NULL. */
int key_find(const char *name, const char **near);
/* How many edits lead from a to b (at most a small number; else UINT_MAX), for "did you mean". */
unsigned name_distance(const char *a, const char *b);
const char *key_type_name(enum key_type t);
/* Name of capability n without cap_, NULL after the last known. */
const char *capability_name(unsigned n);

/* A value's strength: what a person named is required; what a preset adds is preferred where the
 * layer allows a weaker rung. */
enum strength { STRENGTH_PREFERRED, STRENGTH_REQUIRED };

/* ---- draft ---- */
struct draft_line {
	enum key_id key;
	const char *value;
	const char *data;        /* content of a heredoc (file = DST <<WORD), else NULL */
	size_t data_len;
	const char *origin;      /* "policy.hutch:12", "argv[3]", "preset strict", "api" */
	unsigned source;         /* which file or caller it came from: twice in one source is an error */
	unsigned depth;          /* 0 = command line or api, 1 = a policy file, 2 = what it includes… smaller wins */
	enum strength strength;
	bool resolved;           /* include: its lines were taken into the draft */
};
struct draft {
	struct arena *arena;     /* holds every string */
	struct draft_line *lines;
	size_t count, cap;
	unsigned sources;
	const char **argv;       /* the command, NULL-terminated */
	size_t argc;
};
/* Appends one line; strings are copied. key names are checked here, values when frozen. */
int draft_add(struct draft *d, const char *key, const char *value, const char *origin,
	      unsigned source, unsigned depth, enum strength strength, struct hutch_error *e);
/* The same with the content of a heredoc; data is copied too. */
int draft_add_data(struct draft *d, const char *key, const char *value, const char *data, size_t data_len,
		   const char *origin, unsigned source, unsigned depth, enum strength strength,
		   struct hutch_error *e);
/* Depths above are taken as this one. */
#define DRAFT_DEPTH_MAX 64u
/* Gives way to all that a person wrote, but not to the preset that is taken when nobody names one. */
#define DRAFT_DEPTH_DEFAULT (DRAFT_DEPTH_MAX - 1)
/* A new number for draft_line.source; 0 is the api's. */
unsigned draft_source(struct draft *d);

/* What the pure freeze may know about the caller. */
struct policy_context {
	const char *cwd;              /* NULL when it was deleted */
	const char *home;             /* $HOME, absolute, or NULL */
	const char *const *environ;   /* the caller's environment */
	uint32_t uid, gid;            /* effective */
};

/* ---- frozen policy ---- */
enum ns_kind { NS_USER, NS_MNT, NS_PID, NS_NET, NS_IPC, NS_UTS, NS_CGROUP, NS_TIME, NS_KINDS };
enum ns_how { NS_NEW, NS_HOST, NS_JOIN, NS_NEVER /* user only */, NS_TRY /* user only */ };
struct policy_ns {
	enum ns_how how;
	const char *path;   /* NS_JOIN: file; pid:N becomes /proc/N/ns/KIND */
};

enum rule_kind { RULE_RO, RULE_RW, RULE_TMPFS, RULE_DIR, RULE_SYMLINK, RULE_FILE, RULE_FILE_FD, RULE_MASK, RULE_DEVICE, RULE_COW, RULE_PROTECT, RULE_HIDE };
struct path_rule {
	enum rule_kind kind;
	const char *src;         /* host path (absolute), symlink text, or NULL */
	const char *dst;         /* absolute, no "." ".." "//" or trailing "/" */
	bool optional, noexec;
	bool set, pattern;       /* hide, protect: a row of a set, dst being a path of the host; its last part holds a * */
	uint64_t size, inodes;   /* tmpfs; 0 = tmp-size, tmp-inodes */
	unsigned mode;           /* 0 = the kind's default */
	const char *data;        /* RULE_FILE */
	size_t data_len;
	int fd;                  /* RULE_FILE_FD */
	const char *origin;
	enum strength strength;
};
struct id_extent { uint32_t inside, outside, count; };
enum id_map { MAP_OWN, MAP_ROOT, MAP_AUTO, MAP_SINGLE, MAP_EXPLICIT };
struct policy_rlimit { bool given, soft_host, hard_host; uint64_t soft, hard; /* UINT64_MAX = unlimited */ };
#define RLIMIT_KINDS 16
/* Limits of a whole run that a cgroup holds. */
enum limit_kind {
	LIMIT_MEMORY, LIMIT_MEMORY_HIGH, LIMIT_MEMORY_LOW, LIMIT_MEMORY_MIN, LIMIT_SWAP, LIMIT_OOM_GROUP, LIMIT_CPUS /* thousandths */,
	LIMIT_CPU_WEIGHT, LIMIT_CPU_BURST /* microseconds */, LIMIT_CPU_IDLE, LIMIT_PIDS, LIMIT_IO_WEIGHT, LIMIT_CPUSET_CPUS,
	LIMIT_CPUSET_MEMS, LIMIT_KINDS
};
struct policy_limit { bool given; enum key_id key; uint64_t n; const char *text; };
/* io-max: name = "MAJOR:MINOR", text = "rbps=…"; cgroup-set and the keys that stand for a file of it: name = file, text = value */
struct named_limit { const char *name, *text, *origin; enum key_id key; };
enum env_kind { ENV_SET, ENV_PASS, ENV_UNSET };
struct env_rule { enum env_kind kind; const char *name, *value; const char *origin; };
enum seccomp_kind { SECCOMP_BUILTIN_DEFAULT, SECCOMP_BUILTIN_STRICT, SECCOMP_PROFILE_FILE };
struct seccomp_want { enum seccomp_kind kind; const char *path; const char *origin; };
struct port_list { bool given; uint16_t *ports; size_t count; };

struct policy {
	struct arena *arena;
	const char *const *argv;
	size_t argc;
	struct policy_context context;

	/* Where each key's value came from ("default" when nobody gave it), and how strongly. */
	const char *origin[KEY_COUNT];
	enum strength strength[KEY_COUNT];

	struct policy_ns ns[NS_KINDS];
	bool have_time_offset;
	int64_t monotonic_s, boottime_s;
	uint32_t monotonic_ns, boottime_ns;
	const char *hostname, *domainname;   /* domainname NULL = leave "(none)" */
	bool nest;

	/* files: rules sorted by dst (parents first), no two with one dst */
	bool system;
	struct path_rule *rules;
	size_t rule_count;
	const char *rootfs;
	bool rootfs_rw, chroot;              /* rootfs_rw: also where the changes stay out of it */
	bool rootfs_cow;
	const char *const *layers;           /* over rootfs, lowest first */
	size_t layer_count;
	bool git;                            /* a repository outside of the working directory is shown, if it is the one's */
	bool protect_check;                  /* names of a set that aren't there yet: looked for when the run has ended */
	const char *cow_upper;               /* NULL = in memory */
	uint64_t cow_size;
	enum { ON_EXIT_AUTO, ON_EXIT_COMMIT, ON_EXIT_DISCARD, ON_EXIT_KEEP, ON_EXIT_ASK } on_exit;
	bool host_root;                      /* the host's whole tree is the root, the rules change it */
	enum { DEV_MINIMAL, DEV_HOST, DEV_NONE } dev;
	enum { PROC_AUTO, PROC_NEW, PROC_BIND, PROC_SYNTHETIC, PROC_NONE } proc;
	bool proc_subset_pid;
	unsigned hidepid;                    /* 0 off 1 noaccess 2 invisible 4 ptraceable: the kernel's numbers */
	bool sys_ro;
	const char *machine_id;              /* 32 digits; NULL = random */
	bool machine_id_host;
	uint64_t tmp_size, tmp_inodes;
	bool home_private;
	enum { CWD_RO, CWD_RW, CWD_NONE } cwd_access;
	const char *cwd;                     /* asked for, inside; NULL = automatic */

	enum id_map map;
	uint32_t map_uid, map_gid;           /* MAP_SINGLE */
	struct id_extent *uid_extents, *gid_extents; /* MAP_EXPLICIT */
	size_t uid_extent_count, gid_extent_count;
	bool user_given;
	uint32_t user_uid, user_gid;
	bool groups_given;
	uint32_t *groups;
	size_t group_count;

	uint64_t caps;                       /* bit n = capability n */
	bool ambient;
	uint32_t securebits;
	bool no_new_privs;

	struct seccomp_want *seccomp;
	size_t seccomp_count;                /* 0 = none */
	bool compat_deny;
	enum { LANDLOCK_OFF, LANDLOCK_SCOPES, LANDLOCK_FILES } landlock;
	struct port_list tcp_connect, tcp_bind;

	struct env_rule *env;                /* in order of application */
	size_t env_count;
	bool keep_env;
	int *fds, *fds_from;                 /* numbers inside (sorted, unique) and the caller's own of each */
	size_t fd_count;
	bool fd_any_kind;
	enum { TTY_AUTO, TTY_PRIVATE, TTY_INHERIT, TTY_NONE } tty;
	bool init, die_with_launcher;
	unsigned umask;
	struct policy_rlimit rlimits[RLIMIT_KINDS]; /* index = RLIMIT_* of <sys/resource.h> */

	struct policy_limit limits[LIMIT_KINDS];
	struct named_limit *io_max, *cgroup_set;
	size_t io_max_count, cgroup_set_count;
	enum { CGROUP_AUTO, CGROUP_YES, CGROUP_NO } cgroup;
	const char *cgroup_parent;           /* NULL = the caller's own */
	bool limits_prefer;
	uint64_t wall_ms, cpu_ms, grace_ms;  /* 0 = no limit, no grace */
	bool output_limited;
	uint64_t output_max;
	const char *stdout_file, *stderr_file; /* absolute, NULL = the launcher's own descriptor */
	const char *name;                    /* in the list of runs; NULL = an id */
	bool denied_kill;                    /* a denied system call ends the run */
};

/* Checks every value and the combinations and fills *p (strings live in d->arena). PURE. */
int policy_freeze(const struct draft *d, const struct policy_context *context, struct policy *p,
		  struct hutch_error *e);

/* May a run be called so? The name is a file name, too. */
bool policy_name_valid(const char *name);
#define POLICY_NAME_MOST 64

/* Is the number inside one that the key fd gives. */
bool policy_places(const struct policy *p, int inside);
/* Does it ask for something that a cgroup could hold or count? */
bool policy_limits(const struct policy *p);
/* Most layers over a rootfs tree. */
#define LAYERS_MAX 100u
/* Directory of changes that are kept under a name; state: XDG_STATE_HOME or NULL. NULL = no home, or no memory. */
bool cow_name_valid(const char *name);
char *cow_name_path(struct arena *a, const char *state, const char *home, const char *name);

/* Text of a shipped preset ("default", "strict", "view"), NULL if there is none of that name.
 * The first comment block is its statement: what it protects from and what not. */
const char *preset_text(const char *name);
const char *preset_name(size_t index);      /* NULL after the last */

#endif
