/* Docker and OCI seccomp profiles (JSON), and raw BPF.
 * Runs in: parent. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "sys/caps_names.h"
#include "layer/filter.h"
#include "layer/filter_build.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define NATIVE_NAMES "SCMP_ARCH_X86_64", "amd64", "x86_64"
#define COMPAT AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define NATIVE_NAMES "SCMP_ARCH_AARCH64", "arm64", "aarch64"
#define COMPAT 0
#endif

struct profile {
	struct arena *arena;
	const char *path, *origin, *json;
	jsmntok_t *t;
	int count;
	uint64_t caps;
	unsigned major, minor;
	struct ruleset rules[2];
	uint32_t archs[2];
	size_t arch_count;
	uint32_t default_action, default_errno;
	struct text *notes;
	unsigned unknown;
	struct hutch_error *error;
};

static int bad(struct profile *p, const char *what, const jsmntok_t *t)
{
	error_set(p->error, ERR_PROFILE, 0, NULL, p->path, p->origin);
	return t ? error_detail(p->error, "%s: %.*s", what, t->end - t->start > 80 ? 80 : t->end - t->start, p->json + t->start)
		 : error_detail(p->error, "%s", what);
}

/* Index of the token behind the value at i. */
static int after(const struct profile *p, int i)
{
	int end = p->t[i].end;

	for (i++; i < p->count && p->t[i].start < end; i++)
		continue;
	return i;
}

static bool is(const struct profile *p, int i, const char *s)
{
	const jsmntok_t *t = &p->t[i];

	return (t->type == JSMN_STRING || t->type == JSMN_PRIMITIVE) && (size_t)(t->end - t->start) == strlen(s) && !memcmp(p->json + t->start, s, strlen(s));
}

/* Value of a key of the object at i, -1 = absent. */
static int member(const struct profile *p, int i, const char *key)
{
	int k = i + 1;

	for (int n = 0; n < p->t[i].size && k + 1 < p->count; n++) {
		if (is(p, k, key))
			return k + 1;
		k = after(p, k + 1);
	}
	return -1;
}

/* null stands for an absent value in what Go programs write. */
static int present(const struct profile *p, int i, const char *key)
{
	int m = member(p, i, key);

	return m >= 0 && is(p, m, "null") ? -1 : m;
}

static const char *string(struct profile *p, int i)
{
	return arena_strndup(p->arena, p->json + p->t[i].start, (size_t)(p->t[i].end - p->t[i].start));
}

static int number(struct profile *p, int i, uint64_t *out)
{
	const char *s = string(p, i);

	if (!s)
		return error_nomem(p->error);
	if (p->t[i].type != JSMN_PRIMITIVE || parse_u64(s, out) < 0)
		return bad(p, "not a whole number", &p->t[i]);
	return 0;
}

/* Of the type, or absent. A condition of another type would be passed over, and the rule hold everywhere. */
static int typed(struct profile *p, int object, const char *key, jsmntype_t type, int *out)
{
	static const struct { jsmntype_t type; const char *problem; } problems[] = {
		{ JSMN_ARRAY, "not a list" }, { JSMN_OBJECT, "not an object" }, { JSMN_STRING, "not a string" },
	};

	*out = object < 0 ? -1 : present(p, object, key);
	if (*out < 0 || p->t[*out].type == type)
		return 0;
	for (size_t i = 0; i < COUNT_OF(problems); i++) {
		if (problems[i].type == type)
			return bad(p, arena_printf(p->arena, "%s is %s", key, problems[i].problem), &p->t[*out]);
	}
	return bad(p, key, &p->t[*out]);
}

static int same_keys(const struct profile *p, int object, int key)
{
	int k = object + 1, n = 0, len = p->t[key].end - p->t[key].start;

	for (int m = 0; m < p->t[object].size && k + 1 < p->count; m++, k = after(p, k + 1))
		n += p->t[k].end - p->t[k].start == len && !memcmp(p->json + p->t[k].start, p->json + p->t[key].start, (size_t)len);
	return n;
}

