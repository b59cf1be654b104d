"""Live: what the command prints and how it ends: help, report, closed descriptors, failed writes.
Runs in: the test process."""
import os
import re
import shlex
import subprocess

from harness import parse_json


def raw(s, c, *argv, **kw):
    return s.run(c, [], [], raw=[s.hutch, *argv], cwd="/", **kw)


def words(s, c):
    r = raw(s, c, "--help")
    assert r.status == 0 and not r.err and all(w in r.out for w in ("run", "explain", "check", "inspect", "demo", "help")), r
    r = raw(s, c, "--version")
    assert r.status == 0 and re.fullmatch(r"hutch \d+\.\d+\.\d+\n", r.out), r
    r = raw(s, c)
    assert r.status == 125 and not r.out and "usage" in r.err, r
    for argv, needle in ((["rum", "--", "true"], "`hutch run`"), (["hostname"], "hutch help hostname"), (["--net", "host"], "hutch help net"),
                         (["/bin/true"], "hutch run -- /bin/true"), (["--", "true"], "hutch run -- CMD")):
        r = raw(s, c, *argv)
        assert r.status == 125 and not r.out and needle in r.err, r


def keys(s, c):
    return re.findall(r"^  --([a-z0-9-]+)", raw(s, c, "run", "--help").out, re.M)


def help_of_every_key(s, c):
    """Its example is understood: what may fail is the host, not the reading."""
    every = set(keys(s, c)) - {"policy", "preset", "view", "as-pid-1", "door", "report", "report-fd"}
    assert len(every) > 60, every
    for key in sorted(every):
        r = raw(s, c, "help", key)
        assert r.status == 0 and r.out.startswith(key + " (") and "default: " in r.out, r
        example = re.search(r"^  example: hutch run (.*) -- CMD$", r.out, re.M).group(1)
        example = shlex.split(example)
        line = re.search(r"^  in a policy file: (.*)$", r.out, re.M).group(1)
        policy = os.path.join(s.scratch, "p")
        with open(policy, "w") as f:
            f.write(line + "\n")
        os.chmod(policy, 0o644)
        beside = {"uid-map": ["--gid-map=0:1000:1"], "gid-map": ["--uid-map=0:1000:1"]}.get(key, [])
        for opts in (example + beside, ["--policy", policy, *beside]):
            r = s.run(c, opts, ["true"], verb="explain", cwd="/")
            number = re.search(r"hutch-errors\(7\) E(\d+)", r.err)
            # 103, 104: needs another key beside it, or root
            assert r.status == 0 or number and (int(number.group(1)) in (103, 104) or int(number.group(1)) >= 200), "the example of %s: %s" % (key, r)
        os.unlink(policy)


def help_of_the_rest(s, c):
    r = raw(s, c, "help", "net")
    assert "preset view: net = host" in r.out, r
    r = raw(s, c, "help", "strict")
    assert r.status == 0 and "protect" in r.out.lower(), r
    for name in ("run", "explain", "check", "inspect", "demo", "help"):
        r = raw(s, c, "help", name)
        assert r.status == 0 and "hutch " + name in r.out, r
    r = raw(s, c, "help", "hostnam")
    assert r.status == 2 and not r.out and "hostname" in r.err, r
    r = raw(s, c, "help", "tcp")
    assert r.status == 2 and "tcp-connect" in r.err and "tcp-bind" in r.err, r
    r = raw(s, c, "help", "--no-system")
    assert r.status == 0 and r.out.startswith("system"), r
    wide = [line for line in raw(s, c, "run", "--help").out.splitlines() if len(line) > 100 and " " in line.strip()]
    assert not wide, wide


def explain_words(s, c):
    r = raw(s, c, "explain")
    assert r.status == 0 and "`sh`" in r.out and "exec" in r.out, r
    r = raw(s, c, "explain", "--json")
    assert r.status == 0 and parse_json(r.out) and "`sh`" in r.err, r
    r = raw(s, c, "explain", "--hostname", "x", "--preset=strict", "--report", "/no/such/place", "--", "true")
    assert r.status == 0 and "protect" in r.out.lower(), r
    plain = raw(s, c, "explain", "--", "true", "--preset", "strict")
    assert plain.status == 0 and not plain.out.startswith("#"), "the program's own words were taken for ours: %s" % plain
    for argv in (["check", "--jsn"], ["help", "a", "b"]):
        r = raw(s, c, *argv)
        assert r.status == 2 and not r.out and r.err, r


