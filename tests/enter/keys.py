"""Every key of the table, set to another value in a process that confines itself: it changes what is done, or it is refused.

The document's table (docs/embedding.md) says which, and must hold each key once. Runs in: the test process.
"""
import os
import re

import harness
import host

# key -> the value that is tried, and other lines that it needs. D, R, U, O: directories, a new name; TREE, FILE: open descriptors.
VALUES = {
    "include": ["strict"], "system": ["no"], "ro": ["D"], "rw": ["D"], "cow": ["D"], "cow-size": ["1M", "cow D"], "cow-upper": ["U", "cow D"],
    "on-exit": ["discard", "cow D", "cow-upper U"], "tmpfs": ["/x"], "dir": ["/x"], "symlink": ["a:/x"], "file": ["/x=y"], "file-fd": ["FILE:/x"],
    "mask": ["/usr/bin/env"], "protect": ["D/new", "rw D"],
    "protect-new": ["check", "rw D", "protect @autorun"], "hide": ["/usr/bin/env"], "git": ["yes"], "machine-id": ["host"], "device": ["/dev/null", "dev none"], "rootfs": ["R"], "rootfs-access": ["rw", "rootfs R"],
    "layer": ["D", "rootfs R"], "host-root": ["yes"], "chroot": ["yes", "rootfs R"], "dev": ["none"], "proc": ["none"], "proc-subset": ["pid"],
    "hidepid": ["invisible"], "sys": ["ro"], "tmp-size": ["1M"], "tmp-inodes": ["100"], "home": ["none"], "cwd-access": ["none"], "name": ["enter-keys"],
    "cwd": ["/usr"], "userns": ["never"], "mntns": ["host"], "pidns": ["host"], "net": ["host"], "ipcns": ["host"], "utsns": ["host"], "cgroupns": ["host"],
    "timens": ["host"], "time-monotonic": ["1000"], "time-boottime": ["1000"], "hostname": ["other"], "domainname": ["other"], "nest": ["allow"],
    "map": ["root"], "uid-map": ["0:ID:1", "gid-map 0:ID:1"], "gid-map": ["0:ID:1", "uid-map 0:ID:1"], "user": ["4343:4343"], "groups": ["4343"],
    "caps": ["chown"], "ambient": ["no", "caps chown"], "securebits": ["noroot"], "no-new-privs": ["no", "seccomp none", "landlock off"], "seccomp": ["strict"],
    "compat-abi": ["deny"], "landlock": ["off"], "tcp-connect": ["443"], "tcp-bind": ["8080"], "env": ["A=b"], "keep-env": ["yes"], "unset-env": ["PATH"],
    "fd": ["FILE"], "fd-any-kind": ["yes", "fd TREE"], "tty": ["none"], "init": ["no"], "die-with-launcher": ["no"], "umask": ["0077"], "memory": ["64M"],
    "memory-high": ["64M"], "memory-low": ["1M"], "memory-min": ["1M"], "swap": ["1M"], "oom-group": ["no", "memory 64M"], "cpus": ["0.5"], "cpu-weight": ["50"],
    "cpu-burst": ["10ms", "cpus 0.5"], "cpu-idle": ["yes"], "pids": ["50"], "io-weight": ["50"], "io-max": ["254:0 rbps=1000000"], "cpuset-cpus": ["0"],
    "cpuset-mems": ["0"], "hugetlb": ["2MB=2M"], "rdma": ["mlx5_0 hca_handle=2"], "misc": ["res_a=1"],
    "cgroup-set": ["pids.max=50"], "cgroup": ["yes"], "cgroup-parent": ["/hutch-none", "pids 50"], "limits": ["prefer", "memory 64M"],
    "wall-time": ["60s"], "cpu-time": ["60s"], "grace": ["1s", "wall-time 60s"], "output-max": ["1M"], "stdout": ["O"], "stderr": ["O"],
    "on-denied": ["kill"],
    "rlimit-as": ["4G"], "rlimit-core": ["1"], "rlimit-cpu": ["100"], "rlimit-data": ["4G"], "rlimit-fsize": ["1G"], "rlimit-locks": ["100"],
    "rlimit-memlock": ["4K"], "rlimit-msgqueue": ["1000"], "rlimit-nice": ["0"], "rlimit-nofile": ["60"], "rlimit-nproc": ["500"], "rlimit-rss": ["1G"],
    "rlimit-rtprio": ["0"], "rlimit-rttime": ["1000000"], "rlimit-sigpending": ["100"], "rlimit-stack": ["8M"],
}
# In place the namespaces are the host's anyway: what would be a change is asking for one.
HERE = {"mntns": ["new"], "pidns": ["new"], "net": ["none"], "ipcns": ["new"], "utsns": ["new"], "cgroupns": ["new"], "timens": ["new"], "home": ["private"],
        "die-with-launcher": ["yes"], "name": ["enter-keys"], "grace": ["1s"], "cgroup-parent": ["/hutch-none"]}
