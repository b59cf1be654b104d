/* What this kernel and this caller can do. Filled by probes, or by a recorded text in tests; the
 * planner reads it and never asks the kernel itself.
 * Runs in: parent. */
#ifndef HUTCH_HOST_H
#define HUTCH_HOST_H

#include <sys/types.h>

#include "base/base.h"

enum userns_state {
	USERNS_UNKNOWN,     /* not tried (a plain run): the launch finds out and the cause is named then */
	USERNS_OK,
	USERNS_NO_LIMIT,    /* user.max_user_namespaces is 0 or used up */
	USERNS_NO_SYSCTL,   /* kernel.unprivileged_userns_clone=0 */
	USERNS_NO_APPARMOR, /* created, but its capabilities are denied (kernel.apparmor_restrict_unprivileged_userns) */
	USERNS_NO_SECCOMP,  /* a filter of the surroundings refuses clone/unshare */
	USERNS_NO_KERNEL,   /* not built in */
	USERNS_NO_CHROOT,   /* EPERM because the caller is in a chroot */
	USERNS_NO_OTHER,
};

/* Controllers of cgroups, by the hierarchy that carries them here. */
enum controller { CG_CPU, CG_CPUACCT, CG_CPUSET, CG_MEMORY, CG_PIDS, CG_IO, CG_HUGETLB, CG_RDMA, CG_MISC, CG_FREEZER, CG_CONTROLLERS };
extern const char *const host_controller_names[CG_CONTROLLERS]; /* version 2's names; version 1 calls io blkio */
struct host_cgroup {
	unsigned version;        /* of the hierarchy: 1, 2; 0 = it isn't there or not below the parent */
	const char *parent;      /* directory below which ours would be made */
	bool writable;           /* the caller may make one there and move a process into it */
	bool enabled;            /* version 2: children of the parent have this controller already */
};
/* The parent of version 2 holds processes: none, the caller alone, others. Then controllers can't be enabled. */
enum cgroup_procs { CGROUP_EMPTY, CGROUP_SELF, CGROUP_OTHERS };

/* One path of the host, looked up without changing anything. */
struct host_file {
	int errnum;              /* 0, or why there is none: ENOENT, EACCES, ELOOP, ENOTDIR */
	mode_t mode;             /* st_mode of the end of all links */
	uint64_t dev, ino, rdev;
	uint32_t uid, gid;
	const char *real;        /* canonical path on the host (a root is part of it), no link in it */
	const char *link;        /* text of the last component's own link, NULL if it isn't one */
};

/* Ids for root's runs. Above every range that Debian's adduser, systemd (DynamicUser 61184-65519, containers up to
 * 1879048191) and useradd's subordinate ranges (from 100000 on, 65536 each) give out; below 2^31 for old programs. */
#define HOST_ID_POOL_START 1900000000u
#define HOST_ID_POOL_SIZE 65536u

struct host {
	struct arena *arena;
	unsigned kernel_major, kernel_minor;
	const char *release, *machine;

	/* caller */
	uint32_t uid, euid, gid, egid;
	uint32_t *groups;
	size_t group_count;
	uint64_t cap_effective, cap_permitted, cap_bounding;
	unsigned cap_last;       /* highest capability number of this kernel */
	bool nested_root;        /* uid 0 of a user namespace that lacks the ids of our pool: an ordinary user, in effect */
	bool no_new_privs, at_secure;
	unsigned seccomp_mode;
	uint64_t sig_ignored;    /* bit n-1 = signal n is ignored */
	bool fd_open[3];         /* 0-2 */
	mode_t fd_mode[3];       /* st_mode */
	bool fd_tty[3];
	int fd_flags[3];         /* F_GETFL (O_PATH shows here); 0 for a terminal, a pipe or /dev/null */
	const char *stdin_path;  /* where stdin is a regular file and its name still leads to it, else NULL */

	/* the calling process, where it confines itself (host_probe_threads) */
	unsigned threads;        /* 0 = not asked */
	unsigned thread_signal;  /* one that every thread takes, 0 = there is none */
	unsigned thread_deaf;    /* then: a thread that blocks all */

	/* kernel interfaces that answer here (a filter may hide them) */
	bool openat2, open_tree, move_mount, fsopen, mount_setattr, clone3, close_range, pidfd;
	unsigned landlock_abi;   /* 0 = none */
	bool seccomp_filter;
	bool ns[8];              /* by enum ns_kind: this kernel has it */

