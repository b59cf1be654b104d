/* Unit tests of src/inspect: lines of /proc, bounds, the check of a report from a pipe, rows and wrapping.
 * Runs in: tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The command's files are in no library. */
#include "inspect/decode.c"
#include "inspect/rows.c"
#include "inspect/lines.c"
#include "inspect/memory.c"

static void mount_lines(void **state)
{
	struct seen_mount m;
	(void)state;

	assert_true(decode_mount("36 35 98:0 / /mnt\\040two\\134x rw,nosuid,noexec shared:1 master:2 - ext4 /dev/sda rw\n", &m));
	assert_string_equal(m.target, "/mnt two\\x");
	assert_string_equal(m.type, "ext4");
	assert_int_equal(m.flags, MOUNT_NOSUID | MOUNT_NOEXEC);
	/* Read-only by the file system, not by the mount; no optional field. */
	assert_true(decode_mount("1 2 0:1 / /a rw,nodev - iso9660 none ro,relatime", &m));
	assert_int_equal(m.flags, MOUNT_RO | MOUNT_NODEV);
	/* "root" and "errors=remount-ro" are no "ro". */
	assert_true(decode_mount("1 2 0:1 / /a rw,root - ext4 none rw,errors=remount-ro", &m));
	assert_int_equal(m.flags, 0);
	assert_false(decode_mount("1 2 0:1 / /a rw,nodev", &m));
	assert_false(decode_mount("1 2 0:1 / /a", &m));
	assert_false(decode_mount("", &m));
	assert_false(decode_mount("1 2 0:1 / /a rw - ", &m));
}

static void a_long_mount_point_is_cut(void **state)
{
	char line[1024] = "1 2 0:1 / /";
	struct seen_mount m;
	(void)state;

	memset(line + strlen(line), 'x', 600);
	strcat(line, " ro - tmpfs none rw");
	assert_true(decode_mount(line, &m));
	assert_int_equal(strlen(m.target), sizeof m.target - 1);
	assert_int_equal(m.flags, MOUNT_RO);
}

static void id_maps(void **state)
{
	struct seen_map m = { .total = 2, .kept = 2 };
	(void)state;

	assert_true(decode_extent("         0     100000      65536\n", &m.extent[0]));
	assert_true(decode_extent("     70000       1000          1\n", &m.extent[1]));
	assert_false(decode_extent("1 2\n", &m.extent[2]));
	assert_int_equal(map_outside(&m, 0), 100000);
	assert_int_equal(map_outside(&m, 65535), 165535);
	assert_int_equal(map_outside(&m, 65536), UNKNOWN_ID);
	assert_int_equal(map_outside(&m, 70000), 1000);
	assert_int_equal(map_outside(&m, 70001), UNKNOWN_ID);
}

static void names_are_bounded(void **state)
{
	static struct seen_names n;
	char to[8];
	(void)state;

	copy_name(to, sizeof to, "1234567");
	assert_string_equal(to, "1234567");
	copy_name(to, sizeof to, "12345678");
	assert_string_equal(to, "1234...");
	for (int i = 0; i < SEEN_MAX + 10; i++)
		add_name(&n, i % 2 ? "b" : "a");
	assert_int_equal(n.total, SEEN_MAX + 10);
	assert_int_equal(n.kept, SEEN_MAX);
	sort_names(&n);
	assert_string_equal(n.name[0], "a");
	assert_string_equal(n.name[SEEN_MAX - 1], "b");
}

static void only_what_is_safe_is_shown(void **state)
{
	(void)state;
	assert_int_equal(utf8_safe("a"), 1);
	assert_int_equal(utf8_safe("\xc3\xbc"), 2);
	assert_int_equal(utf8_safe("\xe2\x80\xa6"), 3);
	assert_int_equal(utf8_safe("\xf0\x9f\x90\x87"), 4);
	assert_int_equal(utf8_safe("\033[31m"), 0);
	assert_int_equal(utf8_safe("\x7f"), 0);
	assert_int_equal(utf8_safe("\xc2\x9b"), 0);         /* C1: starts a sequence on some terminals */
	assert_int_equal(utf8_safe("\xe2\x80\xae"), 0);     /* turns the direction of text */
	assert_int_equal(utf8_safe("\xc0\xaf"), 0);         /* longer than it need be */
	assert_int_equal(utf8_safe("\xed\xa0\x80"), 0);     /* a surrogate */
	assert_int_equal(utf8_safe("\xc3"), 0);             /* cut off */
	assert_int_equal(utf8_safe(""), 0);
}

