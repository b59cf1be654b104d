/* Mount operations. While they run, the working directory is the new root: "own" destinations are relative
 * paths in a file system that nobody else can reach; the others lie in bound trees and are walked without
 * following any link.
 * Runs in: child. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "layer/layer.h"
#include "sys/sys.h"

#define OTHER_MS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

static unsigned long classic_flags(uint64_t attr)
{
	return (attr & U_MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) | (attr & U_MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
	       (attr & U_MOUNT_ATTR_NODEV ? MS_NODEV : 0) | (attr & U_MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0);
}

/* Component by component, for kernels or filters without openat2: same guarantee, no link is followed. */
static int walk_by_hand(const char *path)
{
	int at = sys_openat(AT_FDCWD, ".", O_PATH | O_CLOEXEC | O_DIRECTORY, 0);

	while (at >= 0 && *path) {
		char name[256];
		size_t n = 0;
		struct stat st;
		while (path[n] && path[n] != '/')
			n++;
		if (n >= sizeof name || (n == 2 && path[0] == '.' && path[1] == '.')) {
			sys_close(at);
			return -EINVAL;
		}
		__builtin_memcpy(name, path, n);
		name[n] = 0;
		path += n + (path[n] == '/');
		int next = sys_openat(at, name, O_PATH | O_CLOEXEC | O_NOFOLLOW, 0);
		sys_close(at);
		at = next;
		if (at >= 0 && (SYS2(SYS_fstat, at, &st) < 0 || S_ISLNK(st.st_mode))) {
			sys_close(at);
			return -ELOOP;
		}
	}
	return at;
}

/* The mount point as a descriptor. */
static int destination(const struct op *op)
{
	/* Not O_NOFOLLOW: with O_PATH that would give a link at the end itself, and a file can be mounted on one. */
	struct u_open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = U_RESOLVE_IN_ROOT | U_RESOLVE_NO_MAGICLINKS | U_RESOLVE_NO_SYMLINKS };
	int fd;

	if (!(op->flags & OPF_WALK))
		return sys_openat(AT_FDCWD, op->path, O_PATH | O_CLOEXEC | O_NOFOLLOW, 0);
	fd = sys_openat2(AT_FDCWD, op->path, &how);
	return fd == -ENOSYS || fd == -EPERM ? walk_by_hand(op->path) : fd;
}

static int attach(struct child *c, const struct op *op, int tree)
{
	int to, r;

	if (!(op->flags & OPF_WALK)) {
		r = sys_move_mount(tree, "", AT_FDCWD, op->path, U_MOVE_MOUNT_F_EMPTY_PATH);
	} else {
		to = destination(op);
		if (to < 0)
			return child_fail(c, op, ERR_MOUNT_ATTACH, to, "openat2", NULL);
		r = sys_move_mount(tree, "", to, "", U_MOVE_MOUNT_F_EMPTY_PATH | U_MOVE_MOUNT_T_EMPTY_PATH);
		sys_close(to);
	}
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTACH, r, "move_mount", NULL) : 0;
}

static int set_attr(int tree, const struct op *op)
{
	struct u_mount_attr a = { .attr_set = op->attr_set, .attr_clr = op->attr_clr };

	return a.attr_set || a.attr_clr ? sys_mount_setattr(tree, "", U_AT_EMPTY_PATH | (op->flags & OPF_RECURSIVE ? U_AT_RECURSIVE : 0), &a) : 0;
}

/* The bound inode must be the one that was vetted when the plan was made. */
static int check_source(struct child *c, const struct op *op, int tree)
{
	struct stat st;
	int r;

	if (op->flags & OPF_NOVERIFY)
		return 0;
	r = (int)SYS2(SYS_fstat, tree, &st);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_SOURCE, r, "fstat", op->path2);
	if (st.st_dev != op->number[1] || st.st_ino != op->number[2])
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, NULL, op->path2);
	return 0;
}

static int detached_source(struct child *c, const struct op *op)
{
	int tree;

	if (op->flags & OPF_OPENED)
		return c->slots[op->number[0]];
	tree = sys_open_tree(AT_FDCWD, op->path2 ? op->path2 : op->path, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC | (op->flags & OPF_RECURSIVE ? U_AT_RECURSIVE : 0));
	if (tree < 0)
		child_fail(c, op, ERR_MOUNT_SOURCE, tree, "open_tree", op->path2);
	return tree < 0 ? -1 : tree;
}

