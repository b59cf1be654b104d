/* Names of capabilities, by the kernel's numbers.
 * Runs in: parent. */
#ifndef HUTCH_CAPS_NAMES_H
#define HUTCH_CAPS_NAMES_H

#define CAP_NAMES(X) \
	X(chown) X(dac_override) X(dac_read_search) X(fowner) X(fsetid) X(kill) X(setgid) X(setuid) X(setpcap) \
	X(linux_immutable) X(net_bind_service) X(net_broadcast) X(net_admin) X(net_raw) X(ipc_lock) X(ipc_owner) \
	X(sys_module) X(sys_rawio) X(sys_chroot) X(sys_ptrace) X(sys_pacct) X(sys_admin) X(sys_boot) X(sys_nice) \
	X(sys_resource) X(sys_time) X(sys_tty_config) X(mknod) X(lease) X(audit_write) X(audit_control) X(setfcap) \
	X(mac_override) X(mac_admin) X(syslog) X(wake_alarm) X(block_suspend) X(audit_read) X(perfmon) X(bpf) \
	X(checkpoint_restore)

/* "cap_chown"…, NULL for a number that this table doesn't know. */
static inline const char *cap_name(unsigned n)
{
	static const char *const names[] = {
#define X(name) "cap_" #name,
		CAP_NAMES(X)
#undef X
	};
	return n < sizeof names / sizeof *names ? names[n] : (const char *)0;
}

#endif