static struct report *valid_report(void)
{
	struct report *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->magic = REPORT_MAGIC;
	r->size = sizeof *r;
	r->cap_count = 41;
	for (int i = 0; i < LIMITS; i++)
		r->limit[i].soft = r->limit[i].hard = UINT64_MAX;
	return r;
}

#define refused(change) do { struct report *r = valid_report(); assert_true(report_valid(r)); change; \
	assert_false(report_valid(r)); free(r); } while (0)

static void a_report_out_of_bounds_is_refused(void **state)
{
	(void)state;
	refused(r->magic++);
	refused(r->size--);
	refused(r->cap_count = 65);
	refused(r->memory.end = MEMORY_UNTRIED + 1);
	refused((r->mounts.kept = 257, r->mounts.total = 257));
	refused(r->mounts.kept = 1);
	refused((r->fds.kept = SEEN_MAX + 1, r->fds.total = SEEN_MAX + 1));
	refused((r->env.kept = SEEN_MAX + 1, r->env.total = SEEN_MAX + 1));
	refused((r->uid_map.kept = 9, r->uid_map.total = 9));
	refused((r->groups.kept = 65, r->groups.total = 65));
	refused(memset(r->root.name[3], 'x', sizeof r->root.name[3]));
	refused(memset(r->host_name, 'x', sizeof r->host_name));
	refused(memset(r->shared_path, 'x', sizeof r->shared_path));
	refused((r->processes.kept = r->processes.total = 1, memset(r->processes.p[0].name, 'x', 32)));
	refused((r->interfaces.kept = r->interfaces.total = 1, r->interfaces.i[0].kept = 9, r->interfaces.i[0].total = 9));
}

static char *joined(const struct row *row, size_t width, size_t max, size_t *count)
{
	struct lines l;
	char *all = calloc(1, 65536);

	assert_non_null(all);
	lines_make(&l, row, width, max);
	assert_false(l.failed);
	for (size_t i = 0; i < l.count; i++) {
		assert_true(text_columns(l.line[i]) <= width);
		strcat(strcat(all, l.line[i]), "\n");
	}
	if (count)
		*count = l.count;
	lines_free(&l);
	return all;
}

static void expect_row(const struct report *r, enum row_id id, const char *text)
{
	struct rows rows;
	char *all;

	rows_make(&rows, r, false);
	assert_false(rows.failed);
	all = joined(&rows.row[id], 200, 0, NULL);
	assert_string_equal(all, text);
	free(all);
	rows_free(&rows);
}

static void capabilities_take_the_shorter_form(void **state)
{
	struct report *r = valid_report();
	(void)state;

	expect_row(r, ROW_EFFECTIVE, "none\n");
	r->caps[CAPS_EFFECTIVE] = (1ull << 41) - 1;
	expect_row(r, ROW_EFFECTIVE, "all 41\n");
	r->caps[CAPS_EFFECTIVE] &= ~(1ull << 21 | 1ull << 0);
	expect_row(r, ROW_EFFECTIVE, "all but chown, sys_admin\n");
	r->caps[CAPS_EFFECTIVE] = 1ull << 10 | 1ull << 40;
	expect_row(r, ROW_EFFECTIVE, "net_bind_service, checkpoint_restore\n");
	/* One that has no name here yet. */
	r->cap_count = 42;
	r->caps[CAPS_EFFECTIVE] = 1ull << 41;
	expect_row(r, ROW_EFFECTIVE, "41\n");
	free(r);
}

static void memory_says_what_stopped_it(void **state)
{
	struct report *r = valid_report();
	char text[128];
	(void)state;

	r->memory = (struct seen_memory){ .end = MEMORY_BOUND, .bound = 256, .reached = 256 };
	expect_row(r, ROW_MEMORY, "went on to the bound of 256 MiB\n");
	r->memory = (struct seen_memory){ .end = MEMORY_REFUSED, .errnum = ENOMEM, .bound = 256, .reached = 126 };
	r->limit[RLIMIT_AS].soft = 128u << 20;
	snprintf(text, sizeof text, "stopped at 126 MiB by malloc: %s (RLIMIT_AS 128M)\n", strerror(ENOMEM));
	expect_row(r, ROW_MEMORY, text);
	r->memory = (struct seen_memory){ .end = MEMORY_KILLED, .signal = SIGKILL, .bound = 256, .reached = 64 };
	snprintf(text, sizeof text, "killed by signal 9 (%s) at 64 MiB\n", strsignal(SIGKILL));
	expect_row(r, ROW_MEMORY, text);
	free(r);
}

