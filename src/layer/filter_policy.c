/* What the built-in filters allow: the table of system calls, and the rules that look at arguments.
 * Runs in: build time (tools/filtergen), tests. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#include "layer/filter.h"
#include "layer/filter_build.h"

enum verdict { ALLOW, EPERM_, ENOSYS_, COND };
#define V_ALLOW ALLOW
#define V_EPERM EPERM_
#define V_ENOSYS ENOSYS_
#define V_COND COND

struct call { const char *name; int number[3]; uint8_t normal, strict; };
static const struct call calls[] = {
#define X(name, x86_64, i386, aarch64, normal, strict) { #name, { x86_64, i386, aarch64 }, V_##normal, V_##strict },
#include "layer/syscalls.def"
#undef X
};

#define REFUSE(errnum) (SECCOMP_RET_ERRNO | (errnum))
#define NEW_NAMESPACES 0x7e020000u /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define NEW_TIME 0x80u             /* means CLONE_NEWTIME to unshare, a signal number to clone */
#define SET_ID_BITS 06000u
#define CREATING 020000100u        /* O_CREAT or __O_TMPFILE: only then is there a mode */

static int arch_index(uint32_t arch)
{
	switch (arch) {
	case AUDIT_ARCH_X86_64: return 0;
	case AUDIT_ARCH_I386: return 1;
	case AUDIT_ARCH_AARCH64: return 2;
	default: return -1;
	}
}

int syscall_number(uint32_t arch, const char *name)
{
	int a = arch_index(arch);

	for (size_t i = 0; a >= 0 && i < COUNT_OF(calls); i++) {
		if (!strcmp(calls[i].name, name))
			return calls[i].number[a];
	}
	return -1;
}

const char *syscall_name(uint32_t arch, int number)
{
	int a = arch_index(arch);

	for (size_t i = 0; a >= 0 && number >= 0 && i < COUNT_OF(calls); i++) {
		if (calls[i].number[a] == number)
			return calls[i].name;
	}
	return NULL;
}

struct making { struct arena *arena; struct ruleset *out; uint32_t arch; int error; };

static void add(struct making *m, const char *name, uint32_t action, unsigned count, const struct cmp *cmp)
{
	struct rule r = { .number = syscall_number(m->arch, name), .action = action, .count = count };

	if (r.number < 0 || m->error)
		return;
	for (unsigned i = 0; i < count; i++)
		r.cmp[i] = cmp[i];
	m->error = ruleset_add(m->arena, m->out, &r);
}

/* Refuses a call when any of these bits is set in an int argument. */
static void refuse_bits(struct making *m, const char *name, unsigned arg, uint32_t bits, int errnum)
{
	add(m, name, REFUSE(errnum), 1, &(struct cmp){ .arg = (uint8_t)arg, .op = CMP_ANY_BIT, .low32 = true, .value = bits });
}

static void int_equals(struct making *m, const char *name, uint32_t action, unsigned arg, uint32_t value)
{
	add(m, name, action, 1, &(struct cmp){ .arg = (uint8_t)arg, .op = CMP_EQ, .low32 = true, .value = value });
}

static void allow_rest(struct making *m, const char *name)
{
	add(m, name, SECCOMP_RET_ALLOW, 0, NULL);
}

static void namespaces(struct making *m, bool nest)
{
	if (!nest) {
		refuse_bits(m, "clone", 0, NEW_NAMESPACES, EPERM);
		refuse_bits(m, "unshare", 0, NEW_NAMESPACES | NEW_TIME, EPERM);
	}
	allow_rest(m, "clone");
	allow_rest(m, "unshare");
}

