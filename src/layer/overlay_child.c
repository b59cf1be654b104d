/* Overlays and the store of their changes. The store and trees that came as detached copies are attached over the
 * old root, where no path look-up reaches them, for as long as the kernel wants them to be part of this namespace.
 * Runs in: child. */
#include <sys/mount.h>
#include <sys/stat.h>

#include "layer/layer.h"
#include "run/sync.h"
#include "sys/sys.h"

#define OPTIONS_SIZE 4096

struct words { char text[OPTIONS_SIZE]; size_t len; bool full; };

static void add(struct words *w, const char *s)
{
	size_t n = __builtin_strlen(s);

	if (n >= sizeof w->text - w->len) {
		w->full = true;
		return;
	}
	__builtin_memcpy(w->text + w->len, s, n + 1);
	w->len += n;
}

static void add_fd(struct words *w, int fd)
{
	char path[32];

	sys_fd_path(path, fd); /* of the descriptor itself: no name is looked up again, none needs quoting */
	add(w, path);
}

/* "N/upper" */
static void place(char out[32], uint64_t index, const char *part)
{
	char digits[12];
	size_t n = 0, at = 0;

	do
		digits[n++] = (char)('0' + index % 10);
	while (index /= 10);
	while (n)
		out[at++] = digits[--n];
	copy_bounded(out + at, 32 - at, part);
}

static int hide(int tree)
{
	return sys_move_mount(tree, "", AT_FDCWD, "/", U_MOVE_MOUNT_F_EMPTY_PATH);
}

static int unhide(int tree)
{
	char path[32];

	sys_fd_path(path, tree);
	return sys_umount2(path, MNT_DETACH);
}

/* A directory by its name, no link followed on the way. */
static int directory(const char *path)
{
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW, .resolve = U_RESOLVE_NO_SYMLINKS | U_RESOLVE_NO_MAGICLINKS };

	return sys_openat2(AT_FDCWD, path, &how);
}

static int store_memory(struct child *c, const struct op *op)
{
	char *options = (char *)(uintptr_t)op->data;
	int fs = sys_fsopen("tmpfs", U_FSOPEN_CLOEXEC), mnt, r = 0;

	if (fs < 0)
		return child_fail(c, op, ERR_MOUNT_FS, fs, "fsopen", "tmpfs for changes");
	/* key=value,… as explain printed it */
	while (*options && r >= 0) {
		char key[16], value[32];
		size_t k = 0, v = 0;
		while (*options && *options != '=' && k + 1 < sizeof key)
			key[k++] = *options++;
		options += *options == '=';
		while (*options && *options != ',' && v + 1 < sizeof value)
			value[v++] = *options++;
		options += *options == ',';
		key[k] = value[v] = 0;
		r = sys_fsconfig(fs, U_FSCONFIG_SET_STRING, key, value, 0);
	}
	if (r >= 0)
		r = sys_fsconfig(fs, U_FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mnt = r < 0 ? r : sys_fsmount(fs, U_FSMOUNT_CLOEXEC, U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV);
	sys_close(fs);
	r = mnt < 0 ? mnt : hide(mnt);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_FS, r, mnt < 0 ? "fsmount" : "move_mount", "tmpfs for changes");
	c->store = c->store_mount = mnt;
	for (uint64_t i = 0; i < op->number[1]; i++) {
		static const char *const parts[] = { "", "/upper", "/work" };
		char name[32];
		for (size_t k = 0; k < 3; k++) {
			place(name, i, parts[k]);
			r = sys_mkdirat(mnt, name, 0700);
			if (r < 0)
				return child_fail(c, op, ERR_MOUNT_CREATE, r, "mkdirat", name);
		}
	}
	return 0;
}

/* The launcher looks at the changes when the run has ended: its descriptor outlives the namespace. */
static int tell_launcher(struct child *c, const struct op *op)
{
	int fd = sys_openat(c->store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), r;

	if (fd < 0)
		return child_fail(c, op, ERR_MOUNT_FS, fd, "openat", "tmpfs for changes");
	r = sync_send(c->control, &(struct message){ .type = MSG_STORE }, fd);
	sys_close(fd);
	return r < 0 ? child_fail(c, op, ERR_LAUNCH_HANDSHAKE, r, "sendmsg", NULL) : 0;
}

/* Links above it are the caller's own affair: what counts is that it is the directory that the launcher locked. */
static int store_directory(struct child *c, const struct op *op)
{
	bool opened = op->flags & OPF_OPENED;
	struct stat own, theirs;
	int r;

	c->store = opened ? c->slots[op->number[0]] : sys_openat(AT_FDCWD, op->path2, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (c->store < 0)
		return child_fail(c, op, ERR_COW_UPPER, c->store, "openat", op->path2);
	r = (int)SYS2(SYS_fstat, c->store, &own);
	if (r >= 0)
		r = (int)SYS2(SYS_fstat, c->cow_dir, &theirs);
	if (r < 0)
		return child_fail(c, op, ERR_COW_UPPER, r, "fstat", op->path2);
	if (own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino)
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, NULL, op->path2);
	if (!opened)
		return 0;
	c->store_mount = c->store;
	r = hide(c->store);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTACH, r, "move_mount", op->path2) : 0;
}

