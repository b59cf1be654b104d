/* hutch inspect: prints what the process it runs in can see and do.
 * Runs in: any. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "inspect/inspect.h"

enum form { FORM_TEXT, FORM_JSON, FORM_RAW, FORM_HELP };

static const char usage[] =
"usage: hutch inspect [--json] [--alloc MIB] [--dir PATH]\n\n"
"Prints what the process that it runs in can see and do. Compare `hutch inspect` with\n"
"`hutch run -- hutch inspect`; `hutch demo` shows both side by side.\n\n"
"  --json       one JSON object\n"
"  --alloc MIB  try to use up to that much memory (default 256, 0 = don't)\n"
"  --dir PATH   list this directory and try to make a file in it\n";

static bool parse_alloc(const char *value, uint32_t *mib)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > 1 << 20)
		return false;
	*mib = (uint32_t)n;
	return true;
}

/* "--name=value" or "--name value". */
static const char *option(const char *name, int argc, char *const argv[], int *at)
{
	size_t n = strlen(name);

	if (!strncmp(argv[*at], name, n) && argv[*at][n] == '=')
		return argv[*at] + n + 1;
	if (!strcmp(argv[*at], name) && *at + 1 < argc)
		return argv[++*at];
	return NULL;
}

static int parse(int argc, char *const argv[], struct inspect_options *o, enum form *form)
{
	const char *value;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			*form = FORM_JSON;
		else if (!strcmp(argv[i], "--raw")) /* for `hutch demo`, which is the same binary */
			*form = FORM_RAW;
		else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			*form = FORM_HELP;
		else if ((value = option("--dir", argc, argv, &i)))
			o->directory = value;
		else if (!(value = option("--alloc", argc, argv, &i)) || !parse_alloc(value, &o->alloc_mib))
			return fprintf(stderr, "hutch inspect: can't use `%s`\n%s", argv[i], usage), -1;
	}
	return 0;
}

int inspect_main(int argc, char *const argv[])
{
	struct inspect_options o = { .alloc_mib = 256 };
	enum form form = FORM_TEXT;
	struct inspect_report *r;
	int bad = 0;

	if (parse(argc, argv, &o, &form) < 0)
		return 2;
	if (form == FORM_HELP)
		return fputs(usage, stdout) < 0 || fflush(stdout) ? 1 : 0;
	if (!(r = malloc(sizeof *r)))
		return fputs("hutch inspect: out of memory\n", stderr), 1;
	inspect_collect(r, &o);
	if (form == FORM_RAW)
		bad = inspect_send(1, r) < 0;
	else
		(form == FORM_JSON ? inspect_json : inspect_text)(stdout, r);
	bad = bad || fflush(stdout) || ferror(stdout);
	free(r);
	if (bad)
		fprintf(stderr, "hutch inspect: writing to standard output: %s\n", strerror(errno));
	return bad;
}
