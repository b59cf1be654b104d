"""The list itself: who is in it, stale and hostile entries, names, directories that aren't trusted.
Runs in: the test process."""
import fcntl
import os
import random
import re
import shutil
import signal
import tempfile

from harness import Skip, wait_until
from runs import Started, alive, entry_file, listed, names, start_time, tool

SLEEP = ["sleep", "60"]


def shows(s, c):
    with Started(s, c, [], ["sh", "-c", "sleep 60 # \033[31m \xe4\n"], name="web-1") as r:
        n = r.now()
        assert n["name"] == "web-1" and n["state"] == "running" and n["command"][:2] == ["sh", "-c"], n
        assert n["command"][2] == "sleep 60 # \033[31m \xe4\n", n["command"]
        assert 0 <= n["age_ms"] < 20000 and n["memory"] > 0 and n["tasks"] >= 2, n
        text = tool(s, c, "ps").out
        assert "\033" not in text and "web-1" in text and n["id"] in text, repr(text)
        by_id, by_name = (tool(s, c, "stats", w, "--json").out for w in (n["id"], "web-1"))
        assert '"web-1"' in by_id and '"web-1"' in by_name, (by_id, by_name)
        mode = os.stat(entry_file(c, "web-1")).st_mode
        assert mode & 0o777 == 0o600 and os.stat(os.path.join(c.runtime, "hutch")).st_mode & 0o777 == 0o700
    assert not os.path.exists(entry_file(c, "web-1")), "the entry outlived the run"
    assert listed(s, c) == []


def unnamed(s, c):
    with Started(s, c, [], SLEEP) as a, Started(s, c, [], SLEEP) as b:
        assert a.id != b.id and re.fullmatch("[a-z2-9]{7}", a.id), (a.id, b.id)
        assert a.now()["name"] == a.id
        assert "source" in tool(s, c, "stats", b.id, "--json").out


def taken(s, c):
    marker = os.path.join(s.scratch, "ran")
    with Started(s, c, [], SLEEP, name="one"):
        r = s.run(c, ["--name=one", "--rw=" + s.scratch], ["touch", marker], writes=True)
        assert r.status == 125 and "E0872" in r.err and not os.path.exists(marker), r
    s.run(c, ["--name=one", "--rw=" + s.scratch], ["touch", marker], writes=True)
    assert os.path.exists(marker), "the name is free again"
    for bad in ("", "../x", "a/b", ".x", "-x", "x y", "x" * 65, "\xe4"):
        r = s.run(c, ["--name=" + bad], ["true"])
        assert r.status == 125 and "E0101" in r.err, (bad, r)


def stale(s, c):
    with Started(s, c, [], SLEEP, name="gone") as r:
        r.p.kill()
        r.p.wait()
        assert os.path.exists(entry_file(c, "gone")), "control: nobody has looked yet"
        assert names(s, c) == [] and not os.path.exists(entry_file(c, "gone")), "the next reader removes it"
    with Started(s, c, [], SLEEP, name="again") as r:
        r.p.kill()
        r.p.wait()
        assert s.run(c, ["--name=again"], ["true"]).status == 0, "a dead launcher's name is free"


def without(s, c):
    env = dict(c.environ(), XDG_RUNTIME_DIR=os.path.join(s.scratch, "missing"))
    if c.root:
        os.mkdir(env["XDG_RUNTIME_DIR"], 0o700)      # root has /run/hutch else: a directory that can't hold one
        os.chown(env["XDG_RUNTIME_DIR"], 0, 0)
        with open(os.path.join(env["XDG_RUNTIME_DIR"], "hutch"), "w"):
            pass
    assert s.run(c, [], ["true"], env=env, writes=True).status == 0
    r = s.run(c, ["--name=x"], ["true"], env=env, writes=True)
    assert r.status == 125 and re.search("E087[01]", r.err), r
    r = tool(s, c, "ps", env=env, expect=125)
    assert re.search("E087[01]", r.err) and not r.out, r


def untrusted(s, c):
    top = os.path.join(s.scratch, "top")
    env = dict(c.environ(), XDG_RUNTIME_DIR=top)

    def refused(what):
        r = tool(s, c, "ps", env=env, expect=125)
        assert "E0871" in r.err, (what, r)
        assert s.run(c, [], ["true"], env=env, writes=True).status == 0, what
        assert s.run(c, ["--name=x"], ["true"], env=env, writes=True).status == 125, what
        assert [n for n in os.listdir(os.path.join(top, "hutch"))] == [], what

    os.makedirs(os.path.join(top, "hutch"))
    c.own(top)
    os.chmod(os.path.join(top, "hutch"), 0o755)
    refused("others may enter")
    os.rmdir(os.path.join(top, "hutch"))
    os.mkdir(os.path.join(top, "real"), 0o700)
    os.symlink("real", os.path.join(top, "hutch"))
    c.own(top)
    refused("a link")
    os.unlink(os.path.join(top, "hutch"))
    if os.geteuid() == 0:
        os.mkdir(os.path.join(top, "hutch"), 0o700)
        os.chown(os.path.join(top, "hutch"), 12345 if c.root else 0, 0)
        refused("another's")


