"""The record can't be forged, filled or redirected from inside.
Runs in: the test process."""
import json
import os
import subprocess

from harness import parse_json

FAKE = '{"version":1,"end":"exited","exit_code":0,"signal":null}'


def descriptors(s, p):
    """Forged words into every descriptor, by number and by name, of the program and of init."""
    for opts in ([], ["--stdout=" + os.path.join(p.caller.own(s.dir("case/out")), "o")]):
        r, rec = p.run(opts, ["forge", FAKE], writes=True)
        assert rec["end"] == "exited" and rec["exit_code"] == 7 and "wrote" not in r.out, r


def held_open(s, p):
    """The launcher has the report's descriptor open while the program looks for it: --report-fd too."""
    path = os.path.join(p.records, "fd.json")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        r = s.run(p.caller, ["--preset", "judge", "--report-fd=%d" % fd, *p.opts, "--ro=" + s.bin], [s.bomb, "forge", FAKE], before=p.before, fds=(fd,))
    finally:
        os.close(fd)
    with open(path) as f:
        rec = parse_json(f.read())
    assert r.status == rec["exit_code"] == 7 and "wrote" not in r.out, r


def on_stdout(s, p):
    """What looks like a record on the program's own outputs is only output; of the text form the last one counts."""
    r, rec = p.run([], ["/bin/sh", "-c", "echo '%s'; echo '%s' >&2; echo 'hutch: ended: exited, exit code 0' >&2; exit 7" % (FAKE, FAKE)])
    assert rec["exit_code"] == 7 and FAKE in r.out, r
    r = s.run(p.caller, ["--preset", "judge", "--report=-", *p.opts], ["/bin/sh", "-c", "echo 'hutch: ended: exited, exit code 0' >&2; exit 7"], before=p.before)
    ended = [line for line in r.err.splitlines() if line.startswith("hutch: ended:")]
    assert ended == ["hutch: ended: exited, exit code 0", "hutch: ended: exited, exit code 7"], r


def shown(s, p, how):
    d = p.caller.own(s.dir("case/" + how))
    return d, os.path.join(d, "report.json")


def appended(s, p):
    """The report's own directory is shown with the right to write: what was written there is gone afterwards."""
    d, path = shown(s, p, "append")
    r, rec = p.run(["--rw=" + d], ["scribble", path, FAKE, "append"], report=path, writes=True)
    assert rec["exit_code"] == 7, r


def replaced(s, p):
    """Another file in the place of the report: hutch says so and fails, whatever the program's status."""
    for how, to in (("replace", ""), ("link", "/nowhere"), ("fifo", "")):
        d, path = shown(s, p, how)
        opts, cmd = p.words(["--rw=" + d], [s.bomb, "scribble", path, FAKE, how, to], path)
        r = s.run(p.caller, opts, cmd, before=p.before, writes=True)
        assert r.status == 125 and "is not the record" in r.err and path in r.err, (how, r)


def planted(s, p):
    """What an earlier run left under the name: a link to another file, a pipe without a reader."""
    victim = os.path.join(p.caller.own(s.dir("case/victim")), "file")
    with open(victim, "w") as f:
        f.write("precious\n")
    if p.caller.switch:
        os.chown(victim, p.caller.uid, p.caller.gid)
    d, path = shown(s, p, "planted")
    # --stdout and --report alike
    r, _ = p.run(["--rw=" + d], ["scribble", path, FAKE, "append"], writes=True)
    os.unlink(path)
    for what in ("link", "fifo"):
        open(path, "w").close()
        if p.caller.switch:
            os.chown(path, p.caller.uid, p.caller.gid)
        r, rec = p.run(["--rw=" + d], ["scribble", path, FAKE, what, victim], writes=True)
        assert rec["exit_code"] == 7 and (os.path.islink(path) or not os.path.isfile(path)), r
        for opt in ("--report=" + path, "--stdout=" + path, "--stderr=" + path):
            r = s.run(p.caller, [*p.opts, opt, "--ro=" + s.bin], [s.bomb, "exit", "0"], before=p.before, timeout=10)
            assert r.status == 125 and path in r.err and (what == "fifo" or "symbolic link" in r.err), r
        with open(victim) as f:
            assert f.read() == "precious\n", "the victim was emptied"
        os.unlink(path)


def huge_argv(s, p):
    """Long and odd words: nothing of them can end up in the record as anything but text."""
    words = ["x" * 100000, '","end":"exited', "\n\x01\x7f", "\\u0000", "é"]
    r, rec = p.run([], ["exit", 7, *words])
    assert rec["exit_code"] == 7, r
    r, rec = p.run([], ["/no/" + '","end":"exited' + "y" * 3000])
    assert rec["end"] == "setup-failed", r
    r, rec = p.run(["--env=A=" + '","end":"' * 1000, "--ro=/no/\n\x01\"'\\/"], ["exit", 7])
    assert rec["end"] == "setup-failed" and rec["layer"], r


def unwritable(s, p):
    """A record that can't be written is a failure, not silence."""
    if os.path.exists("/dev/full"):
        r = s.run(p.caller, ["--report=/dev/full", *p.opts, "--ro=" + s.bin], [s.bomb, "exit", "0"], before=p.before)
        assert r.status == 125 and "report" in r.err, r
    r = s.run(p.caller, ["--report=/no/such/dir/r.json", *p.opts], ["/bin/echo", "ran"], before=p.before)
    assert r.status == 125 and r.out == "", r
    r = s.run(p.caller, ["--report-fd=77", *p.opts], ["/bin/echo", "ran"], before=p.before)
    assert r.status == 125 and r.out == "", r


def special_files(s, p):
    """The system's own links and pipes with a reader still work."""
    r = s.run(p.caller, ["--report=/dev/fd/2", *p.opts, "--ro=" + s.bin], [s.bomb, "exit", "3"], before=p.before)
    if "Permission denied" not in r.err:           # a pipe of another user can't be opened anew
        assert json.loads(r.err)["exit_code"] == r.status == 3, r
    read, write = os.pipe()
    os.fchown(write, p.caller.uid, p.caller.gid)
    try:
        r = s.run(p.caller, ["--report=/proc/self/fd/%d" % write, *p.opts, "--ro=" + s.bin], [s.bomb, "exit", "3"], before=p.before, fds=(write,))
    finally:
        os.close(write)
    with os.fdopen(read) as f:
        assert json.loads(f.read())["exit_code"] == r.status == 3, r


CASES = [descriptors, held_open, on_stdout, appended, replaced, planted, huge_argv, unwritable, special_files]


def cases(s, p):
    for f in CASES:
        p.case("forged: %s" % f.__name__.replace("_", " "), f)
