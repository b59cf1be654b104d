/* Freezing capabilities and securebits: names to bits.
 * Runs in: parent. */
#include "policy/freeze.h"

#include <string.h>
#include <strings.h>

/* By number, capabilities(7). A table of our own: a name must mean the same on every build. */
static const char *const capabilities[] = {
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
};
_Static_assert(COUNT_OF(capabilities) == 41, "all capabilities up to Linux 6.18");

static const char *const securebits[] = {
	"noroot", "noroot-locked", "no-setuid-fixup", "no-setuid-fixup-locked", "keep-caps", "keep-caps-locked",
	"no-cap-ambient-raise", "no-cap-ambient-raise-locked",
};

const char *capability_name(unsigned n)
{
	return n < COUNT_OF(capabilities) ? capabilities[n] : NULL;
}

static int find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcasecmp(names[i], name))
			return (int)i;
	}
	return -1;
}

static int bad_name(struct freeze *f, const struct draft_line *l, const char *const *names, size_t count, const char *name)
{
	const char *near = NULL;
	unsigned best = 4;

	for (size_t i = 0; i < count; i++) {
		unsigned edits = name_distance(names[i], name);
		if (edits < best) {
			best = edits;
			near = names[i];
		}
	}
	if (near)
		return bad_value(f, l, "there is no \"%.60s\"; did you mean %s?", name, near);
	return bad_value(f, l, "there is no \"%.60s\"", name);
}

/* none or NAME[,NAME…] */
static int name_bits(struct freeze *f, enum key_id key, const char *const *names, size_t count, const char *prefix, uint64_t *bits)
{
	struct draft_line def = { .key = key, .value = key_rows[key].def, .origin = "default" };
	const struct draft_line *l = f->winner[key] ? f->winner[key] : &def;
	const char *rest = l->value;

	if (!strcmp(rest, "none"))
		return 0;
	while (rest) {
		char *name = next_part(f, &rest, ',');
		if (!name)
			return error_nomem(f->error);
		if (prefix && !strncasecmp(name, prefix, strlen(prefix)))
			name += strlen(prefix);
		int n = find_name(names, count, name);
		if (n < 0)
			return bad_name(f, l, names, count, name);
		*bits |= UINT64_C(1) << n;
	}
	return 0;
}

int freeze_privilege(struct freeze *f)
{
	uint64_t bits = 0;

	if (name_bits(f, KEY_CAPS, capabilities, COUNT_OF(capabilities), "cap_", &f->policy->caps) < 0 ||
	    name_bits(f, KEY_SECUREBITS, securebits, COUNT_OF(securebits), NULL, &bits) < 0)
		return -1;
	f->policy->securebits = (uint32_t)bits;
	return 0;
}
