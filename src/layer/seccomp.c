/* System call filters of the plan.
 * Runs in: parent. */
#include "layer/layer.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "layer/filter.h"
#include "sys/uapi.h"

/* A policy names the file, so it is read here; this is the one place where compiling reads a file. */
static char *read_profile(struct build *b, const struct seccomp_want *w, size_t *len)
{
	const size_t most = 4u << 20;
	FILE *f = fopen(w->path, "re");
	char *text = f ? arena_alloc(b->plan->arena, most + 1) : NULL;

	if (!f) {
		error_set(b->error, ERR_SECCOMP_READ, errno, "open", w->path, w->origin);
		return NULL;
	}
	if (text) {
		*len = fread(text, 1, most + 1, f);
		if (ferror(f) || *len > most) {
			error_set(b->error, ERR_SECCOMP_READ, ferror(f) ? EIO : EFBIG, "read", w->path, w->origin);
			text = NULL;
		}
	} else {
		error_nomem(b->error);
	}
	fclose(f);
	return text;
}

static int profile(struct build *b, const struct seccomp_want *w, struct filter *out, const char **notes)
{
	struct text t;
	struct sock_filter *words;
	size_t len = 0;
	char *bytes = read_profile(b, w, &len);
	int r;

	if (!bytes)
		return -1;
	text_init(&t);
	r = filter_profile(b->plan->arena, w->path, bytes, len, b->policy->caps, b->host->kernel_major, b->host->kernel_minor,
			   &words, &out->count, &t, w->origin, b->error);
	out->words = words;
	*notes = t.len ? arena_strdup(b->plan->arena, t.s) : NULL;
	text_done(&t);
	return r;
}

/* The flag that gives the filter to every thread at once. */
static uint64_t all_threads(const struct build *b)
{
	return b->plan->mode == PLAN_ENTER_HERE ? SECCOMP_FILTER_FLAG_TSYNC : 0;
}

/* Whoever installs packages in ranges of ids gives files set-id bits; for one id, or without the word for it, it is a
 * way out for later. */
static const char *builtin_name(const struct build *b, enum seccomp_kind kind)
{
	const struct policy *p = b->policy;
	const struct plan *plan = b->plan;
	bool ranges = plan->userns_new && (plan->uid_extent_count > 1 || (plan->uid_extent_count == 1 && plan->uid_extents[0].count > 1));

	if (kind == SECCOMP_BUILTIN_STRICT)
		return "strict";
	return ranges && (p->caps & (UINT64_C(1) << CAPNO_FSETID)) ? "setid" : "default";
}

static int one(struct build *b, const struct seccomp_want *w)
{
	struct plan *p = b->plan;
	struct filter *f = &p->filters[p->filter_count];
	const char *notes = NULL, *origin = w->origin;
	struct op *op;

	if (p->filter_count >= COUNT_OF(p->filters))
		return error_set(b->error, ERR_SECCOMP_MANY, 0, NULL, "seccomp", origin);
	if (w->kind == SECCOMP_PROFILE_FILE) {
		f->name = w->path;
		if (profile(b, w, f, &notes) < 0)
			return -1;
	} else {
		f->name = builtin_name(b, w->kind);
		notes = strcmp(f->name, "setid") ? NULL : "caps = fsetid and ranges of ids: files may be given set-id bits; those of root inside belong to the caller outside";
		f->words = filter_builtin(f->name, b->policy->compat_deny, b->policy->nest, &f->count);
		if (!f->words)
			return error_set(b->error, ERR_SECCOMP_MISSING, 0, NULL, f->name, origin);
	}
	op = build_op(b, SECTION_SECCOMP, OP_SECCOMP, f->name, origin);
	if (!op)
		return -1;
	op->number[0] = p->filter_count++;
	op->number[1] = all_threads(b);
	return build_row(b, ROW_ENFORCED, "system calls", f->name, f->name, arena_printf(p->arena, "seccomp filter, %zu instructions", f->count), notes, origin);
}

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define NR_SOCKET 41
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define NR_SOCKET 198
#endif
#define NR_IO_URING_SETUP 425 /* a ring makes sockets, too */
#define X32 0x40000000 /* numbers from here on are x86-64's third ABI; elsewhere there are none */
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES)
#define NO_ABI BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Without namespaces the unix sockets of the session (D-Bus, the display, an agent) are in reach by path, and
 * Landlock can't tell them apart before ABI 9; UDP it doesn't cover either. So no socket is made at all, or with
 * net = host none of the unix family. socketpair(2) stays. Another ABI than the native one can't be asked by
 * number here and gets no system calls in this mode. */
static const struct sock_filter no_socket[] = {
	FIELD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0), DENY,
	FIELD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 2, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_IO_URING_SETUP, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_SOCKET, 0, 1), DENY, ALLOW,
};
static const struct sock_filter no_unix_socket[] = {
	FIELD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0), DENY,
	FIELD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 4, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_IO_URING_SETUP, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_SOCKET, 0, 3),
	FIELD(args[0]), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1 /* AF_UNIX */, 0, 1), DENY, ALLOW,
};

/* compat-abi = deny is part of the built-in filters; with profiles of files alone, or none, it needs one of its own. */
static const struct sock_filter native_only[] = {
	FIELD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0), NO_ABI,
	FIELD(nr), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1), NO_ABI, ALLOW,
};

