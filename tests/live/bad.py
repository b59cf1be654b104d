"""Live: bad input. Each must end with 125, name key, place and remedy, run nothing, leave nothing.
Runs in: the test process."""
import os
import subprocess

from harness import Skip, landlock_abi, wait_until


def refused(s, c, opts, *needles, **kw):
    kw.setdefault("cwd", "/")
    r = s.run(c, opts, [s.inside, "say", "ran", "1"], **kw)
    assert r.status == 125 and "ran=1" not in r.out, r
    for n in needles:
        assert n in r.err, "the message doesn't name %r: %s" % (n, r)
    assert r.err.startswith("hutch: "), r
    return r


def policy(s, c, text, *needles, name="p.hutch"):
    path = os.path.join(s.scratch, name)
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    c.own(s.scratch)
    return refused(s, c, ["--policy", path], *needles)


def policy_unknown_key(s, c):
    policy(s, c, "# fine\nhostname = a\nrw-pathes = /x\n", "p.hutch:3", "rw-pathes")


def policy_near_key(s, c):
    policy(s, c, "hostnam = a\n", "p.hutch:1", "hostname")


def policy_duplicate(s, c):
    policy(s, c, "hostname = a\n\nhostname = b\n", "p.hutch:3", "hostname")


def policy_bad_value(s, c):
    policy(s, c, "system = yes\nproc = sometimes\n", "p.hutch:2", "proc", "synthetic")
    policy(s, c, "tmp-size = 12Q\n", "p.hutch:1", "tmp-size")
    policy(s, c, "rlimit-nofile = -1\n", "p.hutch:1", "rlimit-nofile")
    policy(s, c, "tmp-inodes = 1\n", "p.hutch:1", "tmp-inodes")
    policy(s, c, "ro = relative/../..//:also/relative\n", "p.hutch:1", "ro")


def policy_contradiction(s, c):
    policy(s, c, "ro = /usr:/x\nrw = /etc:/x\n", "p.hutch:2", "/x")
    policy(s, c, "proc = bind\n", "proc", "pidns")
    policy(s, c, "chroot = yes\n", "p.hutch:1", "rootfs")
    policy(s, c, "utsns = host\nhostname = x\n", "p.hutch", "hostname")


def policy_syntax(s, c):
    policy(s, c, "just words\n", "p.hutch:1")
    policy(s, c, "file = /x <<END\nnever ended\n", "p.hutch:1", "END")
    policy(s, c, b"hostname = a\0b\n", "p.hutch:1")
    policy(s, c, b"\xff\xfe\0h\0", "p.hutch:1")


def policy_include_cycle(s, c):
    path = os.path.join(s.scratch, "a.hutch")
    with open(path, "w") as f:
        f.write("include = b.hutch\n")
    with open(os.path.join(s.scratch, "b.hutch"), "w") as f:
        f.write("include = a.hutch\n")
    c.own(s.scratch)
    refused(s, c, ["--policy", path], "hutch:1", "include")


def policy_include_missing(s, c):
    policy(s, c, "include = nowhere.hutch\n", "p.hutch:1", "nowhere.hutch")


def policy_unreadable(s, c):
    path = os.path.join(s.scratch, "u.hutch")
    with open(path, "w") as f:
        f.write("hostname = a\n")
    c.own(s.scratch)
    refused(s, c, ["--policy", s.scratch], s.scratch)
    refused(s, c, ["--policy", os.path.join(s.scratch, "none")], "none")
    if not c.root:
        os.chmod(path, 0)
        refused(s, c, ["--policy", path], "u.hutch")


def policy_good(s, c):
    """The control of the cases above: the same shape without the mistake runs."""
    path = os.path.join(s.scratch, "good.hutch")
    with open(path, "w") as f:
        f.write("# a comment\n\ninclude = strict\nhostname = good   # after blanks\nrlimit-nofile = 64\nenv = A=1\nenv = B=2\n")
    c.own(s.scratch)
    r = s.see(c, ["--policy", path], "uts", "rlimit nofile", "env", cwd="/")
    assert r.one("hostname") == "good" and r.one("rlimit_nofile") == "64:64" and {"A=1", "B=2"} <= set(r.all("env")), r
    r = s.see(c, ["--policy", path, "--hostname=line"], "uts", cwd="/")
    assert r.one("hostname") == "line", "the command line wins over a file: %s" % r


def options(s, c):
    refused(s, c, ["--no-such-option"], "no-such-option")
    refused(s, c, ["--hostnam=x"], "hostname")
    refused(s, c, ["--hostname=a", "--hostname=b"], "hostname", "argv[")
    refused(s, c, ["--proc=perhaps"], "proc", "argv[")
    refused(s, c, ["--preset=nothing"], "nothing", "strict")
    refused(s, c, ["--net=/etc/passwd"], "net", "/etc/passwd")
    refused(s, c, ["--rlimit-core=5:1"], "rlimit-core")
    refused(s, c, ["--umask=9"], "umask")
    refused(s, c, ["--env==x"], "env")
    refused(s, c, ["--fd=1x"], "fd")
    refused(s, c, ["--tcp-connect=70000"], "tcp-connect", "70000")
    refused(s, c, ["--seccomp=/no/such/profile"], "/no/such/profile")
    refused(s, c, ["--user=no:body"], "user")
    refused(s, c, ["--map=a:b"], "map")
    refused(s, c, ["--tmpfs=/t:size=zero"], "tmpfs")
    refused(s, c, ["--time-monotonic=soon"], "time-monotonic")