def whole(first, launcher, name="x", extra=""):
    return "hutch 1\nid %s\nlauncher %d %d\nfirst %d %d\ninit 1\nstarted 1\n%sword sleep\nend\n" % (
        name, launcher, start_time(launcher), first, start_time(first), extra)


class Imposter:
    """A process of the caller's that has an entry open and locked, as a launcher has. text: of the entry, from its pid."""

    CODE = "import fcntl,sys,time\nf=open(sys.argv[1],'r+')\nfcntl.flock(f,fcntl.LOCK_EX)\nprint('held',flush=True)\ntime.sleep(60)"

    def __init__(self, s, c, name, text):
        os.makedirs(os.path.join(c.runtime, "hutch"), exist_ok=True)
        os.chmod(os.path.join(c.runtime, "hutch"), 0o700)
        self.path = entry_file(c, name)
        with open(self.path, "w"):
            pass
        os.chmod(self.path, 0o600)
        c.own(os.path.join(c.runtime, "hutch"))
        self.p = s.popen(c, [], [], raw=["python3", "-c", self.CODE, self.path])
        assert self.p.stdout.readline() == b"held\n"
        with open(self.path, "w") as f:
            f.write(text(self.p.pid))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.communicate()
        if os.path.lexists(self.path):
            os.unlink(self.path)


def victim(s, c):
    return s.popen(c, [], [], raw=["sleep", "60"])


def end(p):
    p.kill()
    p.communicate()


def refuses(s, c, name, pids, code="E0875"):
    """Nothing of an entry that lies may be acted on."""
    for words in (("kill", name, "KILL"), ("kill", name), ("freeze", name), ("stats", name), ("update", name, "pids=5")):
        r = tool(s, c, *words, expect=125)
        assert code in r.err, (words, r)
    assert all(alive(p) for p in pids), "another process was hit"
    assert name not in names(s, c)


def foreign(s, c):
    v = victim(s, c)
    try:
        # Another process as launcher; as sandbox; both in order of blood, but the launcher never held the file.
        with Imposter(s, c, "a", lambda me: whole(v.pid, me)):
            refuses(s, c, "a", [v.pid])
        with Imposter(s, c, "b", lambda me: whole(v.pid, os.getpid() if c.uid == os.geteuid() else v.pid)):
            refuses(s, c, "b", [v.pid])
        with Imposter(s, c, "c", lambda me: whole(me, v.pid)) as i:
            refuses(s, c, "c", [v.pid, i.p.pid])
    finally:
        end(v)


def shell_child(s, c):
    """Launcher and sandbox that are truly parent and child, but of another program: it doesn't hold the entry."""
    p = s.popen(c, [], [], raw=["sh", "-c", "sleep 60 & echo $!; wait"])
    child = int(p.stdout.readline())
    try:
        with Imposter(s, c, "p", lambda me: whole(child, p.pid)):
            refuses(s, c, "p", [p.pid, child])
    finally:
        os.kill(child, signal.SIGKILL)
        end(p)


def reused(s, c):
    """Real run, but its entry tells of a process that had the number before."""
    with Started(s, c, [], SLEEP, name="r") as r:
        path = entry_file(c, "r")
        with open(path) as f:
            text = f.read()
        for field in ("first", "launcher"):
            changed = re.sub(r"(%s \d+) (\d+)" % field, lambda m: "%s %d" % (m.group(1), int(m.group(2)) - 1), text)
            assert changed != text
            with open(path, "r+") as f:
                f.truncate(0)
                f.write(changed)
            refuses(s, c, "r", [r.pid, r.p.pid])
        v = victim(s, c)
        with open(path, "r+") as f:
            f.truncate(0)
            f.write(re.sub(r"first \d+ \d+", "first %d %d" % (v.pid, start_time(v.pid)), text))
        refuses(s, c, "r", [r.pid, v.pid])
        end(v)
        with open(path, "r+") as f:
            f.truncate(0)
            f.write(text)
        assert tool(s, c, "kill", "r", "KILL").status == 0 and r.wait() == 137, "control: the true entry works"


