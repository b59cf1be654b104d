/* Raw system calls: the result, or -errno. No libc state, so safe after clone in a threaded program.
 * Runs in: any. */
#ifndef HUTCH_SYS_H
#define HUTCH_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "sys/uapi.h"

long sys_call(long nr, long a, long b, long c, long d, long e, long f);
/* clone(2) with CLONE_VM: function(argument) runs on the given stack, in the caller's memory. Not the C library's,
 * which sanitizers watch as a fork of memory. */
long sys_clone_on(unsigned long flags, void *stack_end, int (*function)(void *), void *argument);

#define SYS0(n) sys_call((n), 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys_call((n), (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys_call((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys_call((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys_call((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys_call((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static inline int sys_openat(int dir, const char *path, int flags, unsigned mode) { return (int)SYS4(SYS_openat, dir, path, flags, mode); }
static inline int sys_openat2(int dir, const char *path, const struct u_open_how *how) { return (int)SYS4(NR_openat2, dir, path, how, sizeof *how); }
static inline int sys_close(int fd) { return (int)SYS1(SYS_close, fd); }
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) { return (int)SYS3(NR_close_range, first, last, flags); }
static inline long sys_read(int fd, void *p, size_t n) { return SYS3(SYS_read, fd, p, n); }
static inline long sys_write(int fd, const void *p, size_t n) { return SYS3(SYS_write, fd, p, n); }
static inline int sys_fcntl(int fd, int cmd, long arg) { return (int)SYS3(SYS_fcntl, fd, cmd, arg); }
static inline int sys_dup3(int from, int to, int flags) { return (int)SYS3(SYS_dup3, from, to, flags); }
static inline int sys_ioctl(int fd, unsigned long request, const void *arg) { return (int)SYS3(SYS_ioctl, fd, request, arg); }
static inline int sys_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d) { return (int)SYS5(SYS_prctl, op, a, b, c, d); }
static inline int sys_mkdirat(int dir, const char *path, unsigned mode) { return (int)SYS3(SYS_mkdirat, dir, path, mode); }
static inline int sys_symlinkat(const char *text, int dir, const char *path) { return (int)SYS3(SYS_symlinkat, text, dir, path); }
static inline int sys_mknodat(int dir, const char *path, unsigned mode, unsigned long dev) { return (int)SYS4(SYS_mknodat, dir, path, mode, dev); }
static inline int sys_unlinkat(int dir, const char *path, int flags) { return (int)SYS3(SYS_unlinkat, dir, path, flags); }
static inline int sys_chdir(const char *path) { return (int)SYS1(SYS_chdir, path); }
static inline int sys_fchdir(int fd) { return (int)SYS1(SYS_fchdir, fd); }
static inline int sys_chroot(const char *path) { return (int)SYS1(SYS_chroot, path); }
static inline int sys_mount(const char *src, const char *dst, const char *type, unsigned long flags, const void *data) { return (int)SYS5(SYS_mount, src, dst, type, flags, data); }
static inline int sys_umount2(const char *path, int flags) { return (int)SYS2(SYS_umount2, path, flags); }
static inline int sys_statx(const char *path, int flags, unsigned mask, struct u_statx *out) { return (int)SYS5(SYS_statx, AT_FDCWD, path, flags, mask, out); }
static inline int sys_pivot_root(const char *a, const char *b) { return (int)SYS2(SYS_pivot_root, a, b); }
static inline int sys_open_tree(int dir, const char *path, unsigned flags) { return (int)SYS3(NR_open_tree, dir, path, flags); }
static inline int sys_move_mount(int from, const char *fp, int to, const char *tp, unsigned flags) { return (int)SYS5(NR_move_mount, from, fp, to, tp, flags); }
static inline int sys_fsopen(const char *type, unsigned flags) { return (int)SYS2(NR_fsopen, type, flags); }
static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) { return (int)SYS5(NR_fsconfig, fd, cmd, key, value, aux); }
static inline int sys_fsmount(int fd, unsigned flags, unsigned attr) { return (int)SYS3(NR_fsmount, fd, flags, attr); }
static inline int sys_mount_setattr(int dir, const char *path, unsigned flags, const struct u_mount_attr *a) { return (int)SYS5(NR_mount_setattr, dir, path, flags, a, sizeof *a); }
static inline int sys_unshare(uint64_t flags) { return (int)SYS1(SYS_unshare, flags); }
static inline int sys_setns(int fd, unsigned type) { return (int)SYS2(SYS_setns, fd, type); }
static inline int sys_clone3(const struct u_clone_args *a) { return (int)SYS2(NR_clone3, a, sizeof *a); }
static inline int sys_kill(pid_t pid, int sig) { return (int)SYS2(SYS_kill, pid, sig); }
static inline int sys_sethostname(const char *s, size_t n) { return (int)SYS2(SYS_sethostname, s, n); }
static inline int sys_setdomainname(const char *s, size_t n) { return (int)SYS2(SYS_setdomainname, s, n); }
static inline int sys_setsid(void) { return (int)SYS0(SYS_setsid); }
static inline int sys_setpgid(pid_t a, pid_t b) { return (int)SYS2(SYS_setpgid, a, b); }
static inline int sys_setgroups(size_t n, const uint32_t *list) { return (int)SYS2(SYS_setgroups, n, list); }
static inline int sys_setresuid(uint32_t r, uint32_t e, uint32_t s) { return (int)SYS3(SYS_setresuid, r, e, s); }
static inline int sys_setresgid(uint32_t r, uint32_t e, uint32_t s) { return (int)SYS3(SYS_setresgid, r, e, s); }
static inline int sys_prlimit(pid_t pid, int what, const void *set, void *old) { return (int)SYS4(SYS_prlimit64, pid, what, set, old); }
static inline int sys_capset(const struct u_cap_header *h, const struct u_cap_data *d) { return (int)SYS2(SYS_capset, h, d); }
static inline int sys_seccomp(unsigned op, unsigned flags, const void *p) { return (int)SYS3(SYS_seccomp, op, flags, p); }
static inline int sys_landlock_create(const struct u_landlock_ruleset *r, size_t size, unsigned flags) { return (int)SYS3(NR_landlock_create_ruleset, r, size, flags); }
static inline int sys_landlock_add(int fd, unsigned type, const void *rule) { return (int)SYS4(NR_landlock_add_rule, fd, type, rule, 0); }
static inline int sys_landlock_restrict(int fd) { return (int)SYS2(NR_landlock_restrict_self, fd, 0); }
static inline int sys_socket(int family, int type, int protocol) { return (int)SYS3(SYS_socket, family, type, protocol); }
static inline int sys_socketpair(int family, int type, int protocol, int fds[2]) { return (int)SYS4(SYS_socketpair, family, type, protocol, fds); }
static inline int sys_pipe2(int fds[2], int flags) { return (int)SYS2(SYS_pipe2, fds, flags); }
static inline long sys_sendmsg(int fd, const void *msg, int flags) { return SYS3(SYS_sendmsg, fd, msg, flags); }
static inline long sys_recvmsg(int fd, void *msg, int flags) { return SYS3(SYS_recvmsg, fd, msg, flags); }
static inline int sys_waitid(int type, pid_t id, void *info, int options, void *usage) { return (int)SYS5(SYS_waitid, type, id, info, options, usage); }
static inline int sys_pidfd_open(pid_t pid, unsigned flags) { return (int)SYS2(NR_pidfd_open, pid, flags); }
static inline int sys_pidfd_send_signal(int fd, int sig) { return (int)SYS4(NR_pidfd_send_signal, fd, sig, 0, 0); }
static inline int sys_execve(const char *path, char *const *argv, char *const *envp) { return (int)SYS3(SYS_execve, path, argv, envp); }
static inline int sys_umask(unsigned m) { return (int)SYS1(SYS_umask, m); }
/* "/proc/self/fd/N": the file behind a descriptor as a path, with nothing looked up again. */
void sys_fd_path(char out[32], int fd);
void sys_exit(int code) __attribute__((noreturn));

#endif
