/* --image: has the unpacker make trees of an image's layers, and takes from the image what it says about running it.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/cli.h"

#define MOST_OUTPUT (16u << 20)
#define ORIGIN_MOST 120

static const struct { const char *name, *def, *value, *help; bool text; } rows[] = {
#define OPTION(symbol, name, type, def, value, help) { name, def, value, help, OPTION_##type },
#define OPTION_TEXT true
#define OPTION_SIZE false
#define OPTION_COUNT false
#define OPTION_TIME false
#include "image/options.def"
#undef OPTION
};

const char *image_option_row(size_t index, const char **value, const char **def, const char **help)
{
	if (index >= COUNT_OF(rows))
		return NULL;
	*value = rows[index].value;
	*def = rows[index].def;
	*help = rows[index].help;
	return rows[index].name;
}

/* ---- options ---- */
static int bad_option(struct hutch_error *e, const char *word, int at, const char *detail)
{
	char origin[24];

	snprintf(origin, sizeof origin, "argv[%d]", at);
	error_set(e, ERR_IMAGE_OPTION, 0, NULL, word, origin);
	return error_detail(e, "%s", detail);
}

/* --image[-NAME] and its value: words taken, 0 = another option, -1 = error. row: -1 = --image itself. */
static int take(int argc, char *const argv[], int at, int *row, const char **value, struct hutch_error *e)
{
	const char *word = argv[at], *name = word + strlen("--image"), *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);

	*row = -1;
	for (size_t i = 0; *name == '-' && i < COUNT_OF(rows); i++) {
		if (strlen(rows[i].name) == n - 1 && !strncmp(rows[i].name, name + 1, n - 1))
			*row = (int)i;
	}
	if (*row < 0 && *name && *name != '=')
		return 0;
	*value = eq ? eq + 1 : at + 1 < argc ? argv[at + 1] : "";
	if (!**value)
		return bad_option(e, word, at, "its value is missing");
	return eq ? 1 : 2;
}

int image_option(struct image_options *o, int argc, char *const argv[], int at, struct hutch_error *e)
{
	const char *value;
	int row, n;

	if (strncmp(argv[at], "--image", 7))
		return 0;
	if (!strcmp(argv[at], "--image-flatten"))
		return o->flatten = true, 1;
	n = take(argc, argv, at, &row, &value, e);
	if (n <= 0)
		return n;
	const char **to = row < 0 ? &o->where : &o->value[row];
	if (*to)
		return bad_option(e, argv[at], at, "it is given twice");
	*to = value;
	return n;
}

/* ---- the unpacker ---- */
static int helper_error(struct hutch_error *e, int errnum, const char *call, const char *path)
{
	return error_set(e, ERR_IMAGE_HELPER, errnum, call, path, "--image");
}

/* Nobody but root, us and the owner of hutch itself may have put it there. */
static bool trusted(const struct stat *st, const struct stat *self)
{
	return (st->st_uid == 0 || st->st_uid == geteuid() || st->st_uid == self->st_uid) && !(st->st_mode & S_IWOTH);
}

static int open_trusted(const char *directory, const struct stat *self)
{
	struct stat st;
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

	if (dir >= 0 && fstat(dir, &st) == 0 && trusted(&st, self))
		fd = openat(dir, "hutch-image", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !trusted(&st, self))) {
		close(fd);
		fd = -1;
	}
	if (dir >= 0)
		close(dir);
	return fd;
}

/* Beside the command (a build), or where it is installed: by the command's own place, never by PATH. */
static int open_helper(struct hutch_error *e)
{
	static const char *const places[] = { "", "/../libexec/hutch" };
	char self[4096], directory[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	struct stat st;
	int fd = -1;

	if (n <= 0 || stat("/proc/self/exe", &st) < 0)
		return helper_error(e, errno, "readlink", "/proc/self/exe");
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < COUNT_OF(places) && fd < 0; i++) {
		snprintf(directory, sizeof directory, "%s%s", self, places[i]);
		fd = open_trusted(directory, &st);
	}
	if (fd >= 0)
		return fd;
	helper_error(e, ENOENT, NULL, "hutch-image");
	return error_detail(e, "neither in %.90s nor in its ../libexec/hutch, or others may write there", self);
}

