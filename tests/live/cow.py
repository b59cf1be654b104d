"""Live: copy-on-write, layers, and what becomes of the changes.
Runs in: the test process."""
import json
import os
import re
import shutil
import stat
import subprocess
import time

from harness import Skip
from files import busybox, put


def source(s, c):
    d = s.scratch + "/src"
    for name in ("a", "b", "sub/x", "sub/y", "dead/z"):
        put(d + "/" + name, "old " + name)
    c.own(s.scratch)
    return d


def sh(s, c, opts, script, **kw):
    return s.run(c, opts, ["sh", "-c", script], cwd="/", **kw)


def tool(s, c, *words, **kw):
    return s.run(c, [], [], raw=[s.hutch, *words], writes=True, **kw)


WRITE = "cd /w && echo new > a && rm -r dead && mkdir dead && echo i > dead/i && chmod 600 b && echo n > n && mv sub moved && cat a dead/i && ls"
# For a tmpfs without user attributes (before Linux 6.6), where no directory of the host's can go: a row of the plan says so.
WRITE_WEAK = "cd /w && echo new > a && rm dead/z && echo i > dead/i && chmod 600 b && echo n > n && mkdir moved && mv sub/x moved && cat a dead/i && ls"


def weak(s, c, d):
    plan = s.run(c, [], [], raw=[s.hutch, "explain", "--cow", d + ":/w", "--", "true"], cwd="/").out
    return "tmpfs has no user attributes" in plan


def memory(s, c):
    """The program sees its changes; the host none, in content, names, modes, times of the directory."""
    d = source(s, c)
    before = os.stat(d)
    poor = weak(s, c, d)
    r = sh(s, c, ["--cow", d + ":/w"], WRITE_WEAK if poor else WRITE)        # the harness compares the whole tree
    assert r.status == 0 and r.out.split() == ["new", "i", "a", "b", "dead", "moved", "n", *(["sub"] if poor else [])], r
    if poor:
        r = sh(s, c, ["--cow", d + ":/w"], "rm -r /w/dead")
        assert r.status == 1 and "Input/output error" in r.err, "the row says that this can't be done: %s" % r
    after = os.stat(d)
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns), "the directory was touched"


def same_place(s, c):
    d = source(s, c)
    r = s.run(c, ["--cow", "."], ["sh", "-c", "echo more >> a; cat a; pwd"], cwd=d)
    inside = re.sub("^/var/tmp/", "/tmp/", d)      # one place inside
    assert r.status == 0 and r.out == "old amore\n%s\n" % inside, r


def attributes(s, c):
    """nosuid and nodev always, noexec where asked; the store is in no mount and no descriptor of the program."""
    d = source(s, c)
    r = s.see(c, ["--cow", d + ":/w:noexec"], "mounts", "fds", "statfs /w", cwd="/")
    line = [m for m in r.all("mount") if m.startswith("/w|overlay|")]
    assert len(line) == 1 and all(o in line[0] for o in ("nosuid", "nodev", "noexec")), r
    assert not any("hutch" in f or "upper" in f for f in r.all("fd")), r
    assert len([m for m in r.all("mount") if m.split("|")[1] == "tmpfs"]) == len(
        [m for m in s.see(c, [], "mounts", cwd="/").all("mount") if m.split("|")[1] == "tmpfs"]), r


def cap(s, c):
    """The cap holds, and the host's memory is given back."""
    d = source(s, c)
    r = sh(s, c, ["--cow", d + ":/w", "--cow-size", "4M"], "head -c 20M /dev/zero > /w/big; stat -c %s /w/big")
    assert "No space" in r.err and int(r.out) <= 4 << 20, r
    r = sh(s, c, ["--cow", d + ":/w", "--tmp-inodes", "60"], "i=0; while [ $i -lt 200 ]; do touch /w/f$i 2>/dev/null || break; i=$((i+1)); done; ls /w | wc -l")
    assert int(r.out.split()[-1]) < 80, r


