"""Rows of groups J, K (and G07, G14): use of the machine, and what a judge relies on.

Each probe has a bound of its own: where nothing stops it, it ends, and that is the ESCAPED. The verdict is read from
the record that hutch writes and from the host, the probe's own word is only one of three.
Runs in: the test process.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import cgroups
import harness
from engine import Custom


PRIVATE = ["root", "user"]      # without namespaces there are no private file systems and clocks, and hutch refuses these keys


def place(e, caller):
    """Options and preexec that give the caller a cgroup; without one the stand-ins."""
    name = os.environ.get(cgroups.NAME)
    if not name:
        return ["--limits=prefer"], None
    if caller.root:
        return ["--cgroup-parent=/" + name], None
    cgroups.give(name, caller.uid, caller.gid)
    return [], lambda: cgroups.join(name)


def without(limits, opts):
    """The mutation: ["without", OPTION…] takes limits away."""
    if "without" not in opts:
        return [*limits, *opts]
    at = opts.index("without")
    return [*[x for x in limits if x not in opts[at + 1:]], *opts[:at]]


def execute(e, caller, opts, words, hutch, limits=(), stdin=None, prepare=None):
    """-> (record or None, text, status, work directory)"""
    w = e.work(caller)
    if prepare:
        prepare(w)
    more, before = place(e, caller)
    report = os.path.join(e.s.base, "record.json")
    tag = "limit%d-%s" % (e.count, e.canaries.tag)
    words = [x.replace("{W}", w) for x in words]
    argv = words if words[0].startswith("/") else [e.probe, *words]
    if hutch:
        held = os.path.join(e.s.base, "records-" + caller.name)
        os.makedirs(held, exist_ok=True)
        os.chown(held, caller.uid, caller.gid)
        report = os.path.join(held, "%d.json" % e.count)
        argv = [e.s.hutch, "run", "--report=" + report, "--cwd-access=none", "--ro=" + e.bin, "--rw=" + w, "--env=LIFE=" + tag, *more,
                *[x.replace("{W}", w) for x in without(list(limits), list(opts))], "--", *argv]
    extra = caller.popen_args()
    if hutch and before:
        extra["preexec_fn"] = before
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=w,
                         env=dict(caller.environ(), LIFE=tag), start_new_session=True, **extra)
    try:
        out, err = p.communicate(timeout=25)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.communicate()
        raise RuntimeError("out of time")
    if not harness.wait_until(lambda: not (e.s.reap() or harness.with_tag(tag)), 2.0) and hutch:
        for pid in harness.with_tag(tag):
            os.kill(pid, signal.SIGKILL)
        return None, "processes live on", -1, w
    text = (out[-4000:] + err[-4000:]).decode(errors="replace")
    record = json.load(open(report)) if hutch else None
    return record, text, harness.status_of(p.returncode), w


def bomb(words, limits, ends, oracle=None):
    """The probe goes to its own bound (ESCAPED), or ends with one of these words."""
    def function(e, caller, opts, hutch=True):
        record, text, status, w = execute(e, caller, opts, words, hutch, limits)
        said = re.search(r"^(ESCAPED|HELD|ERROR) ?(.*)", text, re.M)
        if record is None and hutch:
            return "ESCAPED", text
        if record and record["end"] == "setup-failed":
            return "ERROR", "%(step)s %(subject)s: %(detail)s" % record
        if said and said.group(1) == "ESCAPED":
            return "ESCAPED", said.group(2)
        if not hutch:
            return "HELD", "status %d: %s" % (status, text[-200:])
        if oracle and (wrong := oracle(e, record, w)):
            return "ESCAPED", wrong
        if record["end"] not in ends:
            return "ERROR", "ended with %s (status %d) instead of %s: %s" % (record["end"], status, "/".join(ends), text[-200:])
        return "HELD", "ended with %s; %s" % (record["end"], said.group(2) if said else "no word")
    return function


def flood(e, caller, opts, hutch=True):
    p, before = place(e, caller)
    w = e.work(caller)
    target = os.path.join(w, "out")
    if hutch:
        argv = [e.s.hutch, "run", "--cwd-access=none", "--ro=" + e.bin, *p, *without(["--output-max=64K"], opts), "--stdout=" + target, "--", e.probe, "output", "8"]
        kw = dict(stdout=subprocess.DEVNULL, preexec_fn=before)
    else:
        argv, kw = [e.probe, "output", "8"], dict(stdout=open(target, "wb"))
    r = subprocess.run(argv, stderr=subprocess.PIPE, cwd=w, env=caller.environ(), timeout=25, **kw, **caller.popen_args())
    size = os.path.getsize(target)
    os.unlink(target)
    return ("ESCAPED", "%d bytes" % size) if size > 65536 else ("HELD", "%d bytes, status %d" % (size, r.returncode))


def segments():
    with open("/proc/sysvipc/shm") as f:
        return {line.split()[0]: line.split()[1] for line in f.readlines()[1:]}


def left_segment(e, caller, opts, hutch=True):
    key = e.canaries.key + 1
    execute(e, caller, opts, ["leaveshm", str(key)], hutch)
    if str(key) not in segments():
        return "HELD", "no segment of that key"
    code = "import ctypes\nl=ctypes.CDLL(None)\nl.shmctl(l.shmget(%d,0,0),0,None)" % key
    subprocess.run(["/usr/bin/python3", "-c", code], **caller.popen_args())
    return "ESCAPED", "the segment is on the host"


def left_file(where):
    """Two runs after each other: what the first left, the second sees."""
    def function(e, caller, opts, hutch=True):
        path = "%s/left-%d-%s" % (where, e.count, e.canaries.tag)
        execute(e, caller, opts, ["leavefile", path], hutch)
        _, text, _, _ = execute(e, caller, opts, ["seefile", path], hutch)
        if os.path.exists(path):
            os.unlink(path)
        return ("ESCAPED" if "ESCAPED" in text else "HELD" if "HELD" in text else "ERROR"), text.strip()[:200]
    return function


def cache(e, caller, opts, hutch=True):
    """What a run writes to a shown directory is charged to it: no more memory than its limit, dirty or not."""
    if not os.environ.get(cgroups.NAME):
        return "VACUOUS", "no cgroup here"
    limits = ["--cgroup=yes", "--memory=24M"]
    record, text, _, _ = execute(e, caller, opts, ["bigfile", "{W}/big", "64"], True, limits)
    peak = record["memory_peak"]
    return ("ESCAPED" if peak > 26 << 20 else "HELD"), "64 MiB written, memory peak %d KiB: %s" % (peak >> 10, text.strip()[:80])


def peak(e, caller, opts, hutch=True):
    """The verdict is a number here: taken and given back must show."""
    record, text, _, _ = execute(e, caller, opts, ["touch", "48"], True, ["--memory=128M"])
    seen = record["memory_peak"] or 0
    return ("HELD" if seen >= 48 << 20 else "ESCAPED"), "the record says %d KiB" % (seen >> 10)


def clock(e, caller, opts, hutch=True):
    """A run in which clocks lie takes as long as it takes outside."""
    record, text, _, _ = execute(e, caller, opts, ["wall", "1500", "sleep"], True, ["--wall-time=300ms", "--time-monotonic=-%d" % min(1000, time.monotonic() / 2), "--env=FAKETIME=-10d"])
    return ("HELD" if record["end"] == "wall-time" and record["wall_us"] >= 300000 else "ESCAPED"), "%s after %d us" % (record["end"], record["wall_us"])


def collect(kind):
    """An earlier run leaves a link, or a pipe, under the name that the next run's output goes to."""
    def function(e, caller, opts, hutch=True):
        w = e.work(caller)
        victim = os.path.join(e.canaries.dir, "secret")
        path = os.path.join(w, "out")
        os.symlink(victim, path) if kind == "link" else os.mkfifo(path)
        os.lchown(path, e.user.uid, e.user.gid)
        p, before = place(e, caller)
        for option in ("--stdout=", "--report="):
            if not hutch:           # as a shell would
                r = subprocess.run(["timeout", "2", "/bin/sh", "-c", "echo x > '%s'" % path], env=e.user.environ(), **e.user.popen_args())
                hit = r.returncode == 124 if kind == "pipe" else open(victim).read() == "x\n"
                e.canaries.restore()
                return ("ESCAPED", "the victim was hit, or the collector hangs") if hit else ("HELD", "status %d" % r.returncode)
            try:
                r = subprocess.run([e.s.hutch, "run", *p, "--cwd-access=none", "--ro=" + e.bin, *opts, option + path, "--", e.probe, "seefile", "/nothing"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=w, env=caller.environ(), timeout=10, preexec_fn=before, **caller.popen_args())
            except subprocess.TimeoutExpired:
                return "ESCAPED", "hutch waits for the pipe"
            if r.returncode != 125:
                return "ESCAPED", "%s status %d" % (option, r.returncode)
        return "HELD", "refused"
    return function


def compiler(e, caller, opts, hutch=True):
    """A source that has the compiler show a file of the host."""
    if not shutil.which("cc"):
        return "VACUOUS", "no compiler"

    def prepare(w):
        with open(os.path.join(w, "main.c"), "w") as f:
            f.write('#include "%s"\n__asm__(".incbin \\"%s\\"");\nint main(void) { return 0; }\n' % (e.canaries.secret, e.canaries.secret))
        os.chown(os.path.join(w, "main.c"), caller.uid, caller.gid)
    _, text, _, _ = execute(e, caller, opts, ["/usr/bin/cc", "-o", "{W}/main", "{W}/main.c"], hutch, prepare=prepare)
    return ("ESCAPED", "the compiler shows it") if "secret " + e.canaries.tag in text else ("HELD", text.strip()[:150])


def deep(e, caller, opts, hutch=True):
    record, text, _, _ = execute(e, caller, opts, ["deep", "/tmp"], True)
    left = [n for n in os.listdir("/tmp") if n.startswith("\n")]
    return ("ESCAPED", "left in /tmp") if left else ("HELD" if record["end"] == "exited" else "ERROR", text.strip()[:100])


def row(id, what, words, limits, ends, layer, mutate=None, never=None, **kw):
    f = bomb(words, limits, ends, kw.pop("oracle", None))
    return Custom(id, what, f, layer, control=lambda e: f(e, e.user, [], hutch=False), mutate=mutate or ["without", *limits], never=never, **kw)


def custom(id, what, f, layer, mutate, control=True, **kw):
    return Custom(id, what, f, layer, control=(lambda e: f(e, e.user, [], hutch=False)) if control else None, mutate=mutate, **kw)


def group_j():
    memory, view = "cgroup memory limit", "without a mount namespace there is no private file system"
    rows = [
        row("J01.forks", "a bomb of processes", ["forks", "60"], ["--pids=16"], ["pids"], "cgroup pids limit"),
        row("J02.threads", "a bomb of threads", ["threads", "60"], ["--pids=16"], ["pids"], "cgroup pids limit"),
        row("J04.tmpfs", "a private file system is filled", ["bigfile", "/tmp/probe-big", "40"], ["--tmp-size=8M"], ["disk"], "size of the tmpfs", modes=PRIVATE),
        row("J04.shm", "/dev/shm is filled", ["bigfile", "/dev/shm/probe-big", "40"], ["--tmp-size=8M"], ["disk"], "size of the tmpfs", modes=PRIVATE),
        row("J04.charged", "files in memory beyond the memory limit", ["bigfile", "/tmp/probe-big", "40"], ["--memory=24M"], ["memory"], memory, modes=PRIVATE),
        row("J15.inodes", "a private file system is filled with empty files", ["manyfiles", "/tmp", "1000"], ["--tmp-inodes=64"], ["disk"], "inodes of the tmpfs",
            modes=PRIVATE),
        row("J16.size", "one file grows", ["bigfile", "{W}/big", "16"], ["--rlimit-fsize=1M"], ["file-size"], "RLIMIT_FSIZE"),
        row("J18.processor", "all processors, in grandchildren that nobody waits for", ["processor", "4", "150"], ["--cpu-time=200ms"], ["cpu-time"],
            "the launcher, by the cgroup's count"),
        row("J19.files", "open files", ["fds", "1500", "files"], ["--rlimit-nofile=256"], ["exited"], "RLIMIT_NOFILE"),
        row("J08.flight", "sockets that travel in each other", ["fds", "1500", "flight"], ["--rlimit-nofile=256"], ["exited"], "RLIMIT_NOFILE counts them too"),
        custom("J17.output", "a flood of output", flood, "the launcher counts it", ["without", "--output-max=64K"]),
        custom("J06.sysv", "a System V segment outlives the run", left_segment, "ipc namespace", ["--ipcns=host"], never="there is no ipc namespace"),
        custom("J06.posix", "a file of /dev/shm outlives the run", left_file("/dev/shm"), "private file system", "any option that shows the host's /dev/shm", never=view),
        custom("J10.dirty", "dirty pages of a shown directory", cache, memory, ["without", "--memory=24M"], control=False, why="own check: the record's number"),
        custom("J20.deep", "2000 levels of names of newlines, closed, with a link to /", deep, "the private file system goes as a whole", "no option",
               control=False, why="own check: hutch cleans nothing up by name", never=view),
        Custom("J22.terminals", "pseudo terminals", bomb(["fds", "600", "terminals"], [], ["exited"]), "devpts of the run's own, at most 256",
               control=lambda e: bomb(["fds", "600", "terminals"], [], [])(e, e.user, [], hutch=False), mutate=["--dev=host"],
               never="without a mount namespace /dev is the host's"),
    ]
    for kind, what in (("private", "J03.memory: own memory"), ("shared", "J03.shared: shared memory"), ("memfd", "J05.memfd: files without a name"),
                       ("pipes", "J07.pipes: full pipes"), ("tables", "J09.tables: page tables")):
        id, _, text = what.partition(": ")
        amount = "24" if kind == "tables" else "48"
        rows.append(row(id, text, ["memory", amount, kind], ["--memory=24M"], ["memory", "exited"] if kind == "pipes" else ["memory"], memory,
                        oracle=lambda e, r, w: "memory peak %d" % r["memory_peak"] if (r["memory_peak"] or 0) > 26 << 20 else None))
    if not os.environ.get(cgroups.NAME):
        # Stand-ins see private and shared memory alone, and notice only what lasts.
        rows = [r for r in rows if r.id not in ("J04.charged", "J05.memfd", "J07.pipes", "J09.tables", "J03.shared")]
    return rows


def group_k():
    rows = [
        row("K01.grandchildren", "processor time of grandchildren that nobody waits for", ["processor", "1", "500"], ["--cpu-time=200ms"], ["cpu-time"],
            "the launcher, by the cgroup's count"),
        custom("K04.peak", "memory that is given back before the end", peak, "the kernel's high-water mark", "no option", control=False, why="own check: a number"),
        custom("K05.tmp", "a file in /tmp reaches the next run", left_file("/tmp"), "private file system", ["--rw=/tmp"], never="Landlock shows no /tmp"),
        custom("K07.compile", "the compiler shows a file of the host", compiler, "mount namespace", ["--ro=/srv"]),
        custom("K08.link", "a link in the place of the next run's output", collect("link"), "the last name isn't followed", "no option"),
        custom("K09.pipe", "a pipe without a reader in that place", collect("pipe"), "opened without waiting", "no option"),
        custom("K10.clock", "clocks inside that lie", clock, "the launcher's clock", "no option", control=False, why="own check: a number",
               modes=PRIVATE),
    ]
    for how, what in (("sleep", "K02.sleep"), ("read", "K02.read"), ("stop", "K03.stop"), ("deaf", "K03.deaf")):
        rows.append(row(what, "time by the clock: " + how, ["wall", "900", how], ["--wall-time=300ms"], ["wall-time"], "a timer of the launcher"))
    if os.environ.get(cgroups.NAME) and (os.cpu_count() or 1) > 1:
        rows.append(row("G14.affinity", "processors beyond the cpuset", ["affinity"], ["--cpuset-cpus=0"], ["exited"], "cpuset"))
    return rows


def rows(e):
    return group_j() + group_k()
