/* Blobs: read once, hashed while they pass, uncompressed by libarchive's filters.
 * Runs in: parent (confined). */
#include "image/image.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <nettle/version.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_DOCUMENT (4u << 20)  /* what registries take at most */
#define CHUNK (128u << 10)
#define RATIO_FROM (64u << 20)    /* small layers may be zeros for the most part */

struct stream {
	struct job *job;
	const struct image_layer *layer;
	int fd;
	struct sha256_ctx packed, unpacked;
	uint64_t in, out, bytes_before;
	struct archive *filter;   /* NULL: not compressed */
	unsigned char from_file[CHUNK], from_filter[CHUNK];
};

static void finish_hex(struct sha256_ctx *c, char hex[DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[SHA256_DIGEST_SIZE];

#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(c, raw);
#else
	sha256_digest(c, sizeof raw, raw);
#endif
	for (size_t i = 0; i < sizeof raw; i++) {
		hex[2 * i] = digits[raw[i] >> 4];
		hex[2 * i + 1] = digits[raw[i] & 15];
	}
	hex[DIGEST_HEX] = 0;
}

void digest_text(const void *data, size_t len, char hex[DIGEST_HEX + 1])
{
	struct sha256_ctx c;

	sha256_init(&c);
	sha256_update(&c, len, data);
	finish_hex(&c, hex);
}

/* ---- files of the layout ---- */
static int layout_error(struct job *job, int errnum, const char *call, const char *name)
{
	error_set(job->error, ERR_IMAGE_LAYOUT, errnum, call, name, job->layout_path);
	return errnum == ELOOP ? error_detail(job->error, "a symbolic link isn't followed here") : -1;
}

/* Not blocking: a fifo in its place must not stop us. */
static int open_file(struct job *job, const char *name, uint64_t *size)
{
	struct stat st;
	int fd = open_beneath(job->layout, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0)
		return layout_error(job, -fd, "openat2", name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*size = (uint64_t)st.st_size;
		return fd;
	}
	close(fd);
	layout_error(job, 0, NULL, name);
	return error_detail(job->error, "it isn't a regular file");
}

static int digest_error(struct job *job, const char *digest, const char *what, const char *got)
{
	error_set(job->error, ERR_IMAGE_DIGEST, 0, NULL, arena_printf(&job->arena, "blobs/sha256/%s", digest), job->layout_path);
	return error_detail(job->error, "its %s differs: it is %s", what, got);
}

static int size_error(struct job *job, const struct descriptor *d, uint64_t size)
{
	return digest_error(job, d->digest, "size", arena_printf(&job->arena, "%llu, not %llu", (unsigned long long)size, (unsigned long long)d->size));
}

static int open_blob(struct job *job, const struct descriptor *d)
{
	const char *name = arena_printf(&job->arena, "blobs/sha256/%s", d->digest);
	uint64_t size;
	int fd = name ? open_file(job, name, &size) : error_nomem(job->error);

	if (fd < 0 || size == d->size)
		return fd;
	close(fd);
	return size_error(job, d, size);
}

/* Exactly size bytes, and no more to come. */
static int read_all(struct job *job, int fd, size_t size, const char *name, const char **text)
{
	char *buffer = arena_alloc(&job->arena, size + 2);
	size_t got = 0;
	ssize_t n = 1;

	if (!buffer)
		return error_nomem(job->error);
	while (got <= size && (n = read(fd, buffer + got, size + 1 - got)) > 0)
		got += (size_t)n;
	if (n < 0)
		return layout_error(job, errno, "read", name);
	if (got != size) {
		layout_error(job, 0, NULL, name);
		return error_detail(job->error, "it changed while it was read");
	}
	buffer[size] = 0;
	*text = buffer;
	return 0;
}

static int document_size(struct job *job, uint64_t size, const char *name)
{
	if (size <= MOST_DOCUMENT)
		return 0;
	error_set(job->error, ERR_IMAGE_LIMIT, 0, NULL, name, job->layout_path);
	error_detail(job->error, "a document of %llu bytes; at most %u are read", (unsigned long long)size, MOST_DOCUMENT);
	return error_remedy(job->error, "no real image has such a document");
}

int layout_read(struct job *job, const char *name, const char **text, size_t *len)
{
	uint64_t size = 0;
	int fd = open_file(job, name, &size), r;

	if (fd < 0)
		return -1;
	r = document_size(job, size, name);
	if (r == 0)
		r = read_all(job, fd, (size_t)size, name, text);
	*len = (size_t)size;
	close(fd);
	return r;
}

int blob_read(struct job *job, const struct descriptor *d, const char **text, size_t *len)
{
	char hex[DIGEST_HEX + 1];
	int fd, r;

	if (document_size(job, d->size, d->digest) < 0 || (fd = open_blob(job, d)) < 0)
		return -1;
	r = read_all(job, fd, (size_t)d->size, d->digest, text);
	close(fd);
	if (r < 0)
		return -1;
	digest_text(*text, (size_t)d->size, hex);
	if (strcmp(hex, d->digest))
		return digest_error(job, d->digest, "digest", hex);
	*len = (size_t)d->size;
	return 0;
}

/* ---- layers ---- */
static ssize_t pull_file(struct stream *s)
{
	ssize_t n = read(s->fd, s->from_file, sizeof s->from_file);

	if (n < 0)
		return layout_error(s->job, errno, "read", s->layer->blob.digest);
	s->in += (uint64_t)n;
	if (s->in > s->layer->blob.size)
		return size_error(s->job, &s->layer->blob, s->in);
	sha256_update(&s->packed, (size_t)n, s->from_file);
	return n;
}

static la_ssize_t filter_read(struct archive *a, void *data, const void **buffer)
{
	struct stream *s = data;
	ssize_t n = pull_file(s);

	if (n < 0)
		archive_set_error(a, EIO, "reading the blob");
	*buffer = s->from_file;
	return n < 0 ? ARCHIVE_FATAL : n;
}

static int filter_error(struct stream *s)
{
	if (s->job->error->id)
		return -1;
	error_set(s->job->error, ERR_IMAGE_DIGEST, 0, NULL, s->layer->blob.digest, s->job->layout_path);
	return error_detail(s->job->error, "it can't be uncompressed: %.150s", archive_error_string(s->filter) ? archive_error_string(s->filter) : "?");
}

static int open_filter(struct stream *s)
{
	struct archive_entry *entry;
	int code = s->layer->packed == PACKED_GZIP ? ARCHIVE_FILTER_GZIP : ARCHIVE_FILTER_ZSTD;

	if (!(s->filter = archive_read_new()))
		return error_nomem(s->job->error);
	/* This filter alone, and never one that starts a program. */
	if ((code == ARCHIVE_FILTER_GZIP ? archive_read_support_filter_gzip(s->filter) : archive_read_support_filter_zstd(s->filter)) != ARCHIVE_OK ||
	    archive_read_support_format_raw(s->filter) != ARCHIVE_OK)
		return filter_error(s);
	if (archive_read_open(s->filter, s, NULL, filter_read, NULL) != ARCHIVE_OK || archive_read_next_header(s->filter, &entry) != ARCHIVE_OK)
		return filter_error(s);
	if (archive_filter_code(s->filter, 0) == code)
		return 0;
	error_set(s->job->error, ERR_IMAGE_DIGEST, 0, NULL, s->layer->blob.digest, s->job->layout_path);
	return error_detail(s->job->error, "it isn't compressed as the manifest says");
}

int stream_open(struct job *job, const struct image_layer *l, struct stream **out)
{
	struct stream *s = calloc(1, sizeof *s);

	*out = s;
	if (!s)
		return error_nomem(job->error);
	s->job = job;
	s->layer = l;
	s->bytes_before = job->bytes;
	sha256_init(&s->packed);
	sha256_init(&s->unpacked);
	s->fd = open_blob(job, &l->blob);
	if (s->fd < 0)
		return -1;
	return l->packed == PACKED_NOT ? 0 : open_filter(s);
}

/* Counted as it comes out: the header's word on sizes is a stranger's. */
static int check_growth(struct stream *s)
{
	const uint64_t *limit = s->job->limit;
	const char *what = NULL;
	uint64_t at = 0;

	if (s->out > RATIO_FROM && s->in && s->out / s->in >= limit[OPT_MAX_RATIO]) {
		what = "--image-max-ratio";
		at = limit[OPT_MAX_RATIO];
	}
	/* Headers and padding take their part: twice the content and a million empty files are no bomb. */
	if (s->out / 2 > limit[OPT_MAX_BYTES] + limit[OPT_MAX_ENTRIES] * 2048) {
		what = "--image-max-bytes";
		at = limit[OPT_MAX_BYTES];
	}
	if (!what)
		return 0;
	error_set(s->job->error, ERR_IMAGE_LIMIT, 0, NULL, s->layer->blob.digest, s->job->layout_path);
	return error_detail(s->job->error, "%llu bytes came out of %llu; %s is %llu", (unsigned long long)s->out, (unsigned long long)s->in, what, (unsigned long long)at);
}

ssize_t stream_pull(struct stream *s, const void **at)
{
	ssize_t n;

	if (!s->filter) {
		n = pull_file(s);
		*at = s->from_file;
	} else {
		n = archive_read_data(s->filter, s->from_filter, sizeof s->from_filter);
		*at = s->from_filter;
		if (n < 0)
			return filter_error(s);
	}
	if (n <= 0)
		return n;
	s->out += (uint64_t)n;
	sha256_update(&s->unpacked, (size_t)n, *at);
	return check_growth(s) < 0 ? -1 : n;
}

int stream_verify(struct stream *s)
{
	char hex[DIGEST_HEX + 1];
	const void *at;
	ssize_t n;

	while ((n = stream_pull(s, &at)) > 0)
		continue;
	/* What follows the compressed data is part of the blob. */
	while (n == 0 && (n = pull_file(s)) > 0)
		n = 0;
	if (n < 0)
		return -1;
	if (s->in != s->layer->blob.size)
		return size_error(s->job, &s->layer->blob, s->in);
	finish_hex(&s->packed, hex);
	if (strcmp(hex, s->layer->blob.digest))
		return digest_error(s->job, s->layer->blob.digest, "digest", hex);
	finish_hex(&s->unpacked, hex);
	if (strcmp(hex, s->layer->diff_id))
		return digest_error(s->job, s->layer->blob.digest, "content (the config's diff_id)", hex);
	return 0;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	archive_read_free(s->filter);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}
