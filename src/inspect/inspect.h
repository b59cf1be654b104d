/* The report of one process: what it can see and do. One flat struct without pointers, so that
 * `hutch demo` can take it through a pipe from another process of the same binary.
 * Runs in: any. */
#ifndef HUTCH_INSPECT_H
#define HUTCH_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define REPORT_MAGIC 0x68757463u
#define SEEN_MAX 128
#define UNKNOWN_ID UINT32_MAX

/* In all lists: errnum = why it could not be read (0 = it could), total = how many there are,
 * kept = how many of them are in the array. */
struct seen_names { int32_t errnum; uint32_t total, kept; char name[SEEN_MAX][64]; };
struct seen_process { int32_t pid; char name[32]; };
struct seen_interface {
	char name[16];
	uint32_t up, loopback, total, kept;
	char address[8][64];
};
struct seen_fd { int32_t fd, access /* O_RDONLY, O_WRONLY, O_RDWR, O_PATH */; char what[192]; };
enum mount_flag { MOUNT_RO = 1, MOUNT_NOSUID = 2, MOUNT_NODEV = 4, MOUNT_NOEXEC = 8 };
struct seen_mount { uint32_t flags; char target[256], type[32]; };
struct seen_extent { uint32_t inside, outside, count; };
struct seen_map { int32_t errnum; uint32_t total, kept; struct seen_extent extent[8]; };

enum cap_set { CAPS_EFFECTIVE, CAPS_PERMITTED, CAPS_INHERITABLE, CAPS_BOUNDING, CAPS_AMBIENT, CAP_SETS };
#define NAMESPACES 8
extern const char *const namespace_names[NAMESPACES];
#define LIMITS 16
struct limit_name { const char *name; bool bytes; };
extern const struct limit_name limit_names[LIMITS];

enum memory_end { MEMORY_BOUND, MEMORY_REFUSED, MEMORY_KILLED, MEMORY_UNTRIED };
struct seen_memory {
	uint32_t end;
	int32_t errnum, signal;
	uint32_t bound, reached; /* MiB */
};

struct report {
	uint32_t magic, size;

	uint32_t uid[4], gid[4]; /* real, effective, saved, fs */
	struct { int32_t errnum; uint32_t total, kept, id[64]; } groups;
	int32_t pid, ppid, session;

	int32_t caps_errnum;
	uint32_t cap_count;      /* capabilities that this kernel knows */
	uint64_t caps[CAP_SETS];
	int32_t no_new_privs, seccomp, securebits; /* < 0 = -errno */
	int32_t filters;         /* < 0 = unknown */
	struct seen_map uid_map, gid_map;
	uint64_t ns[NAMESPACES]; /* 0 = can't be seen */

	struct seen_names root, env, shared;
	char shared_path[256];   /* "" = none was named */
	int32_t create_errnum;   /* of a file in it: 0 = could be made */

	struct { int32_t errnum; uint32_t total, kept; struct seen_process p[SEEN_MAX]; } processes;
	struct { int32_t errnum; uint32_t total, kept; struct seen_interface i[32]; } interfaces;
	struct { int32_t errnum; uint32_t total, kept; struct seen_fd f[SEEN_MAX]; } fds;
	struct { int32_t errnum; uint32_t total, kept; struct seen_mount m[256]; } mounts;

	char host_name[65], domain_name[65], kernel[65];
	struct { int32_t errnum; uint64_t soft, hard; } limit[LIMITS]; /* UINT64_MAX = unlimited */
	struct seen_memory memory;
};

struct inspect_options {
	unsigned alloc_mib;
	const char *dir;
	bool try_create; /* make and remove a named file in dir: for a directory of our own */
};
void report_collect(struct report *r, const struct inspect_options *o);

/* Parts of collecting, one file each. */
void collect_fds(struct report *r);
void collect_files(struct report *r, const struct inspect_options *o);
void collect_processes(struct report *r);
void collect_mounts(struct report *r);
void collect_interfaces(struct report *r);
void collect_memory(struct seen_memory *m, unsigned bound_mib);

/* ---- pure ---- */
/* One line of /proc/self/mountinfo. false = not such a line. */
bool decode_mount(const char *line, struct seen_mount *out);
bool decode_extent(const char *line, struct seen_extent *out);
/* Bounded copy, cut with "..." where it's too long. */
void copy_name(char *to, size_t size, const char *from);
/* Adds a name unless full; counts it in any case. */
void add_name(struct seen_names *n, const char *name);
void sort_names(struct seen_names *n);
/* Is this, as it came through a pipe, a report: sizes, counts and strings are in their bounds. */
bool report_valid(const struct report *r);
/* Id outside that an id of this namespace is, UNKNOWN_ID if it's mapped nowhere. */
uint32_t map_outside(const struct seen_map *m, uint32_t inside);
/* Bytes of the valid UTF-8 character at s that is safe to show, 0 = none. */
size_t utf8_safe(const char *s);

/* ---- as rows of text: what inspect and demo print ---- */
enum row_id {
	ROW_USER, ROW_GROUP, ROW_GROUPS, ROW_UID_MAP, ROW_GID_MAP,
	ROW_EFFECTIVE, ROW_PERMITTED, ROW_INHERITABLE, ROW_BOUNDING, ROW_AMBIENT,
	ROW_NO_NEW_PRIVS, ROW_SECCOMP, ROW_SECUREBITS,
	ROW_PROCESS, ROW_PROCESSES,
	ROW_ROOT, ROW_SHARED, ROW_CREATE, ROW_MOUNTS,
	ROW_INTERFACES, ROW_HOST_NAME, ROW_DOMAIN,
	ROW_ENV, ROW_FDS,
	ROW_NAMESPACES, ROW_LIMITS, ROW_MEMORY,
	ROWS
};
enum row_form { FORM_WORDS /* items flow, ", " between */, FORM_LINES /* one a line */ };
struct row {
	const char *section, *label;
	enum row_form form;
	char *head;          /* before the items: a count, or NULL */
	char **items;
	size_t count;
	unsigned more;       /* items that the report has no room for */
};
struct rows { struct row row[ROWS]; bool failed; };
/* wide: columns within the items are aligned. */
void rows_make(struct rows *rows, const struct report *r, bool wide);
void rows_free(struct rows *rows);

/* A cell's lines, wrapped to width; at most max lines (0 = all), the rest is counted in the last. */
struct lines { char **line; size_t count; bool failed; };
void lines_make(struct lines *l, const struct row *row, size_t width, size_t max);
void lines_free(struct lines *l);
size_t text_columns(const char *s);

int print_text(FILE *f, const struct report *r, size_t width, bool colour);
int print_json(FILE *f, const struct report *r);

/* The sub-command. */
int inspect_main(int argc, char *const argv[]);

#endif
