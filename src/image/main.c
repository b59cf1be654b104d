/* hutch-image: unpacks the layers of an OCI image layout into the store and says how to run it.
 * Runs in: parent (a process of its own). */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const struct option_row { const char *name; enum option_type type; const char *def, *value, *help; } rows[] = {
#define OPTION(symbol, name, type, def, value, help) { name, OPTION_##type, def, value, help },
#include "image/options.def"
#undef OPTION
};

static int usage(FILE *to, int status)
{
	fputs("usage: hutch-image [--flatten] [--records] [OPTION...] DIR[:TAG]\n\n"
	      "Unpacks an OCI image layout; started by `hutch run --image`.\n"
	      "  --flatten           all layers as one tree\n"
	      "  --records           for a program: records end with a NUL byte, errors come as records\n", to);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		fprintf(to, "  --%s=%s\n      %s%s%s%s\n", rows[i].name, rows[i].value, rows[i].help, rows[i].def ? " [" : "",
			rows[i].def ? rows[i].def : "", rows[i].def ? "]" : "");
	return status;
}

static int take_value(struct job *job, size_t i, const char *value)
{
	int r = 0;

	switch (rows[i].type) {
	case OPTION_TEXT: job->text[i] = value; break;
	case OPTION_SIZE: r = parse_size(value, &job->limit[i]); break;
	case OPTION_COUNT: r = parse_u64(value, &job->limit[i]); break;
	case OPTION_TIME: r = parse_seconds_ms(value, &job->limit[i]); break;
	}
	if (r == 0 && (rows[i].type == OPTION_TEXT || job->limit[i] <= INT64_MAX / 2))
		return 0;
	error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, arena_printf(&job->arena, "--image-%s=%s", rows[i].name, value), NULL);
	return error_detail(job->error, "it takes %s", rows[i].value);
}

static int take_option(struct job *job, const char *word)
{
	if (!strcmp(word, "--flatten"))
		return job->flatten = true, 0;
	if (!strcmp(word, "--records"))
		return job->records = true, 0;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t n = strlen(rows[i].name);
		if (!strncmp(word + 2, rows[i].name, n) && word[2 + n] == '=')
			return take_value(job, i, word + 2 + n + 1);
	}
	error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, word, NULL);
	return error_detail(job->error, "there is no such option");
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* DIR[:TAG]; both may hold colons: the shortest DIR that is a directory is it. */
static int open_layout(struct job *job, const char *word)
{
	job->layout_path = word;
	for (const char *colon = is_directory(word) ? NULL : strchr(word, ':'); colon; colon = strchr(colon + 1, ':')) {
		const char *path = arena_strndup(&job->arena, word, (size_t)(colon - word));
		if (!path)
			return error_nomem(job->error);
		if (!is_directory(path))
			continue;
		job->layout_path = path;
		job->tag = colon + 1;
		break;
	}
	job->layout = open(job->layout_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return job->layout < 0 ? error_set(job->error, ERR_IMAGE_LAYOUT, errno, "open", word, "--image") : 0;
}

static int read_words(struct job *job, int argc, char **argv)
{
	const char *where = NULL;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (rows[i].def && take_value(job, i, rows[i].def) < 0)
			return -1;
	}
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2) ? take_option(job, argv[i]) < 0 : where != NULL)
			return job->error->id ? -1 : (error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, argv[i], NULL), error_detail(job->error, "one image only"));
		if (strncmp(argv[i], "--", 2))
			where = argv[i];
	}
	if (!where)
		return error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, "DIR[:TAG]", NULL), error_detail(job->error, "it is missing");
	job->platform = platform_here();
	if (job->text[OPT_PLATFORM] && platform_parse(&job->arena, job->text[OPT_PLATFORM], &job->platform) < 0)
		return error_set(job->error, ERR_IMAGE_OPTION, 0, NULL, job->text[OPT_PLATFORM], "--image-platform"), error_detail(job->error, "it takes OS/ARCH[/VARIANT]");
	return open_layout(job, where);
}

/* A closed 0-2 would be taken by a file of the store, and written to as if it were the command. */
static int stdio_there(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct hutch_error e = { 0 };
	struct job job = { .error = &e, .layout = -1, .store = -1 };

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return usage(stdout, 0);
	if (argc < 2)
		return usage(stderr, 2);
	if (stdio_there() < 0 || getauxval(AT_SECURE))
		return 1;
	umask(077);
	/* Names are bytes, and archives say that theirs are UTF-8: with another set they would be converted. */
	setlocale(LC_CTYPE, "C.UTF-8");
	arena_init(&job.arena);
	text_init(&job.out);
	if (read_words(&job, argc, argv) == 0 && store_open(&job) == 0 && owners_decide(&job) == 0)
		return owners_run(&job, image_work);
	put_error(&job);
	return 1;
}
