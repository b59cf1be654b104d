"""What is done to a run from outside: signals, freezing, limits, numbers.
Runs in: the test process."""
import json
import os
import re
import time

from harness import wait_until, with_tag
from runs import PURE_V2, Started, alive, counter, entry_file, listed, tool

SLEEP = ["sleep", "60"]
HOLD = "import sys,signal,time\nx=bytearray(%d<<20)\nfor i in range(0,len(x),4096): x[i]=1\nprint('ready',flush=True)\ntime.sleep(60)"


def moves(value, seconds=0.25):
    before = value()
    time.sleep(seconds)
    return value() != before


def term(s, c):
    """TERM and others reach the program, and only the program of that run."""
    trap = "trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    with Started(s, c, [], ["sh", "-c", trap], name="a") as a, Started(s, c, [], SLEEP, name="b") as b:
        assert a.p.stdout.readline() == b"ready\n"
        tool(s, c, "kill", "a", "USR1")
        assert a.p.stdout.readline() == b"usr1\n"
        tool(s, c, "kill", "a", "-SIGUSR1")
        assert a.p.stdout.readline() == b"usr1\n"
        tool(s, c, "kill", a.id)
        assert a.p.stdout.readline() == b"term\n" and a.wait() == 7
        assert b.p.poll() is None and b.now()["state"] == "running", "another run was hit"
        for word, status, text in (("STOP", 125, "E0876"), ("34", 125, "E0876"), ("NONE", 2, "usage"), ("0", 2, "usage")):
            r = tool(s, c, "kill", "b", word, expect=status)
            assert text in r.err, r
        assert b.p.poll() is None
    assert "E0874" in tool(s, c, "kill", "a", expect=125).err


def kill(s, c):
    """KILL ends all of it, what left the program's own tree too, and nothing else."""
    tag = "tag-%d-%d" % (os.getpid(), time.monotonic_ns())
    code = "(setsid sleep 61.%s &) ; sleep 62 & trap '' TERM; echo ready; wait" % "5"
    opts = ["--env=TAG=" + tag]
    with Started(s, c, opts, ["sh", "-c", code], name="a") as a, Started(s, c, [], SLEEP, name="b") as b:
        assert a.p.stdout.readline() == b"ready\n"
        assert wait_until(lambda: len(with_tag("TAG=" + tag)) >= 3), "control: its processes are seen"
        tool(s, c, "kill", "a", "KILL")
        assert a.wait() == 137
        assert wait_until(lambda: not [p for p in with_tag("TAG=" + tag) if p != a.p.pid]), with_tag("TAG=" + tag)
        assert b.p.poll() is None and alive(b.pid)


def kill_hostpid(s, c):
    """Without a pid namespace every orphan comes back to our init, and is found below it."""
    tag = "tag-%d-%d" % (os.getpid(), time.monotonic_ns())
    code = "(setsid sleep 61 &) ; sleep 62 & echo ready; wait"
    with Started(s, c, ["--pidns=host", "--proc=bind", "--env=TAG=" + tag], ["sh", "-c", code], name="h") as h:
        assert h.p.stdout.readline() == b"ready\n"
        assert wait_until(lambda: len(with_tag("TAG=" + tag)) >= 3), "control: its processes are seen"
        tool(s, c, "kill", "h", "KILL")
        assert h.wait() == 137
        assert wait_until(lambda: not [p for p in with_tag("TAG=" + tag) if p != h.p.pid]), with_tag("TAG=" + tag)


def stopped(s, c):
    # With a limit of time the launcher doesn't stop too, and so nobody continues it here.
    with Started(s, c, ["--wall-time=60"], ["sh", "-c", "kill -STOP $$; sleep 60"], name="s") as r:
        assert wait_until(lambda: (r.now() or {}).get("state") == "stopped"), r.now()


def numbers(s, c):
    """Without a cgroup the processes are added up, and it says so."""
    with Started(s, c, ["--cgroup=no"], ["python3", "-c", HOLD % 60], name="n") as r:
        assert r.p.stdout.readline() == b"ready\n"
        n = json.loads(tool(s, c, "stats", "n", "--json").out)
        assert n["source"] == {"cpu_us": "processes", "memory": "processes", "tasks": "processes"}, n
        assert n["pressure"] == {"cpu": None, "memory": None, "io": None}, "nobody measures it: %s" % n
        assert 60 << 20 < n["memory"] < 120 << 20 and n["tasks"] == 2 and n["memory_limit"] is None, n
        text = tool(s, c, "stats", "n").out
        assert text.count("the processes added up") == 3, text
        for words in (("freeze", "n"), ("thaw", "n"), ("update", "n", "memory=64M")):
            e = tool(s, c, *words, expect=125).err
            assert "E0877" in e and "--cgroup=yes" in e, e
    assert "E0874" in tool(s, c, "stats", "n", expect=125).err