int child_op_COW_STORE(struct child *c, const struct op *op)
{
	if (!op->data)
		return store_directory(c, op);
	return store_memory(c, op) < 0 ? -1 : tell_launcher(c, op);
}

int child_op_OVERLAY_LOWER(struct child *c, const struct op *op)
{
	bool opened = op->flags & OPF_OPENED;
	int fd = opened ? c->slots[op->number[0]] : directory(op->path2), r;
	struct stat st;

	if (fd < 0)
		return child_fail(c, op, ERR_MOUNT_SOURCE, fd, "openat2", op->path2);
	r = (int)SYS2(SYS_fstat, fd, &st);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_SOURCE, r, "fstat", op->path2);
	if (st.st_dev != op->number[1] || st.st_ino != op->number[2])
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, NULL, op->path2);
	if (c->lower_count == COUNT_OF(c->lowers))
		return child_fail(c, op, ERR_OVERLAY_MOUNT, -E2BIG, NULL, op->path2);
	r = opened ? hide(fd) : 0;
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, r, "move_mount", op->path2);
	c->lower_attached[c->lower_count] = opened;
	c->lowers[c->lower_count++] = fd;
	return 0;
}

/* The merged directory has the upper one's mode: it must be the lower one's. */
static int upper(struct child *c, const struct op *op, struct words *w)
{
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW, .resolve = U_RESOLVE_NO_SYMLINKS | U_RESOLVE_NO_MAGICLINKS };
	static const char *const parts[] = { "/upper", "/work" };
	static const char *const options[] = { ",upperdir=", ",workdir=" };
	int fds[2] = { -1, -1 }, r = 0;
	struct stat st;
	char name[32];

	for (int i = 0; i < 2; i++) {
		place(name, op->number[0], parts[i]);
		fds[i] = sys_openat2(c->store, name, &how);
		if (fds[i] < 0)
			return child_fail(c, op, ERR_COW_UPPER, fds[i], "openat2", name);
		add(w, options[i]);
		add_fd(w, fds[i]);
	}
	place(name, op->number[0], parts[0]);
	r = (int)SYS2(SYS_fstat, c->lowers[0], &st);
	if (r >= 0)
		r = (int)SYS3(SYS_fchmodat, c->store, name, st.st_mode & 01777);
	if (r < 0)
		return child_fail(c, op, ERR_COW_UPPER, r, "fchmodat", name);
	return 0; /* the two stay open until exec: the options name them */
}

static int let_go(struct child *c, const struct op *op)
{
	int r = 0;

	/* The topmost on the old root was attached last. */
	while (c->lower_count > 0) {
		int n = (int)--c->lower_count;
		if (c->lower_attached[n] && r >= 0)
			r = unhide(c->lowers[n]);
		sys_close(c->lowers[n]);
	}
	return r < 0 ? child_fail(c, op, ERR_OVERLAY_MOUNT, r, "umount2", "a lower tree") : 0;
}

static int mount_overlay(struct child *c, const struct op *op, const char *target)
{
	struct words w = { .len = 0 };
	unsigned long flags = (op->attr_set & U_MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) | (op->attr_set & U_MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
			      (op->attr_set & U_MOUNT_ATTR_NODEV ? MS_NODEV : 0) | (op->attr_set & U_MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0);
	int r;

	add(&w, "userxattr,lowerdir=");
	for (size_t i = 0; i < c->lower_count; i++) {
		add(&w, i ? ":" : "");
		add_fd(&w, c->lowers[i]);
	}
	if (op->number[0] != OVERLAY_RO && upper(c, op, &w) < 0)
		return -1;
	if (w.full)
		return child_fail(c, op, ERR_OVERLAY_MOUNT, -E2BIG, "mount", NULL);
	r = sys_mount("overlay", target, "overlay", flags, w.text);
	return r < 0 ? child_fail(c, op, ERR_OVERLAY_MOUNT, r, "mount", NULL) : let_go(c, op);
}

int child_op_OVERLAY(struct child *c, const struct op *op)
{
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW, .resolve = U_RESOLVE_IN_ROOT | U_RESOLVE_NO_MAGICLINKS | U_RESOLVE_NO_SYMLINKS };
	int to = sys_openat2(AT_FDCWD, op->path, &how), r;
	char path[32];

	if (to < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, to, "openat2", NULL);
	sys_fd_path(path, to);
	r = mount_overlay(c, op, path);
	sys_close(to);
	return r;
}

int child_op_OVERLAY_ROOT(struct child *c, const struct op *op)
{
	int r;

	if (mount_overlay(c, op, op->path) < 0)
		return -1;
	r = sys_chdir(op->path);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ROOT, r, "chdir", NULL) : 0;
}

/* From here on the overlays alone hold the store, and no path leads to it. */
int child_op_COW_DETACH(struct child *c, const struct op *op)
{
	int r = c->store_mount < 0 ? 0 : unhide(c->store_mount);

	sys_close(c->store);
	if (c->cow_dir >= 0)
		sys_close(c->cow_dir);
	c->store = c->store_mount = c->cow_dir = -1;
	return r < 0 ? child_fail(c, op, ERR_OVERLAY_MOUNT, r, "umount2", "the store of changes") : 0;
}
