/* Verbs about files: each attempt is harmless when it succeeds (open and close, create and remove).
 * Runs in: the sandbox's payload. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

static void say_path(const char *verb, const char *path, const char *value)
{
	char key[4400];

	snprintf(key, sizeof(key), "%s:%s", verb, path);
	say_text(key, value, strlen(value));
}

static int try_open(const char *verb, int argc, char **argv, int flags)
{
	for (int i = 0; i < argc; i++) {
		int fd = open(argv[i], flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		say_path(verb, argv[i], verdict(fd));
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int verb_read(int argc, char **argv)
{
	return try_open("read", argc, argv, O_RDONLY);
}

static int verb_write(int argc, char **argv)
{
	return try_open("write", argc, argv, O_WRONLY);
}

static int verb_create(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char path[4200];
		int fd;

		snprintf(path, sizeof(path), "%s/.inside-probe", argv[i]);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		say_path("create", argv[i], verdict(fd));
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
	}
	return 0;
}

static int verb_cat(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		static char buffer[65536];
		char key[4400];
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));

		snprintf(key, sizeof(key), "cat:%s", argv[i]);
		if (n < 0)
			say(key, "!%s", error_name(errno));
		else
			say_text(key, buffer, (size_t)n);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int verb_put(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	const char *text = argc > 1 ? argv[1] : "x";

	if (fd >= 0 && write(fd, text, strlen(text)) < 0) {
		say_path("put", argv[0], error_name(errno));
		close(fd);
		return 0;
	}
	say_path("put", argv[0], verdict(fd));
	if (fd >= 0)
		close(fd);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int verb_ls(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		char *names[4096], key[4400];
		size_t count = 0;
		struct dirent *entry;

		snprintf(key, sizeof(key), "ls:%s", argv[i]);
		if (!d) {
			say(key, "!%s", error_name(errno));
			continue;
		}
		while ((entry = readdir(d)) != NULL && count < 4096)
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				names[count++] = strdup(entry->d_name);
		closedir(d);
		qsort(names, count, sizeof(names[0]), compare_names);
		printf("%s=", key);
		for (size_t n = 0; n < count; n++)
			printf("%s%s", n ? "," : "", names[n]);
		printf("\n");
	}
	return 0;
}

static int runs(const char *path)
{
	char *argv[] = { (char *)(uintptr_t)path, NULL }, *none[] = { NULL };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execve(path, argv, none);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Undone at once where it went well. */
static int renames(const char *path)
{
	char other[4300];

	snprintf(other, sizeof(other), "%s.renamed", path);
	return rename(path, other) == 0 && rename(other, path) == 0;
}

static int links(const char *path)
{
	char other[4300];

	snprintf(other, sizeof(other), "%s.linked", path);
	return link(path, other) == 0 && unlink(other) == 0;
}

static int creates(const char *directory)
{
	char path[4300];
	int fd;

	snprintf(path, sizeof(path), "%s/.created", directory);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 && close(fd) == 0 && unlink(path) == 0;
}

static int opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && close(fd) == 0;
}

/* Through a file without a name. */
static int plants_unnamed(const char *path)
{
	char dir[4300], from[64];
	char *slash;
	int fd, r;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	*slash = '\0';
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	r = linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
	close(fd);
	return r == 0 && unlink(path) == 0;
}

/* Takes the directory away and puts another in its place. */
static int replaces_parent(const char *path)
{
	char dir[4300], away[4310];
	int done;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	snprintf(away, sizeof(away), "%s.away", dir);
	if (rename(dir, away) != 0)
		return 0;
	done = mkdir(dir, 0777) == 0 && creates(dir) && rmdir(dir) == 0;
	return rename(away, dir) == 0 && done;
}

/* Exchanges the directory for another that holds the name. */
static int exchanges_parent(const char *path)
{
	char dir[4300], other[4310], name[4400];
	const char *last = strrchr(path, '/');
	int done;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	snprintf(other, sizeof(other), "%s.other", dir);
	snprintf(name, sizeof(name), "%s%s", other, last);
	if (mkdir(other, 0777) != 0)
		return 0;
	done = mkdir(name, 0777) == 0 && syscall(SYS_renameat2, AT_FDCWD, dir, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */) == 0;
	if (done)
		syscall(SYS_renameat2, AT_FDCWD, dir, AT_FDCWD, other, 2);
	rmdir(name);
	rmdir(other);
	return done;
}

/* plant:PATH=letters, by which ways a name that isn't there could be made; undone at once. FROM is a file of ours.
 * c create, d mkdir, s symlink, l link, r rename, u unnamed file and link, a parent taken away, x parent exchanged */
