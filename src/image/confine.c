/* The unpacker confines itself before it reads a byte of the image: it may read the layout, write the store, and
 * has no call left that takes it elsewhere. What can't be had is an error.
 * Runs in: parent (the unpacker's own process). */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sys/sys.h"

#define CAPNO_CHOWN 0
#define CAPNO_DAC_OVERRIDE 1
#define CAPNO_DAC_READ_SEARCH 2
#define CAPNO_FOWNER 3

static int failed(struct job *job, int errnum, const char *call, const char *what)
{
	return error_set(job->error, ERR_IMAGE_CONFINE, errnum, call, what, NULL);
}

/* ---- limits ---- */
static int limit(struct job *job, int what, uint64_t most, const char *name)
{
	struct rlimit now, r;

	if (getrlimit((__rlimit_resource_t)what, &now) < 0)
		return failed(job, errno, "getrlimit", name);
	r.rlim_cur = r.rlim_max = now.rlim_max != RLIM_INFINITY && now.rlim_max < most ? now.rlim_max : most;
	return setrlimit((__rlimit_resource_t)what, &r) < 0 ? failed(job, errno, "setrlimit", name) : 0;
}

static int set_limits(struct job *job)
{
	/* A file that grows too large is an error of the write, and is told as one. */
	signal(SIGXFSZ, SIG_IGN);
	return limit(job, RLIMIT_CORE, 0, "core") < 0 || limit(job, RLIMIT_FSIZE, job->limit[OPT_MAX_BYTES], "file size") < 0 ||
	       limit(job, RLIMIT_AS, job->limit[OPT_MAX_MEMORY], "memory") < 0 ||
	       limit(job, RLIMIT_CPU, job->limit[OPT_MAX_CPU] / 1000 + 1, "processor time") < 0 ||
	       limit(job, RLIMIT_NOFILE, 65536, "open files") < 0 ? -1 : 0;
}

/* ---- capabilities ---- */
static int keep_capabilities(struct job *job)
{
	struct u_cap_header h = { .version = U_CAP_VERSION_3 };
	struct u_cap_data d[2] = { { 0 } };
	bool root = geteuid() == 0 && !job->owners.inside;
	uint32_t keep = 0;
	int r;

	/* Owners that aren't ours are set, and directories that are theirs by then removed again. */
	if (job->owners.ranges)
		keep = 1u << CAPNO_CHOWN | 1u << CAPNO_DAC_OVERRIDE | 1u << CAPNO_FOWNER;
	/* Root may read a layout in somebody's private directory; Landlock says where. */
	if (root)
		keep |= 1u << CAPNO_DAC_READ_SEARCH;
	struct u_cap_data now[2] = { { 0 } };
	r = (int)SYS2(SYS_capget, &h, now);
	if (r < 0)
		return failed(job, -r, "capget", "capabilities");
	d[0].effective = d[0].permitted = keep & now[0].permitted;
	r = sys_capset(&h, d);
	return r < 0 ? failed(job, -r, "capset", "capabilities") : 0;
}

/* ---- Landlock ---- */
static int allow_below(struct job *job, int ruleset, int dir, uint64_t rights, const char *what)
{
	struct u_landlock_path rule = { rights, dir };
	int r = sys_landlock_add(ruleset, U_LANDLOCK_RULE_PATH, &rule);

	return r < 0 ? failed(job, -r, "landlock_add_rule", what) : 0;
}

static int restrict_files(struct job *job)
{
	int abi = sys_landlock_create(NULL, 0, U_LANDLOCK_VERSION), fd, r;
	uint64_t all = (LL_MAKE_SYM << 1) - 1;
	struct u_landlock_ruleset rules = { 0 };

	if (abi < 0)
		return failed(job, -abi, "landlock_create_ruleset", "Landlock");
	all |= (abi >= 2 ? LL_REFER : 0) | (abi >= 3 ? LL_TRUNCATE : 0) | (abi >= 5 ? LL_IOCTL_DEV : 0);
	rules.fs = all;
	rules.net = abi >= 4 ? LL_NET_BIND | LL_NET_CONNECT : 0;
	rules.scoped = abi >= 6 ? LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL : 0;
	fd = sys_landlock_create(&rules, abi >= 6 ? sizeof rules : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t), 0);
	if (fd < 0)
		return failed(job, -fd, "landlock_create_ruleset", "Landlock");
	r = allow_below(job, fd, job->layout, LL_READ_FILE | LL_READ_DIR, "layout");
	if (r == 0)
		r = allow_below(job, fd, job->store, all & ~(uint64_t)(LL_EXECUTE | LL_MAKE_SOCK | LL_MAKE_FIFO | LL_MAKE_BLOCK | LL_IOCTL_DEV), "store");
	if (r == 0 && (r = sys_landlock_restrict(fd)) < 0)
		r = failed(job, -r, "landlock_restrict_self", "Landlock");
	sys_close(fd);
	return r;
}

