/* Probes of group J, K: each takes more than it should, up to a bound of its own, and says ESCAPED when it got all.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define MIB_MOST 128
#define COUNT_MOST 4000

/* What was asked for, held to the probe's own bound. */
static long most(const char *text, long bound)
{
	long n = number(text);

	return n < bound ? n : bound;
}

static void spend_until(clockid_t clock, long ms)
{
	struct timespec t;

	do
		clock_gettime(clock, &t);
	while (t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

static void bomb_forks(char **args)
{
	long want = most(args[0], 200), made = 0;

	for (; made < want; made++) {
		pid_t p = fork();
		if (p < 0)
			break;
		if (p == 0) {
			alarm(10);
			usleep(400000);
			_exit(0);
		}
	}
	usleep(100000);
	if (made == want)
		escaped("%ld processes", made);
	printf("HELD %ld of %ld processes\n", made, want);
	fflush(stdout);
	_exit(1);
}

static void *nap(void *unused)
{
	usleep(300000);
	return unused;
}

static void bomb_threads(char **args)
{
	long want = most(args[0], 200), made = 0;
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	while (made < want && pthread_create(&t, &small, nap, NULL) == 0)
		made++;
	usleep(100000);
	if (made == want)
		escaped("%ld threads", made);
	printf("HELD %ld of %ld threads\n", made, want);
	fflush(stdout);
	_exit(1);
}

/* args: MiB, kind: private, shared, memfd, pipes, tables (page tables: one page in each 2 MiB) */
static void bomb_memory(char **args)
{
	long mib = most(args[0], MIB_MOST);
	static char block[MIB];
	int fd = -1, ends[2];

	memset(block, 1, sizeof(block));
	if (!strcmp(args[1], "memfd") && ((fd = memfd_create("bomb", 0)) < 0 || ftruncate(fd, 1LL << 33)))
		held("memfd: %s", strerror(errno));
	if (!strcmp(args[1], "tables")) {
		/* Each touch is a page of data and a page of tables. */
		char *p = mmap(NULL, (size_t)mib << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			held("mmap: %s", strerror(errno));
		for (long i = 0; i < mib * 128; i++)
			p[(size_t)i << 21] = 1;
		escaped("%ld pages and their tables", mib * 128);
	}
	for (long i = 0; i < mib; i++) {
		if (!strcmp(args[1], "pipes")) {
			if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, MIB) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
				held("pipe %ld: %s", i, strerror(errno));
			for (ssize_t n = 0, done = 0; done < (ssize_t)MIB && (n = write(ends[1], block, sizeof(block) - (size_t)done)) > 0;)
				done += n;
			continue;
		}
		if (fd >= 0) {
			if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
				held("write: %s", strerror(errno));
			continue;
		}
		char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (!strcmp(args[1], "shared") ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		if (p == MAP_FAILED)
			held("mmap after %ld MiB: %s", i, strerror(errno));
		memset(p, 1, MIB);
	}
	escaped("%ld MiB", mib);
}

/* args: file, MiB. The file goes again. */
static void bomb_file(char **args)
{
	static char block[MIB];
	int fd = open(args[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	long mib = most(args[1], MIB_MOST), i = 0;

	if (fd < 0)
		broken("%s: %s", args[0], strerror(errno));
	memset(block, 1, sizeof(block));
	while (i < mib && write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
		i++;
	if (i == mib) {
		unlink(args[0]);
		escaped("%ld MiB", i);
	}
	printf("HELD %ld of %ld MiB: %s\n", i, mib, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* args: directory, count */
static void bomb_files(char **args)
{
	long want = most(args[1], COUNT_MOST), made = 0;
	char path[300];

	for (; made < want; made++) {
		snprintf(path, sizeof(path), "%s/probe-%ld", args[0], made);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);
		if (fd < 0)
			break;
		close(fd);
	}
	for (long i = 0; made == want && i < made; i++) {
		snprintf(path, sizeof(path), "%s/probe-%ld", args[0], i);
		unlink(path);
	}
	if (made == want)
		escaped("%ld files", made);
	printf("HELD %ld of %ld files: %s\n", made, want, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* args: count, kind: files, watches, terminals, flight (sockets that travel in each other) */
static void bomb_fds(char **args)
{
	long want = most(args[0], COUNT_MOST), made = 0;
	int last = -1;

	for (; made < want; made++) {
		int fd = -1, pair[2];
		if (!strcmp(args[1], "watches")) {
			fd = inotify_init1(IN_CLOEXEC);
		} else if (!strcmp(args[1], "terminals")) {
			fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
		} else if (!strcmp(args[1], "flight")) {
			char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
			struct iovec io = { &byte, 1 };
			struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
			struct cmsghdr *h = CMSG_FIRSTHDR(&m);
			if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
				break;
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(h), &last, sizeof(int));
			if (last >= 0 && sendmsg(pair[0], &m, 0) < 0)
				break;
			close(last);
			close(pair[0]);
			fd = last = pair[1];
		} else {
			fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		}
		if (fd < 0)
			break;
	}
	if (made == want)
		escaped("%ld", made);
	held("%ld of %ld: %s", made, want, strerror(errno));
}

/* args: processes, milliseconds of each */
static void bomb_processor(char **args)
{
	long count = most(args[0], 8), ms = most(args[1], 2000);
	int *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED, -1, 0);

	if (done == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	for (long i = 0; i < count; i++) {
		if (fork() == 0) {
			alarm(20);
			if (fork() == 0) {
				alarm(20);
				spend_until(CLOCK_PROCESS_CPUTIME_ID, ms);
				__atomic_add_fetch(done, 1, __ATOMIC_SEQ_CST);
				_exit(0);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 1500 && __atomic_load_n(done, __ATOMIC_SEQ_CST) < count; i++)
		usleep(10000);
	if (__atomic_load_n(done, __ATOMIC_SEQ_CST) == count)
		escaped("%ld times %ld ms of processor time that nobody waits for", count, ms);
	held("they didn't get it");
}

/* args: milliseconds, how: sleep, stop, deaf, read */
static void bomb_wall(char **args)
{
	long ms = most(args[0], 5000);
	int ends[2];

	for (int i = 1; i < 65 && !strcmp(args[1], "deaf"); i++)
		if (i != SIGALRM)
			signal(i, SIG_IGN);
	if (!strcmp(args[1], "stop") && fork() == 0) {
		pid_t parent = getppid();
		usleep((useconds_t)ms * 1000);      /* outside somebody must wake it */
		kill(parent, SIGCONT);
		_exit(0);
	}
	if (!strcmp(args[1], "stop"))
		raise(SIGSTOP);
	else if (!strcmp(args[1], "read") && pipe(ends) == 0 && fork() == 0)
		usleep((useconds_t)ms * 1000), _exit(0);
	else
		usleep((useconds_t)ms * 1000);
	if (!strcmp(args[1], "read"))
		close(ends[1]), (void)!read(ends[0], ends, 1);
	escaped("%ld ms by the clock", ms);
}

/* args: MiB. Written to standard output, the word to standard error. */
static void bomb_output(char **args)
{
	static char block[65536];
	long mib = most(args[0], 64);

	memset(block, 'x', sizeof(block));
	for (long i = 0; i < mib * 16; i++)
		if (write(1, block, sizeof(block)) != (ssize_t)sizeof(block))
			break;
	_exit(0);
}

/* A segment that outlives us, of one page. */
static void leave_shm(char **args)
{
	int id = shmget((key_t)number(args[0]), 4096, IPC_CREAT | 0600);

	if (id < 0)
		held("shmget: %s", strerror(errno));
	held("left %d", id);
}

/* args: path */
static void leave_file(char **args)
{
	int fd = open(args[0], O_WRONLY | O_CREAT, 0644);

	held("%s", fd < 0 ? strerror(errno) : "left");
}

static void see_file(char **args)
{
	if (access(args[0], F_OK) == 0)
		escaped("%s is there", args[0]);
	held("%s", strerror(errno));
}

/* args: MiB: taken and given back before the end */
static void touch_and_free(char **args)
{
	size_t size = (size_t)most(args[0], MIB_MOST) << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

	if (p == MAP_FAILED)
		broken("mmap: %s", strerror(errno));
	memset(p, 1, size);
	usleep(100000);
	munmap(p, size);
	held("given back");
}

static void affinity(char **args)
{
	cpu_set_t all, now;

	(void)args;
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	if (sched_getaffinity(0, sizeof(now), &now))
		broken("sched_getaffinity: %s", strerror(errno));
	if (CPU_COUNT(&now) > 1)
		escaped("%d processors", CPU_COUNT(&now));
	held("one processor");
}

/* args: directory. Deep, with odd names, closed to everybody. */
static void deep_path(char **args)
{
	char name[256];
	int depth = 0;

	if (chdir(args[0]))
		broken("%s: %s", args[0], strerror(errno));
	memset(name, '\n', 255);
	name[255] = 0;
	while (depth < 2000 && mkdir(name, 0700) == 0 && chdir(name) == 0)
		depth++;
	(void)!symlink("/", "link");
	chmod(".", 0);
	held("%d levels", depth);
}

const struct verb limit_verbs[] = {
	{ "forks", 1, bomb_forks }, { "threads", 1, bomb_threads }, { "memory", 2, bomb_memory }, { "bigfile", 2, bomb_file }, { "manyfiles", 2, bomb_files },
	{ "fds", 2, bomb_fds }, { "processor", 2, bomb_processor }, { "wall", 2, bomb_wall }, { "output", 1, bomb_output }, { "leaveshm", 1, leave_shm },
	{ "leavefile", 1, leave_file }, { "seefile", 1, see_file }, { "touch", 1, touch_and_free }, { "affinity", 0, affinity }, { "deep", 1, deep_path }, { 0 },
};
