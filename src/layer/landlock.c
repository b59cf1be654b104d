/* Landlock: scopes and ports always, file rules where the policy says so or nothing else can hold.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>

#include "sys/uapi.h"

#define FILE_READ (LL_READ_FILE | LL_EXECUTE)
#define DIR_READ (FILE_READ | LL_READ_DIR)
#define FILE_WRITE (LL_WRITE_FILE | LL_TRUNCATE)
#define DIR_WRITE (FILE_WRITE | LL_REMOVE_DIR | LL_REMOVE_FILE | LL_MAKE_DIR | LL_MAKE_REG | LL_MAKE_SOCK | LL_MAKE_FIFO | LL_MAKE_SYM | LL_REFER)

uint64_t landlock_handled(unsigned abi)
{
	uint64_t all = LL_REFER - 1;

	all |= abi >= 2 ? LL_REFER : 0;
	all |= abi >= 3 ? LL_TRUNCATE : 0;
	return all | (abi >= 5 ? LL_IOCTL_DEV : 0);
}

static int allow_path(struct build *b, const char *path, uint64_t access, uint64_t handled, const char *origin)
{
	struct op *op = build_op(b, SECTION_LANDLOCK, OP_LANDLOCK_PATH, path, origin);

	if (op)
		op->number[0] = access & handled;
	return op ? 0 : -1;
}

/* The rule just made holds for this very inode. */
static void vet(struct build *b, const struct host_file *f)
{
	struct op *op = &b->plan->ops[b->plan->op_count - 1];

	op->number[1] = f->dev;
	op->number[2] = f->ino;
	op->number[3] = 1;
}

static uint64_t access_of(const struct view_entry *e)
{
	uint64_t a = e->file ? FILE_READ : DIR_READ;

	if (e->noexec)
		a &= ~(uint64_t)LL_EXECUTE;
	if (e->device)
		return LL_READ_FILE | LL_WRITE_FILE | LL_IOCTL_DEV;
	return e->rw || e->kind == VIEW_TMPFS ? a | (e->file ? FILE_WRITE : DIR_WRITE) : a;
}