/* A set-id file or a device node left in a shared directory would be a way out for later. */
static void modes(struct making *m, bool setid)
{
	static const struct { const char *name; uint8_t arg; bool node; } calls_with_mode[] = {
		{ "chmod", 1, false }, { "fchmod", 1, false }, { "fchmodat", 2, false }, { "fchmodat2", 2, false }, { "creat", 1, false },
		{ "mkdir", 1, false }, { "mkdirat", 2, false }, { "mknod", 1, true }, { "mknodat", 2, true },
	};
	static const struct { const char *name; uint8_t flags, mode; } opens[] = { { "open", 1, 2 }, { "openat", 2, 3 } };

	for (size_t i = 0; i < COUNT_OF(calls_with_mode); i++) {
		const char *name = calls_with_mode[i].name;
		uint8_t arg = calls_with_mode[i].arg;
		if (!setid)
			refuse_bits(m, name, arg, SET_ID_BITS, EPERM);
		for (uint32_t type = 0020000; calls_with_mode[i].node && type <= 0060000; type += 0040000)
			add(m, name, REFUSE(EPERM), 1, &(struct cmp){ .arg = arg, .op = CMP_MASKED_EQ, .low32 = true, .mask = 0170000, .value = type });
		allow_rest(m, name);
	}
	for (size_t i = 0; i < COUNT_OF(opens); i++) {
		struct cmp c[2] = {
			{ .arg = opens[i].flags, .op = CMP_ANY_BIT, .low32 = true, .value = CREATING },
			{ .arg = opens[i].mode, .op = CMP_ANY_BIT, .low32 = true, .value = SET_ID_BITS },
		};
		if (!setid)
			add(m, opens[i].name, REFUSE(EPERM), 2, c);
		allow_rest(m, opens[i].name);
	}
}

static void internet(struct making *m, const char *name, uint32_t family)
{
	static const uint32_t refused_types[] = { 3 /* SOCK_RAW */, 10 /* SOCK_PACKET */ };
	/* The type decides as well: with protocol 0 SOCK_SEQPACKET is SCTP and SOCK_DCCP is DCCP. */
	static const uint32_t types[] = { 1 /* SOCK_STREAM */, 2 /* SOCK_DGRAM */ };
	static const uint32_t protocols[] = { 0, 6 /* TCP */, 17 /* UDP */ };
	struct cmp c[3] = { { .arg = 0, .op = CMP_EQ, .low32 = true, .value = family } };

	for (size_t i = 0; i < COUNT_OF(refused_types); i++) {
		c[1] = (struct cmp){ .arg = 1, .op = CMP_MASKED_EQ, .low32 = true, .mask = 0xf, .value = refused_types[i] };
		add(m, name, REFUSE(EPERM), 2, c);
	}
	for (size_t i = 0; i < COUNT_OF(protocols) * COUNT_OF(types); i++) {
		c[1] = (struct cmp){ .arg = 1, .op = CMP_MASKED_EQ, .low32 = true, .mask = 0xf, .value = types[i % COUNT_OF(types)] };
		c[2] = (struct cmp){ .arg = 2, .op = CMP_EQ, .low32 = true, .value = protocols[i / COUNT_OF(types)] };
		add(m, name, SECCOMP_RET_ALLOW, 3, c);
	}
	/* ICMP, SCTP, MPTCP, UDPLITE…: detours round port rules, and more kernel to attack. */
	add(m, name, REFUSE(EPROTONOSUPPORT), 1, c);
}

static void sockets(struct making *m, bool strict)
{
	static const char *const names[] = { "socket", "socketpair" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct cmp route[2] = {
			{ .arg = 0, .op = CMP_EQ, .low32 = true, .value = 16 /* AF_NETLINK */ },
			{ .arg = 2, .op = CMP_EQ, .low32 = true, .value = 0 /* NETLINK_ROUTE */ },
		};
		int_equals(m, names[i], SECCOMP_RET_ALLOW, 0, 1 /* AF_UNIX */);
		internet(m, names[i], 2 /* AF_INET */);
		internet(m, names[i], 10 /* AF_INET6 */);
		if (!strict)
			add(m, names[i], SECCOMP_RET_ALLOW, 2, route);
		add(m, names[i], REFUSE(EAFNOSUPPORT), 0, NULL);
	}
	/* TCP_ULP puts another protocol over a connected socket: SMC, kernel TLS. Libraries do it themselves then. */
	struct cmp ulp[2] = {
		{ .arg = 1, .op = CMP_EQ, .low32 = true, .value = 6 /* SOL_TCP */ },
		{ .arg = 2, .op = CMP_EQ, .low32 = true, .value = 31 /* TCP_ULP */ },
	};
	add(m, "setsockopt", REFUSE(ENOPROTOOPT), 2, ulp);
	allow_rest(m, "setsockopt");
}