# No line of the plan shows the first two: what they do is looked at (outlives, graceful). Where a cgroup can be had, the third has nothing to do.
SEEN = {"die-with-launcher", "grace", "limits"}
# Refusals because a process goes on, or has no namespaces; all others are this machine's or this caller's.
REFUSALS = {"E0821", "E0333", "E0415"}
# Left to the machine or the caller: no cgroup is delegated, a right is missing, a value can't be had.
ROW = re.compile(r"^\| ([^|]*) \| ([^|]*) \| ((?:`[a-z0-9-]+` ?)+)\|$", re.M)


def names():
    with open(os.path.join(harness.TOP, "src/policy/keys.def")) as f:
        return re.findall(r'^KEY\(\w+, "([a-z0-9-]+)"', f.read(), re.M)


def documented():
    """key -> (is it applied with namespaces, in place)."""
    with open(os.path.join(harness.TOP, "docs/embedding.md"), encoding="utf-8") as f:
        rows = ROW.findall(f.read())
    said = {}
    for with_ns, here, keys in rows:
        for key in re.findall(r"`([a-z0-9-]+)`", keys):
            assert key not in said, "the table has %s twice" % key
            said[key] = (with_ns.startswith("applied"), here.startswith("applied"))
    return said


def fill(s, c, text):
    for mark, name in (("D", "dir"), ("U", "upper"), ("R", "root"), ("O", "out")):
        text = re.sub(r"(?<![\w/])%s(?![\w])" % mark, os.path.join(s.scratch, name), text)
    return text.replace("ID", str(c.uid)).replace("TREE", str(s.opened[0])).replace("FILE", str(s.opened[1]))


def attempt(s, c, lines):
    """(plan, outcome, everything that was said)."""
    verbs = []
    for line in lines:
        key, _, value = fill(s, c, line).partition(" ")
        verbs.append(["set", key, value])
    r = host.run(s, c, *verbs, "plan", "enter", "exit 0", cwd=os.path.join(s.scratch, "cwd"), fds=s.opened, status=None,
                 env=dict(c.environ(), OTHER="x"))
    outcome = re.search(r"^enter=(.*)$", r.out, re.M)
    return r.out.split("\nenter=")[0], outcome.group(1) if outcome else "status %s" % r.status, r.out + r.err


def check_key(s, c, key, base, told, before):
    value, *partners = (HERE.get(key) if "userns never" in base else None) or VALUES[key]
    if base and key in ("user",) and c.root:
        base = [b for b in base if not b.startswith("user ")]
    lines = base + partners
    if tuple(lines) not in before:
        before[tuple(lines)] = attempt(s, c, lines)
    plan, outcome, said = attempt(s, c, lines + ["%s %s" % (key, value)])
    if outcome in REFUSALS and not told:
        assert re.search(r"\b%s\b" % re.escape(key), said) or [p for p in partners if p.split()[0] in said] or re.search("file rule", said), said
        return "refused"
    assert outcome not in REFUSALS or c.root and key == "user", "%s: the document says that it is applied: %s" % (key, said[-600:])
    if outcome != "ok":
        assert re.match(r"E\d{4}$", outcome), (key, said[-600:])
        return "not here"
    assert told, "%s: the document says that it is refused, and it isn't: %s" % (key, said[-600:])
    assert key in SEEN or (plan, outcome) != before[tuple(lines)][:2], "%s = %s changes nothing, and nobody says so" % (key, value)
    return "applied"


def make_worktree(tree, repository):
    """As git makes one: the .git file and the directory that it names point at each other."""
    own = os.path.join(repository, "worktrees", "tree")
    os.makedirs(own)
    for path, text in ((os.path.join(tree, ".git"), "gitdir: %s\n" % own), (os.path.join(own, "gitdir"), "%s/.git\n" % tree),
                       (os.path.join(own, "commondir"), "../..\n"), (os.path.join(own, "HEAD"), "ref: refs/heads/tree\n"),
                       (os.path.join(repository, "HEAD"), "ref: refs/heads/main\n")):
        with open(path, "w") as f:
            f.write(text)


