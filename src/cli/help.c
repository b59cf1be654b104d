/* hutch help: keys, presets and commands, for people.
 * Runs in: parent. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define WIDTH 100
#define INDENT 28

/* A value that shows the use of a key, where neither its default nor its choices do. */
static const struct { const char *key, *value; } examples[] = {
	{ "include", "strict" }, { "ro", "/srv/data:/data" }, { "rw", "./out" }, { "tmpfs", "/scratch:size=64M" },
	{ "dir", "/empty" }, { "symlink", "/usr/bin:/programs" }, { "file", "/etc/motd=hello" }, { "file-fd", "3:/input" },
	{ "mask", "/usr/share" }, { "hide", "@secrets" }, { "machine-id", "host" }, { "protect", ".git/hooks" }, { "cow", "./project" }, { "cow-upper", "@try" }, { "layer", "./layer1" }, { "cow-size", "256M" }, { "device", "/dev/fuse" }, { "rootfs", "./debian" }, { "tmp-size", "1G" },
	{ "tmp-inodes", "10000" }, { "cwd", "/tmp" }, { "userns", "never" }, { "time-monotonic", "86400" },
	{ "memory", "256M" }, { "memory-high", "200M" }, { "memory-low", "32M" }, { "memory-min", "16M" }, { "swap", "64M" },
	{ "cpus", "1.5" }, { "cpu-weight", "50" }, { "cpu-burst", "10ms" }, { "pids", "64" }, { "io-weight", "50" },
	{ "io-max", "8:0 rbps=1M" }, { "cpuset-cpus", "0-1" }, { "cpuset-mems", "0" }, { "hugetlb", "2MB=64M" }, { "rdma", "mlx5_0 hca_handle=2" }, { "misc", "sev=1" }, { "cgroup-set", "hugetlb.2MB.max=0" },
	{ "cgroup-parent", "/mine" }, { "wall-time", "10s" }, { "cpu-time", "2s" }, { "grace", "1s" }, { "output-max", "16M" },
	{ "stdout", "out.txt" }, { "stderr", "err.txt" },
	{ "time-boottime", "-3600.5" }, { "hostname", "box" }, { "domainname", "example" }, { "map", "root" },
	{ "uid-map", "0:1000:1" }, { "gid-map", "0:1000:1" }, { "user", "1000:1000" }, { "groups", "none" },
	{ "caps", "net_bind_service,chown" }, { "securebits", "none" }, { "seccomp", "strict" }, { "landlock", "files" },
	{ "tcp-connect", "443,8080" }, { "tcp-bind", "8000" }, { "env", "LANG=C" }, { "unset-env", "TERM" }, { "fd", "3" },
	{ "umask", "077" }, { "name", "build" }, { "rlimit-as", "2G" }, { "rlimit-core", "100M" }, { "rlimit-cpu", "60" }, { "rlimit-data", "1G" },
	{ "rlimit-fsize", "100M" }, { "rlimit-locks", "host" }, { "rlimit-memlock", "64K" }, { "rlimit-msgqueue", "0" },
	{ "rlimit-nice", "0" }, { "rlimit-nofile", "64:256" }, { "rlimit-nproc", "100" }, { "rlimit-rss", "host" },
	{ "rlimit-rtprio", "0" }, { "rlimit-rttime", "host" }, { "rlimit-sigpending", "100" }, { "rlimit-stack", "8M" },
};

static bool is_flag(const struct hutch_key *k)
{
	return !strcmp(k->type, "yes or no");
}

bool cli_find_key(const char *name, struct hutch_key *out)
{
	for (size_t i = 0; hutch_key(i, out); i++) {
		if (!strcmp(out->name, name))
			return true;
	}
	return false;
}