/* What is mounted at the descriptor gets the attributes; closes it. The flags of the source that are locked must be
 * repeated, or the kernel refuses the remount. */
static int remount_classic(struct child *c, const struct op *op, int at, uint32_t attr)
{
	struct statfs s = { 0 };
	char path[32];
	int r = (int)SYS2(SYS_fstatfs, at, &s);

	sys_fd_path(path, at);
	if (r >= 0)
		r = sys_mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | classic_flags(attr) | ((unsigned long)s.f_flags & (OTHER_MS | MS_NOATIME | MS_NODIRATIME | MS_RELATIME)), NULL);
	sys_close(at);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTR, r, "mount", NULL) : 0;
}

/* A detached tree gets its attributes and its place; where only mount(2) can set them, in the other order. Closes it. */
static int attach_with(struct child *c, const struct op *op, int tree, uint32_t attr)
{
	struct op with = *op;
	int r;

	with.attr_set = attr;
	r = op->flags & OPF_CLASSIC ? 0 : set_attr(tree, &with);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ATTR, r, "mount_setattr", op->path2);
	r = attach(c, op, tree);
	sys_close(tree);
	if (r < 0 || !(op->flags & OPF_CLASSIC))
		return r;
	r = destination(op);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTACH, r, "openat2", NULL) : remount_classic(c, op, r, attr);
}

static int bind_classic(struct child *c, const struct op *op)
{
	char path[32];
	int to = destination(op), r;

	if (to < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, to, "openat2", NULL);
	sys_fd_path(path, to);
	r = sys_mount(op->path2, path, NULL, MS_BIND | (op->flags & OPF_RECURSIVE ? MS_REC : 0), NULL);
	sys_close(to);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, r, "mount", NULL);
	to = destination(op);
	if (to < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, to, "openat2", NULL);
	return check_source(c, op, to) < 0 ? -1 : remount_classic(c, op, to, op->attr_set);
}

static int bind_node(struct child *c, const struct op *op)
{
	int r, tree;

	if (!(op->flags & OPF_WALK)) {
		r = sys_mount(op->path2, op->path, NULL, MS_BIND, NULL);
		return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTACH, r, "mount", op->path2) : 0;
	}
	tree = detached_source(c, op);
	if (tree < 0)
		return -1;
	r = attach(c, op, tree);
	sys_close(tree);
	return r;
}

/* In our own root, before anything is writable there: two calls instead of five. */
static int bind_group(struct child *c, const struct op *op)
{
	struct stat st;
	int r = sys_mount(op->path2, op->path, NULL, MS_BIND | (op->flags & OPF_RECURSIVE ? MS_REC : 0), NULL);

	if (r < 0)
		return child_fail(c, op, r == -ENOENT || r == -EACCES ? ERR_MOUNT_SOURCE : ERR_MOUNT_ATTACH, r, "mount", op->path2);
	if (op->flags & OPF_NOVERIFY)
		return 0;
	r = (int)SYS4(SYS_newfstatat, AT_FDCWD, op->path, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_SOURCE, r, "fstatat", op->path2);
	if (st.st_dev != op->number[1] || st.st_ino != op->number[2])
		return child_fail(c, op, ERR_MOUNT_SWAPPED, 0, NULL, op->path2);
	return 0;
}

int child_op_BIND(struct child *c, const struct op *op)
{
	int tree, r;

	if (op->flags & OPF_GROUP)
		return bind_group(c, op);
	if (op->flags & OPF_NODE)
		return bind_node(c, op);
	if (op->flags & OPF_CLASSIC)
		return bind_classic(c, op);
	tree = detached_source(c, op);
	if (tree < 0 || check_source(c, op, tree) < 0)
		return -1;
	r = op->flags & OPF_OPENED ? 0 : set_attr(tree, op); /* the launcher has set them */
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ATTR, r, "mount_setattr", op->path2);
	r = attach(c, op, tree);
	child_release(c, tree);
	return r;
}

