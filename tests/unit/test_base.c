/* Unit tests of src/base: arena, table, text, errors, numbers.
 * Runs in: tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include "base/base.h"

static void arena_gives_zeroed_aligned_memory(void **state)
{
	struct arena a;
	(void)state;

	arena_init(&a);
	for (size_t size = 0; size < 50000; size += 733) {
		unsigned char *p = arena_alloc(&a, size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xa5, size); /* an overlap with a later block would show there */
	}
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_done(&a);
	assert_null(a.chunks);
}

static void arena_strings(void **state)
{
	struct arena a;
	char *big;
	(void)state;

	arena_init(&a);
	assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
	assert_string_equal(arena_strdup(&a, ""), "");
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	big = arena_printf(&a, "%040000d", 1);
	assert_int_equal(strlen(big), 40000);
	assert_int_equal(big[39999], '1');
	arena_done(&a);
}

static void arena_grow_keeps_items(void **state)
{
	struct arena a;
	size_t cap = 0;
	int *items = NULL;
	(void)state;

	arena_init(&a);
	for (size_t i = 0; i < 5000; i++) {
		items = arena_grow(&a, items, i, &cap, sizeof *items);
		assert_non_null(items);
		assert_true(cap > i);
		items[i] = (int)i;
	}
	for (int i = 0; i < 5000; i++)
		assert_int_equal(items[i], i);
	assert_null(arena_grow(&a, NULL, SIZE_MAX / 2, &cap, 16));
	arena_done(&a);
}

static void table_holds_thousands(void **state)
{
	struct arena a;
	struct table t = { 0 };
	(void)state;

	arena_init(&a);
	assert_null(table_find(&t, "x", 1));
	for (size_t i = 0; i < 5000; i++) {
		char *key = arena_printf(&a, "/some/place/%zu", i);
		assert_true(table_put(&t, &a, key, strlen(key), i));
	}
	assert_int_equal(t.count, 5000);
	for (size_t i = 0; i < 5000; i++) {
		char *key = arena_printf(&a, "/some/place/%zu", i);
		assert_non_null(table_find(&t, key, strlen(key)));
		assert_int_equal(*table_find(&t, key, strlen(key)), i);
		/* The length counts: a beginning of a key is another key. */
		assert_null(table_find(&t, key, strlen("/some/place")));
	}
	assert_true(table_put(&t, &a, "/some/place/7", strlen("/some/place/7"), 1));
	assert_int_equal(*table_find(&t, "/some/place/7", strlen("/some/place/7")), 1);
	assert_int_equal(t.count, 5000);
	assert_true(table_put(&t, &a, "", 0, 9));
	assert_int_equal(*table_find(&t, "zzz", 0), 9);
	table_clear(&t);
	assert_int_equal(t.count, 0);
	assert_null(table_find(&t, "/some/place/7", strlen("/some/place/7")));
	arena_done(&a);
}

static void text_grows_and_escapes(void **state)
{
	struct text t;
	(void)state;

	text_init(&t);
	for (int i = 0; i < 1000; i++)
		text_printf(&t, "%d,", i);
	assert_int_equal(t.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_int_equal(strlen(t.s), t.len);
	text_done(&t);
	text_quoted(&t, "a\n\"\\\x1b[1m\xff \xc3\xa9 \xc2\x9b \xe2\x80\xae.");
	assert_string_equal(t.s, "a\\n\\\"\\\\\\x1b[1m\\xff \xc3\xa9 \\xc2\\x9b \\xe2\\x80\\xae.");
	text_done(&t);
	text_json(&t, "a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80");
	assert_string_equal(t.s, "\"a\\\"\\\\\\n\\u0001\\u00ff\xc3\xa9\\u00ed\\u00a0\\u0080\"");
	assert_false(t.failed);
	text_done(&t);
}

static void utf8(void **state)
{
	static const struct { const char *s; size_t len; } cases[] = {
		{ "a", 1 }, { "", 0 }, { "\xc3\xa9", 2 }, { "\xc0\x80", 0 }, { "\xc1\xbf", 0 }, { "\xe2\x82\xac", 3 }, { "\xe0\x80\x80", 0 },
		{ "\xed\xa0\x80", 0 }, { "\xf0\x9f\x98\x80", 4 }, { "\xf4\x90\x80\x80", 0 }, { "\xf5", 0 }, { "\x80", 0 }, { "\xe2\x82", 0 },
	};
	(void)state;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(utf8_length(cases[i].s), cases[i].len);
	assert_int_equal(utf8_printable("\x7f"), 0);
	assert_int_equal(utf8_printable("\xc2\x85"), 0);
}

static void numbers(void **state)
{
	uint64_t n = 5;
	(void)state;

	assert_int_equal(parse_u64("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(parse_u64("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(parse_u64("18446744073709551616", &n), -ERANGE);
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "a" };
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(parse_u64(bad[i], &n), -EINVAL);
	assert_true(n == UINT64_MAX); /* a failure leaves the result alone */
}

static void sizes(void **state)
{
	static const struct { const char *s; int r; uint64_t n; } cases[] = {
		{ "512", 0, 512 }, { "64K", 0, 65536 }, { "64k", 0, 65536 }, { "256M", 0, UINT64_C(256) << 20 }, { "2G", 0, UINT64_C(2) << 30 },
		{ "1T", 0, UINT64_C(1) << 40 }, { "16777215T", 0, UINT64_C(16777215) << 40 }, { "16777216T", -ERANGE, 0 }, { "1KB", -EINVAL, 0 },
		{ "K", -EINVAL, 0 }, { "1P", -EINVAL, 0 }, { "1 K", -EINVAL, 0 }, { "-1K", -EINVAL, 0 }, { "1.5G", -EINVAL, 0 },
	};
	(void)state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t n = 0;
		assert_int_equal(parse_size(cases[i].s, &n), cases[i].r);
		assert_true(n == cases[i].n);
	}
}

static void times_and_bools(void **state)
{
	static const struct { const char *s; int r; uint64_t ms; } cases[] = {
		{ "1.5", 0, 1500 }, { "2s", 0, 2000 }, { "300ms", 0, 300 }, { "2m", 0, 120000 }, { "1h", 0, 3600000 }, { "0", 0, 0 }, { "0.25h", 0, 900000 },
		{ "0.0001", -ERANGE, 0 }, { "1.", -EINVAL, 0 }, { ".5", -EINVAL, 0 }, { "1d", -EINVAL, 0 }, { "99999999999999999999", -ERANGE, 0 },
		{ "18446744073709551615s", -ERANGE, 0 }, { "1.0000000001", -ERANGE, 0 },
	};
	bool b = false;
	(void)state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t ms = 0;
		assert_int_equal(parse_seconds_ms(cases[i].s, &ms), cases[i].r);
		assert_true(ms == cases[i].ms);
	}
	assert_int_equal(parse_bool("yes", &b), 0);
	assert_true(b);
	assert_int_equal(parse_bool("off", &b), 0);
	assert_false(b);
	assert_int_equal(parse_bool("", &b), -EINVAL);
	assert_int_equal(parse_bool("YES", &b), -EINVAL);
}

