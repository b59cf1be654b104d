/* Unit tests of src/policy: keys, draft, freeze, presets.
 * Runs in: tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/resource.h>
#include "front/front.h"

static const char *const environment[] = { "HOME=/home/u", NULL };
static const struct policy_context user = { "/work/place", "/home/u", environment, 1000, 1000 };
static const struct policy_context root = { "/work/place", "/home/u", environment, 0, 0 };

struct fixture { struct arena arena; struct draft draft; struct policy policy; struct hutch_error error; char text[2048]; };

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	if (!x)
		return -1;
	arena_init(&x->arena);
	x->draft.arena = &x->arena;
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	arena_done(&x->arena);
	free(x);
	return 0;
}

static void restart(struct fixture *x)
{
	arena_done(&x->arena);
	memset(x, 0, sizeof *x);
	arena_init(&x->arena);
	x->draft.arena = &x->arena;
}

/* Lines of a file "f" at this depth. */
static void given(struct fixture *x, unsigned depth, enum strength s, const char *text)
{
	int r = front_policy_text(&x->draft, text, strlen(text), "f", NULL, depth, s, &x->error);

	if (r)
		hutch_error_text(&x->error, x->text, sizeof x->text);
	assert_string_equal(x->text, "");
}

static const struct policy *frozen(struct fixture *x, const struct policy_context *c)
{
	if (policy_freeze(&x->draft, c, &x->policy, &x->error) < 0)
		hutch_error_text(&x->error, x->text, sizeof x->text);
	assert_string_equal(x->text, "");
	return &x->policy;
}

/* A policy of these lines alone, by an ordinary user. */
static const struct policy *policy_of(struct fixture *x, const char *text)
{
	restart(x);
	given(x, 0, STRENGTH_REQUIRED, text);
	return frozen(x, &user);
}

/* These lines are refused with that error; its whole text holds all the words (blank = several given by |). */
static void refused_by(struct fixture *x, const struct policy_context *c, const char *text, enum error_id id, const char *words)
{
	char copy[256];

	restart(x);
	given(x, 0, STRENGTH_REQUIRED, text);
	if (policy_freeze(&x->draft, c, &x->policy, &x->error) == 0)
		fail_msg("not refused: %s", text);
	hutch_error_text(&x->error, x->text, sizeof x->text);
	if (x->error.id != id)
		fail_msg("%s: E%u: %s", text, x->error.id, x->text);
	copy_bounded(copy, sizeof copy, words);
	for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|")) {
		if (!strstr(x->text, word))
			fail_msg("no \"%s\" in: %s", word, x->text);
	}
	assert_true(x->error.origin[0] && x->error.remedy[0]);
}

static void refused(struct fixture *x, const char *text, enum error_id id, const char *words)
{
	refused_by(x, &user, text, id, words);
}

static void keys_are_found_and_near_ones_named(void **state)
{
	const char *near;
	(void)state;

	for (int i = 0; i < KEY_COUNT; i++) {
		assert_int_equal(key_find(key_rows[i].name, &near), i);
		assert_true(key_rows[i].help && *key_rows[i].help && key_rows[i].group);
		assert_true(key_rows[i].type != KEY_CHOICE || (key_rows[i].range && key_rows[i].def));
	}
	assert_int_equal(key_find("hostnam", &near), -1);
	assert_string_equal(near, "hostname");
	assert_int_equal(key_find("seccmop", &near), -1);
	assert_string_equal(near, "seccomp");
	assert_int_equal(key_find("entirely-else", &near), -1);
	assert_null(near);
	assert_int_equal(key_find("", NULL), -1);
	assert_int_equal(name_distance("abc", "axcd"), 2);
	assert_string_equal(capability_name(40), "checkpoint_restore");
	assert_null(capability_name(41));
}

static void draft_refuses_unknown_keys(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(draft_add(&x->draft, "hostnam", "a", "api", 0, 0, STRENGTH_REQUIRED, &x->error), -1);
	assert_int_equal(x->error.id, ERR_KEY_UNKNOWN);
	assert_string_equal(x->error.origin, "api");
	assert_non_null(strstr(x->error.remedy, "`hostname`"));
	assert_int_equal(x->draft.count, 0);
}

