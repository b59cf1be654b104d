#!/usr/bin/env python3
"""A judge's day: compiles submissions under limits, runs each on the inputs of its problem, and says what became of it.

usage: judge.py [--hutch PATH] [--cgroup-parent CGROUP] [--records DIR] [PROBLEM[/SUBMISSION]…]
       judge.py --spread N [--cpu K]      the same program N times on the same input: how far the measured times differ
Works as root and as an ordinary user. Limits of the whole run need a cgroup: the caller's own where it is delegated,
or the one named; without one hutch's stand-ins hold, and the first line says so.
"""
import argparse
import json
import os
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = {
    "signalled": "runtime signal", "wall-time": "wall limit", "cpu-time": "time limit", "memory": "memory limit", "pids": "processes",
    "output": "output limit", "file-size": "file size", "disk": "disk", "syscall-denied": "forbidden call",
}
PROGRAM_MOST = 32 << 20     # bytes of a compiled program


class JudgeError(Exception):
    """Not the submission's fault."""


class Judge:
    def __init__(self, hutch, parent, records, cpu):
        self.hutch, self.cpu = hutch, cpu
        self.top = tempfile.mkdtemp(prefix="judge-")
        self.records = records or self.top
        self.parent = ["--cgroup-parent", parent] if parent else []
        self.count = 0
        self.means = self.find_means()

    def done(self):
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, options, command, stdin=None):
        """One sandboxed run -> its record. What it prints goes to files that only we can reach."""
        self.count += 1
        record = os.path.join(self.records, "%04d.json" % self.count)
        pin = (lambda: os.sched_setaffinity(0, {self.cpu})) if self.cpu is not None else None
        p = subprocess.run([self.hutch, "run", *self.parent, "--report", record, *options, "--", *command], stdin=stdin or subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=pin)
        try:
            with open(record) as f:
                found = json.load(f)
        except (OSError, ValueError):
            raise JudgeError(p.stderr.strip())
        if found["end"] in ("setup-failed", "killed"):
            raise JudgeError(p.stderr.strip())
        return found

    def find_means(self):
        """What holds the limits here: asked of the record of a run, not guessed."""
        rows = {r["what"]: r for r in self.run(["--preset", "judge"], ["true"])["effective"]}
        weaker = [n for n in ("memory", "pids", "cpu-time") if rows[n]["state"] != "enforced"]
        self.prefer = ["--limits", "prefer"] if weaker else []
        if not weaker:
            return "limits: by cgroup (%s)" % ", ".join(rows[n]["means"] for n in ("memory", "pids", "cpu-time"))
        return "limits: stand-ins for %s, approximate (%s)" % (", ".join(weaker), rows[weaker[0]]["why"])

    # ---- compiling ----
    def compile(self, source, out):
        """C -> a program of ours at out; None and what the compiler said where it is no good."""
        box = tempfile.mkdtemp(dir=self.top)
        said = os.path.join(self.top, "compiler")
        record = self.run(["--preset", "judge", *self.prefer, "--on-denied", "errno", "--memory", "512M", "--pids", "32", "--cpu-time", "10s",
                           "--wall-time", "30s", "--rlimit-fsize", str(PROGRAM_MOST), "--tmp-size", "64M", "--ro", source + ":/box/main.c",
                           "--rw", box + ":/box/out", "--stdout", said, "--stderr", said],
                          ["cc", "-O2", "-o", "/box/out/main", "/box/main.c", "-lm"])
        with open(said, errors="replace") as f:
            text = f.read(4000)
        if record["end"] != "exited" or record["exit_code"]:
            return False, text
        return self.take(os.path.join(box, "main"), out), text

    def take(self, made, out):
        """The compiler is a program like any other: what it left may be a link, a pipe, or endless."""
        fd = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as f:
            s = os.fstat(f.fileno())
            if not stat.S_ISREG(s.st_mode) or s.st_size > PROGRAM_MOST:
                return False
            with open(out, "wb") as g:
                shutil.copyfileobj(f, g)
        os.chmod(out, 0o755)
        return True

    # ---- judging ----
    def prepare(self, source):
        """-> options and command of a run, None = it doesn't compile."""
        if source.endswith(".py"):
            return ["--ro", source + ":/box/main.py"], ["python3", "/box/main.py"]
        program = os.path.join(self.top, "program")
        good, _ = self.compile(source, program)
        return (["--ro", program + ":/box/main"], ["/box/main"]) if good else None

    def test(self, problem, prepared, number):
        """One input -> (verdict, record)."""
        options, command = prepared
        folder = os.path.join(HERE, "problems", problem)
        out = os.path.join(self.top, "output")
        with open(os.path.join(folder, "tests", number + ".in")) as f:
            record = self.run(["--policy", os.path.join(folder, "limits.hutch"), *self.prefer, "--stdout", out, *options], command, stdin=f)
        return self.verdict(record, out, os.path.join(folder, "tests", number + ".out")), record

    def verdict(self, record, out, expected):
        if record["end"] != "exited":
            return WORDS[record["end"]]
        if record["exit_code"]:
            return "wrong exit"
        with open(out, "rb") as a, open(expected, "rb") as b:
            return "accepted" if a.read().split() == b.read().split() else "wrong answer"

    def submission(self, problem, source):
        """-> (verdict, the records up to it). The first test that fails decides."""
        prepared = self.prepare(source)
        records = []
        if not prepared:
            return "compile error", records
        for name in sorted(os.listdir(os.path.join(HERE, "problems", problem, "tests"))):
            if not name.endswith(".in"):
                continue
            verdict, record = self.test(problem, prepared, name[:-3])
            records.append(record)
            if verdict != "accepted":
                return verdict, records
        return "accepted", records


