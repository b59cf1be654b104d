/* What the files of src/host share: parsers that tests call with a text, the path table, the trial.
 * Runs in: parent. */
#ifndef HUTCH_HOST_INTERNAL_H
#define HUTCH_HOST_INTERNAL_H

#include "host/host.h"

/* Same order as enum ns_kind of policy.h, which this layer must not include. */
#define HOST_NS_KINDS 8
extern const char *const host_ns_names[HOST_NS_KINDS];

/* ---- texts of the kernel and of /etc; pure ---- */
/* Fills the caller's part of *h from /proc/self/status. Bits of STATUS_* tell what the text had. */
#define STATUS_IDS 1u
#define STATUS_CAPS 2u
#define STATUS_SIGNALS 4u
#define STATUS_SECCOMP 8u
#define STATUS_NNP 16u
#define STATUS_GROUPS 32u
unsigned host_parse_status(struct host *h, const char *text);
bool host_parse_release(const char *release, unsigned *major, unsigned *minor);
/* First range of the user: lines name:start:count; by name (may be NULL) or by number. */
struct host_range { uint32_t start, count; };
struct host_range host_parse_subid(const char *text, const char *name, uint32_t id);
/* Name of a user id out of the text of /etc/passwd; the line's length in *len. NULL = not there. */
const char *host_parse_passwd(const char *text, uint32_t uid, size_t *len);
int host_parse_cgroup_version(const char *mountinfo);
const char *host_parse_container(const char *cgroup);
/* Directories of the hierarchies for one caller, out of /proc/self/cgroup and mountinfo; fills version and parent only. */
void host_parse_cgroups(struct host *h, const char *cgroup, const char *mountinfo, const char *parent);
/* Undoes the \040 escapes of mountinfo in place. */
void host_unescape(char *s);
/* Reads a small file of the system whole; NUL-terminated in the arena. NULL = it can't be read. */
char *host_read_file(struct arena *a, const char *path, size_t *len);
/* Number in a one-number file, -1 = no such file. */
long host_read_number(const char *path);
/* Decides from the errno of unshare(CLONE_NEWUSER) or of what came after it; pure. */
struct userns_facts {
	int unshare_errno, later_errno;  /* 0 = went well */
	long max_namespaces;             /* -1 = unknown, as below */
	long unprivileged_clone;
	long apparmor_restrict;
	unsigned seccomp_mode;
	bool apparmor, chrooted, privileged;
};
enum userns_state host_classify_userns(const struct userns_facts *f);
const char *host_userns_name(enum userns_state s);
/* No line for "/" means that the caller's root isn't the root of its mount namespace. */
bool host_parse_chrooted(const char *mountinfo);

/* ---- the trial: a child that tries what a launch does ---- */
enum trial_step { TRIAL_USERNS, TRIAL_MAP, TRIAL_MNTNS, TRIAL_TMPFS, TRIAL_NETNS, TRIAL_LOOPBACK, TRIAL_PIDNS, TRIAL_PROC, TRIAL_API, TRIAL_STEPS };
extern const char *const host_trial_names[TRIAL_STEPS];
struct trial {
	int32_t errnum[TRIAL_STEPS];     /* 0 = went well, -1 = not reached */
	uint8_t move_mount, fsopen;      /* TRIAL_API: the calls answer with capabilities held */
};
/* 0, or -1 when no child could be had. */
int host_trial(const struct host *h, struct trial *t, struct hutch_error *e);
/* In a child that has just made a user namespace: its one id, by hand. 0 or -errno. */
int host_map_self(uint32_t uid, uint32_t gid);
void host_trial_facts(struct host *h, struct trial *t, struct userns_facts *f);

/* ---- diagnosis ---- */
struct symptoms {
	const struct host *host;
	const struct trial *trial;
	const struct userns_facts *facts;
	const char *self;                /* path of the running program, for an AppArmor profile; may be NULL */
};
/* The pure part of host_explain. Returns the name of the cause, NULL when none fits (then *e is as before). */
const char *host_explain_with(const struct symptoms *s, struct hutch_error *e);
/* Remedy for what keeps user namespaces away, "" if nothing does. Text lives in the arena or is constant. */
const char *host_userns_remedy(struct arena *a, enum userns_state state, const char *self);
const char *host_userns_cause(enum userns_state state);

void host_check_with(const struct host *h, const struct trial *t, const char *self, struct arena *a, bool json, struct text *out);

enum program_kind { PROGRAM_EMPTY, PROGRAM_ELF, PROGRAM_SCRIPT, PROGRAM_WINDOWS, PROGRAM_OTHER };
struct program {
	enum program_kind kind;
	bool carriage_return;            /* the interpreter's name ends with \r */
	bool foreign_order, text;        /* other byte order; no binary bytes in what was read */
	unsigned bits, machine;          /* ELF: 32 or 64, EM_* */
	char interpreter[256];           /* "" = none: static, or a script's line without one */
};
void host_parse_program(const unsigned char *bytes, size_t len, struct program *p);
const char *host_machine_name(unsigned machine); /* NULL = unknown */

/* ---- paths ---- */
int host_lookup_live(struct host *h);
int host_lookup_table(struct host *h);
/* Adds a path to the table of a loaded host. f->real is not used. */
int host_table_add(struct host *h, const char *path, const struct host_file *f);
int host_table_mount(struct host *h, const char *path);
/* Sets submounts and locate of *h. */
int host_mounts_new(struct host *h, bool live);

#endif