static void sending(struct making *m)
{
	static const struct { const char *name; uint8_t flags; } calls_with_flags[] = { { "sendto", 3 }, { "sendmsg", 2 }, { "sendmmsg", 3 } };

	/* MSG_FASTOPEN connects without connect(2), which is where Landlock's port rules look. */
	for (size_t i = 0; i < COUNT_OF(calls_with_flags); i++) {
		refuse_bits(m, calls_with_flags[i].name, calls_with_flags[i].flags, 0x20000000, EOPNOTSUPP);
		allow_rest(m, calls_with_flags[i].name);
	}
	/* Limits of oneself only: init has the same user id. */
	int_equals(m, "prlimit64", SECCOMP_RET_ALLOW, 0, 0);
	add(m, "prlimit64", REFUSE(EPERM), 0, NULL);
}

static void requests(struct making *m)
{
	/* Typing into a terminal, its console, selection and line discipline (a module each); file system maps and
	 * freezing; userfaultfd by its device. */
	static const uint32_t refused[] = { 0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */, 0x541d /* TIOCCONS */, 0x5423 /* TIOCSETD */,
					    1 /* FIBMAP */, 0xc0045877 /* FIFREEZE */, 0xc0045878 /* FITHAW */, 0xaa00 /* USERFAULTFD_IOC_NEW */ };

	for (size_t i = 0; i < COUNT_OF(refused); i++)
		int_equals(m, "ioctl", REFUSE(EPERM), 1, refused[i]);
	allow_rest(m, "ioctl");
	/* A listener could let calls through that other filters would then see as decided. */
	refuse_bits(m, "seccomp", 1, 8 /* SECCOMP_FILTER_FLAG_NEW_LISTENER */, EPERM);
	allow_rest(m, "seccomp");
	allow_rest(m, "prctl");
}

static void personalities(struct making *m, bool strict)
{
	static const uint32_t allowed[] = { 0, 0xffffffff /* ask */, 0x40000 /* ADDR_NO_RANDOMIZE */, 8 /* PER_LINUX32 */ };

	for (size_t i = 0; i < (strict ? 2 : COUNT_OF(allowed)); i++)
		int_equals(m, "personality", SECCOMP_RET_ALLOW, 0, allowed[i]);
	add(m, "personality", REFUSE(EPERM), 0, NULL);
}

/* With nest = allow a program may build sandboxes of its own. */
static bool for_nesting(const char *name)
{
	static const char *const names[] = { "mount", "umount", "umount2", "pivot_root", "chroot", "setns", "open_tree", "move_mount", "fsopen", "fsconfig",
					     "fsmount", "fspick", "mount_setattr", "open_tree_attr", "statmount", "listmount", "sethostname", "setdomainname" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

int filter_policy(struct arena *a, const char *name, uint32_t arch, bool nest, struct ruleset *out)
{
	bool strict = !strcmp(name, "strict"), setid = !strcmp(name, "setid");
	struct making m = { a, out, arch, 0 };

	if (arch_index(arch) < 0 || (!strict && !setid && strcmp(name, "default")))
		return -EINVAL;
	out->fallback = REFUSE(ENOSYS);
	for (size_t i = 0; i < COUNT_OF(calls) && !m.error; i++) {
		uint8_t v = strict ? calls[i].strict : calls[i].normal;
		if (nest && for_nesting(calls[i].name))
			v = ALLOW;
		if (v != COND)
			add(&m, calls[i].name, v == ALLOW ? SECCOMP_RET_ALLOW : v == EPERM_ ? REFUSE(EPERM) : REFUSE(ENOSYS), 0, NULL);
	}
	namespaces(&m, nest);
	modes(&m, setid);
	sockets(&m, strict);
	sending(&m);
	requests(&m);
	personalities(&m, strict);
	return m.error;
}
