/* hutch explain and hutch check: what would be done, what can be done.
 * Runs in: parent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

struct options { bool json, help; const char *preset; };

static int extra(void *data, int argc, char *const argv[], int at, struct hutch_error *e)
{
	struct options *o = data;

	(void)e;
	if (!strcmp(argv[at], "--json"))
		return o->json = true, 1;
	if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
		return o->help = true, 1;
	(void)argc;
	return 0;
}

/* The presets that the words name: their statements come first. */
static void print_statements(int argc, char *const argv[])
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const char *name = NULL;
		if (!strcmp(argv[i], "--view"))
			name = "view";
		else if (!strncmp(argv[i], "--preset=", 9) || !strncmp(argv[i], "--include=", 10))
			name = strchr(argv[i], '=') + 1;
		else if ((!strcmp(argv[i], "--preset") || !strcmp(argv[i], "--include")) && i + 1 < argc)
			name = argv[i + 1];
		const char *text = name ? hutch_preset_text(name) : NULL;
		for (; text && *text == '#'; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
			printf("%.*s\n", (int)strcspn(text, "\n"), text);
	}
}

static bool names_command(int argc, char *const argv[])
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--"))
			return i + 1 < argc;
	}
	return false;
}

int explain_command(int argc, char *const argv[])
{
	static char *const stand_in[] = { (char *)"sh", NULL };
	struct options o = { 0 };
	struct hutch_error e = { 0 };
	hutch_policy *policy = hutch_policy_new();
	hutch_plan *plan = NULL;
	int status;

	if (!policy)
		return fputs("hutch: out of memory\n", stderr), HUTCH_EXIT_FAILED;
	status = hutch_policy_args(policy, argc - 1, argv + 1, extra, &o, &e) < 0 ? cli_error(&e) : 0;
	if (!status && o.help) {
		cli_usage();
		hutch_policy_free(policy);
		return 0;
	}
	if (!status && hutch_plan_new(policy, true, &plan, &e) < 0) {
		/* Without a command the plan of a shell is as good an example as any. */
		if (!strcmp(e.layer, "command") && !names_command(argc, argv)) {
			if (!o.json)
				puts("# no command was named: the plan is that of `sh`");
			hutch_error_clear(&e);
			if (hutch_policy_command(policy, stand_in, &e) < 0 || hutch_plan_new(policy, true, &plan, &e) < 0)
				status = cli_error(&e);
		} else {
			status = cli_error(&e);
		}
	}
	if (!status && !o.json)
		print_statements(argc, argv);
	if (!status)
		status = cli_print(hutch_plan_text(plan, o.json), 0);
	hutch_plan_free(plan);
	hutch_policy_free(policy);
	return status;
}

int check_command(int argc, char *const argv[])
{
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	struct hutch_error e = { 0 };
	char *text;

	if (argc > 1 && !json) {
		fputs("usage: hutch check [--json]\n", stderr);
		return 2;
	}
	text = hutch_check_text(json, &e);
	return text ? cli_print(text, 0) : cli_error(&e);
}
