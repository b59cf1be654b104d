/* An unchanged program with the preload library in it, and what it can try against it: prints a verdict.
 * usage: embed-victim VERB FILE    FILE: what the sandbox doesn't show; reading it, or reaching main at all, is the escape
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int say(int escape, const char *what)
{
	printf("%s %s\n", escape ? "ESCAPED" : "HELD", what);
	fflush(stdout);
	return escape ? 10 : 0;
}

static long bare_open(const char *path)
{
#if defined(__x86_64__)
	long r;
	register long flags __asm__("r10") = 0;

	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_openat), "D"((long)AT_FDCWD), "S"(path), "d"((long)O_RDONLY), "r"(flags) : "rcx", "r11", "memory");
	return r;
#else
	return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
#endif
}

static int by_instruction(char *file)
{
	return say(bare_open(file) >= 0, "openat by the instruction itself");
}

/* ---- through children that don't have the library ---- */
static int reads(char *file)
{
	return say(open(file, O_RDONLY) >= 0, "read");
}

static int status_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int in_clone(void *file)
{
	return bare_open(file) >= 0 ? 10 : 0;
}

static pid_t by_vfork(char *const argv[], char *const env[], int out)
{
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(out, 1);
		execve(argv[0], argv, env);
		_exit(20);
	}
	return pid;
}

static pid_t by_call(char *file)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(in_clone(file));
	return pid;
}

/* An exec with nothing in the environment, by each way that starts a process. */
static int children(char *file)
{
	static char stack[65536] __attribute__((aligned(16)));
	char *argv[] = { (char *)"/proc/self/exe", (char *)"read", file, NULL }, *none[] = { NULL };
	int null = open("/dev/null", O_WRONLY);
	posix_spawn_file_actions_t quiet;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_adddup2(&quiet, null, 1);
	if (posix_spawn(&pid, argv[0], &quiet, NULL, argv, none))
		pid = -1;
	int results[] = { status_of(pid), status_of(by_vfork(argv, none, null)), status_of(by_call(file)),
			  status_of(clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, file)) }, escaped = 0;
	for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
		if (results[i] != 0 && results[i] != 10)
			return printf("ERROR way %zu: %d\n", i, results[i]), 20;
		escaped |= results[i] == 10;
	}
	return say(escaped, "posix_spawn, vfork, clone, clone with shared memory");
}

/* ---- against the library in memory ---- */
static int take_out(struct dl_phdr_info *info, size_t size, void *count)
{
	(void)size;
	if (!strstr(info->dlpi_name, "hutch"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~4095ul, to = (info->dlpi_addr + p->p_vaddr + p->p_memsz + 4095) & ~4095ul;
		if (p->p_type == PT_LOAD && mmap((void *)from, to - from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
			++*(int *)count;
	}
	return 0;
}

static int unhook(char *file)
{
	int count = 0;

	dl_iterate_phdr(take_out, &count);
	int r = say(bare_open(file) >= 0, count ? "the library was overwritten in memory" : "no library is there");
	_exit(r); /* its destructors are gone with it */
}

static int other_libc(char *file)
{
	void *c = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW | RTLD_LOCAL);
	int (*opens)(const char *, int, ...) = NULL;

	if (c)
		*(void **)&opens = dlsym(c, "open");
	if (!opens)
		return printf("ERROR %s\n", dlerror()), 20;
	return say(opens(file, O_RDONLY) >= 0, "open of a C library in a namespace of its own");
}

/* ---- late ---- */
static void *sleeps(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* FILE: a shared library. Whoever comes out of dlopen with a second thread unconfined believes what isn't so. */
static int late(char *file)
{
	pthread_t t;

	if (pthread_create(&t, NULL, sleeps, NULL))
		return 20;
	void *library = dlopen(file, RTLD_NOW);
	if (!library)
		return printf("ERROR %s\n", dlerror()), 20;
	return say(1, "dlopen came back, with two threads");
}

/* ---- nothing is left to do after main has begun ---- */
static int own_filter(char *file)
{
	/* Alone write and exit_group: any other call of anybody ends the process by SIGSYS. */
	struct sock_filter words[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof words / sizeof *words, words };
	int r = open(file, O_RDONLY) >= 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return 20;
	exit(say(r, "the program's own filter allows write and exit alone")); /* destructors run under it */
}

/* ---- forks, while threads hold the allocator's locks ---- */
static int stop;

static void *allocates(void *unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		void *p[32];
		for (int i = 0; i < 32; i++)
			p[i] = malloc(64 + (size_t)i * 100);
		for (int i = 0; i < 32; i++)
			free(p[i]);
	}
	return unused;
}

static int forks(char *file)
{
	int count = atoi(getenv("EMBED_FORKS") ? getenv("EMBED_FORKS") : "1000"), r = open(file, O_RDONLY) >= 0;
	pthread_t t[2];

	alarm(240);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, allocates, NULL);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			free(malloc(100));
			_exit(bare_open(file) >= 0 ? 10 : 0);
		}
		r |= status_of(pid) != 0;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	char text[64];
	snprintf(text, sizeof text, "%d forks", count);
	return say(r, text);
}

static int present(char *file)
{
	(void)file;
	return say(1, "main was reached");
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*run)(char *); } verbs[] = {
		{ "instruction", by_instruction }, { "read", reads }, { "children", children }, { "unhook", unhook }, { "other-libc", other_libc },
		{ "late", late }, { "own-filter", own_filter }, { "forks", forks }, { "present", present },
	};

	alarm(30);
	for (size_t i = 0; argc > 2 && i < sizeof verbs / sizeof *verbs; i++) {
		if (!strcmp(verbs[i].name, argv[1]))
			return verbs[i].run(argv[2]);
	}
	puts("ERROR usage: embed-victim VERB FILE");
	return 20;
}