def prepare(s, c):
    for name in ("dir", "upper", "root", "cwd"):
        os.mkdir(os.path.join(s.scratch, name))
    os.mkdir(os.path.join(s.scratch, "root", "usr"))
    make_worktree(os.path.join(s.scratch, "cwd"), os.path.join(s.scratch, "repository"))
    os.chmod(os.path.join(s.scratch, "upper"), 0o700)
    c.own(s.scratch)


def each_key(s, c, base, place):
    told = documented()
    assert set(names()) == set(VALUES) == set(told), "not in all three: %s" % sorted(
        (set(names()) ^ set(VALUES)) | (set(names()) ^ set(told)))
    prepare(s, c)
    s.opened = os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.open("/etc/hostname", os.O_RDONLY)
    wrong, counts, before = [], {}, {}
    try:
        for key in names():
            if key == "userns" and base:
                continue
            try:
                result = check_key(s, c, key, base, told[key][place], before)
                counts[result] = counts.get(result, 0) + 1
            except AssertionError as e:
                wrong.append(str(e))
    finally:
        for fd in s.opened:
            os.close(fd)
    assert not wrong, "\n    ".join(wrong)
    assert counts.get("applied", 0) > 25 and sum(counts.values()) >= len(told) - 1, counts


def with_namespaces(s, c):
    each_key(s, c, [], 0)


def in_place(s, c):
    each_key(s, c, ["userns never", "ro " + s.bin, *[v[4:] for v in host.user(c)]], 1)


def kinds_in_place(s, c):
    """A descriptor that leads out is refused in place as it is elsewhere, and the process stays as it was."""
    tree = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    secret = host.private(s, "secret")
    try:
        verbs = ["set userns never", "set fd %d" % tree, *host.user(c)]
        r = host.run(s, c, *verbs, "enter", "try read " + secret, "try inet", fds=(tree,), cwd="/")
        assert r.one("enter") == "E0550" and "it is a directory" in r.out and r.one("read") == "ok" and r.one("inet") == "ok", r
        r = host.run(s, c, *verbs, "set fd-any-kind yes", "enter", "try read " + secret, fds=(tree,), cwd="/")
        assert r.one("enter") == "ok" and r.one("read") == "EACCES", r
    finally:
        os.close(tree)


def outlives(s, c):
    """die-with-launcher = no: the application lives on when the process that waits outside is killed; else it doesn't."""
    for value in ("no", "yes"):
        p = host.start(s, c, "set die-with-launcher " + value, "enter", "sleep 4000", cwd="/")
        assert p.stdout.readline() == b"enter=ok\n"
        tag = s.bin.encode()

        def inside():
            return [q for q in harness.processes() if q != p.pid and tag in harness.proc_text(q, "cmdline") and b"die-with-launcher" in harness.proc_text(q, "cmdline")]
        assert harness.wait_until(inside), "nothing runs"
        p.kill()
        p.wait()
        gone = harness.wait_until(lambda: not inside(), 1.0)
        for q in inside():
            os.kill(q, 9)
        harness.wait_until(lambda: not inside())
        assert bool(gone) == (value == "yes"), "die-with-launcher = %s: %s" % (value, "gone" if gone else "alive")


def graceful(s, c):
    """wall-time ends the application; with grace it gets SIGTERM before."""
    verbs = ["handler 15", "enter", "wait-signal", "exit 5"]
    r = host.run(s, c, "set wall-time 700ms", *verbs, status=None, cwd="/")
    assert r.status == 137 and "caught" not in r.out, r
    r = host.run(s, c, "set wall-time 700ms", "set grace 10s", *verbs, status=None, cwd="/")
    assert r.status == 5 and r.one("caught") == "15", r


def listed(s, c):
    """name: hutch ps shows the process that went on."""
    p = host.start(s, c, "set name enter-listed", "enter", "sleep 8000", cwd="/")
    assert p.stdout.readline() == b"enter=ok\n"
    said = []

    def shown():
        said.append(s.run(c, [], [], raw=[s.hutch, "ps"], cwd="/", writes=True))
        return "enter-listed" in said[-1].out
    seen = harness.wait_until(shown)
    p.kill()
    p.wait()
    assert seen, said[-1]


