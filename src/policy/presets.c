/* The presets that ship with hutch, each a policy file whose first comment block says what it protects from.
 * Runs in: any. */
#include "policy/policy.h"

#include <string.h>

static const char preset_default[] =
"# default: what `hutch run` does when nothing else is asked for.\n"
"#\n"
"# Protects from: reading the home directory and other users' data, changing any file of the host, seeing or\n"
"# signalling processes outside, the network (there is only a loopback of its own), gaining privileges through\n"
"# setuid files or capabilities, system calls that ordinary programs don't need, injecting keystrokes into the\n"
"# terminal, processes that outlive the run.\n"
"# Does not protect from: reading the working directory and the system directories, a fault in the kernel\n"
"# behind a permitted system call, side channels of the processor, using up processor time and memory (give\n"
"# limits: --memory, --cpus, --pids, --wall-time).\n"
"#\n"
"# All of it stands as the defaults of the keys, see hutch-policy(5); so there is no line here.\n";

static const char preset_strict[] =
"# strict: for code that is expected to be hostile and needs little.\n"
"#\n"
"# Protects from: all that `default` does, and: reading the working directory, seeing anything of the system in\n"
"# /proc but the own processes, running files it wrote to /tmp, 32-bit system calls, system calls beyond a short\n"
"# list, a mistake in the mount view (Landlock holds the same rules a second time), fork bombs, piles of open files.\n"
"# Does not protect from: a fault in the kernel behind a permitted system call, side channels of the processor,\n"
"# using up memory and processor time within the limits that you give.\n"
"landlock = files\n"
"seccomp = strict\n"
"compat-abi = deny\n"
"proc-subset = pid\n"
"hidepid = invisible\n"
"cwd-access = none\n"
"tmpfs = /tmp:mode=1777,noexec\n"
"rlimit-core = 0\n"
"rlimit-nofile = 256\n"
"rlimit-nproc = 256\n";

static const char preset_judge[] =
"# judge: a submission that is run on one input and measured.\n"
"#\n"
"# Protects from: all that `strict` does, and: using more than its memory, processor time, time by the clock,\n"
"# processes, output and files; each of these ends the run with its own word in the report (--report FILE), and so\n"
"# does the first system call that the filter denies.\n"
"# Does not protect from: a fault in the kernel behind a permitted system call, side channels of the processor,\n"
"# a neighbour's use of caches and memory bandwidth in what is measured.\n"
"# The limits are a start: give your own, --memory 64M --cpu-time 1s --wall-time 3s. Without a cgroup that is\n"
"# delegated to the caller, memory and processor time are approximate, and the report says so.\n"
"include = strict\n"
"memory = 256M\n"
"swap = 0\n"
"pids = 64\n"
"cpu-time = 2s\n"
"wall-time = 10s\n"
"output-max = 16M\n"
"rlimit-fsize = 16M\n"
"tmp-size = 64M\n"
"on-denied = kill\n"
"tty = none\n"
"die-with-launcher = yes\n";

static const char preset_agent[] =
"# agent: a tool that writes code and runs it by itself, at work in a project (the working directory).\n"
"#\n"
"# Protects from: all that `default` does, and: reading the project's passwords and keys (@secrets: .env, *.pem…);\n"
"# in the project, changing what others run unasked (@autorun: git hooks and config, settings of editors, direnv,\n"
"# npm and CI): what is there is read-only, and what was made there is moved aside when the run has ended;\n"
"# poisoning caches that unconfined programs use later (they are shown, changes to them are thrown away).\n"
"# git works: status, add, commit, branches, worktrees within the project, submodules that are checked out; so does\n"
"# a project that is a worktree or a submodule, whose repository is then shown, too. What writes to git's config\n"
"# (config, remote add, push -u, submodule add or update) is refused; other repositories can't be reached.\n"
"# Does not protect from: changes to the project itself (code, tests, Makefile, package.json, commits, branches):\n"
"# look at them before you run or push them; a repository that the program made inside the project, whose config\n"
"# is its own: don't run git there, nor with --recurse-submodules, before you looked; a name of @autorun that is\n"
"# used before the run has ended, or when the launcher was killed (--protect-new=close keeps it from being made; then\n"
"# the project's top directory and .git take no new names, and git can only look). With --net=host: sending away\n"
"# all that it can read. Hidden are the names that are there at the start, in the project's top directory.\n"
"# A network: --net=host. A name for commits: --ro ~/.gitconfig. One path more: --rw ./.github/workflows.\n"
"cwd-access = rw\n"
"git = yes\n"
"hide = @secrets\n"
"protect = @autorun\n"
"protect-new = check\n"
"cow = ?~/.cache/pip\n"
"cow = ?~/.cache/uv\n"
"cow = ?~/.cache/go-build\n"
"cow = ?~/go/pkg/mod\n"
"cow = ?~/.npm/_cacache\n"
"cow = ?~/.cache/yarn\n"
"cow = ?~/.cargo/registry\n"
"cow = ?~/.m2/repository\n"
"cow = ?~/.gradle/caches\n"
"file = /etc/gitconfig <<END\n"
"[user]\n"
"\tname = user\n"
"\temail = user@hutch.invalid\n"
"[safe]\n"
"\tdirectory = *\n"
"[gc]\n"
"\tauto = 0\n"
"END\n";

static const char preset_view[] =
"# view: only a changed view of the files, no security.\n"
"#\n"
"# The program sees the host's whole tree, may write wherever its user may, has the network, the processes, the\n"
"# terminal and the environment of its caller; the rules that you add (--ro, --rw, --mask, --tmpfs…) change what\n"
"# stands at their places, for it alone.\n"
"# Protects from: nothing. Use it to try a configuration or a library in another place, not to confine.\n"
"host-root = yes\n"
"system = no\n"
"home = none\n"
"cwd-access = none\n"
"dev = host\n"
"proc = bind\n"
"userns = new\n"
"mntns = new\n"
"pidns = host\n"
"net = host\n"
"ipcns = host\n"
"utsns = host\n"
"cgroupns = host\n"
"timens = host\n"
"nest = allow\n"
"caps = none\n"
"seccomp = none\n"
"landlock = off\n"
"keep-env = yes\n"
"tty = inherit\n"
"rlimit-core = host\n";

static const struct { const char *name, *text; } presets[] = {
	{ "default", preset_default }, { "strict", preset_strict }, { "judge", preset_judge }, { "agent", preset_agent }, { "view", preset_view },
};

const char *preset_text(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(presets); i++) {
		if (!strcmp(presets[i].name, name))
			return presets[i].text;
	}
	return NULL;
}

const char *preset_name(size_t index)
{
	return index < COUNT_OF(presets) ? presets[index].name : NULL;
}
