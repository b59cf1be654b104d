"""Live: the view of the files: binds, tmpfs, masks, /dev, /proc, /sys, root trees, odd names.
Runs in: the test process."""
import os
import re
import shutil
import subprocess

from harness import Skip, tree_hash


def put(path, content="x", mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(content)
    os.chmod(path, mode)
    return path


def tree(s, c):
    """d/{f,secret,sub/g}: world-writable, so that only the sandbox can be what refuses."""
    d = os.path.join(s.scratch, "d")
    put(d + "/f", "file", 0o666)
    put(d + "/secret", "hidden", 0o666)
    put(d + "/sub/g", "deep", 0o666)
    c.own(s.scratch)
    for base, _, _ in os.walk(d):
        os.chmod(base, 0o777)
    return d


def ro(s, c):
    d = tree(s, c)
    r = s.see(c, ["--ro", d + ":/data"], "cat /data/f /data/sub/g", "write /data/f", "create /data /data/sub", "statfs /data", "rename /data/f /data/n", cwd="/")
    assert r.one("cat:/data/f") == "file" and r.one("cat:/data/sub/g") == "deep", r
    assert r.one("write:/data/f") == r.one("create:/data") == r.one("create:/data/sub") == r.one("rename:/data/f") == "EROFS", r
    assert r.one("statfs:/data").endswith("ro,nosuid,nodev"), r


def rw(s, c):
    d = tree(s, c)
    r = s.see(c, ["--rw", d + ":/data"], ["put", "/data/f", "+more"], "create /data/sub", ["put", "/data/new", "made inside"], "statfs /data", cwd="/", writes=True)
    assert r.one("put:/data/f") == r.one("create:/data/sub") == r.one("put:/data/new") == "ok", r
    assert r.one("statfs:/data").endswith("rw,nosuid,nodev"), r
    with open(d + "/f") as f:
        assert f.read() == "file+more"
    owner = os.stat(d + "/new").st_uid
    assert owner == c.uid if not c.root else True, owner


def same_path(s, c):
    d = tree(s, c)
    r = s.see(c, ["--ro", d], ["cat", d + "/f"], "ls " + s.scratch, cwd="/")
    assert r.one("cat:%s/f" % d) == "file", r
    assert r.one("ls:" + s.scratch) == "d", "siblings are visible or the parent isn't: %s" % r


def single_file(s, c):
    d = tree(s, c)
    r = s.see(c, ["--ro", d + "/f:/x/only", "--rw", d + "/sub/g:/x/both"], "cat /x/only", "write /x/only /x/both", "ls /x", cwd="/")
    assert r.one("cat:/x/only") == "file" and r.one("write:/x/only") == "EROFS" and r.one("write:/x/both") == "ok", r
    assert r.one("ls:/x") == "both,only", r


def optional(s, c):
    d = tree(s, c)
    r = s.see(c, ["--ro", "?" + d + "/none:/none", "--ro", "?" + d + "/f:/there"], "read /none /there", cwd="/")
    assert r.one("read:/none") == "ENOENT" and r.one("read:/there") == "ok", r
    r = s.run(c, ["--ro", d + "/none:/none"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status == 125 and d + "/none" in r.err and "?" in r.err and "ran" not in r.out, r


def specific(s, c):
    """The most specific rule wins, whatever the order."""
    d = tree(s, c)
    for opts in (["--rw", d + ":/w", "--ro", d + "/sub:/w/sub"], ["--ro", d + "/sub:/w/sub", "--rw", d + ":/w"]):
        r = s.see(c, opts, "write /w/f /w/sub/g", "create /w/sub /w", cwd="/")
        assert r.one("write:/w/f") == "ok" and r.one("write:/w/sub/g") == "EROFS", r
        assert r.one("create:/w/sub") == "EROFS" and r.one("create:/w") == "ok", r
    for opts in (["--ro", d + ":/w", "--rw", d + "/sub:/w/sub"], ["--rw", d + "/sub:/w/sub", "--ro", d + ":/w"]):
        r = s.see(c, opts, "write /w/f /w/sub/g", "create /w/sub /w", cwd="/")
        assert r.one("write:/w/f") == "EROFS" and r.one("write:/w/sub/g") == "ok", r


def rename_ancestor(s, c):
    """A protected path can't be moved away by renaming what is above it."""
    d = tree(s, c)
    put(d + "/p/q/keep", "kept", 0o666)
    c.own(s.scratch)
    for base, _, _ in os.walk(d):
        os.chmod(base, 0o777)
    r = s.see(c, ["--rw", d + ":/w", "--ro", d + "/p/q:/w/p/q"], "rename /w/p /w/o", "rename /w/p/q /w/p/o", "write /w/p/q/keep", cwd="/")
    assert r.one("rename:/w/p") != "ok" and r.one("rename:/w/p/q") != "ok" and r.one("write:/w/p/q/keep") == "EROFS", r


def contradiction(s, c):
    d = tree(s, c)
    r = s.run(c, ["--ro", d + ":/a", "--rw", d + "/sub:/a"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status == 125 and "/a" in r.err and "argv" in r.err and "ran" not in r.out, r


def alias(s, c):
    d = tree(s, c)
    r = s.run(c, ["--ro", d + "/f:/a/f", "--rw", d + ":/b"], [s.inside, "write", "/b/f"], cwd="/")
    assert r.status == 125 or r.one("write:/b/f") != "ok", "the stricter right was dodged under another name: %s" % r


def recursive_ro(s, c):
    d = tree(s, c)
    os.mkdir(d + "/m")
    if os.geteuid() != 0:
        script = 'mount -t tmpfs t "$1/m" && echo x >"$1/m/h" && chmod 777 "$1/m" && shift && exec "$@"'
        argv = ["unshare", "-rm", "sh", "-c", script, "sh", d, *s.argv(["--ro", d + ":/data"], [s.inside, "create", "/data/m", ",", "cat", "/data/m/h"])]
        r = s.run(c, [], [], raw=argv, cwd="/")
    else:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "t", d + "/m"], check=True)
        try:
            put(d + "/m/h", "below", 0o666)
            r = s.run(c, ["--ro", d + ":/data"], [s.inside, "create", "/data/m", ",", "cat", "/data/m/h", ",", "statfs", "/data/m"], cwd="/")
        finally:
            subprocess.run(["umount", d + "/m"], check=True)
    assert r.status == 0 and r.one("create:/data/m") == "EROFS" and r.one("cat:/data/m/h") != "!ENOENT", r


def tmpfs(s, c):
    r = s.see(c, ["--tmpfs", "/t:size=1M,inodes=20,mode=0700", "--tmpfs", "/n:noexec", "--tmp-size=2M", "--tmp-inodes=100"],
              "fill /t 5000000", "inodes /t 500", "stat /t", "fill /n 9000000", "fill /tmp 9000000", "inodes /tmp 500", "statfs /n /t", cwd="/")
    size, why = r.one("fill:/t").split("|")
    assert why == "ENOSPC" and 900000 <= int(size) <= 1048576, r
    count, why = r.one("inodes:/t").split("|")
    assert why == "ENOSPC" and int(count) <= 20, r
    assert r.one("stat:/t").split("|")[1] == "0700", r
    assert r.one("fill:/n").split("|") [1] == "ENOSPC" and int(r.one("fill:/n").split("|")[0]) <= 2 << 20, r
    assert r.one("fill:/tmp").split("|") [1] == "ENOSPC" and int(r.one("inodes:/tmp").split("|")[0]) <= 100, r
    assert "noexec" in r.one("statfs:/n") and "noexec" not in r.one("statfs:/t"), r


def made(s, c):
    """Directories, links, files from text, files from a descriptor."""
    rd, wr = os.pipe()
    os.write(wr, b"from a descriptor")
    os.close(wr)
    try:
        r = s.see(c, ["--dir", "/d/e:mode=0711", "--symlink", "target/of:/d/l", "--file", "/d/t=some text", "--file-fd", "%d:/d/fd" % rd],
                  "stat /d/e", "create /d/e /d", "link /d/l", "cat /d/t /d/fd", "write /d/t /d/fd", "fds", cwd="/", fds=(rd,))
    finally:
        os.close(rd)
    assert r.one("stat:/d/e").startswith("dir|0711"), r
    assert r.one("create:/d/e") != "ok" and r.one("create:/d") != "ok", r
    assert r.one("link:/d/l") == "target/of", r
    assert r.one("cat:/d/t") == "some text" and r.one("cat:/d/fd") == "from a descriptor", r
    assert r.one("write:/d/t") != "ok" and r.one("write:/d/fd") != "ok", r
    assert [f.split("|")[0] for f in r.all("fd")] == ["0", "1", "2"], r


def heredoc(s, c):
    policy = put(s.scratch + "/p.hutch", "file = /etc/app.conf <<END\nline one\n  # no comment here\nEND\nhostname = from-file\n")
    c.own(s.scratch)
    r = s.see(c, ["--policy", policy], "cat /etc/app.conf", "uts", cwd="/")
    assert r.one("cat:/etc/app.conf") == "line one\\x0a  # no comment here\\x0a" and r.one("hostname") == "from-file", r


def machine_id(s, c):
    """Another number in each run, none of them the host's; the host's or a given one where asked for."""
    def one(*opts):
        return s.see(c, list(opts), "cat /etc/machine-id", "write /etc/machine-id", cwd="/").one("cat:/etc/machine-id").removesuffix("\\x0a")
    seen = {one() for _ in range(3)}
    assert len(seen) == 3 and all(len(n) == 32 and set(n) <= set("0123456789abcdef") and n[12] == "4" and n[16] in "89ab" for n in seen), seen
    given = "0123456789abcdef0123456789abcdef"
    assert one("--machine-id", given) == given and one("--file", "/etc/machine-id=mine") == "mine"
    if os.path.exists("/etc/machine-id"):
        host = open("/etc/machine-id").read().strip()
        assert host not in seen and one("--machine-id", "host") == host
    for opts, word in ((["--machine-id", "0123"], "E0101"), (["--machine-id", given.upper()], "E0101"), (["--machine-id", given, "--preset", "view"], "E0103"),
                       (["--machine-id", given, "--userns", "never"], "E0103")):
        r = s.run(c, opts, ["true"], cwd="/")
        assert r.status == 125 and word in r.err, r


def resolver(s, c):
    """No network: a name fails at once, whatever it is. The host's network: the host's file, through all its links."""
    look = "import socket, time\nt = time.time()\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError as e: print('none', time.time() - t < 5)"
    r = s.run(c, [], ["/usr/bin/python3", "-c", look], cwd="/")
    assert r.out.strip() == "none True", r
    r = s.see(c, [], "cat /etc/resolv.conf", cwd="/")
    assert "nameserver 127.0.0.1" in r.one("cat:/etc/resolv.conf"), r
    if os.path.exists("/etc/resolv.conf"):
        r = s.run(c, ["--net=host"], ["cat", "/etc/resolv.conf"], cwd="/")
        assert r.status == 0 and r.out == open("/etc/resolv.conf").read(), r
    r = s.see(c, ["--file", "/etc/resolv.conf=mine"], "cat /etc/resolv.conf", cwd="/")
    assert r.one("cat:/etc/resolv.conf") == "mine", r


def mask(s, c):
    d = tree(s, c)
    r = s.see(c, ["--rw", d + ":/w", "--mask", "/w/secret", "--mask", "/w/sub"], "cat /w/secret /w/f", "write /w/secret", "ls /w/sub", "read /w/sub/g",
              "create /w/sub", "rename /w/secret /w/other", "rename /w/sub /w/sub2", cwd="/")
    assert r.one("cat:/w/f") == "file" and "hidden" not in r.one("cat:/w/secret"), r
    assert r.one("write:/w/secret") != "ok" and r.one("read:/w/sub/g") != "ok" and r.one("create:/w/sub") != "ok", r
    assert r.one("ls:/w/sub") in ("", "!EACCES"), r
    assert r.one("rename:/w/secret") != "ok" and r.one("rename:/w/sub") != "ok", r


DEV_NODES = ["/dev/" + n for n in ("null", "zero", "full", "random", "urandom", "tty")]


def flags(s, c):
    d = tree(s, c)
    shutil.copy(s.inside, d + "/prog")
    os.chmod(d + "/prog", 0o755)
    r = s.see(c, ["--ro", d + ":/x:noexec", "--ro", d + ":/y"], ["spawn", "/x/prog", "exit", "5"], ["spawn", "/y/prog", "exit", "5"],
              "mapexec /x/prog /y/prog", "mounts", cwd="/")
    assert r.one("spawn:/y/prog") == "status 5" and r.one("mapexec:/y/prog") == "ok", r
    assert r.one("spawn:/x/prog") != "status 5" and r.one("exec:/x/prog") == "EACCES" and r.one("mapexec:/x/prog") == "EPERM", r
    for m in r.all("mount"):
        point, _, opts, _ = m.split("|")
        opts = opts.split(",")
        if point in DEV_NODES:        # each a single device file
            continue
        assert "nosuid" in opts, "without nosuid: %s" % m
        assert "nodev" in opts or point == "/dev" or point.startswith("/dev/"), "without nodev: %s" % m


def root_is_ro(s, c):
    r = s.see(c, [], "create / /etc /usr /bin /dev /home", "mkdir /new /etc/new", "create /tmp /dev/shm /var/tmp", "mounts", cwd="/")
    for p in ("/", "/etc", "/usr", "/bin"):
        assert r.one("create:" + p) in ("EROFS", "EACCES"), r
    assert r.one("mkdir:/new") in ("EROFS", "EACCES") and r.one("create:/dev") != "ok", r
    assert r.one("create:/tmp") == "ok" and r.one("create:/dev/shm") == "ok", r
    assert not [m for m in r.all("mount") if "old" in m.split("|")[0]], r


def home(s, c):
    inside_home = c.home
    r = s.see(c, [], "env", cwd="/")
    inside_home = next(e[5:] for e in r.all("env") if e.startswith("HOME="))
    secret = os.path.join(c.home, ".hutch-secret")
    put(secret, "private", 0o644)
    if not c.root:
        c.own(secret)
    try:
        r = s.see(c, [], ["read", secret], ["ls", inside_home], ["create", inside_home], cwd="/")
        assert r.one("read:" + secret) != "ok" and r.one("ls:" + inside_home) == "" and r.one("create:" + inside_home) == "ok", r
        r = s.see(c, [], ["read", secret], cwd=c.home)
        assert r.one("read:" + secret) != "ok", "the home is shown because it is the working directory: %s" % r
        r = s.see(c, ["--ro", secret], ["cat", secret], cwd="/")
        assert r.one("cat:" + secret) == "private", r
    finally:
        os.unlink(secret)


def cwd(s, c):
    d = tree(s, c)
    r = s.see(c, [], "cwd", "cat f", "write f", "create .", cwd=d)
    assert r.one("cwd") in (d, d.replace("/var/tmp/", "/tmp/")) and r.one("cat:f") == "file" and r.one("write:f") == "EROFS" and r.one("create:.") == "EROFS", r
    r = s.see(c, ["--cwd-access=rw"], "write f", cwd=d)
    assert r.one("write:f") == "ok", r
    r = s.see(c, ["--cwd-access=none"], "cwd", ["read", d + "/f"], cwd=d)
    assert r.one("cwd") != d and r.one("read:%s/f" % d) == "ENOENT", r
    r = s.see(c, ["--cwd", "/usr"], "cwd", cwd=d)
    assert r.one("cwd") == "/usr", r
    r = s.run(c, ["--cwd", "/nowhere"], [s.inside, "say", "ran", "1"], cwd=d)
    assert r.status == 125 and "/nowhere" in r.err and "--ro" in r.err and "ran" not in r.out, r


def var_tmp(s, c):
    """/var/tmp is hutch's own inside; a program and a working directory there are shown all the same."""
    import tempfile
    d = tempfile.mkdtemp(prefix="hutch-live-", dir="/var/tmp")
    try:
        os.chmod(d, 0o755)
        shutil.copy(s.inside, d + "/prog")
        put(d + "/f", "there")
        c.own(d)
        r = s.run(c, [], ["./prog", "cat", "f", ",", "ls", "/var/tmp", ",", "create", "/var/tmp"], cwd=d)
        assert r.status == 0 and r.one("cat:f") == "there" and r.one("ls:/var/tmp") == os.path.basename(d) and r.one("create:/var/tmp") == "ok", r
        r = s.run(c, [], [d + "/prog", "say", "ran", "1"], cwd="/")
        assert r.status == 0 and r.one("ran") == "1", r
        r = s.run(c, ["--rw", d], [d + "/prog", "put", d + "/new", "x"], cwd="/")
        assert r.status == 0 and r.one("put:%s/new" % d) == "ok" and os.path.exists(d + "/new"), r
    finally:
        shutil.rmtree(d)


DEV = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


def dev(s, c):
    names = set(s.see(c, [], "ls /dev", cwd="/").one("ls:/dev").split(","))
    want = set(DEV) | {"ptmx", "pts", "shm", "fd", "stdin", "stdout", "stderr"}
    assert names == want, "too many: %s; missing: %s" % (sorted(names - want), sorted(want - names))
    r = s.see(c, [], "stat " + " ".join("/dev/" + n for n in DEV), "ls /dev/pts /dev/shm", "write /dev/null /dev/zero /dev/full", "read /dev/urandom /dev/random /dev/tty",
              "mknod /tmp/x", "read /dev/mem /dev/kmsg /dev/vda /dev/fuse", "link /dev/ptmx", cwd="/")
    for n, number in DEV.items():
        assert r.one("stat:/dev/" + n).split("|")[0] == "char" and r.one("stat:/dev/" + n).endswith("|" + number), r
    assert r.one("ls:/dev/pts") == "ptmx" and r.one("ls:/dev/shm") == "", r
    assert all(r.one("write:/dev/" + n) == "ok" for n in ("null", "zero", "full")) and r.one("read:/dev/urandom") == "ok", r
    assert r.one("read:/dev/tty") == "ENXIO" and r.one("mknod:/tmp/x") == "EPERM", r
    r = s.see(c, ["--dev=none"], "read /dev/null", "ls /dev", cwd="/")
    assert r.one("read:/dev/null") == "ENOENT", r
    r = s.see(c, ["--device=/dev/kmsg"], "stat /dev/kmsg", cwd="/") if os.path.exists("/dev/kmsg") else None
    assert r is None or r.one("stat:/dev/kmsg").startswith("char|"), r


def pty(s, c):
    r = s.run(c, [], ["python3", "-c", "import pty,os; m,t=pty.openpty(); os.write(m,b'x\\n'); print(os.ttyname(t), os.read(t,2))"])
    assert r.status == 0 and r.out.startswith("/dev/pts/0"), r


def proc(s, c):
    r = s.see(c, [], "procs", "read /proc/meminfo /proc/kcore /proc/kmsg", "write /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/sys/vm/drop_caches",
              "mounts", "ls /proc/1/fd", "read /proc/1/environ", "ls /proc/1/root/", cwd="/")
    assert r.one("procs") == "2" and r.one("read:/proc/meminfo") == "ok", r
    for p in ("sys/kernel/core_pattern", "sys/kernel/hostname", "sysrq-trigger", "sys/vm/drop_caches"):
        assert r.one("write:/proc/" + p) != "ok", r
    assert r.one("read:/proc/kcore") != "ok" or c.root is None, r
    assert r.one("ls:/proc/1/fd").startswith("!") and r.one("ls:/proc/1/root/").startswith("!"), r
    assert [m for m in r.all("mount") if m.startswith("/proc|proc|")], r


def proc_ladder(s, c):
    r = s.see(c, ["--proc=none"], "ls /proc", "read /proc/self/status", cwd="/")
    assert r.one("read:/proc/self/status") == "ENOENT", r
    r = s.see(c, ["--proc=synthetic"], "procs", "read /proc/meminfo /proc/sys/kernel/core_pattern", "write /proc/sysrq-trigger", cwd="/")
    assert int(r.one("procs")) <= 2 and r.one("write:/proc/sysrq-trigger") != "ok", r
    r = s.see(c, ["--proc=new"], "procs", cwd="/")
    assert r.one("procs") == "2", r
    r = s.see(c, ["--proc=bind", "--pidns=host"], "procs", "write /proc/sys/kernel/core_pattern /proc/sysrq-trigger", "mounts", cwd="/")
    assert int(r.one("procs")) > 2 and r.one("write:/proc/sysrq-trigger") != "ok" and r.one("write:/proc/sys/kernel/core_pattern") != "ok", r
    r = s.run(c, ["--proc=bind"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status == 125 and "proc" in r.err and "pidns" in r.err, "a foreign /proc without the shared namespace: %s" % r


def proc_options(s, c):
    r = s.see(c, ["--proc-subset=pid"], "read /proc/meminfo /proc/self/status /proc/sys/kernel/hostname", cwd="/")
    assert r.one("read:/proc/meminfo") == "ENOENT" and r.one("read:/proc/self/status") == "ok" and r.one("read:/proc/sys/kernel/hostname") == "ENOENT", r
    for value, number in (("noaccess", "1"), ("invisible", "2"), ("ptraceable", "4")):
        r = s.see(c, ["--hidepid=" + value], "mounts", "procs", cwd="/")
        line = next(m for m in r.all("mount") if m.startswith("/proc|proc|"))
        assert "hidepid=" + value in line or "hidepid=" + number in line, r


def sysfs(s, c):
    r = s.see(c, [], "read /sys /sys/kernel", cwd="/")
    assert r.one("read:/sys/kernel") == "ENOENT", r
    r = s.see(c, ["--sys=ro"], "ls /sys", "create /sys/kernel", "statfs /sys", "write /sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/uevent_helper", cwd="/")
    assert "kernel" in r.one("ls:/sys") and "ro" in r.one("statfs:/sys"), r
    for k, v in r.facts.items():
        assert not k.startswith("write:") or v != ["ok"], r


def etc(s, c):
    r = s.see(c, [], "cat /etc/passwd /etc/group /etc/hosts", "read /etc/shadow /etc/sudoers /etc/gshadow", "id", cwd="/")
    uid = r.one("uid").split(",")[0]
    assert ":%s:" % uid in r.one("cat:/etc/passwd"), r
    assert "localhost" in r.one("cat:/etc/hosts"), r
    assert all(r.one("read:/etc/" + n) != "ok" for n in ("shadow", "sudoers", "gshadow")), r
    with open("/etc/passwd") as f:
        assert f.read().count("\n") > r.one("cat:/etc/passwd").count("\\x0a"), "the host's user list is shown"


def no_system(s, c):
    r = s.see(c, ["--system=no"], "ls /", "read /usr/bin/env", cwd="/")
    assert r.one("read:/usr/bin/env") == "ENOENT" and "usr" not in r.one("ls:/").split(","), r


def busybox(s, c):
    binary = shutil.which("busybox") or (os.path.exists("/bin/busybox") and "/bin/busybox")
    if not binary:
        raise Skip("busybox-static isn't installed")
    if b"interpreter" in subprocess.run(["file", "-L", binary], stdout=subprocess.PIPE).stdout if shutil.which("file") else b"":
        raise Skip("busybox isn't static")
    root = s.scratch + "/root"
    for d in ("bin", "dev", "proc", "tmp", "etc", "root", "home", "usr", "var/tmp", "work", "run"):
        os.makedirs(root + "/" + d)
    shutil.copy(binary, root + "/bin/busybox")
    for n in ("sh", "ls", "cat", "ps", "touch", "true"):
        os.symlink("busybox", root + "/bin/" + n)
    shutil.copy(s.inside, root + "/bin/inside")
    put(root + "/etc/marker", "tree")
    c.own(root)
    return root


def need_tree(s, c):
    """A given tree as root takes mount_setattr (Linux 5.12): without it, a clear refusal."""
    if tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) < (5, 12):
        r = s.run(c, ["--rootfs", "/usr"], [s.inside, "say", "ran", "1"], cwd="/")
        assert r.status == 125 and "ran" not in r.out and "E0416" in r.err, r
        raise Skip("this kernel can't make a given tree the root (refused clearly)")


def submounts(s, c):
    """What is mounted below a read-only source is read-only too."""
    assert os.path.ismount("/dev/shm") and os.stat("/dev/shm").st_mode & 0o002, "control: not a writable mount below /dev"
    r = s.see(c, ["--ro", "/dev:/below"], "create /below/shm", cwd="/")
    assert r.one("create:/below/shm") == "EROFS", r


def rootfs(s, c):
    need_tree(s, c)
    root = busybox(s, c)
    r = s.run(c, ["--rootfs", root], ["/bin/sh", "-c", "ls /bin; cat /etc/marker; touch /x; ps"], cwd="/")
    assert "tree" in r.out and "inside" in r.out and "gcc" not in r.out, r
    r = s.run(c, ["--rootfs", root], ["inside", "create", "/", "/etc", ",", "ns", ",", "caps", ",", "nnp", ",", "ls", "/dev", ",", "procs", ",", "read", "/usr/bin/python3"], cwd="/")
    assert r.status == 0 and r.one("create:/") == "EROFS" and r.one("create:/etc") == "EROFS", r
    assert r.one("nnp") == "1" and int(r.one("cap_prm"), 16) == 0 and "null" in r.one("ls:/dev") and r.one("procs") == "2", r
    assert r.one("read:/usr/bin/python3") == "ENOENT", r


def rootfs_rw(s, c):
    need_tree(s, c)
    root = busybox(s, c)
    for d in ("", "/etc"):
        os.chmod(root + d, 0o777)
    r = s.run(c, ["--rootfs", root, "--rootfs-access=rw"], ["inside", "put", "/etc/new", "written"], cwd="/", writes=True)
    assert r.status == 0 and r.one("put:/etc/new") == "ok" and os.path.exists(root + "/etc/new"), r


def rootfs_mounts(s, c):
    """Rules on top of a tree, and none of them makes anything in it."""
    need_tree(s, c)
    root = busybox(s, c)
    d = tree(s, c)
    before = tree_hash(root)
    r = s.run(c, ["--rootfs", root, "--ro", d + ":/work", "--tmpfs", "/tmp"], ["inside", "cat", "/work/f", ",", "create", "/tmp", "/work"], cwd="/")
    assert r.status == 0 and r.one("cat:/work/f") == "file" and r.one("create:/tmp") == "ok" and r.one("create:/work") == "EROFS", r
    r = s.run(c, ["--rootfs", root, "--ro", d + ":/not/there"], ["inside", "cat", "/not/there/f"], cwd="/")
    assert r.status == 125 and "/not/there" in r.err or r.status == 0 and r.one("cat:/not/there/f") == "file", r
    assert tree_hash(root) == before, "mount points were made in the tree"


def rootfs_links(s, c):
    """A link in the tree that points out of it leads nowhere outside."""
    need_tree(s, c)
    root = busybox(s, c)
    d = tree(s, c)
    out = s.scratch + "/outside"
    os.mkdir(out)
    os.symlink(out, root + "/work/link")
    os.symlink("../../../../.." + out, root + "/work/up")
    c.own(s.scratch)
    for dst in ("/work/link", "/work/up", "/work/link/new", "/work/up/new"):
        r = s.run(c, ["--rootfs", root, "--rootfs-access=rw", "--ro", d + ":" + dst], ["inside", "read", dst], cwd="/")
        assert os.listdir(out) == [], "made outside of the tree for %s: %s" % (dst, os.listdir(out))
        assert r.status in (0, 125), r
    r = s.run(c, ["--rootfs", root], ["inside", "ls", "/work/link", "/work/up"], cwd="/")
    assert r.one("ls:/work/link").startswith("!") and r.one("ls:/work/up").startswith("!"), r


def chroot(s, c):
    need_tree(s, c)
    root = busybox(s, c)
    r = s.run(c, ["--rootfs", root, "--chroot"], ["inside", "cat", "/etc/marker", ",", "create", "/", ",", "nnp", ",", "caps", ",", "rs", "chroot", "@/"], cwd="/")
    assert r.status == 0 and r.one("cat:/etc/marker") == "tree" and r.one("create:/") == "EROFS" and r.one("nnp") == "1", r
    assert r.one("rs:chroot").startswith("-1"), r
    r = s.run(c, ["--rootfs", root, "--chroot"], ["inside", "id"], verb="explain", cwd="/")
    assert r.status == 0 and "chroot" in r.out and "pivot-root" not in r.out, r
    r = s.run(c, ["--chroot"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status == 125 and "rootfs" in r.err, r


def debian(s, c):
    root = os.environ.get("HUTCH_TEST_DEBIAN")
    if not root:
        raise Skip("HUTCH_TEST_DEBIAN names no Debian tree")
    r = s.run(c, ["--rootfs", root], ["sh", "-c", "cat /etc/debian_version; perl -e 'print 6*7'"], cwd="/", timeout=60)
    assert r.status == 0 and "42" in r.out, r


def odd_names():
    base = ["a b", "a\tb", "a\nb", "a\\b", "a\\054b", "a\\040b", "a,b", "a=b", "a'b", 'a"b', "a`b", "a$b", "a$(id)", "a;b", "a|b", "a&b", "a<b", "a>b",
            "a(b", "a)b", "a[b]", "a{b}", "a*b", "a?b", "a#b", "#a", "a%b", "%s%n", "a^b", "a~b", "~", "~root", "a!b", "a@b", "-a", "--rw", "-", " ", " a", "a ",
            "...", "..a", ".a", "a.", "a\rb", "a\x01b", "a\x1b[31mb", "a\x7fb", "\u00e9", "e\u0301", "\u4e2d\u6587", "\U0001f600", "a\udcffb", "\udc80",
            "x" * 255, "A" * 200, "con", "NUL", "a,upperdir=%2fetc", "size=1", "none", "host", "new", "0"]
    return base


def odd(s, c):
    """64 names: shown as part of a directory, and each alone as a source; always this file or a refusal, never another."""
    d = s.scratch + "/odd"
    os.mkdir(d)
    names = odd_names()
    assert len(set(names)) == 64, len(set(names))
    for i, n in enumerate(names):
        put(os.path.join(d, n, "number"), str(i), 0o644)
    c.own(s.scratch)
    r = s.run(c, ["--ro", d + ":/odd"], ["sh", "-c", "cat /odd/*/number /odd/.*/number 2>/dev/null | wc -c"], cwd="/")
    want = sum(len(str(i)) for i in range(64))
    assert r.status == 0 and int(r.out) == want, r
    refused = []
    for i, n in enumerate(names):
        r = s.run(c, ["--ro", os.path.join(d, n) + ":/one"], [s.inside, "cat", "/one/number"], cwd="/")
        if r.status == 125 and r.err:
            refused.append(n)
            continue
        assert r.status == 0 and r.one("cat:/one/number") == str(i), (n, r)
    assert not refused, "refused without need: %r" % refused


def odd_cwd(s, c):
    for i, n in enumerate(("a b\nc", "a:b", "\udcff\\040", "-x", "a,b=c")):
        d = os.path.join(s.scratch, n)
        put(d + "/number", str(i))
        c.own(s.scratch)
        r = s.run(c, [], [s.inside, "cat", "number"], cwd=d)
        assert r.status == 0 and r.one("cat:number") == str(i), (n, r)


def colon(s, c):
    """A colon in a name parts source and destination: never silently another file."""
    put(s.scratch + "/p:q/number", "colon")
    put(s.scratch + "/p/number", "other")
    c.own(s.scratch)
    r = s.run(c, ["--ro", s.scratch + "/p:q"], [s.inside, "cat", s.scratch + "/p:q/number"], cwd="/")
    assert r.status == 125 and r.err or r.one("cat:%s/p:q/number" % s.scratch) in ("colon", "!ENOENT"), r


def symlink_source(s, c):
    d = tree(s, c)
    os.symlink("d", s.scratch + "/l")
    os.symlink("none", s.scratch + "/dangling")
    r = s.see(c, ["--ro", s.scratch + "/l:/data"], "cat /data/f", cwd="/")
    assert r.one("cat:/data/f") == "file", r
    r = s.run(c, ["--ro", s.scratch + "/dangling:/data"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status == 125 and "dangling" in r.err and "ran" not in r.out, r
    assert d


def link_in_the_way(s, c):
    """The tree that a mask or bind goes into has a link on the way: kept inside or refused, nothing made outside."""
    d = tree(s, c)
    out = s.scratch + "/outside"
    put(out + "/secret", "out", 0o666)
    os.chmod(out, 0o777)
    os.symlink(out, d + "/away")
    c.own(s.scratch)
    r = s.run(c, ["--rw", d + ":/w", "--tmpfs", "/w/away/new/x"], [s.inside, "say", "ran", "1"], cwd="/")
    assert sorted(os.listdir(out)) == ["secret"], os.listdir(out)
    r2 = s.run(c, ["--rw", d + ":/w", "--mask", "/w/away/secret"], [s.inside, "say", "ran", "1"], cwd="/")
    assert r.status in (0, 125) and r2.status in (0, 125), (r, r2)


def view(s, c):
    conf = put(s.scratch + "/config/site.conf", "site")
    c.own(s.scratch)
    env = dict(c.environ(), MARK="passed")
    for opts in (["--preset", "view"], ["--view"]):
        r = s.see(c, opts + ["--ro", os.path.dirname(conf) + ":/etc/alternatives"], "ls /etc/alternatives", "cat /etc/alternatives/site.conf", "seccomp", "env",
                  "net", "uts", "ns", "read /etc/passwd", cwd="/", env=env)
        assert r.one("ls:/etc/alternatives") == "site.conf" and r.one("cat:/etc/alternatives/site.conf") == "site", r
        assert r.one("seccomp") == "0" and "MARK=passed" in r.all("env"), r
        assert r.one("hostname") == os.uname().nodename, r
        assert r.one("ns_net") == os.readlink("/proc/self/ns/net") and r.one("ns_pid") == os.readlink("/proc/self/ns/pid"), r
        assert r.one("ns_mnt") != os.readlink("/proc/self/ns/mnt"), r
    c.own(s.scratch)
    r = s.see(c, ["--preset", "view", "--ro", os.path.dirname(conf) + ":/etc/alternatives"], ["read", os.path.join(s.scratch, "config/site.conf")], cwd=s.scratch)
    assert "ok" in sum(r.facts.values(), []), r


def no_peers(s, c):
    """On a machine whose mounts are shared (every one with systemd) nothing in the sandbox is a peer, or a follower, of them:
    what is mounted inside stays inside, and what the host mounts later isn't shown."""
    root = s.caller(True)
    work = os.path.join(s.scratch, "work")
    os.mkdir(work)
    c.own(s.scratch)
    who = ["setpriv", "--reuid=%d" % c.uid, "--regid=%d" % c.gid, "--clear-groups"] if not c.root else []
    shared = ["unshare", "-m", "--propagation", "shared", *who]
    see = ["grep", " / ", "/proc/self/mountinfo"]
    r = s.run(root, [], [], raw=[*shared, *see], env=c.environ())
    assert " shared:" in r.out, "control: the surroundings are shared: %s" % r
    for opts in ([], ["--rw=" + work], ["--rw=" + work, "--protect=" + work + "/x"], ["--cow=" + work], ["--host-root"] if not c.root else ["--ro=/usr:/mnt"]):
        r = s.run(root, [], [], raw=[*shared, s.hutch, "run", *opts, "--", "cat", "/proc/self/mountinfo"], env=c.environ())
        if opts and opts[0] == "--host-root" and r.status == 125:
            continue
        assert r.status == 0 and len(r.out.splitlines()) > 5, r
        peers = [line for line in r.out.splitlines() if " shared:" in line or " master:" in line]
        assert not peers, (opts, peers)


def cases(s, c, who):
    for f in (ro, rw, same_path, single_file, optional, specific, rename_ancestor, contradiction, alias, recursive_ro, tmpfs, made, heredoc,
              machine_id, resolver, mask, flags,
              root_is_ro, home, cwd, var_tmp, dev, pty, proc, proc_ladder, proc_options, sysfs, etc, no_system, submounts, rootfs, rootfs_rw, rootfs_mounts, rootfs_links,
              chroot, debian, odd, odd_cwd, colon, symlink_source, link_in_the_way, view, no_peers):
        s.case("%s/files/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
