"""The preload door: unchanged programs, and each way in which it must not let one through.

Runs in: the test process.
"""
import os
import shutil
import signal
import subprocess
import time

import harness
import host

LIBRARY = "libhutch-preload.so"


def library(s):
    path = os.path.join(s.bin, LIBRARY)          # beside the command, where it looks first
    if not os.path.exists(path):
        shutil.copy(os.path.join(s.build, LIBRARY), path)
        os.chmod(path, 0o644)
    return path


def preload(s, c, argv, policy="default", status=0, before=(), after=(), more=None, **kw):
    """argv[0] with the library in front, started as anybody would."""
    env = dict(c.environ(), LD_PRELOAD=":".join([*before, library(s), *after]), SECRET="hunter2", **(more or {}))
    if policy is not None:
        env["HUTCH_POLICY"] = policy
    r = s.run(c, [], [], raw=argv, env=env, cwd="/", writes=True, **kw)
    if status is not None and r.status != status:
        raise AssertionError("status %s instead of %s: %s" % (r.status, status, r))
    return r


def door(s, c, opts, argv, status=0, **kw):
    library(s)
    r = s.run(c, ["--door=preload", *opts], argv, cwd=kw.pop("cwd", "/"), writes=True, **kw)
    if status is not None and r.status != status:
        raise AssertionError("status %s instead of %s: %s" % (r.status, status, r))
    return r


def plain(s):
    return host.copy(s, "enter-plain")


def policy_file(s, text):
    return host.private(s, "p.hutch", text, 0o644)


# ---- what works ----

def confines(s, c):
    """main is reached, confined, and its exit status comes through."""
    secret, mark = host.private(s, "secret"), os.path.join(host.free_scratch(s), "mark")
    assert s.run(c, [], [], raw=[plain(s), mark, secret, "4"], writes=True).one("read") == "1", "no control"
    os.unlink(mark)
    r = preload(s, c, [plain(s), mark, secret, "4"], status=4)
    assert r.one("made") == "0" and r.one("read") == "0" and not os.path.exists(mark), r


def environment(s, c):
    """Our variables and the caller's are gone before main: getenv, environ, main's third argument, /proc/self/environ."""
    for policy in ("default", policy_file(s, "env = KEPT\n")):
        r = preload(s, c, [plain(s)], policy=policy, more={"KEPT": "yes", "HUTCH_OTHER": "x"})
        assert "HUTCH_" not in r.out and "hunter2" not in r.out and LIBRARY not in r.out and r.one("preload") == "none", r
        assert sorted(r.all("environ")) == sorted(r.all("envp")) and r.all("environ"), r
        assert set(r.all("proc")) <= set(r.all("environ")), r
        assert ("KEPT=yes" in r.all("environ")) == (policy != "default"), r


def other_preload(s, c):
    """Another library in LD_PRELOAD stays there for who lets it pass; ours goes."""
    other = empty_library(s)
    for order in ({"before": [other]}, {"after": [other]}):
        r = preload(s, c, [plain(s)], policy=policy_file(s, "env = LD_PRELOAD\nro = %s\n" % other), **order)
        assert r.one("preload") == other, r


def empty_library(s, name="libempty.so", text="int nothing;\n"):
    path = os.path.join(s.bin, name)
    if not os.path.exists(path):
        source = os.path.join(s.base, name + ".c")
        with open(source, "w") as f:
            f.write(text)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source, "-pthread"], check=True, env=dict(os.environ, TMPDIR=s.base))
    return path


def programs(s, c):
    """Real ones: ls, python3, sqlite3, and gcc, which starts the compiler proper and the assembler."""
    secret = host.private(s, "secret")
    work = os.path.join(s.scratch, "work")
    os.mkdir(work)
    c.own(work)
    r = preload(s, c, ["/bin/ls", "/"])
    assert "usr" in r.out and "srv" not in r.out, r
    r = preload(s, c, ["/usr/bin/python3", "-c", "import os, json, ssl, threading; print(json.dumps(os.path.exists(%r)), os.getpid())" % secret])
    assert r.out == "false 2\n", r
    if shutil.which("sqlite3"):
        r = preload(s, c, [shutil.which("sqlite3"), ":memory:", "create table t(a); insert into t values(41); select a+1 from t"])
        assert r.out == "42\n", r
    with open(work + "/x.c", "w") as f:
        f.write("int main(void) { return 11; }\n")
    policy = policy_file(s, "rw = %s\ncwd = %s\n" % (work, work))
    r = preload(s, c, ["/usr/bin/gcc", "-o", "x", "x.c"], policy=policy)
    assert subprocess.run([work + "/x"]).returncode == 11, r


def never(s, c):
    """Without namespaces as well."""
    secret = host.private(s, "secret")
    text = "userns = never\n" + ("user = 4242:4242\n" if c.root else "")
    r = preload(s, c, [plain(s), os.path.join(s.scratch, "mark"), secret], policy=policy_file(s, text))
    assert r.one("made") == "0" and r.one("read") == "0", r


