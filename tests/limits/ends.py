"""Each way to end has a run that produces it, with its own word.
Runs in: the test process."""
import os
import platform
import signal
import time

from harness import Skip, wait_until, with_tag

X86 = platform.machine() == "x86_64"
PTRACE = "101" if X86 else "117"
ARCH = "x86_64" if X86 else "aarch64"


def end(p, word, opts, cmd, code=None, signal=None, **kw):
    r, rec = p.run(opts, cmd, **kw)
    assert rec["end"] == word, "%s instead of %s: %s" % (rec["end"], word, r)
    if code is not None:
        assert rec["exit_code"] == code and rec["signal"] is None, r.rec
    if signal is not None:
        assert rec["signal"] == signal and rec["exit_code"] is None, r.rec
    return r, rec


def exited(s, p):
    for code in (0, 7, 255):
        _, rec = end(p, "exited", [], ["exit", code], code=code)
        assert rec["wall_us"] > 0 and rec["setup_us"] > 0 and not rec["core_dumped"], rec


def signalled(s, p):
    end(p, "signalled", [], ["signal", signal.SIGSEGV], signal=signal.SIGSEGV)
    end(p, "signalled", [], ["signal", signal.SIGKILL], signal=signal.SIGKILL)
    # these two are words of their own only where the policy has the limit
    end(p, "signalled", [], ["signal", signal.SIGXFSZ], preset=None, signal=signal.SIGXFSZ)
    end(p, "signalled", [], ["signal", signal.SIGXCPU], signal=signal.SIGXCPU)


def wall(s, p):
    for cmd in (["sleep", 5000], ["stop", 5000], ["ignore", 5000]):
        r, rec = end(p, "wall-time", ["--wall-time=150ms"], cmd, signal=signal.SIGKILL)
        assert rec["limits"]["wall_us"]["limit"] == 150000 and rec["limits"]["wall_us"]["used"] >= 150000, rec
        assert rec["limits"]["wall_us"]["hits"] == 1 and rec["limits"]["cpu_us"]["hits"] == 0, rec
        assert "wall-time" in r.err, r


def wall_before_exit(s, p):
    """A program that ends in time isn't ended, however little is left."""
    end(p, "exited", ["--wall-time=5s"], ["sleep", 20], code=0)


def cpu(s, p):
    who = ["self", "child", "orphan"] + (["churn"] if p.exact else [])
    for one in who:
        _, rec = end(p, "cpu-time", ["--cpu-time=150ms"], ["cpu", 2000, one])
        c = rec["limits"]["cpu_us"]
        assert c["limit"] == 150000 and c["used"] >= 150000 and c["hits"] == 1, rec["limits"]
        if p.exact:
            assert rec["cgroup_cpu_us"] >= 150000, rec
        else:
            assert rec["cgroup_cpu_us"] is None and rec["seen_cpu_us"] >= 140000, rec


def cpu_sleeper(s, p):
    """Who sleeps uses none of it."""
    _, rec = end(p, "exited", ["--cpu-time=300ms"], ["sleep", 600], code=0)
    assert rec["limits"]["cpu_us"]["used"] < 300000 <= rec["wall_us"], rec


def grace(s, p):
    r, _ = end(p, "wall-time", ["--wall-time=100ms", "--grace=3s"], ["onterm", 5000], code=7)
    assert r.out == "term\n", r
    began = time.monotonic()
    _, rec = end(p, "wall-time", ["--wall-time=100ms", "--grace=200ms"], ["ignore", 6000], signal=signal.SIGKILL)
    assert rec["wall_us"] >= 290000, rec
    assert time.monotonic() - began < 5, "TERM wasn't followed by KILL"
    end(p, "cpu-time", ["--cpu-time=100ms", "--grace=100ms"], ["cpu", 3000, "self"], signal=signal.SIGTERM)
    # stopped when TERM comes: it is continued, or it couldn't hear
    end(p, "wall-time", ["--wall-time=100ms", "--grace=2s"], ["stop", 5000], signal=signal.SIGTERM)


