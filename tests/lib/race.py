"""A peer of the same user that swaps names all the time, what a launch may show of them, and a naive launcher that loses
the race. Used by the live and the attack suite.
Runs in: the test process."""
import ctypes
import os
import subprocess

from harness import Skip, tree_hash

PYTHON = "/usr/bin/python3"
SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pairs = [(a.encode(), b.encode()) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]
parent, n = os.getppid(), 0
while os.getppid() == parent:
    for a, b in pairs:
        if libc.renameat2(-100, a, -100, b, 2) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
    n += 1
    if n == 1:
        print("swapping", flush=True)
"""
# What a launcher does that looks first and mounts by path then, in namespaces of its own.
NAIVE = """
import ctypes, os, stat, sys, time
libc = ctypes.CDLL(None, use_errno=True)
top, end, i = sys.argv[1], time.monotonic() + float(sys.argv[2]), 0
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
def is_dir(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0 or libc.mount(b"t", (top + "/stage").encode(), b"tmpfs", 0, None) != 0:
    sys.exit("no mounts of its own: " + os.strerror(ctypes.get_errno()))
os.mkdir(top + "/stage/w")
shown = made = 0
while time.monotonic() < end and not (shown and made):
    i += 1
    if is_dir(top + "/dir") and libc.mount((top + "/dir").encode(), (top + "/stage/w").encode(), None, MS_BIND, None) == 0:
        shown += open(top + "/stage/w/f").read() == "secret"
        libc.umount2((top + "/stage/w").encode(), MNT_DETACH)
    if is_dir(top + "/tree/sub"):
        try:
            os.mkdir(top + "/tree/sub/made")
        except OSError:
            pass
        if os.path.isdir(top + "/outside/made"):
            made += 1
        for place in ("/tree/sub/made", "/tree/sub-link/made", "/outside/made"):
            try:
                os.rmdir(top + place)
            except OSError:
                pass
print("shown %d made %d tries %d" % (shown, made, i))
"""


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o666)


class Field:
    """The names, the peer (with Field(…) as f), and one method each for what is launched and for the end."""
    HELD = ("/secret", "/outside", "/over", "/shut")

    def __init__(self, suite, caller, top):
        self.s, self.c, self.top = suite, caller, top
        if not hasattr(ctypes.CDLL(None), "renameat2") or not os.access(PYTHON, os.X_OK):
            raise Skip("no renameat2 in the C library, or no python3 for the peer")
        for name in ("a", "b"):
            put("%s/%s/f" % (top, name), name)
        put(top + "/secret/f", "secret")
        put(top + "/dir/f", "mine")
        put(top + "/file", "mine")
        put(top + "/tree/sub/point/x", "point")
        put(top + "/tree/p/hooks/x", "hook")
        put(top + "/tree/masked", "secret")
        put(top + "/outside/point/x", "outside")
        put(top + "/outside/hooks/x", "hook")
        put(top + "/over/y", "over")
        put(top + "/shut/x", "shut")
        os.mkdir(top + "/stage")
        links = {"dir": "secret", "file": "secret/f", "tree/sub": "../outside", "tree/p": "../outside", "tree/masked": "../secret/f"}
        for name, target in links.items():
            os.symlink(target, "%s/%s-link" % (top, name))
        for base, _, _ in os.walk(top):
            os.chmod(base, 0o777)
        caller.own(top)
        self.pairs = [top + "/a", top + "/b"]
        for name in links:
            self.pairs += ["%s/%s" % (top, name), "%s/%s-link" % (top, name)]
        self.names = {d: sorted(os.listdir(top + d)) for d in ("", "/tree")}
        # Names go round; what they hold must not change.
        self.held = [tree_hash(top + d) for d in self.HELD]
        self.count = {k: {"ran": 0, "by the plan": 0, "at the launch": 0} for k in self.kinds()}

    def kinds(self):
        """name: options, and what is done inside"""
        t = self.top
        return {
            "source": (["--ro", t + "/a:/x", "--ro", t + "/a/f:/y"], ["cat", "/x/f", "/y"]),
            "writable source": (["--rw", t + "/dir:/w"], ["cat", "/w/f"]),
            "writable file": (["--rw", t + "/file:/w"], ["cat", "/w"]),
            "copy-on-write": (["--cow", t + "/dir:/w"], ["cat", "/w/f", ",", "put", "/w/f", "!"]),
            "destination": (["--rw", t + "/tree:/t", "--ro", t + "/over:/t/sub/point"], ["cat", "/t/sub/point/y", ",", "create", "/t/sub/point"]),
            "protected": (["--rw", t + "/tree:/t", "--protect", "/t/p/hooks"], ["put", "/t/p/hooks/x", "evil", ",", "put", "/t/p-link/hooks/x", "evil"]),
            "masked": (["--rw", t + "/tree:/t", "--mask", "/t/masked"], ["cat", "/t/masked", "/t/masked-link"]),
        }

    def __enter__(self):
        self.peer = subprocess.Popen([PYTHON, "-c", SWAP, *self.pairs], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **self.c.popen_args())
        assert self.peer.stdout.readline() == b"swapping\n"
        return self

    def __exit__(self, *why):
        self.peer.kill()
        self.peer.wait()

    def launch(self, kind, more=()):
        """One launch; AssertionError = the race was lost."""
        opts, verbs = self.kinds()[kind]
        r = self.s.run(self.c, [*more, *opts], [self.s.inside, *verbs], cwd="/", writes=True)
        assert self.peer.poll() is None, "the peer ended"
        # With a copy-on-write tree the changes are looked at in the end, and the tree may be a link by then: refused too.
        looked = kind == "copy-on-write" and "E0424" in r.err
        if r.status == 125 and not looked:
            assert "cat:" not in r.out and "put:" not in r.out, "refused, and yet it ran: %s" % r
            launch = ": openat2: " in r.err or ": fstat" in r.err or "E0404" in r.err
            self.count[kind]["at the launch" if launch else "by the plan"] += 1
            return r
        assert r.status == 0 or looked, r
        self.count[kind]["ran"] += 1
        assert "secret" not in r.out, "the secret was shown: %s" % r
        if kind == "source":
            assert r.one("cat:/x/f") in ("a", "b") and r.one("cat:/y") in ("a", "b"), "neither of the two: %s" % r
        elif kind.startswith("writable"):
            assert r.one("cat:" + verbs[1]) == "mine", "not what was named: %s" % r
        elif kind == "copy-on-write":
            assert r.one("cat:/w/f") == "mine", "not what was named: %s" % r
        elif kind == "destination":
            # The directory that was mounted on may have moved on to the other name.
            assert r.one("create:/t/sub/point") != "ok" or r.one("cat:/t/sub/point/y") != "over", r
        return r

    def end(self):
        """After the peer: nothing of the host has changed."""
        assert self.held == [tree_hash(self.top + d) for d in self.HELD], "the host was changed"
        assert self.names == {d: sorted(os.listdir(self.top + d)) for d in ("", "/tree")}, "names were made: %s" % os.listdir(self.top)
        assert {open("%s/%s/f" % (self.top, n)).read() for n in "ab"} == {"a", "b"}
        mine = next(self.top + "/" + n for n in ("dir", "dir-link") if not os.path.islink(self.top + "/" + n))
        assert open(mine + "/f").read() == "mine", "the host's file was written instead of a copy"
        hooks = next(self.top + "/tree/" + n for n in ("p", "p-link") if not os.path.islink(self.top + "/tree/" + n))
        assert open(hooks + "/hooks/x").read() == "hook", "the protected file was written"

    def control(self, seconds=20):
        """(secrets that the naive launcher shows, directories that it makes on the host), the peer being at work."""
        c = self.c
        prefix = [] if c.root else ["unshare", "-Ur"]
        argv = [*prefix, "unshare", "-m", "--propagation", "private", PYTHON, "-c", NAIVE, self.top, str(seconds)]
        p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **c.popen_args())
        if p.returncode != 0:
            raise Skip("the naive launcher can't mount here: %s" % p.stderr.strip())
        words = p.stdout.split()
        print("# the naive launcher: %s" % p.stdout.strip(), flush=True)
        return int(words[1]), int(words[3])