/* Every key of the object is one of these: a misspelt condition is an error, not a rule without it. */
static int only_keys(struct profile *p, int object, const char *const *keys, size_t n)
{
	int k = object + 1;

	for (int m = 0; object >= 0 && m < p->t[object].size; m++, k = after(p, k + 1)) {
		bool known = false;
		for (size_t i = 0; i < n; i++)
			known |= is(p, k, keys[i]);
		if (!known || p->t[k].size != 1 || k + 1 >= p->count)
			return bad(p, known ? "no value" : "unknown key", &p->t[k]);
		if (same_keys(p, object, k) != 1)
			return bad(p, "given twice", &p->t[k]);
	}
	return 0;
}

static int errno_of(struct profile *p, int object, const char *key, uint32_t fallback, uint32_t *out)
{
	int i = present(p, object, key);
	uint64_t n = fallback;

	if (i >= 0 && number(p, i, &n) < 0)
		return -1;
	if (n > 4095)
		return bad(p, "errno out of range", &p->t[i]);
	*out = (uint32_t)n;
	return 0;
}

static int action(struct profile *p, int i, uint32_t errnum, uint32_t *out)
{
	static const struct { const char *name; uint32_t value; } actions[] = {
		{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW }, { "SCMP_ACT_LOG", SECCOMP_RET_LOG }, { "SCMP_ACT_TRAP", SECCOMP_RET_TRAP },
		{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD }, { "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD },
		{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS },
	};

	if (i < 0)
		return bad(p, "an action is missing", NULL);
	if (is(p, i, "SCMP_ACT_ERRNO"))
		return *out = SECCOMP_RET_ERRNO | errnum, 0;
	for (size_t k = 0; k < COUNT_OF(actions); k++) {
		if (is(p, i, actions[k].name))
			return *out = actions[k].value, 0;
	}
	if (is(p, i, "SCMP_ACT_NOTIFY") || is(p, i, "SCMP_ACT_TRACE"))
		return bad(p, "needs a supervising process that hutch doesn't provide", &p->t[i]);
	return bad(p, "unknown action", &p->t[i]);
}

static bool list_has(const struct profile *p, int list, const char *const *names, size_t n)
{
	int i = list + 1;

	for (int k = 0; k < p->t[list].size; k++, i = after(p, i)) {
		for (size_t m = 0; m < n; m++) {
			if (is(p, i, names[m]))
				return true;
		}
	}
	return false;
}

static bool capability_held(const struct profile *p, int i)
{
	for (unsigned n = 0; n < 64; n++) {
		const char *name = cap_name(n);
		const jsmntok_t *t = &p->t[i];
		if (name && (size_t)(t->end - t->start) == strlen(name) && !strncasecmp(p->json + t->start, name, strlen(name)))
			return p->caps & (UINT64_C(1) << n);
	}
	return false;
}

/* "4.8": is this kernel that one or a later one? 1, 0, -1 = error. */
static int kernel_at_least(struct profile *p, int i)
{
	char *text = (char *)(uintptr_t)string(p, i), *dot = text ? strchr(text, '.') : NULL;
	uint64_t major, minor;

	if (!text)
		return error_nomem(p->error);
	if (!dot)
		return bad(p, "minKernel is MAJOR.MINOR", &p->t[i]);
	*dot = 0;
	if (parse_u64(text, &major) < 0 || parse_u64(dot + 1, &minor) < 0)
		return bad(p, "minKernel is MAJOR.MINOR", &p->t[i]);
	return p->major > major || (p->major == major && p->minor >= minor);
}

/* includes: all that is named must hold. excludes: nothing that is named may. 1, 0, -1 = error. */
static int conditions(struct profile *p, int entry, bool include)
{
	static const char *const native[] = { NATIVE_NAMES }, *const keys[] = { "caps", "arches", "minKernel" };
	int object, caps, arches, kernel, newer;

	if (typed(p, entry, include ? "includes" : "excludes", JSMN_OBJECT, &object) < 0 || only_keys(p, object, keys, COUNT_OF(keys)) < 0 ||
	    typed(p, object, "caps", JSMN_ARRAY, &caps) < 0 || typed(p, object, "arches", JSMN_ARRAY, &arches) < 0 ||
	    typed(p, object, "minKernel", JSMN_STRING, &kernel) < 0)
		return -1;
	for (int i = caps + 1, k = 0; caps >= 0 && k < p->t[caps].size; k++, i = after(p, i)) {
		if (capability_held(p, i) != include)
			return 0;
	}
	if (arches >= 0 && p->t[arches].size && list_has(p, arches, native, COUNT_OF(native)) != include)
		return 0;
	newer = kernel < 0 ? include : kernel_at_least(p, kernel);
	return newer < 0 ? -1 : newer == include;
}

static int comparison(struct profile *p, int object, struct cmp *c)
{
	static const struct { const char *name; uint8_t op; } ops[] = {
		{ "SCMP_CMP_EQ", CMP_EQ }, { "SCMP_CMP_NE", CMP_NE }, { "SCMP_CMP_LT", CMP_LT }, { "SCMP_CMP_LE", CMP_LE },
		{ "SCMP_CMP_GT", CMP_GT }, { "SCMP_CMP_GE", CMP_GE }, { "SCMP_CMP_MASKED_EQ", CMP_MASKED_EQ },
	};
	static const char *const keys[] = { "index", "value", "valueTwo", "op" };
	int index = present(p, object, "index"), op = present(p, object, "op"), value = present(p, object, "value"), two = present(p, object, "valueTwo");
	uint64_t n = 0, v = 0, w = 0;

	if (p->t[object].type != JSMN_OBJECT || index < 0 || op < 0 || value < 0)
		return bad(p, "an args entry is an object of index, value and op", &p->t[object]);
	if (only_keys(p, object, keys, COUNT_OF(keys)) < 0 || number(p, index, &n) < 0 || number(p, value, &v) < 0 ||
	    (two >= 0 && number(p, two, &w) < 0))
		return -1;
	if (n > 5)
		return bad(p, "argument index over 5", &p->t[index]);
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		if (!is(p, op, ops[i].name))
			continue;
		*c = (struct cmp){ .arg = (uint8_t)n, .op = ops[i].op, .value = v };
		if (ops[i].op == CMP_MASKED_EQ) {
			c->mask = v;
			c->value = w & v; /* bits that the mask hides can't be asked for; libseccomp drops them too */
		}
		return 0;
	}
	return bad(p, "unknown comparison", &p->t[op]);
}

