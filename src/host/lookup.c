/* Looks paths up without changing anything: one walker, over the file system or over a recorded table.
 * Every component is asked for once per host and kept, so that forty paths of a default view cost
 * forty-odd system calls.
 * Runs in: parent. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

#define LINKS_MAX 40 /* as the kernel */

/* One component, its parent directories canonical. A link keeps S_IFLNK and its text. */
struct node {
	const char *path;
	struct host_file file;
};
struct result {
	struct result *next;     /* the same path in another root */
	const char *root;
	const struct host_file *file;
};
struct lookup {
	bool live;
	struct table nodes, results; /* path to struct node *, to struct result * */
	unsigned depth;          /* of magic links within magic links */
	uint64_t table_inode;
};
/* State of one walk. */
struct walk {
	struct host *host;
	const char *root;        /* canonical, "" for the host's own */
	char at[PATH_MAX];       /* canonical so far, inside root; "" = its top */
	char rest[PATH_MAX];     /* still to go */
	char full[PATH_MAX];     /* scratch: root + at */
	unsigned links;
	bool last_seen;          /* the last component of the asked path was taken: what follows is link text */
	const char *own_link;
};

/* ---- one component of the live file system ---- */
/* An automount point must be mounted now, or the launch would find another file than the plan: statx does
 * that, lstat doesn't. */
static int ask(const char *path, int flags, struct host_file *f)
{
	struct u_statx x;
	struct stat s;
	int r = sys_statx(path, flags, U_STATX_BASIC, &x);

	if (r == 0) {
		f->mode = x.mode;
		f->dev = makedev(x.dev_major, x.dev_minor);
		f->rdev = makedev(x.rdev_major, x.rdev_minor);
		f->ino = x.ino;
		f->uid = x.uid;
		f->gid = x.gid;
		return 0;
	}
	if (r != -ENOSYS && r != -EPERM) /* a filter that knows no statx answers one of these */
		return (int)r;
	if (fstatat(AT_FDCWD, path, &s, flags) != 0)
		return -errno;
	f->mode = s.st_mode;
	f->dev = s.st_dev;
	f->rdev = s.st_rdev;
	f->ino = s.st_ino;
	f->uid = s.st_uid;
	f->gid = s.st_gid;
	return 0;
}

static int ask_live(struct host *h, const char *path, struct host_file *f)
{
	char text[PATH_MAX];
	int r = ask(path, U_AT_SYMLINK_NOFOLLOW, f);

	if (r == 0 && S_ISLNK(f->mode)) {
		long n = SYS4(SYS_readlinkat, AT_FDCWD, path, text, sizeof text);

		if (n == (long)sizeof text)
			n = -ENAMETOOLONG;
		if (n >= 0) {
			f->link = arena_strndup(h->arena, text, (size_t)n);
			return f->link ? 0 : -ENOMEM;
		}
		r = (int)n;
	}
	return r;
}

static struct node *node_find(const struct lookup *l, const char *path)
{
	const size_t *at = table_find(&l->nodes, path, strlen(path));

	return at ? (struct node *)*at : NULL;
}

static struct node *node_add(struct host *h, const char *path)
{
	struct lookup *l = h->lookup_data;
	struct node *n = arena_alloc(h->arena, sizeof *n);

	if (!n || !(n->path = arena_strdup(h->arena, path)))
		return NULL;
	return table_put(&l->nodes, h->arena, n->path, strlen(n->path), (size_t)n) ? n : NULL;
}

/* NULL = out of memory. A table answers ENOENT for what it doesn't know. */
static const struct host_file *component(struct host *h, const char *path)
{
	struct lookup *l = h->lookup_data;
	struct node *n = node_find(l, path);

	if (n)
		return &n->file;
	if (!(n = node_add(h, path)))
		return NULL;
	n->file.errnum = l->live ? -ask_live(h, path, &n->file) : ENOENT;
	return &n->file;
}

