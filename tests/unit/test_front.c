/* Unit tests of src/front: policy text and files, includes, the command line.
 * Runs in: tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "front/front.h"

struct fixture { struct arena arena; struct draft draft; struct hutch_error error; char text[2048], dir[64], path[160]; };

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	if (!x)
		return -1;
	arena_init(&x->arena);
	x->draft.arena = &x->arena;
	strcpy(x->dir, "/tmp/hutch-front-XXXXXX");
	*state = x;
	return mkdtemp(x->dir) ? 0 : -1;
}

static const char *const made[] = { "a.hutch", "b.hutch", "sub/c.hutch", "sub", "fifo", "big", "link" };

static char *path_of(struct fixture *x, const char *name)
{
	snprintf(x->path, sizeof x->path, "%s/%s", x->dir, name);
	return x->path;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;
	int r;

	for (size_t i = 0; i < COUNT_OF(made); i++)
		remove(path_of(x, made[i]));
	arena_done(&x->arena);
	r = rmdir(x->dir);
	free(x);
	return r;
}

static void restart(struct fixture *x)
{
	arena_done(&x->arena);
	arena_init(&x->arena);
	x->draft = (struct draft){ .arena = &x->arena };
	hutch_error_clear(&x->error);
}

static void write_file(struct fixture *x, const char *name, const char *text)
{
	FILE *f = fopen(path_of(x, name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int text_of(struct fixture *x, const char *text, size_t len)
{
	restart(x);
	return front_policy_text(&x->draft, text, len, "t", NULL, 1, STRENGTH_REQUIRED, &x->error);
}

static void has_line(struct fixture *x, size_t i, const char *key, const char *value, const char *origin, unsigned depth)
{
	assert_true(i < x->draft.count);
	assert_string_equal(key_rows[x->draft.lines[i].key].name, key);
	assert_string_equal(x->draft.lines[i].value, value);
	assert_string_equal(x->draft.lines[i].origin, origin);
	assert_int_equal(x->draft.lines[i].depth, depth);
}

static void failed(struct fixture *x, int r, enum error_id id, const char *origin, const char *word)
{
	assert_int_equal(r, -1);
	hutch_error_text(&x->error, x->text, sizeof x->text);
	if (x->error.id != id)
		fail_msg("E%u: %s", x->error.id, x->text);
	assert_string_equal(x->error.origin, origin);
	if (!strstr(x->text, word))
		fail_msg("no \"%s\" in: %s", word, x->text);
}

static void lines_and_comments(void **state)
{
	static const char text[] = "\xef\xbb\xbf# head\r\n\n  hostname=a\r\n\tenv = A=b c # note\nenv = B=x#y\nenv = C=1 \\# 2\nenv =D=\\#\ndomainname =\nro = /n\xff\nro=/last";
	struct fixture *x = *state;

	assert_int_equal(text_of(x, text, sizeof text - 1), 0);
	assert_int_equal(x->draft.count, 8);
	has_line(x, 0, "hostname", "a", "t:3", 1);
	has_line(x, 1, "env", "A=b c", "t:4", 1);
	has_line(x, 2, "env", "B=x#y", "t:5", 1);
	has_line(x, 3, "env", "C=1 # 2", "t:6", 1);
	has_line(x, 4, "env", "D=\\#", "t:7", 1);
	has_line(x, 5, "domainname", "", "t:8", 1);
	has_line(x, 6, "ro", "/n\xff", "t:9", 1);
	has_line(x, 7, "ro", "/last", "t:10", 1);
	assert_int_equal(text_of(x, "", 0), 0);
	assert_int_equal(x->draft.count, 0);
}

static void bad_lines(void **state)
{
	struct fixture *x = *state;

	failed(x, text_of(x, "\nchroot\n", 8), ERR_POLICY_LINE, "t:2", "there is no =");
	failed(x, text_of(x, "= x\n", 4), ERR_POLICY_LINE, "t:1", "no key");
	failed(x, text_of(x, "net = a\0b\n", 10), ERR_POLICY_LINE, "t:1", "zero byte");
	failed(x, text_of(x, "hostnam = b\n", 12), ERR_KEY_UNKNOWN, "t:1", "did you mean `hostname`");
	failed(x, text_of(x, "include = nothing\n", 18), ERR_PRESET_UNKNOWN, "t:1", "nothing");
	failed(x, text_of(x, "include = /etc/passwd\n", 22), ERR_PRESET_UNKNOWN, "t:1", "/etc/passwd");
}

static void heredocs(void **state)
{
	static const char text[] = "file = /a <<END\n# kept\n\n  x = 1 \nEND x\nEND\nfile = /b <<E\nE\nfile = /c=<<X\nenv = D <<X\nhostname = h\n";
	struct fixture *x = *state;

	assert_int_equal(text_of(x, text, sizeof text - 1), 0);
	assert_int_equal(x->draft.count, 5);
	has_line(x, 0, "file", "/a", "t:1", 1);
	assert_string_equal(x->draft.lines[0].data, "# kept\n\n  x = 1 \nEND x\n");
	assert_int_equal(x->draft.lines[0].data_len, strlen(x->draft.lines[0].data));
	has_line(x, 1, "file", "/b", "t:7", 1);
	assert_non_null(x->draft.lines[1].data);
	assert_int_equal(x->draft.lines[1].data_len, 0);
	has_line(x, 2, "file", "/c=<<X", "t:9", 1);
	assert_null(x->draft.lines[2].data);
	has_line(x, 3, "env", "D <<X", "t:10", 1);
	has_line(x, 4, "hostname", "h", "t:11", 1);
	failed(x, text_of(x, "\nfile = /a <<END\nx\n END\n", 24), ERR_POLICY_LINE, "t:2", "END");
}

static void preset_includes(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(text_of(x, "include = strict\nhostname = h\n", 30), 0);
	has_line(x, 0, "include", "strict", "t:1", 1);
	has_line(x, 1, "landlock", "files", "preset strict", 2);
	assert_int_equal(x->draft.lines[1].strength, STRENGTH_PREFERRED);
	assert_true(x->draft.lines[1].source != x->draft.lines[0].source);
	assert_int_equal(x->draft.lines[x->draft.count - 1].source, x->draft.lines[0].source);
	assert_int_equal(x->draft.lines[x->draft.count - 1].strength, STRENGTH_REQUIRED);
}

static void files_and_includes(void **state)
{
	struct fixture *x = *state;
	char origin[200];

	assert_int_equal(mkdir(path_of(x, "sub"), 0700), 0);
	write_file(x, "a.hutch", "include = sub/c.hutch\nhostname = a\n");
	write_file(x, "sub/c.hutch", "include = ../b.hutch\n");
	write_file(x, "b.hutch", "umask = 077\n");
	assert_int_equal(front_policy_file(&x->draft, path_of(x, "a.hutch"), 1, &x->error), 0);
	assert_int_equal(x->draft.count, 4);
	snprintf(origin, sizeof origin, "%s/sub/../b.hutch:1", x->dir);
	has_line(x, 2, "umask", "077", origin, 3);
	snprintf(origin, sizeof origin, "%s/a.hutch:2", x->dir);
	has_line(x, 3, "hostname", "a", origin, 1);
	assert_int_equal(x->draft.sources, 3);
}

static void include_cycles_and_depth(void **state)
{
	struct fixture *x = *state;
	char origin[200], *text, *to;

	assert_int_equal(mkdir(path_of(x, "sub"), 0700), 0);
	write_file(x, "a.hutch", "include = b.hutch\n");
	write_file(x, "b.hutch", "\ninclude = sub/../link\n");
	assert_int_equal(symlink("a.hutch", path_of(x, "link")), 0);
	snprintf(origin, sizeof origin, "%s/b.hutch:2", x->dir);
	failed(x, front_policy_file(&x->draft, path_of(x, "a.hutch"), 1, &x->error), ERR_POLICY_CYCLE, origin, "link");
	/* Breadth is bounded as well: no tree of includes keeps us busy for ever. */
	text = to = malloc(1100 * 16 + 1);
	assert_non_null(text);
	for (int i = 0; i < 1100; i++)
		to += sprintf(to, "include = view\n");
	failed(x, text_of(x, text, strlen(text)), ERR_POLICY_DEPTH, "", "preset view");
	free(text);
}

