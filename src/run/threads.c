/* Confines every other thread of a process: each runs its own part of the plan, in a handler of one signal.
 * The kernel keeps credentials and Landlock domains for each thread, and has no call for all of them before Landlock
 * ABI 8. Nothing is kept in static data: what a thread has to do travels with the signal. Whoever is done waits in the
 * handler for the others: so a confined thread makes no new ones meanwhile, which could be taken for unconfined.
 * Runs in: child. */
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "layer/layer.h"
#include "sys/sys.h"

#define MOST_THREADS 16384
#define PATIENCE_S 10 /* for a thread that sleeps in the kernel where no signal wakes it */

enum slot_state { SLOT_SENT, SLOT_DONE, SLOT_FAILED, SLOT_GONE };
struct slot { int tid, state; };
struct crew {
	struct child *child;
	int pid, signal;
	int answers;             /* futex: how many threads have answered */
	int go;                  /* futex: the others are done as well */
	int left;                /* futex: how many threads need none of this any more */
	int failed;              /* the first one that does writes the error */
	size_t count;
	struct slot slots[MOST_THREADS];
};

/* The kernel's own structure. */
struct action { void (*handler)(int, siginfo_t *, void *); unsigned long flags; void (*restorer)(void); uint64_t mask; };
#define NEEDS_RESTORER 0x04000000ul

#if defined(__x86_64__)
/* Where a handler returns to: the C library's own isn't exported, and this signal is one that it keeps for itself. */
void threads_restore(void);
__asm__(".text\n.type threads_restore,@function\n.hidden threads_restore\n.globl threads_restore\nthreads_restore:\n"
	"\tmov $15, %eax\n\tsyscall\n.size threads_restore, .-threads_restore\n");
#define RESTORE threads_restore, .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | NEEDS_RESTORER
#else
#define RESTORE NULL, .flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK
#endif

static op_function *const operations[OP_KINDS] = {
#define X(symbol, name) [OP_##symbol] = child_op_##symbol,
	PLAN_OPS(X)
#undef X
};

static int own_part(struct child *c)
{
	const struct plan *p = c->plan;

	for (size_t i = 0; i < p->op_count; i++) {
		if ((p->ops[i].flags & OPF_EACH_THREAD) && operations[p->ops[i].kind](c, &p->ops[i]) < 0)
			return -1;
	}
	return 0;
}

/* Says so, and stays until all are through. */
static void answer(struct crew *crew, struct slot *s, int state)
{
	__atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
	__atomic_add_fetch(&crew->answers, 1, __ATOMIC_RELEASE);
	SYS3(SYS_futex, &crew->answers, FUTEX_WAKE_PRIVATE, 1);
	while (!__atomic_load_n(&crew->go, __ATOMIC_ACQUIRE))
		SYS4(SYS_futex, &crew->go, FUTEX_WAIT_PRIVATE, 0, NULL);
	__atomic_add_fetch(&crew->left, 1, __ATOMIC_RELEASE);
	SYS3(SYS_futex, &crew->left, FUTEX_WAKE_PRIVATE, 1); /* the memory may be gone: then it is only an error */
}

