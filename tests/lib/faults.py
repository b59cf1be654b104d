"""Shared by the fault and the death suite: counting set-up's system calls and hitting one of them.
Runs in: the test process."""
import os
import re
import subprocess

from harness import status_of


def call_names():
    """number -> name, from the compiler's own headers."""
    cc = os.environ.get("CC", "cc").split()
    text = subprocess.run([*cc, "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], stdout=subprocess.PIPE, text=True, check=True).stdout
    names = {int(n): name for name, n in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.M)}
    for n, name in ((424, "pidfd_send_signal"), (428, "open_tree"), (429, "move_mount"), (430, "fsopen"), (431, "fsconfig"), (432, "fsmount"),
                    (434, "pidfd_open"), (435, "clone3"), (436, "close_range"), (437, "openat2"), (442, "mount_setattr"), (444, "landlock_create_ruleset"),
                    (445, "landlock_add_rule"), (446, "landlock_restrict_self")):
        names.setdefault(n, name)
    return names


class Tracer:
    """Runs one fixed command of a caller under failnth."""

    def __init__(self, suite, caller, opts, words):
        self.s, self.c, self.opts, self.words = suite, caller, opts, words
        self.failnth = suite.failnth
        self.names = suite.call_names

    def run(self, *how, timeout=12, **kw):
        """Result and log; how is ("-f", "role:index:errno") or ("-k", …) or nothing."""
        log = os.path.join(self.s.base, "trace.log")
        argv = [self.failnth]
        if self.c.switch:
            argv += ["-u", "%d:%d" % (self.c.uid, self.c.gid)]
        argv += ["-p", self.s.inside, "-o", log, *how, "--", *self.s.argv(self.opts, [self.s.inside, *self.words])]
        root = self.s.tracer_as
        r = self.s.run(root, [], [], raw=argv, timeout=timeout, env=self.c.environ(), cwd=self.s.base, writes=True, **kw)
        with open(log) as f:
            return r, f.read().splitlines()

    def list(self, **kw):
        """[(role, index, name)] of all calls up to the program's exec."""
        r, log = self.run(**kw)
        assert r.status == 0, "the untouched run fails: %s" % r
        assert any(l.startswith("program ") for l in log), "the tracer didn't see the program start: %s" % log[-3:]
        self.last_role = max(int(l.split()[1]) for l in log if l.startswith("call "))
        self.program_role = next(int(l.split()[1]) for l in log if l.startswith("program "))
        return r, [(int(a), int(b), self.names.get(int(n), n)) for w, a, b, n in (l.split() for l in log if l.startswith("call "))]


def steps(log, names, role):
    """How many calls of the role came before the hit, without those that wait, whose number differs from run to run; and
    the name of the call that was hit."""
    n = 0
    for words in (l.split() for l in log):
        if words[0] == "hit":
            return n, names.get(int(words[3]), words[3])
        n += words[0] == "call" and int(words[1]) == role and names.get(int(words[3])) != "nanosleep"
    return n, None


def hit(log):
    return any(l.startswith("hit ") for l in log)


def normal(report):
    """A report without what differs from run to run."""
    text = re.sub(r"(pipe|socket|anon_inode):\[\d+\]", r"\1:[N]", report)
    text = re.sub(r"\b([ug]id)=\d+", r"\1=N", text)     # of mount options
    text = re.sub(r"dir=/proc/self/fd/\d+", "dir=/proc/self/fd/N", text)    # of overlays
    return sorted(text.splitlines())


def sample(calls, limit):
    """Evenly over the whole set-up when there are more than limit."""
    if len(calls) <= limit:
        return calls
    return [calls[i * len(calls) // limit] for i in range(limit)]


__all__ = ["Tracer", "call_names", "hit", "normal", "sample", "status_of", "steps"]
