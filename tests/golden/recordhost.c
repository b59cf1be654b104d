/* recordhost PATHS-FILE: this machine's facts, and what is known of each path named in the file (one a line), in the
 * form of tests/golden/hosts/NAME.host. tests/vm/record runs it in the test machine. Runs in: the test process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"

#define PATHS_MAX 1024

/* The lines of the file; NULL = can't be read. Kept until the end of the process. */
static const char **read_paths(const char *name)
{
	const char **paths = calloc(PATHS_MAX + 1, sizeof(*paths));
	char line[4096];
	size_t count = 0;
	FILE *f = fopen(name, "re");

	while (paths && f && count < PATHS_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		paths[count++] = strdup(line);
	}
	if (f)
		fclose(f);
	return f ? paths : NULL;
}

int main(int argc, char **argv)
{
	struct hutch_error error = {0};
	struct host host = {0};
	struct arena arena;
	struct text out;
	const char **paths = argc == 2 ? read_paths(argv[1]) : NULL;
	char text[4096];
	int status = 0;

	if (!paths) {
		fputs("use: recordhost PATHS-FILE\n", stderr);
		return 2;
	}
	arena_init(&arena);
	text_init(&out);
	if (host_probe_full(&host, &arena, &error) < 0) {
		hutch_error_text(&error, text, sizeof(text));
		fputs(text, stderr);
		status = 1;
	} else if (host_record(&host, paths, &out) < 0) {
		status = 1;
	} else {
		fwrite(out.s, 1, out.len, stdout);
	}
	text_done(&out);
	arena_done(&arena);
	return status;
}