int child_op_PROC_BIND(struct child *c, const struct op *op)
{
	struct op bind = *op;

	bind.path2 = "/proc";
	bind.flags |= OPF_NOVERIFY;
	return child_op_BIND(c, &bind);
}

int child_op_SYSFS_BIND(struct child *c, const struct op *op)
{
	struct op bind = *op;

	bind.path2 = "/sys";
	bind.flags |= OPF_NOVERIFY;
	return child_op_BIND(c, &bind);
}

int child_op_PRIVATE(struct child *c, const struct op *op)
{
	int r = sys_mount(NULL, "/", NULL, MS_REC | op->number[0], NULL);

	return r < 0 ? child_fail(c, op, ERR_MOUNT_PROPAGATION, r, "mount", "/") : 0;
}

/* The covered host directory is hidden in our own mount namespace only, and for as long as we build. */
int child_op_ROOT_TMPFS(struct child *c, const struct op *op)
{
	int r = sys_mount("tmpfs", op->path, "tmpfs", MS_NOSUID | MS_NODEV, op->data);

	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ROOT, r, "mount", NULL);
	r = sys_chdir(op->path);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ROOT, r, "chdir", NULL) : 0;
}

int child_op_ROOT_BIND(struct child *c, const struct op *op)
{
	struct op bind = *op;
	int tree, r, fd;

	bind.path2 = op->path;
	tree = detached_source(c, &bind);
	if (tree < 0 || check_source(c, &bind, tree) < 0)
		return -1;
	r = op->flags & OPF_OPENED ? 0 : set_attr(tree, op);
	if (r < 0)
		return child_fail(c, op, ERR_MOUNT_ATTR, r, "mount_setattr", NULL);
	/* Attached over the old root itself: paths from "/" still start below it, so no source is hidden. */
	r = sys_move_mount(tree, "", AT_FDCWD, "/", U_MOVE_MOUNT_F_EMPTY_PATH);
	fd = tree;
	if (r >= 0)
		r = sys_fchdir(fd);
	sys_close(tree);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ROOT, r, "move_mount", NULL) : 0;
}

int child_op_MKDIR(struct child *c, const struct op *op)
{
	int r = sys_mkdirat(AT_FDCWD, op->path, (unsigned)op->number[0]);

	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "mkdirat", NULL) : 0;
}

int child_op_MKFILE(struct child *c, const struct op *op)
{
	int r = sys_mknodat(AT_FDCWD, op->path, S_IFREG | 0444, 0);

	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "mknodat", NULL) : 0;
}

int child_op_SYMLINK(struct child *c, const struct op *op)
{
	int r = sys_symlinkat(op->path2, AT_FDCWD, op->path);

	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "symlinkat", NULL) : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		long n = sys_write(fd, data, len);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* O_EXCL: in our own file system nothing can be there before us. */
static int create(struct child *c, const struct op *op)
{
	int fd = sys_openat(AT_FDCWD, op->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (unsigned)op->number[0]);

	if (fd < 0)
		child_fail(c, op, ERR_MOUNT_CREATE, fd, "openat", NULL);
	return fd < 0 ? -1 : fd;
}

int child_op_WRITE(struct child *c, const struct op *op)
{
	int fd = create(c, op), r;

	if (fd < 0)
		return -1;
	r = write_all(fd, op->data, op->data_len);
	sys_close(fd); /* the root can't turn read-only while a file of it is open for writing */
	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "write", NULL) : 0;
}

/* As systemd makes it: a random UUID of version 4, in digits. */
int child_op_MACHINE_ID(struct child *c, const struct op *op)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[16];
	char text[33];
	long n = SYS3(SYS_getrandom, random, sizeof random, 0);
	int fd, r;

	if (n != (long)sizeof random)
		return child_fail(c, op, ERR_MOUNT_CREATE, n < 0 ? (int)n : -5 /* EIO */, "getrandom", NULL);
	random[6] = (random[6] & 0x0f) | 0x40;
	random[8] = (random[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof random; i++) {
		text[2 * i] = digits[random[i] >> 4];
		text[2 * i + 1] = digits[random[i] & 15];
	}
	text[32] = '\n';
	if ((fd = create(c, op)) < 0)
		return -1;
	r = write_all(fd, text, sizeof text);
	sys_close(fd);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "write", NULL) : 0;
}

