"""Live: environment, descriptors, signals, the process tree, exit status, the report.
Runs in: the test process."""
import fcntl
import os
import signal
import socket
import stat
import subprocess
import time

from harness import parse_json, patient, pause, Skip, status_of, wait_until, with_tag


def names(r):
    return {e.partition("=")[0]: e.partition("=")[2] for e in r.all("env")}


def env_clean(s, c):
    dirty = dict(c.environ(), SECRET="1", LD_PRELOAD="/nothing.so", LD_LIBRARY_PATH="/x", PYTHONPATH="/x", BASH_ENV="/x", IFS="x", GCONV_PATH="/x", GLIBC_TUNABLES="a=b",
                 AWS_SECRET_ACCESS_KEY="k", SSH_AUTH_SOCK="/x", DBUS_SESSION_BUS_ADDRESS="x")
    got = names(s.see(c, [], "env", env=dirty))
    assert set(got) <= {"PATH", "HOME", "USER", "LOGNAME", "TERM", "LANG", "SHELL", "TZ", "LC_ALL", "COLORTERM"}, got
    assert {"PATH", "HOME", "USER", "TERM", "LANG"} <= set(got), got
    assert got["TERM"] == "xterm" and got["LANG"] == "C.UTF-8" and "/usr/bin" in got["PATH"].split(":"), got
    got = names(s.see(c, ["--keep-env"], "env", env=dirty))
    assert got.get("SECRET") == "1", got
    assert not [n for n in got if n.startswith("LD_") or n in ("GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV", "IFS")], got
    got = names(s.see(c, ["--env=A=b=c", "--env=SECRET", "--env=EMPTY=", "--env=LD_LIBRARY_PATH=/named", "--unset-env=LANG", "--env=NOT_SET_AT_ALL"], "env", env=dirty))
    assert got["A"] == "b=c" and got["SECRET"] == "1" and got["EMPTY"] == "" and got["LD_LIBRARY_PATH"] == "/named", got
    assert "LANG" not in got and "NOT_SET_AT_ALL" not in got and "PYTHONPATH" not in got, got


def env_of_init(s, c):
    r = s.see(c, [], "read /proc/1/environ", ["cat", "/proc/1/environ"], "ls /proc/1/fd", env=dict(c.environ(), SECRET="leak"))
    assert "leak" not in r.out, r


def env_empty(s, c):
    r = s.see(c, [], "env", env={})
    got = names(r)
    assert "PATH" in got and "HOME" in got, r
    r = s.run(c, [], ["sh", "-c", "echo $((1+1))"], env={})
    assert r.status == 0 and r.out == "2\n", r


def fd_leak(s, c):
    d, f = os.open("/", os.O_RDONLY), os.open("/etc/hostname", os.O_RDONLY) if os.path.exists("/etc/hostname") else os.open("/etc/passwd", os.O_RDONLY)
    a, b = socket.socketpair()
    try:
        r = s.see(c, [], "fds", fds=(d, f, a.fileno()))
        assert [x.split("|")[0] for x in r.all("fd")] == ["0", "1", "2"], r
    finally:
        os.close(d), os.close(f), a.close(), b.close()


def fd_keep(s, c):
    path = os.path.join(s.scratch, "kept")
    with open(path, "w") as f:
        f.write("kept content")
    c.own(s.scratch)
    rd, (pr, pw) = os.open(path, os.O_RDONLY), os.pipe()
    d, sock = os.open(s.scratch, os.O_RDONLY), socket.socketpair()
    try:
        r = s.see(c, ["--fd=%d" % rd, "--fd=%d" % pw], "fds", fds=(rd, pw, d), cwd="/")
        assert sorted(int(x.split("|")[0]) for x in r.all("fd")) == sorted([0, 1, 2, rd, pw]), r
        for bad in (d, sock[0].fileno()):
            r = s.run(c, ["--fd=%d" % bad], [s.inside, "say", "ran", "1"], fds=(bad,), cwd="/")
            assert r.status == 125 and str(bad) in r.err and "fd-any-kind" in r.err and "ran" not in r.out, r
            r = s.see(c, ["--fd=%d" % bad, "--fd-any-kind"], "fds", fds=(bad,), cwd="/")
            assert bad in [int(x.split("|")[0]) for x in r.all("fd")], r
        r = s.run(c, ["--fd=777"], [s.inside, "say", "ran", "1"], cwd="/")
        assert r.status == 125 and "777" in r.err and "ran" not in r.out, r
    finally:
        for fd in (rd, pr, pw, d):
            os.close(fd)
        sock[0].close(), sock[1].close()