/* The files of the view, as rights beneath the mounts (files mode) or instead of them (never). */
static int file_rules(struct build *b, const struct view *v, uint64_t handled)
{
	static const char *const nodes[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };
	bool mounts = layer_has_mounts(b);

	for (size_t i = 0; i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		if (e->kind != VIEW_BIND && e->kind != VIEW_TMPFS && e->kind != VIEW_DEVICE)
			continue;
		/* The host's directory of that name is no stand-in for a private one. */
		if (!mounts && e->kind == VIEW_TMPFS)
			continue;
		if (allow_path(b, mounts ? e->dst : e->src, access_of(e), handled, e->origin) < 0)
			return -1;
		/* What is granted is the inode that was looked at; under mounts the bind has checked it. */
		if (!mounts && e->host)
			vet(b, e->host);
	}
	if (mounts) {
		if (b->policy->rootfs && allow_path(b, "/", DIR_READ | (b->policy->rootfs_rw ? DIR_WRITE : 0), handled, "rootfs") < 0)
			return -1;
		/* Everything else in our root (etc, links, empty directories) may be read. */
		if (!b->policy->rootfs && (allow_path(b, "/etc", DIR_READ, handled, "default") < 0 || allow_path(b, "/", LL_READ_DIR, handled, "default") < 0))
			return -1;
		if (b->policy->dev == DEV_MINIMAL && (allow_path(b, "/dev/shm", DIR_READ | DIR_WRITE, handled, "default") < 0 ||
						      allow_path(b, "/dev/pts", LL_READ_FILE | LL_READ_DIR | LL_WRITE_FILE | LL_IOCTL_DEV, handled, "default") < 0))
			return -1;
		if (b->policy->proc != PROC_NONE && allow_path(b, "/proc", LL_READ_FILE | LL_READ_DIR, handled, "default") < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT_OF(nodes) && b->policy->dev != DEV_NONE; i++) {
		if (allow_path(b, nodes[i], LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE | LL_IOCTL_DEV, handled, "default") < 0)
			return -1;
	}
	return 0;
}

static bool narrower(const struct view_entry *e, const struct view_entry *o)
{
	return (o->rw && !e->rw) || (!o->noexec && e->noexec);
}

static int keeps_rights(struct build *b, const struct view_entry *e, const struct view_entry *o)
{
	if (!e->named)
		return build_row(b, ROW_WEAKER, e->dst, e->rw ? "read-write" : "read-only", "the rights of what is above", "Landlock", o->src, e->origin);
	error_set(b->error, ERR_NS_CONFLICT, 0, NULL, e->src, e->origin);
	return error_detail(b->error, "with userns = never it keeps the rights of %s (%s): Landlock can only grant", o->src, o->origin);
}

/* Landlock only adds rights: below a wider grant, by whatever name, a narrower one holds nothing. */
static int check_narrower(struct build *b, const struct view *v)
{
	struct table granted = { 0 };
	const char **where = arena_alloc(b->plan->arena, (v->count + 1) * sizeof *where);

	for (size_t i = 0; i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		if (e->kind != VIEW_BIND)
			continue;
		if (!where || !(where[i] = b->host->locate(b->host, e->src)) ||
		    !table_put(&granted, b->plan->arena, where[i], strlen(where[i]), i))
			return error_nomem(b->error);
	}
	for (size_t i = 0; i < v->count; i++) {
		const struct view_entry *e = &v->entries[i];
		for (size_t n = e->kind == VIEW_BIND ? path_above(where[i], strlen(where[i])) : 0; n; n = path_above(where[i], n)) {
			const size_t *at = table_find(&granted, where[i], n);
			if (at && narrower(e, &v->entries[*at]) && keeps_rights(b, e, &v->entries[*at]) < 0)
				return -1;
		}
	}
	return 0;
}

/* What the default view gives by files that hutch writes itself must come from the host here. */
static int never_extras(struct build *b, uint64_t handled)
{
	static const char *const read[] = { "/etc/ld.so.cache", "/etc/alternatives", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/localtime" };

	for (size_t i = 0; i < COUNT_OF(read); i++) {
		const struct host_file *f = b->host->lookup(b->host, NULL, read[i]);
		if (f->errnum)
			continue;
		if (allow_path(b, read[i], (f->mode & 0170000) == 0040000 ? DIR_READ : LL_READ_FILE, handled, "system") < 0)
			return -1;
		vet(b, f);
	}
	if (b->plan->private_tty && (allow_path(b, "/dev/ptmx", LL_READ_FILE | LL_WRITE_FILE | LL_IOCTL_DEV, handled, "default") < 0 || allow_path(b, "/dev/pts", LL_READ_FILE | LL_WRITE_FILE | LL_IOCTL_DEV, handled, "default") < 0))
		return -1;
	/* /proc/self is each process's own; the rest of /proc stays closed. */
	return build_row(b, ROW_MISSING, "/tmp, home, /proc", "private", "out of reach", "Landlock",
			 "without a mount namespace there is no private one; show a directory with --rw and set TMPDIR", b->policy->origin[KEY_USERNS]);
}

static int ports(struct build *b, const struct port_list *l, uint64_t access, const char *origin)
{
	for (size_t i = 0; i < l->count; i++) {
		struct op *op = build_op(b, SECTION_LANDLOCK, OP_LANDLOCK_PORT, NULL, origin);
		if (!op)
			return -1;
		op->number[0] = l->ports[i];
		op->number[1] = access;
	}
	return 0;
}

/* What the lack of scopes leaves open. A kind of namespace of its own holds what the scope would. */
static const char *without_scopes(const struct policy *p, bool never)
{
	bool net = p->ns[NS_NET].how != NS_NEW, pid = p->ns[NS_PID].how != NS_NEW;

	if (never)
		return "this kernel's Landlock has no scopes (6.12 has): the user's other processes can be signalled";
	if (net && pid)
		return "this kernel's Landlock has no scopes (6.12 has): processes outside may be signalled, and abstract sockets of the shared network be reached";
	if (net)
		return "this kernel's Landlock has no scopes (6.12 has): abstract sockets of the shared network can be reached";
	if (pid)
		return "this kernel's Landlock has no scopes (6.12 has): processes of the shared pid namespace may be signalled";
	return "this kernel's Landlock has no scopes (6.12 has); the namespaces hold";
}

static int rows(struct build *b, bool files, bool never, uint64_t net, uint64_t scoped)
{
	const struct policy *p = b->policy;
	unsigned abi = b->host->landlock_abi;

	if (files && build_row(b, ROW_ENFORCED, "Landlock files", "files", never ? "the only line" : "second line under the mounts",
			       arena_printf(b->plan->arena, "Landlock ABI %u", abi),
			       never ? "stat, chmod, chown, utime and xattr of visible names aren't covered by Landlock; unix sockets by path neither; "
			       "what a rule names can itself be renamed, linked or removed where the directory around it is writable" :
			       abi < 3 ? "truncate isn't covered by this kernel's Landlock" : NULL, p->origin[KEY_LANDLOCK]) < 0)
		return -1;
	if (net && build_row(b, ROW_ENFORCED, "TCP ports", "listed", "listed ones only", "Landlock", "UDP isn't covered, nor is listen(2) without bind, which takes a random port", p->origin[KEY_TCP_CONNECT]) < 0)
		return -1;
	return build_row(b, scoped ? ROW_ENFORCED : ROW_MISSING, "signal and abstract socket scope", "scoped", scoped ? "scoped" : "-", "Landlock",
			 scoped ? NULL : without_scopes(p, never), p->origin[KEY_LANDLOCK]);
}

int landlock_compile(struct build *b, const struct view *v)
{
	const struct policy *p = b->policy;
	unsigned abi = b->host->landlock_abi;
	bool never = layer_never(b), files = never || p->landlock == LANDLOCK_FILES;
	uint64_t net = 0, handled = files ? landlock_handled(abi) : 0, scoped = abi >= 6 ? LL_SCOPE_ABSTRACT | LL_SCOPE_SIGNAL : 0;
	struct op *op;

	if (p->landlock == LANDLOCK_OFF && !never)
		return build_row(b, ROW_OPEN, "Landlock", "off", "off", "-", NULL, p->origin[KEY_LANDLOCK]);
	if (never && p->landlock == LANDLOCK_OFF)
		return error_set(b->error, ERR_NS_CONFLICT, 0, NULL, "landlock = off and userns = never: nothing would confine files", p->origin[KEY_LANDLOCK]);
	/* Where it is asked for, or the only line, its lack is an error; as a second line it is a row. */
	if (!abi && (never || p->strength[KEY_LANDLOCK] == STRENGTH_REQUIRED || p->tcp_connect.given || p->tcp_bind.given))
		return error_set(b->error, ERR_LANDLOCK_MISSING, 38, "landlock_create_ruleset", never ? "userns = never" : "landlock", p->origin[KEY_LANDLOCK]);
	if (!abi)
		return build_row(b, ROW_MISSING, "Landlock", "scopes", "-", "-",
				 p->ns[NS_NET].how == NS_NEW && p->ns[NS_PID].how == NS_NEW ? "this kernel has none; the namespaces hold"
											    : without_scopes(p, never), p->origin[KEY_LANDLOCK]);
	if (!scoped && p->landlock == LANDLOCK_SCOPES && p->strength[KEY_LANDLOCK] == STRENGTH_REQUIRED)
		return error_set(b->error, ERR_LANDLOCK_SCOPES, 0, NULL, "landlock = scopes", p->origin[KEY_LANDLOCK]);
	net |= p->tcp_connect.given ? LL_NET_CONNECT : 0;
	net |= p->tcp_bind.given ? LL_NET_BIND : 0;
	/* Without a network namespace `none` can only mean that no TCP port is allowed. */
	if (never && p->ns[NS_NET].how == NS_NEW)
		net = LL_NET_CONNECT | LL_NET_BIND;
	if (net && abi < 4) {
		if (!never || p->tcp_connect.given || p->tcp_bind.given)
			return error_set(b->error, ERR_LANDLOCK_NET, 0, NULL, "tcp-connect, tcp-bind", p->origin[KEY_TCP_CONNECT]);
		net = 0;
	}
	if (!handled && !net && !scoped)
		return rows(b, files, never, net, scoped);
	op = build_op(b, SECTION_LANDLOCK, OP_LANDLOCK_RULESET, NULL, p->origin[KEY_LANDLOCK]);
	if (!op)
		return -1;
	op->number[0] = handled;
	op->number[1] = net;
	op->number[2] = scoped;
	/* The structure grew with the versions; an older kernel takes only its own size. */
	op->number[3] = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	if (never && check_narrower(b, v) < 0)
		return -1;
	if (files && (file_rules(b, v, handled) < 0 || (never && never_extras(b, handled) < 0)))
		return -1;
	if (ports(b, &p->tcp_connect, LL_NET_CONNECT, p->origin[KEY_TCP_CONNECT]) < 0 || ports(b, &p->tcp_bind, LL_NET_BIND, p->origin[KEY_TCP_BIND]) < 0)
		return -1;
	/* Once restricted, a thread can't reach the others by a signal on every kernel. */
	if (each_thread_compile(b) < 0 || !build_op(b, SECTION_LANDLOCK, OP_LANDLOCK_RESTRICT, NULL, p->origin[KEY_LANDLOCK]))
		return -1;
	return rows(b, files, never, net, scoped);
}