static void error_table_is_sorted_and_complete(void **state)
{
	size_t count;
	const struct error_row *rows = error_rows(&count);
	(void)state;

	assert_true(count > 50);
	for (size_t i = 0; i < count; i++) {
		assert_true(!i || rows[i - 1].id < rows[i].id);
		assert_true(strlen(rows[i].layer) && strlen(rows[i].layer) < sizeof(((struct hutch_error *)0)->layer));
		assert_true(strlen(rows[i].step) && strlen(rows[i].step) < sizeof(((struct hutch_error *)0)->step));
		assert_true(strlen(rows[i].remedy) && strlen(rows[i].remedy) < sizeof(((struct hutch_error *)0)->remedy));
		assert_ptr_equal(error_row(rows[i].id), &rows[i]);
	}
	assert_null(error_row(99999));
}

static void error_text_form(void **state)
{
	struct hutch_error e;
	char text[2048], small[10];
	size_t len;
	(void)state;

	assert_int_equal(error_set(&e, ERR_MOUNT_ATTACH, EPERM, "move_mount", "/work\n\x1b[2J", "policy.hutch:12"), -1);
	error_remedy(&e, "do this");
	len = hutch_error_text(&e, text, sizeof text);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text,
			    "hutch: mount: failed while attaching at /work\\n\\x1b[2J: move_mount: Operation not permitted\n"
			    "  asked for by policy.hutch:12\n"
			    "  do this; see hutch-errors(7) E0405\n");
	memset(small, 'x', sizeof small);
	assert_int_equal(hutch_error_text(&e, small, sizeof small - 1), len);
	assert_int_equal(strlen(small), sizeof small - 2);
	assert_int_equal(small[sizeof small - 1], 'x');
	assert_int_equal(hutch_error_text(&e, NULL, 0), len);
	hutch_error_clear(&e);
	assert_int_equal(e.id, 0);
	hutch_error_text(&e, text, sizeof text);
	assert_string_equal(text, "hutch: no error\n");
}

static void error_fields_are_cut(void **state)
{
	struct hutch_error e;
	char big[5000];
	(void)state;

	memset(big, 'a', sizeof big);
	big[sizeof big - 1] = '\0';
	error_set(&e, ERR_KEY_VALUE, 0, big, big, big);
	error_detail(&e, "%s", big);
	error_remedy(&e, "%s", big);
	assert_int_equal(strlen(e.call), sizeof e.call - 1);
	assert_int_equal(strlen(e.subject), sizeof e.subject - 1);
	assert_int_equal(strlen(e.origin), sizeof e.origin - 1);
	assert_int_equal(strlen(e.detail), sizeof e.detail - 1);
	assert_int_equal(strlen(e.remedy), sizeof e.remedy - 1);
	assert_int_equal(error_set(NULL, ERR_KEY_VALUE, 0, NULL, NULL, NULL), -1);
	assert_int_equal(error_detail(NULL, "x"), -1);
	assert_int_equal(error_nomem(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_gives_zeroed_aligned_memory), cmocka_unit_test(arena_strings), cmocka_unit_test(arena_grow_keeps_items),
		cmocka_unit_test(table_holds_thousands),
		cmocka_unit_test(text_grows_and_escapes), cmocka_unit_test(utf8), cmocka_unit_test(numbers), cmocka_unit_test(sizes),
		cmocka_unit_test(times_and_bools), cmocka_unit_test(error_table_is_sorted_and_complete), cmocka_unit_test(error_text_form),
		cmocka_unit_test(error_fields_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