static int verb_plant(int argc, char **argv)
{
	char letters[16], *to = letters;
	const char *path = argv[0], *from = argv[1];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)argc;
	if (fd >= 0 && close(fd) == 0 && unlink(path) == 0)
		*to++ = 'c';
	if (mkdir(path, 0777) == 0 && rmdir(path) == 0)
		*to++ = 'd';
	if (symlink(from, path) == 0 && unlink(path) == 0)
		*to++ = 's';
	if (link(from, path) == 0 && unlink(path) == 0)
		*to++ = 'l';
	if (rename(from, path) == 0 && rename(path, from) == 0)
		*to++ = 'r';
	if (plants_unnamed(path))
		*to++ = 'u';
	if (replaces_parent(path))
		*to++ = 'a';
	if (exchanges_parent(path))
		*to++ = 'x';
	*to = '\0';
	say_path("plant", path, letters);
	return 0;
}

/* rights:PATH=letters: e exists, r read or list, w write, x execute, c create in it, n rename, l link */
static int verb_rights(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct stat st;
		char letters[8], *to = letters;

		if (lstat(argv[i], &st) == 0) {
			int dir = S_ISDIR(st.st_mode);
			*to++ = 'e';
			if (opens(argv[i], dir ? O_RDONLY | O_DIRECTORY : O_RDONLY))
				*to++ = 'r';
			if (!dir && opens(argv[i], O_WRONLY))
				*to++ = 'w';
			if (!dir && runs(argv[i]))
				*to++ = 'x';
			if (dir && creates(argv[i]))
				*to++ = 'c';
			if (renames(argv[i]))
				*to++ = 'n';
			if (!dir && links(argv[i]))
				*to++ = 'l';
		}
		*to = '\0';
		say_path("rights", argv[i], letters);
	}
	return 0;
}

static const char *type_name(mode_t m)
{
	return S_ISDIR(m) ? "dir" : S_ISREG(m) ? "file" : S_ISLNK(m) ? "link" : S_ISCHR(m) ? "char" : S_ISBLK(m) ? "block" :
	       S_ISFIFO(m) ? "fifo" : S_ISSOCK(m) ? "socket" : "?";
}

/* stat:PATH=type|mode|uid|gid|size|major:minor of a device */
static int verb_stat(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char key[4400];
		struct stat s;

		snprintf(key, sizeof(key), "stat:%s", argv[i]);
		if (lstat(argv[i], &s) != 0)
			say(key, "!%s", error_name(errno));
		else
			say(key, "%s|%04o|%u|%u|%lld|%u:%u", type_name(s.st_mode), s.st_mode & 07777, s.st_uid, s.st_gid,
			    S_ISDIR(s.st_mode) ? 0 : (long long)s.st_size, major(s.st_rdev), minor(s.st_rdev));
	}
	return 0;
}

static int verb_link(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char to[4096];
		ssize_t n = readlink(argv[i], to, sizeof(to) - 1);

		if (n >= 0)
			to[n] = 0;
		say_path("link", argv[i], n < 0 ? "!" : to);
	}
	return 0;
}

/* statfs:PATH=total bytes|inodes|ro,nosuid,nodev,noexec */
static int verb_statfs(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char key[4400];
		struct statvfs s;

		snprintf(key, sizeof(key), "statfs:%s", argv[i]);
		if (statvfs(argv[i], &s) != 0) {
			say(key, "!%s", error_name(errno));
			continue;
		}
		say(key, "%llu|%llu|%s%s%s%s", (unsigned long long)s.f_blocks * s.f_frsize, (unsigned long long)s.f_files,
		    s.f_flag & ST_RDONLY ? "ro" : "rw", s.f_flag & ST_NOSUID ? ",nosuid" : "",
		    s.f_flag & ST_NODEV ? ",nodev" : "", s.f_flag & ST_NOEXEC ? ",noexec" : "");
	}
	return 0;
}

