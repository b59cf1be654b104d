/* The list of changes as text and as JSON.
 * Runs in: parent. */
#include "cow/cow.h"

#include <string.h>

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "directory";
	case S_IFLNK: return "link";
	case S_IFREG: return "file";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	case S_IFCHR: return "character device";
	case S_IFBLK: return "block device";
	default: return "unknown";
	}
}

static const char *const kinds[] = { [COW_ADDED] = "added", [COW_CHANGED] = "changed", [COW_DELETED] = "deleted", [COW_TYPE] = "type" };
static const char letters[] = { [COW_ADDED] = 'A', [COW_CHANGED] = 'M', [COW_DELETED] = 'D', [COW_TYPE] = 'T' };

/* "M /a/b (mode 0644 -> 0755)"; directories end in a slash. */
void cow_text(struct cow *c, const struct cow_list *l, struct text *out)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct cow_change *x = &l->items[i];
		bool gone = x->kind == COW_DELETED;
		char *path = cow_path(c, &c->arena, x->tree, x->rel);
		text_printf(out, "%c ", letters[x->kind]);
		text_quoted(out, path ? path : x->rel);
		text_printf(out, "%s", S_ISDIR(gone ? x->was.st_mode : x->now.st_mode) ? "/" : "");
		if (x->kind == COW_TYPE)
			text_printf(out, " (%s -> %s)", kind_name(x->was.st_mode), kind_name(x->now.st_mode));
		else if (!gone && !S_ISREG(x->now.st_mode) && !S_ISDIR(x->now.st_mode))
			text_printf(out, " (%s)", kind_name(x->now.st_mode));
		if (x->mode)
			text_printf(out, " (%smode %04o -> %04o)", x->content ? "content, " : "", (unsigned)(x->was.st_mode & 07777), (unsigned)(x->now.st_mode & 07777));
		else if (x->kind != COW_CHANGED && !gone && (x->now.st_mode & (S_ISUID | S_ISGID)))
			text_printf(out, " (mode %04o)", (unsigned)(x->now.st_mode & 07777));
		text_printf(out, "\n");
	}
}

static void side(struct text *out, const char *name, const struct stat *s)
{
	text_printf(out, ",\"%s\":{\"kind\":\"%s\",\"mode\":\"%04o\",\"size\":%lld}", name, kind_name(s->st_mode), (unsigned)(s->st_mode & 07777), (long long)s->st_size);
}

void cow_json(struct cow *c, const struct cow_list *l, struct text *out)
{
	text_printf(out, "{\"changes\":[");
	for (size_t i = 0; i < l->count; i++) {
		const struct cow_change *x = &l->items[i];
		char *path = cow_path(c, &c->arena, x->tree, x->rel);
		text_printf(out, "%s{\"change\":\"%s\",\"path\":", i ? "," : "", kinds[x->kind]);
		text_json(out, path ? path : x->rel);
		if (x->kind == COW_CHANGED)
			text_printf(out, ",\"content\":%s,\"mode\":%s", x->content ? "true" : "false", x->mode ? "true" : "false");
		if (x->kind != COW_ADDED)
			side(out, "was", &x->was);
		if (x->kind != COW_DELETED)
			side(out, "now", &x->now);
		text_printf(out, "}");
	}
	text_printf(out, "]}\n");
}