def fd_numbers(s, c):
    """Numbers that cross over, that lie on hutch's own, and above the limit that the program gets."""
    a, b, w = (os.path.join(s.scratch, n) for n in "abw")
    for path, text in ((a, "content of a"), (b, "content of b"), (w, "")):
        with open(path, "w") as f:
            f.write(text)
    c.own(s.scratch)
    ra, rb, ww, (pr, pw) = os.open(a, os.O_RDONLY), os.open(b, os.O_RDONLY), os.open(w, os.O_WRONLY), os.pipe()
    os.write(pw, b"through a pipe")
    os.close(pw)
    try:
        # Each of two under the other's number, and every low number taken once.
        opts = ["--fd=%d=%d" % (ra, rb), "--fd=%d=%d" % (rb, ra)]
        free = [n for n in range(3, 40) if n not in (ra, rb)]
        opts += ["--fd=%d=%d" % (n, ra) for n in free] + ["--fd=900=%d" % rb, "--rlimit-nofile=64"]
        r = s.run(c, opts, ["sh", "-c", "cat <&%d; cat <&%d; ls /proc/$$/fd | tr '\\n' ' '" % (min(ra, 9), min(rb, 9))]
                  if max(ra, rb) < 10 else ["sh", "-c", "cat /proc/self/fd/%d /proc/self/fd/%d; ls /proc/$$/fd | tr '\\n' ' '" % (ra, rb)],
                  fds=(ra, rb), cwd="/")
        assert r.out.startswith("content of bcontent of a") and r.status == 0, r
        assert set(map(int, r.out.split("content of a")[1].split())) >= {0, 1, 2, *range(3, 40), 900}, r
        r = s.run(c, ["--fd=0=%d" % pr, "--fd=1=%d" % ww, "--fd=2=%d" % ww], ["sh", "-c", "cat; echo error >&2"], fds=(pr, ww), cwd="/", writes=True)
        with open(w) as f:
            assert r.status == 0 and r.out == r.err == "" and f.read() == "through a pipeerror\n", r
        # A file for standard input can't be reopened for writing, whoever passed it.
        os.lseek(ra, 8, os.SEEK_SET)
        r = s.run(c, ["--fd=0=%d" % ra], ["sh", "-c", "cat; echo spoilt >/proc/self/fd/0; exec 5<>/dev/stdin && echo spoilt >&5; true"], fds=(ra,), cwd="/")
        assert r.out == "of a" or r.out == "of aspoilt\n", r
        with open(a) as f:
            assert f.read() == "content of a"
        for bad, word in ((["--fd=3=777"], "777"), (["--fd=3=%d" % ra, "--fd=3=%d" % rb], "already"), (["--fd=1=%d" % pr, "--file-fd=1:/x"], "/x")):
            r = s.run(c, bad, [s.inside, "say", "ran", "1"], fds=(ra, rb, pr), cwd="/")
            assert r.status == 125 and word in r.err and "ran" not in r.out, r
    finally:
        for fd in (ra, rb, ww, pr):
            os.close(fd)


def stdin_file(s, c, opts=()):
    path = os.path.join(s.scratch, "in")
    with open(path, "w") as f:
        f.write("given by redirection")
    os.chmod(path, 0o666)
    c.own(s.scratch)
    with open(path, "rb") as f:
        r = s.see(c, opts, "stdin", "fds", stdin=f, cwd="/")
    assert r.one("stdin") == "given by redirection", r
    relayed = "|pipe:" in r.all("fd")[0]      # the file itself isn't there then
    for way in ("write", "rdwr", "append") if not relayed else ():
        assert r.one("stdin_" + way) != "ok", "stdin's file can be reopened for writing: %s" % r
    with open(path) as f:
        assert f.read() == "given by redirection"
    with open(path, "rb") as f:
        r = s.run(c, opts, ["sh", "-c", "echo overwritten >/proc/self/fd/0; exec 5<>/dev/stdin && echo again >&5; true"], stdin=f, cwd="/")
    with open(path) as f:
        assert f.read() == "given by redirection", r


def stdin_offset(s, c):
    """A file that was read in part goes on from there."""
    path = os.path.join(s.scratch, "in")
    with open(path, "w") as f:
        f.write("0123456789")
    c.own(s.scratch)
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 4, os.SEEK_SET)
    try:
        r = s.run(c, [], ["cat"], stdin=fd, cwd="/")
    finally:
        os.close(fd)
    assert r.status == 0 and r.out == "456789", r


