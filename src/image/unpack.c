/* One layer's archive to a tree in overlay form: whiteouts are character devices 0:0, opaque directories carry an attribute.
 * Runs in: parent (confined). */
#include "image/image.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct unpack {
	struct job *job;
	struct stream *stream;
	struct archive *archive;
	struct archive_entry *entry;
	struct tree tree;
	struct counts *counts;
	const char *path;              /* of the entry, as the archive has it */
	struct entry_name name;
};

static int bad_entry(struct unpack *u, const char *why)
{
	error_set(u->job->error, ERR_IMAGE_ENTRY, 0, NULL, u->path ? u->path : "(no name)", u->job->layout_path);
	return error_detail(u->job->error, "%s", why);
}

static int write_error(struct unpack *u, const char *call)
{
	return error_set(u->job->error, ERR_IMAGE_STORE, errno, call, u->path, u->job->store_path);
}

static int over(struct unpack *u, enum option_id limit, const char *option)
{
	error_set(u->job->error, ERR_IMAGE_LIMIT, 0, NULL, u->path, u->job->layout_path);
	return error_detail(u->job->error, "%s is %llu", option, (unsigned long long)u->job->limit[limit]);
}

/* ---- the archive ---- */
static la_ssize_t pull(struct archive *a, void *data, const void **buffer)
{
	struct unpack *u = data;
	ssize_t n = stream_pull(u->stream, buffer);

	if (n < 0)
		archive_set_error(a, EIO, "reading the layer");
	return n < 0 ? ARCHIVE_FATAL : n;
}

static int archive_failed(struct unpack *u)
{
	if (u->job->error->id)
		return -1;
	error_set(u->job->error, ERR_IMAGE_ENTRY, 0, NULL, u->path ? u->path : "(start)", u->job->layout_path);
	return error_detail(u->job->error, "the archive is damaged: %.150s", archive_error_string(u->archive) ? archive_error_string(u->archive) : "?");
}

static int open_archive(struct unpack *u)
{
	if (!(u->archive = archive_read_new()))
		return error_nomem(u->job->error);
	if (archive_read_support_format_tar(u->archive) != ARCHIVE_OK || archive_read_open(u->archive, u, NULL, pull, NULL) != ARCHIVE_OK)
		return archive_failed(u);
	return 0;
}

/* ---- one entry ---- */
static void wanted_ids(struct unpack *u, uint32_t *uid, uint32_t *gid)
{
	la_int64_t user = archive_entry_uid(u->entry), group = archive_entry_gid(u->entry);

	/* What is no id at all is out of every range. */
	*uid = user < 0 || user >= UINT32_MAX ? UINT32_MAX : (uint32_t)user;
	*gid = group < 0 || group >= UINT32_MAX ? UINT32_MAX : (uint32_t)group;
}

static struct timespec wanted_time(struct unpack *u)
{
	long ns = archive_entry_mtime_nsec(u->entry);

	if (!archive_entry_mtime_is_set(u->entry))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	return (struct timespec){ .tv_sec = archive_entry_mtime(u->entry), .tv_nsec = ns < 0 || ns > 999999999 ? 0 : ns };
}

static int write_blocks(struct unpack *u, int fd, la_int64_t size)
{
	const void *block;
	la_int64_t at;
	size_t len;
	int r;

	while ((r = archive_read_data_block(u->archive, &block, &len, &at)) == ARCHIVE_OK) {
		if (at < 0 || at > size || (la_int64_t)len > size - at)
			return bad_entry(u, "more content than it says");
		while (len) {
			ssize_t n = pwrite(fd, block, len, at);
			if (n <= 0)
				return write_error(u, "pwrite");
			block = (const char *)block + n;
			len -= (size_t)n;
			at += n;
		}
	}
	if (r != ARCHIVE_EOF)
		return archive_failed(u);
	/* Holes at the end. */
	return ftruncate(fd, size) == 0 ? 0 : write_error(u, "ftruncate");
}

