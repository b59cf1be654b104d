/* Tests of what bounds a whole run: values of the keys, where cgroups are looked for, the adding up of processes.
 * Runs in: parent. */
#include "host_fixture.h"

#include "policy/policy.h"
#include "run/pressure.h"
#include "run/tally.h"

/* Freezes one line of a policy; 0 or the error's number. */
static uint32_t freeze_line(struct fixture *f, struct policy *p, const char *key, const char *value)
{
	struct draft d = { .arena = &f->arena };
	struct policy_context c = { .cwd = "/", .home = "/home/u", .uid = 1000, .gid = 1000 };
	struct hutch_error e = { 0 };

	if (draft_add(&d, key, value, "test:1", 0, 0, STRENGTH_REQUIRED, &e) < 0 || policy_freeze(&d, &c, p, &e) < 0)
		return e.id;
	return 0;
}

static void values(void **state)
{
	struct fixture *f = *state;
	struct policy p;

	assert_int_equal(freeze_line(f, &p, "memory", "256M"), 0);
	assert_true(p.limits[LIMIT_MEMORY].given && p.limits[LIMIT_MEMORY].n == 256u << 20);
	assert_int_equal(freeze_line(f, &p, "cpus", "1.5"), 0);
	assert_int_equal(p.limits[LIMIT_CPUS].n, 1500);
	assert_int_equal(freeze_line(f, &p, "cpus", "0.25"), 0);
	assert_int_equal(p.limits[LIMIT_CPUS].n, 250);
	assert_int_equal(freeze_line(f, &p, "wall-time", "1.5s"), 0);
	assert_int_equal(p.wall_ms, 1500);
	assert_int_equal(freeze_line(f, &p, "cpu-time", "300ms"), 0);
	assert_int_equal(p.cpu_ms, 300);
	assert_int_equal(freeze_line(f, &p, "io-max", "8:0 rbps=1M wiops=10"), 0);
	assert_string_equal(p.io_max[0].name, "8:0");
	assert_string_equal(p.io_max[0].text, "rbps=1048576 wiops=10");
	assert_int_equal(freeze_line(f, &p, "cgroup-set", "hugetlb.2MB.max=0"), 0);
	assert_string_equal(p.cgroup_set[0].name, "hugetlb.2MB.max");
	assert_string_equal(p.cgroup_set[0].text, "0");
	assert_int_equal(freeze_line(f, &p, "hugetlb", "2MB=64M"), 0);
	assert_string_equal(p.cgroup_set[0].name, "hugetlb.2MB.max");
	assert_string_equal(p.cgroup_set[0].text, "67108864");
	assert_int_equal(freeze_line(f, &p, "rdma", "mlx5_0 hca_handle=2 hca_object=max"), 0);
	assert_string_equal(p.cgroup_set[0].name, "rdma.max");
	assert_string_equal(p.cgroup_set[0].text, "mlx5_0 hca_handle=2 hca_object=max");
	assert_int_equal(freeze_line(f, &p, "misc", "sev=3"), 0);
	assert_string_equal(p.cgroup_set[0].name, "misc.max");
	assert_string_equal(p.cgroup_set[0].text, "sev 3");
	assert_int_equal(freeze_line(f, &p, "cgroup-parent", "fd:7"), 0);
	assert_string_equal(p.cgroup_parent, "/proc/self/fd/7");
	assert_int_equal(freeze_line(f, &p, "output-max", "0"), 0);
	assert_true(p.output_limited && p.output_max == 0);
	assert_int_equal(freeze_line(f, &p, "stdout", "out.txt"), 0);
	assert_string_equal(p.stdout_file, "/out.txt");
	assert_true(freeze_line(f, &p, "pids", "9") == 0 && !p.denied_kill && !p.limits_prefer && p.grace_ms == 0);
}