static int copy_from(struct child *c, const struct op *op, int from)
{
	char buffer[4096];
	int fd = create(c, op), r = 0;
	long n;

	if (fd < 0)
		return -1;
	while ((n = sys_read(from, buffer, sizeof buffer)) > 0 || n == -EINTR) {
		if (n > 0 && (r = write_all(fd, buffer, (size_t)n)) < 0)
			break;
	}
	sys_close(fd);
	return n < 0 || r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, n < 0 ? (int)n : r, n < 0 ? "read" : "write", NULL) : 0;
}

int child_op_WRITE_FD(struct child *c, const struct op *op)
{
	int r = copy_from(c, op, (int)op->number[1]);

	/* The content is for the program, the descriptor only if it is on the keep list as well. */
	if (!op->number[2])
		sys_close((int)op->number[1]);
	return r;
}

int child_op_COPY(struct child *c, const struct op *op)
{
	int from = sys_openat(AT_FDCWD, op->path2, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0), r;

	if (from < 0)
		return child_fail(c, op, ERR_MOUNT_SOURCE, from, "openat", op->path2);
	r = copy_from(c, op, from);
	sys_close(from);
	return r;
}

int child_op_UNLINK(struct child *c, const struct op *op)
{
	int r = sys_unlinkat(AT_FDCWD, op->path, 0);

	return r < 0 ? child_fail(c, op, ERR_MOUNT_CREATE, r, "unlinkat", NULL) : 0;
}

/* A new file system on a mount point in a bound tree goes through descriptors only. */
static int new_fs_walk(struct child *c, const struct op *op, const char *type, const char *options)
{
	int to = destination(op), r;
	char path[32];

	if (to < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, to, "openat2", NULL);
	sys_fd_path(path, to); /* of the descriptor itself: nothing is looked up again */
	r = sys_mount(type, path, type, classic_flags(op->attr_set), options);
	sys_close(to);
	return r < 0 ? child_fail(c, op, !__builtin_strcmp(type, "proc") ? ERR_MOUNT_PROC : ERR_MOUNT_FS, r, "mount", NULL) : 0;
}

static int new_fs(struct child *c, const struct op *op, const char *type, const char *options)
{
	int r;

	if (op->flags & OPF_WALK)
		return new_fs_walk(c, op, type, options);
	r = sys_mount(type, op->path, type, classic_flags(op->attr_set), options);
	return r < 0 ? child_fail(c, op, !__builtin_strcmp(type, "proc") ? ERR_MOUNT_PROC : ERR_MOUNT_FS, r, "mount", NULL) : 0;
}

int child_op_TMPFS(struct child *c, const struct op *op)
{
	return new_fs(c, op, "tmpfs", op->data);
}

int child_op_PROC(struct child *c, const struct op *op)
{
	return new_fs(c, op, "proc", op->data);
}

int child_op_DEVPTS(struct child *c, const struct op *op)
{
	struct op pts = *op;

	pts.attr_set = U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NOEXEC;
	return new_fs(c, &pts, "devpts", "newinstance,ptmxmode=0666,mode=0600,max=256");
}

int child_op_ATTR(struct child *c, const struct op *op)
{
	struct u_mount_attr a = { .attr_set = op->attr_set, .attr_clr = op->attr_clr };
	int r, at;

	if (!(op->flags & (OPF_WALK | OPF_CLASSIC))) {
		r = sys_mount_setattr(AT_FDCWD, op->path, op->flags & OPF_RECURSIVE ? U_AT_RECURSIVE : 0, &a);
		return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTR, r, "mount_setattr", NULL) : 0;
	}
	at = destination(op);
	if (at < 0)
		return child_fail(c, op, ERR_MOUNT_ATTR, at, "openat2", NULL);
	if (op->flags & OPF_CLASSIC)
		return remount_classic(c, op, at, op->attr_set);
	r = set_attr(at, op);
	sys_close(at);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTR, r, "mount_setattr", NULL) : 0;
}

