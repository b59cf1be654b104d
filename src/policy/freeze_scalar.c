/* Freezing plain values: yes and no, choices, counts, sizes, names, namespaces.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>

/* A default in the table is checked like anybody's line, so that it can't rot. */
struct draft_line line_of(const struct freeze *f, enum key_id key)
{
	if (f->winner[key])
		return *f->winner[key];
	return (struct draft_line){ .key = key, .value = key_rows[key].def, .origin = "default" };
}

int get_bool(struct freeze *f, enum key_id key, bool *out)
{
	struct draft_line l = line_of(f, key);

	return parse_bool(l.value, out) < 0 ? bad_value(f, &l, "it is neither yes nor no") : 0;
}

/* Position of word in a list of words with blanks between, -1 = not in it. */
static int word_index(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; len && *words; i++) {
		size_t n = strcspn(words, " ");
		if (n == len && !memcmp(words, word, n))
			return i;
		words += n + (words[n] == ' ');
	}
	return -1;
}

int get_choice(struct freeze *f, enum key_id key, unsigned *out)
{
	struct draft_line l = line_of(f, key);
	int i = word_index(key_rows[key].range, l.value);

	if (i < 0)
		return bad_value(f, &l, "it isn't one of the choices");
	*out = (unsigned)i;
	return 0;
}

int get_number(struct freeze *f, enum key_id key, uint64_t *out)
{
	struct draft_line l = line_of(f, key);
	const char *range = key_rows[key].range, *dots = strstr(range, "..");
	char low[24];
	uint64_t n, min;
	int r = key_rows[key].type == KEY_SIZE ? parse_size(l.value, &n) : parse_u64(l.value, &n);

	if (r < 0)
		return bad_value(f, &l, "%s", key_rows[key].type == KEY_SIZE ? "it isn't a size like 512, 64K, 256M, 2G" : "it isn't a number");
	copy_bounded(low, sizeof low < (size_t)(dots - range) + 1 ? sizeof low : (size_t)(dots - range) + 1, range);
	if (parse_size(low, &min) < 0 || n < min)
		return bad_value(f, &l, "it is less than %s", low);
	if (n > UINT64_MAX / 4)
		return bad_value(f, &l, "it is too big");
	*out = n;
	return 0;
}

static int freeze_bools(struct freeze *f)
{
	struct policy *p = f->policy;
	const struct { enum key_id key; bool *out; } bools[] = {
		{ KEY_SYSTEM, &p->system }, { KEY_HOST_ROOT, &p->host_root }, { KEY_CHROOT, &p->chroot }, { KEY_GIT, &p->git },
		{ KEY_AMBIENT, &p->ambient }, { KEY_NO_NEW_PRIVS, &p->no_new_privs }, { KEY_KEEP_ENV, &p->keep_env },
		{ KEY_FD_ANY, &p->fd_any_kind }, { KEY_INIT, &p->init }, { KEY_DIE_WITH_LAUNCHER, &p->die_with_launcher },
	};

	for (size_t i = 0; i < COUNT_OF(bools); i++) {
		if (get_bool(f, bools[i].key, bools[i].out) < 0)
			return -1;
	}
	return 0;
}

/* The enums of struct policy stand in the order of the words in the table's range. */
static int freeze_choices(struct freeze *f)
{
	static const unsigned hidepid[] = { 0, 1, 2, 4 }; /* the kernel's numbers */
	struct policy *p = f->policy;
	unsigned on_exit = 0, protect_new = 0, rootfs = 0, dev = 0, proc = 0, subset = 0, hide = 0, sys = 0, home = 0, cwd = 0, nest = 0, compat = 0, landlock = 0, tty = 0;
	const struct { enum key_id key; unsigned *out; } choices[] = {
		{ KEY_ROOTFS_ACCESS, &rootfs }, { KEY_DEV, &dev }, { KEY_PROC, &proc }, { KEY_PROC_SUBSET, &subset },
		{ KEY_HIDEPID, &hide }, { KEY_SYS, &sys }, { KEY_HOME, &home }, { KEY_CWD_ACCESS, &cwd },
		{ KEY_NEST, &nest }, { KEY_COMPAT, &compat }, { KEY_LANDLOCK, &landlock }, { KEY_TTY, &tty }, { KEY_ON_EXIT, &on_exit }, { KEY_PROTECT_NEW, &protect_new },
	};

	for (size_t i = 0; i < COUNT_OF(choices); i++) {
		if (get_choice(f, choices[i].key, choices[i].out) < 0)
			return -1;
	}
	p->rootfs_rw = rootfs >= 1;
	p->rootfs_cow = rootfs == 2;
	p->on_exit = on_exit;
	p->protect_check = protect_new;
	p->dev = dev;
	p->proc = proc;
	p->proc_subset_pid = subset == 1;
	p->hidepid = hidepid[hide];
	p->sys_ro = sys == 1;
	p->home_private = home == 0;
	p->cwd_access = cwd;
	p->nest = nest == 1;
	p->compat_deny = compat == 1;
	p->landlock = landlock;
	p->tty = tty;
	return 0;
}