/* A link is asked for its text at once. Of /proc only plain files are asked for so. */
static const struct host_file *peek(struct host *h, const char *path)
{
	struct lookup *l = h->lookup_data;
	char text[PATH_MAX];
	struct node *n;
	long len;

	if (!l->live || node_find(l, path) || strncmp(path, "/proc/", 6) == 0)
		return component(h, path);
	len = SYS4(SYS_readlinkat, AT_FDCWD, path, text, sizeof text);
	if (len != -ENOENT && (len < 0 || len == (long)sizeof text))
		return component(h, path);
	if (!(n = node_add(h, path)))
		return NULL;
	n->file.errnum = len < 0 ? ENOENT : 0;
	if (len >= 0) {
		n->file.mode = S_IFLNK | 0777;
		n->file.link = arena_strndup(h->arena, text, (size_t)len);
	}
	return len >= 0 && !n->file.link ? NULL : &n->file;
}

/* ---- the walk ---- */
static bool append(char *to, const char *s, size_t len)
{
	size_t used = strlen(to);

	if (used + len >= PATH_MAX)
		return false;
	memcpy(to + used, s, len);
	to[used + len] = '\0';
	return true;
}

static int full_path(struct walk *w)
{
	w->full[0] = '\0';
	if (!append(w->full, w->root, strlen(w->root)) || !append(w->full, w->at, strlen(w->at)))
		return ENAMETOOLONG;
	if (!w->full[0])
		strcpy(w->full, "/");
	return 0;
}

static void step_up(struct walk *w)
{
	char *slash = strrchr(w->at, '/');

	if (slash)
		*slash = '\0'; /* ".." at the top stays at the top */
}

/* Puts the link's text in front of what is still to go. at is the link itself. */
static int follow(struct walk *w, const char *text)
{
	char rest[PATH_MAX];

	if (++w->links > LINKS_MAX)
		return ELOOP;
	if (text[0] == '/')
		w->at[0] = '\0';
	else
		step_up(w);
	copy_bounded(rest, sizeof rest, w->rest);
	w->rest[0] = '\0';
	if (!append(w->rest, text, strlen(text)) || (rest[0] && (!append(w->rest, "/", 1) || !append(w->rest, rest, strlen(rest)))))
		return ENAMETOOLONG;
	return 0;
}

/* A link in /proc may be magic: its text is then no path, or leads to another file than the link itself
 * does (another root). It is followed as text only where both agree, else it counts as what it leads to. */
static int follow_proc(struct walk *w, const struct host_file *link, struct host_file *out)
{
	struct lookup *l = w->host->lookup_data;
	char path[PATH_MAX * 2];
	const struct host_file *by_text;
	struct host_file direct = { 0 };
	int r = ask(w->full, 0, &direct);

	if (r < 0)
		return -r;
	copy_bounded(path, PATH_MAX, w->at);
	char *slash = strrchr(path, '/');

	if (link->link[0] == '/' || !slash)
		path[0] = '\0';
	else
		slash[1] = '\0';
	if (strlen(path) + strlen(link->link) >= PATH_MAX || l->depth >= 8)
		return ELOOP;
	strcat(path, link->link);
	l->depth++;
	by_text = w->host->lookup(w->host, NULL, path);
	l->depth--;
	if (by_text && by_text->errnum == 0 && by_text->dev == direct.dev && by_text->ino == direct.ino)
		copy_bounded(w->at, sizeof w->at, strcmp(by_text->real, "/") == 0 ? "" : by_text->real);
	*out = direct;
	return 0;
}

/* Takes one component that is neither empty, "." nor "..": at and *out become what it leads to. */
static int enter(struct walk *w, const char *name, size_t len, bool own, struct host_file *out)
{
	const struct host_file *f;
	int r;

	if (!append(w->at, "/", 1) || !append(w->at, name, len) || full_path(w) != 0)
		return ENAMETOOLONG;
	f = component(w->host, w->full);
	if (!f)
		return ENOMEM;
	if (f->errnum)
		return f->errnum;
	*out = *f;
	if (!S_ISLNK(f->mode))
		return w->rest[0] && !S_ISDIR(f->mode) ? ENOTDIR : 0;
	if (own)
		w->own_link = f->link;
	if (((struct lookup *)w->host->lookup_data)->live && strncmp(w->full, "/proc/", 6) == 0)
		return (r = follow_proc(w, f, out)) ? r : w->rest[0] && !S_ISDIR(out->mode) ? ENOTDIR : 0;
	return follow(w, f->link);
}