/* Columns of a piece of UTF-8 text. */
static unsigned columns(const char *s, size_t bytes)
{
	unsigned n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

/* Text from column INDENT on, broken between words. at: the column that the line has reached. */
static void print_wrapped(unsigned at, const char *text)
{
	if (at >= INDENT) {
		putchar('\n');
		at = 0;
	}
	printf("%*s", (int)(INDENT - at), "");
	at = INDENT;
	for (const char *gap = ""; *text; gap = " ") {
		size_t n = strcspn(text, " ");
		unsigned width = columns(text, n);
		if (at + 1 + width > WIDTH) {
			printf("\n%*s", INDENT, "");
			at = INDENT;
			gap = "";
		}
		printf("%s%.*s", gap, (int)n, text);
		at += width + (*gap != 0);
		text += n + (text[n] == ' ');
	}
	putchar('\n');
}

static void print_option(const struct hutch_key *k)
{
	char option[64], help[1024];

	snprintf(option, sizeof option, "  --%s%s", k->name, is_flag(k) ? "" : " …");
	snprintf(help, sizeof help, "%s%s%s%s", k->help, k->def ? " [" : "", k->def ? k->def : "", k->def ? "]" : "");
	fputs(option, stdout);
	print_wrapped(columns(option, strlen(option)), help);
}

static void print_image_options(void)
{
	const char *name, *value, *def, *text;

	puts("  --image DIR[:TAG]         take the root tree, and how to run it, from an OCI image layout\n"
	     "  --image-flatten           make one tree of its layers, where they can't be laid over each other");
	for (size_t i = 0; (name = image_option_row(i, &value, &def, &text)); i++) {
		char option[64], help[512];

		snprintf(option, sizeof option, "  --image-%s …", name);
		snprintf(help, sizeof help, "%s%s%s%s", text, def ? " [" : "", def ? def : "", def ? "]" : "");
		fputs(option, stdout);
		print_wrapped(columns(option, strlen(option)), help);
	}
}

void cli_usage(bool run)
{
	struct hutch_key k;
	const char *group = "";

	puts(run ? "usage: hutch run [options] [--] CMD [ARG...]\n" : "usage: hutch explain [--json] [options] [--] [CMD [ARG...]]\n");
	puts("  --policy FILE             take the lines of a policy file (- = standard input), hutch-policy(5)\n"
	     "  --preset NAME             default, strict, judge, agent or view\n"
	     "  --view                    the same as --preset view\n"
	     "  --as-pid-1                the same as --init=no");
	if (run)
		puts("  --door command|preload    preload: a library confines the program from within, before its main\n"
		     "  --report FILE             write a JSON record of how it ended; - is standard error\n"
		     "  --report-fd N             the same to an open descriptor; `hutch help report` says what is in it");
	else
		puts("  --json                    one JSON object instead of text");
	print_image_options();
	puts("\nA yes-or-no option alone means yes, --no-NAME no. [ ] is the default. `hutch help NAME` says more.");
	for (size_t i = 0; hutch_key(i, &k); i++) {
		if (strcmp(group, k.group))
			printf("\n%s:\n", k.group);
		group = k.group;
		print_option(&k);
	}
}

/* ---- nearest names ---- */

/* Levenshtein distance; UINT_MAX for words that are too long to be one of ours. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= sizeof row / sizeof *row || strlen(a) >= sizeof row / sizeof *row)
		return UINT_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 0; a[i]; i++) {
		unsigned corner = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned best = corner + (a[i] != b[j]);
			corner = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (corner + 1 < best)
				best = corner + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

struct nearest {
	const char *word, *name, *kind;
	unsigned edits;
};

static void try_name(struct nearest *n, const char *name, const char *kind)
{
	unsigned edits = distance(n->word, name);

	/* At most a third of the name may be wrong, or every short word would be near to some other. */
	if (edits >= n->edits || (edits > 1 && edits > strlen(name) / 3))
		return;
	*n = (struct nearest){ n->word, name, kind, edits };
}

const char *cli_nearest(const char *word, const char **kind)
{
	struct nearest n = { .word = word, .edits = UINT_MAX };
	struct hutch_key k;
	const char *name;

	for (size_t i = 0; (name = cli_command(i, NULL)); i++)
		try_name(&n, name, "command");
	for (size_t i = 0; hutch_key(i, &k); i++)
		try_name(&n, k.name, "key");
	for (size_t i = 0; (name = hutch_preset_name(i)); i++)
		try_name(&n, name, "preset");
	*kind = n.kind;
	return n.name;
}

/* Keys that hold the word: `hutch help limit`, `hutch help tcp`. How many were printed. */
static unsigned print_matching(const char *word)
{
	struct hutch_key k;
	unsigned n = 0;

	for (size_t i = 0; *word && hutch_key(i, &k); i++) {
		if (!strstr(k.name, word) && !strstr(k.help, word) && strcmp(k.group, word))
			continue;
		if (!n++)
			fprintf(stderr, "these have to do with it:\n");
		fprintf(stderr, "  %-18s %s\n", k.name, k.help);
	}
	return n;
}

/* ---- one subject ---- */

static void print_in_presets(const char *key)
{
	const char *name;
	size_t n = strlen(key);

	for (size_t i = 0; (name = hutch_preset_name(i)); i++) {
		for (const char *line = hutch_preset_text(name); line && *line;) {
			size_t len = strcspn(line, "\n");
			if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == '='))
				printf("  preset %s: %.*s\n", name, (int)len, line);
			line += len + (line[len] == '\n');
		}
	}
}

/* The first choice that isn't the default. */
static void other_choice(const struct hutch_key *k, char *out, size_t size)
{
	const char *word = k->range ? k->range : "";

	snprintf(out, size, "%s", k->def ? k->def : word);
	while (*word) {
		size_t n = strcspn(word, " ");
		if (!k->def || strlen(k->def) != n || strncmp(word, k->def, n)) {
			snprintf(out, size, "%.*s", (int)n, word);
			return;
		}
		word += n + (word[n] == ' ');
	}
}

static void print_example(const struct hutch_key *k)
{
	char value[128] = "";

	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		if (!strcmp(examples[i].key, k->name))
			snprintf(value, sizeof value, "%s", examples[i].value);
	}
	if (is_flag(k))
		snprintf(value, sizeof value, "%s", k->def && !strcmp(k->def, "yes") ? "no" : "yes");
	else if (!value[0])
		other_choice(k, value, sizeof value);
	if (is_flag(k))
		printf("  example: hutch run --%s%s -- CMD\n", strcmp(value, "no") ? "" : "no-", k->name);
	else
		printf(strchr(value, ' ') ? "  example: hutch run --%s '%s' -- CMD\n" : "  example: hutch run --%s %s -- CMD\n", k->name, value);
	printf("  in a policy file: %s = %s\n", k->name, value);
}

