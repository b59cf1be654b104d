/* hutch explain: what a run would do.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct options { bool json, help; struct image_options image; };

static int extra(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	struct options *o = data;
	struct report_to unused = { .fd = -1 };

	if (!strcmp(argv[at], "--json"))
		return o->json = true, 1;
	if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
		return o->help = true, 1;
	/* The options of a run, so that "run" can be changed to "explain" and no more. */
	int n = image_option(&o->image, argc, argv, at, e);
	return n ? n : report_option(&unused, argc, argv, at, e);
}

/* Does the option's value stand in the next word? */
static bool takes_word(const char *option)
{
	static const char *const others[] = { "policy", "preset", "report", "report-fd" };
	struct hutch_key key;

	if (strchr(option, '='))
		return false;
	if (cli_find_key(option + 2, &key))
		return strcmp(key.type, "yes or no") != 0;
	if (!strncmp(option, "--image", 7))
		return strcmp(option, "--image-flatten") != 0;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (!strcmp(option + 2, others[i]))
			return true;
	}
	return false;
}

static void print_statement(const char *preset)
{
	const char *line = hutch_preset_text(preset);

	/* The first comment block says what it protects from and what not. */
	while (line && *line == '#') {
		size_t n = strcspn(line, "\n");
		printf("%.*s\n", (int)n, line);
		line = line[n] ? line + n + 1 : NULL;
	}
}

/* The statements of the presets that the words name. */
static void print_statements(int argc, char *const argv[])
{
	for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--"); i++) {
		const char *word = argv[i];
		if (!strcmp(word, "--view"))
			print_statement("view");
		else if (!strncmp(word, "--preset=", 9) || !strncmp(word, "--include=", 10))
			print_statement(strchr(word, '=') + 1);
		else if ((!strcmp(word, "--preset") || !strcmp(word, "--include")) && i + 1 < argc)
			print_statement(argv[i + 1]);
		i += takes_word(word);
	}
}

/* Without a command the plan of a shell is as good an example as any. */
static int make_plan(hutch_policy *policy, bool json, hutch_plan **plan, struct hutch_error *e)
{
	static char *const stand_in[] = { (char *)"sh", NULL };

	if (hutch_plan_new(policy, true, plan, e) == 0)
		return 0;
	if (strcmp(e->layer, "command"))
		return -1;
	hutch_error_clear(e);
	if (hutch_policy_command(policy, stand_in, e) < 0 || hutch_plan_new(policy, true, plan, e) < 0)
		return -1;
	/* Beside the JSON text, not in it. */
	fputs("# no command was named: the plan is that of `sh`\n", json ? stderr : stdout);
	return 0;
}

int explain_command(int argc, char *const argv[])
{
	struct options o = { 0 };
	struct hutch_error e = { 0 };
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	int status;

	if (!policy)
		return cli_nomem();
	if (hutch_policy_args(policy, argc - 1, argv + 1, extra, &o, &e) < 0) {
		status = cli_error(&e);
	} else if (o.help) {
		status = (cli_usage(false), 0);
	} else if (image_apply(&o.image, policy, &e) < 0 || make_plan(policy, o.json, &plan, &e) < 0) {
		status = cli_error(&e);
	} else {
		if (!o.json)
			print_statements(argc, argv);
		status = cli_print(hutch_plan_text(plan, o.json), 0);
	}
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return status;
}
