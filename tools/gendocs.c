/* Prints the parts of the documents that come from tables: keys, errors, options, completion, fuzz words.
 * Runs in: the build. */
#include <stdio.h>
#include <string.h>

#include "layer/promise.h"
#include "layer/layer.h"
#include "policy/policy.h"
#include "policy/sets.h"

/* Text for man(7): no dash becomes a hyphen that can't be pasted, no line becomes a request. */
static void roff(const char *s)
{
	for (const char *start = s; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else if (*s == '\'')
			fputs("\\(aq", stdout);
		else if (*s == '`')
			fputs("\\(ga", stdout);
		else if (*s == '.' && s == start)
			fputs("\\&.", stdout);
		else
			putchar(*s);
	}
}

static void roff_word(const char *font, const char *s)
{
	printf("\\f%s", font);
	roff(s);
	fputs("\\fR", stdout);
}

/* The groups in the order of the table; each of a group's keys, wherever it stands. */
static int each_group(void (*head)(const char *group), void (*item)(const struct key_row *row))
{
	for (int i = 0; i < KEY_COUNT; i++) {
		int first = 0;
		while (strcmp(key_rows[first].group, key_rows[i].group))
			first++;
		if (first < i)
			continue;
		head(key_rows[i].group);
		for (int j = i; j < KEY_COUNT; j++) {
			if (!strcmp(key_rows[j].group, key_rows[i].group))
				item(&key_rows[j]);
		}
	}
	return 0;
}

static void section(const char *group)
{
	fputs(".SS ", stdout);
	roff(group);
	putchar('\n');
}

static const char *range(const struct key_row *row)
{
	return row->range ? row->range : row->type == KEY_BOOL ? "yes or no" : key_type_name(row->type);
}

static void key_item(const struct key_row *row)
{
	fputs(".TP\n", stdout);
	roff_word("B", row->name);
	fputs(" = ", stdout);
	roff_word("I", range(row));
	putchar('\n');
	roff(row->help);
	fputs(".\n", stdout);
	if (row->def) {
		fputs("Default: ", stdout);
		roff_word("B", row->def);
		fputs(".\n", stdout);
	}
	if (row->flags & LIST)
		fputs("May be given many times.\n", stdout);
	if (row->flags & ROOT)
		fputs("Only root may loosen it.\n", stdout);
}

static void option_item(const struct key_row *row)
{
	char dashed[64];

	snprintf(dashed, sizeof dashed, "--%s", row->name);
	fputs(".TP\n", stdout);
	roff_word("B", dashed);
	if (row->type == KEY_BOOL) {
		fputs("[", stdout);
		roff_word("B", "=no");
		fputs("]", stdout);
	} else {
		putchar(' ');
		roff_word("I", range(row));
	}
	putchar('\n');
	roff(row->help);
	fputs(".\n", stdout);
	if (row->def) {
		fputs("Default: ", stdout);
		roff_word("B", row->def);
		fputs(".\n", stdout);
	}
}

static int print_keys(void)
{
	return each_group(section, key_item);
}

static int print_options(void)
{
	return each_group(section, option_item);
}

/* The options of images have a table of their own. */
static const struct { const char *name, *def, *value, *help; } image_options[] = {
#define OPTION(symbol, name, type, def, value, help) { name, def, value, help },
#include "image/options.def"
#undef OPTION
};

static int print_image_options(void)
{
	for (size_t i = 0; i < COUNT_OF(image_options); i++) {
		char dashed[64];

		snprintf(dashed, sizeof dashed, "--image-%s", image_options[i].name);
		fputs(".TP\n", stdout);
		roff_word("B", dashed);
		putchar(' ');
		roff_word("I", image_options[i].value);
		putchar('\n');
		roff(image_options[i].help);
		fputs(".\n", stdout);
		if (image_options[i].def) {
			fputs("Default: ", stdout);
			roff_word("B", image_options[i].def);
			fputs(".\n", stdout);
		}
	}
	return 0;
}

static int print_errors(void)
{
	size_t count;
	const struct error_row *rows = error_rows(&count);
	const char *layer = "";

	for (size_t i = 0; i < count; i++) {
		if (strcmp(layer, rows[i].layer))
			section(layer = rows[i].layer);
		printf(".TP\n\\fBE%04u\\fR ", rows[i].id);
		roff(rows[i].step);
		putchar('\n');
		roff(rows[i].remedy);
		fputs(".\n", stdout);
	}
	return 0;
}

static int print_presets(void)
{
	for (size_t i = 0; preset_name(i); i++) {
		section(preset_name(i));
		fputs(".nf\n", stdout);
		for (const char *line = preset_text(preset_name(i)); *line; line += strcspn(line, "\n") + 1) {
			char copy[256];
			size_t len = strcspn(line, "\n");
			copy_bounded(copy, len + 1 < sizeof copy ? len + 1 : sizeof copy, line);
			roff(copy);
			putchar('\n');
		}
		fputs(".fi\n", stdout);
	}
	return 0;
}

static int print_sets(void)
{
	for (size_t i = 0; set_name(i); i++) {
		section(set_name(i));
		roff(set_help((enum set_id)i));
		printf(", for \\fB%s\\fR:\n", key_rows[set_key((enum set_id)i)].name);
		for (size_t k = 0; set_row(k); k++) {
			if (set_row(k)->set != (enum set_id)i)
				continue;
			fputs(".TP\n", stdout);
			roff_word("B", set_row(k)->path);
			putchar('\n');
			roff(set_row(k)->what);
			fputs(".\n", stdout);
		}
	}
	return 0;
}