def watch(s, c):
    with Started(s, c, [], ["sleep", "1.5"], name="w"):
        r = tool(s, c, "stats", "w", "--watch", "--json")
        lines = [json.loads(l) for l in r.out.splitlines()]
        assert 1 <= len(lines) <= 4 and all(l["name"] == "w" for l in lines), r
    with Started(s, c, [], ["sleep", "1.5"], name="w"):
        r = tool(s, c, "stats", "w", "--watch")
        assert r.out.count("NAME") == 1 and 2 <= len(r.out.splitlines()) <= 5, r


def usage(s, c):
    for words in (("ps", "x"), ("stats",), ("stats", "-x"), ("kill",), ("kill", "a", "b", "c"), ("freeze",), ("thaw", "a", "b"), ("update", "a"), ("update", "a", "x")):
        assert "usage: hutch" in tool(s, c, *words, expect=2).err, words
    for word in ("ps", "stats", "kill", "freeze", "thaw", "update"):
        assert "usage: hutch" in tool(s, c, word, "--help").out
        assert ("hutch " + word) in tool(s, c, "help", word).out


# ---- with a cgroup ----
def freeze(s, c):
    opts, cmd, value = counter(s, c)
    with Started(s, c, opts + s.cgroups.options(c), cmd, name="f") as r:
        assert wait_until(lambda: value() > 2), "control: it counts"
        assert moves(value)
        tool(s, c, "freeze", "f")
        assert not moves(value, 0.5), "frozen, and it counts on"
        assert r.now()["state"] == "frozen" and "frozen" in tool(s, c, "ps").out
        tool(s, c, "freeze", "f")
        tool(s, c, "thaw", "f")
        assert wait_until(lambda: moves(value)), "thawed, and it doesn't count"
        assert r.now()["state"] == "running"
        tool(s, c, "freeze", "f")
        tool(s, c, "kill", "f", "KILL")
        assert r.wait(5) == 137, "a frozen run can be ended"


def freeze_time(s, c):
    """The launcher's own limits hold for a frozen run, and a frozen run ends with its launcher's end, at the next look."""
    with Started(s, c, ["--wall-time=1s"] + s.cgroups.options(c), SLEEP, name="t") as r:
        tool(s, c, "freeze", "t")
        assert r.wait(6) == 137


def freeze_left(s, c):
    """The launcher of a frozen run is killed: the next run, or the next look at the list, leaves nothing of it."""
    ways = (([], lambda opts: listed(s, c)),
            ([], lambda opts: s.run(c, ["--name=t"], ["true"])),                      # by the list: the same name again
            ([], lambda opts: s.run(c, [], ["true"])),
            (["--pidns=host", "--proc=bind"], lambda opts: s.run(c, [], ["true"])),
            ([], lambda opts: os.unlink(entry_file(c, "t")) or s.run(c, opts, ["true"])))   # by the cgroup alone
    for i, (more, then) in enumerate(ways):
        opts, tag = s.cgroups.options(c), "tag-%d-%d" % (os.getpid(), time.monotonic_ns())
        if PURE_V2 and not c.root and i == 4:
            continue      # a scope has no parent that a later run would look into; systemd removes it
        with Started(s, c, [*opts, *more, "--env=TAG=" + tag], ["sh", "-c", "sleep 60 & sleep 61"], name="t") as r:
            assert wait_until(lambda: len(with_tag("TAG=" + tag)) >= 3), "control: its processes are seen"
            tool(s, c, "freeze", "t")
            r.p.kill()
            r.p.wait()
            time.sleep(0.2)
            if not PURE_V2:      # there it dies at once
                assert alive(r.pid) and len(with_tag("TAG=" + tag)) >= 2, "control: what stands still can't follow"
                assert s.cgroups.left(), "control: its cgroups are seen"
            then(opts)
            assert wait_until(lambda: not alive(r.pid) and not with_tag("TAG=" + tag)), (i, "it stands still for ever")
            # The last who look may be a moment earlier than the kernel.
            assert wait_until(lambda: not s.cgroups.left()), (i, s.cgroups.left())
            assert not os.path.exists(entry_file(c, "t")), "its entry is still there"


FORKS = """
import os, time
while True:
    try:
        kids = []
        for _ in range(6):
            pid = os.fork()
            if not pid:
                time.sleep(5)
                os._exit(0)
            kids.append(pid)
        word = 'all'
    except OSError:
        word = 'few'
    for pid in kids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    print(word, flush=True)
    time.sleep(0.05)
"""


def next_word(r, word):
    for _ in range(200):
        if r.p.stdout.readline().decode().strip() == word:
            return True
    return False


