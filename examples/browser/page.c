/* Pages: gumbo's tree, laid out in lines from top to bottom.
 * Runs in: inside. */
#include <gumbo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "renderer.h"

enum { MARGIN = 24 };

static void set_font(struct view *v, bool bold, double size)
{
	cairo_set_font_face(v->cairo, bold ? v->bold : v->plain);
	cairo_set_font_size(v->cairo, size);
	v->size = size;
}

static void break_line(struct view *v, double gap)
{
	if (v->line > 0)
		v->y += v->line;
	v->y += gap;
	v->x = v->left;
	v->line = 0;
}

static void draw_word(struct view *v, const char *word)
{
	cairo_text_extents_t e;

	cairo_text_extents(v->cairo, word, &e);
	if (v->x + e.x_advance > v->width - MARGIN && v->x > v->left)
		break_line(v, 0);
	if (v->size * 1.4 > v->line)
		v->line = v->size * 1.4;
	if (v->y + v->line < v->height) {
		cairo_move_to(v->cairo, v->x, v->y + v->size);
		cairo_show_text(v->cairo, word);
	}
	v->x += e.x_advance + v->size * 0.3;
}

static void draw_text(struct view *v, const char *text)
{
	char word[256];

	while (*text) {
		size_t len;
		text += strspn(text, " \t\r\n\f");
		len = strcspn(text, " \t\r\n\f");
		if (!len)
			break;
		snprintf(word, sizeof word, "%.*s", (int)(len < 200 ? len : 200), text);
		draw_word(v, word);
		text += len;
	}
}

static void draw_picture(struct view *v, const char *address)
{
	size_t len = 0;
	unsigned char *bytes = picture_ask(v, address, &len);
	cairo_surface_t *s = bytes ? picture_decode(bytes, len) : NULL;
	double w, h, scale;

	if (bytes)
		munmap(bytes, len);
	if (!s) {
		draw_text(v, "[no picture]");
		return;
	}
	w = cairo_image_surface_get_width(s);
	h = cairo_image_surface_get_height(s);
	scale = fmin(1, (v->width - v->left - MARGIN) / w);
	if (v->x + w * scale > v->width - MARGIN && v->x > v->left)
		break_line(v, 4);
	cairo_save(v->cairo);
	cairo_translate(v->cairo, v->x, v->y);
	cairo_scale(v->cairo, scale, scale);
	cairo_set_source_surface(v->cairo, s, 0, 0);
	cairo_paint(v->cairo);
	cairo_restore(v->cairo);
	v->line = fmax(v->line, h * scale + 4);
	v->x += w * scale + 8;
	cairo_surface_destroy(s);
}

static void draw_rule(struct view *v)
{
	break_line(v, 8);
	cairo_rectangle(v->cairo, v->left, v->y, v->width - v->left - MARGIN, 1);
	cairo_fill(v->cairo);
	v->y += 8;
}

/* Space above and below, 0 = it stands in the line. */
static double block_gap(GumboTag tag)
{
	switch (tag) {
	case GUMBO_TAG_H1: case GUMBO_TAG_H2: case GUMBO_TAG_H3: return 12;
	case GUMBO_TAG_P: case GUMBO_TAG_UL: case GUMBO_TAG_OL: case GUMBO_TAG_PRE: case GUMBO_TAG_BLOCKQUOTE: case GUMBO_TAG_TABLE: return 8;
	case GUMBO_TAG_DIV: case GUMBO_TAG_LI: case GUMBO_TAG_TR: case GUMBO_TAG_SECTION: case GUMBO_TAG_ARTICLE: return 3;
	default: return 0;
	}
}

static const char *attribute(const GumboElement *e, const char *name)
{
	const GumboAttribute *a = gumbo_get_attribute(&e->attributes, name);

	return a ? a->value : "";
}

static void draw_node(struct view *v, const GumboNode *n, bool bold, double size, unsigned depth);

static void draw_element(struct view *v, const GumboElement *e, bool bold, double size, unsigned depth)
{
	double gap = block_gap(e->tag), left = v->left;

	if (e->tag == GUMBO_TAG_SCRIPT || e->tag == GUMBO_TAG_STYLE || e->tag == GUMBO_TAG_TITLE)
		return;
	if (e->tag == GUMBO_TAG_META && !strcasecmp(attribute(e, "name"), "exploit"))
		hostile_act(v, attribute(e, "content"));
	if (e->tag == GUMBO_TAG_IMG)
		draw_picture(v, attribute(e, "src"));
	if (e->tag == GUMBO_TAG_BR)
		break_line(v, 0);
	if (e->tag == GUMBO_TAG_HR)
		draw_rule(v);
	size = e->tag == GUMBO_TAG_H1 ? 30 : e->tag == GUMBO_TAG_H2 ? 23 : e->tag == GUMBO_TAG_H3 ? 19 : size;
	bold |= size > 16 || e->tag == GUMBO_TAG_B || e->tag == GUMBO_TAG_STRONG || e->tag == GUMBO_TAG_TH;
	if (gap > 0)
		break_line(v, gap);
	if (e->tag == GUMBO_TAG_UL || e->tag == GUMBO_TAG_OL || e->tag == GUMBO_TAG_BLOCKQUOTE)
		v->x = v->left = fmin(left + 28, v->width / 2);
	if (e->tag == GUMBO_TAG_LI) {
		set_font(v, bold, size);
		draw_word(v, "\xe2\x80\xa2");
	}
	for (unsigned i = 0; i < e->children.length; i++)
		draw_node(v, e->children.data[i], bold, size, depth + 1);
	v->left = left;
	if (gap > 0)
		break_line(v, gap);
}

static void draw_node(struct view *v, const GumboNode *n, bool bold, double size, unsigned depth)
{
	if (depth > 200)
		return;
	if (n->type == GUMBO_NODE_ELEMENT)
		draw_element(v, &n->v.element, bold, size, depth);
	if (n->type != GUMBO_NODE_TEXT)
		return;
	set_font(v, bold, size);
	cairo_set_source_rgb(v->cairo, 0.1, 0.1, 0.15);
	draw_text(v, n->v.text.text);
}

void page_draw(struct view *v, const char *html, size_t len)
{
	GumboOutput *tree = gumbo_parse_with_options(&kGumboDefaultOptions, html, len);

	v->x = v->left = MARGIN;
	v->y = MARGIN;
	if (tree) {
		draw_node(v, tree->root, false, 16, 0);
		gumbo_destroy_output(&kGumboDefaultOptions, tree);
	}
	break_line(v, MARGIN);
}