/* The cover comes from our own root: an unreadable file or an empty directory that is read-only for good. */
static int cover_with(struct child *c, const struct op *op, const char *name)
{
	int tree = sys_open_tree(AT_FDCWD, name, U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return child_fail(c, op, ERR_MOUNT_CREATE, tree, "open_tree", name);
	return attach_with(c, op, tree, op->attr_set | U_MOUNT_ATTR_RDONLY | U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV | U_MOUNT_ATTR_NOEXEC);
}

int child_op_OVERMOUNT(struct child *c, const struct op *op)
{
	return cover_with(c, op, op->path2);
}

/* A file is hidden by an empty one of a file system that is gone from the tree: a private tmpfs, detached. */
static int masking_tmpfs(struct child *c, const struct op *op)
{
	int fs = sys_fsopen("tmpfs", U_FSOPEN_CLOEXEC), mnt, r;

	if (fs < 0) {
		child_fail(c, op, ERR_MOUNT_FS, fs, "fsopen", "tmpfs");
		return -1;
	}
	r = sys_fsconfig(fs, U_FSCONFIG_SET_STRING, "mode", "0", 0);
	if (r >= 0)
		r = sys_fsconfig(fs, U_FSCONFIG_SET_STRING, "nr_inodes", "4", 0);
	if (r >= 0)
		r = sys_fsconfig(fs, U_FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mnt = r < 0 ? r : sys_fsmount(fs, U_FSMOUNT_CLOEXEC, U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV | U_MOUNT_ATTR_NOEXEC);
	sys_close(fs);
	if (mnt < 0)
		child_fail(c, op, ERR_MOUNT_FS, mnt, "fsmount", "tmpfs");
	return mnt < 0 ? -1 : mnt;
}

#define MASK_ATTR (U_MOUNT_ATTR_RDONLY | U_MOUNT_ATTR_NOSUID | U_MOUNT_ATTR_NODEV | U_MOUNT_ATTR_NOEXEC)

int child_op_MASK_DIR(struct child *c, const struct op *op)
{
	int mnt = masking_tmpfs(c, op);

	return mnt < 0 ? -1 : attach_with(c, op, mnt, MASK_ATTR);
}

/* Only a file can cover a file, and open_tree copies only from mounts of our own namespace: the little file
 * system is attached (over the old root, where no path look-up reaches it), its file copied, and let go. */
int child_op_MASK_FILE(struct child *c, const struct op *op)
{
	int mnt = masking_tmpfs(c, op), r, tree;

	if (mnt < 0)
		return -1;
	r = sys_mknodat(mnt, "masked", S_IFREG, 0);
	if (r >= 0)
		r = sys_move_mount(mnt, "", AT_FDCWD, "/", U_MOVE_MOUNT_F_EMPTY_PATH);
	tree = r < 0 ? r : sys_open_tree(mnt, "masked", U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC);
	if (r >= 0 && tree >= 0) {
		char path[32];
		sys_fd_path(path, mnt);
		r = sys_umount2(path, MNT_DETACH);
	}
	sys_close(mnt);
	if (r < 0 || tree < 0)
		return child_fail(c, op, ERR_MOUNT_CREATE, r < 0 ? r : tree, "open_tree", NULL);
	return attach_with(c, op, tree, MASK_ATTR);
}

/* A directory bound onto itself is a mount point, and a mount point can't be renamed or removed. */
int child_op_PIN(struct child *c, const struct op *op)
{
	int at = destination(op), tree, r;

	if (at < 0)
		return child_fail(c, op, ERR_MOUNT_ATTACH, at, "openat2", NULL);
	tree = sys_open_tree(at, "", U_AT_EMPTY_PATH | U_OPEN_TREE_CLONE | U_OPEN_TREE_CLOEXEC | U_AT_RECURSIVE);
	if (tree < 0) {
		sys_close(at);
		return child_fail(c, op, ERR_MOUNT_SOURCE, tree, "open_tree", NULL);
	}
	r = sys_move_mount(tree, "", at, "", U_MOVE_MOUNT_F_EMPTY_PATH | U_MOVE_MOUNT_T_EMPTY_PATH);
	sys_close(tree);
	sys_close(at);
	return r < 0 ? child_fail(c, op, ERR_MOUNT_ATTACH, r, "move_mount", NULL) : 0;
}
