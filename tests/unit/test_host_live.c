/* Tests of src/host on the present machine, and in surroundings that each test makes for a child.
 * Runs in: parent. */
#include "host_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sys/uapi.h"

/* ---- the live file system ---- */
static void live_lookup(void **state)
{
	static const char *const names[] = { "f", "d", "d/e", "lf", "up", "rel", "loop", "gone", "f/x", "lf/x", "none", "d/../f", "d/./e/", "blank name" };
	struct fixture *f = *state;
	struct host h;

	put(f, "f", "x", 1, 0640);
	put(f, "blank name", "x", 1, 0644);
	assert_int_equal(mkdir(in_dir(f, "d"), 0755) | mkdir(in_dir(f, "d/e"), 0755), 0);
	assert_int_equal(symlink("f", in_dir(f, "lf")) | symlink("d/e/..", in_dir(f, "up")) | symlink("../../../../../../../etc", in_dir(f, "rel")) |
			 symlink("loop", in_dir(f, "loop")) | symlink("/nonexistent", in_dir(f, "gone")), 0);
	assert_int_equal(host_probe(&h, &f->arena, &f->error), 0);
	for (size_t i = 0; i < COUNT_OF(names) + 2; i++) {
		const char *path = i < COUNT_OF(names) ? in_dir(f, names[i]) : i == COUNT_OF(names) ? "/proc/self" : "/bin/sh";
		const struct host_file *r = h.lookup(&h, NULL, path);
		char real[PATH_MAX];
		struct stat s;

		errno = 0;
		const char *want = realpath(path, real);

		assert_int_equal(r->errnum, want ? 0 : errno);
		if (!want)
			continue;
		assert_string_equal(r->real, want);
		assert_int_equal(stat(path, &s), 0);
		assert_true(r->ino == s.st_ino && r->dev == s.st_dev && r->mode == s.st_mode && r->uid == s.st_uid && r->gid == s.st_gid && r->rdev == s.st_rdev);
	}
	assert_string_equal(h.lookup(&h, NULL, in_dir(f, "lf"))->link, "f");
	/* absolute links stay inside of a root */
	assert_int_equal(symlink("/f", in_dir(f, "d/abs")), 0);
	assert_int_equal(h.lookup(&h, in_dir(f, "d"), "/abs")->errnum, ENOENT);
	assert_string_equal(h.lookup(&h, f->dir, "/lf")->real, in_dir(f, "f"));
}

