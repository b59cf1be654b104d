/* What broker and renderer say to each other, one frame each. The broker believes none of it.
 * Runs in: parent (broker), inside (renderer). */
#ifndef EXAMPLE_BROWSER_H
#define EXAMPLE_BROWSER_H

#include <stddef.h>
#include <stdint.h>

enum {
	TAG_PAGE = 1,   /* to the renderer: two descriptors, the page's bytes and the canvas; data: struct canvas */
	TAG_WANT,       /* to the broker: the address of a picture, as the page writes it */
	TAG_PICTURE,    /* to the renderer: a descriptor with the bytes, or none if there is no such picture */
	TAG_NOTE,       /* to the broker: a line of text for the log */
	TAG_DONE,       /* to the broker: struct canvas, height = what was used */
};

struct canvas { uint32_t width, height; }; /* pixels of 4 bytes, no gap between the lines */

enum { PAGE_MAX = 1 << 20, PICTURE_MAX = 4 << 20, PICTURES_MAX = 16, FRAME = 4096 };

/* fetch.c: GET of http://127.0.0.1:PORT/PATH, bounded in size and time. Bytes are malloc'd; -1 = none. */
int fetch(const char *url, size_t most, unsigned char **bytes, size_t *len);
/* The absolute address of a page's link, if it is of the page's own server. 0, or -1. */
int resolve(const char *page, const char *link, char *out, size_t size);

#endif
