/* hutch inspect: prints what the process it runs in can see and do.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <hutch/hutch.h>

struct arguments {
	struct inspect_options collect;
	enum { AS_TEXT, AS_JSON, AS_WIRE } form;
	bool help;
};

static const char usage[] =
	"usage: hutch inspect [--json] [--alloc SIZE] [--dir PATH]\n\n"
	"Prints what the process it runs in can see and do. Meant to be run inside:\n"
	"  hutch run -- hutch inspect\n\n"
	"  --json        one JSON object\n"
	"  --alloc SIZE  how far memory is tried: 256M if not given, 0 = not at all\n"
	"  --dir PATH    a directory whose names are listed, and whether a file could be made in it\n";

/* 256M, 1G, or plain MiB. */
static int parse_alloc(const char *s, unsigned *mib)
{
	char *end;
	unsigned long v;

	if (*s < '0' || *s > '9')
		return -1;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || v > 1 << 20)
		return -1;
	if (!strcmp(end, "G") || !strcmp(end, "g"))
		v *= 1024;
	else if (*end && strcmp(end, "M") && strcmp(end, "m"))
		return -1;
	*mib = (unsigned)v;
	return v > 1 << 20 ? -1 : 0;
}

/* Value of an option that takes one: "--name=value" or the next word. NULL = not this option. */
static const char *value_of(const char *name, int argc, char *const argv[], int *at)
{
	size_t n = strlen(name);

	if (!strncmp(argv[*at], name, n) && argv[*at][n] == '=')
		return argv[*at] + n + 1;
	if (strcmp(argv[*at], name) || *at + 1 >= argc || !argv[*at + 1])
		return NULL;
	return argv[++*at];
}

static int parse(struct arguments *a, int argc, char *const argv[])
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value;
		if (!strcmp(word, "--json"))
			a->form = AS_JSON;
		else if (!strcmp(word, "--wire")) /* for hutch demo: the struct itself */
			a->form = AS_WIRE;
		else if (!strcmp(word, "--try-create"))
			a->collect.try_create = true;
		else if (!strcmp(word, "--help") || !strcmp(word, "-h"))
			a->help = true;
		else if ((value = value_of("--dir", argc, argv, &i)))
			a->collect.dir = value;
		else if (!(value = value_of("--alloc", argc, argv, &i)) || parse_alloc(value, &a->collect.alloc_mib) < 0)
			return fprintf(stderr, "hutch: inspect: not understood: %s\n%s", word, usage), -1;
	}
	return 0;
}

static size_t terminal_width(void)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) < 0 || w.ws_col < 40)
		return 100;
	return w.ws_col;
}

static int print(const struct arguments *a, const struct report *r)
{
	const char *no_colour = getenv("NO_COLOR");
	int bad;

	if (a->form == AS_WIRE)
		bad = fwrite(r, sizeof *r, 1, stdout) != 1;
	else if (a->form == AS_JSON)
		bad = print_json(stdout, r);
	else
		bad = print_text(stdout, r, terminal_width(), isatty(1) && !(no_colour && *no_colour));
	if (fflush(stdout) || ferror(stdout) || bad) {
		fprintf(stderr, "hutch: inspect: writing the report: %s\n", strerror(errno));
		return HUTCH_EXIT_FAILED;
	}
	return 0;
}

int inspect_main(int argc, char *const argv[])
{
	struct arguments a = { .collect.alloc_mib = 256 };
	struct report *r;
	int status;

	if (parse(&a, argc, argv) < 0)
		return 2;
	if (a.help)
		return fputs(usage, stdout) < 0 || fflush(stdout) ? HUTCH_EXIT_FAILED : 0;
	r = malloc(sizeof *r);
	if (!r)
		return fputs("hutch: out of memory\n", stderr), HUTCH_EXIT_FAILED;
	report_collect(r, &a.collect);
	status = print(&a, r);
	free(r);
	return status;
}
