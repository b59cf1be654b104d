/* System call filters: rules to BPF words, Docker/OCI profiles, the simulator.
 * Runs in: parent (and at build time: the built-in filters are compiled by tools/filtergen). */
#ifndef HUTCH_FILTER_H
#define HUTCH_FILTER_H

#include <linux/filter.h>

#include "base/base.h"

/* Built-in programs (generated into build/, const). name: "default", "strict", or "setid" (default, but
 * files may be given set-id bits), with compat "filter" or
 * "deny", and which ids of the nest key. NULL if unknown. The words check the architecture first. */
const struct sock_filter *filter_builtin(const char *name, bool compat_deny, bool nest, size_t *count);

/* Compiles a Docker/OCI seccomp JSON profile for this machine: archMap, defaultAction, defaultErrnoRet,
 * syscalls with names, args, action, errnoRet, includes/excludes (caps, arches, minKernel). caps = those that
 * the policy keeps. Unknown syscall names are collected in *unknown (a row), never dropped in silence.
 * A file that starts with other bytes than '{' (after blanks) is raw BPF: a multiple of 8 bytes, checked by
 * a verifier of ours (jumps in range, ends in return). *text is what explain prints: the parts ignored and why. */
int filter_profile(struct arena *a, const char *path, const char *bytes, size_t len, uint64_t caps,
		   unsigned kernel_major, unsigned kernel_minor, struct sock_filter **words, size_t *count,
		   struct text *notes, const char *origin, struct hutch_error *e);

struct seccomp_data;
/* Would the kernel load it? */
bool filter_valid(const struct sock_filter *words, size_t count);
/* Runs the words on data as the kernel would. Returns the SECCOMP_RET_* value; -1 = bad program. */
int64_t filter_simulate(const struct sock_filter *words, size_t count, const struct seccomp_data *data);

/* Names of system calls: arch is AUDIT_ARCH_*. -1 / NULL if unknown. */
int syscall_number(uint32_t arch, const char *name);
const char *syscall_name(uint32_t arch, int number);
#endif
