"""The numbers of the record: what was used, how near it came, what is unknown.
Runs in: the test process."""
import os

from harness import Skip


def processor(s, p):
    """Of equal work the record says about the same, and no less than what the program itself measured."""
    _, rec = p.run([], ["cpu", 120, "self"])
    used = rec["limits"]["cpu_us"]["used"]
    assert rec["end"] == "exited" and 110000 <= used <= 400000, rec["limits"]
    assert 110000 <= rec["user_us"] + rec["system_us"] <= used + 20000, rec
    # Set-up isn't the program's: the sums have it, the limit hasn't.
    assert 0 < rec["setup_cpu_us"] < 1000000, rec
    whole = rec["cgroup_cpu_us"] if p.exact else rec["tree_user_us"] + rec["tree_system_us"]
    assert used == whole - rec["setup_cpu_us"], rec
    assert rec["tree_user_us"] + rec["tree_system_us"] >= rec["user_us"] + rec["system_us"], rec
    assert (rec["cgroup_cpu_us"] is not None) == p.exact, rec
    assert rec["limits"]["cpu_us"]["hits"] == 0 and rec["limits"]["cpu_us"]["limit"] == 2000000, rec["limits"]
    assert rec["wall_us"] >= 110000, rec
    _, rec = p.run([], ["exit", 0])
    assert rec["limits"]["cpu_us"]["used"] <= 60000, "a program that does nothing: %s" % rec


def grandchildren(s, p):
    """Processor time of those that nobody waited for."""
    if not p.exact:
        raise Skip("without a cgroup only what is seen while it lives")
    for who in ("child", "orphan"):
        _, rec = p.run(["--cpu-time=5s"], ["cpu", 100, who])
        assert rec["end"] == "exited" and rec["limits"]["cpu_us"]["used"] >= 100000, (who, rec["limits"])
        assert rec["user_us"] + rec["system_us"] < 60000, (who, rec)


def peak(s, p):
    """Taken and given back: still in the record."""
    _, rec = p.run(["--memory=128M"], ["hold", 40, 150])
    m = rec["limits"]["memory"]
    assert rec["end"] == "exited" and 40 << 20 <= m["used"] <= 56 << 20 and m["limit"] == 128 << 20, m
    assert (m["hits"] == 0) == p.exact and rec["max_rss_kib"] >= 40 << 10, rec
    assert rec["minor_faults"] >= (40 << 20) // 4096 // 600, rec


def tasks(s, p):
    _, rec = p.run([], ["fork", 5, 120])
    assert rec["end"] == "exited" and rec["limits"]["pids"] == {"limit": 64, "used": 6, "hits": 0}, rec["limits"]
    assert rec["pids_peak"] == 6, rec


def pid_max(s, p):
    """Without a cgroup the pid namespace holds all user ids together, where its number is its own; the machine's number is
    what it was, on every kernel. A program that stays within its limit never meets it, however many it starts."""
    if p.exact:
        raise Skip("a cgroup counts")
    with open("/proc/sys/kernel/pid_max") as f:
        before = f.read()
    own = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 14)
    opts = ["--pids=9"]
    r, rec = p.run(opts, ["/bin/cat", "/proc/sys/kernel/pid_max"], preset=None)
    means = [row["means"] for row in rec["effective"] if row["what"] == "pids"][0]
    assert r.out == ("374\n" if own else before) and ("pid_max 374" in means) == own, (r, means)
    r, rec = p.run(opts, ["/bin/sh", "-c", "i=0; while [ $i -lt 500 ]; do (exit 0) || exit 3; i=$((i+1)); done; echo all"], preset=None)
    assert r.out == "all\n" and rec["end"] == "exited", r
    with open("/proc/sys/kernel/pid_max") as f:
        assert f.read() == before


def bytes_written(s, p):
    r, rec = p.run([], ["out", 1, 12345])
    assert rec["stdout_bytes"] == rec["limits"]["stdout"]["used"] == 12345 == len(r.out), rec
    assert rec["stderr_bytes"] == 0 and rec["limits"]["stdout"]["limit"] == 16 << 20, rec


def unknown(s, p):
    """What nobody counts is null, and a limit that wasn't set isn't there."""
    _, rec = p.run(["--cgroup=no"] if p.exact else [], ["exit", 0], preset=None)
    assert rec["limits"] == {}, rec["limits"]
    for name in ("cgroup_cpu_us", "memory_peak", "swap_peak", "pids_peak", "oom_kills", "throttled_us", "stdout_bytes", "stderr_bytes", "seen_cpu_us",
                 "cpu_pressure_us", "memory_pressure_us", "io_pressure_full_us"):
        assert rec[name] is None, (name, rec[name])


def throttled(s, p):
    if not p.exact:
        raise Skip("there is no stand-in for a share of a processor")
    _, rec = p.run(["--cpus=0.2"], ["cpu", 120, "self"])
    c = rec["limits"]["cpus_thousandths"]
    assert c["limit"] == 200 and c["hits"] >= 1 and c["hits"] == rec["throttled_periods"] and rec["throttled_us"] is not None, rec
    assert rec["wall_us"] >= 3 * 110000, "a fifth of a processor for 0.12 s of work took %d us" % rec["wall_us"]


def effective(s, p):
    """The table in the record is the one of explain, and calls a stand-in by its name."""
    _, rec = p.run([], ["exit", 0])
    rows = {r["what"]: r for r in rec["effective"]}
    want = "enforced" if p.exact else "weaker"
    assert [rows[n]["state"] for n in ("memory", "pids", "cpu-time")] == [want] * 3, rows
    assert rows["wall-time"]["state"] == rows["output-max"]["state"] == "enforced", rows
    assert p.exact or (rows["memory"]["why"] and rows["swap"]["state"] == "missing"), rows


def text_form(s, p):
    r = s.run(p.caller, ["--preset", "judge", "--report=-", *p.opts, "--ro=" + s.bin, "--wall-time=100ms"], [s.bomb, "sleep", "3000"], before=p.before)
    lines = r.err.splitlines()
    at = lines.index("hutch: ended: wall-time, signal 9")
    text = "\n".join(lines[at:])
    assert "limit: wall_us 100000, used " in text and ", met 1 times" in text and "  time: wall 0.1" in text, r
    assert ("approximate instead of" in text) == (not p.exact), r
    r = s.run(p.caller, ["--preset", "judge", "--report=-", *p.opts], ["/not/there"], before=p.before)
    assert "hutch: ended: setup-failed, at: exec: " in r.err and "exit code" not in r.err, r


def by_descriptor(s, p):
    """--report-fd writes the same object to an open descriptor."""
    import json
    read, write = os.pipe()
    try:
        r = s.run(p.caller, ["--preset", "judge", "--report-fd=%d" % write, *p.opts, "--ro=" + s.bin], [s.bomb, "exit", "5"], before=p.before, fds=(write,))
    finally:
        os.close(write)
    with os.fdopen(read) as f:
        rec = json.loads(f.read())
    assert not s.schema.errors(rec) and rec["exit_code"] == r.status == 5, rec


CASES = [processor, grandchildren, peak, tasks, pid_max, bytes_written, unknown, throttled, effective, text_form, by_descriptor]


def cases(s, p):
    for f in CASES:
        p.case("record: %s" % f.__name__.replace("_", " "), f)
