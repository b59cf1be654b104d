/* Mounts into and out of a run that is there, with no right but those of the user who started it.
 *
 * An ordinary user may copy mounts only in a mount namespace that a user namespace of theirs owns, and attach them only
 * from within that one: so a process of ours enters the run's user namespace, makes a mount namespace of its own there,
 * which still shows the host's tree, copies the source in it, and only then enters the run's mount namespace.
 * Runs in: parent (and, behind enter(), in a process of its own: no heap, no stdio). */
#include "lib/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

#define TMPFS 0x01021994ul
#define PROCFS 0x9fa0ul
#define HOST_TMPFS_MOST 256
#define SECBIT_NO_SETUID_FIXUP_BIT 4u
#define STATX_MOUNT_ID 0x1000u

/* All that the process needs, looked up before it is made. */
struct work {
	const struct hutch_entry *entry;
	int program;              /* pidfd of the program: init lets nobody in */
	int root;                 /* its root directory */
	int own_fds;              /* "/proc/self/fd" of the process itself, made there */
	bool userns;              /* it has a user namespace of its own */
	uint32_t uid, gid;        /* a mapped identity inside, for what is made there */
	const char *source, *at;
	struct stat source_stat;
	int tree;                 /* made by root before, -1 = by the process */
	bool read_only;
	uint64_t id;              /* umount: of the mount that is meant */
	dev_t host_tmpfs[HOST_TMPFS_MOST];
	size_t host_tmpfs_count;  /* beyond the most: nothing counts as the run's own */
	int out;
};
/* What comes back. */
struct outcome { uint32_t error; int32_t errnum; char call[24]; uint64_t id; };

static int tell(struct work *w, enum error_id error, int result, const char *call)
{
	struct outcome o = { .error = error, .errnum = result < 0 ? -result : 0 };

	copy_bounded(o.call, sizeof o.call, call);
	sys_write(w->out, &o, sizeof o);
	return -1;
}

/* ---- in the process ---- */
static int mount_id(int fd, uint64_t *id)
{
	struct { uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, pad; uint64_t ino, size, blocks, attributes_mask;
		 int64_t times[8]; uint32_t dev[4]; uint64_t mnt_id; uint64_t spare[16]; } x;
	int r = (int)SYS5(SYS_statx, fd, "", U_AT_EMPTY_PATH, STATX_MOUNT_ID, &x);

	if (r == 0 && !(x.mask & STATX_MOUNT_ID))
		r = -EOPNOTSUPP;
	*id = x.mnt_id;
	return r;
}

static int enter_user(struct work *w)
{
	int r = 0;

	if (!w->userns)
		return 0;
	r = sys_setns(w->program, CLONE_NEWUSER);
	if (r < 0)
		return tell(w, ERR_ENTRY_ENTER, r, "setns");
	/* What is made inside needs an owner that is mapped there; the rights stay. */
	sys_prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP_BIT, 0, 0, 0);
	r = sys_setresgid(w->gid, w->gid, w->gid);
	if (r == 0)
		r = sys_setresuid(w->uid, w->uid, w->uid);
	return r < 0 ? tell(w, ERR_ENTRY_ENTER, r, "setresuid") : 0;
}

/* The same file as was looked at before: the path is walked a second time. */
static int copy_source(struct work *w)
{
	struct stat st;
	int r = sys_unshare(CLONE_NEWNS);

	if (r < 0)
		return tell(w, ERR_ENTRY_ENTER, r, "unshare");
	w->tree = sys_open_tree(AT_FDCWD, w->source, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC | (S_ISDIR(w->source_stat.st_mode) ? U_AT_RECURSIVE : 0));
	if (w->tree < 0)
		return tell(w, ERR_ENTRY_MOUNT_SOURCE, w->tree, "open_tree");
	if (fstat(w->tree, &st) < 0 || st.st_dev != w->source_stat.st_dev || st.st_ino != w->source_stat.st_ino)
		return tell(w, ERR_ENTRY_MOUNT_SOURCE, -ESTALE, "fstat");
	return 0;
}

