"""Host programs of the library: spawns from many threads, sanitizers, the example.

Runs in: the test process.
"""
import os
import re
import shutil
import subprocess
import sys

import harness
import host

IN_HANDLER = re.compile(r"/(run/threads|run/child|run/init|run/sync|layer/\w+_child|sys/sys|base/error)\.c$")      # what runs in the handler, or after the clone in a copy of the memory
SOURCES = {"host": ["host.c", "acts.c", "crew.c"], "spawners": ["spawners.c"]}


def spawns(s, c, program=None, threads=64, rounds=2):
    """64 threads start sandboxes at once, in a storm of signals, with the allocator's one lock held all the time."""
    r = s.run(c, [], [], raw=[program or host.copy(s, "enter-spawners"), str(threads), str(rounds)], cwd="/", timeout=120, writes=True)
    assert r.status == 0 and r.one("good") == str(threads * rounds) and r.one("bad") == "0", r
    assert r.one("storm") == "1" and r.one("leaked") == "0" and r.one("children") == "0", r
    return r


def sanitized(s, sanitizer, name):
    """The program with a sanitizer: --full the whole library too, else linked to the library as it was built."""
    out = os.path.join(s.bin, "%s-%s" % (name, sanitizer))
    if os.path.exists(out):
        return out
    here = os.path.join(harness.TOP, "tests", "enter")
    flags = ["-std=gnu11", "-D_GNU_SOURCE=", "-O1", "-g", "-fsanitize=" + sanitizer, "-I", os.path.join(harness.TOP, "include")]
    sources = [os.path.join(here, f) for f in SOURCES[name]]
    if "--full" in sys.argv:
        lib = subprocess.run([os.path.join(harness.TOP, "tools", "sources.sh"), "lib"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        objects = os.path.join(s.base, "objects-" + sanitizer)
        if not os.path.isdir(objects):
            os.mkdir(objects)
            for f in lib:
                # A thread of the sanitizer's own is confined like any other, and instrumented code can't run in it;
                # nor does it know that what comes after a clone writes to another memory.
                own = flags if sanitizer != "thread" or not IN_HANDLER.search(f) else [w for w in flags if not w.startswith("-fsanitize")] + ["-O2"]
                subprocess.run(["gcc", *own, '-DHUTCH_VERSION="test"', "-I", os.path.join(harness.TOP, "src"), "-c", os.path.join(harness.TOP, f),
                                "-o", os.path.join(objects, f.replace("/", "_") + ".o")], check=True, env=dict(os.environ, TMPDIR=s.base))
            subprocess.run(["gcc", *flags, "-I", os.path.join(harness.TOP, "src"), "-c", os.path.join(s.build, "filter_builtin.c"), "-o",
                            os.path.join(objects, "filter_builtin.o")], check=True, env=dict(os.environ, TMPDIR=s.base))
        link = [os.path.join(objects, f) for f in sorted(os.listdir(objects))]
    else:
        link = [os.path.join(s.build, "libhutch.a")]
    subprocess.run(["gcc", *flags, "-o", out, *sources, *link, "-pthread"], check=True, env=dict(os.environ, TMPDIR=s.base))
    return out


def clean(r):
    assert "Sanitizer" not in r.err and "Sanitizer" not in r.out, r


def address(s, c):
    """Under AddressSanitizer and its leak check: enter with and without namespaces, narrow, spawn."""
    env = dict(c.environ(), ASAN_OPTIONS="detect_leaks=0")
    h = sanitized(s, "address", "host")
    secret = host.private(s, "secret")
    r = host.run(s, c, "enter", "try read " + secret, "try fork", "try thread", program=h, env=env, cwd="/")
    assert r.one("enter") == "ok" and r.one("read") == "ENOENT", r
    clean(r)
    r = host.run(s, c, "threads 8", "busy 2", "set userns never", *host.user(c), "enter", "each read " + secret, program=h, env=env, cwd="/", status=None)
    assert r.one("enter") == "ok" and r.all("thread") == ["EACCES"] * 8, r
    clean(r)
    r = host.run(s, c, "threads 8", ["narrow", "stdio rpath prot_exec proc", "/etc:r"], "each read " + secret, "exit 0", program=h, env=env, cwd="/")
    assert r.one("narrow") == "ok" and r.all("thread") == ["EACCES"] * 8, r
    clean(r)
    clean(spawns(s, c, sanitized(s, "address", "spawners"), 16, 1))


def thread(s, c):
    """Under ThreadSanitizer, whose own thread is there too: enter in place, narrow, spawns from many threads."""
    h = sanitized(s, "thread", "host")
    secret = host.private(s, "secret")
    r = host.run(s, c, "threads 8", "set userns never", *host.user(c), "enter", "each read " + secret, "exit 0", program=h, cwd="/")
    assert r.one("enter") == "ok" and r.all("thread") == ["EACCES"] * 8, r
    clean(r)
    r = host.run(s, c, "threads 8", ["narrow", "stdio rpath prot_exec", "/etc:r"], "each read " + secret, "each inet", "exit 0", program=h, cwd="/")
    assert r.one("narrow") == "ok" and r.all("thread") == ["EACCES"] * 8 + ["EPERM"] * 8, r
    clean(r)
    r = host.run(s, c, "enter", "try fork", "exit 0", program=h, cwd="/")
    assert r.one("enter") == "ok" and r.one("fork") == "ok", r
    many = (64, 2) if "--full" in sys.argv else (16, 1)
    clean(spawns(s, c, sanitized(s, "thread", "spawners"), *many))


def selfbox(s, c):
    """The example: what it prints is what it says, row by row; the document shows this output."""
    program = os.path.join(s.bin, "selfbox")
    if not os.path.exists(program):
        shutil.copy(os.path.join(s.build, "examples", "selfbox"), program)
        subprocess.run(["gcc", "-o", program, os.path.join(harness.TOP, "examples/selfbox/selfbox.c"), "-I", os.path.join(harness.TOP, "include"),
                        os.path.join(s.build, "libhutch.a")], check=True, env=dict(os.environ, TMPDIR=s.base))
    r = s.run(c, [], [], raw=[program, host.private(s, "secret")], cwd="/", writes=True)
    assert r.status == 0, r
    rows = {line[:30].strip(): re.split(r"  +", line[31:].strip()) for line in r.out.splitlines()[1:]}
    assert rows["read your file"] == ["yes", "No such file or directory", "Operation not permitted"], r
    assert rows["start a program"] == ["yes", "yes", "Operation not permitted"], r
    assert rows["make an internet socket"] == ["yes", "yes", "Operation not permitted"], r
    assert rows["make code at run time"] == ["yes", "yes", "Operation not permitted"], r
    assert rows["processes in /proc"][1] == "2" and rows["network interfaces"][1] == "1", r
    with open(os.path.join(harness.TOP, "docs/embedding.md")) as f:
        shown = re.findall(r"^(read your file|start a program|make an internet socket|make code at run time) +(.*)$", f.read(), re.M)
    assert len(shown) == 4 and all(re.split(r"  +", rest.strip()) == rows[name] for name, rest in shown), "the document shows something else: %s" % shown


CASES = [spawns, address, thread, selfbox]


def cases(s, c, who):
    for f in CASES:
        s.case("embed-%s-%s" % (f.__name__, who), f, s, c)
