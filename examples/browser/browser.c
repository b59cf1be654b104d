/* browser FOLDER URL…: shows each page as FOLDER/N.png. This program, the broker, has the network and the files, and
 * reads nothing of a page itself: HTML, PNG and JPEG are read, and the page is drawn, by a renderer for each page that
 * is confined to its libraries, a font, and what is passed to it.
 * Runs in: parent. */
#include <cairo.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <hutch/channel.h>

#include "browser.h"

enum { WIDTH = 800, HEIGHT = 2000, PAGE_LIMIT_MS = 4000, FRAMES_MAX = 60, RUN_FDS = 16 };

struct page { const char *url, *out; hutch_channel *channel; hutch_run *run; const unsigned char *pixels; int canvas; unsigned pictures, frames; };

static void complain(const char *what, const struct hutch_error *e)
{
	char text[2048];

	hutch_error_text(e, text, sizeof text);
	text[strcspn(text, "\n")] = 0;
	printf("  %s: %s\n", what, text);
}

/* A line from the renderer goes to our terminal: letters only. */
static void print_note(const char *text, size_t len)
{
	fputs("  the renderer says: ", stdout);
	for (size_t i = 0; i < len && i < 200; i++)
		putchar(text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
	putchar('\n');
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Memory of a size that nobody can change any more, whoever gets the descriptor. */
static int memory(const char *name, const void *bytes, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) == 0 && (!bytes || pwrite(fd, bytes, size, 0) == (ssize_t)size) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (bytes ? F_SEAL_WRITE : 0)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- what the renderer asks for ---- */
static int give_picture(struct page *p, const char *link, struct hutch_error *e)
{
	unsigned char *bytes = NULL;
	char url[1024];
	size_t len = 0;
	int fd = -1, r;

	if (p->pictures++ < PICTURES_MAX && resolve(p->url, link, url, sizeof url) == 0 && fetch(url, PICTURE_MAX, &bytes, &len) == 0)
		fd = memory("picture", bytes, len);
	else
		print_note(link, strlen(link)), puts("  … which it doesn't get");
	free(bytes);
	r = hutch_channel_put(p->channel, TAG_PICTURE, NULL, 0, &fd, fd >= 0, 2000, e);
	if (fd >= 0)
		close(fd);
	return r == 1 ? 0 : -1;
}

static int save(const struct page *p, const char *data, size_t len)
{
	struct canvas used;
	cairo_surface_t *s;
	unsigned char *copy;
	int r;

	if (len != sizeof used)
		return -1;
	memcpy(&used, data, sizeof used);
	if (used.width != WIDTH || used.height < 1 || used.height > HEIGHT)
		return -1;
	/* The renderer may still write there: a copy is drawn once, whatever it shows. */
	copy = malloc((size_t)WIDTH * 4 * used.height);
	if (!copy)
		return -1;
	memcpy(copy, p->pixels, (size_t)WIDTH * 4 * used.height);
	s = cairo_image_surface_create_for_data(copy, CAIRO_FORMAT_RGB24, WIDTH, (int)used.height, WIDTH * 4);
	r = cairo_surface_write_to_png(s, p->out) == CAIRO_STATUS_SUCCESS ? 1 : -1;
	cairo_surface_destroy(s);
	free(copy);
	return r;
}

/* 0 = goes on, 1 = done, -1 = a frame that makes no sense. */
static int answer(struct page *p, const struct hutch_frame *f, struct hutch_error *e)
{
	char text[FRAME + 1];

	memcpy(text, f->data, f->len);
	text[f->len] = 0;
	if (++p->frames > FRAMES_MAX)
		return -1;
	if (f->tag == TAG_WANT && strlen(text) == f->len)
		return give_picture(p, text, e);
	if (f->tag == TAG_NOTE)
		return print_note(text, f->len), 0;
	return f->tag == TAG_DONE ? save(p, text, f->len) : -1;
}

/* Waits for a frame, and does meanwhile what the run needs: its limits of time, and of memory where no cgroup holds
 * it. 0 = the time is up. */
static int next(struct page *p, struct hutch_frame *f, int64_t end, struct hutch_error *e)
{
	struct pollfd fds[1 + RUN_FDS];
	int r;

	while ((r = hutch_channel_receive(p->channel, f, e)) == 0) {
		int64_t left = end - now_ms();
		int again = hutch_channel_poll(p->channel, fds), n = hutch_run_pollfds(p->run, fds + 1, RUN_FDS);
		if (left <= 0)
			return 0;
		if (poll(fds, (nfds_t)n + 1, again >= 0 && again < left ? again : (int)left) > 0)
			hutch_run_step(p->run, fds + 1, n, NULL);
	}
	return r;
}

static int serve(struct page *p, struct hutch_error *e)
{
	char room[FRAME];
	struct hutch_frame f = { .data = room, .size = sizeof room };
	int64_t end = now_ms() + PAGE_LIMIT_MS;

	for (;;) {
		int r = next(p, &f, end, e);
		if (r == 0)
			return puts("  it took too long"), -1;
		if (r != 1)
			return r == 2 ? puts("  it ended before the page was drawn"), -2 : (complain("channel", e), -1);
		r = answer(p, &f, e);
		if (r < 0)
			puts("  it sent what makes no sense");
		if (r)
			return r;
	}
}

/* ---- one renderer for one page ---- */
/* Its socket closes a moment before it is gone: how it ended is worth that moment, but no more. */
static void let_end(hutch_run *run)
{
	int64_t end = now_ms() + 500;
	struct pollfd p[RUN_FDS];
	int n;

	do {
		n = hutch_run_pollfds(run, p, RUN_FDS);
		poll(p, (nfds_t)n, 50);
	} while (now_ms() < end && hutch_run_step(run, p, n, NULL) == 0);
}

static int begin(struct page *p, const unsigned char *bytes, size_t len, struct hutch_error *e)
{
	struct canvas c = { WIDTH, HEIGHT };
	int html = memory("page", bytes, len), both[2] = { html, p->canvas };
	int r = html < 0 ? -1 : hutch_channel_put(p->channel, TAG_PAGE, &c, sizeof c, both, 2, 2000, e);

	if (html >= 0)
		close(html);
	return r == 1 ? 0 : -1;
}

/* What the cgroup counted, else the largest process. */
static int64_t most_kib(const struct hutch_report *r)
{
	return r->memory_peak > 0 ? r->memory_peak / 1024 : r->max_rss_kib;
}

static int render(const hutch_plan *plan, struct page *p, const unsigned char *bytes, size_t len)
{
	struct hutch_channel_limits limits = { .frame_max = FRAME, .frames_per_second = 200 };
	struct hutch_error e = { 0 };
	struct hutch_report report;
	hutch_run *run;
	int r = -1;

	if (hutch_channel_spawn(plan, 3, &limits, &p->run, &p->channel, &e) < 0)
		return complain("renderer", &e), -1;
	run = p->run;
	if (begin(p, bytes, len, &e) == 0)
		r = serve(p, &e);
	hutch_channel_free(p->channel);
	/* One that has done its work ends by itself at once; any other is ended. */
	if (r == -2)
		let_end(run);
	if (r < 0)
		hutch_run_kill(run, NULL);
	if (hutch_run_wait(run, &report, &e) == 0)
		printf("  %s; renderer: %s, %s %d, %lld ms, set up in %.1f ms, %lld MiB at most\n", r == 1 ? p->out : "no picture of this page",
		       hutch_end_name(report.end), report.signal ? "signal" : "status", report.signal ? report.signal : report.exit_code,
		       (long long)report.wall_us / 1000, (double)report.setup_us / 1000, (long long)most_kib(&report) / 1024);
	hutch_run_free(run);
	return r;
}

static int show(const hutch_plan *plan, const char *url, const char *out)
{
	struct page p = { .url = url, .out = out, .canvas = memory("canvas", NULL, (size_t)WIDTH * HEIGHT * 4) };
	unsigned char *bytes = NULL;
	size_t len = 0;
	int r = -1;

	printf("%s\n", url);
	if (fetch(url, PAGE_MAX, &bytes, &len) < 0)
		puts("  can't be fetched");
	else if (p.canvas >= 0) {
		void *map = mmap(NULL, (size_t)WIDTH * HEIGHT * 4, PROT_READ, MAP_SHARED, p.canvas, 0);
		p.pixels = map;
		if (map != MAP_FAILED) {
			r = render(plan, &p, bytes, len);
			munmap(map, (size_t)WIDTH * HEIGHT * 4);
		}
	}
	if (p.canvas >= 0)
		close(p.canvas);
	free(bytes);
	return r == 1 ? 0 : -1;
}

static hutch_plan *renderer_plan(char *renderer, struct hutch_error *e)
{
	static const char *const lines[][2] = {
		/* Libraries and fonts, and nothing else of this machine. */
		{ "system", "no" }, { "ro", "/usr/lib" }, { "ro", "?/usr/lib64" }, { "ro", "/usr/share/fonts" }, { "ro", "?/etc/ld.so.cache" },
		{ "symlink", "usr/lib:/lib" }, { "symlink", "usr/lib64:/lib64" },
		{ "proc", "none" }, { "dev", "none" }, { "home", "none" }, { "cwd-access", "none" }, { "net", "none" },
		{ "seccomp", "strict" }, { "compat-abi", "deny" }, { "fd", "3" }, { "fd", "0=0" },
		/* Where no cgroup can be had, something weaker stands in. */
		{ "limits", "prefer" }, { "memory", "96M" }, { "pids", "4" }, { "wall-time", "10s" },
		{ "rlimit-nofile", "32" }, { "rlimit-fsize", "0" }, { "tmp-size", "64K" },
	};
	char *argv[] = { renderer, NULL };
	hutch_policy *p = hutch_policy_new();
	hutch_plan *plan = NULL;
	int r = p ? 0 : -1;

	for (size_t i = 0; r == 0 && i < sizeof lines / sizeof *lines; i++)
		r = hutch_policy_set(p, lines[i][0], lines[i][1], e);
	if (r == 0 && hutch_policy_command(p, argv, e) == 0)
		hutch_plan_new(p, false, &plan, e);
	hutch_policy_free(p);
	return plan;
}

int main(int argc, char **argv)
{
	struct hutch_error e = { 0 };
	char renderer[4200], out[4200];
	ssize_t n = readlink("/proc/self/exe", renderer, 4000);
	hutch_plan *plan;
	int failures = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (argc < 3 || n < 0 || null < 0 || dup2(null, 0) < 0) {
		fputs("usage: browser FOLDER URL...\n", stderr);
		return 2;
	}
	renderer[n] = 0;
	strcpy(strrchr(renderer, '/') + 1, "renderer"); /* beside this program */
	setvbuf(stdout, NULL, _IOLBF, 0);
	plan = renderer_plan(renderer, &e);
	if (!plan)
		return complain("plan", &e), 1;
	for (int i = 2; i < argc; i++) {
		snprintf(out, sizeof out, "%s/%d.png", argv[1], i - 1);
		failures += show(plan, argv[i], out) < 0;
	}
	hutch_plan_free(plan);
	printf("%d of %d pages drawn; this program goes on\n", argc - 2 - failures, argc - 2);
	return 0;
}