/* ---- system calls ---- */
struct rule { int nr; unsigned count; struct scmp_arg_cmp arg[2]; };

static int add_rules(scmp_filter_ctx f)
{
	static const int plain[] = {
		SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close),
		SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(getdents64), SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(syncfs),
		SCMP_SYS(flock), SCMP_SYS(fchown), SCMP_SYS(fsetxattr), SCMP_SYS(fgetxattr), SCMP_SYS(fremovexattr), SCMP_SYS(mkdirat), SCMP_SYS(symlinkat), SCMP_SYS(linkat),
		SCMP_SYS(unlinkat), SCMP_SYS(renameat2), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
		SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
		NR_openat2, /* by number: older headers don't know its name */
	};
	const struct rule bounded[] = {
		/* By descriptor only: Landlock doesn't see changes of mode and time through a path. */
		{ SCMP_SYS(utimensat), 1, { SCMP_A1(SCMP_CMP_EQ, 0) } },
		{ SCMP_SYS(fchmod), 1, { SCMP_A1(SCMP_CMP_MASKED_EQ, S_ISUID, 0) } },
		/* Whiteouts, and no device. */
		{ SCMP_SYS(mknodat), 2, { SCMP_A2(SCMP_CMP_MASKED_EQ, S_IFMT, S_IFCHR), SCMP_A3(SCMP_CMP_EQ, 0) } },
		{ SCMP_SYS(mmap), 1, { SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } },
		{ SCMP_SYS(mprotect), 1, { SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) } },
		{ SCMP_SYS(fcntl), 1, { SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC) } },
		{ SCMP_SYS(fcntl), 1, { SCMP_A1(SCMP_CMP_EQ, F_GETFL) } },
		{ SCMP_SYS(fcntl), 1, { SCMP_A1(SCMP_CMP_EQ, F_GETFD) } },
		{ SCMP_SYS(fcntl), 1, { SCMP_A1(SCMP_CMP_EQ, F_SETFD) } },
	};
	int r = 0;

	for (size_t i = 0; i < COUNT_OF(plain) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain[i], 0);
	for (size_t i = 0; i < COUNT_OF(bounded) && r == 0; i++)
		r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, bounded[i].nr, bounded[i].count, bounded[i].arg);
	return r;
}

static int restrict_calls(struct job *job)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return failed(job, ENOMEM, "seccomp_init", "system call filter");
	r = add_rules(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? failed(job, -r, "seccomp_load", "system call filter") : 0;
}

/* Trust nothing: what must fail is tried. */
static int verify(struct job *job)
{
	int r = sys_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	struct u_open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC };
	int s = sys_openat2(AT_FDCWD, "/", &how), net = sys_socket(1 /* AF_UNIX */, 1, 0);

	if (r == -EPERM && s == -EACCES && net == -EPERM)
		return 0;
	failed(job, 0, NULL, "(verification)");
	return error_detail(job->error, "openat %d, openat2 %d, socket %d", r, s, net);
}

int confine(struct job *job)
{
	int r;

	if (set_limits(job) < 0 || keep_capabilities(job) < 0)
		return -1;
	if ((r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) < 0)
		return failed(job, -r, "prctl", "no_new_privs");
	if ((r = sys_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) < 0)
		return failed(job, -r, "prctl", "dumpable");
	if (restrict_files(job) < 0 || restrict_calls(job) < 0)
		return -1;
	return verify(job);
}
