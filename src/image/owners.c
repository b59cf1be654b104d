/* Owners of files: all the caller's, or kept apart with the caller's ranges of ids.
 * Runs in: parent. */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"

static int failed(struct job *job, int errnum, const char *call, const char *what)
{
	return error_set(job->error, ERR_IMAGE_OWNERS, errnum, call, what, NULL);
}

static int none(struct job *job, const struct host *h)
{
	failed(job, 0, NULL, "ranges");
	if (!h->subuid.count || !h->subgid.count)
		return error_detail(job->error, "/etc/subuid or /etc/subgid has none for uid %u", h->uid);
	return error_detail(job->error, "newuidmap and newgidmap aren't installed, or without the right that they need");
}

static void use_ranges(struct owners *o, const struct host *h)
{
	bool root = h->uid == 0;

	o->ranges = true;
	o->inside = !root;
	/* As map=auto of a run has them: root's inside 0 is the first of the range, a user's is the user. */
	o->uid_base = root ? h->subuid.start : 0;
	o->gid_base = root ? h->subgid.start : 0;
	o->uid_count = h->subuid.count + !root;
	o->gid_count = h->subgid.count + !root;
	snprintf(o->tag, sizeof o->tag, ".u%u-%u.g%u-%u", h->subuid.start, h->subuid.count, h->subgid.start, h->subgid.count);
}

int owners_decide(struct job *job)
{
	const char *want = job->text[OPT_OWNERS] ? job->text[OPT_OWNERS] : "auto";
	struct host h = { .arena = &job->arena, .uid = geteuid(), .euid = geteuid() };
	bool there;

	if (!strcmp(want, "own"))
		return 0;
	if (strcmp(want, "auto") && strcmp(want, "ranges")) {
		error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, want, "--image-owners");
		return error_detail(job->error, "it takes auto, own or ranges");
	}
	host_probe_ids(&h);
	there = h.subuid.count && h.subgid.count && (h.uid == 0 || (h.newuidmap && h.newgidmap));
	if (there)
		use_ranges(&job->owners, &h);
	return there || !strcmp(want, "auto") ? 0 : none(job, &h);
}

/* ---- a child that has the ranges ---- */
static int run_helper(struct job *job, const char *path, pid_t pid, uint32_t own, uint32_t start, uint32_t count)
{
	char words[5][12], *argv[] = { (char *)(uintptr_t)path, words[0], (char[]){ "0" }, words[1], (char[]){ "1" }, (char[]){ "1" }, words[2], words[3], NULL };
	char *nothing[] = { NULL };
	int status = 0, r;
	pid_t child;

	snprintf(words[0], sizeof words[0], "%d", (int)pid);
	snprintf(words[1], sizeof words[1], "%u", own);
	snprintf(words[2], sizeof words[2], "%u", start);
	snprintf(words[3], sizeof words[3], "%u", count);
	r = posix_spawn(&child, path, NULL, NULL, argv, nothing);
	if (r)
		return failed(job, r, "posix_spawn", path);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!status)
		return 0;
	failed(job, 0, NULL, path);
	return error_detail(job->error, "it ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int write_maps(struct job *job, pid_t pid)
{
	struct host h = { .arena = &job->arena, .uid = geteuid(), .euid = geteuid() };

	host_probe_ids(&h);
	if (!h.newuidmap || !h.newgidmap)
		return none(job, &h);
	return run_helper(job, h.newuidmap_path, pid, geteuid(), h.subuid.start, h.subuid.count) < 0 ||
	       run_helper(job, h.newgidmap_path, pid, getegid(), h.subgid.start, h.subgid.count) < 0 ? -1 : 0;
}

static int report(struct job *job)
{
	put_error(job);
	return 1;
}

static int child_main(struct job *job, pid_t parent, int ready, int go, int (*work)(struct job *))
{
	char byte = 0;

	/* The maps are written for a namespace that is there; before GO nothing of it is used. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 1;
	if (unshare(CLONE_NEWUSER) < 0) {
		failed(job, errno, "unshare", "user namespace");
		return report(job);
	}
	if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return 1; /* the parent has said why */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
		failed(job, errno, "setresuid", "root of the ranges");
		return report(job);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* the change of ids cleared it */
	if (getppid() != parent)
		return 1;
	return work(job);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int owners_run(struct job *job, int (*work)(struct job *))
{
	int ready[2], go[2];
	pid_t parent = getpid(), pid;
	char byte = 0;

	if (!job->owners.inside)
		return work(job);
	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return failed(job, errno, "pipe2", "(handshake)"), report(job);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		close(go[1]);
		_exit(child_main(job, parent, ready[1], go[0], work));
	}
	close(ready[1]);
	close(go[0]);
	if (pid < 0)
		return failed(job, errno, "fork", "(handshake)"), report(job);
	if (read(ready[0], &byte, 1) == 1 && (write_maps(job, pid) < 0 || write(go[1], &byte, 1) != 1)) {
		close(go[1]); /* the end of it means: don't */
		wait_for(pid);
		return report(job);
	}
	return wait_for(pid);
}