	enum userns_state userns;
	bool proc_mountable;     /* a fresh procfs can be mounted in a new user and pid namespace */
	bool proc_sys_writable;  /* /proc/sys isn't mounted read-only here */
	bool proc_mounted;
	bool full;               /* the costly probes ran (check, explain); else optimistic values stand there */
	bool newuidmap, newgidmap;          /* found with what they need to work */
	const char *newuidmap_path, *newgidmap_path;
	struct { uint32_t start, count; } subuid, subgid; /* the caller's first range, count 0 = none */
	bool overlay;            /* an overlay with user.overlay attributes can be mounted in a new user namespace */
	int overlay_errno;       /* why not; 0 = not tried */
	bool tmpfs_xattr;        /* user attributes on tmpfs (6.6) */
	bool yama, apparmor, selinux;
	const char *lsm;
	const char *container;   /* "docker", "podman", "systemd-nspawn", "lxc", NULL */
	int cgroup_version;      /* 0 none, 1, 2, 3 = hybrid */

	/* host_probe_cgroups */
	struct host_cgroup cgroup[CG_CONTROLLERS];
	struct host_cgroup cgroup2;          /* the version 2 hierarchy itself: accounting, kill, freeze; version 0 = none */
	enum cgroup_procs cgroup2_procs;
	bool swap_limit;                     /* the kernel counts swap */
	const char *cgroup_manager;          /* "user", "system": a systemd that can be asked for a scope; NULL = none */
	const char *scope_helper;            /* our program that asks it; NULL = not installed */
	bool pid_max_own;                    /* host_probe_pid_max: kernel.pid_max is each pid namespace's own */

	/* Pure for the planner: live it asks the file system, recorded it looks into a table. Never NULL.
	 * Result lives in host->arena. relative to root: NULL, or a rootfs directory that the path stays inside. */
	const struct host_file *(*lookup)(struct host *h, const char *root, const char *path);
	/* The path itself, not what it links to: one call where only a link's text matters. */
	const struct host_file *(*peek)(struct host *h, const char *path);
	/* Mount points at or below path (for kernels without recursive attributes), NULL-terminated array. */
	const char *const *(*submounts)(struct host *h, const char *path);
	/* Names in a canonical directory, NULL-terminated and sorted. NULL = it can't be read, or out of memory. */
	const char *const *(*list)(struct host *h, const char *path);
	/* Where a canonical path lies: device and path in its file system. Two names of one place give one text; what is
	 * below a directory begins with the directory's text and a slash. NULL = out of memory. */
	const char *(*locate)(struct host *h, const char *path);
	/* Content of a small text file, NULL = there is none that can be read, or it is larger than 64 KiB. Not kept. */
	const char *(*text)(struct host *h, const char *path);
	void *lookup_data, *mount_data;
};

/* Cheap facts for a plain run: a handful of system calls, userns stays UNKNOWN. */
int host_probe(struct host *h, struct arena *a, struct hutch_error *e);
/* All facts, including those that fork and try (explain, check, diagnosis). */
int host_probe_full(struct host *h, struct arena *a, struct hutch_error *e);
/* How many threads the calling process has, and by which signal each can be reached. */
int host_probe_threads(struct host *h, struct hutch_error *e);
/* The caller's subordinate id ranges and the helpers newuidmap, newgidmap: for a plain run with map=auto. */
void host_probe_ids(struct host *h);
/* Where a cgroup of the run's own can be made: below parent (NULL = the caller's own one; a name from the top of each
 * hierarchy, a directory, or /proc/self/fd/N). For a run that wants limits. */
void host_probe_cgroups(struct host *h, const char *parent);
/* Looks at kernel.pid_max in a pid namespace of a child, and writes nothing: for a run whose processes no cgroup counts. */
void host_probe_pid_max(struct host *h);
/* Tries overlay in a child: for a plain run that asks for copy-on-write or layers. */
void host_probe_overlay(struct host *h);
/* Refuses what no plan can work with: raised privileges (AT_SECURE), a kernel below 5.10. */
int host_require(const struct host *h, struct hutch_error *e);
/* Recorded facts (tests/golden/hosts/NAME.host): "key = value" lines and "file PATH TYPE …" lines. */
int host_load(struct host *h, struct arena *a, const char *text, struct hutch_error *e);
int host_record(const struct host *h, const char *const *paths, struct text *out);

/* Given a failed set-up step, names cause and remedy from the causes table: rewrites detail and remedy of *e. */
void host_explain(struct hutch_error *e);
/* The text (json: one object) of `hutch check`: each facility, offered or not, what its lack costs, the remedy. */
int host_check(struct text *out, bool json, struct hutch_error *e);
/* Why execve said ENOENT or EACCES though the file exists: missing interpreter, "#!" line, noexec… */
void host_explain_exec(const char *host_path, int errnum, struct hutch_error *e);

#endif
