/* Parts of the renderer.
 * Runs in: inside. */
#ifndef EXAMPLE_RENDERER_H
#define EXAMPLE_RENDERER_H

#include <cairo.h>
#include <hutch/channel.h>

#include "browser.h"

struct view {
	hutch_channel *channel;
	cairo_t *cairo;
	cairo_font_face_t *plain, *bold;
	double width, height, x, y, left, size, line;
	unsigned pictures;
};

/* page.c: draws a page; what it has used is v->y. */
void page_draw(struct view *v, const char *html, size_t len);
/* picture.c: PNG or JPEG to a surface, NULL = neither, or damaged. */
cairo_surface_t *picture_decode(const unsigned char *bytes, size_t len);
/* renderer.c: bytes behind a picture's address, mapped; NULL = there is none. */
unsigned char *picture_ask(struct view *v, const char *address, size_t *len);
void note(struct view *v, const char *text);
/* hostile.c: what code that an attacker has brought in would do next. */
void hostile_act(struct view *v, const char *how);

#endif