static void defaults(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = frozen(x, &user);

	assert_true(p->system && p->home_private && p->no_new_privs && p->init && p->ambient && p->die_with_launcher);
	assert_false(p->host_root || p->chroot || p->keep_env || p->nest || p->compat_deny || p->rootfs_rw || p->sys_ro || p->proc_subset_pid);
	assert_int_equal(p->dev, DEV_MINIMAL);
	assert_int_equal(p->proc, PROC_AUTO);
	assert_int_equal(p->cwd_access, CWD_RO);
	assert_int_equal(p->landlock, LANDLOCK_SCOPES);
	assert_int_equal(p->tty, TTY_AUTO);
	assert_int_equal(p->map, MAP_OWN);
	assert_int_equal(p->umask, 022);
	assert_int_equal(p->securebits, 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x80);
	assert_true(p->tmp_size == 256u << 20 && p->tmp_inodes == 65536);
	assert_string_equal(p->hostname, "hutch");
	assert_null(p->domainname);
	for (int i = 0; i < NS_KINDS; i++)
		assert_int_equal(p->ns[i].how, NS_NEW);
	assert_int_equal(p->seccomp_count, 1);
	assert_int_equal(p->seccomp[0].kind, SECCOMP_BUILTIN_DEFAULT);
	assert_int_equal(p->rule_count + p->env_count + p->fd_count, 0);
	assert_true(p->caps == 0);
	assert_true(p->rlimits[RLIMIT_CORE].given && !p->rlimits[RLIMIT_CORE].hard && !p->rlimits[RLIMIT_AS].given);
	assert_string_equal(p->origin[KEY_HOSTNAME], "default");
}

static void nearer_lines_win(void **state)
{
	struct fixture *x = *state;
	const struct policy *p;

	given(x, 2, STRENGTH_PREFERRED, "hostname = deep\ntmp-size = 8K\numask = 077\n");
	given(x, 0, STRENGTH_REQUIRED, "hostname = near\n");
	given(x, 1, STRENGTH_REQUIRED, "hostname = between\ntmp-size = 16K");
	given(x, 1, STRENGTH_REQUIRED, "tmp-size = 32K");
	p = frozen(x, &user);
	assert_string_equal(p->hostname, "near");
	assert_string_equal(p->origin[KEY_HOSTNAME], "f:1");
	assert_int_equal(p->strength[KEY_HOSTNAME], STRENGTH_REQUIRED);
	assert_true(p->tmp_size == 32768); /* of two sources at one depth the later */
	assert_int_equal(p->umask, 077);
	assert_int_equal(p->strength[KEY_UMASK], STRENGTH_PREFERRED);
}

static void twice_in_one_source(void **state)
{
	struct fixture *x = *state;

	refused(x, "hostname = a\n\nhostname = b\n", ERR_KEY_TWICE, "hostname|f:1 and f:3|\"a\", then \"b\"");
	refused(x, "hostname = a\nhostname = a\n", ERR_KEY_TWICE, "f:1 and f:2");
	restart(x);
	assert_int_equal(draft_add(&x->draft, "net", "host", "api", 0, 0, STRENGTH_REQUIRED, NULL), 0);
	assert_int_equal(draft_add(&x->draft, "net", "none", "api", 0, 0, STRENGTH_REQUIRED, NULL), 0);
	assert_int_equal(policy_freeze(&x->draft, &user, &x->policy, &x->error), -1);
	assert_int_equal(x->error.id, ERR_KEY_TWICE);
}