def update_pids(s, c):
    with Started(s, c, s.cgroups.options(c), ["python3", "-c", FORKS], name="u") as r:
        assert next_word(r, "all")
        tool(s, c, "update", "u", "pids=4")
        assert next_word(r, "few"), "the limit doesn't bind"
        assert r.now()["tasks_limit"] == 5, r.now()       # and our init
        tool(s, c, "update", "u", "--pids=40", "cpus=0.5")
        assert next_word(r, "all")


def cgroup_file(s, controller, name):
    for path in s.cgroups.made:
        if path.startswith("/sys/fs/cgroup/%s/" % controller):
            for below in os.listdir(path):
                if os.path.isdir(os.path.join(path, below)):
                    with open(os.path.join(path, below, name)) as f:
                        return f.read().strip()
    raise AssertionError("no cgroup of the run in " + controller)


def update_memory(s, c):
    grow = "import signal,time\ndef g(*_):\n    x=bytearray(100<<20)\n    for i in range(0,len(x),4096): x[i]=1\n    print('got',flush=True)\nsignal.signal(signal.SIGUSR1,g)\nprint('ready',flush=True)\nwhile True: time.sleep(0.1)"
    report = os.path.join(s.scratch, "report")
    with Started(s, c, ["--memory=300M", "--report", report] + s.cgroups.options(c), ["python3", "-c", grow], name="m") as r:
        assert r.p.stdout.readline() == b"ready\n"
        assert r.now()["memory_limit"] == 300 << 20 and r.now()["source"]["memory"] == "cgroup"
        tool(s, c, "kill", "m", "USR1")
        assert r.p.stdout.readline() == b"got\n", "control: within the limit it gets the memory"
        tool(s, c, "update", "m", "memory=400M")
        assert r.now()["memory_limit"] == 400 << 20
        if os.path.exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"):
            assert cgroup_file(s, "memory", "memory.memsw.limit_in_bytes") == str(400 << 20), "swap came with it"
        tool(s, c, "update", "m", "memory=40M")
        assert r.now()["memory_limit"] == 40 << 20
        tool(s, c, "kill", "m", "USR1")
        assert r.wait() == 137
    with open(report) as f:
        assert json.load(f)["end"] == "memory"


def update_wrong(s, c):
    with Started(s, c, s.cgroups.options(c), SLEEP, name="w") as r:
        for word, code in (("memory=1", "E0101"), ("pids=x", "E0101"), ("wall-time=5", "E0880"), ("ro=/", "E0880"), ("nothing=1", "E0100"),
                           ("cgroup-set=hugetlb.2MB.max=0", "E0877"), *(() if PURE_V2 else (("cpuset-cpus=0", "E0877"), ("memory-high=5M", "E0877")))):
            e = tool(s, c, "update", "w", word, expect=125).err
            assert code in e, (word, e)
        assert r.now()["tasks_limit"] is None, "a refused update changed something"


def cgroup_lie(s, c):
    """An entry that names another run's cgroup, or one that isn't ours: nothing is written there."""
    with Started(s, c, s.cgroups.options(c), SLEEP, name="a") as a, Started(s, c, s.cgroups.options(c), SLEEP, name="b") as b:
        line, state, kind = ("^cgroup2 .*$", "cgroup.freeze", "cgroup2") if PURE_V2 else ("^cgroup1 .*/freezer/.*$", "freezer.state", "cgroup1")
        with open(entry_file(c, "b")) as f:
            theirs = re.findall(line, f.read(), re.M)[0]
        path = entry_file(c, "a")
        with open(path) as f:
            true = f.read()
        aside = os.path.join(s.scratch, "hutch-fake")
        os.mkdir(aside)
        with open(os.path.join(aside, state), "w") as f:
            f.write("untouched")
        top = theirs.rsplit("/", 1)[0]
        for lie in (theirs, top, kind + " " + aside, "cgroup1 /sys/fs/cgroup/freezer", "cgroup2 /sys/fs/cgroup" + ("" if PURE_V2 else "/unified")):
            with open(path, "r+") as f:
                f.truncate(0)
                f.write(re.sub(line, lie, true, flags=re.M))
            assert "E0877" in tool(s, c, "freeze", "a", expect=125).err, lie
            assert b.now()["state"] == "running" and a.now()["state"] == "running", lie
        with open(os.path.join(aside, state)) as f:
            assert f.read() == "untouched"
        with open(path, "r+") as f:
            f.truncate(0)
            f.write(true)
        tool(s, c, "freeze", "a")
        assert a.now()["state"] == "frozen" and b.now()["state"] == "running", "control: the true entry works"
        tool(s, c, "thaw", "a")


def cases(s, c, who):
    for f in (term, kill, kill_hostpid, stopped, numbers, watch, usage, freeze, freeze_time, freeze_left, update_pids, update_memory, update_wrong, cgroup_lie):
        s.case("%s/%s" % (who, f.__name__), f, s, c)