def no_command(s, c):
    for argv in ([s.hutch, "run"], [s.hutch, "run", "--"], [s.hutch, "run", "--hostname=x", "--"]):
        r = s.run(c, [], [], raw=argv, cwd="/")
        assert r.status == 125 and "hutch run" in r.err, r
    r = s.run(c, [], [], raw=[s.hutch, "rum", "--", "true"], cwd="/")
    assert r.status in (2, 125) and "rum" in r.err, r
    r = s.run(c, [], [""], cwd="/")
    assert r.status in (125, 127) and r.err, r


def source_missing(s, c):
    for opt in ("--ro", "--rw"):
        refused(s, c, [opt, "/no/such/source:/x"], "/no/such/source", "argv[")
    refused(s, c, ["--rootfs", "/no/such/tree"], "/no/such/tree")
    refused(s, c, ["--device", "/dev/no-such-device"], "/dev/no-such-device")
    refused(s, c, ["--file-fd", "555:/x"], "555")


def source_unreadable(s, c):
    if c.root:
        raise Skip("root reads everything")
    d = os.path.join(s.scratch, "closed")
    os.makedirs(os.path.join(d, "in"))
    os.chown(d, 0, 0) if os.geteuid() == 0 else None
    os.chmod(d, 0o700 if os.geteuid() == 0 else 0)
    try:
        refused(s, c, ["--ro", d + "/in:/x"], d)
    finally:
        os.chmod(d, 0o755)


def userns_refused(s, c):
    """A host that refuses user namespaces: shown by a user namespace whose own limit is 0."""
    if c.root:
        raise Skip("the limit of the host's root is the host's own: not touched")
    shell = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"'
    base = ["unshare", "-U", "--map-current-user", "--keep-caps", "sh", "-c", shell, "sh"]
    probe = subprocess.run([*base, "true"], **c.popen_args(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if probe.returncode != 0:
        raise Skip("max_user_namespaces can't be lowered in a namespace here: %s" % probe.stderr.decode().strip())
    r = s.run(c, [], [], raw=[*base, *s.argv([], [s.inside, "say", "ran", "1"])], cwd="/")
    assert r.status == 125 and "ran" not in r.out and "max_user_namespaces" in r.err and "--userns=never" in r.err, r
    for mode in ("try", "never"):
        r = s.run(c, [], [], raw=[*base, *s.argv(["--userns=" + mode], [s.inside, "nnp", ",", "seccomp"])], cwd="/")
        if landlock_abi() < 1:
            assert r.status == 125 and "nnp" not in r.out and "E0586" in r.err, "without Landlock nothing is left to confine by: %s" % r
            continue
        assert r.status == 0 and r.one("nnp") == "1" and r.one("seccomp") == "2", (mode, r)


def rootless_container(s, c):
    """uid 0 of a user namespace that maps one id, as in a rootless container: it runs, or the message names what is in the way."""
    if c.root:
        raise Skip("shown by the ordinary user")
    r = s.run(c, [], [], raw=["unshare", "-Urm", *s.argv([], [s.inside, "nnp", ",", "seccomp", ",", "caps"])], cwd="/")
    if r.status == 0:
        assert r.one("nnp") == "1" and r.one("seccomp") == "2" and int(r.one("cap_prm"), 16) == 0, r
    else:
        assert r.status == 125 and "nnp" not in r.out and ("uid_map" in r.err or "user namespace" in r.err), r


def calls_filtered(s, c):
    """The surroundings filter openat2 or clone3: works the same by another way, or is refused with the reason."""
    for name in ("openat2", "clone3", "open_tree", "mount_setattr", "close_range", "pidfd_open"):
        p = [s.deny, name, "ENOSYS"]
        r = s.run(c, [], [], raw=[*p, *s.argv([], [s.inside, "nnp", ",", "caps", ",", "create", "/usr", ",", "fds", ",", "seccomp"])], cwd="/")
        if r.status == 0:
            assert r.one("nnp") == "1" and int(r.one("cap_prm"), 16) == 0 and r.one("create:/usr") != "ok" and r.one("seccomp") == "2", (name, r)
            assert [x.split("|")[0] for x in r.all("fd")] == ["0", "1", "2"], (name, r)
        else:
            assert r.status == 125 and r.err and "nnp" not in r.out, (name, r)
        r = s.run(c, [], [], raw=[s.deny, name, "EPERM", *s.argv([], [s.inside, "nnp", ",", "create", "/usr"])], cwd="/")
        assert r.status == 125 and r.err and "nnp" not in r.out or r.status == 0 and r.one("nnp") == "1" and r.one("create:/usr") != "ok", (name, r)


def cases(s, c, who):
    s.deny = s.deny if hasattr(s, "deny") else s.compile("denycall", "tests/lib", ["denycall.c"])
    for f in (policy_unknown_key, policy_near_key, policy_duplicate, policy_bad_value, policy_contradiction, policy_syntax, policy_include_cycle,
              policy_include_missing, policy_unreadable, policy_good, options, no_command, source_missing, source_unreadable, userns_refused, rootless_container, calls_filtered):
        s.case("%s/bad/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
