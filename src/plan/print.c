/* The plan as text and JSON: the very array that the child executes.
 * Runs in: parent. */
#include "plan/plan.h"

#include <string.h>

#include "sys/caps_names.h"
#include "sys/uapi.h"

static const char *const op_names[OP_KINDS] = {
#define X(symbol, name) [OP_##symbol] = name,
	PLAN_OPS(X)
#undef X
};
static const char *const section_names[SECTION_COUNT] = {
#define X(symbol, name) [SECTION_##symbol] = name,
	PLAN_SECTIONS(X)
#undef X
};
static const char *const row_states[] = { "enforced", "weaker", "missing", "open" };

static void attr_text(struct text *t, uint64_t attr)
{
	static const struct { uint64_t bit; const char *name; } names[] = {
		{ U_MOUNT_ATTR_RDONLY, "ro" }, { U_MOUNT_ATTR_NOSUID, "nosuid" }, { U_MOUNT_ATTR_NODEV, "nodev" }, { U_MOUNT_ATTR_NOEXEC, "noexec" },
	};
	const char *sep = " ";

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!(attr & names[i].bit))
			continue;
		text_printf(t, "%s%s", sep, names[i].name);
		sep = ",";
	}
}

static void id_text(struct text *t, uint64_t id)
{
	if (id == HUTCH_ID_ALLOCATED)
		text_printf(t, " (allocated)");
	else
		text_printf(t, " %llu", (unsigned long long)id);
}

static void landlock_text(struct text *t, uint64_t access)
{
	static const char *const names[] = { "execute", "write", "read", "list", "rmdir", "unlink", "mkchar", "mkdir", "mkreg", "mksock", "mkfifo", "mkblock", "symlink", "refer", "truncate", "ioctl" };
	const char *sep = " ";

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		if (!(access & (UINT64_C(1) << i)))
			continue;
		text_printf(t, "%s%s", sep, names[i]);
		sep = ",";
	}
}

static void caps_text(struct text *t, uint64_t caps)
{
	const char *sep = " ";

	if (!caps)
		text_printf(t, " none");
	for (unsigned i = 0; i < 64; i++) {
		if (!(caps & (UINT64_C(1) << i)))
			continue;
		const char *name = cap_name(i);
		if (name)
			text_printf(t, "%s%s", sep, name);
		else
			text_printf(t, "%s%u", sep, i);
		sep = ",";
	}
}

static unsigned count_bits(uint64_t mask)
{
	unsigned n = 0;

	for (; mask; mask &= mask - 1)
		n++;
	return n;
}

static void rlimit_text(struct text *t, const struct op *op)
{
	for (int i = 1; i < 3; i++) {
		if (op->number[3] & (unsigned)i)
			text_printf(t, " host");
		else if (op->number[i] == UINT64_MAX)
			text_printf(t, " unlimited");
		else
			text_printf(t, " %llu", (unsigned long long)op->number[i]);
	}
}

static void verify_text(struct text *t, const struct op *op)
{
	text_printf(t, " uid");
	id_text(t, op->number[0]);
	text_printf(t, " gid");
	id_text(t, op->number[1]);
	text_printf(t, " caps");
	caps_text(t, op->number[2]);
}

