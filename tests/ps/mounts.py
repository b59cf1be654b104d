"""Mounts into a run that is there, and out of it again.
Runs in: the test process."""
import os
import re
import subprocess

from harness import wait_until
from runs import Started, entry_file, tool

# A shell inside that does what it is told, line by line, and says so.
SHELL = "echo ready; while read -r line; do eval \"$line\"; echo \"= $?\"; done"


class Inside:
    def __init__(self, s, c, opts, name):
        self.run = Started(s, c, opts, ["sh", "-c", SHELL], name=name, stdin=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        self.run.__enter__()
        assert self.run.p.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *a):
        self.run.p.stdin.close()
        self.run.p.stderr = open(os.devnull)      # it goes to standard output
        self.run.__exit__(*a)

    def do(self, line):
        self.run.p.stdin.write(line.encode() + b"\n")
        self.run.p.stdin.flush()
        out = b""
        while True:
            got = self.run.p.stdout.readline()
            assert got, "it ended: %r" % out
            if got.startswith(b"= "):
                return int(got[2:]), out.decode()
            out += got


def source(s, c):
    path = os.path.join(s.scratch, "src")
    os.makedirs(os.path.join(path, "sub"))
    with open(os.path.join(path, "f"), "w") as f:
        f.write("hello\n")
    os.chmod(s.scratch, 0o755)
    c.own(s.scratch)
    return path


def point(inside, at):
    _, text = inside.do("grep ' %s ' /proc/self/mountinfo; true" % at)
    return [line.split()[5].split(",") for line in text.splitlines()]


def shown(s, c):
    src = source(s, c)
    with Inside(s, c, ["--cwd-access=none"], "m") as i:
        assert i.do("test -e %s/f" % src)[0] != 0, "control: it isn't visible"
        i.do("mkdir /tmp/have")
        tool(s, c, "mount", "m", src + ":/tmp/have:ro")
        assert i.do("cat /tmp/have/f") == (0, "hello\n")
        assert i.do("echo x 2>/dev/null >/tmp/have/w")[0] != 0 and not os.path.exists(src + "/w")
        assert point(i, "/tmp/have") and {"ro", "nosuid", "nodev"} <= set(point(i, "/tmp/have")[0]), point(i, "/tmp/have")
        tool(s, c, "mount", "m", "src:/tmp/new")                   # a relative source, a mount point that is made
        assert i.do("cat /tmp/new/f; echo x >/tmp/new/w") == (0, "hello\n")
        with open(src + "/w") as f:
            assert f.read() == "x\n"
        assert os.stat(src + "/w").st_uid == c.uid, "what it writes is the caller's"
        assert {"rw", "nosuid", "nodev"} <= set(point(i, "/tmp/new")[0]), point(i, "/tmp/new")
        tool(s, c, "mount", "m", src + "/f:/tmp/file:ro")
        assert i.do("cat /tmp/file; echo x 2>/dev/null >/tmp/file") == (2, "hello\n")
        tool(s, c, "mount", "m", src + "/sub:/tmp/have:ro")        # over the first one
        assert i.do("test -e /tmp/have/f")[0] != 0
        tool(s, c, "umount", "m", "/tmp/have")
        assert i.do("cat /tmp/have/f") == (0, "hello\n")
        tool(s, c, "umount", "m", "/tmp/have")
        assert i.do("ls /tmp/have") == (0, "") and not point(i, "/tmp/have")
        for at in ("/tmp/have", "/tmp", "/", "/proc", "/usr", "/tmp/never"):
            assert "E0885" in tool(s, c, "umount", "m", at, expect=125).err, at
        tool(s, c, "umount", "m", "/tmp/file")
        tool(s, c, "umount", "m", "/tmp/new")
        assert not point(i, "/tmp/new") and not point(i, "/tmp/file")


