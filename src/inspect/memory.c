/* How much memory can be had: tried by a child, so that its end isn't ours.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct progress { uint32_t reached; int32_t errnum; };

static void say(int fd, uint32_t reached, int errnum)
{
	struct progress p = { reached, errnum };

	if (write(fd, &p, sizeof p) != (ssize_t)sizeof p)
		_exit(1);
}

/* If memory gets short for all, this one is to go first. */
static void volunteer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) != 4)
		errno = 0; /* not allowed here: the bound is small enough without */
	close(fd);
}

/* Doubles the block until it's refused, then halves it: so the end is known to 1 MiB. */
static void grow(int fd, unsigned bound)
{
	unsigned block = 1, reached = 0;
	bool refused = false;

	volunteer();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(20);
	while (reached < bound) {
		unsigned now = block < bound - reached ? block : bound - reached;
		char *volatile p = malloc((size_t)now << 20);
		if (!p && now == 1) {
			say(fd, reached, errno);
			return;
		}
		if (!p) {
			refused = true;
			block = now / 2;
			continue;
		}
		memset(p, 0x5a, (size_t)now << 20);
		reached += now;
		say(fd, reached, 0);
		if (!refused)
			block *= 2;
	}
}

static void watch(struct seen_memory *m, int fd, pid_t child)
{
	struct progress p;
	int status;

	m->end = MEMORY_BOUND;
	while (read(fd, &p, sizeof p) == (ssize_t)sizeof p) {
		m->reached = p.reached;
		m->errnum = p.errnum;
	}
	if (m->errnum)
		m->end = MEMORY_REFUSED;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			m->errnum = errno;
			m->end = MEMORY_UNTRIED;
			return;
		}
	}
	if (WIFSIGNALED(status)) {
		m->end = MEMORY_KILLED;
		m->signal = WTERMSIG(status);
	} else if (m->end == MEMORY_BOUND && m->reached < m->bound) {
		m->end = MEMORY_UNTRIED;
		m->errnum = EIO;
	}
}

void collect_memory(struct seen_memory *m, unsigned bound_mib)
{
	int fds[2];
	pid_t child;

	*m = (struct seen_memory){ .end = MEMORY_UNTRIED, .bound = bound_mib };
	if (!bound_mib)
		return;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		m->errnum = errno;
		return;
	}
	child = fork();
	if (child == 0) {
		close(fds[0]);
		grow(fds[1], bound_mib);
		_exit(0);
	}
	if (child < 0)
		m->errnum = errno;
	close(fds[1]);
	if (child > 0)
		watch(m, fds[0], child);
	close(fds[0]);
}