static void bad_values(void **state)
{
	static const char *const lines[] = {
		"system = maybe", "system =", "dev = big", "dev = minimal host", "dev =", "tmp-size = 4095", "tmp-size = -1", "tmp-size = 1Q", "tmp-size = 16777215T",
		"tmp-inodes = 15", "tmp-inodes = 1K", "hostname =", "hostname = a b", "hostname = 12345678901234567890123456789012345678901234567890123456789012345",
		"userns = maybe", "net = new", "pidns = never", "utsns = pid:0", "utsns = pid:x", "time-monotonic = 1.", "time-monotonic = --1", "time-boottime = 4000000001",
		"time-boottime = 1.0000000000", "umask = 8", "umask = 01000", "umask =", "map = 1:", "map = :1", "map = bob", "map = 4294967295", "user = bob", "user = 1:2:3",
		"uid-map = 0:0:1", "uid-map = 0:1:1\ngid-map = 0:1", "uid-map = 0:1:0\ngid-map = 0:1:1", "uid-map = 4294967294:1:2\ngid-map = 0:1:1",
		"uid-map = 0:1:2\nuid-map = 1:9:1\ngid-map = 0:1:1", "uid-map = 0:1:2\nuid-map = 5:2:1\ngid-map = 0:1:1", "uid-map = 0:1:1:1\ngid-map = 0:1:1",
		"caps = net_raw,", "caps = cap_nothing", "caps =", "securebits = root", "seccomp =", "tcp-connect = 65536", "tcp-connect = 80,", "tcp-bind = http",
		"env = =x", "env =", "unset-env = A=b", "fd = 2", "fd = 1048577", "fd = x", "fd = 3=", "fd = =3", "fd = 3=x", "fd = -1=3", "fd = 3=4=5", "fd = 3=1048577", "fd = 3=4\nfd = 3", "fd = 3=4\nfd = 3=5", "fd = 0=4\nfd = 0=5", "rlimit-as = 2G:1G", "rlimit-as = 1Q", "rlimit-as =", "rlimit-as = 1:2:3", "rlimit-cpu = 2M",
		"rlimit-nofile = unlimited:5", "rlimit-core = -1",
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(lines); i++)
		refused(x, lines[i], ERR_KEY_VALUE, "f:");
	refused(x, "caps = net_rav", ERR_KEY_VALUE, "did you mean net_raw");
	refused(x, "dev = big", ERR_KEY_VALUE, "dev = big|minimal host none|f:1");
}

static void namespaces(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x, "userns = try\nnet = host\npidns = pid:12\nutsns = ./ns\nipcns = /proc/1/ns/ipc\ncgroupns = pid:2147483647\n");

	assert_int_equal(p->ns[NS_USER].how, NS_TRY);
	assert_int_equal(p->ns[NS_NET].how, NS_HOST);
	assert_int_equal(p->ns[NS_PID].how, NS_JOIN);
	assert_string_equal(p->ns[NS_PID].path, "/proc/12/ns/pid");
	assert_string_equal(p->ns[NS_UTS].path, "/work/place/ns");
	assert_string_equal(p->ns[NS_IPC].path, "/proc/1/ns/ipc");
	assert_string_equal(p->ns[NS_CGROUP].path, "/proc/2147483647/ns/cgroup");
	assert_int_equal(policy_of(x, "userns = never\n")->ns[NS_USER].how, NS_NEVER);
}

static void clock_offsets(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x, "time-monotonic = -1.25\ntime-boottime = 86400.000000001\n");

	assert_true(p->have_time_offset);
	assert_int_equal(p->monotonic_s, -2);
	assert_int_equal(p->monotonic_ns, 750000000);
	assert_int_equal(p->boottime_s, 86400);
	assert_int_equal(p->boottime_ns, 1);
	assert_int_equal(policy_of(x, "time-monotonic = -3\n")->monotonic_s, -3);
}

static const struct path_rule *rule(const struct policy *p, const char *dst)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		if (!strcmp(p->rules[i].dst, dst))
			return &p->rules[i];
	}
	fail_msg("no rule at %s", dst);
	return NULL;
}