/* In each other thread. Raw system calls only, so whatever lock the thread holds is no matter. */
static void on_signal(int number, siginfo_t *info, void *context)
{
	struct crew *crew = info->si_value.sival_ptr;
	struct hutch_error error;

	(void)number;
	(void)context;
	if (info->si_code != SI_QUEUE || info->si_pid != (int)SYS0(SYS_getpid) || !crew)
		return; /* not from us */
	int tid = (int)SYS0(SYS_gettid);
	struct child mine = *crew->child;
	size_t count = __atomic_load_n(&crew->count, __ATOMIC_ACQUIRE);

	mine.error = &error;
	mine.one_of_many = true;
	for (size_t i = 0; i < count; i++) {
		struct slot *s = &crew->slots[i];
		int none = 0;
		if (s->tid != tid || __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) != SLOT_SENT)
			continue;
		if (own_part(&mine) == 0) {
			answer(crew, s, SLOT_DONE);
			return;
		}
		if (__atomic_compare_exchange_n(&crew->failed, &none, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			*crew->child->error = error;
		answer(crew, s, SLOT_FAILED);
		return;
	}
}

static int send(struct crew *crew, int tid)
{
	siginfo_t info = { .si_signo = crew->signal, .si_code = SI_QUEUE };
	struct slot *s = &crew->slots[crew->count];

	info.si_pid = crew->pid;
	info.si_value.sival_ptr = crew;
	*s = (struct slot){ tid, SLOT_SENT };
	__atomic_store_n(&crew->count, crew->count + 1, __ATOMIC_RELEASE);
	int r = (int)SYS4(SYS_rt_tgsigqueueinfo, crew->pid, tid, crew->signal, &info);
	if (r == -ESRCH)
		__atomic_store_n(&s->state, SLOT_GONE, __ATOMIC_RELEASE);
	return r == -ESRCH ? 0 : r;
}

static bool known(const struct crew *crew, int tid)
{
	for (size_t i = 0; i < crew->count; i++) {
		if (crew->slots[i].tid == tid && crew->slots[i].state != SLOT_GONE)
			return true;
	}
	return false;
}

static int number_of(const char *s)
{
	int n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (*s - '0');
	return *s ? 0 : n;
}

/* Sends to every thread that had none yet. *fresh: how many; *listed: how many threads there were in all. */
static int send_to_new(struct crew *crew, int dir, unsigned *fresh, unsigned *listed)
{
	struct entry { uint64_t ino; int64_t off; uint16_t len; uint8_t type; char name[]; };
	char buffer[4096] __attribute__((aligned(8)));
	int self = (int)SYS0(SYS_gettid);
	long n;

	*fresh = *listed = 0;
	if (SYS3(SYS_lseek, dir, 0, 0) < 0)
		return -EIO;
	while ((n = SYS3(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < n; at += ((struct entry *)(buffer + at))->len) {
			int tid = number_of(((struct entry *)(buffer + at))->name);
			if (!tid)
				continue;
			++*listed;
			if (tid == self || known(crew, tid))
				continue;
			if (crew->count == MOST_THREADS)
				return -E2BIG;
			int r = send(crew, tid);
			if (r < 0)
				return r;
			++*fresh;
		}
	}
	return (int)n;
}

/* A main thread that has ended, while others go on, stays in the list as a zombie. */
static bool is_over(int dir, int tid)
{
	char path[24], text[256], digits[12];
	int n = 0, at = 0, fd;
	long got;

	do
		digits[n++] = (char)('0' + tid % 10);
	while (tid /= 10);
	while (n)
		path[at++] = digits[--n];
	__builtin_memcpy(path + at, "/stat", 6);
	fd = sys_openat(dir, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT || fd == -ESRCH;
	got = sys_read(fd, text, sizeof text);
	sys_close(fd);
	/* The state follows the name, which may hold anything but is short. */
	while (got > 0 && text[got - 1] != ')')
		got--;
	return got > 0 && (text[got + 1] == 'Z' || text[got + 1] == 'X');
}

static int wait_for_all(struct crew *crew, int dir, int64_t deadline)
{
	for (;;) {
		const struct timespec pause = { 0, 20000000 };
		struct timespec now;
		int seen = __atomic_load_n(&crew->answers, __ATOMIC_ACQUIRE);
		size_t waiting = 0;
		for (size_t i = 0; i < crew->count; i++) {
			struct slot *s = &crew->slots[i];
			int state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
			if (state == SLOT_FAILED)
				return -1;
			waiting += state == SLOT_SENT;
		}
		if (!waiting)
			return 0;
		SYS2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
		if (now.tv_sec > deadline)
			return -ETIMEDOUT;
		if (SYS4(SYS_futex, &crew->answers, FUTEX_WAIT_PRIVATE, seen, &pause) != -ETIMEDOUT)
			continue;
		for (size_t i = 0; i < crew->count; i++) {
			struct slot *s = &crew->slots[i];
			int sent = SLOT_SENT;
			if (__atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == SLOT_SENT && is_over(dir, s->tid))
				__atomic_compare_exchange_n(&s->state, &sent, SLOT_GONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		}
	}
}

/* What was made meanwhile was made by a thread that is not confined yet: so until nobody is new, and the list is as
 * long as the kernel's own count. */
static int until_nobody_is_new(struct crew *crew, int dir)
{
	struct timespec now;
	struct stat st;
	unsigned fresh, listed;

	SYS2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	for (int64_t deadline = now.tv_sec + PATIENCE_S;;) {
		int r = send_to_new(crew, dir, &fresh, &listed);
		if (r == 0)
			r = wait_for_all(crew, dir, deadline);
		if (r < 0)
			return r;
		if (SYS2(SYS_fstat, dir, &st) < 0)
			return -EIO;
		if (!fresh && listed + 2 == st.st_nlink)
			return 0;
		SYS2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
		if (now.tv_sec > deadline)
			return -ETIMEDOUT;
	}
}

/* Lets all go on; returns when none of them needs the memory any more. */
static void dismiss(struct crew *crew)
{
	const struct timespec pause = { 0, 20000000 };

	__atomic_store_n(&crew->go, 1, __ATOMIC_RELEASE);
	SYS3(SYS_futex, &crew->go, FUTEX_WAKE_PRIVATE, MOST_THREADS);
	for (int left; (left = __atomic_load_n(&crew->left, __ATOMIC_ACQUIRE)) < __atomic_load_n(&crew->answers, __ATOMIC_ACQUIRE);)
		SYS4(SYS_futex, &crew->left, FUTEX_WAIT_PRIVATE, left, &pause);
}

static int muster(struct child *c, const struct op *op, struct crew *crew)
{
	struct action ours = { .handler = on_signal, .mask = ~UINT64_C(0), .restorer = RESTORE }, was;
	int dir = sys_openat(AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), r;

	if (dir < 0)
		return child_fail(c, op, ERR_ENTER_THREAD, dir, "openat", "/proc/self/task");
	crew->child = c;
	crew->pid = (int)SYS0(SYS_getpid);
	crew->signal = (int)op->number[0];
	r = (int)SYS4(SYS_rt_sigaction, crew->signal, &ours, &was, 8);
	if (r < 0) {
		sys_close(dir);
		return child_fail(c, op, ERR_ENTER_THREAD, r, "rt_sigaction", "the signal for threads");
	}
	r = until_nobody_is_new(crew, dir);
	dismiss(crew);
	SYS4(SYS_rt_sigaction, crew->signal, &was, NULL, 8);
	sys_close(dir);
	if (r == 0)
		return 0;
	/* A thread's own error stands already. */
	return __atomic_load_n(&crew->failed, __ATOMIC_ACQUIRE) ? -1 : child_fail(c, op, ERR_ENTER_THREAD, r, "rt_tgsigqueueinfo", "one didn't answer");
}

int child_op_EACH_THREAD(struct child *c, const struct op *op)
{
	long map = SYS5(SYS_mmap, NULL, sizeof(struct crew), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int r;

	if (map < 0 && map > -4096)
		return child_fail(c, op, ERR_NO_MEMORY, (int)map, "mmap", NULL);
	r = muster(c, op, (struct crew *)map);
	/* A thread that didn't answer in time may yet look at it. */
	if (r == 0)
		SYS2(SYS_munmap, map, sizeof(struct crew));
	return r;
}
