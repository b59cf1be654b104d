"""Live: a peer of the same user swaps names while hutch starts: nothing outside changes, and no wrong file is ever shown.
Runs in: the test process."""
import os
import shutil
import tempfile

import harness
import race
from race import put


def swapping(s, c):
    """Exchanged all the time: two directories; and directories and files with links to a secret or out of the tree, as
    source, as destination, as what is protected, and as what is masked."""
    count = 500 if os.environ.get("FULL") else 42
    f = race.Field(s, c, s.scratch)
    kinds = list(f.kinds())
    with f:
        shown, made = f.control()
        if not shown and not made and harness.SLOW > 1:
            raise harness.Skip("on this slow machine the naive launcher never lost: no race to show")
        assert shown or made, "the naive launcher lost nothing in its tries (%d, %d): this race is none" % (shown, made)
        # On a busy machine a few more, until each way out was seen.
        for i in range(count * 10):
            f.launch(kinds[i % len(kinds)])
            total = {k: sum(v[k] for v in f.count.values()) for k in ("ran", "by the plan", "at the launch")}
            if i + 1 >= count and all(total.values()):
                break
    f.end()
    print("# races: %d launches: %s" % (i + 1, f.count), flush=True)
    assert total["ran"] and total["by the plan"] and total["at the launch"], "nothing raced: %s" % f.count


def hops(s, c):
    """A source named by links: shown where it was named, through every hop; also below /var/tmp, which is a link inside."""
    hops_in(s, c, s.scratch)
    top = tempfile.mkdtemp(prefix="hutch-hops-", dir="/var/tmp")
    try:
        os.chmod(top, 0o755)
        hops_in(s, c, top)
    finally:
        shutil.rmtree(top)


def hops_in(s, c, top):
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
