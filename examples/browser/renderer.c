/* The renderer: one page, from bytes to pixels. It holds a channel to the broker, and nothing else.
 * Runs in: inside. */
#include <cairo-ft.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "renderer.h"

#define FONTS "/usr/share/fonts/truetype/dejavu/"

static void *map_whole(int fd, int access, size_t *len)
{
	struct stat st;
	void *p = NULL;

	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		*len = (size_t)st.st_size;
		p = mmap(NULL, *len, access, access & PROT_WRITE ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	}
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void note(struct view *v, const char *text)
{
	hutch_channel_put(v->channel, TAG_NOTE, text, strnlen(text, 200), NULL, 0, -1, NULL);
}

unsigned char *picture_ask(struct view *v, const char *address, size_t *len)
{
	char room[FRAME];
	struct hutch_frame f = { .data = room, .size = sizeof room };

	if (strlen(address) > 1000 || v->pictures++ >= PICTURES_MAX)
		return NULL;
	if (hutch_channel_put(v->channel, TAG_WANT, address, strlen(address), NULL, 0, -1, NULL) != 1 ||
	    hutch_channel_next(v->channel, &f, -1, NULL) != 1 || f.tag != TAG_PICTURE || f.fd_count != 1)
		return NULL;
	return map_whole(f.fds[0], PROT_READ, len);
}

static cairo_font_face_t *font(FT_Library library, const char *file)
{
	FT_Face face;

	return FT_New_Face(library, file, 0, &face) ? NULL : cairo_ft_font_face_create_for_ft_face(face, 0);
}

static int draw(struct view *v, const struct hutch_frame *f)
{
	FT_Library library;
	struct canvas c;
	size_t html_len = 0, canvas_len = 0;
	char *html;
	unsigned char *pixels;

	memcpy(&c, f->data, sizeof c);
	html = map_whole(f->fds[0], PROT_READ, &html_len);
	pixels = map_whole(f->fds[1], PROT_READ | PROT_WRITE, &canvas_len);
	if (!pixels || canvas_len < (size_t)c.width * c.height * 4 || FT_Init_FreeType(&library))
		return 3;
	cairo_surface_t *s = cairo_image_surface_create_for_data(pixels, CAIRO_FORMAT_RGB24, (int)c.width, (int)c.height, (int)c.width * 4);
	v->cairo = cairo_create(s);
	v->plain = font(library, FONTS "DejaVuSans.ttf");
	v->bold = font(library, FONTS "DejaVuSans-Bold.ttf");
	if (!v->plain || !v->bold)
		return 4;
	v->width = c.width;
	v->height = c.height;
	cairo_set_source_rgb(v->cairo, 1, 1, 1);
	cairo_paint(v->cairo);
	if (html)
		page_draw(v, html, html_len);
	cairo_surface_flush(s);
	c.height = v->y < 100 ? 100 : v->y > c.height ? c.height : (uint32_t)v->y;
	return hutch_channel_put(v->channel, TAG_DONE, &c, sizeof c, NULL, 0, -1, NULL) == 1 ? 0 : 5;
}

int main(void)
{
	struct hutch_channel_limits limits = { .frame_max = FRAME, .fds_max = 2 };
	char room[FRAME];
	struct hutch_frame f = { .data = room, .size = sizeof room };
	struct view v = { 0 };

	if (hutch_channel_open(3, &limits, &v.channel, NULL) < 0 || hutch_channel_next(v.channel, &f, -1, NULL) != 1 ||
	    f.tag != TAG_PAGE || f.fd_count != 2 || f.len != sizeof(struct canvas)) {
		fputs("renderer: it is started by browser\n", stderr);
		return 2;
	}
	return draw(&v, &f);
}
