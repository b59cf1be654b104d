"""Nothing stays behind: processes that hide, launchers that are killed.
Runs in: the test process."""
import os
import random
import signal
import time

from harness import Skip, wait_until, with_tag
from cgroups import NAME, below


def cgroups(s, p):
    return below(os.environ[NAME]) if p.exact else []


def gone(s, p, tag):
    def nothing():
        s.reap()
        return not with_tag(tag)
    assert wait_until(nothing, 5), "still there: %s" % with_tag(tag)


def daemons(s, p):
    """Forked twice, in a session of their own, deaf to all signals: with the program's end, and with a limit's."""
    for opts, cmd, word in (([], ["daemon", 7000], "exited"), ([], ["daemon", 7000, "closed"], "exited"),
                            (["--wall-time=150ms"], ["/bin/sh", "-c", "%s daemon 7000 closed; sleep 7" % s.bomb], "wall-time")):
        tag = "daemon%d-%d" % (os.getpid(), s.passed)
        _, rec = p.run(opts, [*cmd, tag])
        assert rec["end"] == word, rec
        gone(s, p, tag)
        assert not cgroups(s, p), cgroups(s, p)


def stopped_and_traced(s, p):
    tag = "traced%d" % os.getpid()
    r, rec = p.run(["--seccomp=none", "--wall-time=250ms"], ["traced", 7000, tag], preset=None)
    assert r.out == "traced\n" and rec["end"] == "wall-time", r
    gone(s, p, tag)
    _, rec = p.run(["--wall-time=150ms"], ["/bin/sh", "-c", "%s stop 7000 & %s stop 7000 & wait" % (s.bomb, s.bomb), tag])
    assert rec["end"] == "wall-time", rec
    gone(s, p, tag)


def forking(s, p):
    """A storm of forks at the moment of the end."""
    tag = "storm%d" % os.getpid()
    for opts in (["--wall-time=200ms"], ["--cpu-time=150ms"]):
        _, rec = p.run([*opts, "--pids=40"], ["storm", 3000, tag])
        assert rec["end"] in ("wall-time", "cpu-time"), rec
        gone(s, p, tag)
        assert not cgroups(s, p), cgroups(s, p)


def wait_gone(s, p, tag):
    gone(s, p, tag)
    # A launcher that was killed can't remove its cgroup; the next run does.
    _, rec = p.run([], ["exit", 0])
    assert rec["end"] == "exited" and not cgroups(s, p), cgroups(s, p)


def launcher_killed(s, p):
    """SIGKILL of the launcher while the program runs."""
    for i, cmd in enumerate((["ignore", 6000], ["daemon", 6000], ["storm", 3000])):
        tag = "lk%d-%d" % (os.getpid(), i)
        proc = p.start(["--pids=40"], [*cmd, tag])
        assert wait_until(lambda: len(with_tag(tag)) > 1, 10), "it didn't start"
        time.sleep(0.05)
        os.kill(proc.pid, signal.SIGKILL)
        proc.communicate(timeout=10)
        wait_gone(s, p, tag)


def launcher_killed_any_time(s, p):
    """The same at random moments of set-up and end."""
    dice = random.Random(4)
    for i in range(40 if s.full else 8):
        tag = "any%d-%d" % (os.getpid(), i)
        proc = p.start(["--pids=40"], ["sleep", 40, tag])
        time.sleep(dice.uniform(0, 0.25))
        os.kill(proc.pid, signal.SIGKILL)
        proc.communicate(timeout=10)
        gone(s, p, tag)
    wait_gone(s, p, "any%d-" % os.getpid())


def launcher_ended(s, p):
    """TERM for the launcher goes to the program; a program that is deaf is ended by its limits."""
    tag = "term%d" % os.getpid()
    proc = p.start([], ["onterm", 6000, tag])
    # The handler is there once the program sleeps in it.
    inner = lambda: [i for i in with_tag(tag) if open("/proc/%d/cmdline" % i).read().startswith(s.bomb) and
                     int(next(x for x in open("/proc/%d/status" % i) if x.startswith("SigCgt")).split()[1], 16) & (1 << 14)]
    assert wait_until(inner, 10), "it didn't start"
    proc.terminate()
    r, rec = p.finish(proc)
    assert rec["end"] == "exited" and rec["exit_code"] == 7 and r.out == "term\n", r


def output_held(s, p):
    """A child that keeps the output open, in the sandbox, doesn't hold the end up."""
    began = time.monotonic()
    r, rec = p.run([], ["/bin/sh", "-c", "%s sleep 7000 & echo out; exit 4" % s.bomb])
    assert r.out == "out\n" and rec["exit_code"] == 4 and time.monotonic() - began < 6, r


def foreign_cgroup(s, p):
    """Only what is ours and dead is swept: another's directory, and a living run's, stay."""
    if not p.exact:
        raise Skip("there is no cgroup")
    name = os.environ[NAME]
    where = "/sys/fs/cgroup/memory/%s%s" % (name, "" if p.caller.root else "/user")
    other = os.path.join(where, "other")
    os.mkdir(other)
    tag = "alive%d" % os.getpid()
    proc = p.start([], ["sleep", 1500, tag])
    try:
        assert wait_until(lambda: len(with_tag(tag)) > 1 and cgroups(s, p), 10), "it didn't start"
        alive = set(cgroups(s, p))
        _, rec = p.run([], ["exit", 0])
        assert rec["end"] == "exited" and set(cgroups(s, p)) == alive and os.path.isdir(other), (alive, cgroups(s, p))
        r, rec = p.finish(proc)
        assert rec["end"] == "exited" and not cgroups(s, p), r
    finally:
        os.rmdir(other)


CASES = [daemons, stopped_and_traced, forking, launcher_killed, launcher_killed_any_time, launcher_ended, output_held, foreign_cgroup]


def cases(s, p):
    for f in CASES:
        p.case("leftovers: %s" % f.__name__.replace("_", " "), f)
