/* planprint HOST-FILE CWD [--json] OPTIONS… -- COMMAND…: the plan for a recorded host, without this one's say.
 * Prints the plan, or "error: …" in the words that a user would see. Runs in: the test process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"
#include "plan/plan.h"

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0, n;

	if (!f)
		return NULL;
	do {
		char *more = realloc(text, len + 65537);

		if (!more)
			break;
		text = more;
		n = fread(text + len, 1, 65536, f);
		len += n;
	} while (n > 0);
	fclose(f);
	if (text)
		text[len] = 0;
	return text;
}

static int print_error(const struct hutch_error *e)
{
	char text[4096];

	hutch_error_text(e, text, sizeof(text));
	printf("error E%04u: %s", e->id, text);
	return 0;
}

/* What freezing may know of the caller: fixed, but for the ids, which are the recorded ones. */
static struct policy_context context_of(const struct host *h, const char *cwd)
{
	static const char *const environment[] = {
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/user", "USER=user", "LOGNAME=user", "LANG=C.UTF-8", "TERM=xterm",
		"LD_PRELOAD=/home/user/evil.so", "SSH_AUTH_SOCK=/run/user/1000/agent", "SECRET_TOKEN=x", NULL,
	};

	return (struct policy_context){
		.cwd = strcmp(cwd, "none") == 0 ? NULL : cwd, .home = "/home/user", .environ = environment,
		.uid = h->euid, .gid = h->egid,
	};
}

static int print_plan(int argc, char **argv, struct arena *a)
{
	struct hutch_error error = {0};
	struct draft draft = {.arena = a};
	struct host host = {0};
	struct policy policy = {0};
	struct plan plan = {0};
	struct policy_context context;
	struct text out;
	bool json = strcmp(argv[3], "--json") == 0;
	char *text = slurp(argv[1]);
	int first = json ? 4 : 3;

	if (!text) {
		perror(argv[1]);
		return 2;
	}
	if (host_load(&host, a, text, &error) < 0) {
		free(text);
		print_error(&error);
		return 2;
	}
	context = context_of(&host, argv[2]);
	if (front_argv(&draft, argc - first, argv + first, NULL, NULL, &error) < 0 || front_finish(&draft, &error) < 0 ||
	    policy_freeze(&draft, &context, &policy, &error) < 0 || plan_compile(&policy, &host, a, &plan, &error) < 0) {
		free(text);
		return print_error(&error);
	}
	text_init(&out);
	if (json)
		plan_print_json(&plan, &out);
	else
		plan_print(&plan, &out);
	fwrite(out.s, 1, out.len, stdout);
	text_done(&out);
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	struct arena arena;
	int status;

	if (argc < 4) {
		fprintf(stderr, "use: planprint HOST-FILE CWD [--json] OPTIONS… -- COMMAND…\n");
		return 2;
	}
	arena_init(&arena);
	status = print_plan(argc, argv, &arena);
	arena_done(&arena);
	return status;
}
