/* What `hutch run --door=preload` and the library in the program agree on.
 * Runs in: any. */
#ifndef HUTCH_PRELOAD_H
#define HUTCH_PRELOAD_H

#define PRELOAD_LIBRARY "libhutch-preload.so"
#define PRELOAD_WORDS "HUTCH_PRELOAD_WORDS" /* descriptor of the policy's words, each ended by a zero byte */
#define PRELOAD_ACK "HUTCH_PRELOAD_ACK"     /* descriptor that gets PRELOAD_DONE once the program is confined */
#define PRELOAD_DONE "+"

#endif
