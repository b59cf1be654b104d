/* The record of a run: where it goes, and what it says of a run that never started.
 * Runs in: parent. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define OPTION_VALUE 131 /* hutch-errors(7) */

static int bad_option(struct hutch_error *e, const char *word, int at, const char *detail)
{
	hutch_error_clear(e);
	e->id = OPTION_VALUE;
	snprintf(e->layer, sizeof e->layer, "options");
	snprintf(e->step, sizeof e->step, "reading the option");
	snprintf(e->subject, sizeof e->subject, "%s", word);
	snprintf(e->origin, sizeof e->origin, "argv[%d]", at);
	snprintf(e->detail, sizeof e->detail, "%s", detail);
	snprintf(e->remedy, sizeof e->remedy, "--report takes a file name or -, --report-fd the number of an open descriptor");
	return -1;
}

/* --NAME VALUE or --NAME=VALUE. Words taken; 0 = another option; *value NULL = it is missing. */
static int take(int argc, char *const argv[], int at, const char *name, const char **value)
{
	size_t n = strlen(name);

	*value = NULL;
	if (!strncmp(argv[at], name, n) && argv[at][n] == '=') {
		*value = argv[at] + n + 1;
		return 1;
	}
	if (strcmp(argv[at], name))
		return 0;
	if (at + 1 >= argc)
		return 1;
	*value = argv[at + 1];
	return 2;
}

int report_option(struct report_to *r, int argc, char *const argv[], int at, struct hutch_error *e)
{
	const char *value;
	char *end;
	long fd;
	int n;

	if ((n = take(argc, argv, at, "--report", &value))) {
		if (!value || !*value)
			return bad_option(e, argv[at], at, "its value is missing");
	} else if ((n = take(argc, argv, at, "--report-fd", &value))) {
		if (!value)
			return bad_option(e, argv[at], at, "its value is missing");
	} else {
		return 0;
	}
	if (r->path || r->fd >= 0)
		return bad_option(e, argv[at], at, "there can be only one report");
	if (!strncmp(argv[at], "--report-fd", 11)) {
		fd = *value >= '0' && *value <= '9' ? strtol(value, &end, 10) : -1;
		if (fd < 0 || *end || fd > 1 << 20)
			return bad_option(e, argv[at], at, "its value is no number of a descriptor");
		r->fd = (int)fd;
	} else {
		r->path = value;
	}
	return n;
}

/* A link may have been put there by an earlier run, to have us empty another file; those of /dev and /proc are the
 * system's (/dev/stdout). Nor does a pipe without a reader hold us up. */
static int open_file(const char *path)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	bool systems = !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/dev/std", 8) || !strncmp(path, "/proc/", 6);
	int fd = open(path, flags | (systems ? 0 : O_NOFOLLOW), 0600);

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);
	return fd;
}

int report_open(struct report_to *r)
{
	int flags;

	if (r->path && !strcmp(r->path, "-")) {
		r->fd = 2;
		r->text = true;
	} else if (r->path) {
		r->fd = open_file(r->path);
		if (r->fd < 0) {
			fprintf(stderr, "hutch: report: opening %s: %s\n", r->path,
				errno == ELOOP ? "it is a symbolic link, which an earlier run may have put there: name its target" : strerror(errno));
			return -1;
		}
		r->own = true;
	}
	if (r->fd < 0)
		return 0;
	flags = fcntl(r->fd, F_GETFL);
	if (flags >= 0 && !cli_was_closed(r->fd) && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY)
		return 0;
	fprintf(stderr, "hutch: report: descriptor %d isn't open for writing\n", r->fd);
	r->fd = -1;
	return -1;
}

/* The program may have been shown the file: whatever it wrote there goes, and a file that it put in the place of
 * ours must not be taken for the record. Nothing of it runs any more. */
static int take_back(const struct report_to *r)
{
	struct stat have, named;

	if (!r->own)
		return 0;
	if (fstat(r->fd, &have) < 0)
		return errno;
	if (!S_ISREG(have.st_mode))
		return 0;
	if (stat(r->path, &named) < 0 || named.st_dev != have.st_dev || named.st_ino != have.st_ino) {
		fprintf(stderr, "hutch: report: %s isn't the file any more that was opened before the run: what stands there is not the record\n", r->path);
		return ESTALE;
	}
	return ftruncate(r->fd, 0) < 0 || lseek(r->fd, 0, SEEK_SET) < 0 ? errno : 0;
}

int report_write(struct report_to *r, char *json)
{
	size_t len = json ? strlen(json) : 0, done = 0;
	int error = json ? take_back(r) : ENOMEM;

	/* A reader that went away is an error to report, not our end. Nothing of the sandbox is left by now. */
	signal(SIGPIPE, SIG_IGN);
	while (!error && done < len) {
		ssize_t n = write(r->fd, json + done, len - done);
		if (n < 0 && errno != EINTR)
			error = errno;
		done += n > 0 ? (size_t)n : 0;
	}
	free(json);
	/* A full disk may show only here. */
	if (r->own && close(r->fd) < 0 && !error && errno != EINTR)
		error = errno;
	r->fd = -1;
	if (error)
		fprintf(stderr, "hutch: report: writing: %s\n", strerror(error));
	return error ? -1 : 0;
}

/* Bytes of the UTF-8 character at s; 0 = it isn't one. */
static size_t utf8(const unsigned char *s)
{
	size_t n = *s >= 0xf0 && *s < 0xf5 ? 4 : *s >= 0xe0 ? 3 : 2;

	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* too long a form, surrogates, beyond the end of Unicode */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void json_member(FILE *f, const char *name, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;

	fprintf(f, ",\"%s\":\"", name);
	while (*s) {
		size_t n = *s < 0x80 ? 1 : utf8(s);
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if (!n || *s < 0x20 || *s == 0x7f)
			fprintf(f, "\\u%04x", *s);
		else
			fwrite(s, 1, n, f);
		s += n ? n : 1;
	}
	fputc('"', f);
}

char *report_failure(const struct hutch_error *e, bool in_text)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	if (in_text) {
		fprintf(f, "hutch: ended: setup-failed, at: %s: %s\n", e->layer, e->step);
		return fclose(f) == 0 ? text : NULL;
	}
	fprintf(f, "{\"version\":1,\"end\":\"setup-failed\",\"id\":%u,\"errno\":%d", e->id, e->errnum);
	json_member(f, "layer", e->layer);
	json_member(f, "step", e->step);
	json_member(f, "call", e->call);
	json_member(f, "subject", e->subject);
	json_member(f, "origin", e->origin);
	json_member(f, "detail", e->detail);
	json_member(f, "remedy", e->remedy);
	fputs("}\n", f);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
