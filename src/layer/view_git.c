/* The git directories of a project: its own, or the one that a .git file leads to, and those of its submodules and
 * worktrees. What the files say is the word of whoever could write to the project, so nothing is shown on that alone.
 * Runs in: parent. PURE (the host answers look-ups). */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

#define DIRS_MOST 1000
#define LEVELS_MOST 6 /* of submodules in submodules, and of slashes in their names */

static const struct host_file *look(struct build *b, const char *path)
{
	return b->host->lookup(b->host, NULL, path);
}

static bool is_dir(struct build *b, const char *path)
{
	const struct host_file *f = path ? look(b, path) : NULL;

	return f && !f->errnum && S_ISDIR(f->mode);
}

static const char *below(struct build *b, const char *dir, const char *name)
{
	return arena_printf(b->plan->arena, "%s/%s", dir, name);
}

/* The path in a file's only line, after prefix, as seen from dir; with every link followed. NULL = none. */
static const char *path_in(struct build *b, const char *file, const char *prefix, const char *dir)
{
	const char *text = file ? b->host->text(b->host, file) : NULL;
	size_t n = text ? strcspn(text, "\n") : 0, skip = strlen(prefix);

	if (n <= skip || strncmp(text, prefix, skip))
		return NULL;
	const char *said = arena_strndup(b->plan->arena, text + skip, n - skip);
	const char *path = !said || said[0] == '/' ? said : below(b, dir, said);
	const struct host_file *f = path ? look(b, path) : NULL;
	return f && !f->errnum ? f->real : NULL;
}

/* Value of the next "key = value" line at or after *text, blanks around it cut; *text moves on. */
static const char *next_value(struct build *b, const char **text, const char *key)
{
	while (*text && **text) {
		const char *line = *text + strspn(*text, " \t"), *end = line + strcspn(line, "\n");
		size_t n = strlen(key);
		*text = *end ? end + 1 : end;
		if (strncmp(line, key, n))
			continue;
		line += n + strspn(line + n, " \t");
		if (*line != '=')
			continue;
		line += 1 + strspn(line + 1, " \t");
		while (end > line && strchr(" \t\r", end[-1]))
			end--;
		return arena_strndup(b->plan->arena, line, (size_t)(end - line));
	}
	return NULL;
}

static int add(struct build *b, const char ***list, size_t *count, size_t *cap, const char *path)
{
	const char **grown;

	if (!path)
		return error_nomem(b->error);
	for (size_t i = 0; i < *count; i++) {
		if (!strcmp((*list)[i], path))
			return 0;
	}
	if (*count == DIRS_MOST)
		return 0;
	grown = arena_grow(b->plan->arena, *list, *count, cap, sizeof *grown);
	if (!grown)
		return error_nomem(b->error);
	*list = grown;
	grown[(*count)++] = path;
	return 0;
}

static int add_dir(struct build *b, struct view *v, const char *path)
{
	return add(b, &v->git.dirs, &v->git.count, &v->git.cap, path);
}

/* A submodule's name may hold slashes, so a directory without HEAD is only on the way. */
static int modules(struct build *b, struct view *v, const char *dir, unsigned level)
{
	const char *const *names = is_dir(b, dir) && level < LEVELS_MOST ? b->host->list(b->host, dir) : NULL;

	for (; names && *names; names++) {
		const char *path = below(b, dir, *names), *head = path ? below(b, path, "HEAD") : NULL, *more = path ? below(b, path, "modules") : NULL;
		if (!path || !head || !more)
			return error_nomem(b->error);
		if (!is_dir(b, path))
			continue;
		bool git = !look(b, head)->errnum;
		if (git && add_dir(b, v, path) < 0)
			return -1;
		if (modules(b, v, git ? more : path, level + 1) < 0)
			return -1;
	}
	return 0;
}

/* The .git files of checked out submodules, by what .gitmodules says. */
static int links(struct build *b, struct view *v, const char *tree, unsigned level)
{
	const char *file = below(b, tree, ".gitmodules"), *text = file ? b->host->text(b->host, file) : NULL, *name;

	while (text && level < LEVELS_MOST && (name = next_value(b, &text, "path"))) {
		const char *sub = below(b, tree, name), *link = sub ? below(b, sub, ".git") : NULL;
		if (!link)
			return error_nomem(b->error);
		if (!name[0] || name[0] == '/' || strstr(name, "..") || look(b, link)->errnum)
			continue;
		if (add(b, &v->git.links, &v->git.link_count, &v->git.link_cap, link) < 0 || links(b, v, sub, level + 1) < 0)
			return -1;
	}
	return 0;
}

