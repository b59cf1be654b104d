/* Which file is the program.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

static const char *env_value(const char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; env && *env; env++) {
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	}
	return NULL;
}

/* Is there an executable at this inside path? In a rootfs it is looked up there, else as the host shows it. */
static const struct host_file *candidate(struct build *b, const char *path)
{
	const struct host_file *f = root_lookup(b, path);

	return f && !f->errnum && S_ISREG(f->mode) && (f->mode & 0111) ? f : NULL;
}

static int search_path(struct build *b, struct view *v, const char *name)
{
	const char *path = env_value(v->env, "PATH");

	while (path && *path) {
		size_t len = strcspn(path, ":");
		if (len && path[0] == '/') {
			const char *full = arena_printf(b->plan->arena, "%.*s/%s", (int)len, path, name);
			if (!full)
				return error_nomem(b->error);
			const struct host_file *f = candidate(b, full);
			if (f) {
				b->plan->exec_path = full;
				b->plan->exec_host_path = f->real;
				return 0;
			}
		}
		path += len + (path[len] == ':');
	}
	error_set(b->error, ERR_EXEC_NOT_FOUND, 2 /* ENOENT */, NULL, name, "command");
	return error_detail(b->error, "no executable of that name in PATH=%s", env_value(v->env, "PATH") ? env_value(v->env, "PATH") : "");
}

int exec_resolve(struct build *b, struct view *v)
{
	const struct policy *p = b->policy;
	const char *name = p->argv[0];

	b->plan->argv = (char *const *)p->argv;
	if (!*name)
		return error_set(b->error, ERR_EXEC_NOT_FOUND, 2, NULL, "(empty name)", "command");
	if (!strchr(name, '/'))
		return search_path(b, v, name);
	b->plan->exec_path = name;
	if (name[0] != '/') {
		const char *cwd = p->cwd ? p->cwd : p->context.cwd;
		if (!cwd)
			return error_set(b->error, ERR_CWD_DELETED, 2, "getcwd", name, "command");
		b->plan->exec_path = arena_printf(b->plan->arena, "%s/%s", strcmp(cwd, "/") ? cwd : "", name);
		if (!b->plan->exec_path)
			return error_nomem(b->error);
	}
	const struct host_file *f = root_lookup(b, b->plan->exec_path);
	b->plan->exec_host_path = f && !f->errnum ? f->real : NULL;
	return 0;
}

int exec_compile(struct build *b, const struct view *v)
{
	(void)v;
	return build_op(b, SECTION_EXEC, OP_EXEC, b->plan->exec_path, "command") ? 0 : -1;
}