static void exec_helper(int fd, int output, pid_t parent, char *const *argv)
{
	char home[4200], data[4200], *env[3] = { NULL };
	const char *h = getenv("HOME"), *d = getenv("XDG_DATA_HOME");
	sigset_t none;
	size_t n = 0;

	/* The unpacker ends with us: half a layer is of no use to anybody. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* All of the environment that it is about. */
	if (h && snprintf(home, sizeof home, "HOME=%s", h) < (int)sizeof home)
		env[n++] = home;
	if (d && snprintf(data, sizeof data, "XDG_DATA_HOME=%s", d) < (int)sizeof data)
		env[n++] = data;
	if (dup2(output, 1) == 1)
		syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

static int read_output(int fd, struct text *t)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || t->len + (size_t)n > MOST_OUTPUT)
			return -1;
		text_add(t, buffer, (size_t)n);
	}
	return t->failed ? -1 : 0;
}

static int wait_helper(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	return status;
}

static int run_helper(int fd, char *const *argv, struct text *out, struct hutch_error *e)
{
	pid_t parent = getpid(), pid;
	int ends[2], status, bad;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return helper_error(e, errno, "pipe2", "hutch-image");
	pid = fork();
	if (pid == 0)
		exec_helper(fd, ends[1], parent, argv);
	close(ends[1]);
	bad = pid < 0 ? -1 : read_output(ends[0], out);
	close(ends[0]);
	if (pid < 0)
		return helper_error(e, errno, "fork", "hutch-image");
	if (bad)
		kill(pid, SIGKILL);
	status = wait_helper(pid);
	if (!bad && WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return 0;
	helper_error(e, 0, NULL, "hutch-image");
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
		return error_detail(e, "it was ended by signal %d: --image-max-cpu, or somebody's kill", WTERMSIG(status));
	return WIFSIGNALED(status) ? error_detail(e, "it was ended by signal %d", WTERMSIG(status)) : error_detail(e, "it ended with status %d", WEXITSTATUS(status));
}

/* ---- records ---- */
struct records { const char *next, *end; };

/* KEY VALUE\0: false at the end. The process that wrote them has read a stranger's bytes. */
static bool next_record(struct records *r, const char **key, size_t *key_len, const char **value)
{
	const char *nul = r->next < r->end ? memchr(r->next, 0, (size_t)(r->end - r->next)) : NULL, *space;

	if (!nul)
		return false;
	space = strchr(r->next, ' ');
	*key = r->next;
	*key_len = space ? (size_t)(space - r->next) : strlen(r->next);
	*value = space ? space + 1 : nul;
	r->next = nul + 1;
	return true;
}

static bool is(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(key, name, len);
}

/* What the unpacker failed with, filled again. false = it didn't say. */
static bool told_error(const struct text *out, struct hutch_error *e)
{
	struct records r = { out->s, out->s + out->len };
	const char *key, *value, *part[7] = { NULL };
	static const char *const names[] = { "error-id", "error-errno", "error-call", "error-subject", "error-origin", "error-detail", "error-remedy" };
	size_t len;
	uint64_t id, errnum;

	while (next_record(&r, &key, &len, &value)) {
		for (size_t i = 0; i < COUNT_OF(names); i++)
			part[i] = is(key, len, names[i]) ? value : part[i];
	}
	if (!part[6] || parse_u64(part[0] ? part[0] : "", &id) < 0 || parse_u64(part[1] ? part[1] : "", &errnum) < 0 || !error_row((uint32_t)id))
		return false;
	error_set(e, (enum error_id)id, (int)errnum, part[2], part[3], part[4] && *part[4] ? part[4] : "--image");
	error_detail(e, "%s", part[5] ? part[5] : "");
	error_remedy(e, "%s", part[6]);
	return true;
}

static bool is_whole(const struct text *out)
{
	return out->len >= 5 && !memcmp(out->s + out->len - 5, "end ", 5);
}

/* ---- what the image says, as lines that give way to the caller's ---- */
struct facts {
	hutch_policy *policy;
	char origin[ORIGIN_MOST];
	const char *uid, *gid, *home, *name, *user_unknown, *user_why;
	bool ranges, rooted;
	char groups[1024];
	char **argv;               /* entry point, then command */
	size_t argc, entrypoint;
	struct hutch_error *error;
};

static int line(struct facts *f, const char *key, const char *value)
{
	return hutch_policy_default(f->policy, key, value, f->origin, f->error);
}

static int add_word(struct facts *f, const char *word)
{
	char **argv = realloc(f->argv, (f->argc + 2) * sizeof *argv);

	if (!argv)
		return error_nomem(f->error);
	f->argv = argv;
	argv[f->argc++] = (char *)(uintptr_t)word;
	argv[f->argc] = NULL;
	return 0;
}

static void add_group(struct facts *f, const char *gid)
{
	size_t n = strlen(f->groups);

	snprintf(f->groups + n, sizeof f->groups - n, "%s%s", n ? "," : "", gid);
}

/* The first tree is the root, the others lie over it. */
static int add_layer(struct facts *f, const char *path)
{
	const char *key = f->rooted ? "layer" : "rootfs";

	f->rooted = true;
	return line(f, key, path);
}

static int take_record(struct facts *f, const char *key, size_t len, const char *value)
{
	const struct { const char *name; const char **to; } kept[] = {
		{ "uid", &f->uid }, { "gid", &f->gid }, { "home", &f->home }, { "name", &f->name },
		{ "user-unknown", &f->user_unknown }, { "user-why", &f->user_why },
	};

	for (size_t i = 0; i < COUNT_OF(kept); i++) {
		if (is(key, len, kept[i].name))
			return *kept[i].to = value, 0;
	}
	if (is(key, len, "owners"))
		return f->ranges = !strcmp(value, "ranges"), 0;
	if (is(key, len, "rootfs") || is(key, len, "layer"))
		return add_layer(f, value);
	if (is(key, len, "env") || is(key, len, "cwd"))
		return line(f, is(key, len, "env") ? "env" : "cwd", value);
	if (is(key, len, "entrypoint") || is(key, len, "cmd"))
		return add_word(f, value);
	if (is(key, len, "group"))
		add_group(f, value);
	else if (is(key, len, "note"))
		fprintf(stderr, "hutch: image: %s\n", value);
	return 0;
}

static bool given(const struct facts *f, const char *key)
{
	return hutch_policy_get(f->policy, key) != NULL;
}

static int pair(struct facts *f, const char *name, const char *value)
{
	char text[4200];

	snprintf(text, sizeof text, "%s=%s", name, value);
	return line(f, "env", text);
}

/* With ranges the map is the one that the layers were unpacked with; without, the one id there is stands for any. */
static int take_user(struct facts *f)
{
	const char *map = hutch_policy_get(f->policy, "map");
	char ids[32];

	if (f->ranges && line(f, "map", "auto") < 0)
		return -1;
	/* A map that is given says whom the program is, too. */
	if (given(f, "user") || (map && strcmp(map, "auto")))
		return 0;
	if (!f->uid) {
		error_set(f->error, ERR_IMAGE_USER, 0, NULL, f->user_unknown ? f->user_unknown : "?", f->origin);
		return error_detail(f->error, "%s", f->user_why ? f->user_why : "it isn't said");
	}
	snprintf(ids, sizeof ids, "%s:%s", f->uid, f->gid ? f->gid : "0");
	if (line(f, "user", ids) < 0 || (f->ranges && f->groups[0] && line(f, "groups", f->groups) < 0))
		return -1;
	return f->name && (pair(f, "USER", f->name) < 0 || pair(f, "LOGNAME", f->name) < 0) ? -1 : 0;
}

static int take_records(struct facts *f, const struct text *out)
{
	const char *key, *value;
	size_t len;

	/* The home first, so that the image's own HOME, if it has one, replaces it. */
	struct records r = { out->s, out->s + out->len };
	while (next_record(&r, &key, &len, &value)) {
		if (is(key, len, "home"))
			f->home = value;
	}
	if (pair(f, "HOME", f->home ? f->home : "/") < 0)
		return -1;
	r = (struct records){ out->s, out->s + out->len };
	while (next_record(&r, &key, &len, &value)) {
		if (take_record(f, key, len, value) < 0)
			return -1;
	}
	if (take_user(f) < 0)
		return -1;
	if (f->argc)
		return hutch_policy_default_command(f->policy, f->argv, f->error);
	return 0;
}

/* ---- together ---- */
/* Where layers can be written over, they are: the changes end with the run. */
static int take_access(struct facts *f)
{
	struct hutch_key key;
	const char *access = hutch_policy_get(f->policy, "rootfs-access");

	if (access && !strcmp(access, "rw"))
		return error_set(f->error, ERR_IMAGE_WRITABLE, 0, NULL, "rootfs-access = rw", "rootfs-access");
	if (given(f, "rootfs") || (given(f, "host-root") && strcmp(hutch_policy_get(f->policy, "host-root"), "no"))) {
		error_set(f->error, ERR_IMAGE_OPTION, 0, NULL, given(f, "rootfs") ? "--image and rootfs" : "--image and host-root", "--image");
		return error_detail(f->error, "there is one root");
	}
	if (cli_find_key("rootfs-access", &key) && strstr(key.range, "cow"))
		return line(f, "rootfs-access", "cow");
	return 0;
}

/* Files get the owners that the map of the run will show. */
static const char *wanted_owners(struct facts *f)
{
	const char *map = hutch_policy_get(f->policy, "map");

	if (map)
		return strcmp(map, "auto") ? "own" : "ranges";
	return given(f, "uid-map") ? "own" : NULL;
}

static int make_words(const struct image_options *o, struct facts *f, struct arena *a, char *argv[])
{
	const char *owners = wanted_owners(f);
	struct hutch_key key;
	size_t n = 0;

	argv[n++] = arena_strdup(a, "hutch-image");
	argv[n++] = arena_strdup(a, "--records");
	if (o->flatten || !cli_find_key("layer", &key))
		argv[n++] = arena_strdup(a, "--flatten");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *value = o->value[i] ? o->value[i] : !strcmp(rows[i].name, "owners") ? owners : NULL;
		if (value)
			argv[n++] = arena_printf(a, "--%s=%s", rows[i].name, value);
	}
	argv[n++] = o->where[0] == '-' ? arena_printf(a, "./%s", o->where) : arena_strdup(a, o->where);
	argv[n] = NULL;
	for (size_t i = 0; i < n; i++) {
		if (!argv[i])
			return error_nomem(f->error);
	}
	return 0;
}