static void pressure(void **state)
{
	struct hutch_pressure p;

	(void)state;
	pressure_parse("some avg10=1.23 avg60=0.50 avg300=0.00 total=4567\nfull avg10=0.07 avg60=0.00 avg300=0.00 total=89\n", &p);
	assert_true(p.some_us == 4567 && p.full_us == 89 && p.some_avg10 == 123 && p.full_avg10 == 7);
	/* Before Linux 5.13 cpu.pressure has one line. */
	pressure_parse("some avg10=100.00 avg60=0.00 avg300=0.00 total=1\n", &p);
	assert_true(p.some_us == 1 && p.full_us == -1 && p.some_avg10 == 10000 && p.full_avg10 == -1);
	pressure_parse("", &p);
	assert_true(p.some_us == -1 && p.full_us == -1 && p.some_avg10 == -1);
	pressure_parse("some avg10=x total=\nfull total=5\n", &p);
	assert_true(p.some_us == -1 && p.some_avg10 == -1 && p.full_us == 5 && p.full_avg10 == -1);
}

static void bad_values(void **state)
{
	static const char *const bad[][2] = {
		{ "memory", "1000" }, { "memory", "-1" }, { "memory", "lots" }, { "cpus", "0" }, { "cpus", "1s" }, { "cpus", "0.001" },
		{ "cpus", "9000" }, { "cpu-weight", "0" }, { "cpu-weight", "10001" }, { "pids", "0" }, { "pids", "99999999" },
		{ "wall-time", "0" }, { "wall-time", "soon" }, { "wall-time", "999999h" }, { "cpu-time", "0s" }, { "io-max", "sda rbps=1" },
		{ "io-max", "8:0" }, { "io-max", "8:0 speed=1" }, { "io-max", "8:0 rbps=0" }, { "cgroup-set", "cgroup.procs=1" },
		{ "hugetlb", "2MB" }, { "hugetlb", "2M=1M" }, { "hugetlb", "../2MB=1" }, { "hugetlb", "2MB=lots" }, { "rdma", "mlx5_0" },
		{ "rdma", "a/b hca_handle=1" }, { "rdma", "mlx5_0 hca_handle=x" }, { "rdma", "mlx5_0 other=1" }, { "misc", "sev" }, { "misc", "se v=1" }, { "misc", "sev=x" },
		{ "cgroup-set", "../x.y=1" }, { "cgroup-set", "memory.max" }, { "cgroup-set", "memory.max=1\n2" }, { "cgroup-parent", "mine" },
		{ "cgroup-parent", "/a/../b" }, { "cgroup-parent", "fd:x" }, { "cpuset-cpus", "all" }, { "on-denied", "log" },
		{ "limits", "maybe" }, { "cgroup", "2" }, { "output-max", "" }, { "stdout", "" }, { "grace", "-1" },
	};
	struct fixture *f = *state;
	struct policy p;

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		if (freeze_line(f, &p, bad[i][0], bad[i][1]) != ERR_KEY_VALUE)
			fail_msg("%s = %s was taken", bad[i][0], bad[i][1]);
	}
	assert_int_equal(freeze_line(f, &p, "cpu-burst", "10ms"), ERR_KEY_CONFLICT);
	assert_int_equal(freeze_line(f, &p, "oom-group", "yes"), ERR_KEY_CONFLICT);
}

/* ---- where ---- */
#define V1_MOUNTS \
	"30 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" \
	"31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n" \
	"34 30 0:31 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
	"37 30 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n" \
	"40 30 0:37 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n"

static void hybrid(void **state)
{
	struct fixture *f = *state;
	struct host h = { .arena = &f->arena };

	host_parse_cgroups(&h, "9:name=systemd:/\n4:memory:/outer/mine\n3:blkio:/\n2:cpu,cpuacct:/a:b\n0::/x\n", V1_MOUNTS, NULL);
	assert_int_equal(h.cgroup[CG_MEMORY].version, 1);
	assert_string_equal(h.cgroup[CG_MEMORY].parent, "/sys/fs/cgroup/memory/mine");
	assert_string_equal(h.cgroup[CG_CPU].parent, "/sys/fs/cgroup/cpu,cpuacct/a:b");
	assert_string_equal(h.cgroup[CG_CPUACCT].parent, "/sys/fs/cgroup/cpu,cpuacct/a:b");
	assert_string_equal(h.cgroup[CG_IO].parent, "/sys/fs/cgroup/blkio");
	assert_int_equal(h.cgroup[CG_PIDS].version, 0);
	assert_int_equal(h.cgroup2.version, 2);
	assert_string_equal(h.cgroup2.parent, "/sys/fs/cgroup/uni fied/x");
}