static int add_own(struct build *b, const char *name, const struct sock_filter *words, size_t count, const char *origin)
{
	struct plan *p = b->plan;
	struct op *op = build_op(b, SECTION_SECCOMP, OP_SECCOMP, name, origin);

	if (!op)
		return -1;
	op->number[0] = p->filter_count;
	op->number[1] = all_threads(b);
	p->filters[p->filter_count++] = (struct filter){ name, words, count };
	return 0;
}

static int deny_compat(struct build *b)
{
	const struct policy *p = b->policy;
	const char *origin = p->origin[KEY_COMPAT];

	for (size_t i = 0; i < p->seccomp_count; i++) {
		if (p->seccomp[i].kind != SECCOMP_PROFILE_FILE)
			return 0;
	}
	if (!p->compat_deny)
		return 0;
	if (add_own(b, "native-abi-only", native_only, COUNT_OF(native_only), origin) < 0)
		return -1;
	return build_row(b, ROW_ENFORCED, "32-bit system calls", "deny", "none", "seccomp filter", NULL, origin);
}

static int stand_in(struct build *b)
{
	bool none = b->policy->ns[NS_NET].how == NS_NEW;
	const char *origin = b->policy->origin[KEY_USERNS];

	if ((none ? add_own(b, "no-socket", no_socket, COUNT_OF(no_socket), origin)
		  : add_own(b, "no-unix-socket", no_unix_socket, COUNT_OF(no_unix_socket), origin)) < 0)
		return -1;
	return build_row(b, ROW_WEAKER, none ? "network" : "unix sockets", "none", none ? "no socket can be made" : "none can be made", "seccomp filter",
			 "without a network namespace there is no loopback either", b->policy->origin[KEY_USERNS]);
}

/* ---- on-denied = kill: the kernel asks the launcher, which answers with the end of the run ---- */
static bool is_denial(uint32_t k)
{
	uint32_t action = k & SECCOMP_RET_ACTION_FULL, number = k & SECCOMP_RET_DATA;

	if (action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_KILL_THREAD || action == SECCOMP_RET_TRAP)
		return true;
	/* Other numbers say "not here" (ENOSYS), which programs are made to take. */
	return action == SECCOMP_RET_ERRNO && (number == EPERM || number == EACCES);
}

static bool allows(const struct filter *f, int nr)
{
	struct seccomp_data d = { .nr = nr, .arch = NATIVE };

	return filter_simulate(f->words, f->count, &d) == SECCOMP_RET_ALLOW;
}

/* What the child does between the filter and the program's start, the listener's hand-over included. */
static const char *missing_call(const struct filter *f)
{
	static const char *const names[] = { "sendmsg", "close", "rt_sigprocmask", "write", "execve" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!allows(f, syscall_number(NATIVE, names[i])))
			return names[i];
	}
	return NULL;
}

static int ask_launcher(struct build *b)
{
	struct plan *p = b->plan;
	const char *origin = b->policy->origin[KEY_ON_DENIED], *missing;
	struct filter *f = &p->filters[0];
	struct sock_filter *words;

	if (p->filter_count != 1) {
		error_set(b->error, ERR_SECCOMP_MANY, 0, NULL, "on-denied = kill", origin);
		return error_detail(b->error, "the kernel lets one filter ask, and this run has %zu", p->filter_count);
	}
	words = arena_alloc(p->arena, f->count * sizeof *words);
	if (!words)
		return error_nomem(b->error);
	for (size_t i = 0; i < f->count; i++) {
		words[i] = f->words[i];
		if (words[i].code == (BPF_RET | BPF_K) && is_denial(words[i].k))
			words[i].k = SECCOMP_RET_USER_NOTIF;
	}
	f->words = words;
	missing = missing_call(f);
	if (missing) {
		error_set(b->error, ERR_SECCOMP_LOAD, 0, NULL, "on-denied = kill", origin);
		return error_detail(b->error, "this filter denies %s, which the start of the program itself needs", missing);
	}
	p->ops[p->op_count - 1].flags |= OPF_LISTEN;
	p->listen = true;
	return build_row(b, ROW_ENFORCED, "denied calls", "kill", "the run ends and the report names the call", "seccomp notification", NULL, origin);
}

int seccomp_compile(struct build *b)
{
	const struct policy *p = b->policy;

	/* Asked for, or the only line: a kernel without filters can't run this. */
	if ((p->seccomp_count || p->compat_deny || layer_never(b)) && !b->host->seccomp_filter)
		return error_set(b->error, ERR_SECCOMP_MISSING, 22, "seccomp", "this kernel", p->origin[KEY_SECCOMP]);
	if ((layer_never(b) && stand_in(b) < 0) || deny_compat(b) < 0)
		return -1;
	if (!p->seccomp_count && p->denied_kill)
		return error_set(b->error, ERR_SECCOMP_MISSING, 0, NULL, "on-denied = kill", p->origin[KEY_ON_DENIED]);
	if (!p->seccomp_count)
		return build_row(b, ROW_OPEN, "system calls", "none", "all", "-", "no filter", p->origin[KEY_SECCOMP]);
	/* In the order given: the built-in filters refuse listeners, not further filters. */
	for (size_t i = 0; i < p->seccomp_count; i++) {
		if (one(b, &p->seccomp[i]) < 0)
			return -1;
	}
	return p->denied_kill ? ask_launcher(b) : 0;
}