/* A promise's calls, and those that it allows under a condition. */
static int print_promises(void)
{
	const struct promise *row;
	const char *calls, *text;
	size_t of;

	for (size_t i = 0; (row = promise_row(i)); i++) {
		fputs(".TP\n", stdout);
		roff_word("B", row->name);
		putchar('\n');
		roff(row->help);
		fputs(".\n", stdout);
		if (*row->calls) {
			fputs(".br\n", stdout);
			roff(row->calls);
			fputs(".\n", stdout);
		}
		for (size_t k = 0; promise_condition(k, &of, &calls, &text); k++) {
			if (of != i || !text)
				continue;
			fputs(".br\n", stdout);
			roff_word("I", calls);
			fputs(": ", stdout);
			roff(text);
			fputs(".\n", stdout);
		}
	}
	return 0;
}

/* ---- bash completion ---- */
static void bash_words(const struct key_row *row)
{
	if (row->type == KEY_CHOICE)
		printf("\t--%s) words=\"%s\" ;;\n", row->name, row->range);
	else if (row->type == KEY_PATH)
		printf("\t--%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", row->name);
	else if (row->type == KEY_NS)
		printf("\t--%s) words=\"%.*s\" ;;\n", row->name, (int)(strstr(row->range, " PATH") - row->range), row->range);
}

static int print_bash(void)
{
	fputs("# bash completion of hutch; made from its table of keys\n"
	      "_hutch()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= i\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"run explain check ps stats kill freeze thaw update mount umount inspect demo help\" -- \"$cur\")); return\n"
	      "\tfi\n"
	      "\tcase ${COMP_WORDS[1]} in stats|kill|freeze|thaw|update|mount|umount)\n"
	      "\t\tif [ \"$COMP_CWORD\" = 2 ]; then words=$(hutch ps 2>/dev/null | awk 'NR > 1 { print $1, $2 }')\n"
	      "\t\telse case ${COMP_WORDS[1]} in stats) words=\"--json --watch\" ;; mount) COMPREPLY=($(compgen -f -- \"$cur\")); return ;; kill) words=\"HUP INT QUIT USR1 USR2 TERM CONT TSTP WINCH KILL\" ;;\n"
	      "\t\t\tupdate) words=\"", stdout);
	for (int i = 0; i < KEY_COUNT; i++) {
		if (cgroup_key((enum key_id)i))
			printf("%s= ", key_rows[i].name);
	}
	fputs("\"; compopt -o nospace 2>/dev/null ;; esac; fi\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return ;;\n"
	      "\tps) COMPREPLY=($(compgen -W \"--json\" -- \"$cur\")); return ;;\n"
	      "\tesac\n"
	      "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\tif [ \"${COMP_WORDS[i]}\" = -- ]; then COMPREPLY=($(compgen -o default -- \"$cur\")); return; fi\n"
	      "\tdone\n"
	      "\tcase $before in\n", stdout);
	for (int i = 0; i < KEY_COUNT; i++)
		bash_words(&key_rows[i]);
	fputs("\t--image|--image-store) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
	      "\t--image-owners) words=\"auto own ranges\" ;;\n", stdout);
	fputs("\t--preset) words=\"", stdout);
	for (size_t i = 0; preset_name(i); i++)
		printf("%s%s", i ? " " : "", preset_name(i));
	fputs("\" ;;\n\t--policy) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", stdout);
	fputs("\tesac\n"
	      "\tif [ -z \"$words\" ] && [ \"${COMP_WORDS[1]}\" = help ]; then\n\t\twords=\"", stdout);
	for (int i = 0; i < KEY_COUNT; i++)
		printf("%s%s", i ? " " : "", key_rows[i].name);
	fputs("\"\n\telif [ -z \"$words\" ] && [[ $cur == -* ]]; then\n\t\twords=\"", stdout);
	for (int i = 0; i < KEY_COUNT; i++)
		printf("--%s ", key_rows[i].name);
	for (size_t i = 0; i < COUNT_OF(image_options); i++)
		printf("--image-%s ", image_options[i].name);
	fputs("--image --image-flatten --policy --preset --view --as-pid-1 --door --help\"\n\tfi\n"
	      "\tif [ -n \"$words\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	      "\telse COMPREPLY=($(compgen -o default -- \"$cur\")); fi\n"
	      "}\ncomplete -F _hutch hutch\n", stdout);
	return 0;
}

/* A dictionary for libFuzzer: the names and words that random bytes would hardly hit. */
static int print_dict(void)
{
	for (int i = 0; i < KEY_COUNT; i++) {
		printf("\"%s = \"\n", key_rows[i].name);
		if (key_rows[i].def)
			printf("\"%s\"\n", key_rows[i].def);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*print)(void); } parts[] = {
		{ "keys", print_keys }, { "options", print_options }, { "errors", print_errors },
		{ "imageoptions", print_image_options }, { "presets", print_presets }, { "sets", print_sets }, { "bash", print_bash }, { "dict", print_dict }, { "promises", print_promises },
	};

	for (size_t i = 0; argc == 2 && i < COUNT_OF(parts); i++) {
		if (!strcmp(parts[i].name, argv[1]))
			return parts[i].print() || fflush(stdout) || ferror(stdout) ? 1 : 0;
	}
	fputs("usage: gendocs keys|options|imageoptions|errors|presets|sets|bash|dict|promises\n", stderr);
	return 2;
}