static bool help_key(const char *name)
{
	struct hutch_key k;

	if (!cli_find_key(name, &k))
		return false;
	printf("%s (%s; %s%s)\n  %s\n", k.name, k.group, k.type, k.list ? ", may be given many times" : "", k.help);
	if (k.range)
		printf("  value: %s\n", k.range);
	printf("  default: %s\n", k.def ? k.def : "none");
	print_in_presets(k.name);
	print_example(&k);
	return true;
}

static bool help_preset(const char *name)
{
	const char *text = hutch_preset_text(name);

	if (text)
		printf("preset %s; `hutch run --preset %s -- CMD` uses it. Its text:\n\n%s", name, name, text);
	return text != NULL;
}

/* The rows of a set of paths. */
static bool help_set(const char *name)
{
	const char *known, *help, *key, *path, *what;

	for (size_t i = 0; (known = hutch_set_name(i, &help, &key)); i++) {
		if (strcmp(known, name))
			continue;
		printf("%s: %s; `hutch run --%s %s -- CMD` uses it.\n"
		       "~/ is your home, ./ the working directory, $NAME a variable of yours. `hutch explain` says what became of each.\n\n", known, help, key, known);
		for (size_t k = 0; hutch_set_row(known, k, &path, &what); k++)
			printf("  %-44s %s\n", path, what);
		return true;
	}
	return false;
}

#ifndef HUTCH_DATADIR
#define HUTCH_DATADIR "/usr/local/share/hutch"
#endif

static bool help_report(const char *name)
{
	if (strcmp(name, "report") && strcmp(name, "report-fd"))
		return false;
	fputs("report (of hutch run)\n"
	      "  --report FILE writes a JSON record of how the run ended, --report-fd N to an open descriptor; --report=- is text on\n"
	      "  standard error.\n  end:", stdout);
	for (int end = HUTCH_END_EXITED; end <= HUTCH_END_SYSCALL_DENIED; end++)
		printf(" %s", hutch_end_name((enum hutch_end)end));
	puts(", and setup-failed if nothing of the program ran\n"
	     "  Numbers that this host can't tell are null. limits says of each limit what it was, how near the run came, how often it was met.\n"
	     "  schema: " HUTCH_DATADIR "/report.schema.json (docs/report.schema.json in the sources)\n"
	     "  example: hutch run --report r.json --memory 256M --wall-time 10s -- CMD");
	return true;
}

static const char *arguments(const char *command)
{
	static const struct { const char *command, *arguments; } table[] = {
		{ "help", " [KEY|PRESET|COMMAND|@SET|report]" }, { "demo", "" }, { "stats", " ID [--json] [--watch]" }, { "kill", " ID [SIGNAL]" },
		{ "freeze", " ID" }, { "thaw", " ID" }, { "update", " ID KEY=VALUE..." }, { "mount", " ID SRC:DST[:ro]" }, { "umount", " ID DST" },
		{ "diff", " [--unified|--json] [--quiet] DIR|NAME" }, { "commit", " [--force] [--keep] DIR|NAME [PATH...]" }, { "discard", " DIR|NAME..." },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (!strcmp(table[i].command, command))
			return table[i].arguments;
	}
	return " [--json]";
}

static bool help_command_name(const char *name)
{
	const char *help, *known;

	for (size_t i = 0; (known = cli_command(i, &help)); i++) {
		if (strcmp(known, name))
			continue;
		if (!strcmp(name, "run") || !strcmp(name, "explain"))
			cli_usage(!strcmp(name, "run"));
		else
			printf("hutch %s%s: %s\n", name, arguments(name), help);
		return true;
	}
	return false;
}

static int unknown(const char *name)
{
	const char *kind, *near = cli_nearest(name, &kind);

	fprintf(stderr, "hutch: help: there is no key, preset or command `%s`\n", name);
	if (near)
		fprintf(stderr, "did you mean %s? (`hutch help %s`)\n", near, near);
	if (!print_matching(name) && !near)
		fputs("`hutch help` lists them all\n", stderr);
	return CLI_USAGE;
}

int help_command(int argc, char *const argv[])
{
	const char *name;

	if (argc < 2)
		return cli_usage(true), 0;
	if (argc > 2)
		return fputs("usage: hutch help [KEY|PRESET|COMMAND|@SET|report]\n", stderr), CLI_USAGE;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help_command_name("help"), 0;
	name = !strncmp(argv[1], "--", 2) ? argv[1] + 2 : argv[1];
	if (help_set(name) || help_report(name) || help_key(name) || help_preset(name) || help_command_name(name))
		return 0;
	/* --no-KEY is an option, too. */
	if (!strncmp(name, "no-", 3) && help_key(name + 3))
		return 0;
	return unknown(name);
}
