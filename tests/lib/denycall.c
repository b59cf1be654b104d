/* denycall NAME ERRNO COMMAND…: runs the command where one system call fails, as under a filter of the surroundings.
 * Runs in: the test process (before hutch). */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct { const char *name; unsigned number; } calls[] = {
	{"openat2", 437}, {"clone3", 435}, {"open_tree", 428}, {"mount_setattr", 442}, {"move_mount", 429}, {"fsopen", 430},
	{"fsmount", 432}, {"close_range", 436}, {"pidfd_open", 434}, {"pidfd_send_signal", 424}, {"faccessat2", 439},
	{"landlock_create_ruleset", 444}, {"landlock_restrict_self", 446}, {"prctl", SYS_prctl}, {"mount", SYS_mount}, {"unshare", SYS_unshare}, {"pivot_root", SYS_pivot_root},
};

int main(int argc, char **argv)
{
	unsigned number = 0, error = EPERM;
	struct sock_filter words[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, words};

	if (argc < 4)
		return 99;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, argv[1]) == 0)
			number = calls[i].number;
	if (strcmp(argv[2], "ENOSYS") == 0)
		error = ENOSYS;
	if (!number)
		return 99;
	words[1].k = number;
	words[2].k = SECCOMP_RET_ERRNO | error;
	/* no_new_privs would change what is tested only for setuid helpers; root goes without */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
			perror("denycall");
			return 99;
		}
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 99;
}
