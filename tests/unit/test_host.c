/* Tests of src/host that need no kernel: parsers, the path walker, recorded hosts, causes, check.
 * Runs in: parent. */
#include "host_fixture.h"

#include <dirent.h>
#include <elf.h>

#include "policy/policy.h"

_Static_assert(HOST_NS_KINDS == NS_KINDS, "host_ns_names follows enum ns_kind");

/* ---- texts ---- */
static void status(void **state)
{
	struct fixture *f = *state;
	struct host h = { .arena = &f->arena };
	unsigned seen = host_parse_status(&h, "Name:\tUid: 9\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t8\t9\t10\nGroups:\t4 24 65536 \n"
		"SigIgn:\t0000000000001001\nCapPrm:\t00000000000000ff\nCapEff:\t000000000000000f\nCapBnd:\t000001ffffffffff\n"
		"NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n");

	assert_int_equal(seen, STATUS_IDS | STATUS_CAPS | STATUS_SIGNALS | STATUS_SECCOMP | STATUS_NNP | STATUS_GROUPS);
	assert_int_equal(h.uid, 1000);
	assert_int_equal(h.euid, 1001);
	assert_int_equal(h.gid, 7);
	assert_int_equal(h.egid, 8);
	assert_int_equal(h.group_count, 3);
	assert_int_equal(h.groups[2], 65536);
	assert_int_equal(h.sig_ignored, 0x1001);
	assert_int_equal(h.cap_permitted, 0xff);
	assert_int_equal(h.cap_effective, 0xf);
	assert_true(h.cap_bounding == 0x1ffffffffffull);
	assert_true(h.no_new_privs);
	assert_int_equal(h.seccomp_mode, 2);
	assert_true(h.seccomp_filter);
}

static void status_cut(void **state)
{
	struct fixture *f = *state;
	struct host h = { .arena = &f->arena };

	/* What isn't there must be reported as not there, so that calls are asked instead. */
	assert_int_equal(host_parse_status(&h, "Name:\tx\nUid:\t1\n"), 0);
	assert_int_equal(host_parse_status(&h, "Groups:\t \nUid:\t1\t2\t3\t4"), STATUS_IDS | STATUS_GROUPS);
	assert_int_equal(host_parse_status(&h, ""), 0);
}

static void release(void **state)
{
	unsigned a = 0, b = 0;

	(void)state;
	assert_true(host_parse_release("6.18.44-fc", &a, &b) && a == 6 && b == 18);
	assert_true(host_parse_release("5.10", &a, &b) && a == 5 && b == 10);
	assert_false(host_parse_release("gvisor", &a, &b));
	assert_false(host_parse_release("6", &a, &b));
	assert_false(host_parse_release("6.x", &a, &b));
}

