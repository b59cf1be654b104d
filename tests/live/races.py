"""Live: a peer of the same user swaps names while hutch starts: nothing outside changes, and no wrong file is ever shown.
Runs in: the test process."""
import ctypes
import os
import subprocess

from harness import Skip, tree_hash

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


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o666)


def swapping(s, c):
    """Exchanged all the time: two directories, a directory and a link to a secret, a directory in the way and a link outside."""
    if not hasattr(ctypes.CDLL(None), "renameat2") or not os.access("/usr/bin/python3", os.X_OK):
        raise Skip("no renameat2 in the C library, or no python3 for the peer")
    top = s.scratch
    for name in ("a", "b"):
        put("%s/%s/f" % (top, name), name)
    put(top + "/secret/f", "secret")
    put(top + "/dir/f", "mine")
    os.symlink("secret", top + "/dir-link")
    put(top + "/tree/sub/point/x", "point")
    put(top + "/outside/point/x", "outside")
    os.symlink("../outside", top + "/tree/sub-link")
    put(top + "/over/y", "over")
    for base, _, _ in os.walk(top):
        os.chmod(base, 0o777)
    c.own(top)
    # Names go round; what they hold must not change.
    held = [tree_hash(top + d) for d in ("/secret", "/outside", "/over")]
    kinds = (
        (["--ro", top + "/a:/x", "--ro", top + "/a/f:/y"], ["cat", "/x/f", "/y"]),
        (["--rw", top + "/dir:/w"], ["cat", "/w/f"]),
        (["--rw", top + "/tree:/t", "--ro", top + "/over:/t/sub/point"], ["rights", "/t/sub/point"]),
    )
    peer = subprocess.Popen(["/usr/bin/python3", "-c", SWAP, top + "/a", top + "/b", top + "/dir", top + "/dir-link", top + "/tree/sub", top + "/tree/sub-link"],
                            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **c.popen_args())
    count, ran, refused = 500 if os.environ.get("FULL") else 210, [0, 0, 0], [0, 0, 0]
    try:
        assert peer.stdout.readline() == b"swapping\n"
        for i in range(count):
            opts, verbs = kinds[i % 3]
            r = s.run(c, opts, [s.inside, *verbs], cwd="/", writes=True)
            assert peer.poll() is None, "the peer ended"
            if r.status == 125:
                refused[i % 3] += 1
                assert "cat:" not in r.out and "rights:" not in r.out, "refused, and yet it ran: %s" % r
                continue
            assert r.status == 0, r
            ran[i % 3] += 1
            if i % 3 == 0:
                assert r.one("cat:/x/f") in ("a", "b") and r.one("cat:/y") in ("a", "b"), "neither of the two: %s" % r
            elif i % 3 == 1:
                assert r.one("cat:/w/f") == "mine", "a link was followed to a writable source: %s" % r
    finally:
        peer.kill()
        peer.wait()
    print("# races: %d launches, %s ran, %s refused" % (count, ran, refused), flush=True)
    assert sum(ran) and sum(refused), "nothing raced: %s ran, %s refused" % (ran, refused)
    assert held == [tree_hash(top + d) for d in ("/secret", "/outside", "/over")], "the host was changed"
    names = sorted(os.listdir(top)), sorted(os.listdir(top + "/tree"))
    assert names == (["a", "b", "dir", "dir-link", "outside", "over", "secret", "tree"], ["sub", "sub-link"]), names
    assert {open("%s/%s/f" % (top, n)).read() for n in "ab"} == {"a", "b"}


def hops(s, c):
    """A source named by links: shown where it was named, through every hop."""
    top = s.scratch
    put(top + "/real/deep/file", "end")
    os.symlink("deep", top + "/real/way")
    os.symlink(top + "/real/way/file", top + "/second")
    os.symlink("second", top + "/first")
    c.own(top)
    r = s.see(c, ["--ro", top + "/first", "--ro", top + "/real/way:/dir", "--ro", top + "/second:/etc/resolv.conf"],
              ["cat", top + "/first", "/dir/file", "/etc/resolv.conf"], cwd="/")
    assert r.one("cat:" + top + "/first") == r.one("cat:/dir/file") == r.one("cat:/etc/resolv.conf") == "end", r
    # Within a tree that is shown, the links are there already.
    r = s.see(c, ["--ro", top, "--ro", top + "/first"], ["cat", top + "/first"], ["link", top + "/first"], cwd="/")
    assert r.one("cat:" + top + "/first") == "end" and r.one("link:" + top + "/first") == "second", r
    if os.path.islink("/bin/sh"):
        r = s.see(c, ["--ro", "/bin/sh"], ["read", "/bin/sh"], cwd="/")
        assert r.one("read:/bin/sh") == "ok", r
    # A destination behind a link of the tree is refused, with the place that it leads to.
    os.symlink("real", top + "/there")
    r = s.run(c, ["--rw", top + ":/t", "--ro", "/usr:/t/there/deep"], ["true"], cwd="/")
    assert r.status == 125 and "E0409" in r.err and top + "/real/deep" in r.err and "argv[2]" in r.err, r


def cases(s, c, who):
    s.case(who + "/races/hops", hops, s, c)
    s.case(who + "/races/swapping", swapping, s, c)