static void bad_files(void **state)
{
	struct fixture *x = *state;
	FILE *f;

	failed(x, front_policy_file(&x->draft, path_of(x, "none"), 1, &x->error), ERR_POLICY_FILE, "", "No such file");
	failed(x, front_policy_file(&x->draft, x->dir, 1, &x->error), ERR_POLICY_FILE, "", "isn't a regular file");
	assert_int_equal(mkfifo(path_of(x, "fifo"), 0600), 0);
	alarm(10); /* opening a fifo must not wait */
	failed(x, front_policy_file(&x->draft, path_of(x, "fifo"), 1, &x->error), ERR_POLICY_FILE, "", "isn't a regular file");
	alarm(0);
	f = fopen(path_of(x, "big"), "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), (16 << 20) + 1), 0);
	fclose(f);
	failed(x, front_policy_file(&x->draft, path_of(x, "big"), 1, &x->error), ERR_POLICY_FILE, "", "too large");
	failed(x, front_policy_file(&x->draft, "strct", 1, &x->error), ERR_POLICY_FILE, "", "did you mean the preset strict?");
}

/* A caller's own words: --own takes one more word, -q none, --broken fails. */
static int own_words(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	int *calls = data;

	++*calls;
	if (!strcmp(argv[at], "--own"))
		return at + 1 < argc ? 2 : error_set(e, ERR_OPTION_VALUE, 0, NULL, "--own", "own");
	return !strcmp(argv[at], "-q") || !strcmp(argv[at], "--no-colour") ? 1 : 0;
}

static int args(struct fixture *x, char *const argv[])
{
	int argc = 0, calls = 0;

	restart(x);
	while (argv[argc])
		argc++;
	return front_argv(&x->draft, argc, argv, own_words, &calls, &x->error);
}
#define ARGS(x, ...) args(x, (char *[]){ __VA_ARGS__, NULL })

static void options(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ARGS(x, "--hostname", "-h", "--chroot", "--no-init", "--ro=/a:/b", "-q", "--own", "--net", "--no-colour", "--no-new-privs", "--keep-env=no",
			      "--umask=", "./x", "--ro", "y"), 0);
	assert_int_equal(x->draft.count, 7);
	has_line(x, 0, "hostname", "-h", "argv[0]", 0);
	has_line(x, 1, "chroot", "yes", "argv[2]", 0);
	has_line(x, 2, "init", "no", "argv[3]", 0);
	has_line(x, 3, "ro", "/a:/b", "argv[4]", 0);
	has_line(x, 4, "no-new-privs", "yes", "argv[9]", 0);
	has_line(x, 5, "keep-env", "no", "argv[10]", 0);
	has_line(x, 6, "umask", "", "argv[11]", 0);
	assert_int_equal(x->draft.argc, 3);
	assert_string_equal(x->draft.argv[0], "./x");
	assert_string_equal(x->draft.argv[1], "--ro");
	assert_null(x->draft.argv[3]);
	assert_int_equal(x->draft.lines[0].source, x->draft.lines[6].source);
	assert_int_equal(x->draft.lines[0].strength, STRENGTH_REQUIRED);
}