def refused(s, c):
    """Never through a link, never a mount point made on the host, nothing odd as source."""
    src = source(s, c)
    work = os.path.join(s.scratch, "work")
    os.mkdir(work)
    os.symlink(src, os.path.join(s.scratch, "link"))
    os.mkfifo(os.path.join(s.scratch, "fifo"))
    c.own(s.scratch)
    with Inside(s, c, ["--rw=" + work], "m") as i:
        assert i.do("mkdir /tmp/real; ln -s real /tmp/dir; ln -s / /tmp/root; ln -s ../../../../etc /tmp/up; ln -s %s /tmp/work; : >/tmp/plain" % work)[0] == 0
        for at in ("/tmp/dir", "/tmp/dir/x", "/tmp/root/tmp/real", "/tmp/up", "/tmp/up/x", "/tmp/work/x", work + "/new", "/usr/new", "/new", "/tmp/plain",
                   "/tmp/plain/x", "/tmp/a/b"):
            assert "E0884" in tool(s, c, "mount", "m", "%s:%s:ro" % (src, at), expect=125).err, at
        for at in ("/", "//tmp", "/tmp/../x", "/tmp/.", "/tmp/", "tmp", "/tmp//x"):
            assert "E0884" in tool(s, c, "mount", "m", "%s:%s:ro" % (src, at), expect=125).err, at
        assert os.listdir(work) == [], "something was made on the host"
        for what in ("/proc", "/proc/self/status", "/dev/null", os.path.join(s.scratch, "fifo"), os.path.join(s.scratch, "none"), os.path.join(s.scratch, "link")):
            assert "E0883" in tool(s, c, "mount", "m", what + ":/tmp/x", expect=125).err, what
        tool(s, c, "mount", "m", os.path.join(s.scratch, "link") + ":/tmp/l:ro")
        assert i.do("cat /tmp/l/f") == (0, "hello\n"), "read-only a link may lead to it"
        inside = re.sub("^/var/tmp/", "/tmp/", work)                # /var/tmp is a link there
        tool(s, c, "mount", "m", src + ":" + inside + ":ro")        # a directory of the host that is there
        assert i.do("cat %s/f" % work) == (0, "hello\n") and os.listdir(work) == [], "the host's own tree is as it was"
        for words in (("mount", "m"), ("mount", "m", "x"), ("mount", "m", ":/x"), ("mount", "m", "/x:/y:zz"), ("umount", "m"), ("mount", "m", "a:b:ro", "c")):
            assert "usage: hutch" in tool(s, c, *words, expect=2).err, words
        for word in ("mount", "umount"):
            assert "usage: hutch" in tool(s, c, word, "--help").out


def record(s, c):
    """What an entry claims of mounts is compared with what is mounted there."""
    src = source(s, c)
    with Inside(s, c, ["--mask=/etc/passwd"], "m") as i:
        ids = [line.split() for line in i.do("cat /proc/self/mountinfo")[1].splitlines()]
        tmp = next(f[0] for f in ids if f[4] == "/tmp")
        with open(entry_file(c, "m"), "a") as f:
            f.write("mount %d /etc/passwd\nmount %s /tmp/elsewhere\n" % (int(tmp) + 4000, tmp))
        assert "E0885" in tool(s, c, "umount", "m", "/etc/passwd", expect=125).err
        i.do("mkdir /tmp/elsewhere")
        assert "E0885" in tool(s, c, "umount", "m", "/tmp/elsewhere", expect=125).err
        assert i.do("cat /etc/passwd")[1] == "" or i.do("cat /etc/passwd")[0] != 0, "the mask is gone"
        with open(entry_file(c, "m"), "a") as f:
            f.write("".join("mount %d /tmp/n\n" % (9000 + n) for n in range(61)))
        tool(s, c, "mount", "m", src + ":/tmp/last:ro")
        e = tool(s, c, "mount", "m", src + ":/tmp/beyond:ro", expect=125).err
        assert "full" in e and i.do("test -e /tmp/beyond")[0] != 0, e
        assert tool(s, c, "ps").out.count("\n") == 2, "the entry is still believed"


def none(s, c):
    """Where a run has no mounts of its own there is nothing to attach to, and never the host's."""
    src = source(s, c)
    for opts in (["--userns=never"], ["--mntns=host"]):
        if opts == ["--mntns=host"] and not c.root:
            continue
        try:
            started = Started(s, c, opts, ["sleep", "60"], name="n").__enter__()
        except AssertionError as e:
            assert "E0" in str(e), e       # a combination that this host doesn't offer
            continue
        try:
            e = tool(s, c, "mount", "n", src + ":/tmp:ro", expect=125).err
            assert "E0881" in e, e
        finally:
            started.stop()
    assert not [l for l in open("/proc/self/mountinfo") if src in l]


def late(s, c):
    """A frozen run takes a mount, too; one that has ended doesn't."""
    src = source(s, c)
    with Inside(s, c, s.cgroups.options(c), "m") as i:
        tool(s, c, "freeze", "m")
        tool(s, c, "mount", "m", src + ":/tmp/x:ro")
        tool(s, c, "thaw", "m")
        assert i.do("cat /tmp/x/f") == (0, "hello\n")
        tool(s, c, "kill", "m", "KILL")
        assert wait_until(lambda: "E0874" in tool(s, c, "mount", "m", src + ":/tmp/y:ro", expect=125).err)
    assert re.search("E0874", tool(s, c, "umount", "m", "/tmp/x", expect=125).err)


def cases(s, c, who):
    for f in (shown, refused, record, none, late):
        s.case("%s/mount/%s" % (who, f.__name__), f, s, c)
