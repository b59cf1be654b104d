/* A plan as one block of bytes at a fixed address: what the launching helper maps and executes.
 * Runs in: parent (packed), child (mapped). */
#ifndef HUTCH_IMAGE_H
#define HUTCH_IMAGE_H

#include "layer/layer.h"

/* Where no kernel puts anything by itself, with address spaces of 39 bits too. */
#define IMAGE_BASE UINT64_C(0x1000000000)
#define IMAGE_MAGIC UINT64_C(0x3147414d49545548)

/* At the start of the block. Every pointer that the child follows leads into the block. */
struct image_header {
	uint64_t magic, size;
	struct child child;
	struct plan plan;
	struct policy policy;
	struct hutch_error error;
	uint32_t allocated_id;
};

/* The first word of the helper's argv: descriptor and offset of the block, in decimal, "FD OFFSET". */

/* Packs *c and the plan behind it. malloc'd; NULL = no memory. */
void *image_pack(const struct child *c, size_t *size);

#endif