/* Times and mode while we own it; then its owner. */
static int finish_file(struct unpack *u, int fd)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, wanted_time(u) };
	uint32_t uid, gid;

	wanted_ids(u, &uid, &gid);
	if (futimens(fd, times) < 0)
		return write_error(u, "utimensat");
	/* No setuid or setgid file comes to lie on the host; inside they would mean nothing (nosuid). */
	if (archive_entry_perm(u->entry) & (S_ISUID | S_ISGID))
		u->counts->setid++;
	if (fchmod(fd, archive_entry_perm(u->entry) & 0777) < 0)
		return write_error(u, "fchmod");
	return owners_apply(u->job, fd, uid, gid, u->path);
}

static int charge(struct unpack *u, la_int64_t size)
{
	uint64_t most = u->job->limit[OPT_MAX_BYTES];

	if (size < 0)
		return bad_entry(u, "a size below nothing");
	if ((uint64_t)size > most || u->job->bytes > most - (uint64_t)size)
		return over(u, OPT_MAX_BYTES, "--image-max-bytes");
	u->job->bytes += (uint64_t)size;
	return 0;
}

static int make_file(struct unpack *u, int dir)
{
	la_int64_t size = archive_entry_size(u->entry);
	int fd, r;

	if (charge(u, size) < 0 || tree_remove(&u->tree, dir, u->name.name) < 0)
		return -1;
	fd = open_beneath(dir, u->name.name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		errno = -fd;
		return write_error(u, "openat2");
	}
	r = write_blocks(u, fd, size);
	if (r == 0)
		r = finish_file(u, fd);
	close(fd);
	u->counts->files++;
	return r;
}

static int note_directory(struct unpack *u, const char *path)
{
	/* What a directory hands on to new files (setgid) and who may delete (sticky) stays. */
	struct directory d = { .path = arena_strdup(&u->job->arena, path), .mode = archive_entry_perm(u->entry) & 03777, .mtime = wanted_time(u) };

	wanted_ids(u, &d.uid, &d.gid);
	u->counts->directories++;
	return d.path ? tree_note_directory(&u->tree, &d) : error_nomem(u->job->error);
}

static int make_directory(struct unpack *u, int dir)
{
	const char *path = u->name.parent[0] ? arena_printf(&u->job->arena, "%s/%s", u->name.parent, u->name.name) : u->name.name;
	struct stat st;
	bool there = tree_stat(dir, u->name.name, &st);

	if (!path)
		return error_nomem(u->job->error);
	if (!there || !S_ISDIR(st.st_mode)) {
		bool hidden = there && tree_is_whiteout(&st);
		if (tree_remove(&u->tree, dir, u->name.name) < 0)
			return -1;
		if (mkdirat(dir, u->name.name, 0700) < 0)
			return write_error(u, "mkdirat");
		if (hidden) {
			int fd = open_beneath(dir, u->name.name, O_RDONLY | O_DIRECTORY, 0);
			int r = fd < 0 ? (errno = -fd, write_error(u, "openat2")) : tree_set_opaque(&u->tree, fd, path);
			if (fd >= 0)
				close(fd);
			if (r < 0)
				return -1;
		}
	}
	return note_directory(u, path);
}

static int make_symlink(struct unpack *u, int dir)
{
	const char *text = archive_entry_symlink(u->entry);

	if (!text || !*text || strlen(text) >= 4096)
		return bad_entry(u, "a symbolic link without a text, or with too long a one");
	/* Where it leads is no matter here: nothing on this side ever follows it. */
	if (tree_remove(&u->tree, dir, u->name.name) < 0)
		return -1;
	if (symlinkat(text, dir, u->name.name) < 0)
		return write_error(u, "symlinkat");
	u->counts->links++;
	return 0;
}