static void path_forms(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x,
		"ro = /a//b/./c/\nrw = data:/srv\nro = ?~/x:/home/x:noexec\nro = /p\\:q\\\\r\nrw = .\nro = ../up\nro = /x/../y:/xy:exec\n"
		"tmpfs = /t:size=4M,inodes=100,mode=1777,noexec\ndir = here/./d:mode=0700\nmask = secret\nsymlink = a\\:b:/link\n"
		"file = /f=x=y: z\nfile = /with\\=sign=1\nfile-fd = 7:/g\ndevice = ?/dev/fuse\nro = /new\xff\xfe\n");
	const struct path_rule *r;

	assert_int_equal(p->rule_count, 16);
	for (size_t i = 1; i < p->rule_count; i++)
		assert_true(strcmp(p->rules[i - 1].dst, p->rules[i].dst) < 0);
	r = rule(p, "/a/b/c");
	assert_string_equal(r->src, "/a//b/./c/"); /* left to the kernel */
	assert_true(r->kind == RULE_RO && !r->optional && !r->noexec && r->strength == STRENGTH_REQUIRED);
	assert_string_equal(r->origin, "f:1");
	r = rule(p, "/srv");
	assert_string_equal(r->src, "/work/place/data");
	assert_int_equal(r->kind, RULE_RW);
	r = rule(p, "/home/x");
	assert_string_equal(r->src, "/home/u/x");
	assert_true(r->optional && r->noexec);
	assert_string_equal(rule(p, "/p:q\\r")->src, "/p:q\\r");
	assert_string_equal(rule(p, "/work/place")->src, "/work/place");
	assert_string_equal(rule(p, "/work/up")->src, "/work/up");
	assert_string_equal(rule(p, "/xy")->src, "/x/../y");
	r = rule(p, "/t");
	assert_true(r->size == 4u << 20 && r->inodes == 100 && r->mode == 01777 && r->noexec && r->kind == RULE_TMPFS);
	assert_int_equal(rule(p, "/work/place/here/d")->mode, 0700);
	assert_int_equal(rule(p, "/work/place/secret")->kind, RULE_MASK);
	assert_string_equal(rule(p, "/link")->src, "a:b");
	r = rule(p, "/f");
	assert_int_equal(r->data_len, 6);
	assert_memory_equal(r->data, "x=y: z", 6);
	assert_memory_equal(rule(p, "/with=sign")->data, "1", 1);
	assert_int_equal(rule(p, "/g")->fd, 7);
	r = rule(p, "/dev/fuse");
	assert_true(r->optional && r->kind == RULE_DEVICE && !strcmp(r->src, "/dev/fuse"));
	assert_string_equal(rule(p, "/new\xff\xfe")->src, "/new\xff\xfe");
}

/* A set's rows stand for paths of the caller; who names a path wins over it. */
static void sets(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x, "hide = @secrets\nprotect = @autorun\nhide = ~/.kube\nro = ~/.aws\nprotect-new = check\n");
	size_t secrets = 0, autorun = 0;

	for (size_t i = 0; i < p->rule_count; i++) {
		secrets += p->rules[i].set && p->rules[i].kind == RULE_HIDE;
		autorun += p->rules[i].set && p->rules[i].kind == RULE_PROTECT;
		assert_true(!i || strcmp(p->rules[i - 1].dst, p->rules[i].dst) < 0);
	}
	assert_true(secrets > 100 && autorun > 100 && p->protect_check);
	assert_true(rule(p, "/home/u/.ssh")->set && !rule(p, "/home/u/.ssh")->pattern && rule(p, "/work/place/.env.*")->pattern);
	assert_string_equal(rule(p, "/home/u/.ssh")->origin, "f:1, @secrets");
	assert_true(rule(p, "/home/u/.kube")->kind == RULE_HIDE && !rule(p, "/home/u/.kube")->set);
	assert_int_equal(rule(p, "/home/u/.aws")->kind, RULE_RO);
	/* In both sets: what hides is the stricter. */
	assert_int_equal(rule(p, "/home/u/.npmrc")->kind, RULE_HIDE);
	assert_int_equal(rule(p, "/work/place/.envrc")->kind, RULE_PROTECT);
	for (size_t i = 0; i < p->rule_count; i++)
		assert_true(p->rules[i].dst[0] == '/');
	refused(x, "hide = @secret\n", ERR_PATH_SPEC, "@secrets");
	refused(x, "protect = @\n", ERR_PATH_SPEC, "@autorun");
	assert_int_equal(policy_of(x, "mask = @secrets\n")->rules[0].kind, RULE_MASK); /* a name like any other */
}