/* What follows the operation's name and path. */
static void details(struct text *t, const struct plan *p, const struct op *op)
{
	switch (op->kind) {
	case OP_FD_KEEP:
		text_printf(t, op->number[0] == op->number[1] ? " %llu" : " %llu from %llu", (unsigned long long)op->number[0], (unsigned long long)op->number[1]);
		break;
	case OP_SIGNAL_DEFAULT: case OP_FD_NULL:
		text_printf(t, " %llu", (unsigned long long)op->number[0]);
		break;
	case OP_EACH_THREAD:
		text_printf(t, " %llu others, by signal %llu", (unsigned long long)op->number[1], (unsigned long long)op->number[0]);
		break;
	case OP_MKDIR: case OP_WRITE: case OP_UMASK: case OP_COPY:
		text_printf(t, " mode=%04llo", (unsigned long long)op->number[0]);
		break;
	case OP_DROP_BOUNDING:
		text_printf(t, " %u capabilities", count_bits(op->number[0]));
		break;
	case OP_SECUREBITS:
		text_printf(t, " %#llx", (unsigned long long)op->number[0]);
		break;
	case OP_CAPSET: case OP_AMBIENT:
		caps_text(t, op->number[0]);
		break;
	case OP_SETUID: case OP_SETGID:
		id_text(t, op->number[0]);
		break;
	case OP_SETGROUPS:
		for (size_t i = 0; i < op->data_len; i++)
			text_printf(t, " %u", ((const uint32_t *)op->data)[i]);
		text_printf(t, op->data_len ? "" : " none");
		break;
	case OP_RLIMIT:
		rlimit_text(t, op);
		break;
	case OP_LANDLOCK_RULESET:
		text_printf(t, " files=%#llx net=%#llx scoped=%#llx", (unsigned long long)op->number[0], (unsigned long long)op->number[1], (unsigned long long)op->number[2]);
		break;
	case OP_LANDLOCK_PATH:
		landlock_text(t, op->number[0]);
		break;
	case OP_LANDLOCK_PORT:
		text_printf(t, " %llu%s%s", (unsigned long long)op->number[0], op->number[1] & 1 ? " bind" : "", op->number[1] & 2 ? " connect" : "");
		break;
	case OP_VERIFY:
		verify_text(t, op);
		break;
	case OP_SECCOMP:
		text_printf(t, " %zu instructions", p->filters[op->number[0]].count);
		break;
	case OP_SYSCTL:
		text_printf(t, " = %.*s", (int)op->data_len, (const char *)op->data);
		break;
	case OP_TMPFS: case OP_ROOT_TMPFS: case OP_PROC: case OP_COW_STORE:
		if (op->data && *(const char *)op->data)
			text_printf(t, " %s", (const char *)op->data);
		break;
	case OP_OVERLAY: case OP_OVERLAY_ROOT:
		text_printf(t, op->number[0] == OVERLAY_RO ? " read-only" : " changes=%llu", (unsigned long long)op->number[0]);
		break;
	default:
		break;
	}
	attr_text(t, op->attr_set);
	if (op->flags & OPF_RECURSIVE)
		text_printf(t, " recursive");
	if (op->flags & OPF_GROUP)
		text_printf(t, " attributes-of-root");
	if (op->flags & OPF_OPENED)
		text_printf(t, " opened-by-launcher%s", p->opened[op->number[0]].idmap ? ",idmapped" : "");
}

static void path_text(struct text *t, const char *s, bool inside)
{
	text_printf(t, " ");
	if (inside && s[0] != '/' && strcmp(s, "."))
		text_printf(t, "/");
	text_quoted(t, s);
}

/* What the launcher does before the child exists. */
static void cgroups_text(struct text *t, const struct plan *p)
{
	for (size_t i = 0; i < p->cgroup_count; i++) {
		const struct cgroup_dir *d = &p->cgroups[i];
		if (d->leave)
			text_printf(t, "  %-12s leave-cgroup %s\n", "launcher", d->parent);
		if (d->enable)
			text_printf(t, "  %-12s enable-controllers %s/cgroup.subtree_control %s\n", "launcher", d->parent, d->enable);
		text_printf(t, "  %-12s make-cgroup v%u ", "launcher", d->version);
		if (d->parent)
			text_quoted(t, d->parent);
		else
			text_printf(t, "a scope of the %s manager", p->cgroup_manager);
		for (size_t k = 0; k < p->cgroup_write_count; k++) {
			if (p->cgroup_writes[k].dir != i)
				continue;
			text_printf(t, "\n  %-12s set-limit %s = ", "launcher", p->cgroup_writes[k].file);
			text_quoted(t, p->cgroup_writes[k].value ? p->cgroup_writes[k].value : "(as in the parent)");
			if (p->cgroup_writes[k].origin && strcmp(p->cgroup_writes[k].origin, "default"))
				text_printf(t, "  (%s)", p->cgroup_writes[k].origin);
		}
		text_printf(t, "\n");
	}
}