/* Writes until it is refused, at most MAX bytes: fill:DIR=bytes|errno */
static int verb_fill(int argc, char **argv)
{
	static char block[65536];
	unsigned long long max = argc > 1 ? strtoull(argv[1], NULL, 0) : 1ull << 30, done = 0;
	char path[4200], key[4400];
	int fd, why = 0;

	snprintf(path, sizeof(path), "%s/.inside-fill", argv[0]);
	snprintf(key, sizeof(key), "fill:%s", argv[0]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		why = errno;
	while (fd >= 0 && done < max) {
		ssize_t n = write(fd, block, sizeof(block));

		if (n <= 0) {
			why = errno;
			break;
		}
		done += (unsigned long long)n;
	}
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	say(key, "%llu|%s", done, why ? error_name(why) : "ok");
	return 0;
}

/* Makes empty files until it is refused, at most MAX: inodes:DIR=count|errno */
static int verb_inodes(int argc, char **argv)
{
	unsigned max = argc > 1 ? (unsigned)atoi(argv[1]) : 100000, done = 0;
	char path[4200], key[4400];
	int why = 0;

	snprintf(key, sizeof(key), "inodes:%s", argv[0]);
	for (; done < max; done++) {
		int fd;

		snprintf(path, sizeof(path), "%s/.inside-%u", argv[0], done);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0) {
			why = errno;
			break;
		}
		close(fd);
	}
	for (unsigned i = 0; i < done; i++) {
		snprintf(path, sizeof(path), "%s/.inside-%u", argv[0], i);
		unlink(path);
	}
	say(key, "%u|%s", done, why ? error_name(why) : "ok");
	return 0;
}

/* Can standard input's file be opened again with the right to write? */
static int verb_stdin(int argc, char **argv)
{
	static const struct { const char *name; int flags; } ways[] = {
		{"read", O_RDONLY}, {"write", O_WRONLY}, {"rdwr", O_RDWR}, {"append", O_WRONLY | O_APPEND},
	};
	char buffer[4096];
	ssize_t n = read(0, buffer, sizeof(buffer));

	(void)argc, (void)argv;
	if (n < 0)
		say("stdin", "!%s", error_name(errno));
	else
		say_text("stdin", buffer, (size_t)n);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char key[32];
		int fd = open("/proc/self/fd/0", ways[i].flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		snprintf(key, sizeof(key), "stdin_%s", ways[i].name);
		say(key, "%s", verdict(fd));
		if (fd >= 0)
			close(fd);
	}
	say("stdin_fchmod", "%s", verdict(fchmod(0, 0600)));
	return 0;
}

/* Can a file there be mapped for execution? (noexec stops that, a missing x bit doesn't) */
static int verb_mapexec(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		void *m = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

		say_path("mapexec", argv[i], m == MAP_FAILED ? error_name(errno) : "ok");
		if (m != MAP_FAILED)
			munmap(m, 4096);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int verb_rename(int argc, char **argv)
{
	(void)argc;
	say_path("rename", argv[0], verdict(rename(argv[0], argv[1])));
	return 0;
}

static int verb_mknod(int argc, char **argv)
{
	int r = mknod(argv[0], S_IFCHR | 0600, makedev(1, 3));

	(void)argc;
	say_path("mknod", argv[0], verdict(r));
	if (r == 0)
		unlink(argv[0]);
	return 0;
}

static int verb_mkdir(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		int r = mkdir(argv[i], 0700);

		say_path("mkdir", argv[i], verdict(r));
		if (r == 0)
			rmdir(argv[i]);
	}
	return 0;
}

const struct verb verbs_files[] = {
	{"read", 1, verb_read, "PATH…: open for reading"},
	{"write", 1, verb_write, "PATH…: open for writing, write nothing"},
	{"create", 1, verb_create, "DIR…: create and remove a file"},
	{"mkdir", 1, verb_mkdir, "PATH…: make and remove a directory"},
	{"cat", 1, verb_cat, "PATH…: the content"},
	{"put", 1, verb_put, "PATH [TEXT]: append"},
	{"ls", 1, verb_ls, "DIR…: names, sorted"},
	{"plant", 2, verb_plant, "PATH FROM: ways by which a name could be made, as letters"},
	{"rights", 1, verb_rights, "PATH…: what may be done with each, as letters"},
	{"stat", 1, verb_stat, "PATH…: type|mode|uid|gid|size|device"},
	{"link", 1, verb_link, "PATH…: text of a symbolic link"},
	{"statfs", 1, verb_statfs, "PATH…: bytes|inodes|flags"},
	{"fill", 1, verb_fill, "DIR [MAX]: write until refused"},
	{"inodes", 1, verb_inodes, "DIR [MAX]: make files until refused"},
	{"stdin", 0, verb_stdin, "content, and can it be reopened"},
	{"mapexec", 1, verb_mapexec, "PATH…: map for execution"},
	{"rename", 2, verb_rename, "FROM TO"},
	{"mknod", 1, verb_mknod, "PATH: a copy of /dev/null"},
	{NULL, 0, NULL, NULL},
};
