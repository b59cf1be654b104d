"""hutch_narrow: every promise both ways, paths, again and again, from threads.

Runs in: the test process.
"""
import os
import signal

import harness
import host

# act, argument, the promises it takes besides stdio, what it gives with them ("ok" unless said)
ROWS = [
    ("pipe", "", ""), ("fstat", "", ""), ("map", "", ""), ("thread", "", ""), ("signal-self", "", ""), ("getrandom", "", ""),
    ("open-read", "FILE", "rpath"), ("stat", "FILE", "rpath"), ("list", "DIR", "rpath"), ("chdir", "DIR", "rpath"),
    ("open-write", "FILE", "wpath"), ("truncate", "FILE", "wpath"), ("open-both", "FILE", "rpath wpath"), ("open-cut", "FILE", "rpath wpath"),
    ("open-make", "DIR/new", "wpath cpath"), ("open-temporary", "DIR", "rpath wpath cpath"), ("mkdir", "DIR/d", "cpath"),
    ("rmdir", "DIR/old", "cpath"), ("unlink", "FILE", "cpath"), ("symlink", "DIR/l", "cpath"),
    ("chmod", "FILE", "fattr"), ("utime", "FILE", "fattr"), ("chown", "FILE", "chown"), ("flock", "", "flock"), ("lock", "FILE", "flock rpath"),
    ("inet", "", "inet"), ("inet6", "", "inet"), ("unix", "", "unix"), ("sendmsg", "", "sendfd"), ("sendmsg", "", "inet"), ("sendmsg", "", "unix"),
    ("fork", "", "proc"), ("signal-other", "99999999", "proc", "ESRCH"), ("priority", "", "proc"),
    ("map-exec", "", "prot_exec"), ("protect-exec", "", "prot_exec"), ("protect-exec", "", "exec"), ("map-exec", "", "exec"),
    ("tty-modes", "", "tty", "ENOTTY"), ("setuid", "", "id"), ("rlimit", "", "id"),
]
ALL = "stdio rpath wpath cpath fattr chown flock inet unix sendfd proc exec prot_exec tty id".split()
# Never, whatever is promised.
NEVER = [("raw", "EPERM"), ("netlink", "EPERM"), ("ptrace", "EPERM"), ("uring", "EPERM"), ("new-namespace", "EPERM"), ("umount", "EPERM"),
         ("tty-type", "EPERM"), ("set-id FILE", "EPERM"), ("openat2 FILE", "ENOSYS"), ("future", "ENOSYS")]


def place(s, c):
    """FILE and DIR, owned by the caller, anew."""
    d = os.path.join(s.scratch, "d")
    if not os.path.exists(d):
        os.makedirs(d)
    if not os.path.exists(d + "/old"):
        os.mkdir(d + "/old")
    for name in ("new", "l"):
        if os.path.lexists(os.path.join(d, name)):
            os.unlink(os.path.join(d, name))
    if os.path.isdir(d + "/d"):
        os.rmdir(d + "/d")
    f = host.private(s, "f", "text")
    c.own(s.scratch)
    return f, d


def act(s, c, promises, what, argument):
    f, d = place(s, c)
    words = argument.replace("FILE", f).replace("DIR", d)
    r = host.run(s, c, ["narrow", promises], "try %s %s" % (what, words), cwd="/")
    assert r.one("narrow") == "ok", r
    return r.one(what)


def promise(s, c, row):
    what, argument, needs = row[:3]
    good = row[3] if len(row) > 3 else "ok"
    got = act(s, c, "stdio " + needs, what, argument)
    assert got == good, "with stdio %s: %s" % (needs, got)
    for missing in needs.split():
        # all but this one, and but those that allow it too
        others = {r[2] for r in ROWS if r[:2] == row[:2] and r[2] != needs}
        rest = [p for p in ALL if p != missing and p not in others]
        got = act(s, c, " ".join(rest), what, argument)
        # a write without wpath fails whatever else is promised; with rpath gone a read does
        assert got == "EPERM", "without %s: %s" % (missing, got)


def never(s, c):
    f, _ = place(s, c)
    for what, want in NEVER:
        r = host.run(s, c, ["narrow", " ".join(ALL)], "try " + what.replace("FILE", f), cwd="/")
        assert r.one(what.split()[0]) == want, (what, r)


