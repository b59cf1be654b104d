/* The run's entry in the list that hutch ps and its like read: one small file for each run of this user.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "run/run.h"
#include "sys/sys.h"

/* Root takes a directory of the environment only where it is root's: after su it is still the user's. */
static void runtime_path(char path[4096], uid_t uid)
{
	const char *env = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (env && env[0] == '/' && strlen(env) < 4000 && (uid || (stat(env, &st) == 0 && st.st_uid == 0)))
		snprintf(path, 4096, "%s/hutch", env);
	else if (uid)
		snprintf(path, 4096, "/run/user/%u/hutch", (unsigned)uid);
	else
		snprintf(path, 4096, "/run/hutch");
}

static int open_directory(const char *path)
{
	return sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

int entry_directory(bool make, char path[4096], struct hutch_error *e)
{
	char own[4096];
	struct stat st;
	uid_t uid = geteuid();
	int fd;

	if (!path)
		path = own;
	runtime_path(path, uid);
	fd = open_directory(path);
	if (fd == -ENOENT && make && (mkdir(path, 0700) == 0 || errno == EEXIST))
		fd = open_directory(path);
	if (fd < 0)
		return error_set(e, fd == -ENOENT ? ERR_ENTRY_DIRECTORY : ERR_ENTRY_FOREIGN, -fd, "open", path, NULL);
	if (fstat(fd, &st) == 0 && st.st_uid == uid && !(st.st_mode & 077))
		return fd;
	close(fd);
	return error_set(e, ERR_ENTRY_FOREIGN, EPERM, "fstat", path, NULL);
}

/* Left by a launcher that was killed: the lock is free. Removed under the lock, so that two who see it so don't take
 * away what a third has put there meanwhile. */
static bool remove_stale(int dir, const char *name)
{
	struct stat st;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool stale = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (stale && fstat(fd, &st) == 0 && st.st_nlink > 0)
		unlinkat(dir, name, 0);
	if (fd >= 0)
		close(fd);
	return stale;
}

/* Short, of this run alone as far as one process can tell; the file system says whether another has it. */
static void make_id(const struct hutch_run *r, unsigned attempt, char id[9])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* none that looks like another */
	uint64_t h = 1469598103934665603ull ^ (uint64_t)(uintptr_t)r; /* the kernel puts the heap anywhere */

	h = (h * 1099511628211ull) ^ (uint64_t)r->started_us;
	h = ((h * 1099511628211ull) ^ attempt) * 1099511628211ull;
	h ^= h >> 29;
	for (int i = 0; i < 7; i++, h >>= 5)
		id[i] = letters[h & 31];
	id[7] = '\0';
}

/* 0, -EEXIST = taken, -errno. A reader may look between the making and the lock, and take the file for a stale one:
 * then it is made again. */