static void where_options_end(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ARGS(x, "--", "--ro", "--"), 0);
	assert_int_equal(x->draft.argc, 2);
	assert_string_equal(x->draft.argv[1], "--");
	assert_int_equal(ARGS(x, "-", "a"), 0);
	assert_string_equal(x->draft.argv[0], "-");
	assert_int_equal(ARGS(x, "", "a"), 0);
	assert_string_equal(x->draft.argv[0], "");
	assert_int_equal(ARGS(x, "--chroot"), 0);
	assert_int_equal(x->draft.argc, 0);
	assert_int_equal(ARGS(x, "--"), 0);
	assert_int_equal(x->draft.argc, 0);
}

static void other_names(void **state)
{
	struct fixture *x = *state;
	char origin[200], second[80];

	assert_int_equal(ARGS(x, "--as-pid-1", "--view", "a"), 0);
	has_line(x, 0, "init", "no", "argv[0]", 0);
	has_line(x, 1, "include", "view", "argv[1]", 0);
	has_line(x, 2, "host-root", "yes", "preset view", 1);
	assert_int_equal(ARGS(x, "--preset", "strict", "--include=view"), 0);
	write_file(x, "a.hutch", "hostname = a\ninclude = ./b.hutch\n");
	write_file(x, "b.hutch", "umask = 0\n");
	snprintf(second, sizeof second, "%s/b.hutch", x->dir);
	assert_int_equal(ARGS(x, "--policy", path_of(x, "a.hutch"), "--include", second, "c"), 0);
	snprintf(origin, sizeof origin, "%s/a.hutch:1", x->dir);
	has_line(x, 0, "hostname", "a", origin, 1);
	assert_int_equal(x->draft.count, 5);
	assert_int_equal(x->draft.lines[2].depth, 2);
	assert_int_equal(x->draft.lines[4].depth, 1);
}