/* Before it is attached: there is no moment without them. */
static int restrict_tree(struct work *w)
{
	struct u_mount_attr a = { .attr_set = U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV | (w->read_only ? U_MOUNT_ATTR_RDONLY : 0), .propagation = 1u << 18 /* MS_PRIVATE */ };
	int r = sys_mount_setattr(w->tree, "", U_AT_EMPTY_PATH | U_AT_RECURSIVE, &a);

	return r < 0 ? tell(w, ERR_ENTRY_MOUNT, r, "mount_setattr") : 0;
}

static int walk(const struct work *w, const char *path, unsigned flags)
{
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC | flags, .resolve = U_RESOLVE_IN_ROOT | U_RESOLVE_NO_SYMLINKS | U_RESOLVE_NO_MAGICLINKS };

	return sys_openat2(w->root, path, &how);
}

/* A file system in memory that the host doesn't show anywhere: the run's own, so nothing of the host is changed. */
static bool is_private(const struct work *w, int fd)
{
	struct stat st;
	struct statfs fs;

	if (w->host_tmpfs_count > HOST_TMPFS_MOST || fstatfs(fd, &fs) < 0 || (unsigned long)fs.f_type != TMPFS || fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < w->host_tmpfs_count; i++) {
		if (w->host_tmpfs[i] == st.st_dev)
			return false;
	}
	return true;
}

static int make_point(struct work *w)
{
	char parent[4096];
	const char *name = strrchr(w->at, '/') + 1;
	size_t n = (size_t)(name - w->at);
	int dir, r;

	memcpy(parent, w->at, n);
	parent[n] = '\0';
	dir = walk(w, parent, O_DIRECTORY);
	if (dir < 0)
		return dir;
	if (!is_private(w, dir)) {
		sys_close(dir);
		return -ENOENT;
	}
	r = S_ISDIR(w->source_stat.st_mode) ? sys_mkdirat(dir, name, 0755) : sys_mknodat(dir, name, S_IFREG | 0644, 0);
	sys_close(dir);
	return r;
}

static int attach(struct work *w, struct outcome *o)
{
	int at = walk(w, w->at, 0), r;

	if (at == -ENOENT) {
		r = make_point(w);
		if (r < 0)
			return tell(w, ERR_ENTRY_MOUNT, r, "openat2");
		at = walk(w, w->at, 0);
	}
	if (at < 0)
		return tell(w, ERR_ENTRY_MOUNT, at, "openat2");
	r = sys_move_mount(w->tree, "", at, "", U_MOVE_MOUNT_F_EMPTY_PATH | U_MOVE_MOUNT_T_EMPTY_PATH);
	if (r < 0)
		return tell(w, ERR_ENTRY_MOUNT, r, "move_mount");
	r = mount_id(w->tree, &o->id);
	return r < 0 ? tell(w, ERR_ENTRY_MOUNT, r, "statx") : 0;
}

/* By descriptor: a name would be walked once more, and might then lead to something else. */
static int detach(struct work *w)
{
	char name[32], digits[12];
	int at = walk(w, w->at, 0), r, n = 0;
	uint64_t id;

	if (at < 0)
		return tell(w, ERR_ENTRY_UMOUNT, at, "openat2");
	r = mount_id(at, &id);
	if (r < 0 || id != w->id)
		return tell(w, ERR_ENTRY_UMOUNT, r < 0 ? r : -EINVAL, "statx");
	for (int rest = at; rest || !n; rest /= 10)
		digits[n++] = (char)('0' + rest % 10);
	for (int i = 0; i < n; i++)
		name[i] = digits[n - 1 - i];
	name[n] = '\0';
	r = sys_fchdir(w->own_fds);
	if (r == 0)
		r = sys_umount2(name, MNT_DETACH);
	return r < 0 ? tell(w, ERR_ENTRY_UMOUNT, r, "umount2") : 0;
}