static int unpack(const struct image_options *o, struct facts *f, struct arena *a, struct text *out)
{
	char *argv[COUNT_OF(rows) + 8];
	int fd;

	if (make_words(o, f, a, argv) < 0 || (fd = open_helper(f->error)) < 0)
		return -1;
	int r = run_helper(fd, argv, out, f->error);
	close(fd);
	if (r < 0 || is_whole(out))
		return r;
	if (out->len && told_error(out, f->error))
		return -1;
	helper_error(f->error, 0, NULL, "hutch-image");
	return error_detail(f->error, "it didn't start, or what it said is cut short");
}

int image_apply(const struct image_options *o, hutch_policy *policy, struct hutch_error *e)
{
	struct facts f = { .policy = policy, .error = e };
	struct arena a;
	struct text out;
	int r;

	if (!o->where) {
		for (size_t i = 0; i < COUNT_OF(rows); i++) {
			if (o->value[i])
				return error_set(e, ERR_IMAGE_OPTION, 0, NULL, rows[i].name, "--image"), error_detail(e, "without --image it means nothing");
		}
		return 0;
	}
	snprintf(f.origin, sizeof f.origin, "image %.100s", o->where);
	arena_init(&a);
	text_init(&out);
	r = take_access(&f);
	if (r == 0)
		r = unpack(o, &f, &a, &out);
	if (r == 0)
		r = take_records(&f, &out);
	free(f.argv);
	text_done(&out);
	arena_done(&a);
	return r;
}