def directory(s, c):
    """Kept, told, taken up again, committed; the files belong to the caller."""
    d = source(s, c)
    up = s.scratch + "/up"
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", up], WRITE, writes=True)
    assert r.status == 0 and open(d + "/a").read() == "old a", r
    assert stat.S_IMODE(os.stat(up).st_mode) == 0o700 and os.stat(up + "/0/upper/n").st_uid == c.uid, r
    r = tool(s, c, "diff", up)
    want = ["A %s/dead/i", "D %s/dead/z", "M %s/a", "M %s/b (mode 0644 -> 0600)", "A %s/n", "A %s/moved/", "A %s/moved/x", "A %s/moved/y", "D %s/sub/"]
    assert r.status == 1 and sorted(r.out.splitlines()) == sorted(w % d for w in want), r
    j = json.loads(tool(s, c, "diff", "--json", up).out)
    assert len(j["changes"]) == len(want) and {"change", "path"} <= set(j["changes"][0]), j
    assert "-old a\n" in tool(s, c, "diff", "--unified", up).out
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", up], "cat /w/a; echo second > /w/n", writes=True)
    assert r.out == "new\n", r
    r = tool(s, c, "commit", up)
    assert r.status == 0 and not os.path.exists(up), r
    assert open(d + "/a").read() == "new\n" and open(d + "/n").read() == "second\n" and os.listdir(d + "/dead") == ["i"], r
    assert sorted(os.listdir(d)) == ["a", "b", "dead", "moved", "n"], os.listdir(d)
    for name in ("a", "n", "moved", "moved/x", "dead/i"):
        st = os.lstat(d + "/" + name)
        assert (st.st_uid, st.st_gid) == (c.uid, c.gid), (name, st)


def named(s, c):
    d = source(s, c)
    env = dict(c.environ(), XDG_STATE_HOME=s.scratch + "/state")
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", "@try.1"], "echo q > /w/q", writes=True, env=env)
    assert r.status == 0, r
    r = tool(s, c, "diff", "try.1", env=env)
    assert r.out == "A %s/q\n" % d, r
    r = tool(s, c, "discard", "@try.1", env=env)
    assert r.status == 0 and os.listdir(s.scratch + "/state/hutch/cow") == [] and not os.path.exists(d + "/q"), r


def on_exit(s, c):
    d = source(s, c)
    r = sh(s, c, ["--cow", d + ":/w", "--on-exit", "commit"], "echo mem > /w/mem; rm /w/b; exit 7", writes=True)
    assert r.status == 7 and open(d + "/mem").read() == "mem\n" and not os.path.exists(d + "/b"), r
    assert os.stat(d + "/mem").st_uid == c.uid, os.stat(d + "/mem")
    r = sh(s, c, ["--cow", d + ":/w", "--on-exit", "commit"], "echo no > /w/killed; kill -9 $$", writes=True)
    assert r.status == 137 and not os.path.exists(d + "/killed") and "not committed" in r.err, r
    up = s.scratch + "/up"
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", up, "--on-exit", "discard"], "echo no > /w/n", writes=True)
    assert r.status == 0 and not os.path.exists(up) and not os.path.exists(d + "/n"), r
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", up, "--on-exit", "ask"], "echo no > /w/n", writes=True)
    assert r.status == 0 and "no terminal" in r.err and os.path.exists(up + "/0/upper/n") and not os.path.exists(d + "/n"), r


def ask(s, c):
    """A person at a terminal is shown the changes and asked."""
    import pty
    for key, there in (("c", True), ("d", False)):
        d = source(s, c)
        pid, fd = pty.fork()
        if pid == 0:
            if c.switch:
                os.setgroups([]), os.setresgid(c.gid, c.gid, c.gid), os.setresuid(c.uid, c.uid, c.uid)
            os.execve(s.hutch, [s.hutch, "run", "--cow", d + ":/w", "--on-exit", "ask", "--", "sh", "-c", "echo q > /w/asked"], c.environ())
        text, end = b"", time.monotonic() + 15
        while b"[c/d]" not in text and time.monotonic() < end:
            try:
                text += os.read(fd, 4096)
            except OSError:      # EIO: nobody has the other end open; what came says why
                break
        assert b"A %s/asked" % d.encode() in text, text
        os.write(fd, key.encode() + b"\n")
        try:
            while os.read(fd, 4096):
                pass
        except OSError:
            pass
        os.close(fd)
        assert os.waitpid(pid, 0)[1] == 0 and os.path.exists(d + "/asked") == there, key
        shutil.rmtree(d)


def conflict(s, c):
    d = source(s, c)
    up = s.scratch + "/up"
    sh(s, c, ["--cow", d + ":/w", "--cow-upper", up], "echo p > /w/a; echo p > /w/b", writes=True)
    put(d + "/a", "the host's")
    os.chown(d + "/a", c.uid, c.gid)
    r = tool(s, c, "commit", up)
    assert r.status == 125 and "E0425" in r.err and d + "/a" in r.err and open(d + "/b").read() == "old b", r
    r = tool(s, c, "commit", up, d + "/b")
    assert r.status == 0 and open(d + "/b").read() == "p\n" and open(d + "/a").read() == "the host's", r
    r = tool(s, c, "commit", "--force", up)
    assert r.status == 0 and open(d + "/a").read() == "p\n" and not os.path.exists(up), r