/* Skips slashes; then takes the next name off rest. Returns its length, 0 = nothing left. */
static size_t take(struct walk *w, char *name)
{
	size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");
	size_t next = skip + len + strspn(w->rest + skip + len, "/");

	memcpy(name, w->rest + skip, len);
	name[len] = '\0';
	memmove(w->rest, w->rest + next, strlen(w->rest + next) + 1);
	return len;
}

static int walk(struct walk *w, struct host_file *out)
{
	char name[PATH_MAX];
	size_t len;

	while ((len = take(w, name)) > 0) {
		bool own = !w->rest[0] && !w->last_seen;
		int r;

		w->last_seen |= own;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			step_up(w);
			continue;
		}
		if ((r = enter(w, name, len, own, out)) != 0)
			return r;
	}
	if (full_path(w) != 0)
		return ENAMETOOLONG;
	/* What at names now was asked for already, but for the top itself and after a "..". */
	const struct host_file *f = component(w->host, w->full);

	if (!f)
		return ENOMEM;
	if (f->errnum)
		return f->errnum;
	if (!S_ISLNK(f->mode)) /* a magic link stays in at, and its facts in *out */
		*out = *f;
	return 0;
}

static const struct host_file *look(struct host *h, const char *root, const char *path)
{
	struct host_file *f = arena_alloc(h->arena, sizeof *f);
	struct walk w;

	if (!f)
		return NULL;
	/* Field by field: the buffers are large, and zeroing them cost more than the system calls. */
	w.host = h;
	w.root = root;
	w.at[0] = w.full[0] = '\0';
	w.links = 0;
	w.last_seen = false;
	w.own_link = NULL;
	if (path[0] != '/' || strlen(path) >= sizeof w.rest) {
		f->errnum = path[0] == '/' ? ENAMETOOLONG : ENOENT;
		return f;
	}
	copy_bounded(w.rest, sizeof w.rest, path);
	int errnum = walk(&w, f);

	if (errnum)
		*f = (struct host_file){ .errnum = errnum };
	f->link = w.own_link; /* told even where it leads nowhere */
	if (f->errnum == 0 && !(f->real = arena_strdup(h->arena, w.full)))
		f->errnum = ENOMEM;
	return f;
}

static const struct host_file no_memory = { .errnum = ENOMEM };

static const struct host_file *lookup(struct host *h, const char *root, const char *path)
{
	struct lookup *l = h->lookup_data;
	const char *top = "";

	if (root) {
		const struct host_file *r = lookup(h, NULL, root);

		if (r->errnum)
			return r;
		top = strcmp(r->real, "/") == 0 ? "" : r->real;
	}
	size_t *at = table_find(&l->results, path, strlen(path));
	struct result *first = at ? (struct result *)*at : NULL;

	for (struct result *r = first; r; r = r->next)
		if (strcmp(r->root, top) == 0)
			return r->file;
	struct result *r = arena_alloc(h->arena, sizeof *r);
	const char *key = arena_strdup(h->arena, path);

	if (!r || !key || !(r->root = arena_strdup(h->arena, top)) || !(r->file = look(h, r->root, path)) ||
	    !table_put(&l->results, h->arena, key, strlen(key), (size_t)r))
		return &no_memory;
	r->next = first;
	return r->file;
}

/* ---- names in a directory ---- */
struct names { const char **items; size_t count, cap; };

static int name_add(struct host *h, struct names *n, const char *name)
{
	const char **items = arena_grow(h->arena, n->items, n->count + 1, &n->cap, sizeof *items);

	if (!items || !(items[n->count] = arena_strdup(h->arena, name)))
		return -1;
	n->items = items;
	items[++n->count] = NULL;
	return 0;
}