static int get_name(struct freeze *f, enum key_id key, size_t least, const char **out)
{
	struct draft_line l = line_of(f, key);
	size_t len;

	if (!l.value)
		return 0;
	len = strlen(l.value);
	if (len < least || len > 64)
		return bad_value(f, &l, "it has %zu bytes", len);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)l.value[i] <= ' ' || l.value[i] == 0x7f)
			return bad_value(f, &l, "it holds a blank or a control character");
	}
	*out = l.value;
	return 0;
}

static const struct { enum key_id key; const char *file; } ns_keys[NS_KINDS] = {
	[NS_USER] = { KEY_USERNS, "user" }, [NS_MNT] = { KEY_MNTNS, "mnt" }, [NS_PID] = { KEY_PIDNS, "pid" },
	[NS_NET] = { KEY_NET, "net" }, [NS_IPC] = { KEY_IPCNS, "ipc" }, [NS_UTS] = { KEY_UTSNS, "uts" },
	[NS_CGROUP] = { KEY_CGROUPNS, "cgroup" }, [NS_TIME] = { KEY_TIMENS, "time" },
};

static int ns_join(struct freeze *f, const struct draft_line *l, const char *file, struct policy_ns *out)
{
	uint64_t pid;

	out->how = NS_JOIN;
	if (!strncmp(l->value, "pid:", 4)) {
		if (parse_u64(l->value + 4, &pid) < 0 || !pid || pid > INT32_MAX)
			return bad_value(f, l, "what follows pid: isn't a process id");
		out->path = arena_printf(f->arena, "/proc/%u/ns/%s", (unsigned)pid, file);
		return out->path ? 0 : error_nomem(f->error);
	}
	out->path = source_path(f, l, l->value);
	return out->path ? 0 : -1;
}

static int freeze_ns(struct freeze *f, enum ns_kind kind)
{
	static const struct { const char *word; enum ns_how how; } words[] = {
		{ "new", NS_NEW }, { "none", NS_NEW }, { "host", NS_HOST }, { "never", NS_NEVER }, { "try", NS_TRY },
	};
	struct draft_line l = line_of(f, ns_keys[kind].key);
	struct policy_ns *out = &f->policy->ns[kind];

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!strcmp(words[i].word, l.value) && word_index(key_rows[l.key].range, l.value) >= 0) {
			out->how = words[i].how;
			return 0;
		}
	}
	/* A word that is meant as a choice must not become a file name. */
	if (!strchr(l.value, '/') && strncmp(l.value, "pid:", 4))
		return bad_value(f, &l, "it is none of the words, and a path has a slash");
	return ns_join(f, &l, ns_keys[kind].file, out);
}

static int freeze_machine_id(struct freeze *f)
{
	struct draft_line l = line_of(f, KEY_MACHINE_ID);
	struct policy *p = f->policy;

	if (!strcmp(l.value, "random"))
		return 0;
	if (!strcmp(l.value, "host")) {
		p->machine_id_host = true;
		return 0;
	}
	if (strlen(l.value) != 32 || strspn(l.value, "0123456789abcdef") != 32)
		return bad_value(f, &l, "it is no number of 32 small hexadecimal digits");
	p->machine_id = l.value;
	return 0;
}

int freeze_scalars(struct freeze *f)
{
	struct policy *p = f->policy;

	if (freeze_bools(f) < 0 || freeze_choices(f) < 0)
		return -1;
	if (get_number(f, KEY_TMP_SIZE, &p->tmp_size) < 0 || get_number(f, KEY_TMP_INODES, &p->tmp_inodes) < 0 || get_number(f, KEY_COW_SIZE, &p->cow_size) < 0)
		return -1;
	if (get_name(f, KEY_HOSTNAME, 1, &p->hostname) < 0 || get_name(f, KEY_DOMAINNAME, 0, &p->domainname) < 0)
		return -1;
	if (freeze_machine_id(f) < 0)
		return -1;
	for (int kind = 0; kind < NS_KINDS; kind++) {
		if (freeze_ns(f, (enum ns_kind)kind) < 0)
			return -1;
	}
	return 0;
}
