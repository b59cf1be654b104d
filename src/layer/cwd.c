/* Working directory, entered as the final user in the final tree.
 * Runs in: parent. */
#include "layer/layer.h"

#include <string.h>
#include <sys/stat.h>

/* Is this directory shown? */
static bool shown(struct build *b, const struct view *v, const char *path)
{
	const struct view_entry *e = view_find(v, path);
	const char *host;

	if (e && (e->kind == VIEW_TMPFS || e->kind == VIEW_DIR) && !strcmp(e->dst, path))
		return true;
	host = view_host_path(b, v, path);
	if (!host)
		return false;
	const struct host_file *f = b->host->lookup(b->host, NULL, host);
	return !f->errnum && S_ISDIR(f->mode);
}

int cwd_compile(struct build *b, const struct view *v)
{
	const struct policy *p = b->policy;
	const char *path = p->cwd;

	if (!path && p->context.cwd && !p->rootfs && shown(b, v, p->context.cwd))
		path = p->context.cwd;
	if (!path && !p->rootfs && p->home_private && layer_has_mounts(b) && !p->host_root)
		path = v->home;
	if (!path)
		path = "/";
	return build_op(b, SECTION_CWD, OP_CHDIR, path, p->cwd ? p->origin[KEY_CWD] : "default") ? 0 : -1;
}