/* A magic link whose text is no path, or leads elsewhere, counts as what it leads to. */
static void magic_links(void **state)
{
	struct fixture *f = *state;
	struct host h;
	struct stat s;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(host_probe(&h, &f->arena, &f->error), 0);
	if (!h.proc_mounted)
		skip();
	const struct host_file *r = h.lookup(&h, NULL, arena_printf(&f->arena, "/proc/self/fd/%d", fds[0]));

	assert_int_equal(fstat(fds[0], &s), 0);
	assert_int_equal(r->errnum, 0);
	assert_true(S_ISFIFO(r->mode) && r->ino == s.st_ino);
	int fd = open(put(f, "moved", "x", 1, 0644), O_RDONLY);

	assert_int_equal(unlink(in_dir(f, "moved")), 0);
	put(f, "moved (deleted)", "y", 1, 0644); /* where the link's text leads now */
	assert_int_equal(fstat(fd, &s), 0);
	r = h.lookup(&h, NULL, arena_printf(&f->arena, "/proc/self/fd/%d", fd));
	assert_int_equal(r->errnum, 0);
	assert_true(S_ISREG(r->mode) && r->ino == s.st_ino);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

static void live_mounts(void **state)
{
	struct fixture *f = *state;
	struct host h;
	bool proc = false;

	assert_int_equal(host_probe(&h, &f->arena, &f->error), 0);
	if (!h.proc_mounted)
		skip();
	for (const char *const *m = h.submounts(&h, "/"); *m; m++)
		proc |= strcmp(*m, "/proc") == 0;
	assert_true(proc);
	assert_string_equal(h.submounts(&h, "/proc")[0], "/proc");
	assert_null(h.submounts(&h, f->dir)[0]);
}

static void probe(void **state)
{
	struct fixture *f = *state;
	struct host h;

	assert_int_equal(host_probe(&h, &f->arena, &f->error), 0);
	assert_int_equal(h.uid, getuid());
	assert_int_equal(h.euid, geteuid());
	assert_int_equal(h.gid, getgid());
	assert_int_equal((int)h.group_count, getgroups(0, NULL));
	assert_int_equal(h.no_new_privs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	for (unsigned cap = 0; cap <= h.cap_last; cap++)
		assert_int_equal(h.cap_bounding >> cap & 1, prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1);
	assert_false(h.full);
	assert_int_equal(h.userns, USERNS_UNKNOWN);
}

/* ---- changed surroundings, each in a child that they end with ---- */
static struct sock_filter deny[16];

/* Filter: call nr gets the action, all else passes. Architecture is ours: the test makes native calls only. */
static void filter_call(unsigned nr, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT_OF(code), deny };

	memcpy(deny, code, sizeof code);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(99);
}

/* Runs body in a child: its exit status, 99 = the surroundings couldn't be made here. */
static int in_child(int (*body)(struct fixture *f), struct fixture *f)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int body_ignored_signal(struct fixture *f)
{
	struct host h;

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_DFL);
	close(0);
	if (open("/", O_RDONLY | O_DIRECTORY) != 0)
		return 99;
	close(1);
	if (host_probe(&h, &f->arena, &f->error) != 0)
		return 1;
	return !(h.sig_ignored & 1ull << (SIGUSR1 - 1)) || (h.sig_ignored & 1ull << (SIGUSR2 - 1)) || !h.fd_open[0] || !S_ISDIR(h.fd_mode[0]) ||
	       h.fd_open[1];
}

static int body_stdin(struct fixture *f)
{
	const char *path = put(f, "in", "x", 1, 0644);
	struct host h;

	close(0);
	if (open(path, O_RDWR) != 0 || host_probe(&h, &f->arena, &f->error) != 0)
		return 99;
	if (!h.stdin_path || strcmp(h.stdin_path, path) != 0 || (h.fd_flags[0] & O_ACCMODE) != O_RDWR)
		return 1;
	unlink(path);
	put(f, "in (deleted)", "y", 1, 0644); /* another file, under the name that the kernel now gives */
	if (host_probe(&h, &f->arena, &f->error) != 0)
		return 99;
	return h.stdin_path ? 2 : 0;
}

static int body_filtered_clone3(struct fixture *f)
{
	struct host h;

	filter_call(NR_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	filter_call(NR_openat2, SECCOMP_RET_ERRNO | EPERM);
	filter_call(NR_fsconfig, SECCOMP_RET_ERRNO | EPERM);
	filter_call(NR_fsopen, SECCOMP_RET_ERRNO | EPERM);
	if (host_probe(&h, &f->arena, &f->error) != 0 || h.seccomp_mode != 2)
		return 1;
	if (h.kernel_major < 6)
		return 99;
	return h.clone3 || h.openat2 || h.fsopen || !h.close_range || !h.pidfd || !h.open_tree || !h.mount_setattr || !h.move_mount;
}

static int refused(struct fixture *f, enum userns_state want)
{
	struct hutch_error e;
	struct host h;

	if (host_probe_full(&h, &f->arena, &f->error) != 0 || h.userns != want)
		return 1;
	error_set(&e, ERR_LAUNCH_CLONE, want == USERNS_NO_LIMIT ? ENOSPC : EPERM, "clone3", NULL, NULL);
	host_explain(&e);
	return strcmp(e.detail, host_userns_cause(want)) != 0 || !strstr(e.remedy, "--userns=never");
}

static int body_filtered_unshare(struct fixture *f)
{
	filter_call(SYS_unshare, SECCOMP_RET_ERRNO | EPERM);
	return refused(f, USERNS_NO_SECCOMP);
}

/* A filter that kills must not take us with it, only the trial. */
static int body_killing_unshare(struct fixture *f)
{
	filter_call(SYS_unshare, SECCOMP_RET_KILL_PROCESS);
	return refused(f, USERNS_NO_SECCOMP);
}

static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	close(fd);
	return n < 0 ? -1 : 0;
}