def hostile(s, c):
    """Files that no launcher makes: none is followed, opened for long, believed or removed."""
    top = os.path.join(c.runtime, "hutch")
    os.makedirs(top, exist_ok=True)
    os.chmod(top, 0o700)
    secret = os.path.join(s.scratch, "secret")
    with open(secret, "w") as f:
        f.write(whole(os.getpid(), os.getpid()))
    os.symlink(secret, os.path.join(top, "link"))
    os.mkfifo(os.path.join(top, "fifo"), 0o600)
    os.mkdir(os.path.join(top, "dir"), 0o700)
    content = {"huge": "word x\n" * 200000, "open": whole(os.getpid(), os.getpid()), "hard": "x", "nul": "hutch 1\0\n", "..x": "x", "a b": "x"}
    for name, text in content.items():
        with open(os.path.join(top, name), "w") as f:
            f.write(text)
        os.chmod(os.path.join(top, name), 0o600)
    os.chmod(os.path.join(top, "open"), 0o622)
    os.link(os.path.join(top, "hard"), os.path.join(s.scratch, "other-name"))
    c.own(top)
    if os.geteuid() == 0:
        with open(os.path.join(top, "owner"), "w") as f:
            f.write(whole(os.getpid(), os.getpid()))
        os.chmod(os.path.join(top, "owner"), 0o600)
        os.chown(os.path.join(top, "owner"), 4321 if c.root else 0, 0)
    held = [open(os.path.join(top, n)) for n in ("nul",)]
    for f in held:
        fcntl.flock(f, fcntl.LOCK_EX)
    before = sorted(os.listdir(top))
    try:
        with Started(s, c, [], SLEEP, name="good"):
            r = tool(s, c, "ps")
            assert "good" in r.out and len(r.out.splitlines()) == 2, r
            assert "the kernel doesn't confirm" in r.err, r
        assert sorted(os.listdir(top)) == before, "files of others were taken away"
        for name in before:
            r = tool(s, c, "kill", name, "KILL", expect=125)
            assert "E0875" in r.err or "E0874" in r.err, r
    finally:
        for f in held:
            f.close()
        shutil.rmtree(top)


def garbled(s, c):
    """Damaged entries of a locked file: the reader says no to each, and never ends badly."""
    rng = random.Random(7)
    v = victim(s, c)
    with Imposter(s, c, "g", lambda me: "") as i:
        good = whole(v.pid, i.p.pid, extra="cgroup1 /sys/fs/cgroup/freezer/hutch-x\n") + "mount 5 /tmp/%20a\numount 5 /tmp/%20a\n"
        for n in range(30):
            text = bytearray(good.encode())
            for _ in range(rng.randrange(1, 5)):
                at = rng.randrange(len(text))
                text[at:at + rng.choice((0, 1, 1, 9))] = bytes(rng.randrange(256) for _ in range(rng.choice((0, 1, 2, 40))))
            with open(i.path, "wb") as f:
                f.write(text)
            r = tool(s, c, "ps", "--json", expect=None)
            assert r.status == 0 and r.out == "[]\n", (bytes(text), r)
    assert alive(v.pid)
    end(v)


def apart(s, root, user):
    """Neither sees the other's, nor can use the other's list."""
    with Started(s, root, [], SLEEP, name="of-root") as a, Started(s, user, [], SLEEP, name="of-user") as b:
        assert names(s, root) == ["of-root"] and names(s, user) == ["of-user"]
        for c, name in ((root, "of-user"), (user, "of-root")):
            assert "E0874" in tool(s, c, "kill", name, "KILL", expect=125).err
        stolen = dict(user.environ(), XDG_RUNTIME_DIR=root.runtime)
        assert re.search("E087[01]", tool(s, user, "kill", "of-root", env=stolen, expect=125).err)
        # Root with the user's environment has a list of its own, not the user's.
        r = tool(s, root, "kill", "of-user", env=dict(root.environ(), XDG_RUNTIME_DIR=user.runtime), expect=125)
        assert re.search("E087[04]", r.err), r
        assert a.p.poll() is None and b.p.poll() is None


def calls(s, c):
    """What entering the list costs: system calls of the launcher with and without it."""
    if not shutil.which("strace"):
        raise Skip("strace isn't installed")
    log = os.path.join(s.base, "calls")

    def count(env):
        r = s.run(c, [], [], raw=["strace", "-o", log, s.hutch, "run", "--", "true"], env=env, writes=True)
        if r.status != 0 and "ptrace" in r.err:
            raise Skip("strace can't trace here")
        assert r.status == 0, r
        with open(log) as f:
            # How often it waits and what the allocator does differs from run to run.
            return [l for l in f if re.match(r"\w+\(", l) and not re.match(r"(p?poll|waitid|recvmsg|m(un)?map|brk)\(", l)]
    os.makedirs(os.path.join(s.scratch, "none"))
    c.own(s.scratch)
    with open(log, "w"):
        pass
    os.chmod(log, 0o666)
    # As the one of a login session: in memory.
    runtime = tempfile.mkdtemp(dir="/dev/shm")
    os.chown(runtime, c.uid, c.gid)
    session = dict(c.environ(), XDG_RUNTIME_DIR=runtime)
    count(session)                    # makes the directory
    with_list = count(session)
    shutil.rmtree(runtime)
    nowhere = dict(c.environ(), XDG_RUNTIME_DIR=os.path.join(s.scratch, "none", "none"))
    if c.root:
        raise Skip("root always has a list: measured as the ordinary user")
    without_list = count(nowhere)
    more = len(with_list) - len(without_list)
    print("# %d system calls of the launcher with the list, %d without" % (len(with_list), len(without_list)))
    # Missing costs two: looking, and trying to make it.
    assert 5 <= more <= 13, "%d more system calls: %s" % (more, [l.split("(")[0] for l in with_list])


def cases(s, c, who):
    for f in (shows, unnamed, taken, stale, without, untrusted, foreign, shell_child, reused, hostile, garbled, calls):
        s.case("%s/%s" % (who, f.__name__), f, s, c)