def memory(s, p):
    for how in ("private", "shared", "children"):
        r, rec = end(p, "memory", ["--memory=32M"], ["memory", 160, how])
        m = rec["limits"]["memory"]
        assert m["limit"] == 32 << 20 and m["used"] >= 30 << 20, (how, m)
        if p.exact:
            assert m["hits"] >= 1 and rec["oom_kills"] >= 1 and m["used"] <= 33 << 20, (how, rec)


def memory_within(s, p):
    _, rec = end(p, "exited", ["--memory=64M"], ["memory", 24, "private"], code=0)
    assert rec["limits"]["memory"]["used"] < 64 << 20 and rec["oom_kills"] in (None, 0), rec


def pids(s, p):
    r, rec = end(p, "pids", ["--pids=8"], ["fork", 30, 100], code=1)
    assert r.out == "made 7\n", r
    q = rec["limits"]["pids"]
    assert q["limit"] == 8 and q["used"] == 8 and q["hits"] >= 1, q
    r, rec = end(p, "pids", ["--pids=8"], ["threads", 30, 100], code=1)
    assert r.out == "made 7\n" and rec["limits"]["pids"]["used"] == 8, (r, rec["limits"])
    r, rec = end(p, "exited", ["--pids=8"], ["fork", 7, 60], code=0)
    assert r.out == "made 7\n", r
    if p.exact:
        assert rec["limits"]["pids"] == {"limit": 8, "used": 8, "hits": 0}, rec["limits"]


def output(s, p):
    for fd, name in ((1, "stdout"), (2, "stderr")):
        r, rec = end(p, "output", ["--output-max=64K"], ["out", fd, 8 << 20])
        got = r.out if fd == 1 else r.err[:r.err.index("hutch:")] if "hutch:" in r.err else r.err
        assert got == "x" * 65536, (len(got), r.err[-200:])
        n = rec["limits"][name]
        other = rec["limits"]["stderr" if fd == 1 else "stdout"]
        assert n["limit"] == 65536 and n["used"] > 65536 and n["hits"] == 1 and other["hits"] == 0, rec["limits"]
    end(p, "output", ["--output-max=1000"], ["out", 1, 8 << 20, "deaf"])        # SIGPIPE ignored
    r, rec = end(p, "exited", ["--output-max=64K"], ["out", 1, 65536], code=0)
    assert len(r.out) == 65536 and rec["limits"]["stdout"] == {"limit": 65536, "used": 65536, "hits": 0}, rec["limits"]


def output_files(s, p):
    """To files: the cap holds there too, and both streams may go to one."""
    d = p.caller.own(s.dir("case/out"))
    one, two = os.path.join(d, "one"), os.path.join(d, "two")
    _, rec = end(p, "output", ["--output-max=5000", "--stdout=" + one, "--stderr=" + two], ["out", 1, 1 << 20], writes=True)
    assert os.path.getsize(one) == 5000 and os.path.getsize(two) == 0, os.listdir(d)
    r, rec = end(p, "exited", ["--stdout=" + one, "--stderr=" + one], ["out", 2, 3000], code=0, writes=True)
    assert os.path.getsize(one) == 3000 and r.out == r.err == "" and rec["stderr_bytes"] == 3000, rec


def file_size(s, p):
    _, rec = end(p, "file-size", ["--rlimit-fsize=64K"], ["file", "/tmp/f", 1 << 20], signal=signal.SIGXFSZ)
    assert rec["limits"]["file_size"] == {"limit": 65536, "used": None, "hits": 1}, rec["limits"]
    # a program that takes the signal as an error has its own end
    end(p, "exited", ["--rlimit-fsize=64K"], ["file", "/tmp/f", 1 << 20, "deaf"], code=1)


def disk(s, p):
    for place in ("/tmp/f", "/dev/shm/f"):
        end(p, "disk", ["--tmp-size=1M"], ["file", place, 8 << 20], code=2)
    end(p, "disk", ["--tmp-inodes=64"], ["inodes", "/tmp", 500], code=2)
    end(p, "exited", ["--tmp-size=1M"], ["file", "/tmp/f", 1 << 18], code=0)
    # full, but the program didn't mind: its own end
    end(p, "exited", ["--tmp-size=1M"], ["file", "/tmp/f", 1 << 20], code=0)