static void bad_paths(void **state)
{
	static const char *const lines[] = {
		"ro =", "ro = ?", "ro = :/x", "ro = /a:", "ro = /a:b", "ro = /a:/b/../c", "ro = /a/../b", "ro = a/../b", "ro = /a:/b:what", "ro = /a:/b:", "ro = /a:/b:exec:more",
		"ro = /", "ro = /a:/", "ro = /a:/.", "rw = /..:/x/..", "tmpfs = /", "tmpfs = /t:size=4095", "tmpfs = /t:size", "tmpfs = /t:mode=2777", "tmpfs = /t:mode=0",
		"tmpfs = /t:mode=9", "tmpfs = /t:inodes=1", "tmpfs = /t:bits=1", "dir = /d:size=4K", "mask = /m:noexec", "symlink = a", "symlink = :/a", "symlink = a:b", "symlink = a:/b:c",
		"file = /f", "file = =x", "file = f=x", "file-fd = /x", "file-fd = 3", "file-fd = x:/a", "file-fd = 1048577:/a", "device = /tmp/x", "device = /dev", "device = /dev/../etc/x",
		"device = fuse", "device = /dev/a:/dev/b", "ro = /a:/b:exec ", "mask = ../../../..", "cwd = /a/../b",
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(lines); i++) {
		if (!strcmp(lines[i], "ro = /a:/b:exec "))
			assert_int_equal(policy_of(x, lines[i])->rule_count, 1); /* the line's end is trimmed */
		else
			refused(x, lines[i], ERR_PATH_SPEC, "f:1");
	}
	refused(x, "ro = /", ERR_PATH_SPEC, "--rootfs|--host-root");
}

static void without_cwd_or_home(void **state)
{
	struct policy_context c = user;
	struct fixture *x = *state;

	c.cwd = NULL;
	refused_by(x, &c, "ro = data", ERR_PATH_CWD, "data|deleted|f:1");
	refused_by(x, &c, "mask = data", ERR_PATH_CWD, "data");
	refused_by(x, &c, "seccomp = p.json", ERR_PATH_CWD, "p.json");
	refused_by(x, &c, "cwd = sub", ERR_PATH_CWD, "sub");
	c.home = NULL;
	refused_by(x, &c, "ro = ~/x", ERR_PATH_HOME, "HOME");
	c.home = "relative";
	refused_by(x, &c, "ro = ~/x", ERR_PATH_HOME, "HOME");
	restart(x);
	given(x, 0, STRENGTH_REQUIRED, "ro = /abs\nmask = /m\n");
	assert_int_equal(frozen(x, &c)->rule_count, 2);
	c.cwd = "/";
	restart(x);
	given(x, 0, STRENGTH_REQUIRED, "ro = ../../a\nmask = ./b\n");
	assert_string_equal(rule(frozen(x, &c), "/a")->src, "/a");
	assert_non_null(rule(&x->policy, "/b"));
}