static int list_live(struct host *h, const char *path, struct names *n)
{
	char buffer[32768];
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0), r = fd;
	long got = 0;

	while (fd >= 0 && r >= 0 && (got = SYS3(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
		/* struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name */
		uint16_t length;
		for (long at = 0; at < got && r >= 0; at += length) {
			const char *name = buffer + at + 19;
			memcpy(&length, buffer + at + 16, sizeof length);
			r = strcmp(name, ".") && strcmp(name, "..") ? name_add(h, n, name) : r;
		}
	}
	if (fd >= 0)
		sys_close(fd);
	return r < 0 || got < 0 ? -1 : 0;
}

static int list_table(struct host *h, const char *path, struct names *n)
{
	const struct lookup *l = h->lookup_data;
	size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);

	for (size_t i = 0; i < l->nodes.cap; i++) {
		const char *key = l->nodes.slots[i].key;
		if (!key || strncmp(key, path, len) != 0 || key[len] != '/' || !key[len + 1] || strchr(key + len + 1, '/'))
			continue;
		if (((const struct node *)l->nodes.slots[i].value)->file.errnum == 0 && name_add(h, n, key + len + 1) < 0)
			return -1;
	}
	return 0;
}

#define TEXT_MOST 65536

static const char *text(struct host *h, const char *path)
{
	const struct lookup *l = h->lookup_data;
	/* Not blocking, for a fifo that somebody put there. */
	int fd = l->live ? sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0) : -1;
	char *content = NULL;
	struct stat s;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size <= TEXT_MOST)
		content = arena_alloc(h->arena, (size_t)s.st_size + 1);
	if (content)
		n = read(fd, content, (size_t)s.st_size);
	if (fd >= 0)
		sys_close(fd);
	if (n < 0 || memchr(content, '\0', (size_t)n))
		return NULL;
	content[n] = '\0';
	return content;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *const *list(struct host *h, const char *path)
{
	static const char *const none[] = { NULL };
	const struct lookup *l = h->lookup_data;
	struct names n = { 0 };

	if ((l->live ? list_live(h, path, &n) : list_table(h, path, &n)) < 0)
		return NULL;
	if (n.count)
		qsort(n.items, n.count, sizeof *n.items, compare_names);
	return n.count ? n.items : none;
}

static int lookup_new(struct host *h, bool live)
{
	struct lookup *l = arena_alloc(h->arena, sizeof *l);

	if (!l)
		return -1;
	l->live = live;
	h->lookup_data = l;
	h->lookup = lookup;
	h->peek = peek;
	h->list = list;
	h->text = text;
	return host_mounts_new(h, live);
}

int host_lookup_live(struct host *h)
{
	return lookup_new(h, true);
}

int host_lookup_table(struct host *h)
{
	struct host_file top = { .mode = S_IFDIR | 0755 };

	return lookup_new(h, false) != 0 ? -1 : host_table_add(h, "/", &top);
}

/* Directories above a recorded file exist too, even if nobody recorded them. */
static int table_parents(struct host *h, const char *path)
{
	char parent[PATH_MAX];
	struct host_file directory = { .mode = S_IFDIR | 0755 };

	copy_bounded(parent, sizeof parent, path);
	char *slash = strrchr(parent, '/');

	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	return node_find(h->lookup_data, parent) ? 0 : host_table_add(h, parent, &directory);
}

int host_table_add(struct host *h, const char *path, const struct host_file *f)
{
	struct lookup *l = h->lookup_data;
	struct node *n = node_find(l, path);

	if (!n && (table_parents(h, path) != 0 || !(n = node_add(h, path))))
		return -1;
	n->file = *f;
	if (n->file.errnum == 0 && n->file.ino == 0) {
		/* Nobody recorded them: any numbers do, as long as no two files share them. */
		n->file.dev = makedev(0, 1);
		n->file.ino = ++l->table_inode;
	}
	return 0;
}