def disk_cow(s, p):
    """What copy-on-write may hold is full: the same word, and the host's tree is as it was."""
    work = p.caller.own(s.dir("case/tree"))
    with open(os.path.join(work, "there"), "w") as f:
        f.write("host")
    end(p, "disk", ["--cow=" + work, "--cow-size=1M"], ["file", work + "/f", 8 << 20], code=2)
    end(p, "exited", ["--cow=" + work, "--cow-size=1M"], ["file", work + "/f", 1 << 18], code=0)
    end(p, "exited", ["--cow=" + work, "--cow-size=1M"], ["exit", 3], code=3)
    assert os.listdir(work) == ["there"], os.listdir(work)


def denied(s, p):
    r, rec = end(p, "syscall-denied", [], ["call", PTRACE], signal=signal.SIGKILL)
    assert rec["denied"] == {"number": int(PTRACE), "name": "ptrace", "arch": ARCH}, rec["denied"]
    assert "ptrace" in r.err, r
    # without on-denied it only fails
    _, rec = end(p, "exited", ["--on-denied=errno"], ["call", PTRACE], code=3)
    assert rec["denied"] is None, rec


def denied_compat(s, p):
    if not X86:
        raise Skip("no 32-bit calls to try on this machine")
    r, rec = p.run(["--compat-abi=filter"], ["call32", 26])     # ptrace of i386
    if rec["end"] == "signalled" and rec["signal"] == signal.SIGSEGV:
        raise Skip("this kernel has no 32-bit calls")
    assert rec["end"] == "syscall-denied" and rec["denied"] == {"number": 26, "name": "ptrace", "arch": "i386"}, r.rec


def killed(s, p):
    """The whole sandbox is ended from outside: its PID 1 is killed."""
    tag = "killed%d" % os.getpid()
    proc = p.start([], ["sleep", 6000, tag])
    inner = wait_until(lambda: [i for i in with_tag(tag) if i != proc.pid and s.bomb in open("/proc/%d/cmdline" % i).read().split("\0")[:1]], 10)
    assert inner, "it didn't start"
    parent = int(open("/proc/%d/stat" % inner[0]).read().rpartition(")")[2].split()[1])
    assert parent != proc.pid, "no init between them"
    os.kill(parent, signal.SIGKILL)
    r, rec = p.finish(proc)
    assert rec["end"] == "killed" and rec["signal"] == signal.SIGKILL and rec["exit_code"] is None, r.rec


def setup_failed(s, p):
    missing = os.path.join(s.base, "not-there")
    for opts, cmd, layer, status in (
            ([], ["/nothing/of/the/kind"], "exec", 127), ([], ["/etc/passwd"], "exec", 126), (["--ro=" + missing], ["/bin/true"], None, 125),
            (["--rlimit-nofile=1000000000"], ["/bin/true"], None, 125), (["--wall-time=never"], ["/bin/true"], None, 125)):
        r, rec = p.run(opts, cmd)
        assert rec["end"] == "setup-failed" and r.status == status and r.out == "", r
        assert "exit_code" not in rec and "signal" not in rec and "wall_us" not in rec, rec
        assert rec["layer"] and rec["step"] and rec["id"] and (layer is None or rec["layer"] == layer), rec
        assert rec["step"] in r.err, r


def limit_refused(s, p):
    """A limit that is named and can't be had: no start. The stand-ins only where they are asked for."""
    if p.exact:
        raise Skip("there is a cgroup")
    for opt in ("--memory=64M", "--pids=9", "--cpus=0.5"):
        report = p.report_path()
        r = s.run(p.caller, [opt, "--report", report, "--ro=" + s.bin], [s.bomb, "exit", "0"])
        assert r.status == 125 and "--limits=prefer" in r.err, r


CASES = [exited, signalled, wall, wall_before_exit, cpu, cpu_sleeper, grace, memory, memory_within, pids, output, output_files, file_size, disk, disk_cow, denied,
         denied_compat, killed, setup_failed, limit_refused]


def cases(s, p):
    for f in CASES:
        p.case("ends: %s" % f.__name__.replace("_", " "), f)
