"""What the test machine is, and that hutch runs on it: pure cgroup v2, a user's manager with controllers,
user namespaces refused by either setting. Runs in: the test process."""
import os
import subprocess

from harness import Skip

USER = 1000


def text(*argv, **kw):
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
    assert r.returncode == 0, "%s: status %d: %s%s" % (" ".join(argv), r.returncode, r.stdout, r.stderr)
    return r.stdout


def has_systemd():
    return os.path.isdir("/run/systemd/system")


def need_systemd():
    if not has_systemd():
        raise Skip("this machine was started without systemd")


def as_user(s, *argv):
    """In a login session of the user."""
    return text("as-user", *argv)


def in_own_scope(s, *argv):
    """In a cgroup that the user's manager has delegated."""
    need_systemd()
    return as_user(s, "systemd-run", "--user", "--scope", "-q", "-p", "Delegate=yes", *argv)


class setting:
    """A kernel setting for the time of a block."""

    def __init__(self, name, value):
        self.path, self.value = "/proc/sys/" + name.replace(".", "/"), value

    def __enter__(self):
        if not os.path.exists(self.path):
            raise Skip("this kernel has no " + self.path)
        with open(self.path) as f:
            self.before = f.read()
        self.write(self.value)

    def __exit__(self, *_):
        self.write(self.before)

    def write(self, value):
        with open(self.path, "w") as f:
            f.write(value)


def pure_v2(s):
    assert text("stat", "-f", "-c", "%T", "/sys/fs/cgroup").strip() == "cgroup2fs"
    with open("/proc/self/mountinfo") as f:
        assert not [line for line in f if " - cgroup " in line], "a v1 hierarchy is mounted"
    with open("/proc/self/cgroup") as f:
        lines = f.read().splitlines()
    assert len(lines) == 1 and lines[0].startswith("0::/"), lines
    with open("/sys/fs/cgroup/cgroup.controllers") as f:
        controllers = f.read().split()
    assert {"cpuset", "cpu", "io", "memory", "pids"} <= set(controllers), controllers


def delegated(s):
    need_systemd()
    path = "/sys/fs/cgroup/user.slice/user-%d.slice/user@%d.service" % (USER, USER)
    with open(path + "/cgroup.controllers") as f:
        controllers = f.read().split()
    assert {"cpu", "memory", "pids"} <= set(controllers), controllers
    assert os.stat(path).st_uid == USER, "it isn't the user's"


def scope_is_usable(s):
    """The user makes a child cgroup with a limit, all by themself."""
    out = in_own_scope(s, "sh", "-ec", """
        cd /sys/fs/cgroup$(sed s/0:://  /proc/self/cgroup)
        mkdir leaf work
        echo $$ >leaf/cgroup.procs
        echo +cpu +memory +pids >cgroup.subtree_control
        echo 64M >work/memory.max
        cat work/memory.max; ls work/pids.max work/cpu.max""")
    assert out.split() == ["67108864", "work/cpu.max", "work/pids.max"], out


def runs(s, c):
    r = s.run(c, [], ["true"])
    assert r.status == 0 and not r.err, r
    r = s.see(c, [], "pid", "caps", "nnp", "seccomp")
    assert int(r.one("cap_prm"), 16) == 0 and r.one("nnp") == "1" and r.one("seccomp") == "2", r


def runs_in_session(s):
    assert as_user(s, s.hutch, "run", "--", "sh", "-c", "echo ran=$((40 + 2))") == "ran=42\n"


def runs_in_scope(s):
    assert in_own_scope(s, s.hutch, "run", "--", "sh", "-c", "echo ran=$((40 + 2))") == "ran=42\n"


def no_user_namespaces(s, c):
    """The limit says zero: a clear error and 125, and the mode that needs none of them still confines."""
    with setting("user.max_user_namespaces", "0"):
        r = s.run(c, [], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out and "max_user_namespaces" in r.err, r
        without_them(s, c)
    r = s.run(c, [], ["true"])
    assert r.status == 0, "control: with the limit back it must run: %s" % r


def without_them(s, c):
    r = s.run(c, ["--userns=never"], [s.inside, "say", "ran", "1"])
    if os.uname().release.startswith("5.10."):      # no Landlock: nothing would confine files
        assert r.status == 125 and "ran" not in r.out and "Landlock" in r.err, r
    else:
        assert r.status == 0 and r.one("ran") == "1", r


def clone_refused(s, c):
    """Debian's own switch is named to the user, and doesn't bind root."""
    with setting("kernel.unprivileged_userns_clone", "0"):
        r = s.run(c, [], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out and "unprivileged_userns_clone" in r.err, r
        without_them(s, c)
        r = s.run(s.caller(True), [], ["true"])
        assert r.status == 0, "root isn't bound by it: %s" % r
    r = s.run(c, [], ["true"])
    assert r.status == 0, "control: with the switch back it must run: %s" % r


def check_names_them(s, c):
    """`hutch check` says what is wrong before anybody runs into it."""
    for name in ("user.max_user_namespaces", "kernel.unprivileged_userns_clone"):
        with setting(name, "0"):
            out = s.run(c, [], [], raw=[s.hutch, "check"]).out
            line = [l for l in out.splitlines() if l.startswith("user namespaces")]
            assert line and " no" in line[0] and name in out, out


def cases(s):
    user, root = s.caller(False), s.caller(True)
    s.case("machine/pure-v2", pure_v2, s)
    s.case("machine/delegated", delegated, s)
    s.case("machine/scope-is-usable", scope_is_usable, s)
    s.case("run/root", runs, s, root)
    s.case("run/user", runs, s, user)
    s.case("run/user-in-session", runs_in_session, s)
    s.case("run/user-in-scope", runs_in_scope, s)
    s.case("userns/limit-is-zero", no_user_namespaces, s, user)
    s.case("userns/unprivileged-clone-is-off", clone_refused, s, user)
    s.case("userns/check-names-them", check_names_them, s, user)