def stdin_directory(s, c):
    fd = os.open("/", os.O_RDONLY)
    try:
        r = s.run(c, [], [s.inside, "say", "ran", "1"], stdin=fd)
    finally:
        os.close(fd)
    assert r.status == 125 and "ran" not in r.out and "0" in r.err, r


def closed_stdio(s, c):
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        out = os.path.join(s.scratch, "out%s" % "".join(map(str, closed)))
        os.chmod(s.scratch, 0o777)
        p = s.popen(c, ["--rw", s.scratch], [s.inside, "out", out, ",", "fds"], stdin=None if 0 in closed else subprocess.DEVNULL,
                    stdout=None if 1 in closed else subprocess.PIPE, stderr=None if 2 in closed else subprocess.PIPE,
                    before=lambda: [os.close(fd) for fd in closed])
        text = p.communicate(timeout=20)
        assert p.returncode == 0, (closed, p.returncode, text)
        with open(out) as f:
            fds = [l.split("=")[1].split("|")[0] for l in f.read().splitlines() if l.startswith("fd=")]
        assert {"0", "1", "2"} <= set(fds) and len(fds) <= 4, (closed, fds)   # the fourth is the output file of the helper


def deleted_cwd(s, c):
    d = os.path.join(s.scratch, "gone")
    os.mkdir(d)
    c.own(s.scratch)
    shell = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    r = s.run(c, [], [], raw=["sh", "-c", shell, "sh", d, *s.argv([], [s.inside, "say", "ran", "1"])], writes=True)
    assert r.status == 125 and "director" in r.err and "ran" not in r.out, r
    os.mkdir(d)
    c.own(s.scratch)
    r = s.run(c, [], [], raw=["sh", "-c", shell, "sh", d, *s.argv(["--cwd=/"], [s.inside, "cwd"])], writes=True)
    assert r.status == 0 and r.one("cwd") == "/", r


def init_reaps(s, c):
    r = s.see(c, [], "pid", "orphan", "procs")
    assert r.one("pid") == "2" and r.one("ppid") == "1", r
    assert r.one("orphan_parent") == "1" and r.one("orphan_reaped") == "yes", r


def as_pid_1(s, c):
    for opts in (["--as-pid-1"], ["--init=no"], ["--no-init"]):
        r = s.see(c, opts, "pid", "procs", "caps", "nnp", "seccomp")
        assert r.one("pid") == "1" and r.one("procs") == "1" and int(r.one("cap_prm"), 16) == 0 and r.one("nnp") == "1" and r.one("seccomp") == "2", r
        r = s.run(c, opts, [s.inside, "exit", "7"])
        assert r.status == 7, r


def daemon_dies(s, c, opts=()):
    tag = "daemon-%d-%d" % (os.getpid(), time.monotonic_ns())
    started = time.monotonic()
    r = s.see(c, opts, ["daemon", "40", tag])
    assert time.monotonic() - started < 20, "the run waited for the daemon"
    left = wait_until(lambda: not with_tag(tag), 2)
    assert left, "survived: %s" % with_tag(tag)
    r = s.run(c, [*opts, "--as-pid-1"] if not opts else opts, [s.inside, "daemon", "40", tag])
    assert r.status == 0 and wait_until(lambda: not with_tag(tag), 2), (r, with_tag(tag))


def start(s, c, opts, *verbs, **kw):
    p = s.popen(c, opts, [s.inside, *sum(([*v, ","] for v in verbs), [])[:-1]], **kw)
    line = p.stdout.readline()
    if b"=" not in line:
        p.kill()
        out, err = p.communicate()
        raise AssertionError("didn't start: %r %r" % (line + out, err))
    return p


def launcher_killed(s, c, opts=()):
    tag = "orphaned-%d-%d" % (os.getpid(), time.monotonic_ns())
    for more in ([], ["--as-pid-1"]) if not opts else ([],):
        p = start(s, c, [*opts, *more], ["say", "tag", tag], ["daemon", "50", tag], ["sleep", "50"])
        p.stdout.readline()
        assert len(with_tag(tag)) >= 2, "control: the program isn't seen from outside: %s" % with_tag(tag)
        p.kill()
        p.wait()
        p.stdout.close(), p.stderr.close()
        assert wait_until(lambda: not with_tag(tag), 2), "survived the launcher: %s" % with_tag(tag)


def launcher_killed_kept(s, c):
    tag = "kept-%d-%d" % (os.getpid(), time.monotonic_ns())
    p = start(s, c, ["--die-with-launcher=no"], ["say", "tag", tag], ["sleep", "50"])
    p.kill()
    p.wait()
    p.stdout.close(), p.stderr.close()     # the survivor holds the other ends
    pause(0.5)
    left = with_tag(tag)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:         # the end of its PID 1 was its end
            pass
    assert left, "--die-with-launcher=no and it died"