static void bad_options(void **state)
{
	struct fixture *x = *state;

	failed(x, ARGS(x, "--chroot", "--hosname", "x"), ERR_OPTION_UNKNOWN, "argv[1]", "did you mean --hostname?");
	failed(x, ARGS(x, "--polcy", "x"), ERR_OPTION_UNKNOWN, "argv[0]", "did you mean --policy?");
	failed(x, ARGS(x, "-h"), ERR_OPTION_UNKNOWN, "argv[0]", "-h");
	failed(x, ARGS(x, "--=x"), ERR_OPTION_UNKNOWN, "argv[0]", "--=x");
	failed(x, ARGS(x, "--ro"), ERR_OPTION_VALUE, "argv[0]", "value is missing");
	failed(x, ARGS(x, "--policy"), ERR_OPTION_VALUE, "argv[0]", "value is missing");
	failed(x, ARGS(x, "--no-ro"), ERR_OPTION_VALUE, "argv[0]", "--ro=VALUE");
	failed(x, ARGS(x, "--no-init=no"), ERR_OPTION_VALUE, "argv[0]", "takes no value");
	failed(x, ARGS(x, "--view=no"), ERR_OPTION_VALUE, "argv[0]", "takes no value");
	failed(x, ARGS(x, "--preset", "strikt"), ERR_PRESET_UNKNOWN, "argv[0]", "did you mean strict?");
	failed(x, ARGS(x, "--preset", "./strict"), ERR_PRESET_UNKNOWN, "argv[0]", "./strict");
	failed(x, ARGS(x, "--policy", path_of(x, "none")), ERR_POLICY_FILE, "argv[0]", "No such file");
	failed(x, ARGS(x, "--include", path_of(x, "none")), ERR_POLICY_FILE, "argv[0]", "No such file");
	failed(x, ARGS(x, "--own"), ERR_OPTION_VALUE, "own", "--own");
}

static void finish(void **state)
{
	struct fixture *x = *state;
	size_t count;

	assert_int_equal(front_finish(&x->draft, &x->error), 0);
	has_line(x, 0, "include", "default", "default", DRAFT_DEPTH_MAX);
	count = x->draft.count;
	assert_int_equal(front_finish(&x->draft, &x->error), 0);
	assert_int_equal(x->draft.count, count);
	/* An include that came by the api is followed now, and only once. */
	restart(x);
	assert_int_equal(draft_add(&x->draft, "include", "strict", "api", 0, 0, STRENGTH_REQUIRED, &x->error), 0);
	assert_int_equal(front_finish(&x->draft, &x->error), 0);
	has_line(x, 1, "landlock", "files", "preset strict", 1);
	count = x->draft.count;
	assert_int_equal(front_finish(&x->draft, &x->error), 0);
	assert_int_equal(x->draft.count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_not_equal(x->draft.lines[i].value, "default");
	restart(x);
	assert_int_equal(draft_add(&x->draft, "include", path_of(x, "none"), "api", 0, 0, STRENGTH_REQUIRED, &x->error), 0);
	failed(x, front_finish(&x->draft, &x->error), ERR_POLICY_FILE, "api", "No such file");
}

static void shipped_command_line(void **state)
{
	static const char *const environment[] = { NULL };
	struct policy_context c = { "/w", "/home/u", environment, 1000, 1000 };
	struct fixture *x = *state;
	struct policy p;

	assert_int_equal(ARGS(x, "--preset", "view", "--ro", "./config:/etc/nginx/conf.d", "--", "nginx", "-t"), 0);
	assert_int_equal(front_finish(&x->draft, &x->error), 0);
	assert_int_equal(policy_freeze(&x->draft, &c, &p, &x->error), 0);
	assert_true(p.host_root && p.rule_count == 1 && p.argc == 2);
	assert_string_equal(p.rules[0].src, "/w/config");
	assert_string_equal(p.rules[0].origin, "argv[2]");
	assert_string_equal(p.argv[0], "nginx");
	/* A person's word beats the preset's. */
	assert_int_equal(ARGS(x, "--preset", "strict", "--rlimit-nproc", "9", "--tmpfs", "/tmp:mode=1777", "a"), 0);
	assert_int_equal(policy_freeze(&x->draft, &c, &p, &x->error), 0);
	assert_string_equal(p.origin[KEY_RLIMIT_NPROC], "argv[2]");
	assert_true(p.rule_count == 1 && !p.rules[0].noexec);
	assert_int_equal(ARGS(x, "--seccomp", "none", "--preset", "strict", "a"), 0);
	assert_int_equal(policy_freeze(&x->draft, &c, &p, &x->error), 0);
	assert_int_equal(p.seccomp_count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_and_comments), TEST(bad_lines), TEST(heredocs), TEST(preset_includes), TEST(files_and_includes), TEST(include_cycles_and_depth),
		TEST(bad_files), TEST(options), TEST(where_options_end), TEST(other_names), TEST(bad_options), TEST(finish), TEST(shipped_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