void plan_print(const struct plan *p, struct text *out)
{
	text_printf(out, "operations:\n");
	cgroups_text(out, p);
	for (size_t i = 0; i < p->op_count; i++) {
		const struct op *op = &p->ops[i];
		bool mount = op->section == SECTION_MOUNT;
		text_printf(out, "  %-12s %s", section_names[op->section], op_names[op->kind]);
		if (op->path2) {
			path_text(out, op->path2, false);
			text_printf(out, op->path ? " ->" : "");
		}
		if (op->path)
			path_text(out, op->path, mount && op->kind != OP_ROOT_TMPFS && op->kind != OP_ROOT_BIND && op->kind != OP_OVERLAY_ROOT);
		details(out, p, op);
		if (op->origin && strcmp(op->origin, "default") && strcmp(op->origin, "system"))
			text_printf(out, "  (%s)", op->origin);
		text_printf(out, "\n");
	}
	text_printf(out, "effective:\n");
	plan_rows(p, out);
}

void plan_rows(const struct plan *p, struct text *out)
{
	for (size_t i = 0; i < p->row_count; i++) {
		const struct row *r = &p->rows[i];
		text_printf(out, "  %-8s ", row_states[r->state]);
		text_quoted(out, r->what);
		text_printf(out, ": asked %s, got %s", r->asked, r->got);
		if (strcmp(r->means, "-"))
			text_printf(out, ", by %s", r->means);
		if (r->why)
			text_printf(out, "; %s", r->why);
		text_printf(out, " [%s]\n", r->origin ? r->origin : "default");
	}
}

static void field(struct text *t, const char *name, const char *value, bool first)
{
	text_printf(t, "%s\"%s\":", first ? "" : ",", name);
	if (value)
		text_json(t, value);
	else
		text_printf(t, "null");
}

static void cgroup_json(struct text *out, const struct plan *p, size_t i)
{
	const struct cgroup_dir *d = &p->cgroups[i];
	bool first = true;

	text_printf(out, "%s{\"version\":%u", i ? "," : "", d->version);
	field(out, "parent", d->parent, false);
	field(out, "enable", d->enable, false);
	text_printf(out, ",\"set\":{");
	for (size_t k = 0; k < p->cgroup_write_count; k++) {
		const struct cgroup_write *w = &p->cgroup_writes[k];
		if (w->dir != i)
			continue;
		field(out, w->file, w->value, first);
		first = false;
	}
	text_printf(out, "}}");
}

void plan_print_json(const struct plan *p, struct text *out)
{
	text_printf(out, "{\"operations\":[");
	for (size_t i = 0; i < p->op_count; i++) {
		const struct op *op = &p->ops[i];
		struct text d;
		text_init(&d);
		details(&d, p, op);
		text_printf(out, "%s{", i ? "," : "");
		field(out, "step", section_names[op->section], true);
		field(out, "op", op_names[op->kind], false);
		field(out, "path", op->path, false);
		field(out, "source", op->path2, false);
		field(out, "detail", d.s ? d.s + (d.s[0] == ' ') : "", false);
		field(out, "origin", op->origin, false);
		text_printf(out, "}");
		text_done(&d);
	}
	text_printf(out, "],\"cgroups\":[");
	for (size_t i = 0; i < p->cgroup_count; i++)
		cgroup_json(out, p, i);
	text_printf(out, "],\"effective\":");
	plan_rows_json(p, out);
	text_printf(out, "}\n");
}

void plan_rows_json(const struct plan *p, struct text *out)
{
	text_printf(out, "[");
	for (size_t i = 0; i < p->row_count; i++) {
		const struct row *r = &p->rows[i];
		text_printf(out, "%s{", i ? "," : "");
		field(out, "what", r->what, true);
		field(out, "state", row_states[r->state], false);
		field(out, "asked", r->asked, false);
		field(out, "got", r->got, false);
		field(out, "means", r->means, false);
		field(out, "why", r->why, false);
		field(out, "origin", r->origin, false);
		text_printf(out, "}");
	}
	text_printf(out, "]");
}