def terminated(s, c):
    """TERM to hutch reaches the program, and the status tells of it."""
    p = start(s, c, [], ["say", "ready", "1"], ["sleep", "30"])
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=10)
    assert status_of(p.returncode) == 128 + 15, (p.returncode, out, err)


def forwarded(s, c, opts=()):
    p = start(s, c, opts, ["catch", "20"])
    seen = b""
    for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "WINCH"):
        if name == "WINCH":
            continue          # means the window's size to a launcher
        p.send_signal(getattr(signal, "SIG" + name))
        line = p.stdout.readline()
        assert line.strip() == b"signal=" + name.encode(), "%s: %r" % (name, line)
        seen += line
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=10)
    assert b"signal=TERM" in out and p.returncode == 0, (p.returncode, out, err)


def statuses(s, c, opts=()):
    for want, words in ((0, ["exit", "0"]), (3, ["exit", "3"]), (255, ["exit", "255"]), (128 + 15, ["raise", "TERM"]), (128 + 9, ["raise", "KILL"]),
                        (128 + 11, ["raise", "SEGV"]), (128 + 6, ["raise", "ABRT"]), (125, ["exit", "125"])):
        r = s.run(c, opts, [s.inside, *words])
        assert r.status == want, (want, r)


def not_found(s, c, opts=()):
    r = s.run(c, opts, ["no-such-program-at-all"])
    assert r.status == 127 and "no-such-program-at-all" in r.err, r
    r = s.run(c, opts, ["/no/such/program"])
    assert r.status == 127 and "/no/such/program" in r.err, r
    path = os.path.join(s.scratch, "plain")
    with open(path, "w") as f:
        f.write("just text\n")
    c.own(s.scratch)
    r = s.run(c, opts, ["./plain"])
    assert r.status == 126 and "plain" in r.err, r
    os.chmod(path, 0o755)
    r = s.run(c, opts, ["./plain"])
    assert r.status == 126 and "plain" in r.err, r
    r = s.run(c, opts, ["/usr"])
    assert r.status == 126 and "/usr" in r.err, r