/* Arguments that the kernel takes as an int: bits above it must not let a comparison miss (CVE-2019-10063). */
static bool int_argument(const char *name, unsigned arg)
{
	static const struct { const char *name; unsigned args; } ints[] = {
		{ "ioctl", 3 }, { "socket", 7 }, { "socketpair", 7 }, { "prctl", 1 }, { "personality", 1 }, { "clone", 1 },
		{ "fcntl", 3 }, { "fcntl64", 3 }, { "setsockopt", 7 }, { "getsockopt", 7 }, { "keyctl", 1 }, { "bpf", 1 }, { "seccomp", 3 },
		{ "openat", 4 }, { "open", 2 }, { "memfd_create", 2 }, { "socketcall", 1 }, { "ipc", 1 }, { "kill", 3 }, { "madvise", 4 },
	};

	for (size_t i = 0; i < COUNT_OF(ints); i++) {
		if (!strcmp(ints[i].name, name))
			return ints[i].args >> arg & 1;
	}
	return false;
}

static struct cmp int_sized(const char *name, struct cmp c)
{
	c.low32 = int_argument(name, c.arg) && c.value <= UINT32_MAX && c.mask <= UINT32_MAX;
	return c;
}

static int add_name(struct profile *p, const char *name, struct rule *r, const struct cmp *cmp, unsigned n, bool alternatives)
{
	bool known = false;

	for (size_t a = 0; a < p->arch_count; a++) {
		r->number = syscall_number(p->archs[a], name);
		if (r->number < 0)
			continue;
		known = true;
		if (r->number > p->rules[a].known_to)
			p->rules[a].known_to = r->number;
		/* Several comparisons of one argument are alternatives, as in runc. */
		for (unsigned k = 0; k < (alternatives ? n : 1); k++) {
			r->count = alternatives ? 1 : n;
			for (unsigned i = 0; i < r->count; i++)
				r->cmp[i] = int_sized(name, cmp[alternatives ? k : i]);
			if (ruleset_add(p->arena, &p->rules[a], r) < 0)
				return error_nomem(p->error);
		}
	}
	if (!known)
		text_printf(p->notes, "%s%s", p->unknown++ ? ", " : "not a system call of this machine: ", name);
	return 0;
}

