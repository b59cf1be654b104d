"""Live: without user namespaces (--userns=never): Landlock and the system call filter alone.
Runs in: the test process."""
import os
import socket
import subprocess
import time

import privilege
import process
from harness import KINDS, Skip, landlock_abi, status_field, wait_until, with_tag

NEVER = ["--userns=never"]


def ready():
    if landlock_abi() < 1:
        raise Skip("this kernel has no Landlock")


def state(s, c):
    ready()
    r = s.see(c, NEVER, "id", "caps", "nnp", "seccomp", "ns", "fds", "env", "sigstate")
    assert [int(r.one("cap_" + k), 16) for k in ("inh", "prm", "eff", "amb")] == [0] * 4, r
    assert r.one("nnp") == "1" and r.one("seccomp") == "2", r
    assert [x.split("|")[0] for x in r.all("fd")] == ["0", "1", "2"], r
    if c.root:
        assert "0" not in r.one("uid").split(",") + r.one("gid").split(",") and r.one("groups") == "", "the host's root runs inside: %s" % r
        assert int(r.one("cap_bnd"), 16) == 0, r
    else:
        assert r.one("uid").split(",") == [str(c.uid)] * 3, r
        same = [k for k in KINDS if r.one("ns_" + k) == os.readlink("/proc/self/ns/" + k)]
        assert "user" in same and "mnt" in same, r


def files(s, c):
    ready()
    secret = os.path.join(c.home, ".hutch-never")
    with open(secret, "w") as f:
        f.write("secret")
    os.chmod(secret, 0o644)
    d = os.path.join(s.scratch, "d")
    os.mkdir(d)
    with open(d + "/f", "w") as f:
        f.write("file")
    other = os.path.join(s.base, "elsewhere")
    with open(other, "w") as f:
        f.write("other")
    if c.switch:
        os.chown(secret, c.uid, c.gid)
    c.own(s.scratch)
    os.chmod(d, 0o777)
    os.chmod(d + "/f", 0o666)
    try:
        r = s.see(c, NEVER, ["read", secret, other, "/usr/bin/env", "/etc/passwd"], "cat f", "write f", "create . /usr /tmp /var/tmp", ["write", secret], cwd=d)
        assert r.one("read:" + secret) == "EACCES" and r.one("read:" + other) == "EACCES", r
        assert r.one("read:/usr/bin/env") == "ok" and r.one("cat:f") == "file", r
        assert r.one("write:f") == "EACCES" and r.one("create:.") == "EACCES" and r.one("write:" + secret) == "EACCES", r
        assert r.one("create:/var/tmp") != "ok", r
        r = s.see(c, [*NEVER, "--rw", d], "write f", "create .", cwd=d)
        assert r.one("write:f") == "ok" and r.one("create:.") == "ok", r
        r = s.see(c, [*NEVER, "--ro", other], ["cat", other], ["write", other], cwd=d)
        assert r.one("cat:" + other) == "other" and r.one("write:" + other) == "EACCES", r
    finally:
        os.unlink(secret)
        os.unlink(other)


def programs(s, c):
    ready()
    r = s.run(c, NEVER, ["sh", "-c", "echo $((6*7)); ls /usr >/dev/null && python3 -c 'print(7*7)'"])
    assert r.status == 0 and r.out.split() == ["42", "49"], r
    with open(os.path.join(s.scratch, "a.c"), "w") as f:
        f.write("int main(void){return 9;}\n")
    c.own(s.scratch)
    os.chmod(s.scratch, 0o777)
    r = s.run(c, [*NEVER, "--rw", "."], ["sh", "-c", "TMPDIR=. gcc -o a a.c && ./a"], writes=True)
    assert r.status == 9, r


def unhidable(s, c):
    """What only mounts can do is refused, with the reason."""
    ready()
    for opts in (["--mask=/etc/passwd"], ["--ro=/etc:/elsewhere"], ["--tmpfs=/t"], ["--symlink=a:/b"], ["--rootfs=/usr"], ["--hostname=named"], ["--map=root"],
                 ["--net=none", "--caps=net_raw"]):
        r = s.run(c, [*NEVER, *opts], [s.inside, "say", "ran", "1"], cwd="/")
        assert r.status == 125 and "ran" not in r.out and "userns" in r.err, (opts, r)


def signals_in(s, c):
    ready()
    if landlock_abi() < 6:
        raise Skip("Landlock of this kernel has no scopes")
    p = subprocess.Popen(["sleep", "30"], **c.popen_args())
    name = "hutch-never-%d" % os.getpid()
    l = socket.socket(socket.AF_UNIX)
    l.bind("\0" + name)
    l.listen(1)
    try:
        r = s.see(c, NEVER, ["kill", str(p.pid), "0"], ["unix", "@" + name])
        assert r.one("kill:%d" % p.pid) == "EPERM" and r.one("unix:@" + name) in ("EPERM", "EACCES"), r
    finally:
        p.kill()
        p.wait()
        l.close()


def explained(s, c):
    ready()
    r = s.run(c, NEVER, [s.inside, "id"], verb="explain", cwd="/")
    assert r.status == 0 and "landlock-ruleset" in r.out and "pivot-root" not in r.out, r
    assert "process" in r.out and "network" in r.out, "the gaps aren't printed: %s" % r


def filter_same(s, c):
    ready()
    r = s.see(c, NEVER, *["rs %s %s" % x for x in privilege.DENIED.items()], "rs clone3 buf 88")
    for name in privilege.DENIED:
        assert r.one("rs:" + name).startswith("-1"), (name, r)
    assert r.one("rs:clone3") == "-1 ENOSYS", r


def tcp(s, c):
    ready()
    privilege.tcp(s, c, NEVER)


def daemon_dies(s, c):
    ready()
    process.daemon_dies(s, c, NEVER)


def launcher_killed(s, c):
    ready()
    process.launcher_killed(s, c, NEVER)


def forwarded(s, c):
    ready()
    process.forwarded(s, c, NEVER)


def statuses(s, c):
    ready()
    process.statuses(s, c, NEVER)


def not_found(s, c):
    ready()
    process.not_found(s, c, NEVER)


def stdin_file(s, c):
    ready()
    process.stdin_file(s, c, NEVER)


def two_runs(s, c):
    ready()
    import spaces
    if not c.root:
        raise Skip("an ordinary user's runs share the user's id in this mode (named as a gap)")
    with spaces.Held(s, c, NEVER, "never-one") as a, spaces.Held(s, c, NEVER, "never-two") as b:
        ids = [spaces.ids_of_host(x.pid) for x in (a, b)]
    assert 0 not in ids[0] + ids[1] and not set(ids[0][:4]) & set(ids[1][:4]), ids


def rlimits(s, c):
    ready()
    r = s.see(c, [*NEVER, "--rlimit-nofile=64:128", "--rlimit-fsize=1M"], "rlimit")
    assert r.one("rlimit_nofile") == "64:128" and r.one("rlimit_fsize") == "1048576:1048576" and r.one("rlimit_core") == "0:0", r


def cases(s, c, who):
    for f in (state, files, programs, unhidable, signals_in, explained, filter_same, tcp, daemon_dies, launcher_killed, forwarded, statuses, not_found, stdin_file,
              two_runs, rlimits):
        s.case("%s-never/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
