"""Live: capabilities, no_new_privs, limits, system call filters, Landlock.
Runs in: the test process."""
import errno
import json
import os
import platform
import socket
import struct

from harness import Skip, landlock_abi

SETS = ("inh", "prm", "eff", "bnd", "amb")


def sets(r):
    return {k: int(r.one("cap_" + k), 16) for k in SETS}


def caps_none(s, c):
    for opts in ([], ["--map=root"], ["--map=123:456"]):
        r = s.see(c, opts, "caps", "nnp")
        assert set(sets(r).values()) == {0}, r
        assert r.one("securebits") == "0xaf", r
        assert r.one("nnp") == "1", r


def caps_keep(s, c):
    bit = 1 << 10     # net_bind_service
    r = s.see(c, ["--caps=net_bind_service"], "caps", "nnp", ["bind", "80"])
    assert sets(r) == {"inh": bit, "prm": bit, "eff": bit, "bnd": bit, "amb": bit}, r
    assert r.one("bind:80") == "ok" and r.one("nnp") == "1", r
    r = s.see(c, ["--caps=net_bind_service,chown"], "caps")
    assert sets(r)["prm"] == bit | 1, r
    r = s.see(c, ["--caps=net_bind_service", "--ambient=no", "--map=root"], "caps")
    assert sets(r)["amb"] == 0, r
    r = s.run(c, ["--caps=net_bind_servce"], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "net_bind_servce" in r.err and "caps" in r.err, r
    r = s.see(c, [], ["bind", "80"])
    if open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read().strip() == "1024":
        assert r.one("bind:80") in ("EACCES", "ok"), r


def securebits(s, c):
    r = s.see(c, ["--securebits=none"], "caps")
    assert r.one("securebits") == "0x0", r
    r = s.see(c, ["--securebits=noroot,noroot-locked"], "caps")
    assert r.one("securebits") == "0x3", r
    r = s.see(c, ["--map=root", "--caps=chown"], "caps", ["spawn", s.inside, "caps"])
    assert r.all("cap_prm") == ["0000000000000001"] * 2, "uid 0 gains nothing by exec: %s" % r


def nnp(s, c):
    r = s.run(c, ["--no-new-privs=no"], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "no-new-privs" in r.err and "ran" not in r.out, "with the default filter it can't be had: %s" % r
    r = s.run(c, ["--no-new-privs=no", "--seccomp=none", "--landlock=off"], [s.inside, "nnp", ",", "caps"])
    if c.root:
        assert r.status == 0 and r.one("nnp") == "0" and int(r.one("cap_prm"), 16) == 0, r
    else:
        assert r.status == 125 and "no-new-privs" in r.err and "root" in r.err and not r.out, r


LIMITS = {"as": "4G", "core": "4096", "cpu": "100", "data": "2G", "fsize": "1M", "locks": "50", "memlock": "32K", "msgqueue": "4096", "nice": "0",
          "nofile": "64:128", "nproc": "50", "rss": "1G", "rtprio": "0", "rttime": "1000000", "sigpending": "32", "stack": "4M"}
UNIT = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def number(text):
    return str(int(text[:-1]) * UNIT[text[-1]]) if text[-1] in UNIT else text


def rlimits(s, c):
    opts, want = [], {}
    for name, value in LIMITS.items():
        opts.append("--rlimit-%s=%s" % (name, value))
        parts = [number(v) for v in value.split(":")]
        want[name] = "%s:%s" % (parts[0], parts[-1])
    assert len(want) == 16
    r = s.see(c, opts, "rlimit")
    got = {n: r.one("rlimit_" + n) for n in want}
    assert got == want, {n: (got[n], want[n]) for n in want if got[n] != want[n]}
    r = s.see(c, ["--rlimit-fsize=64K"], "rlimit fsize", "rlimit core")
    assert r.one("rlimit_core") == "0:0", r
    r = s.run(c, ["--rlimit-fsize=64K"], [s.inside, "fill", "/tmp", "1000000"])
    assert r.status == 128 + 25 or r.facts.get("fill:/tmp", ["x"])[0].endswith("EFBIG"), r
    r = s.see(c, ["--rlimit-as=200M"], "memory 1000000000")
    done, why = r.one("memory").split("|")
    assert why == "ENOMEM" and int(done) < 200 << 20, r
    r = s.run(c, ["--rlimit-cpu=1:1"], [s.inside, "cpu", "10"])
    assert r.status in (128 + 24, 128 + 9), r
    r = s.see(c, ["--rlimit-nofile=host", "--rlimit-stack=unlimited"] if os.geteuid() == 0 else ["--rlimit-nofile=host"], "rlimit")
    assert r.one("rlimit_nofile").split(":")[1].isdigit(), r
    if not c.root:
        r = s.run(c, ["--rlimit-nofile=100000000:100000000"], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and "nofile" in r.err and "ran" not in r.out, r


def nproc(s, c):
    r = s.see(c, ["--rlimit-nproc=12"], "fork 60")
    made, why = r.one("fork").split("|")
    assert why == "EAGAIN" and int(made) < 12, r


DENIED = {"unshare": "0x10000000", "mount": "@a @/tmp @tmpfs 0 0", "umount2": "@/tmp 2", "pivot_root": "@/ @/", "setns": "0 0", "kexec_load": "0 0 0 0",
          "init_module": "buf 0 @", "bpf": "0 buf 0", "perf_event_open": "buf 0 -1 -1 0", "keyctl": "0 -3 0", "add_key": "@user @x @y 1 -3", "userfaultfd": "0",
          "reboot": "0 0 0", "swapon": "@/x 0", "open_by_handle_at": "-1 buf 0", "io_uring_setup": "1 buf", "syslog": "3 buf 10", "acct": "0",
          "fsopen": "@tmpfs 0", "open_tree": "-100 @/ 1", "move_mount": "-1 @ -1 @ 0", "mount_setattr": "-100 @/ 0 buf 32", "chroot": "@/",
          "quotactl": "0 0 0 0", "settimeofday": "0 0", "clock_settime": "0 buf", "pidfd_getfd": "0 0 0", "personality": "0x400000"}


def filter_default(s, c):
    r = s.see(c, [], "seccomp", *["rs %s %s" % x for x in DENIED.items()], "rs clone3 buf 88", "rs 999 0", "rs getpid", "status Seccomp", "socket 16 3 0", "socket 40 1 0", "socket 2 1 0")
    assert r.one("seccomp") == "2", r
    for name in DENIED:
        got = r.one("rs:" + name).split()
        assert got[0] == "-1" and got[1] in ("EPERM", "ENOSYS", "EACCES"), "%s gave %s" % (name, got)
    assert r.one("rs:unshare").split()[1] == "EPERM" and r.one("rs:mount").split()[1] == "EPERM", r
    assert r.one("rs:clone3") == "-1 ENOSYS" and r.one("rs:999") == "-1 ENOSYS", r
    assert r.one("socket:40") != "ok" and r.one("socket:2") == "ok", r


def filter_strict(s, c):
    r = s.see(c, ["--seccomp=strict"], "seccomp", *["rs %s %s" % x for x in DENIED.items()], "rs ptrace 0 0 0 0", "rs clone3 buf 88")
    assert r.one("seccomp") == "2", r
    assert all(r.one("rs:" + n).startswith("-1") for n in DENIED) and r.one("rs:ptrace").startswith("-1"), r


def filter_none(s, c):
    """The control of the cases above: without a filter the same calls get to the kernel."""
    r = s.see(c, ["--seccomp=none"], "seccomp", "rs getpid", "rs clone3 buf 88", "rs personality 0x400000", "rs unshare 0")
    assert r.one("seccomp") == "0" and r.one("rs:clone3").split()[1] != "ENOSYS" and not r.one("rs:personality").startswith("-1"), r


def profile(s, name, body):
    path = os.path.join(s.scratch, name)
    with open(path, "w") as f:
        json.dump(body, f)
    return path


def filter_json(s, c):
    arch = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[platform.machine()]
    deny = profile(s, "deny.json", {"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": arch, "subArchitectures": []}], "syscalls": [
        {"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42},
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]})
    c.own(s.scratch)
    r = s.see(c, ["--seccomp", deny], "seccomp", "rs uname buf", "rs personality 8", "rs personality 0", "rs getppid", "rs umask 0", "status Seccomp_filters")
    assert r.one("rs:uname") == "-1 E42", r
    assert r.all("rs:personality") == ["-1 EPERM", "0 0"], r
    assert not r.one("rs:getppid").startswith("-1") and r.one("rs:umask") == "-1 EPERM", r
    r = s.run(c, ["--seccomp", profile(s, "bad.json", {"defaultAction": "SCMP_ACT_WHATEVER"})], [s.inside, "say", "ran", "1"])
    assert r.status == 125 and "bad.json" in r.err and "ran" not in r.out, r


def bpf(*rows):
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def deny_one(number, err):
    return bpf((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | err), (0x06, 0, 0, 0x7fff0000))


NR_UNAME = {"x86_64": 63, "aarch64": 160}.get(platform.machine())


def filter_raw(s, c):
    path = os.path.join(s.scratch, "raw.bpf")
    with open(path, "wb") as f:
        f.write(deny_one(NR_UNAME, errno.EXDEV))
    c.own(s.scratch)
    r = s.see(c, ["--seccomp", path], "rs uname buf", "rs getpid", "seccomp")
    assert r.one("rs:uname") == "-1 EXDEV" and not r.one("rs:getpid").startswith("-1") and r.one("seccomp") == "2", r
    for name, data in (("short.bpf", b"\x06\0\0\0\0"), ("jump.bpf", bpf((0x15, 200, 200, 1), (0x06, 0, 0, 0x7fff0000))), ("noret.bpf", bpf((0x20, 0, 0, 0)))):
        path = os.path.join(s.scratch, name)
        with open(path, "wb") as f:
            f.write(data)
        r = s.run(c, ["--seccomp", path], [s.inside, "say", "ran", "1"])
        assert r.status == 125 and name in r.err and "ran" not in r.out, r


def filter_stack(s, c):
    path = os.path.join(s.scratch, "one.bpf")
    with open(path, "wb") as f:
        f.write(deny_one(NR_UNAME, errno.EXDEV))
    c.own(s.scratch)
    r = s.see(c, ["--seccomp=default", "--seccomp", path], "rs uname buf", "rs unshare 0x10000000", "rs clone3 buf 88", "status Seccomp_filters")
    assert r.one("rs:uname") == "-1 EXDEV" and r.one("rs:unshare").startswith("-1 EPERM") and r.one("rs:clone3") == "-1 ENOSYS", r
    assert int(r.one("Seccomp_filters")) >= 2, r


def landlock_files(s, c):
    if landlock_abi() < 1:
        raise Skip("this kernel has no Landlock")
    d = os.path.join(s.scratch, "d")
    os.mkdir(d)
    open(d + "/f", "w").close()
    c.own(s.scratch)
    os.chmod(d, 0o777)
    os.chmod(d + "/f", 0o666)
    r = s.see(c, ["--landlock=files", "--rw", d + ":/w"], "write /w/f", "create /w /tmp", "read /etc/passwd /usr/bin/env", "create /etc", ["spawn", "/bin/true"], cwd="/")
    assert r.one("write:/w/f") == r.one("create:/w") == r.one("create:/tmp") == r.one("read:/etc/passwd") == "ok", r
    assert r.one("create:/etc") in ("EROFS", "EACCES") and r.one("spawn:/bin/true") == "status 0", r
    r = s.run(c, ["--landlock=files"], ["sh", "-c", "echo $((6*7)) >/tmp/x && cat /tmp/x && python3 -c 'print(1)'"], cwd="/")
    assert r.status == 0 and r.out.startswith("42"), r


def tcp(s, c, mode=()):
    if landlock_abi() < 4:
        raise Skip("Landlock of this kernel has no TCP rules")
    l = [socket.socket() for _ in range(2)]
    for x in l:
        x.bind(("127.0.0.1", 0))
        x.listen(5)
    a, b = (str(x.getsockname()[1]) for x in l)
    try:
        r = s.see(c, [*mode, "--net=host", "--tcp-connect=" + a], ["connect", a, b])
        assert r.one("connect:" + a) == "ok" and r.one("connect:" + b) == "EACCES", r
        r = s.see(c, [*mode, "--net=host"], ["connect", a, b])
        assert r.one("connect:" + b) == "ok", "control: %s" % r
        r = s.see(c, [*mode, "--net=host", "--tcp-connect=none"], ["connect", a, b])
        assert r.one("connect:" + a) == r.one("connect:" + b) == "EACCES", r
        for x in l:
            x.close()
        r = s.see(c, [*mode, "--net=host", "--tcp-bind=" + a], ["bind", a, b])
        assert r.one("bind:" + a) == "ok" and r.one("bind:" + b) == "EACCES", r
        r = s.see(c, [*mode, "--net=host", "--tcp-bind=none"], ["bind", a, b])
        assert r.one("bind:" + a) == r.one("bind:" + b) == "EACCES", r
    finally:
        for x in l:
            x.close()


def signal_scope(s, c):
    """With the host's pid namespace the scope of Landlock is what keeps signals in."""
    if landlock_abi() < 6:
        raise Skip("Landlock of this kernel has no scopes")
    import subprocess
    p = subprocess.Popen(["sleep", "30"], **c.popen_args())
    try:
        r = s.see(c, ["--pidns=host", "--proc=bind"], ["kill", str(p.pid), "0"])
        assert r.one("kill:%d" % p.pid) == "EPERM", r
        if not c.root:
            r = s.see(c, ["--pidns=host", "--proc=bind", "--landlock=off"], ["kill", str(p.pid), "0"])
            assert r.one("kill:%d" % p.pid) == "ok", "control: without Landlock it must succeed: %s" % r
    finally:
        p.kill()
        p.wait()


def cases(s, c, who):
    for f in (caps_none, caps_keep, securebits, nnp, rlimits, nproc, filter_default, filter_strict, filter_none, filter_json, filter_raw, filter_stack, landlock_files,
              tcp, signal_scope):
        s.case("%s/privilege/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