static int make_file(struct entry *n)
{
	for (int attempt = 0; attempt < 20; attempt++) {
		struct stat st;
		n->fd = sys_openat(n->dir, n->name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (n->fd == -EEXIST && remove_stale(n->dir, n->name))
			continue;
		if (n->fd < 0)
			return n->fd;
		bool locked = flock(n->fd, LOCK_EX | LOCK_NB) == 0 && fstat(n->fd, &st) == 0;
		int r = locked ? 0 : -errno;
		if (locked && st.st_nlink > 0)
			return 0;
		unlinkat(n->dir, n->name, 0);
		close(n->fd);
		if (r < 0 && r != -EWOULDBLOCK)
			return r;
	}
	return -EAGAIN;
}

static int reserve(struct hutch_run *r, struct hutch_error *e)
{
	const char *name = r->plan->policy->name, *origin = r->plan->policy->origin[KEY_NAME];
	int n = -EEXIST;

	r->entry.dir = entry_directory(true, NULL, e);
	if (r->entry.dir < 0)
		return -1;
	for (unsigned attempt = 0; n == -EEXIST && attempt < (name ? 1 : 20); attempt++) {
		if (name)
			copy_bounded(r->entry.name, sizeof r->entry.name, name);
		else
			make_id(r, attempt, r->entry.name);
		n = make_file(&r->entry);
	}
	if (n < 0)
		r->entry.fd = -1;
	return n < 0 ? error_set(e, n == -EEXIST ? ERR_ENTRY_NAME : ERR_ENTRY_WRITE, n == -EEXIST ? 0 : -n, n == -EEXIST ? NULL : "open", r->entry.name, origin) : 0;
}

/* Nobody asked for it by name: the run goes on, and isn't in the list. */
static int or_unlisted(struct hutch_run *r, int result, struct hutch_error *e)
{
	if (result == 0 || r->plan->policy->name)
		return result;
	entry_remove(r);
	hutch_error_clear(e);
	return 0;
}

int entry_reserve(struct hutch_run *r, struct hutch_error *e)
{
	if (!r->plan->listed && !r->plan->policy->name)
		return 0;
	return or_unlisted(r, reserve(r, e), e);
}

/* Blanks, control bytes and the escape itself as %XX: a word stays one word of one line. */
void entry_escape(struct text *t, const char *s, size_t most)
{
	for (size_t start = t->len; *s && t->len - start < most; s++) {
		if ((unsigned char)*s <= ' ' || *s == '%' || *s == 0x7f)
			text_printf(t, "%%%02x", (unsigned char)*s);
		else
			text_add(t, s, 1);
	}
}

static void add_word(struct text *t, const char *key, const char *s, size_t most)
{
	text_printf(t, "%s ", key);
	entry_escape(t, s, most);
	text_add(t, "\n", 1);
}

static void add_words(struct text *t, const struct plan *p)
{
	size_t start = t->len;

	for (size_t i = 0; i < p->policy->argc && t->len - start < ENTRY_WORDS_MOST; i++)
		add_word(t, "word", p->policy->argv[i], ENTRY_WORDS_MOST - (t->len - start));
}

/* Field 22 of its stat: together with the number it names one process for as long as the machine is up. */
static int start_of(pid_t pid, uint64_t *start)
{
	char path[64], text[1024], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	*start = at ? strtoull(at, NULL, 10) : 0;
	return *start ? 0 : -1;
}

static int fill(struct hutch_run *r, struct hutch_error *e)
{
	struct text t;
	uint64_t start = 0;
	ssize_t n = -1;
	char id[9];

	make_id(r, 0, id);
	if (!r->launcher_start || start_of(r->pid, &start) < 0)
		return error_set(e, ERR_ENTRY_WRITE, errno, "read", "the start of the run in /proc", r->plan->policy->origin[KEY_NAME]);
	text_init(&t);
	text_printf(&t, "hutch 1\nid %s\nlauncher %d %llu\nfirst %d %llu\ninit %d\nstarted %lld\n", r->plan->policy->name ? id : r->entry.name, (int)r->launcher,
		    (unsigned long long)r->launcher_start, (int)r->pid, (unsigned long long)start, r->plan->need_init, (long long)time(NULL));
	for (size_t i = 0; i < r->plan->cgroup_count; i++) {
		if (r->cgroups[i].path)
			add_word(&t, r->plan->cgroups[i].version == 2 ? "cgroup2" : "cgroup1", r->cgroups[i].path, 4096);
	}
	add_words(&t, r->plan);
	if (!t.failed)
		n = write(r->entry.fd, t.s, t.len);
	bool whole = !t.failed && n == (ssize_t)t.len;
	text_done(&t);
	return whole ? 0 : error_set(e, ERR_ENTRY_WRITE, n < 0 ? errno : ENOSPC, "write", r->entry.name, r->plan->policy->origin[KEY_NAME]);
}

int entry_fill(struct hutch_run *r, struct hutch_error *e)
{
	return r->entry.fd < 0 ? 0 : or_unlisted(r, fill(r, e), e);
}

int entry_running(struct hutch_run *r, struct hutch_error *e)
{
	int n = r->entry.fd < 0 || write(r->entry.fd, "end\n", 4) == 4 ? 0 : -1;

	if (n < 0)
		error_set(e, ERR_ENTRY_WRITE, errno, "write", r->entry.name, r->plan->policy->origin[KEY_NAME]);
	return or_unlisted(r, n, e);
}

void entry_remove(struct hutch_run *r)
{
	if (r->entry.fd >= 0) {
		unlinkat(r->entry.dir, r->entry.name, 0);
		close(r->entry.fd);
	}
	if (r->entry.dir >= 0)
		close(r->entry.dir);
	r->entry.fd = r->entry.dir = -1;
}
