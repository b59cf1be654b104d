"""Limits where the only cgroups are of version 2: in a scope that systemd makes (root, user), in a cgroup that is
delegated, below a named one. Each enforces, tells the end by its word, and leaves nothing. Runs in: the test process."""
import glob
import json
import os
import subprocess

from harness import Skip, wait_until
from machine import need_systemd

HOG = ["python3", "-c", "x = bytearray(200 << 20)"]
FORKS = ["python3", "-c", "import os\nfor i in range(99):\n    if os.fork() == 0:\n        import time; time.sleep(9); os._exit(0)"]
LIMITS = ["--memory=64M", "--pids=20", "--cpus=0.5"]


def record(s, prefix, opts, cmd):
    r = subprocess.run([*prefix, s.hutch, "run", *opts, "--report=-", "--", *cmd], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    return r, r.stderr


def ours():
    return [p for p in glob.glob("/sys/fs/cgroup/**/hutch-*", recursive=True) if os.path.isdir(p) and not p.endswith(".service")]


def each_way(s, prefix, opts=()):
    r, err = record(s, prefix, [*opts, *LIMITS], ["sh", "-c", "cat /proc/self/cgroup; exit 3"])
    assert r.returncode == 3 and r.stdout == "0::/\n" and "ended: exited, exit code 3" in err, (r.stdout, err)
    assert "limit: memory 67108864, used" in err and "limit: pids 20, used" in err, err
    r, err = record(s, prefix, [*opts, *LIMITS], HOG)
    assert r.returncode == 137 and "ended: memory" in err, err
    r, err = record(s, prefix, [*opts, *LIMITS], FORKS)
    assert r.returncode == 1 and "ended: pids" in err, err
    assert wait_until(lambda: not ours()), ours()


def scope_root(s):
    need_systemd()
    each_way(s, [])


def scope_user(s):
    need_systemd()
    each_way(s, ["as-user"])


def delegated(s):
    need_systemd()
    each_way(s, ["as-user", "systemd-run", "--user", "--scope", "-q", "-p", "Delegate=yes"])


def named_parent(s):
    parent = "/sys/fs/cgroup/test-parent"
    os.mkdir(parent)
    try:
        each_way(s, [], ["--cgroup-parent=/test-parent"])
    finally:
        os.rmdir(parent)


BUSY = ["sh", "-c", "(while :; do :; done) & (while :; do :; done) & sleep 2"]


def pressure(s):
    """Two that work on one processor wait for it, and the record and hutch stats tell; one that is idle doesn't."""
    parent = "/sys/fs/cgroup/test-parent"
    os.mkdir(parent)
    try:
        for cmd, low, high in ((BUSY, 200000, 1 << 40), (["sleep", "1"], 0, 150000)):
            path = os.path.join(s.scratch, "record")
            p = subprocess.Popen([s.hutch, "run", "--name=pressed", "--cgroup=yes", "--cgroup-parent=/test-parent", "--report", path, "--", *cmd])
            assert wait_until(lambda: subprocess.run([s.hutch, "stats", "pressed"], capture_output=True).returncode == 0, 20)
            stats = [s.hutch, "stats", "pressed"]
            # The cgroup's files are the oracle.
            run = glob.glob(parent + "/hutch-*")[0]
            with open(run + "/cpu.pressure") as f:
                before = int(f.readline().rsplit("=", 1)[1])
            seen = json.loads(subprocess.run([*stats, "--json"], stdout=subprocess.PIPE, check=True).stdout)["pressure"]
            assert "waited   for cpu" in subprocess.run(stats, stdout=subprocess.PIPE, check=True, text=True).stdout
            p.wait(60)
            with open(path) as f:
                rec = json.load(f)
            assert before <= seen["cpu"]["some_us"] <= rec["cpu_pressure_us"], (before, seen, rec)
            assert low <= rec["cpu_pressure_us"] < high, rec
            assert 0 <= seen["cpu"]["some_avg10"] <= 100 and set(seen) == {"cpu", "memory", "io"}, seen
            assert rec["memory_pressure_us"] is not None and rec["io_pressure_full_us"] is not None, rec
    finally:
        os.rmdir(parent)


def rare(s):
    """Huge pages, RDMA, misc: written where the controller is, refused with its name where it isn't."""
    with open("/sys/fs/cgroup/cgroup.controllers") as f:
        if "hugetlb" not in f.read().split():
            raise Skip("this kernel has no hugetlb controller for cgroups")
    parent = "/sys/fs/cgroup/test-parent"
    os.mkdir(parent)
    try:
        with open("/sys/fs/cgroup/cgroup.subtree_control", "w") as f:
            f.write("+hugetlb +rdma")
        p = subprocess.Popen([s.hutch, "run", "--cgroup-parent=/test-parent", "--hugetlb=2MB=4M", "--", "sleep", "5"])
        found = wait_until(lambda: glob.glob(parent + "/hutch-*/cgroup.procs"), 20)
        assert wait_until(lambda: open(found[0]).read()), "nothing runs in it"
        with open(os.path.dirname(found[0]) + "/hugetlb.2MB.max") as f:
            assert f.read() == "4194304\n"
        assert p.wait(60) == 0
        r, err = record(s, [], ["--cgroup-parent=/test-parent", "--rdma=nothing0 hca_handle=1"], ["echo", "ran"])
        assert r.returncode == 125 and not r.stdout and "rdma.max" in err, err
        r, err = record(s, [], ["--cgroup-parent=/test-parent", "--hugetlb=3MB=0"], ["echo", "ran"])
        assert r.returncode == 125 and not r.stdout and "hugetlb.3MB.max" in err, err
        r, err = record(s, ["as-user"], ["--misc=sev=1"], ["echo", "ran"])
        assert r.returncode == 125 and not r.stdout and "misc.max" in err, err
    finally:
        os.rmdir(parent)


def other_numbers(s):
    """A manager in another pid namespace would take another process by our number: it isn't asked, and the run refused."""
    need_systemd()
    r, err = record(s, ["unshare", "-pf", "--mount-proc"], LIMITS, ["echo", "ran"])
    assert r.returncode == 125 and not r.stdout and "another pid namespace" in err, (r.stdout, err)
    assert wait_until(lambda: not ours()), ours()


def plan(s):
    """The plan names the way."""
    need_systemd()
    r = subprocess.run(["as-user", s.hutch, "explain", "--json", *LIMITS, "--", "true"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    rows = {x["what"]: x for x in json.loads(r.stdout)["effective"]}
    assert rows["memory"]["state"] == "enforced" and "systemd" in rows["memory"]["why"], rows["memory"]


def cases(s):
    for f in (scope_root, scope_user, delegated, named_parent, pressure, rare, other_numbers, plan):
        s.case("limits/" + f.__name__.replace("_", "-"), f, s)