static void work_inside(struct work *w) __attribute__((noreturn));
static void work_inside(struct work *w)
{
	struct outcome o = { 0 };
	bool mounts = w->source != NULL;
	int r;

	w->own_fds = sys_openat(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	/* A tree that root has copied needs the rights of outside; one that is copied inside gets them there. */
	if (mounts && w->tree >= 0 && restrict_tree(w) < 0)
		sys_exit(1);
	if (enter_user(w) < 0 || (mounts && w->tree < 0 && (copy_source(w) < 0 || restrict_tree(w) < 0)))
		sys_exit(1);
	r = sys_setns(w->program, CLONE_NEWNS);
	if (r < 0) {
		tell(w, ERR_ENTRY_ENTER, r, "setns");
		sys_exit(1);
	}
	if ((mounts ? attach(w, &o) : detach(w)) < 0)
		sys_exit(1);
	sys_write(w->out, &o, sizeof o);
	sys_exit(0);
}

/* ---- before it ---- */
/* Inside number of an outside one, by the lines "inside outside count" of an id map. */
static int mapped(int proc, const char *file, uint32_t outside, uint32_t *inside)
{
	char text[4096], *at = text, *end;

	if (entry_read(proc, file, text, sizeof text) <= 0)
		return -1;
	while (*at) {
		unsigned long in = strtoul(at, &end, 10), out = strtoul(end, &end, 10), count = strtoul(end, &end, 10);
		if (end == at)
			return -1;
		if (outside >= out && outside - out < count) {
			*inside = (uint32_t)(in + (outside - out));
			return 0;
		}
		at = end + strspn(end, "\n");
	}
	return -1;
}

/* The ids that the program has now, seen from here. */
static int ids_of(int proc, uint32_t *uid, uint32_t *gid)
{
	char text[4096];
	const char *u, *g;

	if (entry_read(proc, "status", text, sizeof text) <= 0 || !(u = strstr(text, "\nUid:")) || !(g = strstr(text, "\nGid:")))
		return -1;
	*uid = (uint32_t)strtoul(u + 5, NULL, 10);
	*gid = (uint32_t)strtoul(g + 5, NULL, 10);
	return 0;
}

/* Another one than ours? -1 = it can't be told. */
static int differs(int proc, const char *file)
{
	char own[64];
	struct stat theirs, ours;

	snprintf(own, sizeof own, "/proc/self/%s", file);
	if (fstatat(proc, file, &theirs, 0) < 0 || stat(own, &ours) < 0)
		return -1;
	return theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev;
}

/* Not the mounts of the host under any circumstances; the identity that counts inside; its root. */
static int look_inside(struct work *w, int proc, uint32_t *uid, uint32_t *gid, struct hutch_error *e)
{
	int mounts = differs(proc, "ns/mnt"), user = differs(proc, "ns/user");

	if (mounts == 0)
		return error_set(e, ERR_ENTRY_NO_MOUNTS, 0, NULL, w->entry->file, NULL);
	if (mounts < 0 || user < 0)
		return error_set(e, ERR_ENTRY_ENTER, errno, "stat", w->entry->file, NULL);
	w->userns = user;
	w->root = openat(proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (w->root < 0)
		return error_set(e, ERR_ENTRY_ENTER, errno, "open", w->entry->file, NULL);
	if (ids_of(proc, uid, gid) < 0 || (user && (mapped(proc, "uid_map", *uid, &w->uid) < 0 || mapped(proc, "gid_map", *gid, &w->gid) < 0)))
		return error_set(e, ERR_ENTRY_ENTER, errno, "read", "its ids in /proc", NULL);
	return 0;
}

static int find_program(struct work *w, uint32_t *uid, uint32_t *gid, struct hutch_error *e)
{
	char path[32];
	struct process p;
	pid_t pid = process_program(w->entry);
	int proc, r = -1;

	w->program = pid ? sys_pidfd_open(pid, 0) : -1;
	if (w->program < 0 || process_look(pid, &p) < 0 || (pid != w->entry->text.first && p.parent != w->entry->text.first))
		return error_set(e, ERR_ENTRY_NONE, 0, NULL, w->entry->file, NULL);
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc >= 0) {
		r = look_inside(w, proc, uid, gid, e);
		close(proc);
	} else {
		error_set(e, ERR_ENTRY_ENTER, errno, "open", path, NULL);
	}
	/* All of that was of this process, if it still lives. */
	if (r == 0 && !process_lives(w->program))
		return error_set(e, ERR_ENTRY_NONE, 0, NULL, w->entry->file, NULL);
	return r;
}

static void note_host_tmpfs(struct work *w)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		unsigned major, minor;
		const char *type = strstr(line, " - tmpfs ");
		if (!type || sscanf(line, "%*d %*d %u:%u", &major, &minor) != 2)
			continue;
		if (w->host_tmpfs_count < HOST_TMPFS_MOST)
			w->host_tmpfs[w->host_tmpfs_count] = makedev(major, minor);
		w->host_tmpfs_count++;
	}
	if (!f)
		w->host_tmpfs_count = HOST_TMPFS_MOST + 1;
	free(line);
	if (f)
		fclose(f);
}

