/* Descriptors: 0-2 and the keep list, nothing else.
 * Runs in: parent. */
#include "layer/layer.h"

#include <fcntl.h>
#include <sys/stat.h>

bool output_relayed(const struct build *b, unsigned fd)
{
	const struct policy *p = b->policy;

	return fd && (p->output_limited || (fd == 1 ? p->stdout_file : p->stderr_file));
}

static int check_stdio(struct build *b)
{
	static const char *const names[] = { "standard input", "standard output", "standard error" };

	for (int i = 0; i < 3; i++) {
		mode_t m = b->host->fd_mode[i];
		if (!b->host->fd_open[i] || b->policy->fd_any_kind || output_relayed(b, (unsigned)i))
			continue;
		if (S_ISDIR(m) || S_ISBLK(m) || (b->host->fd_flags[i] & O_PATH)) {
			error_set(b->error, ERR_FD_STDIO, 0, NULL, names[i], "caller");
			return error_detail(b->error, S_ISDIR(m) ? "it is a directory" : S_ISBLK(m) ? "it is a block device" : "it is an O_PATH descriptor");
		}
	}
	return 0;
}

/* A file behind `<` must not be writable by reopening /proc/self/fd/0. */
static int stdin_file(struct build *b)
{
	const struct host *h = b->host;
	struct op *op;

	if (!h->fd_open[0] || !S_ISREG(h->fd_mode[0]) || (h->fd_flags[0] & O_ACCMODE) != O_RDONLY || b->policy->host_root)
		return 0;
	if (layer_has_mounts(b) && h->stdin_path && h->mount_setattr) {
		op = build_op(b, SECTION_FDS, OP_STDIN_READONLY, h->stdin_path, "caller");
		return op ? build_row(b, ROW_ENFORCED, "standard input", "file", "the file, read-only for good", "reopened through a read-only mount", NULL, "caller") : -1;
	}
	if (layer_enters(b))
		return build_row(b, ROW_OPEN, "standard input", "file", "the file as it is", "-",
				 "it can be opened again for writing where its mode allows it: the process holds it already", "caller");
	b->plan->relay_stdin = true;
	return build_row(b, ROW_ENFORCED, "standard input", "file", "a copy through a pipe", "relay in the launcher",
			 "the file can't be reopened read-only here", "caller");
}

int fds_compile(struct build *b)
{
	const struct policy *p = b->policy;

	if (check_stdio(b) < 0)
		return -1;
	for (unsigned i = 0; i < 3; i++) {
		bool there = b->host->fd_open[i] || output_relayed(b, i);
		struct op *op = there ? NULL : build_op(b, SECTION_FDS, OP_FD_NULL, NULL, "default");
		if (!there && !op)
			return -1;
		if (op)
			op->number[0] = i;
	}
	if (stdin_file(b) < 0)
		return -1;
	if (p->fd_count)
		return build_row(b, ROW_OPEN, "descriptors", "0-2 and named", arena_printf(b->plan->arena, "0-2 and %zu more", p->fd_count), "close_range",
				 "a kept file can be reopened through /proc/self/fd with every right that its mode gives the program", p->origin[KEY_FD]);
	return build_row(b, ROW_ENFORCED, "descriptors", "0-2 and named", "0-2",
			 "close_range", NULL, p->origin[KEY_FD]);
}

int fds_final_compile(struct build *b)
{
	for (size_t i = 0; i < b->policy->fd_count; i++) {
		struct op *op = build_op(b, SECTION_EXEC, OP_FD_KEEP, NULL, b->policy->origin[KEY_FD]);
		if (!op)
			return -1;
		op->number[0] = (uint64_t)b->policy->fds[i];
	}
	return 0;
}