static void subordinate_ids(void **state)
{
	static const struct { const char *text; uint32_t start, count; } cases[] = {
		{ "user:100000:65536\n", 100000, 65536 }, { "1000:200000:10\nuser:1:1\n", 200000, 10 },
		{ "other:1:1\nuser:100000:65536", 100000, 65536 }, { "username:5:5\n", 0, 0 }, { "use:5:5\n", 0, 0 },
		{ "user:0:65536\n", 0, 0 },             /* would give the host's root away */
		{ "user:4294967295:2\n", 0, 0 },        /* runs over the end */
		{ "user:100000:0\nuser:5:6\n", 5, 6 }, { "user:100000\n", 0, 0 }, { "user::\n", 0, 0 }, { "user:100000:\n", 0, 0 },
		{ "", 0, 0 }, { "10000:5:5\n", 0, 0 }, { ":5:5\n", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct host_range r = host_parse_subid(cases[i].text, "user", 1000);

		assert_int_equal(r.start, cases[i].start);
		assert_int_equal(r.count, cases[i].count);
	}
	assert_int_equal(host_parse_subid("user:5:5\n1000:6:6\n", NULL, 1000).start, 6);
}

static void passwd(void **state)
{
	static const char text[] = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:1000\nuser:x:1000:1000::/home/user:/bin/sh\n";
	size_t len = 0;

	(void)state;
	assert_memory_equal(host_parse_passwd(text, 1000, &len), "user", 4);
	assert_int_equal(len, 4);
	assert_null(host_parse_passwd(text, 100, &len));
	assert_null(host_parse_passwd("", 0, &len));
}

static void mountinfo(void **state)
{
	char escaped[] = "/a\\040b\\134c\\9";

	(void)state;
	assert_int_equal(host_parse_cgroup_version("1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), 2);
	assert_int_equal(host_parse_cgroup_version("1 2 0:3 / /c rw - cgroup cgroup rw\n1 2 0:3 / /u rw shared:1 - cgroup2 none rw\n"), 3);
	assert_int_equal(host_parse_cgroup_version("1 2 0:3 / /cgroup rw - tmpfs cgroup2 rw\n"), 0);
	assert_false(host_parse_chrooted("26 1 254:0 / / rw - ext4 /dev/vda rw\n"));
	assert_true(host_parse_chrooted("27 26 0:20 / /proc rw - proc proc rw\n"));
	host_unescape(escaped);
	assert_string_equal(escaped, "/a b\\c\\9");
	assert_string_equal(host_parse_container("0::/system.slice/docker-0123.scope\n"), "docker");
	assert_null(host_parse_container("0::/user.slice/user-1000.slice\n"));
}

static void classify(void **state)
{
	static const struct { struct userns_facts f; enum userns_state want; } cases[] = {
		{ { 0, 0, 100, -1, -1, 0, false, false, false }, USERNS_OK },
		{ { ENOSPC, 0, 0, -1, -1, 0, false, false, false }, USERNS_NO_LIMIT },
		{ { ENOSPC, 0, 100, -1, -1, 0, false, false, false }, USERNS_NO_LIMIT },
		{ { EPERM, 0, 100, 0, -1, 0, false, false, false }, USERNS_NO_SYSCTL },
		{ { EPERM, 0, 100, 1, 1, 0, true, false, false }, USERNS_NO_APPARMOR },
		{ { 0, EPERM, 100, 1, 1, 0, true, false, false }, USERNS_NO_APPARMOR },
		{ { 0, EACCES, 100, -1, 1, 0, false, false, false }, USERNS_NO_APPARMOR },
		{ { EPERM, 0, 100, -1, -1, 2, false, false, false }, USERNS_NO_SECCOMP },
		{ { ENOSYS, 0, 100, -1, -1, 2, false, false, false }, USERNS_NO_SECCOMP },
		{ { ENOSYS, 0, -1, -1, -1, 0, false, false, false }, USERNS_NO_KERNEL },
		{ { EINVAL, 0, -1, -1, -1, 0, false, false, false }, USERNS_NO_KERNEL },
		{ { EPERM, 0, 100, -1, -1, 2, false, true, false }, USERNS_NO_CHROOT },
		{ { EPERM, 0, 100, -1, -1, 0, false, false, false }, USERNS_NO_OTHER },
		{ { EUSERS, 0, 100, -1, -1, 0, false, false, false }, USERNS_NO_OTHER },
		/* what ordinary users are denied isn't why root was */
		{ { EPERM, 0, 100, 0, 1, 0, false, false, true }, USERNS_NO_OTHER },
		/* failed later with nothing known about it */
		{ { 0, EPERM, 100, -1, 0, 0, false, false, false }, USERNS_NO_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(host_classify_userns(&cases[i].f), cases[i].want);
}

/* ---- recorded hosts ---- */
static char *slurp(const char *path)
{
	static char text[1 << 17];
	FILE *file = fopen(path, "r");

	if (!file)
		return NULL;
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

static const char *hosts_dir(void)
{
	static const char *const places[] = { "tests/golden/hosts", "../tests/golden/hosts", "../../tests/golden/hosts" };

	for (size_t i = 0; i < COUNT_OF(places); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	fail_msg("tests/golden/hosts isn't below the working directory");
	return NULL;
}

static void load(struct fixture *f, struct host *h, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", hosts_dir(), name);
	char *text = slurp(path);

	assert_non_null(text);
	if (host_load(h, &f->arena, text, &f->error) != 0)
		fail_msg("%s: line %s: %s", name, f->error.subject, f->error.detail);
}

/* Each loads; what was loaded and recorded again loads to the same text. */
static void recorded(void **state)
{
	static const char *const paths[] = { "/usr", "/bin", "/bin/sh", "/etc/localtime", "/etc/resolv.conf", "/dev/null", "/nix/store", "/home/user/project", NULL };
	struct fixture *f = *state;
	DIR *d = opendir(hosts_dir());
	int count = 0;

	assert_non_null(d);
	for (struct dirent *entry; (entry = readdir(d));) {
		struct text first, second;
		struct host h, again;

		if (!strstr(entry->d_name, ".host"))
			continue;
		count++;
		text_init(&first);
		text_init(&second);
		load(f, &h, entry->d_name);
		assert_int_equal(h.lookup(&h, NULL, "/usr")->errnum, 0);
		assert_int_equal(h.lookup(&h, NULL, "/bin/sh")->errnum, 0);
		assert_int_equal(h.lookup(&h, NULL, "/dev/null")->rdev != 0, 1);
		assert_int_equal(h.lookup(&h, NULL, "/no/such")->errnum, ENOENT);
		assert_int_equal(host_record(&h, paths, &first), 0);
		assert_int_equal(host_load(&again, &f->arena, first.s, &f->error), 0);
		assert_int_equal(host_record(&again, paths, &second), 0);
		assert_string_equal(first.s, second.s);
		text_done(&first);
		text_done(&second);
	}
	closedir(d);
	assert_true(count >= 12);
}

static void recorded_facts(void **state)
{
	struct fixture *f = *state;
	struct host h;

	load(f, &h, "ubuntu2404-user.host");
	assert_int_equal(h.userns, USERNS_NO_APPARMOR);
	assert_true(h.kernel_major == 6 && h.kernel_minor == 8);
	assert_int_equal(h.group_count, 4);
	assert_int_equal(h.subuid.start, 100000);
	assert_string_equal(h.newuidmap_path, "/usr/bin/newuidmap");
	assert_int_equal(host_require(&h, &f->error), 0);
	load(f, &h, "rhel8-user.host");
	assert_int_equal(host_require(&h, &f->error), -1);
	assert_int_equal(f->error.id, ERR_HOST_KERNEL);
	h.kernel_major = 6;
	h.at_secure = true;
	assert_int_equal(host_require(&h, &f->error), -1);
	assert_int_equal(f->error.id, ERR_HOST_SETUID);
	load(f, &h, "kernel510-user.host");
	const char *const *mounts = h.submounts(&h, "/usr");

	assert_string_equal(mounts[0], "/usr/local");
	assert_null(mounts[1]);
	assert_null(h.submounts(&h, "/us")[0]);
}

static void load_errors(void **state)
{
	static const char *const bad[] = {
		"release = 6.1.0\nnonsense\n", "release = 6.1.0\nuid = x\n", "release = 6.1.0\nuid = 4294967296\n", "release = 6.1.0\nuserns = maybe\n",
		"release = 6.1.0\nnamespaces = user moon\n", "release = 6.1.0\nfile relative dir\n", "release = 6.1.0\nfile /x what\n",
		"release = 6.1.0\nfile /x link\n", "release = 6.1.0\nfile /x dir 99\n", "release = 6.1.0\nfile /x dir 0755 0\n",
		"release = 6.1.0\nfile /x error EWHAT\n", "release = 6.1.0\nmount x\n", "release = 6.1.0\nopenat2 = perhaps\n",
		"release = 6.1.0\nunknown_key = 1\n", "release = 6.1.0\nfile /x char 0666 0:0 8.1:5 1:3 extra\n",
	};
	struct fixture *f = *state;
	struct host h;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(host_load(&h, &f->arena, bad[i], &f->error), -1);
		assert_int_equal(f->error.id, ERR_HOST_RECORD);
		assert_string_equal(f->error.subject, "2");
	}
	assert_int_equal(host_load(&h, &f->arena, "uid = 0\n", &f->error), -1);
	assert_int_equal(host_load(&h, &f->arena, "", &f->error), -1);
}

static void walker(void **state)
{
	static const struct { const char *root, *path; int errnum; const char *real, *link; } cases[] = {
		{ NULL, "/", 0, "/", NULL }, { NULL, "//usr/./bin/../bin", 0, "/usr/bin", NULL }, { NULL, "/bin", 0, "/usr/bin", "usr/bin" },
		{ NULL, "/bin/sh", 0, "/usr/bin/dash", "dash" }, { NULL, "/up/x", 0, "/x", NULL }, { NULL, "/usr/share/abs", 0, "/x", "/x" }, { "/tree", "/sub/abs", 0, "/tree/secret", "/secret" }, { NULL, "/loop", ELOOP, NULL, "loop2" },
		{ NULL, "/dangling", ENOENT, NULL, "/nowhere" }, { NULL, "/x/y", ENOTDIR, NULL, NULL }, { NULL, "/closed", EACCES, NULL, NULL },
		{ NULL, "/closed/below", EACCES, NULL, NULL }, { NULL, "/../../x", 0, "/x", NULL }, { NULL, "relative", ENOENT, NULL, NULL },
		{ NULL, "", ENOENT, NULL, NULL }, { NULL, "/bin/sh/", 0, "/usr/bin/dash", "dash" },
		{ "/tree", "/", 0, "/tree", NULL }, { "/tree", "/out", 0, "/tree/secret", "/secret" }, { "/tree", "/up", 0, "/tree/secret", "../../../secret" },
		{ "/tree", "/../../secret", 0, "/tree/secret", NULL }, { "/tree", "/usr", ENOENT, NULL, NULL }, { "/link-to-tree", "/secret", 0, "/tree/secret", NULL },
		{ "/nowhere", "/x", ENOENT, NULL, NULL }, { "/", "/x", 0, "/x", NULL },
	};
	struct fixture *f = *state;
	struct host h;

	assert_int_equal(host_load(&h, &f->arena, "release = 6.1.0\nfile /usr/bin/dash file 0755 0:0 8.1:7\nfile /usr/bin/sh link dash\nfile /bin link usr/bin\n"
		"file /up link usr/bin/../..\nfile /usr/share/abs link /x\nfile /tree/sub/abs link /secret\nfile /x file\nfile /loop link loop2\nfile /loop2 link loop\nfile /dangling link /nowhere\nfile /closed error EACCES\n"
		"file /tree dir\nfile /tree/out link /secret\nfile /tree/up link ../../../secret\nfile /tree/secret file 0600 5:6\nfile /secret file\n"
		"file /link-to-tree link tree\n", &f->error), 0);
	for (int round = 0; round < 2; round++) /* the second time out of the cache */
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			const struct host_file *r = h.lookup(&h, cases[i].root, cases[i].path);

			assert_int_equal(r->errnum, cases[i].errnum);
			assert_int_equal(r->real != NULL, cases[i].real != NULL);
			if (cases[i].real)
				assert_string_equal(r->real, cases[i].real);
			assert_int_equal(r->link != NULL, cases[i].link != NULL);
			if (cases[i].link)
				assert_string_equal(r->link, cases[i].link);
		}
	const struct host_file *a = h.lookup(&h, NULL, "/x"), *b = h.lookup(&h, NULL, "/secret");

	assert_true(a->dev != b->dev || a->ino != b->ino);
	assert_int_equal(h.lookup(&h, "/tree", "/secret")->uid, 5);
}

/* ---- causes ---- */
static void causes(void **state)
{
	static const struct { const char *host; uint32_t id; int errnum; const char *call, *want, *in_remedy; } cases[] = {
		{ "ubuntu2404-user.host", ERR_LAUNCH_CLONE, EPERM, "clone3", "user-namespaces", "apparmor_parser -r" },
		{ "ubuntu2404-user.host", ERR_MOUNT_PROPAGATION, EACCES, "mount", "user-namespaces", "--userns=never" },
		{ "ubuntu2404-user.host", ERR_LOOPBACK, EPERM, "ioctl", "user-namespaces", "/opt/hutch/bin/hutch" },
		{ "ubuntu2404-user.host", ERR_MOUNT_SOURCE, EACCES, "openat2", NULL, "" },
		{ "ubuntu2404-user.host", ERR_EXEC_FAILED, EACCES, "execve", NULL, "" },
		{ "no-userns.host", ERR_LAUNCH_CLONE, ENOSPC, "clone3", "user-namespaces", "--userns=never" },
		{ "no-userns.host", ERR_MOUNT_ATTACH, EINVAL, "move_mount", NULL, "" },
		{ "docker-default.host", ERR_LAUNCH_CLONE, EPERM, "clone", "user-namespaces", "--security-opt seccomp=" },
		{ "docker-masked-proc.host", ERR_MOUNT_PROC, EPERM, "mount", "masked-proc", "unmask=ALL" },
		{ "docker-masked-proc.host", ERR_ID_RANGES, 0, "", "helper-missing", "--map=own" },
		{ "vm-user.host", ERR_ID_RANGES, 0, "", "no-subordinate-ids", "usermod" },
		{ "filtered-parent.host", ERR_MOUNT_CREATE, EPERM, "openat2", "filtered-call", "seccomp" },
		{ "filtered-parent.host", ERR_ID_HELPER, EPERM, "", "helper-no-new-privs", "NoNewPrivileges" },
		{ "kernel510-user.host", ERR_MOUNT_ATTR, ENOSYS, "mount_setattr", "old-kernel", "newer kernel" },
		{ "container-root.host", ERR_NS_HOST_PRIVILEGE, EPERM, "", "weak-root", "SYS_ADMIN" },
		{ "debian12-user.host", ERR_LAUNCH_CLONE, EUSERS, "clone3", "nesting-limit", "further out" },
		{ "debian12-user.host", ERR_LAUNCH_CLONE, ENOSPC, "clone3", "namespace-limit", "max_" },
		{ "debian12-user.host", ERR_LAUNCH_CLONE, EAGAIN, "clone3", "process-limit", "ulimit" },
		{ "rhel8-user.host", ERR_LAUNCH_CLONE, EINVAL, "clone3", "namespace-kind", "host" },
		{ "debian12-user.host", ERR_MOUNT_PIVOT, EINVAL, "pivot_root", "pivot-in-chroot", "--chroot" },
		{ "debian12-user.host", ERR_MOUNT_ATTR, EPERM, "mount_setattr", NULL, "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct userns_facts facts = { 0 };
		struct trial t = { .errnum = { 0 } };
		struct hutch_error e;
		struct host h;

		load(f, &h, cases[i].host);
		t.errnum[TRIAL_PROC] = h.proc_mountable ? 0 : EPERM;
		struct symptoms s = { &h, &t, &facts, "/opt/hutch/bin/hutch" };

		error_set(&e, cases[i].id, cases[i].errnum, cases[i].call, NULL, NULL);
		struct hutch_error before = e;
		const char *name = host_explain_with(&s, &e);

		if (!cases[i].want) {
			assert_null(name);
			assert_memory_equal(&before, &e, sizeof e);
			continue;
		}
		if (!name)
			fail_msg("case %zu: no cause, wanted %s", i, cases[i].want);
		assert_string_equal(name, cases[i].want);
		assert_non_null(strstr(e.remedy, cases[i].in_remedy));
		assert_true(e.detail[0]);
		assert_true(e.id == before.id && e.errnum == before.errnum);
		assert_null(strstr(e.remedy, "apparmor_restrict_unprivileged_userns=0"));
	}
}

/* Where nobody knows why, the step at which the trial failed is told. */
static void cause_unknown(void **state)
{
	struct fixture *f = *state;
	struct userns_facts facts = { 0 };
	struct trial t = { .errnum = { [TRIAL_MAP] = EPERM } };
	struct hutch_error e;
	struct host h;

	load(f, &h, "debian12-user.host");
	h.userns = USERNS_NO_OTHER;
	struct symptoms s = { &h, &t, &facts, NULL };

	error_set(&e, ERR_ID_MAP, EPERM, "write", NULL, NULL);
	assert_string_equal(host_explain_with(&s, &e), "user-namespaces");
	assert_non_null(strstr(e.detail, host_trial_names[TRIAL_MAP]));
}

/* A remedy is a command to copy: it must not be cut, and no path may change what it says. */
static void remedies(void **state)
{
	struct fixture *f = *state;
	static const char *const selves[] = { NULL, "/usr/bin/hutch", "/tmp/a b/hutch", "/tmp/$(x)/hutch", "/tmp/'/hutch", "hutch", "/home/somebody/src/hutch/build/hutch" };
	struct hutch_error e;

	for (int s = USERNS_UNKNOWN; s <= USERNS_NO_OTHER; s++)
		for (size_t i = 0; i < COUNT_OF(selves); i++) {
			const char *text = host_userns_remedy(&f->arena, s, selves[i]);

			assert_true(strlen(text) < sizeof e.remedy);
			assert_true(strlen(host_userns_cause(s)) < sizeof e.detail);
			assert_int_equal(s > USERNS_OK, strlen(text) > 0);
			assert_null(strstr(text, "$("));
		}
	assert_non_null(strstr(host_userns_remedy(&f->arena, USERNS_NO_APPARMOR, "/tmp/a b/hutch"), "profile hutch /usr/bin/hutch "));
}

/* ---- programs that don't start ---- */
static size_t make_elf(unsigned char *to, size_t size, unsigned machine, const char *interpreter)
{
	Elf64_Ehdr head = { .e_type = ET_EXEC, .e_machine = (uint16_t)machine, .e_phoff = sizeof head, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 };
	Elf64_Phdr program = { .p_type = PT_INTERP, .p_offset = sizeof head + sizeof program, .p_filesz = strlen(interpreter) + 1 };

	memset(to, 0, size);
	memcpy(head.e_ident, ELFMAG, SELFMAG);
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(to, &head, sizeof head);
	memcpy(to + sizeof head, &program, sizeof program);
	memcpy(to + program.p_offset, interpreter, program.p_filesz);
	return program.p_offset + program.p_filesz;
}

static void parse_program(void **state)
{
	unsigned char elf[512];
	size_t len = make_elf(elf, sizeof elf, EM_X86_64, "/lib64/ld-missing.so");
	struct program p;

	(void)state;
	host_parse_program(elf, len, &p);
	assert_int_equal(p.kind, PROGRAM_ELF);
	assert_string_equal(p.interpreter, "/lib64/ld-missing.so");
	for (size_t cut = 0; cut < len; cut++) { /* none reads beyond, on the heap where a checker sees it */
		unsigned char *copy = malloc(cut ? cut : 1);

		memcpy(copy, elf, cut);
		host_parse_program(copy, cut, &p);
		assert_string_equal(p.interpreter, "");
		free(copy);
	}
	for (size_t at = 0; at < len; at++) { /* nor with any byte spoilt */
		unsigned char *copy = malloc(len);

		memcpy(copy, elf, len);
		copy[at] = 0xff;
		host_parse_program(copy, len, &p);
		free(copy);
	}
	host_parse_program((const unsigned char *)"#! /bin/sh -e\n", 14, &p);
	assert_string_equal(p.interpreter, "/bin/sh");
	host_parse_program((const unsigned char *)"#!/bin/sh\r\n", 11, &p);
	assert_true(p.carriage_return);
	assert_string_equal(p.interpreter, "/bin/sh");
	host_parse_program((const unsigned char *)"#!", 2, &p);
	assert_string_equal(p.interpreter, "");
}

static void explain_exec(void **state)
{
	struct fixture *f = *state;
	unsigned char elf[512];
	size_t len = make_elf(elf, sizeof elf, 0, "/lib64/ld-missing.so");
	const struct { const char *name, *bytes; size_t len; mode_t mode; int errnum; const char *want; } cases[] = {
		{ "script", "#!/no/such/python\n", 18, 0755, ENOENT, "/no/such/python, doesn't exist" }, { "inside", "#!/bin/sh\n", 10, 0755, ENOENT, "/bin/sh, exists on this host" },
		{ "crlf", "#!/bin/sh\r\n", 11, 0755, ENOENT, "carriage return" }, { "relative", "#!python\n", 9, 0755, ENOENT, "no absolute path" },
		{ "bare", "#!\n", 3, 0755, ENOEXEC, "names no interpreter" }, { "text", "echo hi\n", 8, 0755, ENOEXEC, "without a #! line" },
		{ "data", "\0\1\2", 3, 0755, ENOEXEC, "no format" }, { "empty", "", 0, 0755, ENOEXEC, "empty" }, { "windows", "MZ\220", 3, 0755, ENOEXEC, "Windows" },
		{ "mode", "#!/bin/sh\n", 10, 0644, EACCES, "mode 0644" }, { "elf-foreign", (char *)elf, len, 0755, ENOEXEC, "another processor" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct hutch_error e;

		error_set(&e, ERR_EXEC_FAILED, cases[i].errnum, "execve", NULL, NULL);
		host_explain_exec(put(f, cases[i].name, cases[i].bytes, cases[i].len, cases[i].mode), cases[i].errnum, &e);
		if (!strstr(e.detail, cases[i].want))
			fail_msg("%s: '%s' lacks '%s'", cases[i].name, e.detail, cases[i].want);
		assert_true(e.remedy[0]);
	}
#if defined(__x86_64__)
	struct hutch_error e;

	error_set(&e, ERR_EXEC_FAILED, ENOENT, "execve", NULL, NULL);
	len = make_elf(elf, sizeof elf, EM_X86_64, "/lib64/ld-missing.so");
	host_explain_exec(put(f, "elf", elf, len, 0755), ENOENT, &e);
	assert_non_null(strstr(e.detail, "/lib64/ld-missing.so, doesn't exist"));
	host_explain_exec(f->dir, EACCES, &e);
	assert_non_null(strstr(e.detail, "directory"));
#endif
}

/* ---- check ---- */
static void check(void **state)
{
	struct fixture *f = *state;
	DIR *d = opendir(hosts_dir());
	struct text json;

	for (struct dirent *entry; (entry = readdir(d));) {
		struct trial t = { .errnum = { 0 } };
		struct text text;
		struct host h;

		if (!strstr(entry->d_name, ".host"))
			continue;
		load(f, &h, entry->d_name);
		text_init(&text);
		host_check_with(&h, &t, "/usr/bin/hutch", &f->arena, false, &text);
		for (const char *line = text.s; *line; line += strcspn(line, "\n") + 1) {
			size_t len = strcspn(line, "\n");

			assert_true(len <= 100);
			assert_true(len == 0 || line[len - 1] != ' ');
		}
		assert_int_equal(h.userns == USERNS_OK, !strstr(text.s, "user namespaces               no"));
		text_done(&text);
	}
	closedir(d);
	text_init(&json);
	assert_int_equal(host_check(&json, true, &f->error), 0);
	assert_non_null(strstr(json.s, "\"facilities\":[{\"name\":"));
	assert_string_equal(json.s + json.len - 3, "]}\n");
	text_done(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status), TEST(status_cut), TEST(release), TEST(subordinate_ids), TEST(passwd), TEST(mountinfo), TEST(classify), TEST(recorded), TEST(recorded_facts), TEST(load_errors), TEST(walker),
		TEST(causes), TEST(cause_unknown), TEST(remedies), TEST(parse_program), TEST(explain_exec), TEST(check),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
