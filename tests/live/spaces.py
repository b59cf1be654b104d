"""Live: the eight namespaces, id maps, clocks, names, network.
Runs in: the test process."""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

from harness import KINDS, Skip, landlock_abi, proc_text, status_field, wait_until

KEYS = {"user": "userns", "mnt": "mntns", "pid": "pidns", "net": "net", "ipc": "ipcns", "uts": "utsns", "cgroup": "cgroupns", "time": "timens"}


def host_ns(pid="self"):
    return {k: os.readlink("/proc/%s/ns/%s" % (pid, k)) for k in KINDS}


def all_new(s, c):
    r, host = s.see(c, [], "ns"), host_ns()
    same = [k for k in KINDS if r.one("ns_" + k) == host[k]]
    assert not same, "shared with the host: %s" % same
    bad = [k for k in KINDS if not re.fullmatch(k + r":\[\d+\]", r.one("ns_" + k))]
    assert not bad, r


def one_host(s, c, kind):
    opts = ["--%s=host" % KEYS[kind]]
    if kind == "pid":
        opts += ["--proc=bind"]
    r, host = s.see(c, opts, "ns", "id", "caps", "nnp"), host_ns()
    assert r.one("ns_" + kind) == host[kind], "%s isn't the host's: %s" % (kind, r)
    shared = [k for k in KINDS if k != kind and r.one("ns_" + k) == host[k]]
    assert not shared, "shared too: %s" % shared
    assert int(r.one("cap_prm"), 16) == 0 and r.one("nnp") == "1", r
    if c.root:
        assert "0" not in r.one("uid").split(","), "the host's root runs inside: %s" % r


def user_host(s, c):
    if not c.root:
        r = s.run(c, ["--userns=host"], [s.inside, "id"])
        assert r.status == 125 and "userns" in r.err and not r.out, r
        return
    r = s.see(c, ["--userns=host"], "ns", "id", "caps", "nnp")
    assert r.one("ns_user") == host_ns()["user"], r
    assert "0" not in r.one("uid").split(",") and "0" not in r.one("gid").split(","), "the host's root runs inside: %s" % r
    assert r.one("groups") == "", r
    assert [int(r.one("cap_" + k), 16) for k in ("inh", "prm", "eff", "bnd", "amb")] == [0] * 5 and r.one("nnp") == "1", r


def mnt_host(s, c):
    r, host = s.see(c, ["--mntns=host"], "ns", "nnp", "caps"), host_ns()
    assert r.one("ns_mnt") == host["mnt"] and r.one("nnp") == "1" and int(r.one("cap_prm"), 16) == 0, r


