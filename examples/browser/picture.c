/* Pictures: libpng and libjpeg, in the one process that may fall to them.
 * Runs in: inside. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "renderer.h"

enum { SIDE_MAX = 4000 };

/* cairo takes colours that are multiplied by their alpha already. */
static void premultiply(unsigned char *p, size_t count)
{
	for (; count; count--, p += 4) {
		for (int i = 0; i < 3; i++)
			p[i] = (unsigned char)(p[i] * p[3] / 255);
	}
}

static cairo_surface_t *from_png(const unsigned char *bytes, size_t len)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	cairo_surface_t *s = NULL;

	if (png_image_begin_read_from_memory(&image, bytes, len) && image.width <= SIDE_MAX && image.height <= SIDE_MAX) {
		image.format = PNG_FORMAT_BGRA;
		s = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)image.width, (int)image.height);
		if (cairo_surface_status(s) || !png_image_finish_read(&image, NULL, cairo_image_surface_get_data(s), cairo_image_surface_get_stride(s), NULL)) {
			cairo_surface_destroy(s);
			s = NULL;
		}
	}
	if (s)
		premultiply(cairo_image_surface_get_data(s), (size_t)image.width * image.height);
	png_image_free(&image);
	return s;
}

struct jpeg_error { struct jpeg_error_mgr base; jmp_buf back; };

static void on_error(j_common_ptr info)
{
	longjmp(((struct jpeg_error *)(void *)info->err)->back, 1);
}

static void on_message(j_common_ptr info)
{
	(void)info;
}

static cairo_surface_t *from_jpeg(const unsigned char *bytes, size_t len)
{
	struct jpeg_decompress_struct info;
	struct jpeg_error error;
	cairo_surface_t *volatile s = NULL;

	info.err = jpeg_std_error(&error.base);
	error.base.error_exit = on_error;
	error.base.output_message = on_message;
	jpeg_create_decompress(&info);
	if (setjmp(error.back)) {
		jpeg_destroy_decompress(&info);
		if (s)
			cairo_surface_destroy(s);
		return NULL;
	}
	jpeg_mem_src(&info, bytes, len);
	jpeg_read_header(&info, TRUE);
	if (info.image_width > SIDE_MAX || info.image_height > SIDE_MAX)
		longjmp(error.back, 1);
	info.out_color_space = JCS_EXT_BGRX;
	s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)info.image_width, (int)info.image_height);
	if (cairo_surface_status(s))
		longjmp(error.back, 1);
	jpeg_start_decompress(&info);
	while (info.output_scanline < info.output_height) {
		unsigned char *line = cairo_image_surface_get_data(s) + (size_t)info.output_scanline * (size_t)cairo_image_surface_get_stride(s);
		jpeg_read_scanlines(&info, &line, 1);
	}
	jpeg_finish_decompress(&info);
	jpeg_destroy_decompress(&info);
	return s;
}

cairo_surface_t *picture_decode(const unsigned char *bytes, size_t len)
{
	cairo_surface_t *s = NULL;

	if (len > 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8))
		s = from_png(bytes, len);
	else if (len > 3 && !memcmp(bytes, "\xff\xd8\xff", 3))
		s = from_jpeg(bytes, len);
	if (s)
		cairo_surface_mark_dirty(s);
	return s;
}
