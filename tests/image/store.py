"""The store and the unpacker as a process: concurrent runs, kills, confinement.

Runs in: the test process.
"""
import os
import re
import shutil
import signal
import subprocess
import time

import harness
from common import Place, names
from harness import Skip, status_field, wait_until
from layout import Layout, entry, tar

FILES = 6000


def big(layout):
    """An image that takes a while."""
    return layout.simple(tar(*[entry("d%d/f%d" % (i // 500, i), data=b"%d" % i * 100) for i in range(FILES)]))


def start(p, *options, **kw):
    return subprocess.Popen(p.command("--owners=own", *options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=p.c.environ(), start_new_session=True, **p.c.popen_args(), **kw)


def halt(p, process):
    """Stops it in the middle of unpacking."""
    def inside():
        # Its lock is taken before there is a tree in it: one that is stopped earlier may be swept, and begins again.
        return any(os.path.exists(os.path.join(p.store, "sha256", n, "tree")) for n in p.left()) or process.poll() is not None
    wait_until(inside, 20, 0.001)
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: (status_field(process.pid, "State") or "T")[0] == "T")
    assert p.left(), "it was done before it could be stopped: make the image larger"


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def case_concurrent(s, c):
    """Six at once: all succeed, one tree, nothing left."""
    p = Place(s, c)
    big(p.layout)
    c.own(s.scratch)
    running = [start(p, "--flatten") for _ in range(6)]
    ends = [finish(r) for r in running]
    assert all(e[0] == 0 for e in ends), ends
    trees = {re.search(r"^rootfs (.*)$", e[1], re.M).group(1) for e in ends}
    assert len(trees) == 1 and len(names(trees.pop())) == FILES + FILES // 500
    assert not p.left() and len(p.entries()) == 2, p.entries()


def case_killed(s, c):
    """Killed in the middle: only a temporary directory stays, and the next run removes it and does its own work."""
    p = Place(s, c)
    big(p.layout)
    c.own(s.scratch)
    r = start(p)
    halt(p, r)
    r.kill()
    finish(r)
    left = p.left()
    assert len(left) == 1 and p.entries() == left, "something was named before it was whole: %s" % p.entries()
    flat = p.tree(p.good("--owners=own", "--flatten"))
    assert len(names(flat)) == FILES + FILES // 500


def case_sweep(s, c):
    """What another run is working on isn't swept; it goes on and succeeds."""
    p = Place(s, c)
    big(p.layout)
    other = Layout(os.path.join(s.scratch, "other"))
    other.simple(tar(entry("x", data=b"x")))
    c.own(s.scratch)
    r = start(p, "--flatten")
    halt(p, r)
    before = p.left()
    assert p.unpack("--owners=own", image=other.path).status == 0
    assert p.left() == before, "the other run's work was removed"
    os.kill(r.pid, signal.SIGCONT)
    end = finish(r)
    assert end[0] == 0, end
    assert not p.left()


def case_again(s, c):
    """A layer that is there isn't read again; what the store holds is what the digest names."""
    p = Place(s, c)
    data = tar(entry("a", data=b"a"))
    layer = p.layout.layer(data)
    p.layout.add(p.layout.manifest([layer]))
    first = p.good("--owners=own")
    os.unlink(p.layout.blob_path(layer[0]["digest"]))
    second = p.good("--owners=own")
    assert p.tree(first) == p.tree(second)
    assert "unpacked" in first.out and "unpacked" not in second.out


def case_confined(s, c):
    """While it reads the image: no privileges to gain, a filter, no capability, limits, nothing else open."""
    p = Place(s, c)
    big(p.layout)
    c.own(s.scratch)
    r = start(p)
    try:
        halt(p, r)
        facts = {f: status_field(r.pid, f) for f in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapAmb")}
        # Root keeps the right to read a layout in somebody's private directory (2: dac_read_search).
        caps = "%016x" % (4 if c.root else 0)
        assert facts == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": caps, "CapPrm": caps, "CapAmb": "0" * 16}, facts
        limits = harness.proc_text(r.pid, "limits").decode()
        assert re.search(r"Max core file size\s+0\s+0 ", limits) and re.search(r"Max address space\s+1073741824", limits), limits
        if os.geteuid() == 0:
            opened = [os.readlink("/proc/%d/fd/%s" % (r.pid, n)) for n in os.listdir("/proc/%d/fd" % r.pid)]
            strange = [o for o in opened if not o.startswith((p.store, p.image, "pipe:", "/dev/null"))]
            assert not strange, "open besides the store and the image: %s" % strange
    finally:
        os.kill(r.pid, signal.SIGCONT)
        finish(r)


def case_fail_closed(s, c):
    """Where a part of the confinement can't be had, not a byte is unpacked."""
    p = Place(s, c)
    p.layout.simple(tar(entry("a", data=b"a")))
    for call in ("landlock_create_ruleset", "landlock_restrict_self", "prctl"):
        r = p.bad("E0849", prefix=[s.deny, call, "EPERM"], options=["--owners=own"])
        assert p.entries() == [], r
    p.bad("E080", prefix=[s.deny, "openat2", "EPERM"], options=["--owners=own"])
    assert p.entries() == []
    p.good("--owners=own")


def case_store_place(s, c):
    """A store that others may write to isn't used."""
    p = Place(s, c)
    p.layout.simple(tar(entry("a", data=b"a")))
    p.good("--owners=own")
    os.chmod(os.path.join(p.store, "sha256"), 0o777)
    p.bad("E0848", "writable for you alone", options=["--owners=own"])
    shutil.rmtree(os.path.join(p.store, "sha256"))
    os.symlink(p.outside, os.path.join(p.store, "sha256"))
    p.bad("E0848", options=["--owners=own"])
    if not c.root:
        raise_if_root_store(s, p)


def raise_if_root_store(s, p):
    if os.geteuid() != 0:
        raise Skip("a store of somebody else needs root to be made (the rest was seen)")
    os.unlink(os.path.join(p.store, "sha256"))
    os.mkdir(os.path.join(p.store, "sha256"), 0o755)      # root's, by this process
    p.bad("E0848", "belongs to uid 0", options=["--owners=own"])


def case_full(s, c):
    """A store without room: an error that says so, and nothing left."""
    if os.geteuid() != 0:
        raise Skip("a small file system needs root to be mounted")
    p = Place(s, c)
    p.layout.simple(tar(entry("a", data=os.urandom(3 << 20))))
    small = os.path.join(s.base, "small")
    os.makedirs(small, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", small], check=True)
    try:
        store = os.path.join(small, "store")
        os.mkdir(store, 0o700)
        c.own(store)
        p.store = store
        p.bad("E0848", "No space left", options=["--owners=own"])
        assert p.entries() == []
    finally:
        subprocess.run(["umount", small], check=True)


def cases(s, c, name):
    for function in (case_concurrent, case_killed, case_sweep, case_again, case_confined, case_fail_closed, case_store_place, case_full):
        s.case("%s: %s" % (name, function.__name__[5:]), function, s, c)
    assert time