def expected(source):
    with open(source) as f:
        return f.readline().partition("expect:")[2].replace("*/", "").strip()


def detail(record):
    if record["end"] == "syscall-denied":
        return record["denied"]["name"]
    return "signal %d" % record["signal"] if record["end"] == "signalled" else ""


def day(judge, wanted):
    print(judge.means)
    print("%-26s %-15s %5s %8s %8s %9s  %s" % ("submission", "verdict", "tests", "cpu ms", "wall ms", "memory K", ""))
    wrong = 0
    for problem in sorted(os.listdir(os.path.join(HERE, "submissions"))):
        folder = os.path.join(HERE, "submissions", problem)
        for name in sorted(os.listdir(folder)):
            full = "%s/%s" % (problem, name)
            if wanted and not any(full.startswith(w) for w in wanted):
                continue
            verdict, records = judge.submission(problem, os.path.join(folder, name))
            want = expected(os.path.join(folder, name))
            wrong += verdict != want
            cpu = max([r["limits"]["cpu_us"]["used"] for r in records], default=0)
            wall = max([r["wall_us"] for r in records], default=0)
            memory = max([r["limits"]["memory"]["used"] or 0 for r in records], default=0)
            note = detail(records[-1]) if records else ""
            if verdict != want:
                note += " EXPECTED %s" % want
            print(("%-26s %-15s %5d %8.1f %8.1f %9d  %s" % (full, verdict, len(records), cpu / 1000, wall / 1000, memory >> 10, note)).rstrip(), flush=True)
    print("all as expected" if not wrong else "%d NOT as expected" % wrong)
    return 1 if wrong else 0


def outside(judge, program, problem, number):
    """The same without a sandbox, for comparison (the program is our own): processor time in milliseconds."""
    with open(os.path.join(HERE, "problems", problem, "tests", number + ".in")) as f:
        pin = (lambda: os.sched_setaffinity(0, {judge.cpu})) if judge.cpu is not None else None
        p = subprocess.Popen([program], stdin=f, stdout=subprocess.DEVNULL, preexec_fn=pin)
    _, _, used = os.wait4(p.pid, 0)
    p.returncode = 0
    return (used.ru_utime + used.ru_stime) * 1000


def spread(judge, runs):
    """CPU time and peak memory of equal runs. "whole" is what the limit counts, every process but set-up; "program" is
    the program and the children that it waited for; "outside" the same program without a sandbox."""
    print(judge.means)
    prepared = judge.prepare(os.path.join(HERE, "submissions/primes/right.c"))
    times, own, bare, walls, peaks = [], [], [], [], []
    for _ in range(runs):
        verdict, r = judge.test("primes", prepared, "2")
        if verdict != "accepted":
            raise JudgeError("a run of a right program: %s" % verdict)
        times.append(r["limits"]["cpu_us"]["used"] / 1000)
        bare.append(outside(judge, os.path.join(judge.top, "program"), "primes", "2"))
        own.append((r["user_us"] + r["system_us"]) / 1000)
        walls.append(r["wall_us"] / 1000)
        peaks.append((r["limits"]["memory"]["used"] or 0) >> 10)
    for name, unit, xs in (("cpu, whole", "ms", times), ("cpu, program", "ms", own), ("cpu, outside", "ms", bare), ("wall", "ms", walls), ("memory peak", "KiB", peaks)):
        mean = statistics.fmean(xs)
        middle = sorted(xs)[len(xs) // 10:len(xs) - len(xs) // 10]
        print("%-12s %d runs: median %.2f %s, least %.2f, most %.2f, nine of ten up to %.2f, standard deviation %.1f %% of the mean" % (
            name, runs, statistics.median(xs), unit, min(xs), max(xs), middle[-1], 100 * statistics.pstdev(xs) / mean if mean else 0))
    return 0


def main():
    a = argparse.ArgumentParser(description="A judge's day with hutch.")
    a.add_argument("--hutch", default=shutil.which("hutch") or os.path.join(HERE, "../../build/hutch"))
    a.add_argument("--cgroup-parent")
    a.add_argument("--records", help="keep the record of each run in this directory")
    a.add_argument("--spread", type=int, metavar="N")
    a.add_argument("--cpu", type=int, metavar="K", help="run everything on processor K")
    a.add_argument("wanted", nargs="*", metavar="PROBLEM[/SUBMISSION]")
    o = a.parse_args()
    judge = None
    try:
        judge = Judge(o.hutch, o.cgroup_parent, o.records, o.cpu)
        return spread(judge, o.spread) if o.spread else day(judge, o.wanted)
    except JudgeError as e:
        print("judge: %s" % e, file=sys.stderr)
        return 2
    finally:
        if judge:
            judge.done()


sys.exit(main())