static void one_rule_per_place(void **state)
{
	struct fixture *x = *state;
	const struct policy *p;

	refused(x, "ro = /a\nmask = /a/\n", ERR_PATH_CONFLICT, "at /a|f:1 and f:2|ro = /a|mask = /a/");
	refused(x, "ro = /a\nro = /a:/a:noexec\n", ERR_PATH_CONFLICT, "f:1 and f:2");
	refused(x, "ro = /a\nro = ?/a\n", ERR_PATH_CONFLICT, "f:1 and f:2");
	assert_int_equal(policy_of(x, "ro = /a\nro = /a\nro = /a:/a:exec\n")->rule_count, 1);
	restart(x);
	given(x, 1, STRENGTH_PREFERRED, "ro = /a\nro = /b\n");
	given(x, 0, STRENGTH_REQUIRED, "rw = /a\n");
	given(x, 2, STRENGTH_REQUIRED, "mask = /a\nmask = /b\nmask = /a/b\n");
	p = frozen(x, &user);
	assert_int_equal(p->rule_count, 3);
	assert_int_equal(rule(p, "/a")->kind, RULE_RW);
	assert_int_equal(rule(p, "/b")->kind, RULE_RO);
	assert_int_equal(rule(p, "/b")->strength, STRENGTH_PREFERRED);
	restart(x);
	given(x, 1, STRENGTH_REQUIRED, "ro = /a\n");
	given(x, 1, STRENGTH_REQUIRED, "rw = /a\n");
	assert_int_equal(policy_freeze(&x->draft, &user, &x->policy, &x->error), -1);
	assert_int_equal(x->error.id, ERR_PATH_CONFLICT);
}

static void maps_and_groups(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x, "uid-map = 0:1000:1\nuid-map = 1:100000:65535\ngid-map = 0:1000:1\ngroups = 5,6\nuser = 0:7\n");

	assert_int_equal(p->map, MAP_EXPLICIT);
	assert_int_equal(p->uid_extent_count, 2);
	assert_int_equal(p->uid_extents[1].outside, 100000);
	assert_int_equal(p->gid_extent_count, 1);
	assert_true(p->groups_given && p->group_count == 2 && p->groups[1] == 6);
	assert_true(p->user_given && p->user_uid == 0 && p->user_gid == 7);
	p = policy_of(x, "map = 5\n");
	assert_true(p->map == MAP_SINGLE && p->map_uid == 5 && p->map_gid == 5);
	p = policy_of(x, "map = 5:6\nuser = 5\n");
	assert_true(p->map_gid == 6 && p->user_gid == 5);
	assert_int_equal(policy_of(x, "map = auto\ngroups = none\n")->map, MAP_AUTO);
	refused(x, "map = root\nuid-map = 0:1:1\ngid-map = 0:1:1\n", ERR_KEY_CONFLICT, "map = root|uid-map|f:1 and f:2");
	refused(x, "groups = 5\n", ERR_KEY_CONFLICT, "groups = 5|map = own|--map=auto");
	refused(x, "groups = none\n", ERR_KEY_CONFLICT, "groups");
	restart(x);
	given(x, 0, STRENGTH_REQUIRED, "groups = 5\n");
	assert_int_equal(frozen(x, &root)->group_count, 1);
	restart(x);
	given(x, 1, STRENGTH_REQUIRED, "uid-map = 0:1:1\ngid-map = 0:1:1\n");
	given(x, 0, STRENGTH_REQUIRED, "map = root\n");
	assert_int_equal(frozen(x, &user)->map, MAP_ROOT);
}

static void privileges(void **state)
{
	struct fixture *x = *state;

	assert_true(policy_of(x, "caps = CAP_NET_RAW,sys_admin,Cap_Chown\n")->caps == (1u << 13 | 1u << 21 | 1u));
	assert_int_equal(policy_of(x, "securebits = none\n")->securebits, 0);
	assert_int_equal(policy_of(x, "securebits = keep-caps,no-cap-ambient-raise\n")->securebits, 0x50);
	refused(x, "no-new-privs = no\n", ERR_KEY_PRIVILEGE, "no-new-privs = no|f:1|root");
	refused(x, "userns = host\n", ERR_KEY_PRIVILEGE, "userns = host");
	restart(x);
	given(x, 0, STRENGTH_REQUIRED, "no-new-privs = no\nuserns = host\n");
	assert_false(frozen(x, &root)->no_new_privs);
}