/* Directories and files; what shows processes is a way out, and what somebody may have linked isn't made writable. */
static int vet_source(struct work *w, struct hutch_error *e)
{
	int fd = open(w->source, O_PATH | O_CLOEXEC | (w->read_only ? 0 : O_NOFOLLOW));
	struct statfs fs;
	const char *bad = NULL;

	if (fd < 0 || fstat(fd, &w->source_stat) < 0 || fstatfs(fd, &fs) < 0) {
		error_set(e, ERR_ENTRY_MOUNT_SOURCE, errno, "open", w->source, NULL);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	if (S_ISLNK(w->source_stat.st_mode))
		bad = "it is a symbolic link";
	else if (!S_ISDIR(w->source_stat.st_mode) && !S_ISREG(w->source_stat.st_mode))
		bad = "it is neither a directory nor a regular file";
	else if ((unsigned long)fs.f_type == PROCFS)
		bad = "it is a file of /proc";
	if (!bad)
		return 0;
	error_set(e, ERR_ENTRY_MOUNT_SOURCE, 0, NULL, w->source, NULL);
	return error_detail(e, "%s", bad);
}

/* Root copies the source out here, where it can reach it, and its files look like the program's own, as at a launch. */
static int copy_as_root(struct work *w, uint32_t uid, uint32_t gid, struct hutch_error *e)
{
	struct opened o = {
		.kind = OPENED_TREE, .path = w->source, .recursive = S_ISDIR(w->source_stat.st_mode), .idmap = w->userns && uid != geteuid(),
		.idmap_from = geteuid(), .idmap_from_gid = getegid(), .idmap_to = uid, .idmap_to_gid = gid,
	};
	struct mapper m = { 0 };
	struct stat st;

	w->tree = source_open(&m, &o, 0, e);
	mapper_done(&m);
	if (w->tree < 0)
		return -1;
	if (fstat(w->tree, &st) == 0 && st.st_dev == w->source_stat.st_dev && st.st_ino == w->source_stat.st_ino)
		return 0;
	return error_set(e, ERR_ENTRY_MOUNT_SOURCE, ESTALE, "fstat", w->source, NULL);
}

static int run_work(struct work *w, struct outcome *o, struct hutch_error *e)
{
	struct u_clone_args a = { .exit_signal = SIGCHLD };
	int out[2], pid;
	ssize_t n;

	if (pipe2(out, O_CLOEXEC) < 0)
		return error_set(e, ERR_ENTRY_ENTER, errno, "pipe2", w->entry->file, NULL);
	w->out = out[1];
	pid = sys_clone3(&a);
	if (pid == -ENOSYS || pid == -EPERM)
		pid = (int)SYS5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		work_inside(w);
	close(out[1]);
	n = pid < 0 ? -1 : read(out[0], o, sizeof *o);
	close(out[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (n != (ssize_t)sizeof *o)
		return error_set(e, ERR_ENTRY_ENTER, pid < 0 ? -pid : 0, "clone", w->entry->file, NULL);
	if (!o->error)
		return 0;
	o->call[sizeof o->call - 1] = '\0';
	return error_set(e, (enum error_id)o->error, o->errnum, o->call,
			 o->error == ERR_ENTRY_ENTER ? w->entry->file : o->error == ERR_ENTRY_MOUNT_SOURCE ? w->source : w->at, NULL);
}

/* ---- what was done, in the entry ---- */
static int note(const struct hutch_entry *n, const char *key, uint64_t id, const char *at, struct hutch_error *e)
{
	char path[32];
	struct text t;
	int fd;
	bool done;

	text_init(&t);
	text_printf(&t, "%s %llu ", key, (unsigned long long)id);
	entry_escape(&t, at, SIZE_MAX);
	text_printf(&t, "\n");
	sys_fd_path(path, n->fd);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	done = fd >= 0 && !t.failed && write(fd, t.s, t.len) == (ssize_t)t.len;
	if (fd >= 0)
		close(fd);
	text_done(&t);
	return done ? 0 : error_set(e, ERR_ENTRY_WRITE, errno, "write", n->file, NULL);
}

static bool plain_path(const char *at)
{
	size_t n = strlen(at);

	return at[0] == '/' && n > 1 && n < 4000 && at[n - 1] != '/' && !strstr(at, "//") && !strstr(at, "/./") && !strstr(at, "/../") &&
	       strcmp(at + n - 2, "/.") && (n < 3 || strcmp(at + n - 3, "/.."));
}

static int check_place(const hutch_entry *n, const char *at, struct hutch_error *e)
{
	struct stat st;

	if (!plain_path(at)) {
		error_set(e, ERR_ENTRY_MOUNT, 0, NULL, at, NULL);
		return error_detail(e, "it isn't a plain absolute path inside, without . or .. and below the root");
	}
	if (n->text.mount_count == ENTRY_MOUNTS || fstat(n->fd, &st) < 0 || (size_t)st.st_size + 3 * strlen(at) + 40 > ENTRY_MOST) {
		error_set(e, ERR_ENTRY_MOUNT, 0, NULL, at, NULL);
		return error_detail(e, "its entry is full: at most %d mounts are kept account of", ENTRY_MOUNTS);
	}
	return 0;
}

static void work_done(struct work *w)
{
	int fds[] = { w->program, w->root, w->tree };

	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(w);
}

static struct work *work_new(const hutch_entry *n, const char *at)
{
	struct work *w = calloc(1, sizeof *w);

	if (w) {
		w->entry = n;
		w->at = at;
		w->program = w->root = w->tree = w->own_fds = -1;
	}
	return w;
}

int hutch_entry_mount(hutch_entry *n, const char *source, const char *at, bool read_only, struct hutch_error *e)
{
	struct work *w;
	struct outcome o = { 0 };
	uint32_t uid = 0, gid = 0;
	int r;

	if (check_place(n, at, e) < 0)
		return -1;
	w = work_new(n, at);
	if (!w)
		return error_nomem(e);
	w->source = source;
	w->read_only = read_only;
	note_host_tmpfs(w);
	r = find_program(w, &uid, &gid, e) < 0 || vet_source(w, e) < 0 ? -1 : 0;
	if (r == 0 && geteuid() == 0)
		r = copy_as_root(w, uid, gid, e);
	if (r == 0)
		r = run_work(w, &o, e);
	if (r == 0)
		r = note(n, "mount", o.id, at, e);
	work_done(w);
	return r;
}

int hutch_entry_umount(hutch_entry *n, const char *at, struct hutch_error *e)
{
	size_t i = n->text.mount_count;
	struct work *w;
	struct outcome o = { 0 };
	uint32_t uid, gid;
	int r;

	while (i && strcmp(n->text.mounts[i - 1].at, at))
		i--;
	if (!i)
		return error_set(e, ERR_ENTRY_UMOUNT, 0, NULL, at, NULL);
	w = work_new(n, at);
	if (!w)
		return error_nomem(e);
	w->id = n->text.mounts[i - 1].id;
	r = find_program(w, &uid, &gid, e) < 0 ? -1 : run_work(w, &o, e);
	if (r == 0)
		r = note(n, "umount", w->id, at, e);
	work_done(w);
	return r;
}
