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
		if (!b->host->fd_open[i] || b->policy->fd_any_kind || output_relayed(b, (unsigned)i) || policy_places(b->policy, i))
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

	if (policy_places(b->policy, 0) || !h->fd_open[0] || !S_ISREG(h->fd_mode[0]) || (h->fd_flags[0] & O_ACCMODE) != O_RDONLY || b->policy->host_root)
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

bool fds_caller_tty(const struct build *b)
{
	for (int i = 0; i < 3; i++) {
		if (b->host->fd_tty[i] && !output_relayed(b, (unsigned)i) && !policy_places(b->policy, i))
			return true;
	}
	return false;
}

static int place_op(struct build *b, enum plan_section s, size_t index)
{
	const struct policy *p = b->policy;
	struct op *op = build_op(b, s, OP_FD_KEEP, NULL, p->origin[KEY_FD]);

	if (!op)
		return -1;
	op->number[0] = (uint64_t)p->fds[index];
	op->number[1] = (uint64_t)p->fds_from[index];
	op->number[2] = index;
	return 0;
}

/* Every one of 0-2 is open inside, whatever the caller had closed: else a file would take its number. */
static int stdio_compile(struct build *b)
{
	static const char *const names[] = { "standard input", "standard output", "standard error" };
	const struct policy *p = b->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct path_rule *r = &p->rules[i];
		if (r->kind != RULE_FILE_FD || r->fd > 2 || !policy_places(p, r->fd))
			continue;
		error_set(b->error, ERR_FD_KEEP, 0, NULL, NULL, r->origin);
		return error_detail(b->error, "descriptor %d can't be replaced (%s) and read for %s", r->fd, p->origin[KEY_FD], r->dst);
	}
	for (size_t i = 0; i < p->fd_count && p->fds[i] < 3; i++) {
		if (place_op(b, SECTION_FDS, i) < 0 ||
		    build_row(b, ROW_ENFORCED, names[p->fds[i]], "named", arena_printf(b->plan->arena, "the caller's descriptor %d", p->fds_from[i]), "dup3",
			      p->fds[i] ? NULL : "a file that is open for reading only goes in as a copy through a pipe", p->origin[KEY_FD]) < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++) {
		struct op *op;
		if (b->host->fd_open[i] || output_relayed(b, (unsigned)i) || policy_places(p, i))
			continue;
		op = build_op(b, SECTION_FDS, OP_FD_NULL, NULL, "default");
		if (!op)
			return -1;
		op->number[0] = (uint64_t)i;
	}
	return stdin_file(b);
}

int fds_compile(struct build *b)
{
	const struct policy *p = b->policy;
	size_t more = 0;

	if (check_stdio(b) < 0 || stdio_compile(b) < 0)
		return -1;
	for (size_t i = 0; i < p->fd_count; i++)
		more += p->fds[i] > 2;
	if (more)
		return build_row(b, ROW_OPEN, "descriptors", "0-2 and named", arena_printf(b->plan->arena, "0-2 and %zu more", more), "close_range",
				 "a kept file can be reopened through /proc/self/fd with every right that its mode gives the program", p->origin[KEY_FD]);
	return build_row(b, ROW_ENFORCED, "descriptors", "0-2 and named", "0-2",
			 "close_range", NULL, p->origin[KEY_FD]);
}

int fds_place_compile(struct build *b)
{
	/* A process that goes on has them. */
	for (size_t i = 0; i < b->policy->fd_count && !layer_enters(b); i++) {
		if (b->policy->fds[i] > 2 && place_op(b, SECTION_PLACE, i) < 0)
			return -1;
	}
	return 0;
}