def planted(s, c):
    """Links that the program plants are committed as links, and nothing is written through them."""
    d = source(s, c)
    out = s.scratch + "/outside"
    put(out + "/f", "outside")
    c.own(s.scratch)
    up = s.scratch + "/up"
    r = sh(s, c, ["--seccomp", "none", "--cow", d + ":/w", "--cow-upper", up], "cd /w; rm -r sub; ln -s %s sub; ln -s /etc/passwd p; ln -s ../outside/f a2; chmod u+s a" % out, writes=True)
    assert r.status == 0, r
    r = tool(s, c, "commit", up)
    assert r.status == 125 and "E0426" in r.err and os.path.isdir(d + "/sub"), r
    r = tool(s, c, "commit", up, d + "/sub", d + "/p", d + "/a2")
    assert r.status == 0 and os.readlink(d + "/sub") == out and os.readlink(d + "/p") == "/etc/passwd", r
    assert os.listdir(out) == ["f"] and open(out + "/f").read() == "outside"
    # what the next commit finds in the place of a directory of its tree
    r = tool(s, c, "commit", up, d + "/a")
    assert r.status == 0 and os.stat(d + "/a").st_mode & stat.S_ISUID, r


def places(s, c):
    """Directories that can't or mustn't hold changes."""
    d = source(s, c)
    used = s.scratch + "/used"
    put(used + "/f")
    os.symlink(s.scratch, s.scratch + "/link")
    os.mkdir(s.scratch + "/open")
    c.own(s.scratch)
    os.chmod(s.scratch + "/open", 0o777)
    for up in (used, d, d + "/in", s.scratch, s.scratch + "/link", s.scratch + "/open", "/proc/self/x"):
        r = s.run(c, ["--cow", d + ":/w", "--cow-upper", up], [s.inside, "say", "ran", "1"], cwd="/", writes=True)
        assert r.status == 125 and "ran" not in r.out and "E0" in r.err, (up, r)
    assert sorted(os.listdir(d)) == ["a", "b", "dead", "sub"], os.listdir(d)
    p = s.popen(c, ["--cow", d + ":/w", "--cow-upper", s.scratch + "/up"], ["sh", "-c", "echo r; read x"], cwd="/", stdin=subprocess.PIPE)
    try:
        assert p.stdout.readline() == b"r\n"
        r = tool(s, c, "commit", s.scratch + "/up")
        assert r.status == 125 and "E0422" in r.err, r
    finally:
        p.communicate(b"\n", timeout=10)


def submounts(s, c):
    """A mount beneath the source: an overlay of its own, or a refusal; never the directory below it."""
    if os.environ.get("HUTCH_TEST_INNER") != "1":
        raise Skip("needs mounts of our own")
    d = source(s, c)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", d + "/dead"], check=True)
    try:
        put(d + "/dead/mounted", "in the mount", 0o666)
        os.chmod(d + "/dead", 0o777)
        c.own(d + "/dead")
        r = sh(s, c, ["--cow", d + ":/w"], "cat /w/dead/mounted && echo w > /w/dead/mounted && cat /w/dead/mounted; ls /w/dead")
        if c.root and r.status == 125 and "E0414" in r.err and tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 3):
            raise Skip("tmpfs maps owners from Linux 6.3 on: the copy is refused, with that reason")
        if c.root:
            assert r.status == 0 and r.out == "in the mountw\nmounted\n", r
        else:
            assert r.status == 125 and "E0420" in r.err and d + "/dead" in r.err and r.out == "", r
    finally:
        subprocess.run(["umount", d + "/dead"], check=True)


def rules_below(s, c):
    """Other rules hold in a copy-on-write tree, and a mask stays over it."""
    d = source(s, c)
    r = sh(s, c, ["--cow", d + ":/w", "--mask", "/w/dead", "--ro", d + "/sub:/w/sub"], "ls /w/dead; echo x > /w/sub/x; mv /w/dead /w/d2; echo a > /w/a && cat /w/a")
    assert r.out == "a\n" and "Read-only" in r.err and ("busy" in r.err or "Permission" in r.err), r


def host_root(s, c):
    d = source(s, c)
    r = s.run(c, ["--host-root", "--cow", d], ["sh", "-c", "echo x > %s/a; cat %s/a; id -u" % (d, d)], cwd="/")
    assert r.status == 0 and r.out == "x\n%d\n" % c.uid, r


