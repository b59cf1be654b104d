/* The error object of libhutch: one plain struct, owned by the caller, no heap behind it.
 * Runs in: any. */
#ifndef HUTCH_ERROR_H
#define HUTCH_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HUTCH_API __attribute__((visibility("default")))

/* Filled by every function that returns -1. Strings are NUL-terminated and cut where too long.
 * Zero-initialise it, or call hutch_error_clear(). Threads need one each. */
struct hutch_error {
	uint32_t id;        /* stable number, hutch-errors(7); 0 = no error */
	int32_t errnum;     /* errno of the failed call, 0 = none */
	char layer[16];     /* "mount", "policy", … */
	char step[96];      /* what was being done, in words */
	char call[32];      /* the system call, "" = none */
	char subject[256];  /* the path, key or syscall that it is about */
	char origin[128];   /* where the setting came from: file:line, argv[n], preset, api */
	char detail[256];   /* more facts */
	char remedy[512];   /* what to do */
};

/* No error: id 0, all texts empty. */
HUTCH_API void hutch_error_clear(struct hutch_error *e);

/* Writes the text form of *e (several lines, each ended by \n, NUL-terminated, cut to size) into
 * buffer. Returns the length that the whole text has, like snprintf(3). */
HUTCH_API size_t hutch_error_text(const struct hutch_error *e, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
#endif
