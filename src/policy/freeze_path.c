/* Freezing path rules: parsing, making paths absolute, and one rule per place.
 * Runs in: parent. */
#include "policy/freeze.h"
#include "policy/sets.h"

#include <stdlib.h>
#include <string.h>

struct placed { struct path_rule rule; const struct draft_line *line; };
struct placed_list { struct placed *items; size_t count, cap; };

static int bad_path(struct freeze *f, const struct draft_line *l, const char *detail)
{
	char *subject = arena_printf(f->arena, "%s = %s", key_rows[l->key].name, l->value);

	error_set(f->error, ERR_PATH_SPEC, 0, NULL, subject, l->origin);
	error_detail(f->error, "%s", detail);
	return error_remedy(f->error, "%s takes %s; a colon within a path is written \\: (hutch-policy(5))", key_rows[l->key].name,
			    key_rows[l->key].range ? key_rows[l->key].range : "a path");
}

static char *cwd_missing(struct freeze *f, const struct draft_line *l, const char *text)
{
	error_set(f->error, ERR_PATH_CWD, 0, NULL, text, l->origin);
	error_detail(f->error, "the present working directory is unknown: it was deleted");
	return NULL;
}

/* The working directory is physical (no link in it), so its leading ".." mean what the kernel would find;
 * taking them away gives DST a name that can be shown. A later ".." may follow a link and is left alone. */
static char *join_cwd(struct freeze *f, const char *cwd, const char *text)
{
	size_t len = strlen(cwd);

	for (;;) {
		if (text[0] == '.' && (text[1] == '/' || !text[1]))
			text += 1;
		else if (text[0] == '.' && text[1] == '.' && (text[2] == '/' || !text[2])) {
			while (len > 1 && cwd[len - 1] == '/')
				len--;
			while (len > 1 && cwd[len - 1] != '/')
				len--;
			text += 2;
		} else
			break;
		text += strspn(text, "/");
	}
	while (len > 1 && cwd[len - 1] == '/')
		len--;
	if (!*text)
		return arena_strndup(f->arena, cwd, len);
	return arena_printf(f->arena, "%.*s%s%s", (int)len, cwd, len > 1 ? "/" : "", text);
}

char *source_path(struct freeze *f, const struct draft_line *l, const char *text)
{
	const char *home = f->context->home;
	char *path;

	if (!*text) {
		bad_path(f, l, "the path is empty");
		return NULL;
	}
	if (text[0] == '~' && (text[1] == '/' || !text[1])) {
		if (!home || home[0] != '/') {
			error_set(f->error, ERR_PATH_HOME, 0, NULL, text, l->origin);
			return NULL;
		}
		path = arena_printf(f->arena, "%s%s", home, text + 1);
	} else if (text[0] == '/') {
		path = arena_strdup(f->arena, text);
	} else {
		if (!f->context->cwd)
			return cwd_missing(f, l, text);
		path = join_cwd(f, f->context->cwd, text);
	}
	if (!path)
		error_nomem(f->error);
	return path;
}