static void filters(void **state)
{
	struct fixture *x = *state;
	const struct policy *p;

	assert_int_equal(policy_of(x, "seccomp = none\n")->seccomp_count, 0);
	p = policy_of(x, "seccomp = ./p.json\nseccomp = /q.bpf\nseccomp = p.json\n");
	assert_int_equal(p->seccomp_count, 3); /* two files and the default beneath */
	assert_string_equal(p->seccomp[0].path, "/work/place/p.json");
	assert_int_equal(p->seccomp[2].kind, SECCOMP_BUILTIN_DEFAULT);
	p = policy_of(x, "seccomp = ./p.json\nseccomp = none\n");
	assert_true(p->seccomp_count == 1 && p->seccomp[0].kind == SECCOMP_PROFILE_FILE);
	p = policy_of(x, "seccomp = strict\n");
	assert_true(p->seccomp_count == 1 && p->seccomp[0].kind == SECCOMP_BUILTIN_STRICT);
	refused(x, "seccomp = strict\nseccomp = default\n", ERR_KEY_CONFLICT, "f:1 and f:2");
	refused(x, "seccomp = none\nseccomp = default\n", ERR_KEY_CONFLICT, "f:1 and f:2");
	refused(x, "seccomp = /1\nseccomp = /2\nseccomp = /3\nseccomp = /4\nseccomp = /5\nseccomp = /6\nseccomp = /7\nseccomp = /8\n", ERR_KEY_VALUE, "more than 8");
	restart(x);
	given(x, 1, STRENGTH_PREFERRED, "seccomp = strict\nseccomp = /old\n");
	given(x, 0, STRENGTH_REQUIRED, "seccomp = /new\n");
	p = frozen(x, &user);
	assert_int_equal(p->seccomp_count, 3);
	assert_int_equal(p->seccomp[2].kind, SECCOMP_BUILTIN_STRICT);
	given(x, 0, STRENGTH_REQUIRED, "seccomp = none\n");
	p = frozen(x, &user);
	assert_true(p->seccomp_count == 1 && !strcmp(p->seccomp[0].path, "/new"));
}

static void ports(void **state)
{
	struct fixture *x = *state;
	const struct policy *p = policy_of(x, "tcp-connect = 80,443\ntcp-connect = 80,22\ntcp-bind = none\n");

	assert_true(p->tcp_connect.given && p->tcp_connect.count == 3 && p->tcp_connect.ports[2] == 22);
	assert_true(p->tcp_bind.given && p->tcp_bind.count == 0);
	refused(x, "tcp-bind = none\ntcp-bind = 1\n", ERR_KEY_CONFLICT, "f:1 and f:2");
	refused(x, "tcp-bind = 1\nlandlock = off\n", ERR_KEY_CONFLICT, "tcp-bind|landlock = off");
}

static void process(void **state)
{
	struct fixture *x = *state;
	const struct policy *p;

	given(x, 0, STRENGTH_REQUIRED, "env = A=near=x\nunset-env = B\nfd = 9\nfd = 3\n");
	given(x, 1, STRENGTH_REQUIRED, "env = A=deep\nenv = B\nenv = E=\nfd = 9\nrlimit-nofile = 64:host\nrlimit-as = 1G\nrlimit-stack = host:unlimited\n");
	p = frozen(x, &user);
	assert_int_equal(p->env_count, 5);
	assert_string_equal(p->env[0].value, "deep");
	assert_int_equal(p->env[1].kind, ENV_PASS);
	assert_string_equal(p->env[2].value, "");
	assert_string_equal(p->env[3].value, "near=x");
	assert_string_equal(p->env[3].name, "A");
	assert_int_equal(p->env[4].kind, ENV_UNSET);
	assert_true(p->fd_count == 2 && p->fds[0] == 3 && p->fds[1] == 9 && p->fds_from[0] == 3 && p->fds_from[1] == 9);
	assert_true(p->rlimits[RLIMIT_NOFILE].soft == 64 && p->rlimits[RLIMIT_NOFILE].hard_host);
	assert_true(p->rlimits[RLIMIT_AS].soft == 1u << 30 && p->rlimits[RLIMIT_AS].hard == 1u << 30);
	assert_true(p->rlimits[RLIMIT_STACK].soft_host && p->rlimits[RLIMIT_STACK].hard == UINT64_MAX && !p->rlimits[RLIMIT_STACK].hard_host);
}