def report_of_a_failure(s, c):
    path = os.path.join(s.scratch, "report")
    os.chmod(s.scratch, 0o777)
    for opts, cmd, status, number, errno in (
            (["--ro", "/no/such/sourc\u00e9:/x"], ["true"], 125, None, 2), ([], ["no-such-program"], 127, 540, 2), ([], ["/usr"], 126, 541, 13),
            (["--memry=1"], ["true"], 125, 130, 0), (["--hostname=" + "x" * 99], ["true"], 125, 101, 0), ([], [], 125, 542, 0)):
        r = s.run(c, ["--report", path, *opts], cmd, cwd="/", writes=True)
        with open(path, encoding="utf-8") as f:
            j = parse_json(f.read())
        assert r.status == status and j["end"] == "setup-failed" and "exit_code" not in j and j["errno"] == errno and j["step"], (r, j)
        assert j["id"] == number or number is None, (r, j)
        assert number is not None or "sourc\u00e9" in j["subject"], j
        assert "E%04d" % j["id"] in r.err, (r, j)
        assert os.stat(path).st_mode & 0o777 == 0o600
        os.unlink(path)


def report_places(s, c):
    os.chmod(s.scratch, 0o777)
    r = s.run(c, ["--report=-"], ["sh", "-c", "exit 4"])
    assert r.status == 4 and "ended: exited, exit code 4" in r.err, r
    a, b = os.pipe()
    r = s.run(c, ["--report-fd", str(b)], ["sh", "-c", "ls /proc/self/fd; kill -TERM $$"], fds=(b,))
    os.close(b)
    j = parse_json(os.read(a, 65536).decode())
    assert r.status == 143 and j["end"] == "signalled" and j["signal"] == 15 and j["exit_code"] is None, (r, j)
    assert str(b) not in r.out.split(), "the program had the report's descriptor: %s" % r
    os.close(a)
    for opts in (["--report-fd", "777"], ["--report", "/no/such/dir/r"], ["--report-fd=x"], ["--report-fd="], ["--report="], ["--report=-", "--report-fd=2"]):
        r = s.run(c, opts, ["sh", "-c", "echo ran"])
        assert r.status == 125 and "ran" not in r.out and "report" in r.err, r
    a, b = os.pipe()       # nobody reads it: no silent success
    os.close(a)
    r = s.run(c, ["--report-fd", str(b)], ["true"], fds=(b,))
    os.close(b)
    assert r.status == 125 and "report" in r.err and "pipe" in r.err, r
    with open("/dev/full", "w") as full:
        r = s.run(c, ["--report-fd", str(full.fileno())], ["true"], fds=(full.fileno(),))
    assert r.status == 125 and "report" in r.err and "space" in r.err, r
    with open("/etc/passwd") as f:
        r = s.run(c, ["--report-fd", str(f.fileno())], ["sh", "-c", "echo ran"], fds=(f.fileno(),))
    assert r.status == 125 and "ran" not in r.out, r


def writes_fail(s, c):
    """Text that nobody got isn't success."""
    for argv in (["--help"], ["--version"], ["explain", "--", "true"], ["check"], ["help", "net"], ["run", "--help"]):
        with open("/dev/full", "w") as full:
            r = raw(s, c, *argv, stdout=full)
        assert r.status != 0 and r.err, (argv, r)
    for argv in (["--help"], ["explain", "--", "true"]):
        r = raw(s, c, *argv, stdout=subprocess.PIPE, before=lambda: os.close(1))
        assert r.status == 125 and r.err, (argv, r)


def closed_descriptors(s, c):
    """Whichever of 0-2 are closed, the program runs, and nothing else takes their place."""
    for which in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)):
        r = s.run(c, [], ["sh", "-c", "exit 6"], before=lambda: [os.close(fd) for fd in which])
        assert r.status == 6, (which, r)
    r = s.run(c, ["--report-fd=2"], ["sh", "-c", "echo ran"], before=lambda: os.close(2))
    assert r.status == 125 and "ran" not in r.out, r


def reader_of_a_file_leaves(s, c):
    """A program that doesn't read all of its input is no reason for hutch to end by SIGPIPE."""
    path = os.path.join(s.scratch, "big")
    with open(path, "wb") as f:
        f.write(b"line\n" * 1000000)
    c.own(s.scratch)
    with open(path, "rb") as f:
        r = s.run(c, [], ["sh", "-c", "head -n 1; sleep 0.3; exit 5"], stdin=f)
    assert r.status == 5 and r.out == "line\n", r


def cases(s, c, who):
    for f in (words, help_of_every_key, help_of_the_rest, explain_words, report_of_a_failure, report_places, writes_fail, closed_descriptors,
              reader_of_a_file_leaves):
        s.case("%s/command/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