# ---- joining ----
def target(s, c):
    """A process in namespaces of its own, which the caller may join: (process, pid)."""
    read, write = os.pipe()
    p = s.popen(c, [], [], raw=["unshare", "-Unipu", "--fork", "--kill-child", "sh", "-c", "echo on; read go; exec sleep 60"], cwd="/", stdin=read)
    os.close(read)
    if p.stdout.readline() != b"on\n":
        p.kill()
        p.wait()
        raise harness.Skip("unshare can't make namespaces here: %s" % p.stderr.read()[:200])
    child = harness.wait_until(lambda: [q for q, (_, _, parent, _) in harness.processes().items() if parent == p.pid])[0]
    # Root drops its supplementary groups in there, which a map of one id doesn't allow.
    for name, text in ((("uid_map", "0 0 65536"), ("gid_map", "0 0 65536")) if c.root else
                       (("setgroups", "deny"), ("uid_map", "0 %d 1" % c.uid), ("gid_map", "0 %d 1" % c.gid))):
        with open("/proc/%d/%s" % (child, name), "w") as f:
            f.write(text)
    os.write(write, b"go\n")
    os.close(write)
    return p, child


def end(p, child):
    """The child is the init of its namespace: with it everything in there ends, and unshare after it."""
    os.kill(child, 9)
    p.wait(20)


def namespaces_of(pid):
    return {kind: os.readlink("/proc/%s/ns/%s" % (pid, kind)) for kind in harness.KINDS if os.path.exists("/proc/self/ns/" + kind)}


def joins(s, c):
    """By pid and by file: the process that goes on is in the joined namespaces, in new ones of all other kinds; its end is the caller's."""
    t, pid = target(s, c)
    try:
        want = namespaces_of(pid)
        for verbs in (["set userns pid:%d" % pid, "set net pid:%d" % pid, "set ipcns pid:%d" % pid, "set utsns pid:%d" % pid],
                      ["set userns /proc/%d/ns/user" % pid, "set net /proc/%d/ns/net" % pid, "set ipcns /proc/%d/ns/ipc" % pid, "set utsns /proc/%d/ns/uts" % pid]):
            p = host.start(s, c, *verbs, "enter", "handler 15", "say ready", "wait-signal", "try fork", "try thread", "exit 6", cwd="/")
            lines = [p.stdout.readline(), p.stdout.readline()]
            assert lines == [b"enter=ok\n", b"ready\n"], lines
            inner = [q for q in harness.processes() if q != p.pid and b"wait-signal" in harness.proc_text(q, "cmdline")]
            assert len(inner) == 1, inner
            got, own = namespaces_of(inner[0]), namespaces_of("self")
            for kind in got:
                # A user namespace of the joiner's own lies in the joined one where ids must be mapped; root's policy joins plainly.
                if kind in ("net", "ipc", "uts", "user"):
                    assert got[kind] == want[kind], (kind, got, want)
                else:
                    assert got[kind] not in (want[kind], own[kind]), (kind, got, want)
            p.send_signal(15)
            out, err = p.communicate(timeout=20)
            assert p.returncode == 6 and b"caught=15" in out and b"fork=ok" in out and b"thread=ok" in out, (p.returncode, out, err)
    finally:
        end(t, pid)


def joins_refused(s, c):
    """What can't be joined leaves the process as it was, and the error names the key, the file and why."""
    secret = host.private(s, "secret")

    def refused(id, says, *verbs):
        r = host.run(s, c, *verbs, "enter", "try read " + secret, "try inet", "pid", cwd="/")
        assert r.one("enter") == id and re.search(says, r.out) and "partially" not in r.out, r
        assert r.one("read") == "ok" and r.one("inet") == "ok" and int(r.one("pid")) > 2, r
    refused("E0333", "net together with userns = never", "set userns never", "set net pid:1", *host.user(c))
    refused("E0820", "threads", "threads 1", "set net pid:%d" % os.getpid())
    for value in ("pid:999999999", "/no/such/file"):
        r = host.run(s, c, "set net " + value, "enter", "try read " + secret, cwd="/")
        assert r.one("enter") != "ok" and r.one("read") == "ok" and "net" in r.out, r
    if not c.root:
        t, pid = target(s, c)
        try:
            refused("E0331", r"userns = pid:N", "set net pid:%d" % pid)
        finally:
            end(t, pid)
    r = host.run(s, c, "set net /proc/self/ns/uts", "enter", "try read " + secret, cwd="/")
    assert r.one("enter") == "E0331" and r.one("read") == "ok", r


CASES = [with_namespaces, in_place, kinds_in_place, outlives, graceful, listed, joins, joins_refused]


def cases(s, c, who):
    for f in CASES:
        s.case("keys-%s-%s" % (f.__name__.replace("_", "-"), who), f, s, c)