static int entry(struct profile *p, int object)
{
	static const char *const keys[] = { "names", "name", "action", "args", "comment", "includes", "excludes", "errnoRet", "errno" };
	int names, one, args, i, in, out;
	struct cmp cmp[6];
	unsigned n = 0, used = 0;
	bool alternatives = false;
	uint32_t errnum;
	struct rule r = { 0 };

	if (p->t[object].type != JSMN_OBJECT)
		return bad(p, "a syscalls entry is an object", &p->t[object]);
	if (only_keys(p, object, keys, COUNT_OF(keys)) < 0 || typed(p, object, "names", JSMN_ARRAY, &names) < 0 ||
	    typed(p, object, "name", JSMN_STRING, &one) < 0 || typed(p, object, "args", JSMN_ARRAY, &args) < 0)
		return -1;
	if ((names < 0) == (one < 0))
		return bad(p, "a syscalls entry needs names (a list) or name", &p->t[object]);
	in = conditions(p, object, true);
	out = in < 0 ? -1 : conditions(p, object, false);
	if (in < 0 || out < 0 || !in || !out)
		return in < 0 || out < 0 ? -1 : 0;
	/* Podman writes both; a name without the number would silently become the default. */
	if (present(p, object, "errno") >= 0 && present(p, object, "errnoRet") < 0)
		return bad(p, "errno needs errnoRet beside it", &p->t[present(p, object, "errno")]);
	if (errno_of(p, object, "errnoRet", p->default_errno, &errnum) < 0 || action(p, present(p, object, "action"), errnum, &r.action) < 0)
		return -1;
	for (int k = 0, a = args + 1; args >= 0 && k < p->t[args].size; k++, a = after(p, a)) {
		if (n == COUNT_OF(cmp))
			return bad(p, "more than six comparisons", &p->t[args]);
		if (comparison(p, a, &cmp[n]) < 0)
			return -1;
		alternatives |= (used >> cmp[n].arg) & 1;
		used |= 1u << cmp[n++].arg;
	}
	if (names < 0)
		return add_name(p, string(p, one), &r, cmp, n, alternatives);
	i = names + 1;
	for (int k = 0; k < p->t[names].size; k++, i = after(p, i)) {
		const char *name = string(p, i);
		if (p->t[i].type != JSMN_STRING)
			return bad(p, "not the name of a system call", &p->t[i]);
		if (!name || add_name(p, name, &r, cmp, n, alternatives) < 0)
			return name ? -1 : error_nomem(p->error);
	}
	return 0;
}

/* Is the 32-bit ABI of this machine one of the profile's? */
static bool wants_compat(struct profile *p)
{
	static const char *const compat[] = { "SCMP_ARCH_X86" }, *const native[] = { NATIVE_NAMES };
	int list = present(p, 0, "architectures"), map = present(p, 0, "archMap"), i = map + 1;

	if (!COMPAT)
		return false;
	if (list >= 0)
		return list_has(p, list, compat, 1);
	for (int k = 0; map >= 0 && k < p->t[map].size; k++, i = after(p, i)) {
		int arch = present(p, i, "architecture"), sub = present(p, i, "subArchitectures");
		if (arch >= 0 && is(p, arch, native[0]))
			return sub >= 0 && list_has(p, sub, compat, 1);
	}
	return false;
}

static int tokens(struct profile *p, const char *bytes, size_t len)
{
	jsmn_parser parser;
	int n;

	jsmn_init(&parser);
	n = jsmn_parse(&parser, bytes, len, NULL, 0);
	if (n <= 0)
		return bad(p, "it isn't valid JSON", NULL);
	p->t = arena_alloc(p->arena, (size_t)n * sizeof *p->t);
	if (!p->t)
		return error_nomem(p->error);
	jsmn_init(&parser);
	p->count = jsmn_parse(&parser, bytes, len, p->t, (unsigned)n);
	if (p->count != n || p->t[0].type != JSMN_OBJECT)
		return bad(p, "it isn't a JSON object", NULL);
	return after(p, 0) == n ? 0 : bad(p, "more follows behind the object", &p->t[after(p, 0)]);
}

