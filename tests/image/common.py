"""What the cases of images share: an unpacking with its oracle.

Runs in: the test process.
"""
import os
import shutil
import subprocess

import harness
from layout import Layout


class Place:
    """In the case's directory: the image, and beside it what nobody may touch. The store lies elsewhere."""

    def __init__(self, s, c):
        self.s, self.c = s, c
        self.image = os.path.join(s.scratch, "image")
        self.outside = os.path.join(s.scratch, "outside")
        self.store = os.path.join(s.store_base, "store")
        shutil.rmtree(self.store, ignore_errors=True)
        os.mkdir(self.outside, 0o777)
        os.chmod(self.outside, 0o777)        # nothing but the unpacker keeps it as it is
        for name in ("victim", "second"):
            with open(os.path.join(self.outside, name), "w") as f:
                f.write("before")
            os.chmod(os.path.join(self.outside, name), 0o666)
        os.mkdir(self.store, 0o711 if c.root else 0o700)
        c.own(self.store)
        self.layout = Layout(self.image)

    def command(self, *options, image=None):
        return [self.s.helper, "--store=" + self.store, *options, image or self.image]

    def unpack(self, *options, image=None, timeout=60, prefix=()):
        """Runs the unpacker; the case's directory must come out as it was."""
        self.c.own(self.s.scratch)
        before = harness.tree_hash(self.s.scratch)
        p = subprocess.run([*prefix, *self.command(*options, image=image)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=timeout, env=self.c.environ(), cwd=self.s.scratch, **self.c.popen_args())
        r = harness.Result(p.args, harness.status_of(p.returncode), p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace"))
        assert harness.tree_hash(self.s.scratch) == before, "the unpacker changed files outside of its store: %s" % r
        r.records = [line.split(" ", 1) for line in r.out.splitlines()]
        return r

    def good(self, *options, **kw):
        r = self.unpack(*options, **kw)
        assert r.status == 0 and r.records[-1][0] == "end", str(r)
        assert not self.left(), "temporary directories are left: %s" % self.left()
        return r

    def bad(self, *words, options=(), **kw):
        """Refused, with these words in the message, and nothing of it kept."""
        r = self.unpack(*options, **kw)
        assert r.status == 1, "not refused: %s" % r
        assert "end" not in [k for k, _ in r.records], "refused, and yet a whole answer: %s" % r
        for w in words:
            assert w in r.err, "%r isn't in the message: %s" % (w, r)
        assert not self.left(), "temporary directories are left: %s" % self.left()
        return r

    def entries(self):
        top = os.path.join(self.store, "sha256")
        return sorted(os.listdir(top)) if os.path.isdir(top) else []

    def left(self):
        return [n for n in self.entries() if n.startswith("tmp")]

    def tree(self, r, key="rootfs"):
        paths = [v for k, v in r.records if k == key]
        assert paths, "no record %s: %s" % (key, r)
        return paths[0] if key == "rootfs" else paths


def store_base(s):
    """In memory where that can be had: each entry of the store waits for its file system to be written out."""
    place = "/dev/shm/hutch-image-test"
    if os.environ.get("HUTCH_TEST_INNER") != "1":
        return s.base
    os.mkdir(place)
    try:
        os.setxattr(place, "user.overlay.opaque", b"y")
        os.removexattr(place, "user.overlay.opaque")
    except OSError:
        return s.base      # before Linux 6.6
    return place


def names(top):
    """Everything below top, relative, sorted."""
    found = []
    for base, dirs, files in os.walk(top):
        found += [os.path.relpath(os.path.join(base, n), top) for n in dirs + files]
    return sorted(found)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()