def layer_trees(s, c):
    base = busybox(s, c)
    one, two = s.scratch + "/one", s.scratch + "/two"
    for name in ("etc/f", "gone/in", "opaque/low", "merged/low", "xgone"):
        put(base + "/" + name, "base " + name)
    put(one + "/etc/f", "one")
    put(one + "/opaque/one", "one")
    put(one + "/merged/one", "one")
    put(two + "/merged/two", "two")
    os.setxattr(one + "/opaque", "user.overlay.opaque", b"y")
    os.mknod(one + "/gone", stat.S_IFCHR, 0)
    os.setxattr(two, "user.overlay.opaque", b"x")
    put(two + "/xgone", "")
    os.setxattr(two + "/xgone", "user.overlay.whiteout", b"y")
    c.own(s.scratch)
    return ["--rootfs", base, "--layer", one, "--layer", two]


def layers(s, c):
    opts = layer_trees(s, c)
    look = "cat /etc/f; echo; ls /opaque /merged; ls /gone /xgone"
    anew = "" if weak(s, c, s.scratch) else " && rm -r /merged && mkdir /merged && ls /merged"
    r = sh(s, c, opts, look + "; echo n > /etc/new" + anew + "; cat /etc/new")
    assert r.out.split() == ["one", "/merged:", "low", "one", "two", "/opaque:", "one", "n"], r
    assert r.err.count("No such file") == 2, r
    r = sh(s, c, opts + ["--rootfs-access", "ro"], look + "; echo n > /etc/new")
    assert r.out.split() == ["one", "/merged:", "low", "one", "two", "/opaque:", "one"] and "Read-only" in r.err, r


def layers_kept(s, c):
    """The upper of one run is a layer of the next."""
    opts = layer_trees(s, c)
    up = s.scratch + "/up"
    r = sh(s, c, opts + ["--cow-upper", up], "echo n > /etc/new; rm /opaque/one; rm -r /merged; mkdir /merged", writes=True)
    assert r.status == 0, r
    r = tool(s, c, "diff", up)
    assert sorted(r.out.splitlines()) == ["A /etc/new", "D /merged/low", "D /merged/one", "D /merged/two", "D /opaque/one"], r
    r = tool(s, c, "commit", up)
    assert r.status == 125 and "E0428" in r.err, r
    r = sh(s, c, opts + ["--layer", up + "/0/upper"], "cat /etc/new; ls /opaque /merged")
    assert r.out.split() == ["n", "/merged:", "/opaque:"], r


def rootfs_cow(s, c):
    base = busybox(s, c)
    r = sh(s, c, ["--rootfs", base, "--rootfs-access", "cow", "--on-exit", "commit"], "echo n > /etc/new; rm /etc/marker", writes=True)
    assert r.status == 0 and open(base + "/etc/new").read() == "n\n" and not os.path.exists(base + "/etc/marker"), r


def read_only_files(s, c):
    """Files that lack their owner's rights are looked at and committed as they are."""
    d = source(s, c)
    up = s.scratch + "/up"
    r = sh(s, c, ["--cow", d + ":/w", "--cow-upper", up], "cd /w; echo s > secret; chmod 0 secret; mkdir shut; echo i > shut/in; chmod 0 shut", writes=True)
    assert r.status == 0, r
    r = tool(s, c, "diff", up)
    assert r.out.count("A ") == 3, r
    r = tool(s, c, "commit", up)
    assert r.status == 0, r
    assert stat.S_IMODE(os.stat(d + "/secret").st_mode) == 0 and stat.S_IMODE(os.stat(d + "/shut").st_mode) == 0
    os.chmod(d + "/shut", 0o700)
    assert os.listdir(d + "/shut") == ["in"]


def missing(s, c):
    """A kernel whose users can't mount overlays: a clear refusal, and nothing ran."""
    d = source(s, c)
    r = sh(s, c, ["--cow", d + ":/w"], "echo ran")
    assert r.status == 125 and "ran" not in r.out and "E0417" in r.err, r


def cases(s, c, who):
    if not c.root and tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) < (5, 11):
        s.case(who + "/cow/missing", missing, s, c)
        s.skip(who + "/cow", "this kernel's users can't mount overlays (5.11; refused clearly)")
        return
    for f in (memory, same_place, attributes, cap, directory, named, on_exit, ask, conflict, planted, places, submounts, rules_below, host_root, layers,
              layers_kept, rootfs_cow, read_only_files):
        s.case("%s/cow/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