static int own_userns(void)
{
	char line[32];

	snprintf(line, sizeof line, "0 %u 1", geteuid());
	return unshare(CLONE_NEWUSER) != 0 || write_to("/proc/self/setgroups", "deny") != 0 || write_to("/proc/self/uid_map", line) != 0 ? -1 : 0;
}

static int body_no_limit(struct fixture *f)
{
	if (own_userns() != 0 || write_to("/proc/sys/user/max_user_namespaces", "0") != 0)
		return 99;
	return refused(f, USERNS_NO_LIMIT);
}

/* Without /proc every fact of the caller must be the same, by other means. */
static int body_no_proc(struct fixture *f)
{
	struct host with, without;

	signal(SIGUSR1, SIG_IGN);
	if (own_userns() != 0 || host_probe(&with, &f->arena, &f->error) != 0 || chroot(f->dir) != 0 || chdir("/") != 0)
		return 99;
	if (host_probe(&without, &f->arena, &f->error) != 0)
		return 1;
	return without.proc_mounted || without.proc_mountable || without.uid != with.uid || without.egid != with.egid ||
	       without.cap_effective != with.cap_effective || without.cap_permitted != with.cap_permitted ||
	       without.cap_bounding != with.cap_bounding || without.cap_last != with.cap_last || without.sig_ignored != with.sig_ignored ||
	       without.group_count != with.group_count || without.no_new_privs != with.no_new_privs || without.clone3 != with.clone3 ||
	       without.seccomp_filter != with.seccomp_filter;
}

static void surroundings(void **state)
{
	static const struct { const char *name; int (*body)(struct fixture *); } cases[] = {
		{ "ignored signal, closed and directory descriptors", body_ignored_signal }, { "standard input's path", body_stdin },
		{ "filtered calls", body_filtered_clone3 }, { "unshare refused", body_filtered_unshare }, { "unshare kills", body_killing_unshare },
		{ "max_user_namespaces 0", body_no_limit }, { "no /proc", body_no_proc },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int r = in_child(cases[i].body, *state);

		if (r == 99)
			print_message("skipped: %s (can't be made here)\n", cases[i].name);
		else if (r != 0)
			fail_msg("%s: %d", cases[i].name, r);
	}
}

/* A trial leaves nothing: no child, no changed mount, no descriptor. */
static void trial_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct hutch_error e = { 0 };
	struct host h;
	struct trial t;
	sigset_t chld, old, pending;
	int before = dup(0), after;

	close(before);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	assert_int_equal(host_probe(&h, &f->arena, &e), 0);
	assert_int_equal(host_trial(&h, &t, &e), 0);
	/* the host program's handler isn't woken for a child that it doesn't know */
	assert_int_equal(sigpending(&pending), 0);
	assert_false(sigismember(&pending, SIGCHLD));
	sigprocmask(SIG_SETMASK, &old, NULL);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	for (int i = 0; i < TRIAL_STEPS; i++)
		assert_true(t.errnum[i] >= -1 && t.errnum[i] < 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(live_lookup), TEST(magic_links), TEST(live_mounts), TEST(probe), TEST(surroundings), TEST(trial_leaves_nothing),
	};

	return cmocka_run_group_tests_name("host-live", tests, NULL, NULL);
}