/* What the file says beyond rules. Nothing here can make the filter wider than its rules. */
static int head(struct profile *p)
{
	static const char *const keys[] = { "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "syscalls", "flags",
					    "listenerPath", "listenerMetadata", "comment", "$schema" };
	int lists[3];

	if (only_keys(p, 0, keys, COUNT_OF(keys)) < 0 || typed(p, 0, "architectures", JSMN_ARRAY, &lists[0]) < 0 ||
	    typed(p, 0, "archMap", JSMN_ARRAY, &lists[1]) < 0 || typed(p, 0, "flags", JSMN_ARRAY, &lists[2]) < 0)
		return -1;
	if (present(p, 0, "listenerPath") >= 0)
		return bad(p, "listenerPath needs a supervising process that hutch doesn't provide", NULL);
	if (present(p, 0, "defaultErrno") >= 0 && present(p, 0, "defaultErrnoRet") < 0)
		return bad(p, "defaultErrno needs defaultErrnoRet beside it", NULL);
	if (lists[2] >= 0 && p->t[lists[2]].size)
		text_printf(p->notes, "flags are ignored; ");
	return errno_of(p, 0, "defaultErrnoRet", EPERM, &p->default_errno) < 0 ? -1 :
	       action(p, present(p, 0, "defaultAction"), p->default_errno, &p->default_action);
}

static int json_profile(struct profile *p, const char *bytes, size_t len, struct sock_filter **words, size_t *count)
{
	struct arch_rules archs[2];
	int calls, i, r;

	p->json = bytes;
	if (tokens(p, bytes, len) < 0)
		return -1;
	p->archs[p->arch_count++] = NATIVE;
	if (wants_compat(p))
		p->archs[p->arch_count++] = COMPAT;
	if (head(p) < 0 || typed(p, 0, "syscalls", JSMN_ARRAY, &calls) < 0)
		return -1;
	i = calls + 1;
	for (int k = 0; calls >= 0 && k < p->t[calls].size; k++, i = after(p, i)) {
		if (entry(p, i) < 0)
			return -1;
	}
	for (size_t a = 0; a < p->arch_count; a++) {
		p->rules[a].fallback = p->default_action;
		/* A call newer than the profile gets ENOSYS, not EPERM, so that C libraries take their fallback. */
		p->rules[a].beyond = SECCOMP_RET_ERRNO | ENOSYS;
		if ((p->default_action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO)
			p->rules[a].known_to = 0;
		archs[a] = (struct arch_rules){ p->archs[a], &p->rules[a] };
	}
	r = filter_compile(p->arena, archs, p->arch_count, SECCOMP_RET_KILL_PROCESS, words, count);
	return r == -ENOMEM ? error_nomem(p->error) : r < 0 ? bad(p, "it compiles to more instructions than the kernel takes (4096)", NULL) : 0;
}

static int raw_profile(struct profile *p, const char *bytes, size_t len, struct sock_filter **words, size_t *count)
{
	*count = len / sizeof **words;
	*words = arena_alloc(p->arena, len + 1);
	if (!*words)
		return error_nomem(p->error);
	memcpy(*words, bytes, len);
	if (len % sizeof **words || !filter_valid(*words, *count))
		return bad(p, "it is neither a JSON object nor a BPF program that the kernel would load", NULL);
	return 0;
}

int filter_profile(struct arena *a, const char *path, const char *bytes, size_t len, uint64_t caps, unsigned kernel_major,
		   unsigned kernel_minor, struct sock_filter **words, size_t *count, struct text *notes, const char *origin, struct hutch_error *e)
{
	struct profile p = { .arena = a, .path = path, .origin = origin, .caps = caps, .major = kernel_major, .minor = kernel_minor, .notes = notes, .error = e };
	size_t start = 0;

	while (start < len && strchr(" \t\r\n", bytes[start]) && bytes[start])
		start++;
	if (start < len && bytes[start] == '{')
		return json_profile(&p, bytes, len, words, count);
	return raw_profile(&p, bytes, len, words, count);
}