def interpreter_missing(s, c):
    """Things that exist on the host and aren't visible: the message says so and names the option."""
    hidden = os.path.join(c.home, "hutch-interpreter")
    with open(hidden, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(hidden, 0o755)
    script = os.path.join(s.scratch, "s.x")
    with open(script, "w") as f:
        f.write("#!%s\n" % hidden)
    os.chmod(script, 0o755)
    c.own(s.scratch)
    try:
        r = s.run(c, [], ["./s.x"])
        assert r.status in (126, 127) and hidden in r.err and "--ro" in r.err, r
    finally:
        os.unlink(hidden)
    with open(script, "w") as f:
        f.write("#!/no/such/interpreter\n")
    r = s.run(c, [], ["./s.x"])
    assert r.status in (126, 127) and "/no/such/interpreter" in r.err, r


def program_outside_rootfs(s, c):
    root = os.path.join(s.scratch, "root")
    for d in ("bin", "dev", "proc", "tmp", "etc"):
        os.makedirs(os.path.join(root, d))
    subprocess.run(["cp", "/bin/true", root + "/bin/dynamic"], check=True)
    c.own(s.scratch)
    outside = os.path.join(s.scratch, "s.sh")
    with open(outside, "w") as f:
        f.write("#!/bin/sh\n")
    os.chmod(outside, 0o755)
    r = s.run(c, ["--rootfs", root], ["/bin/dynamic"], cwd="/")
    assert r.status in (126, 127) and "ld-linux" in r.err, "a missing ELF interpreter: %s" % r
    r = s.run(c, ["--rootfs", root], ["/usr/bin/env"], cwd="/")
    assert r.status == 127 and "/usr/bin/env" in r.err and "--ro" in r.err, r
    r = s.run(c, ["--rootfs", root], [outside], cwd="/")
    assert r.status in (125, 126, 127) and outside in r.err and "--ro" in r.err, r


def report(s, c):
    path = os.path.join(s.scratch, "report.json")
    os.chmod(s.scratch, 0o777)
    for words, key, value in ((["exit", "3"], "exit_code", 3), (["raise", "TERM"], "signal", 15)):
        r = s.run(c, ["--report", path], [s.inside, *words], writes=True, cwd="/")
        with open(path) as f:
            j = parse_json(f.read())
        assert j[key] == value or key in str(j), (r, j)
        assert [k for k in j if "wall" in k] and [k for k in j if "user" in k] and [k for k in j if "rss" in k], j
        os.unlink(path)


def explain(s, c):
    d = os.path.join(s.scratch, "d")
    os.mkdir(d)
    c.own(s.scratch)
    r = s.run(c, ["--ro", d + ":/data", "--hostname=explained", "--rlimit-nofile=77", "--tmpfs=/scratch-here"], [s.inside, "say", "ran", "1"], verb="explain", cwd="/")
    assert r.status == 0 and "ran=1" not in r.out, r
    for word in ("/data", d, "explained", "77", "/scratch-here", "no-new-privs", "seccomp", "pivot-root", "capset", s.inside):
        assert word in r.out, "%s isn't in the plan: %s" % (word, r)
    r = s.run(c, ["--json"], [s.inside, "id"], verb="explain", cwd="/")
    j = parse_json(r.out)
    assert r.status == 0 and isinstance(j, dict) and len(j) >= 2, r


def other_commands(s, c):
    for argv, needle in ((["check"], "user"), (["help", "ro"], "read-only"), (["--version"], ""), (["--help"], "run")):
        r = s.run(c, [], [], raw=[s.hutch, *argv], cwd="/")
        assert r.status == 0 and needle in r.out, r
    r = s.run(c, [], [], raw=[s.hutch, "check", "--json"], cwd="/")
    assert r.status == 0 and isinstance(parse_json(r.out), dict), r
    r = s.run(c, [], [], raw=[s.hutch, "explain", "--preset", "strict", "--", "true"], cwd="/")
    assert r.status == 0 and "protect" in r.out.lower(), r


def umask_and_signals(s, c):
    def dirty():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
        os.umask(0)
    r = s.see(c, [], "sigstate", "umask", before=dirty)
    assert r.one("sig_ignored") == "" and r.one("sig_blocked") == "" and r.one("umask") == "0022", r
    r = s.see(c, ["--umask=077"], "umask")
    assert r.one("umask") == "0077", r


def session(s, c):
    """No controlling terminal, and standard streams as they were given."""
    r = s.see(c, [], "tty", "fds")
    assert r.one("tty") == "0,0,0" and r.one("ctty") == "ENXIO", r


def terminal(s, c):
    """With a terminal as stdin the program gets a private one, of the same size."""
    import pty
    import struct
    import termios
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    outer = os.ttyname(slave)
    before = termios.tcgetattr(slave)

    def control():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        p = s.popen(c, [], [s.inside, "tty", ",", "fds", ",", "stat", "/dev/pts/0"], stdin=slave, stdout=slave, stderr=slave, before=control)
        text = b""
        os.set_blocking(master, False)
        end = time.monotonic() + patient(10)
        while time.monotonic() < end:
            try:
                text += os.read(master, 65536)
            except BlockingIOError:
                if p.poll() is not None:
                    break
                time.sleep(0.02)
        status = p.wait(timeout=10)
        text = text.decode().replace("\r", "")
        assert status == 0 and "tty=1,1,1" in text and "winsize=77x33" in text and "ctty=ok" in text and "foreground=1" in text, (status, text)
        assert "fd=0|rw|/dev/pts/0" in text or outer not in text, "the outer terminal is passed in: %s" % text
        after = termios.tcgetattr(slave)
        assert after == before, "the outer terminal's modes changed"
    finally:
        os.close(master), os.close(slave)


def many(s, c):
    """Twenty at once: none fails, none leaks."""
    ps = [s.popen(c, [], [s.inside, "exit", str(i)]) for i in range(20)]
    got = []
    for p in ps:
        out, err = p.communicate(timeout=30)
        got.append((p.returncode, err))
    assert [g[0] for g in got] == list(range(20)), got


def dangerous_stdout(s, c):
    """A directory or an unknown device as standard error is a way out."""
    fd = os.open("/", os.O_RDONLY)
    try:
        p = s.popen(c, [], [s.inside, "say", "ran", "1"], stderr=fd)
        out, _ = p.communicate(timeout=10)
        assert p.returncode == 125 and b"ran" not in out, (p.returncode, out)
    finally:
        os.close(fd)


def cases(s, c, who):
    for f in (env_clean, env_of_init, env_empty, fd_leak, fd_keep, fd_numbers, stdin_file, stdin_offset, stdin_directory, closed_stdio, deleted_cwd, init_reaps, as_pid_1,
              daemon_dies, launcher_killed, launcher_killed_kept, terminated, forwarded, statuses, not_found, interpreter_missing, program_outside_rootfs,
              report, explain, other_commands, umask_and_signals, session, terminal, many, dangerous_stdout):
        s.case("%s/process/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