static void every_row_has_a_text(void **state)
{
	struct report *r = valid_report();
	struct rows rows;
	(void)state;

	/* Also of a process that can read nothing. */
	r->caps_errnum = r->mounts.errnum = r->processes.errnum = r->interfaces.errnum = r->root.errnum = EACCES;
	r->no_new_privs = r->seccomp = r->securebits = -EPERM;
	r->filters = -1;
	rows_make(&rows, r, true);
	for (int i = 0; i < ROWS; i++) {
		assert_non_null(rows.row[i].label);
		assert_non_null(rows.row[i].section);
		assert_true(rows.row[i].count > 0);
	}
	rows_free(&rows);
	free(r);
}

static void words_wrap_and_are_cut(void **state)
{
	char *items[] = { "alpha", "beta", "gamma", "delta", "epsilon", "zeta" };
	struct row row = { .form = FORM_WORDS, .items = items, .count = 6 };
	char *all;
	(void)state;

	all = joined(&row, 100, 0, NULL);
	assert_string_equal(all, "alpha, beta, gamma, delta, epsilon, zeta\n");
	free(all);
	all = joined(&row, 14, 0, NULL);
	assert_string_equal(all, "alpha, beta,\ngamma, delta,\nepsilon, zeta\n");
	free(all);
	all = joined(&row, 20, 1, NULL);
	assert_string_equal(all, "alpha, … and 5 more\n");
	free(all);
	row.more = 10; /* which the report had no room for */
	all = joined(&row, 100, 0, NULL);
	assert_string_equal(all, "alpha, beta, gamma, delta, epsilon, zeta, … and 10 more\n");
	free(all);
}

/* Whatever the widths: no line is too long, none too many, and all are told or counted. */
static void cells_keep_their_bounds(void **state)
{
	char *items[] = { "a", "a long item with several words", "anotherlongwordwithoutanyblankinit", "\033[31mred", "x", "y", "z" };
	(void)state;

	for (size_t width = 20; width < 60; width++) {
		for (size_t max = 0; max < 8; max++) {
			for (int form = FORM_WORDS; form <= FORM_LINES; form++) {
				struct row row = { .form = (enum row_form)form, .items = items, .count = 7 };
				size_t count;
				char *all = joined(&row, width, max, &count);
				assert_true(max == 0 || count <= max);
				assert_null(strchr(all, '\033'));
				assert_true(strstr(all, "z\n") || strstr(all, " more\n"));
				/* The first item is shown as soon as there is a line for it beside the count. */
				if (max != 1)
					assert_true(all[0] == 'a');
				free(all);
			}
		}
	}
}

static void memory_ends_at_the_bound_or_the_limit(void **state)
{
	struct seen_memory m;
	struct rlimit before, now;
	(void)state;

	collect_memory(&m, 0);
	assert_int_equal(m.end, MEMORY_UNTRIED);
	collect_memory(&m, 21);
	assert_int_equal(m.end, MEMORY_BOUND);
	assert_int_equal(m.reached, 21);
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes of addresses */
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	now = before;
	now.rlim_cur = 128u << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
	collect_memory(&m, 200);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(m.end, MEMORY_REFUSED);
	assert_int_equal(m.errnum, ENOMEM);
	assert_in_range(m.reached, 64, 127);
#else
	(void)before;
	(void)now;
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_lines),
		cmocka_unit_test(a_long_mount_point_is_cut),
		cmocka_unit_test(id_maps),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(only_what_is_safe_is_shown),
		cmocka_unit_test(a_report_out_of_bounds_is_refused),
		cmocka_unit_test(capabilities_take_the_shorter_form),
		cmocka_unit_test(memory_says_what_stopped_it),
		cmocka_unit_test(every_row_has_a_text),
		cmocka_unit_test(words_wrap_and_are_cut),
		cmocka_unit_test(cells_keep_their_bounds),
		cmocka_unit_test(memory_ends_at_the_bound_or_the_limit),
	};

	return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