static void contradictions(void **state)
{
	static const struct { const char *text, *words; } cases[] = {
		{ "chroot = yes", "chroot = yes|rootfs" }, { "timens = host\ntime-monotonic = 1", "time-monotonic = 1|timens = host" },
		{ "timens = pid:1\ntime-boottime = 1", "time-boottime" }, { "hostname = a\nutsns = host", "hostname = a|utsns = host|f:1 and f:2" },
		{ "domainname = a\nutsns = host", "domainname" }, { "proc = bind", "proc = bind|pidns = new|f:1 and default" }, { "init = no\npidns = host", "init = no" },
		{ "mntns = host\nro = /a", "ro = /a|mntns = host" }, { "mntns = pid:5\ntmpfs = /a", "tmpfs" }, { "mntns = host\nrootfs = /r", "rootfs" },
		{ "host-root = yes\nrootfs = /r", "host-root" },
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		refused(x, cases[i].text, ERR_KEY_CONFLICT, cases[i].words);
	/* What nobody named gives way in silence: the default host name where the host's is kept. */
	assert_int_equal(policy_of(x, "utsns = host\n")->ns[NS_UTS].how, NS_HOST);
	assert_int_equal(policy_of(x, "userns = never\nmntns = host\nrw = /a\n")->rule_count, 1);
}

static const struct policy *preset(struct fixture *x, const char *name)
{
	char line[64] = "include = ";

	restart(x);
	strcat(line, name);
	given(x, 0, STRENGTH_REQUIRED, line);
	return frozen(x, &user);
}

static void presets_do_what_they_say(void **state)
{
	struct fixture *x = *state;
	const struct policy *p;

	for (size_t i = 0; preset_name(i); i++) {
		assert_true(preset_text(preset_name(i))[0] == '#');
		preset(x, preset_name(i));
	}
	assert_null(preset_text("nothing"));
	p = preset(x, "strict");
	assert_true(p->landlock == LANDLOCK_FILES && p->compat_deny && p->proc_subset_pid && p->hidepid == 2 && p->cwd_access == CWD_NONE);
	assert_true(p->seccomp_count == 1 && p->seccomp[0].kind == SECCOMP_BUILTIN_STRICT);
	assert_true(rule(p, "/tmp")->noexec && rule(p, "/tmp")->mode == 01777 && rule(p, "/tmp")->strength == STRENGTH_PREFERRED);
	assert_true(p->rlimits[RLIMIT_NPROC].hard == 256 && p->rlimits[RLIMIT_NOFILE].hard == 256);
	assert_string_equal(p->origin[KEY_LANDLOCK], "preset strict");
	assert_int_equal(p->strength[KEY_LANDLOCK], STRENGTH_PREFERRED);
	p = preset(x, "view");
	assert_true(p->host_root && !p->system && !p->home_private && p->dev == DEV_HOST && p->proc == PROC_BIND && p->cwd_access == CWD_NONE);
	assert_true(p->seccomp_count == 0 && p->landlock == LANDLOCK_OFF && p->keep_env && p->tty == TTY_INHERIT && p->nest && p->caps == 0);
	for (int i = 0; i < NS_KINDS; i++)
		assert_int_equal(p->ns[i].how, i == NS_USER || i == NS_MNT ? NS_NEW : NS_HOST);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_are_found_and_near_ones_named), TEST(draft_refuses_unknown_keys), TEST(defaults), TEST(nearer_lines_win), TEST(twice_in_one_source),
		TEST(bad_values), TEST(namespaces), TEST(clock_offsets), TEST(path_forms), TEST(sets), TEST(bad_paths), TEST(without_cwd_or_home), TEST(one_rule_per_place),
		TEST(maps_and_groups), TEST(privileges), TEST(filters), TEST(ports), TEST(process), TEST(contradictions), TEST(presets_do_what_they_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
