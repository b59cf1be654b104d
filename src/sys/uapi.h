/* Kernel interface facts that the C library's headers of an older release lack. Values are ABI.
 * Runs in: any. */
#ifndef HUTCH_UAPI_H
#define HUTCH_UAPI_H

#include <stdint.h>

/* Since 5.0 new calls have one number on every architecture but alpha. */
#define NR_pidfd_send_signal 424
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_pidfd_open 434
#define NR_clone3 435
#define NR_close_range 436
#define NR_openat2 437
#define NR_mount_setattr 442
#define NR_landlock_create_ruleset 444
#define NR_landlock_add_rule 445
#define NR_landlock_restrict_self 446

#define U_OPEN_TREE_CLONE 1u
#define U_OPEN_TREE_CLOEXEC 02000000u
#define U_AT_RECURSIVE 0x8000u
#define U_AT_EMPTY_PATH 0x1000u
#define U_AT_SYMLINK_NOFOLLOW 0x100u
#define U_MOVE_MOUNT_F_EMPTY_PATH 0x04u
#define U_MOVE_MOUNT_T_EMPTY_PATH 0x40u

/* statx(2): the C libraries' headers disagree on who declares it. */
#define U_STATX_BASIC 0x7ffu
#define U_STATX_INO 0x100u
#define U_STATX_MNT_ID 0x1000u /* 5.8 */
struct u_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	uint64_t times[8];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, more[13];
};

#define U_FSOPEN_CLOEXEC 1u
#define U_FSMOUNT_CLOEXEC 1u
#define U_FSCONFIG_SET_FLAG 0
#define U_FSCONFIG_SET_STRING 1
#define U_FSCONFIG_CMD_CREATE 6

#define U_MOUNT_ATTR_RDONLY 0x1u
#define U_MOUNT_ATTR_NOSUID 0x2u
#define U_MOUNT_ATTR_NODEV 0x4u
#define U_MOUNT_ATTR_NOEXEC 0x8u
#define U_MOUNT_ATTR_IDMAP 0x00100000u

struct u_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };
struct u_open_how { uint64_t flags, mode, resolve; };
#define U_RESOLVE_NO_XDEV 0x01u
#define U_RESOLVE_NO_MAGICLINKS 0x02u
#define U_RESOLVE_NO_SYMLINKS 0x04u
#define U_RESOLVE_BENEATH 0x08u
#define U_RESOLVE_IN_ROOT 0x10u

struct u_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define U_CLONE_INTO_CGROUP 0x200000000ull
#define U_CLONE_PIDFD 0x1000ull
#define U_CLONE_PARENT 0x8000ull
#define U_CLONE_NEWTIME 0x80ull
#define U_CLONE_NEWNS 0x20000ull
#define U_CLONE_NEWCGROUP 0x02000000ull
#define U_CLONE_NEWUTS 0x04000000ull
#define U_CLONE_NEWIPC 0x08000000ull
#define U_CLONE_NEWUSER 0x10000000ull
#define U_CLONE_NEWPID 0x20000000ull
#define U_CLONE_NEWNET 0x40000000ull
#define U_CLONE_CLEAR_SIGHAND 0x100000000ull

struct u_landlock_ruleset { uint64_t fs, net, scoped; };
struct u_landlock_path { uint64_t allowed; int32_t fd; } __attribute__((packed));
struct u_landlock_port { uint64_t allowed, port; };
#define U_LANDLOCK_RULE_PATH 1
#define U_LANDLOCK_RULE_PORT 2
#define U_LANDLOCK_VERSION 1u
enum {
	LL_EXECUTE = 1 << 0, LL_WRITE_FILE = 1 << 1, LL_READ_FILE = 1 << 2, LL_READ_DIR = 1 << 3,
	LL_REMOVE_DIR = 1 << 4, LL_REMOVE_FILE = 1 << 5, LL_MAKE_CHAR = 1 << 6, LL_MAKE_DIR = 1 << 7,
	LL_MAKE_REG = 1 << 8, LL_MAKE_SOCK = 1 << 9, LL_MAKE_FIFO = 1 << 10, LL_MAKE_BLOCK = 1 << 11,
	LL_MAKE_SYM = 1 << 12, LL_REFER = 1 << 13 /* 2 */, LL_TRUNCATE = 1 << 14 /* 3 */,
	LL_IOCTL_DEV = 1 << 15 /* 5 */,
};
#define LL_NET_BIND 1u
#define LL_NET_CONNECT 2u
#define LL_SCOPE_ABSTRACT 1u
#define LL_SCOPE_SIGNAL 2u

/* capability numbers that the code names; the full table is in layer/caps.c */
#define CAPNO_FSETID 4
#define CAPNO_KILL 5
#define CAPNO_SETGID 6
#define CAPNO_SETUID 7
#define CAPNO_SYS_ADMIN 21

struct u_cap_header { uint32_t version; int32_t pid; };
struct u_cap_data { uint32_t effective, permitted, inheritable; };
#define U_CAP_VERSION_3 0x20080522u

#endif
