/* The handshake between launcher and sandbox: one SEQPACKET pair, typed messages.
 * Runs in: parent, child, init. */
#ifndef HUTCH_SYNC_H
#define HUTCH_SYNC_H

#include <stdint.h>
#include <sys/types.h>

enum message_type {
	MSG_GO = 0x48475031,  /* launcher -> child: ids are mapped, go on */
	MSG_PID,              /* child -> launcher: a = pid of the process that goes on (after joining) */
	MSG_PTY,              /* child -> launcher: carries the master of the private terminal */
	MSG_LISTENER,         /* child -> launcher: carries the listener of denied system calls */
	MSG_STORE,            /* child -> launcher: carries the directory of changes that are kept in memory */
	MSG_SIGNAL,           /* launcher -> init: a = signal for the program */
	MSG_STOPPED,          /* init -> launcher: the program was stopped by signal a */
	MSG_ENDED,            /* init -> launcher: a = CLD_* code, b = exit code or signal, times */
};
struct message {
	uint32_t type;
	int32_t a, b;
	int32_t reserved;     /* MSG_ENDED: a private file system was full */
	int64_t user_us, system_us, max_rss_kib;
};
/* fd: a descriptor to pass along, -1 = none. 0 or -errno. */
int sync_send(int socket, const struct message *m, int fd);
/* Waits up to timeout_ms (-1 = for ever, 0 = don't wait). 1 = got one, 0 = end of the other side, -errno
 * (-ETIMEDOUT when the time is up). *fd = passed descriptor or -1. Anything malformed is -EPROTO. */
int sync_receive(int socket, struct message *m, int *fd, int timeout_ms);

/* What comes through the status pipe. READY, with the processor time of set-up behind it, is written right before
 * exec; then an error or EOF follows. */
#define STATUS_READY 0x52454459u
#define STATUS_ERROR 0x4552524fu
struct status_ready { uint32_t tag, cost_us; };

#endif