/* A worktree's git directory names the .git file that it belongs to and lies in its repository; a submodule's names its tree. */
static bool leads_back(struct build *b, const char *project, const char *dir, const char *common)
{
	const char *file = below(b, dir, "gitdir"), *config = below(b, dir, "config"), *dot = below(b, project, ".git");
	const char *back = path_in(b, file, "", dir), *places = below(b, common, "worktrees");

	if (back && dot && places && !strcmp(back, dot) && strcmp(dir, common))
		return path_below(dir, places) && is_dir(b, below(b, common, "objects"));
	const char *text = config && !strcmp(dir, common) ? b->host->text(b->host, config) : NULL;
	const char *tree = text ? next_value(b, &text, "worktree") : NULL;
	const char *path = !tree || tree[0] == '/' ? tree : below(b, dir, tree);
	return path && !look(b, path)->errnum && !strcmp(look(b, path)->real, project);
}

/* Shows a repository that lies outside of the project, with the project's own right. */
static int show(struct build *b, struct view *v, const char *project, const char *common)
{
	/* Their names inside, where /var/tmp is a link of ours. */
	const char *at = view_through_links(b, v, project), *to = view_through_links(b, v, common);
	const struct view_entry *own = at ? view_find(v, at) : NULL, *there = to ? view_find(v, to) : NULL;
	struct view_entry e = { .kind = VIEW_BIND, .dst = to, .src = common, .origin = b->policy->origin[KEY_GIT], .fd = -1 };
	const char *same = own && own->kind == VIEW_BIND ? view_through_links(b, v, own->src) : NULL;

	if (!at || !to)
		return error_nomem(b->error);
	if (!same || strcmp(same, own->dst) || (there && there->kind == VIEW_BIND))
		return 0;
	e.host = look(b, common);
	e.rw = own->rw && !own->cow;
	e.named = b->policy->strength[KEY_GIT] == STRENGTH_REQUIRED;
	return view_append(b, v, &e) ? view_sort(b, v) : -1;
}

static int not_shown(struct build *b, const char *dot, const char *dir)
{
	return build_row(b, ROW_MISSING, dot, "git directory shown", "not shown", "-",
			 arena_printf(b->plan->arena, "%s doesn't lead back to it", dir ? dir : "what it names"), b->policy->origin[KEY_GIT]);
}

int view_git(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;
	const struct host_file *cwd = p->context.cwd && !p->rootfs ? look(b, p->context.cwd) : NULL;
	bool wanted = p->git;

	for (size_t i = 0; i < p->rule_count; i++)
		wanted |= p->rules[i].set && p->rules[i].kind == RULE_PROTECT;
	if (!wanted || !cwd || cwd->errnum)
		return 0;
	const char *project = cwd->real, *dot = below(b, project, ".git");
	const struct host_file *f = dot ? look(b, dot) : NULL;
	if (!f)
		return error_nomem(b->error);
	if (links(b, v, project, 0) < 0)
		return -1;
	if (f->errnum)
		return 0;
	if (f->link && add(b, &v->git.links, &v->git.link_count, &v->git.link_cap, dot) < 0)
		return -1;
	const char *dir = S_ISDIR(f->mode) ? f->real : path_in(b, f->real, "gitdir: ", project);
	if (!dir || !is_dir(b, dir))
		return p->git ? not_shown(b, dot, NULL) : 0;
	const char *common = path_in(b, below(b, dir, "commondir"), "", dir);
	if (!common || !is_dir(b, common))
		common = dir;
	if (!S_ISDIR(f->mode)) {
		if (add(b, &v->git.links, &v->git.link_count, &v->git.link_cap, dot) < 0)
			return -1;
		if (!leads_back(b, project, dir, common))
			return p->git ? not_shown(b, dot, dir) : 0;
		if (p->git && show(b, v, project, common) < 0)
			return -1;
	}
	if (add_dir(b, v, common) < 0 || add_dir(b, v, dir) < 0 || modules(b, v, below(b, common, "modules"), 0) < 0 ||
	    modules(b, v, below(b, dir, "modules"), 0) < 0)
		return -1;
	const char *places = below(b, common, "worktrees");
	for (const char *const *names = is_dir(b, places) ? b->host->list(b->host, places) : NULL; names && *names; names++) {
		if (add_dir(b, v, below(b, places, *names)) < 0)
			return -1;
	}
	return 0;
}