def signals(s, c):
    """The process that was started stands for the program: a signal to it reaches the program, and it ends alike."""
    env = dict(c.environ(), LD_PRELOAD=library(s), HUTCH_POLICY="default")
    p = s.popen(c, [], [], raw=["/bin/sh", "-c", "trap 'echo got; exit 6' TERM; echo on; while :; do sleep 0.05; done"], env=env, cwd="/")
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=20)
    assert out == b"got\n" and p.returncode == 6, (out, p.returncode)


# ---- what does not get through: 125, and no trace of main ----

def refuses(s, c, says, **kw):
    mark = os.path.join(host.free_scratch(s), "mark")
    argv = kw.pop("argv", [plain(s)])
    r = preload(s, c, [*argv, mark], status=125, **kw)
    assert not os.path.exists(mark) and "made=" not in r.out, "main was reached: %s" % r
    assert says in r.err, r


def no_policy(s, c):
    refuses(s, c, "no policy", policy=None)


def no_such_file(s, c):
    refuses(s, c, "No such file", policy="/no/such/policy.hutch")


def bad_key(s, c):
    refuses(s, c, "p.hutch:1", policy=policy_file(s, "memroy = 3\n"))


def impossible(s, c):
    refuses(s, c, "/no/such/place", policy=policy_file(s, "ro = /no/such/place\n"))


def early_thread(s, c):
    """A library that starts a thread in its constructor: not even with userns = never or try."""
    early = empty_library(s, "libearly.so", "#include <pthread.h>\n#include <unistd.h>\nstatic void *run(void *p) { for (;;) pause(); return p; }\n"
                          "__attribute__((constructor)) static void early(void) { pthread_t t; pthread_create(&t, 0, run, 0); }\n")
    for text in ("include = default\n", "userns = never\nuser = 4242:4242\n", "userns = try\n"):
        if c.root or "user =" not in text:
            refuses(s, c, "thread", policy=policy_file(s, text), after=[early])


def bad_descriptor(s, c):
    refuses(s, c, "HUTCH_", more={"HUTCH_PRELOAD_ACK": "no"})
    refuses(s, c, "77", more={"HUTCH_PRELOAD_ACK": "77"})
    refuses(s, c, "command line", policy=None, more={"HUTCH_PRELOAD_WORDS": "77"})


def closed_stderr(s, c):
    mark = os.path.join(host.free_scratch(s), "mark")
    r = preload(s, c, ["/bin/sh", "-c", "exec 2>&-; exec %s %s" % (plain(s), mark)], policy=None, status=125)
    assert not os.path.exists(mark), r


def secure(s, c):
    """AT_SECURE: a setuid program that has the library among its own. In place of a library of the system, in this mount namespace."""
    stand = "/lib/x86_64-linux-gnu/libBrokenLocale.so.1"
    if not c.root or os.environ.get("HUTCH_TEST_INNER") != "1" or not os.path.exists(stand):
        raise harness.Skip("needs root, private namespaces and %s" % stand)
    other = [o for o in s.callers if not o.root]
    if not other:
        raise harness.Skip("no ordinary user here")
    mark = os.path.join(host.free_scratch(s), "mark")
    source, path = os.path.join(s.base, "secure.c"), os.path.join(s.scratch, "secure")
    with open(source, "w") as f:
        f.write("#include <fcntl.h>\nint main(int c, char **v) { (void)c; return open(v[1], O_CREAT | O_WRONLY, 0600) < 0; }\n")
    subprocess.run(["cc", "-o", path, source, "-Wl,--no-as-needed", "-l:libBrokenLocale.so.1"], check=True, env=dict(os.environ, TMPDIR=s.base))
    subprocess.run(["mount", "--bind", library(s), stand], check=True)
    try:
        env = dict(other[0].environ(), HUTCH_POLICY="/no/such")
        r = s.run(other[0], [], [], raw=[path, mark], env=env, writes=True)
        assert r.status == 125 and "No such file" in r.err, "the library isn't there: %s" % r
        os.chmod(path, 0o4755)
        r = s.run(other[0], [], [], raw=[path, mark], env=env, writes=True)
        assert r.status == 125 and "raised privileges" in r.err and not os.path.exists(mark), r
    finally:
        subprocess.run(["umount", stand], check=True)


# ---- hutch run --door=preload ----

def door_runs(s, c):
    secret, mark = host.private(s, "secret"), os.path.join(host.free_scratch(s), "mark")
    r = door(s, c, ["--env", "A=b"], [plain(s), mark, secret, "3"], status=3)
    assert r.one("read") == "0" and r.one("made") == "0" and "A=b" in r.all("environ") and r.all("fd") == ["0", "1", "2"], r
    assert "HUTCH_" not in r.out and LIBRARY not in r.out, r
    assert door(s, c, ["--door", "preload", "--rw", s.scratch], [plain(s), mark]).one("made") == "1"
    assert door(s, c, [], ["sh", "-c", "kill -9 $$"], status=137)
    assert door(s, c, [], ["no-such-program"], status=127)


def door_signals(s, c):
    library(s)
    p = s.popen(c, ["--door=preload"], ["sh", "-c", "trap 'echo got; exit 6' TERM; echo on; while :; do sleep 0.05; done"], cwd="/")
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=20)
    assert out == b"got\n" and p.returncode == 6, (out, p.returncode)