def execs(s, c):
    """exec: another program runs, and is as narrow as its starter."""
    r = host.run(s, c, ["narrow", "stdio rpath exec"], ["try", "exec", "echo ran; /bin/true; echo status $?"], cwd="/", status=None)
    assert "ran\n" in r.out and "exec=" not in r.out, r
    assert "status 0" not in r.out, "it could fork: %s" % r
    r = host.run(s, c, ["narrow", "stdio rpath proc"], ["try", "exec", "echo ran"], cwd="/")
    assert r.one("exec") == "EPERM", r


def kills(s, c):
    """By choice a violation ends the process."""
    r = host.run(s, c, ["narrow-kill", "stdio"], "try pipe", "say before", "try inet", "say after", status=128 + signal.SIGSYS, cwd="/")
    assert "before" in r.out and "after" not in r.out, r
    # without stdio not even the end can be reached
    r = host.run(s, c, ["narrow-kill", "rpath"], "say after", status=128 + signal.SIGSYS, cwd="/")
    assert "after" not in r.out, r


def unknown(s, c):
    r = host.run(s, c, ["narrow", "stdio rpaht"], "try inet", cwd="/")
    assert r.one("narrow") == "E0830" and "rpaht" in r.out and r.one("inet") == "ok", r


def never_wider(s, c):
    """What is gone stays gone, whatever a later call lists, for promises and paths."""
    f, d = place(s, c)
    r = host.run(s, c, ["narrow", "stdio rpath"], ["narrow", " ".join(ALL)], "try inet", "try fork", "try open-write " + f, "try open-read " + f, cwd="/")
    assert r.all("narrow") == ["ok", "ok"] and r.one("inet") == "EPERM" and r.one("fork") == "EPERM" and r.one("open-write") == "EPERM", r
    assert r.one("open-read") == "ok", r
    r = host.run(s, c, ["narrow", "-", d + ":r"], ["narrow", "-", "/:rwxc"], "try open-read " + f, "try list " + d, "try mkdir %s/x" % d, cwd="/")
    assert r.all("narrow") == ["ok", "ok"] and r.one("open-read") == "EACCES" and r.one("list") == "ok" and r.one("mkdir") == "EACCES", r


def twice(s, c):
    """Narrower and narrower."""
    f, d = place(s, c)
    r = host.run(s, c, ["narrow", "stdio rpath wpath inet"], "try inet", "try open-write " + f, ["narrow", "stdio rpath", "%s:rw" % f, d + ":r"], "try inet",
                 "try open-write " + f, "try open-read " + f, "try list " + d, "try read /etc/passwd", ["narrow", "stdio"], "try open-read " + f, cwd="/")
    assert r.all("narrow") == ["ok"] * 3 and r.all("inet") == ["ok", "EPERM"] and r.all("open-write") == ["ok", "EPERM"], r
    assert r.all("open-read") == ["ok", "EPERM"] and r.one("list") == "ok" and r.one("read") == "EACCES", r


def after_enter(s, c):
    """First a sandbox, then less of it."""
    d = os.path.join(s.scratch, "d")
    f, d = place(s, c)
    os.chmod(d, 0o777)
    r = host.run(s, c, ["set", "rw", d], "enter", "try mkdir %s/a" % d, ["narrow", "stdio rpath", d + ":r"], "try mkdir %s/b" % d, "try list " + d,
                 "try read /etc/passwd", "try fork", cwd="/")
    assert r.one("narrow") == "ok" and r.all("mkdir") == ["ok", "EPERM"] and r.one("list") == "ok" and r.one("read") == "EACCES", r
    assert r.one("fork") == "EPERM", r