static int make_link(struct unpack *u, const char *target)
{
	struct path_limits limits = { u->job->limit[OPT_MAX_PATH], u->job->limit[OPT_MAX_DEPTH] };
	struct entry_name to;
	const char *why;
	struct stat st;
	int from, dir;

	if (entry_name_parse(&u->job->arena, target, &limits, &to, &why) < 0 || to.kind != NAME_PLAIN) {
		error_set(u->job->error, ERR_IMAGE_ENTRY, 0, NULL, u->path, u->job->layout_path);
		return error_detail(u->job->error, "a hard link to %.100s", target);
	}
	from = tree_directory(&u->tree, to.parent, false);
	if (from == -1)
		return -1;
	/* The tree keeps one directory open: this one must outlive the next. */
	from = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (from < 0 || !tree_stat(from, to.name, &st) || !(S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))) {
		if (from >= 0)
			close(from);
		return bad_entry(u, "a hard link to what isn't an earlier file of this layer");
	}
	dir = tree_directory(&u->tree, u->name.parent, true);
	struct stat own;
	bool same = dir >= 0 && tree_stat(dir, u->name.name, &own) && own.st_ino == st.st_ino && own.st_dev == st.st_dev;
	int r = dir < 0 || (!same && tree_remove(&u->tree, dir, u->name.name) < 0) ? -1 : 0;
	if (r == 0 && !same && linkat(from, to.name, dir, u->name.name, 0) < 0)
		r = write_error(u, "linkat");
	close(from);
	u->counts->links++;
	return r;
}

/* Devices are made by hutch itself (/dev); a fifo or socket would hang whoever reads the store. */
static int leave_out(struct unpack *u)
{
	u->counts->devices++;
	return 0;
}

static int make_plain(struct unpack *u)
{
	const char *target = archive_entry_hardlink(u->entry);
	int dir;

	if (target)
		return make_link(u, target);
	dir = tree_directory(&u->tree, u->name.parent, true);
	if (dir < 0)
		return -1;
	switch (archive_entry_filetype(u->entry)) {
	case AE_IFREG: return make_file(u, dir);
	case AE_IFDIR: return make_directory(u, dir);
	case AE_IFLNK: return make_symlink(u, dir);
	case AE_IFCHR: case AE_IFBLK: case AE_IFIFO: case AE_IFSOCK: return leave_out(u);
	default: return bad_entry(u, "of an unknown kind");
	}
}

static int make_whiteout(struct unpack *u)
{
	int dir = tree_directory(&u->tree, u->name.parent, true);

	if (dir < 0)
		return -1;
	u->counts->whiteouts++;
	return u->name.kind == NAME_OPAQUE ? tree_set_opaque(&u->tree, dir, u->path) : tree_make_whiteout(&u->tree, dir, u->name.name);
}

static int take_entry(struct unpack *u)
{
	struct path_limits limits = { u->job->limit[OPT_MAX_PATH], u->job->limit[OPT_MAX_DEPTH] };
	const char *why;

	u->path = archive_entry_pathname(u->entry);
	if (++u->job->entries > u->job->limit[OPT_MAX_ENTRIES])
		return over(u, OPT_MAX_ENTRIES, "--image-max-entries");
	if (!u->path)
		return bad_entry(u, "its name is no text");
	if (entry_name_parse(&u->job->arena, u->path, &limits, &u->name, &why) < 0)
		return bad_entry(u, why);
	switch (u->name.kind) {
	case NAME_ROOT: return archive_entry_filetype(u->entry) == AE_IFDIR ? note_directory(u, "") : bad_entry(u, "the root is no directory");
	case NAME_PLAIN: return make_plain(u);
	case NAME_IGNORED: return 0;
	default: return make_whiteout(u);
	}
}

static int take_all(struct unpack *u)
{
	struct directory root = { .path = "", .mode = 0755, .mtime.tv_nsec = UTIME_OMIT, .implicit = true };
	int r;

	if (tree_note_directory(&u->tree, &root) < 0)
		return -1;
	for (;;) {
		r = archive_read_next_header(u->archive, &u->entry);
		if (r == ARCHIVE_EOF)
			break;
		/* A warning is about what we don't take (attributes, names of users): names of files are looked at below. */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return archive_failed(u);
		if (take_entry(u) < 0)
			return -1;
	}
	u->path = NULL;
	return stream_verify(u->stream) < 0 || tree_finish_directories(&u->tree) < 0 ? -1 : tree_mark_implicit(&u->tree);
}

int unpack_layer(struct job *job, const struct image_layer *l, int root, struct counts *counts)
{
	struct unpack u = { .job = job, .counts = counts };
	int r;

	tree_init(&u.tree, job, root);
	r = stream_open(job, l, &u.stream);
	if (r == 0)
		r = open_archive(&u);
	if (r == 0)
		r = take_all(&u);
	archive_read_free(u.archive);
	stream_close(u.stream);
	tree_done(&u.tree);
	return r;
}
