/* Is kernel.pid_max a pid namespace's own (Linux 6.14)? Asked without writing: where it is, a new namespace's file
 * belongs to the root of the user namespace that made it; where it isn't, to the machine's root.
 * Runs in: parent, child (raw calls only, since the host program may have threads). */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

#define PID_MAX "/proc/sys/kernel/pid_max"

/* Uid 0 is mapped here, to an id that isn't 0 outside: the machine's root has no name in here, and can't be taken for
 * ours. */
static void look(int go, int answer)
{
	struct stat st;
	char byte, own = 0;

	sys_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (sys_read(go, &byte, 1) != 1)
		sys_exit(1);
	if (SYS4(SYS_newfstatat, AT_FDCWD, PID_MAX, &st, 0) == 0 && st.st_uid == 0)
		own = 1;
	sys_write(answer, &own, 1);
	sys_exit(0);
}

static bool map_root(struct host *h, long pid)
{
	const char *path = arena_printf(h->arena, "/proc/%ld/uid_map", pid);
	const char *line = arena_printf(h->arena, "0 %u 1", h->euid ? h->euid : HOST_ID_POOL_START);
	int fd = path && line ? sys_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0) : -1;
	bool good = fd >= 0 && sys_write(fd, line, strlen(line)) == (long)strlen(line);

	if (fd >= 0)
		sys_close(fd);
	return good;
}

static char ask(struct host *h, const int go[2], const int answer[2])
{
	int status;
	char own = 0;
	/* Without an exit signal a waitpid(-1) or SIGCHLD handler of the host program doesn't see it. */
	long pid = SYS5(SYS_clone, U_CLONE_NEWUSER | U_CLONE_NEWPID, 0, 0, 0, 0);

	if (pid == 0) {
		sys_close(go[1]);
		look(go[0], answer[1]);
	}
	if (pid < 0)
		return 0;
	if (map_root(h, pid))
		sys_write(go[1], "", 1);
	else
		SYS2(SYS_kill, pid, SIGKILL); /* not waited for yet: the number is still its own */
	while (SYS4(SYS_wait4, pid, &status, __WALL, NULL) == -EINTR)
		continue;
	sys_write(answer[1], "", 1); /* where it has said nothing, this is the answer: no */
	return sys_read(answer[0], &own, 1) == 1 ? own : 0;
}

void host_probe_pid_max(struct host *h)
{
	int go[2], answer[2];

	h->pid_max_own = false;
	if (h->kernel_major < 6 || (h->kernel_major == 6 && h->kernel_minor < 14) || sys_pipe2(go, O_CLOEXEC) < 0)
		return;
	if (sys_pipe2(answer, O_CLOEXEC) == 0) {
		h->pid_max_own = ask(h, go, answer) == 1;
		sys_close(answer[0]);
		sys_close(answer[1]);
	}
	sys_close(go[0]);
	sys_close(go[1]);
}