def rights(s, c):
    """Each letter of a path, both ways."""
    f, d = place(s, c)
    for letters in ("r", "w", "x", "c", "rw", "rwxc", ""):
        f, d = place(s, c)
        script = os.path.join(d, "script")
        with open(script, "w") as out:
            out.write("#!/bin/sh\necho executed\n")
        os.chmod(script, 0o755)
        c.own(d)
        r = host.run(s, c, ["narrow", "-", "%s:%s" % (d, letters), "/usr:rx", "/bin:rx", "/lib:rx", "/lib64:rx", "/etc:r"], "try open-read " + script,
                     "try open-write " + script, "try mkdir %s/x" % d, ["try", "exec", "exec " + script], "say end", status=None, cwd="/")
        assert r.one("narrow") == "ok", r
        assert r.one("open-read") == ("ok" if "r" in letters else "EACCES"), (letters, r)
        assert r.one("open-write") == ("ok" if "w" in letters else "EACCES"), (letters, r)
        assert r.one("mkdir") == ("ok" if "c" in letters else "EACCES"), (letters, r)
        assert ("executed" in r.out) == ("x" in letters and "r" in letters), (letters, r)
        if os.path.isdir(d + "/x"):
            os.rmdir(d + "/x")


def no_paths(s, c):
    r = host.run(s, c, ["narrow", "-", "none"], "try read /etc/passwd", "try inet", "try pipe", cwd="/")
    assert r.one("read") == "EACCES" and r.one("inet") == "ok" and r.one("pipe") == "ok", r


def bad_paths(s, c):
    f, _ = place(s, c)
    for word in ("/no/such/path:r", f + ":q"):
        r = host.run(s, c, ["narrow", "stdio rpath", word], "try inet", "try read /etc/passwd", cwd="/")
        assert r.one("narrow") == "E0831" and r.one("inet") == "ok" and r.one("read") == "ok", r
    # once opening is given up no path can be named: an error, and what holds goes on to hold
    r = host.run(s, c, ["narrow", "stdio"], ["narrow", "stdio", f + ":r"], "try open-read " + f, cwd="/")
    assert r.all("narrow") == ["ok", "E0831"] and r.one("open-read") == "EPERM", r


def threads(s, c):
    """From a process with eight threads, and from one of many that come and go: all of them."""
    f, d = place(s, c)
    r = host.run(s, c, "threads 8", "busy 2", ["narrow", "stdio rpath", d + ":r"], "each inet", "each open-read " + f, "each list " + d, "tasks",
                 cwd="/")
    assert r.one("narrow") == "ok" and r.all("thread") == ["EPERM"] * 8 + ["EACCES"] * 8 + ["ok"] * 8, r
    r = host.run(s, c, "threads 3", "breed", ["narrow", "stdio rpath", d + ":r"], "breed-stop", "each open-read " + f, cwd="/")
    assert r.one("bred") == "1" and r.one("free") == "0" and r.all("thread") == ["EACCES"] * 3, r


def deaf(s, c):
    r = host.run(s, c, "deaf", ["narrow", "stdio rpath", "/etc:r"], "try inet", "try read /usr/bin/env", cwd="/")
    assert r.one("narrow") == "E0823" and r.one("inet") == "ok" and r.one("read") == "ok" and "partially" not in r.out, r
    # promises alone come with TSYNC, which asks nobody
    r = host.run(s, c, "deaf", ["narrow", "stdio rpath"], "try inet", cwd="/")
    assert r.one("narrow") == "ok" and r.one("inet") == "EPERM", r


def nothing_to_root(s, c):
    """Not even root gets round it."""
    r = host.run(s, c, ["narrow", "stdio rpath id", "/etc:r"], "try read /usr/bin/env", "try setuid", cwd="/")
    assert r.one("read") == "EACCES" and r.one("setuid") == "ok", r


def leaves_no_descriptor(s, c):
    """Called again and again, with paths: no more descriptors than before."""
    r = host.run(s, c, "fds", "say between", *[["narrow", "stdio rpath", "/usr:r"]] * 5, "fds", cwd="/")
    first, _, last = r.out.partition("between\n")
    assert r.all("narrow") == ["ok"] * 5 and first.count("fd=") == last.count("fd=") > 2, r


CASES = [leaves_no_descriptor, never, execs, kills, unknown, never_wider, twice, after_enter, rights, no_paths, bad_paths, threads, deaf, nothing_to_root]


def cases(s, c, who):
    for row in ROWS:
        s.case("narrow-promise-%s-%s-%s" % (row[0], row[2].replace(" ", "+") or "stdio", who), promise, s, c, row)
    for f in CASES:
        s.case("narrow-%s-%s" % (f.__name__.replace("_", "-"), who), f, s, c)