/* In place: no "//", no ".", no slash at the end. False where ".." stands: what it means depends on links. */
static bool normalise(char *path)
{
	char *to = path;
	const char *from = path;

	while (*from) {
		from += strspn(from, "/");
		size_t n = strcspn(from, "/");
		if (n == 2 && from[0] == '.' && from[1] == '.')
			return false;
		if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
	return true;
}

char *inside_path(struct freeze *f, const struct draft_line *l, const char *text, bool relative)
{
	char *path;

	if (text[0] == '~' && (text[1] == '/' || !text[1])) {
		if (!(text = source_path(f, l, text)))
			return NULL;
	}
	if (!*text || (text[0] != '/' && !relative)) {
		bad_path(f, l, *text ? "the place inside must be an absolute path" : "the place inside is empty");
		return NULL;
	}
	if (text[0] != '/' && !f->context->cwd)
		return cwd_missing(f, l, text);
	path = text[0] == '/' ? arena_strdup(f->arena, text) : join_cwd(f, f->context->cwd, text);
	if (!path) {
		error_nomem(f->error);
		return NULL;
	}
	if (!normalise(path)) {
		bad_path(f, l, "the place inside holds \"..\": write it out");
		return NULL;
	}
	return path;
}

/* Next part of a spec up to a bare colon, with \: and \\ taken as the plain byte. *text: NULL at the end. */
static char *spec_part(struct freeze *f, const char **text)
{
	char *part = arena_strdup(f->arena, *text), *to = part;
	const char *s = *text;

	if (!part) {
		error_nomem(f->error);
		return NULL;
	}
	for (; *s && *s != ':'; s++) {
		if (*s == '\\' && (s[1] == ':' || s[1] == '\\'))
			s++;
		*to++ = *s;
	}
	*to = '\0';
	*text = *s ? s + 1 : NULL;
	return part;
}

static int option_number(struct freeze *f, const struct draft_line *l, const char *option, struct path_rule *r)
{
	uint64_t n;

	if (!strncmp(option, "size=", 5) && !parse_size(option + 5, &n) && n >= 4096 && n <= UINT64_MAX / 4) {
		r->size = n;
		return 0;
	}
	if (!strncmp(option, "inodes=", 7) && !parse_u64(option + 7, &n) && n >= 2 && n <= UINT32_MAX) {
		r->inodes = n;
		return 0;
	}
	if (!strncmp(option, "mode=", 5)) {
		char *end;
		unsigned long mode = strtoul(option + 5, &end, 8);
		if (option[5] >= '0' && option[5] <= '7' && !*end && mode && mode <= 01777) {
			r->mode = (unsigned)mode;
			return 0;
		}
	}
	return bad_path(f, l, arena_printf(f->arena, "the option \"%s\" is unknown or its value is wrong", option));
}

/* allowed: the words that this kind of rule takes, blanks around each. */
static int parse_options(struct freeze *f, const struct draft_line *l, const char *text, const char *allowed, struct path_rule *r)
{
	while (text) {
		char *option = next_part(f, &text, ','), *name = option ? arena_printf(f->arena, " %.*s ", (int)strcspn(option, "="), option) : NULL;
		if (!name)
			return error_nomem(f->error);
		if (strlen(name) < 3 || strchr(name + 1, ' ') != name + strlen(name) - 1 || !strstr(allowed, name))
			return bad_path(f, l, arena_printf(f->arena, "there is no option \"%s\" here; there are:%s", option, allowed));
		if (!strcmp(option, "exec") || !strcmp(option, "noexec"))
			r->noexec = option[0] == 'n';
		else if (option_number(f, l, option, r) < 0)
			return -1;
	}
	return 0;
}

/* ro, rw: [?]SRC[:DST[:OPTIONS]] */
static int parse_bind(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	const char *rest = l->value + (l->value[0] == '?');
	char *src, *dst = NULL;

	r->optional = l->value[0] == '?';
	src = spec_part(f, &rest);
	if (!src)
		return -1;
	if (r->optional && src[0] == '~' && l->strength == STRENGTH_PREFERRED && !f->context->home)
		return 1; /* a preset's: without a home there is none of it */
	r->src = source_path(f, l, src);
	if (!r->src)
		return -1;
	if (rest && !(dst = spec_part(f, &rest)))
		return -1;
	r->dst = inside_path(f, l, dst ? dst : r->src, false);
	return r->dst ? parse_options(f, l, rest, " exec noexec ", r) : -1;
}

/* tmpfs, dir, mask: DST[:OPTIONS], relative to the working directory where it has no slash in front. */
static int parse_place(struct freeze *f, const struct draft_line *l, const char *allowed, struct path_rule *r)
{
	const char *rest = l->value;
	char *dst = spec_part(f, &rest);

	r->dst = dst ? inside_path(f, l, dst, true) : NULL;
	return r->dst ? parse_options(f, l, rest, allowed, r) : -1;
}

static int parse_symlink(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	const char *rest = l->value;
	char *target = spec_part(f, &rest), *dst;

	if (!target)
		return -1;
	if (!*target || !rest)
		return bad_path(f, l, *target ? "the place of the link is missing" : "the link's text is empty");
	dst = spec_part(f, &rest);
	if (!dst)
		return -1;
	if (rest)
		return bad_path(f, l, "there is a third part");
	r->src = target;
	r->dst = inside_path(f, l, dst, false);
	return r->dst ? 0 : -1;
}

/* DST with a heredoc, or DST=TEXT; \= is an equals sign within DST. */
static int parse_file(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	char *dst = arena_strdup(f->arena, l->value), *to = dst;
	const char *s = l->value;

	if (!dst)
		return error_nomem(f->error);
	for (; *s && (l->data || *s != '='); s++) {
		if (*s == '\\' && (s[1] == '=' || s[1] == '\\' || s[1] == ':'))
			s++;
		*to++ = *s;
	}
	*to = '\0';
	if (!l->data && !*s)
		return bad_path(f, l, "the content is missing");
	r->data = l->data ? l->data : s + 1;
	r->data_len = l->data ? l->data_len : strlen(s + 1);
	r->dst = inside_path(f, l, dst, false);
	return r->dst ? 0 : -1;
}

static int parse_file_fd(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	const char *rest = l->value;
	char *number = spec_part(f, &rest), *dst;
	uint64_t n;

	if (!number)
		return -1;
	if (parse_u64(number, &n) < 0 || n > 1048576 || !rest)
		return bad_path(f, l, rest ? "it doesn't begin with a descriptor's number" : "the place inside is missing");
	dst = spec_part(f, &rest);
	if (!dst)
		return -1;
	if (rest)
		return bad_path(f, l, "there is a third part");
	r->fd = (int)n;
	r->dst = inside_path(f, l, dst, false);
	return r->dst ? 0 : -1;
}

static int parse_device(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	const char *rest = l->value + (l->value[0] == '?');
	char *path = spec_part(f, &rest);

	if (!path)
		return -1;
	if (rest)
		return bad_path(f, l, "a device has no second part");
	r->optional = l->value[0] == '?';
	r->dst = inside_path(f, l, path, false);
	if (r->dst && (strncmp(r->dst, "/dev/", 5) || !r->dst[5]))
		return bad_path(f, l, "it isn't beneath /dev");
	r->src = r->dst;
	return r->dst ? 0 : -1;
}

static int parse_rule(struct freeze *f, const struct draft_line *l, struct path_rule *r)
{
	switch (l->key) {
	case KEY_RO: r->kind = RULE_RO; return parse_bind(f, l, r);
	case KEY_RW: r->kind = RULE_RW; return parse_bind(f, l, r);
	case KEY_COW: r->kind = RULE_COW; return parse_bind(f, l, r);
	case KEY_TMPFS: r->kind = RULE_TMPFS; return parse_place(f, l, " size inodes mode exec noexec ", r);
	case KEY_DIR: r->kind = RULE_DIR; return parse_place(f, l, " mode ", r);
	case KEY_MASK: r->kind = RULE_MASK; return parse_place(f, l, " ", r);
	case KEY_PROTECT: r->kind = RULE_PROTECT; return parse_place(f, l, " ", r);
	case KEY_HIDE: r->kind = RULE_HIDE; return parse_place(f, l, " ", r);
	case KEY_SYMLINK: r->kind = RULE_SYMLINK; return parse_symlink(f, l, r);
	case KEY_FILE: r->kind = RULE_FILE; return parse_file(f, l, r);
	case KEY_FILE_FD: r->kind = RULE_FILE_FD; return parse_file_fd(f, l, r);
	case KEY_DEVICE: r->kind = RULE_DEVICE; return parse_device(f, l, r);
	default: return 1; /* no path rule */
	}
}

static int add_placed(struct freeze *f, struct placed_list *list, const struct placed *p)
{
	struct placed *items = arena_grow(f->arena, list->items, list->count, &list->cap, sizeof *items);

	if (!items)
		return error_nomem(f->error);
	list->items = items;
	items[list->count++] = *p;
	return 0;
}

/* 1 = the value names no set. */
static int collect_set(struct freeze *f, struct placed_list *list, const struct draft_line *l)
{
	int set = l->value[0] == '@' ? set_find(l->value) : -1;
	const char *origin = arena_printf(f->arena, "%s, %s", l->origin, l->value);
	bool nomem = !origin;

	if ((l->key != KEY_HIDE && l->key != KEY_PROTECT) || l->value[0] != '@')
		return 1;
	if (set < 0)
		return bad_path(f, l, "there is no such set; there are @secrets and @autorun");
	for (size_t i = 0; set_row(i) && !nomem; i++) {
		struct placed p = { .rule = { .kind = l->key == KEY_HIDE ? RULE_HIDE : RULE_PROTECT, .fd = -1, .set = true, .origin = origin, .strength = l->strength }, .line = l };
		if ((int)set_row(i)->set != set || !(p.rule.dst = set_path(f->arena, f->context, set_row(i), &nomem)))
			continue;
		p.rule.pattern = strchr(set_row(i)->path, '*');
		if (add_placed(f, list, &p) < 0)
			return -1;
	}
	return nomem ? error_nomem(f->error) : 0;
}

static int collect(struct freeze *f, struct placed_list *list)
{
	for (size_t i = 0; i < f->order_count; i++) {
		const struct draft_line *l = f->order[i];
		int set = collect_set(f, list, l);
		if (set < 0)
			return -1;
		if (!set)
			continue;
		struct placed p = { .rule = { .fd = -1, .origin = l->origin, .strength = l->strength }, .line = l };
		int r = parse_rule(f, l, &p.rule);
		if (r > 0)
			continue;
		if (r < 0 || !p.rule.dst)
			return -1;
		if (!p.rule.dst[1]) {
			bad_path(f, l, "a rule can't take the place of the root itself");
			return error_remedy(f->error, "--rootfs DIR takes a tree as the root, --host-root the host's own");
		}
		if (add_placed(f, list, &p) < 0)
			return -1;
	}
	return 0;
}

/* By place; a parent comes before what is beneath it. At one place the line nearest to the person is first,
 * then the order in which they were given. */
static int by_place(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int order = strcmp(x->rule.dst, y->rule.dst);

	if (order)
		return order;
	/* Who names the very path means it; a set is of many. Of two sets what hides is the stricter. */
	if (x->rule.set != y->rule.set)
		return x->rule.set ? 1 : -1;
	if (x->rule.set && x->rule.kind != y->rule.kind)
		return x->rule.kind == RULE_HIDE ? -1 : 1;
	if (x->line->depth != y->line->depth)
		return x->line->depth < y->line->depth ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_rule(const struct path_rule *a, const struct path_rule *b)
{
	return a->kind == b->kind && same_text(a->src, b->src) && a->optional == b->optional && a->noexec == b->noexec &&
	       a->size == b->size && a->inodes == b->inodes && a->mode == b->mode && a->fd == b->fd &&
	       a->data_len == b->data_len && (!a->data_len || !memcmp(a->data, b->data, a->data_len));
}

static int contradiction(struct freeze *f, const struct placed *a, const struct placed *b)
{
	error_set(f->error, ERR_PATH_CONFLICT, 0, NULL, a->rule.dst, arena_printf(f->arena, "%s and %s", a->rule.origin, b->rule.origin));
	return error_detail(f->error, "%s = %.90s, but %s = %.90s", key_rows[a->line->key].name, a->line->value,
			    key_rows[b->line->key].name, b->line->value);
}

static int keep_winners(struct freeze *f, struct placed_list *list)
{
	struct policy *p = f->policy;

	p->rules = list->count ? arena_alloc(f->arena, list->count * sizeof *p->rules) : NULL;
	if (list->count && !p->rules)
		return error_nomem(f->error);
	for (size_t i = 0, first = 0; i < list->count; i++) {
		const struct placed *x = &list->items[i], *w = &list->items[first];
		if (!i || strcmp(x->rule.dst, w->rule.dst)) {
			first = i;
			p->rules[p->rule_count++] = x->rule;
			continue;
		}
		if (!x->rule.set && x->line->depth == w->line->depth && !same_rule(&x->rule, &w->rule))
			return contradiction(f, w, x);
	}
	return 0;
}

int freeze_paths(struct freeze *f)
{
	struct policy *p = f->policy;
	struct placed_list list = { 0 };
	const struct draft_line *rootfs = f->winner[KEY_ROOTFS], *cwd = f->winner[KEY_CWD];

	if (rootfs && !(p->rootfs = source_path(f, rootfs, rootfs->value)))
		return -1;
	if (cwd && !(p->cwd = inside_path(f, cwd, cwd->value, true)))
		return -1;
	if (freeze_cow(f) < 0 || collect(f, &list) < 0)
		return -1;
	if (list.count)
		qsort(list.items, list.count, sizeof *list.items, by_place);
	return keep_winners(f, &list);
}