static void out_of_sight(void **state)
{
	struct fixture *f = *state;
	struct host h = { .arena = &f->arena };

	/* Beside or above what is mounted here: such a parent has no name. */
	host_parse_cgroups(&h, "4:memory:/other\n3:blkio:/../..\n0::/../a\n", V1_MOUNTS, NULL);
	assert_int_equal(h.cgroup[CG_MEMORY].version, 0);
	assert_int_equal(h.cgroup[CG_IO].version, 0);
	assert_int_equal(h.cgroup2.version, 0);
	host_parse_cgroups(&h, "4:memory:/outerworld\n", V1_MOUNTS, NULL);
	assert_int_equal(h.cgroup[CG_MEMORY].version, 0);
	host_parse_cgroups(&h, "", V1_MOUNTS, NULL);
	assert_int_equal(h.cgroup[CG_CPU].version, 0);
	host_parse_cgroups(&h, "garbage\n::\n0:\n", "garbage\n - cgroup\n", NULL);
	assert_int_equal(h.cgroup2.version, 0);
}

static void named_parent(void **state)
{
	static const char cgroup[] = "4:memory:/outer\n3:blkio:/\n2:cpu,cpuacct:/\n0::/x\n";
	struct fixture *f = *state;
	struct host h = { .arena = &f->arena };

	host_parse_cgroups(&h, cgroup, V1_MOUNTS, "/mine");
	assert_string_equal(h.cgroup[CG_CPU].parent, "/sys/fs/cgroup/cpu,cpuacct/mine");
	assert_string_equal(h.cgroup2.parent, "/sys/fs/cgroup/uni fied/mine");
	assert_int_equal(h.cgroup[CG_MEMORY].version, 0); /* the mount shows /outer only */
	host_parse_cgroups(&h, cgroup, V1_MOUNTS, "/sys/fs/cgroup/blkio/mine");
	assert_string_equal(h.cgroup[CG_IO].parent, "/sys/fs/cgroup/blkio/mine");
	assert_int_equal(h.cgroup[CG_CPU].version, 0);
	host_parse_cgroups(&h, cgroup, V1_MOUNTS, "/proc/self/fd/5");
	assert_string_equal(h.cgroup2.parent, "/proc/self/fd/5");
	assert_int_equal(h.cgroup[CG_IO].version, 0);
}

/* ---- the adding up ---- */
static void process_texts(void **state)
{
	uint64_t own, waited, start;

	(void)state;
	assert_int_equal(tally_parse_stat("12 (a) ) b) S 1 12 12 0 -1 4194304 100 5 0 0 7 3 20 4 20 0 1 0 55 1 2\n", &own, &waited, &start), 0);
	assert_true(own == 10 && waited == 24 && start == 55);
	assert_int_equal(tally_parse_stat("12 (a S 1 2", &own, &waited, &start), -1);
	assert_int_equal(tally_parse_stat("12 (a) S 1 2 3", &own, &waited, &start), -1);
	assert_int_equal(tally_parse_stat("", &own, &waited, &start), -1);
	assert_true(tally_parse_memory("Name:\tx\nVmRSS:\t999 kB\nRssAnon:\t 100 kB\nRssFile:\t5 kB\nRssShmem:\t20 kB\nVmSwap:\t3 kB\n") == 123 * 1024);
	assert_true(tally_parse_memory("Name:\tRssAnon: 5\n") == 0);
}

static void own_process(void **state)
{
	struct tally *t = tally_new();
	volatile unsigned spin = 0;

	(void)state;
	assert_non_null(t);
	assert_int_equal(tally_look(t, getpid()), 0);
	assert_true(tally_memory(t) > 0);
	while (tally_cpu_us(t) < 20000) {
		for (unsigned i = 0; i < 1000000; i++)
			spin += i;
		assert_int_equal(tally_look(t, getpid()), 0);
	}
	(void)spin;
	assert_int_equal(tally_look(t, 0x7ffffff0), -1);
	tally_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values), TEST(bad_values), TEST(pressure), TEST(hybrid), TEST(out_of_sight), TEST(named_parent), TEST(process_texts), TEST(own_process),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
