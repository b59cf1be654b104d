/* What the unpacker says: records "KEY VALUE", each ended by a NUL for the command, or lines for people.
 * Runs in: parent. */
#include "image/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void put_record(struct job *job, const char *key, const char *value)
{
	text_add(&job->out, key, strlen(key));
	text_add(&job->out, " ", 1);
	if (job->records)
		text_add(&job->out, value, strlen(value) + 1);
	else
		text_quoted(&job->out, value);
	if (!job->records)
		text_add(&job->out, "\n", 1);
}

static int write_all(int fd, const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(fd, s, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s += n;
		len -= (size_t)n;
	}
	return 0;
}

int put_flush(struct job *job)
{
	put_record(job, "end", "");
	if (job->out.failed)
		return error_nomem(job->error);
	if (write_all(1, job->out.s, job->out.len) == 0)
		return 0;
	return error_set(job->error, ERR_IMAGE_STORE, errno, "write", "standard output", NULL);
}

/* An error travels as the fields that the command can't know itself. */
int put_error(const struct job *job)
{
	const struct hutch_error *e = job->error;
	char text[4096];
	struct text t;

	if (!job->records) {
		size_t n = hutch_error_text(e, text, sizeof text);
		return write_all(2, text, n < sizeof text ? n : sizeof text - 1);
	}
	text_init(&t);
	text_printf(&t, "error-id %u%cerror-errno %d%cerror-call %s%cerror-subject %s%cerror-origin %s%cerror-detail %s%cerror-remedy %s%c",
		    e->id, 0, e->errnum, 0, e->call, 0, e->subject, 0, e->origin, 0, e->detail, 0, e->remedy, 0);
	int r = t.failed ? -1 : write_all(1, t.s, t.len);
	text_done(&t);
	return r;
}