class Target:
    """A process of the caller in namespaces of its own, to be joined."""

    def __init__(self, s, c, flags):
        self.p = subprocess.Popen(["unshare", *flags, "sleep", "60"], **c.popen_args(), stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.p.pid
        if "--fork" in flags:
            def child():
                return proc_text(self.p.pid, "task/%d/children" % self.p.pid).decode().split()
            self.pid = int(wait_until(child)[0])
        wait_until(lambda: proc_text(self.pid, "comm") == b"sleep\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.p.pid, signal.SIGKILL)
        self.p.wait()


FLAG = {"mnt": "--mount", "pid": "--pid", "net": "--net", "ipc": "--ipc", "uts": "--uts", "cgroup": "--cgroup", "time": "--time"}


def join(s, c, kind, how):
    """As root the namespace belongs to the host's user namespace; a user joins both it and its owner."""
    flags = [FLAG[kind]] if c.root else ["--user", "--map-current-user", FLAG[kind]]
    if kind in ("pid", "time"):
        flags += ["--fork"]
    tag = "join-%s-%s-%d" % (kind, how, time.monotonic_ns())
    with Target(s, c, flags) as t:
        name = lambda k: "pid:%d" % t.pid if how == "pid" else "/proc/%d/ns/%s" % (t.pid, k)
        opts = ["--%s=%s" % (KEYS[kind], name(kind))]
        if not c.root:
            opts.append("--userns=%s" % name("user"))
        want, host = host_ns(t.pid), host_ns()
        assert want[kind] != host[kind], "the target has no namespace of its own"
        with Held(s, c, opts, tag) as h:
            got = host_ns(h.pid)
            fields = {f: status_field(h.pid, f) for f in ("CapPrm", "CapEff", "NoNewPrivs", "Seccomp")}
            ids = ids_of_host(h.pid)
        assert got[kind] == want[kind], "not joined, got %s, wanted %s" % (got[kind], want[kind])
        others = [k for k in KINDS if k not in (kind, "user") and got[k] in (host[k], want[k])]
        assert not others, "shared too: %s" % others
        if c.root:
            assert 0 not in ids, "the host's root runs inside: %s" % ids
        else:
            assert got["user"] == want["user"], got
        assert int(fields["CapPrm"], 16) == 0 == int(fields["CapEff"], 16) and fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", fields


def join_wrong_kind(s, c):
    with Target(s, c, ["--uts"] if c.root else ["--user", "--map-current-user", "--uts"]) as t:
        r = s.run(c, ["--net=/proc/%d/ns/uts" % t.pid], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out and "net" in r.err, r


def join_missing(s, c):
    r = s.run(c, ["--net=pid:999999"], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "ran" not in r.out and "999999" in r.err, r


def times(s, c):
    def now():
        return time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
    back = min(100, int(now()[0] / 2))     # a clock can't be set before its beginning
    for mono, boot in (("1000", "86400.5"), ("-%d" % back, "-%d.25" % (back / 2))):
        m, b = now()
        r = s.see(c, ["--time-monotonic=" + mono, "--time-boottime=" + boot], "clock")
        assert abs(float(r.one("monotonic")) - m - float(mono)) < 10, r
        assert abs(float(r.one("boottime")) - b - float(boot)) < 10, r
    r = s.run(c, ["--time-monotonic=-99999999"], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "ran" not in r.out, r


def names(s, c):
    host = os.uname().nodename
    r = s.see(c, [], "uts")
    assert r.one("hostname") == "hutch", r
    r = s.see(c, ["--hostname", "a-name", "--domainname", "example.org"], "uts")
    assert r.one("hostname") == "a-name" and r.one("domainname") == "example.org", r
    assert os.uname().nodename == host, "the host's name changed"
    r = s.run(c, ["--hostname", "x" * 65], [s.inside, "uts"])
    assert r.status == 125 and "hostname" in r.err, r


def ids_of_host(pid):
    return [int(x) for f in ("Uid", "Gid") for x in status_field(pid, f).split()]


class Held:
    """A sandbox that stays, and its program's pid as the host knows it."""

    def __init__(self, s, c, opts, tag):
        self.s, self.p = s, s.popen(c, opts, [s.inside, "say", "tag", tag, ",", "sleep", "20"])
        tag = tag.encode()

        def find():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                words = proc_text(pid, "cmdline").split(b"\0")
                if words[:1] == [s.inside.encode()] and tag in words:
                    return int(pid)
            return self.p.poll() is not None and -1
        self.pid = wait_until(find, 5)
        self.pid = self.pid if self.pid and self.pid > 0 else None
        if not self.pid:
            self.p.kill()
            raise AssertionError("didn't start: %s" % self.p.communicate()[1].decode(errors="replace"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close(), self.p.stderr.close()


def map_own(s, c):
    with Held(s, c, [], "map-own") as h:
        outside = ids_of_host(h.pid)
    r = s.see(c, [], "id")
    inside = [int(x) for x in r.one("uid").split(",")]
    if c.root:
        assert 0 not in outside, "host ids of the program: %s" % outside
        known = {p.pw_uid for p in pwd.getpwall()}
        assert not set(outside[:4]) & known, "the id belongs to a user of the host: %s" % outside
    else:
        assert inside == [c.uid] * 3 and outside[:4] == [c.uid] * 4, (inside, outside)
        assert outside[4:] == [c.gid] * 4, outside


def map_root(s, c):
    r = s.see(c, ["--map=root"], "id", "caps", "write /etc/passwd", ["cat", "/proc/self/setgroups"])
    assert r.one("uid") == "0,0,0" and r.one("gid") == "0,0,0", r
    assert [int(r.one("cap_" + k), 16) for k in ("inh", "prm", "eff", "bnd", "amb")] == [0] * 5, r
    assert r.one("write:/etc/passwd") != "ok", r
    with Held(s, c, ["--map=root"], "map-root") as h:
        outside = ids_of_host(h.pid)
        lines = proc_text(h.pid, "uid_map").decode().splitlines()
    assert 0 not in outside, outside
    assert all(int(l.split()[1]) != 0 for l in lines) and lines, "host root behind an id: %s" % lines
    if not c.root:
        assert outside[:4] == [c.uid] * 4, outside


def map_given(s, c):
    r = s.see(c, ["--map=123:456"], "id")
    assert r.one("uid") == "123,123,123" and r.one("gid") == "456,456,456", r
    r = s.see(c, ["--map=77"], "id")
    assert r.one("uid") == "77,77,77", r
    r = s.see(c, ["--map=root", "--rw", "."], ["put", "made", "x"], "stat made", writes=True)
    assert r.one("put:made") == "ok" or c.root, r
    if not c.root:
        assert os.stat(os.path.join(s.scratch, "made")).st_uid == c.uid


def has_ranges(c):
    if c.root:
        raise Skip("root needs no ranges")
    if not shutil.which("newuidmap"):
        raise Skip("newuidmap isn't installed")
    for f in ("/etc/subuid", "/etc/subgid"):
        with open(f) as text:
            if not any(l.split(":")[0] in (c.name, str(c.uid)) for l in text):
                raise Skip("%s has no range in %s" % (c.name, f))


def map_auto(s, c):
    has_ranges(c)
    r = s.see(c, ["--map=auto"], "id", ["cat", "/proc/self/uid_map"], ["cat", "/proc/self/gid_map"], "caps")
    assert r.one("uid") == "0,0,0" and r.one("gid") == "0,0,0", r
    rows = [l.split() for l in r.one("cat:/proc/self/uid_map").replace("\\x0a", "\n").splitlines()]
    with open("/etc/subuid") as f:
        start, count = next(l.strip().split(":")[1:] for l in f if l.split(":")[0] == c.name)
    assert ["0", str(c.uid), "1"] in rows and ["1", start, count] in rows, (rows, start, count)
    assert int(r.one("cap_prm"), 16) == 0, r
    r = s.see(c, ["--map=auto", "--user=7:8"], "id")
    assert r.one("uid") == "7,7,7" and r.one("gid") == "8,8,8", r


def groups(s, c):
    opts = ["--map=auto"] if not c.root else ["--uid-map=0:300000:1000", "--gid-map=0:300000:1000"]
    if not c.root:
        has_ranges(c)
    r = s.see(c, opts + ["--groups=5,6"], "id")
    assert sorted(r.one("groups").split(",")) == ["5", "6"], r
    r = s.see(c, opts + ["--groups=none"], "id")
    assert r.one("groups") == "", r


def setgroups_denied(s, c):
    r = s.see(c, [], ["cat", "/proc/self/setgroups"], ["write", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"])
    if not c.root:
        assert r.one("cat:/proc/self/setgroups").startswith("deny"), r
    r = s.run(c, ["--groups=5"], [s.inside, "say", "ran", "1"])
    assert (r.status == 125 and "groups" in r.err and "ran" not in r.out) or c.root, r


def map_lines(s, c):
    if c.root:
        r = s.see(c, ["--uid-map=0:200000:10", "--gid-map=0:200000:10", "--user=3:4"], "id", ["cat", "/proc/self/uid_map"])
        assert r.one("uid") == "3,3,3" and r.one("gid") == "4,4,4", r
        r = s.run(c, ["--uid-map=0:0:1", "--gid-map=0:0:1"], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out and "map" in r.err, r
        r = s.run(c, ["--uid-map=5:0:1", "--gid-map=5:100000:1", "--user=5:5"], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out, r
    else:
        r = s.see(c, ["--uid-map=5:%d:1" % c.uid, "--gid-map=6:%d:1" % c.gid, "--user=5:6"], "id")
        assert r.one("uid") == "5,5,5" and r.one("gid") == "6,6,6", r
        r = s.run(c, ["--uid-map=0:0:1", "--gid-map=0:0:1"], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "ran" not in r.out, "another's id was mapped: %s" % r


def user_unmapped(s, c):
    opts = ["--uid-map=0:300000:1", "--gid-map=0:300000:1"] if c.root else ["--uid-map=0:%d:1" % c.uid, "--gid-map=0:%d:1" % c.gid]
    r = s.run(c, opts + ["--user=4242:4242"], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "4242" in r.err and "map" in r.err and "ran" not in r.out, r
    r = s.see(c, ["--user=42:43"], "id")
    assert r.one("uid") == "42,42,42" and r.one("gid") == "43,43,43", r


def two_runs(s, c):
    with Held(s, c, [], "run-one") as a, Held(s, c, [], "run-two") as b, Held(s, c, ["--map=root"], "run-three") as d:
        ids = [ids_of_host(x.pid) for x in (a, b, d)]
    if c.root:
        uids = [tuple(set(i[:4])) for i in ids]
        assert len(set(uids)) == 3 and all(len(u) == 1 for u in uids), "host uids of three runs: %s" % uids
        assert all(0 not in i for i in ids), ids
        gids = [tuple(set(i[4:])) for i in ids]
        assert len(set(gids)) == 3, "host gids of three runs: %s" % gids
    else:
        assert all(i[:4] == [c.uid] * 4 for i in ids), ids


def two_dont_see(s, c):
    with Held(s, c, [], "secret-of-one") as a:
        r = s.see(c, [], "procs", ["kill", str(a.pid)])
        assert r.one("kill:%d" % a.pid) == "ESRCH", r
        assert r.one("procs") == "2", r


def net_none(s, c):
    l = socket.socket()
    l.bind(("127.0.0.1", 0))
    l.listen(5)
    port = str(l.getsockname()[1])
    try:
        r = s.see(c, [], "net", ["connect", port], ["bind", port])
        assert r.all("if") == ["lo|up"], r
        assert r.one("connect:" + port) == "ECONNREFUSED", r
        assert r.one("bind:" + port) == "ok", r
        r = s.see(c, ["--net=host"], "net", ["connect", port])
        assert r.one("connect:" + port) == "ok", r
        want = sorted(n for _, n in socket.if_nameindex())
        assert sorted(x.split("|")[0] for x in r.all("if")) == want, r
    finally:
        l.close()


def abstract_socket(s, c):
    name = "hutch-live-%d" % os.getpid()
    l = socket.socket(socket.AF_UNIX)
    l.bind("\0" + name)
    l.listen(5)
    try:
        r = s.see(c, [], ["unix", "@" + name])
        assert r.one("unix:@" + name) == "ECONNREFUSED", r
        r = s.see(c, ["--net=host"], ["unix", "@" + name])
        if landlock_abi() < 6:
            assert r.one("unix:@" + name) == "ok", r
            r = s.run(c, ["--net=host"], ["true"], verb="explain")
            assert re.search("missing +(signal and abstract socket scope|Landlock).*abstract sockets of the shared network can be reached", r.out), \
                "the plan must say that nothing holds: %s" % r
            r = s.run(c, ["--landlock=scopes", "--net=host"], [s.inside, "say", "ran", "1"])
            assert r.status == 125 and "ran" not in r.out and ("E0591" if landlock_abi() > 0 else "E0586") in r.err, r
            return
        assert r.one("unix:@" + name) == "EPERM", "the scope of Landlock must hold where the network is shared: %s" % r
        r = s.see(c, ["--net=host", "--landlock=off"], ["unix", "@" + name])
        assert r.one("unix:@" + name) == "ok", "control: without Landlock it must succeed: %s" % r
    finally:
        l.close()


def nest(s, c):
    r = s.see(c, [], "rs unshare 0x10000000", "rs unshare 0x20000", "rs setns 0 0")
    assert all(v.startswith("-1") for v in r.all("rs:unshare")), r
    r = s.see(c, ["--nest=allow"], "rs unshare 0x10000000")
    assert r.one("rs:unshare") == "0 0", r


def cases(s, c, who):
    def case(name, f, *args):
        s.case("%s/%s" % (who, name), f, s, c, *args)

    case("ns/all-new", all_new)
    for kind in ("pid", "net", "ipc", "uts", "cgroup", "time"):
        case("ns/host-" + kind, one_host, kind)
    case("ns/host-user", user_host)
    case("ns/host-mnt", mnt_host)
    for kind in FLAG:
        for how in ("pid", "path"):
            case("ns/join-%s-by-%s" % (kind, how), join, kind, how)
    case("ns/join-wrong-kind", join_wrong_kind)
    case("ns/join-missing", join_missing)
    case("ns/nest", nest)
    case("time/offsets", times)
    case("uts/names", names)
    case("map/own", map_own)
    case("map/root", map_root)
    case("map/given", map_given)
    case("map/auto", map_auto)
    case("map/groups", groups)
    case("map/setgroups-denied", setgroups_denied)
    case("map/lines", map_lines)
    case("map/user-unmapped", user_unmapped)
    case("map/two-runs", two_runs)
    case("map/two-dont-see-each-other", two_dont_see)
    case("net/none-and-host", net_none)
    case("net/abstract-socket", abstract_socket)