def door_dies(s, c):
    library(s)
    tag = "door-%d-%d" % (os.getpid(), time.monotonic_ns())
    p = s.popen(c, ["--door=preload"], ["sh", "-c", "echo on; sleep 60; : " + tag], cwd="/")
    assert p.stdout.readline() == b"on\n" and harness.with_tag(tag)
    p.kill()
    p.wait()
    assert harness.wait_until(lambda: not harness.with_tag(tag)), "it outlives its launcher"


def door_errors(s, c):
    """A policy that can't be had: the library's own words, with the origin, and 125."""
    mark = os.path.join(host.free_scratch(s), "mark")
    r = door(s, c, ["--ro", "/no/such/place"], [plain(s), mark], status=125)
    assert "argv[1]" in r.err and "/no/such/place" in r.err and not os.path.exists(mark) and "without a word" not in r.err, r
    r = door(s, c, ["--no-such-key", "1"], [plain(s), mark], status=125)
    assert not os.path.exists(mark), r
    r = door(s, c, ["--report", "-"], [plain(s), mark], status=125)
    assert not os.path.exists(mark), r
    r = s.run(c, [], [], raw=[s.hutch, "run", "--door=preload", plain(s), mark], cwd="/", writes=True)
    assert r.status == 125 and "--" in r.err and not os.path.exists(mark), r
    r = s.run(c, [], [], raw=[s.hutch, "run", "--door=side", "--", plain(s), mark], cwd="/", writes=True)
    assert r.status == 125 and "door" in r.err and not os.path.exists(mark), r


def unfit(s, name, change):
    path = os.path.join(s.scratch, name)
    with open(plain(s), "rb") as f:
        data = change(bytearray(f.read()))
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o755)
    return path


def other_loader(data):
    at = data.index(b"ld-linux-")
    data[at:at + 8] = b"ld-other"
    return data


def other_machine(data):
    data[18:20] = b"\xf3\x00"
    return data


def other_class(data):
    data[4] = 1
    return data


def door_refuses(s, c):
    """Programs that the library can't be put into: said beforehand, with the door that works, and none is started."""
    mark = os.path.join(host.free_scratch(s), "mark")
    script = host.private(s, "script", "#!/bin/sh\n: >%s\n" % mark, 0o755)
    text = host.private(s, "text", "hello, this is no program, but it is as long as one must be at least to be looked at\n", 0o755)
    rows = [(s.inside, "statically"), (script, "script"), (text, "no ELF"), (unfit(s, "loader", other_loader), "loader"),
            (unfit(s, "machine", other_machine), "processor"), (unfit(s, "class", other_class), "processor")]
    if c.root:
        for name, mode in (("setuid", 0o4755), ("setgid", 0o2755)):
            path = unfit(s, name, lambda d: d)
            os.chmod(path, mode)
            rows.append((path, "setuid"))
        path = unfit(s, "capable", lambda d: d)
        os.setxattr(path, "security.capability", b"\x01\x00\x00\x02\x00\x04\x00\x00" + b"\0" * 12)
        rows.append((path, "capabilities"))
    for path, says in rows:
        r = door(s, c, [], [path, mark], status=125)
        assert says in r.err and "hutch run --" in r.err and not os.path.exists(mark), (path, r)


def door_without_word(s, c):
    """A library that says nothing (another one in its place): the run counts as failed, whatever the program did."""
    d = os.path.join(s.scratch, "elsewhere")
    os.mkdir(d)
    shutil.copy(s.hutch, d + "/hutch")
    shutil.copy(empty_library(s), os.path.join(d, LIBRARY))
    r = s.run(c, [], [], raw=[d + "/hutch", "run", "--door=preload", "--", "/bin/true"], cwd="/", writes=True)
    assert r.status == 125 and "without a word" in r.err, r
    import sys
    if "--full" in sys.argv:
        start = time.monotonic()
        r = s.run(c, [], [], raw=[d + "/hutch", "run", "--door=preload", "--", "/bin/sleep", "60"], cwd="/", writes=True, timeout=40)
        assert r.status == 125 and "no word" in r.err and time.monotonic() - start < 30, r


def door_missing_library(s, c):
    d = os.path.join(s.scratch, "elsewhere")
    os.mkdir(d)
    shutil.copy(s.hutch, d + "/hutch")
    if os.path.exists("/usr/local/lib/x86_64-linux-gnu/" + LIBRARY):
        raise harness.Skip("the library is installed on this machine")
    r = s.run(c, [], [], raw=[d + "/hutch", "run", "--door=preload", "--", "/bin/true"], cwd="/", writes=True)
    assert r.status == 125 and LIBRARY in r.err, r


CASES = [confines, environment, other_preload, programs, never, signals, no_policy, no_such_file, bad_key, impossible, early_thread,
         bad_descriptor, closed_stderr, secure, door_runs, door_signals, door_dies, door_errors, door_refuses, door_without_word,
         door_missing_library]


def cases(s, c, who):
    for f in CASES:
        s.case("preload-%s-%s" % (f.__name__.replace("_", "-"), who), f, s, c)
