"""hutch run --image: what is taken from the image, and what the caller says instead.

Runs in: the test process.
"""
import json
import os
import shutil
import subprocess
import sys

import harness
from common import Place
from good import BASE, with_root_range
from harness import Skip
from layout import Layout, entry, tar


def program(s):
    with open(s.inside, "rb") as f:
        return entry("bin/inside", data=f.read(), mode=0o755)


def image(s, p, config, *more):
    p.layout.simple(tar(entry("bin", "dir"), program(s), entry("tmp", "dir"), entry("proc", "dir"), entry("dev", "dir"), entry("srv", "dir"),
                        entry("old", data=b"old"), *BASE), tar(entry("srv", "dir"), entry(".wh.old"), entry("new", data=b"new"), *more), config=config)


def run(s, c, p, opts, cmd=None, verb="run", image=None, **kw):
    raw = [s.hutch, verb, "--image", image or p.image, "--image-store", p.store, *opts, *(["--", *cmd] if cmd else [])]
    c.own(s.scratch)
    return s.run(c, [], [], raw=raw, **kw)


def must(r):
    assert r.status == 0, str(r)
    return r


def refused(r, error, *words):
    assert r.status == 125 and error in r.err, "not refused with %s: %s" % (error, r)
    for w in words:
        assert w in r.err, "%r isn't in the message: %s" % (w, r)


CONFIG = {"Env": ["PATH=/bin", "A=image", "B=image"], "Entrypoint": ["inside", "id", ","], "Cmd": ["env", ",", "cwd", ",", "ls", "/"],
          "WorkingDir": "/srv", "User": "web"}


def case_config(s, c):
    """Entry point and command, environment, directory and user of the image; each gives way to the caller's."""
    p = Place(s, c)
    image(s, p, CONFIG)
    r = must(run(s, c, p, ["--image-owners", "own"]))
    assert r.one("uid") == "33,33,33" and r.one("cwd") == "/srv", str(r)
    for line in ("A=image", "B=image", "HOME=/srv/web", "USER=web", "PATH=/bin"):
        assert line in r.out, "%s isn't there: %s" % (line, r)
    listed = r.one("ls:/").split(",")
    assert "new" in listed and "old" not in listed, str(r)
    r = must(run(s, c, p, ["--image-owners", "own", "--env", "A=mine", "--cwd", "/tmp", "--user", "7:8"], ["inside", "id", ",", "env", ",", "cwd"]))
    assert r.one("uid") == "7,7,7" and r.one("gid") == "8,8,8" and r.one("cwd") == "/tmp", str(r)
    assert "A=mine" in r.out and "B=image" in r.out and "A=image" not in r.out, str(r)
    policy = os.path.join(s.scratch, "p.hutch")
    with open(policy, "w") as f:
        f.write("env = A=policy\ncwd = /tmp\nmap = root\n")
    r = must(run(s, c, p, ["--policy", policy], ["inside", "id", ",", "env", ",", "cwd"]))
    assert "A=policy" in r.out and r.one("cwd") == "/tmp" and r.one("uid") == "0,0,0", str(r)


def case_user(s, c):
    """A name that the image doesn't know is an error unless the caller names a user."""
    p = Place(s, c)
    image(s, p, dict(CONFIG, User="nobody"))
    refused(run(s, c, p, ["--image-owners", "own"]), "E0851", "no such name", "--user")
    assert must(run(s, c, p, ["--image-owners", "own", "--user", "9:9"])).one("uid") == "9,9,9"


def ranges(s, c):
    with open("/etc/subuid") as f:
        if not any(line.startswith(c.name + ":") for line in f):
            raise Skip("no range in /etc/subuid for %s" % c.name)


def case_ranges(s, c):
    """With ranges the program sees the image's owners, has the image's groups; an id outside of them is an error."""
    if c.root and os.environ.get("HUTCH_TEST_INNER") == "1":
        with_root_range(s, check_ranges, s, c)
    else:
        check_ranges(s, c)


def check_ranges(s, c):
    ranges(s, c)
    p = Place(s, c)
    image(s, p, CONFIG, entry("srv/data", data=b"x", uid=33, gid=44, mode=0o640))
    r = must(run(s, c, p, [], ["inside", "id", ",", "stat", "/srv/data", "/new", ",", "cat", "/srv/data"]))
    assert r.one("uid") == "33,33,33" and "44" in r.one("groups"), str(r)
    assert "|0640|33|44|" in r.one("stat:/srv/data") and "|0644|0|0|" in r.one("stat:/new"), str(r)
    far = Layout(os.path.join(s.scratch, "far"))
    far.simple(tar(entry("bin", "dir"), program(s), entry("tmp", "dir")), config={"User": "3000000", "Cmd": ["/bin/inside", "id"]})
    r = run(s, c, p, [], image=far.path)
    refused(r, "E03", "3000000")


def case_read_only(s, c):
    """The store isn't written to, and a run that asks for it is refused."""
    p = Place(s, c)
    image(s, p, CONFIG)
    must(run(s, c, p, ["--image-owners", "own"]))
    before = harness.tree_hash(p.store)
    run(s, c, p, ["--image-owners", "own", "--user", "0"], ["inside", "create", "/", ",", "put", "/new", "evil"])
    assert harness.tree_hash(p.store) == before, "a run changed the store"
    refused(run(s, c, p, ["--rootfs-access", "rw"]), "E0852")
    refused(run(s, c, p, ["--rootfs", "/"]), "E0841", "one root")


def case_explain(s, c):
    """explain takes the same words; its plan names the tree."""
    p = Place(s, c)
    image(s, p, CONFIG)
    r = must(run(s, c, p, ["--image-owners", "own"], verb="explain"))
    assert p.store in r.out and "image " + p.image in r.out, str(r)
    r = must(run(s, c, p, ["--json", "--image-owners", "own"], verb="explain"))
    assert p.store in json.dumps(harness.parse_json(r.out))


def case_failure(s, c):
    """A failure of the unpacker is one of the run: status 125, its number in the record, the program never ran."""
    p = Place(s, c)
    image(s, p, CONFIG)
    path = p.layout.blob_path(p.layout.entries[0]["digest"])
    with open(path, "ab") as f:
        f.write(b" ")
    record = os.path.join(p.store, "record")
    r = run(s, c, p, ["--report", record])
    refused(r, "E0845", "size differs")
    with open(record) as f:
        text = f.read()
    assert "845" in text and harness.parse_json(text), text
    assert "uid=" not in r.out
    for words in (["--image-store", "/x", "--", "true"], ["--image"], ["--image="], ["--image-max-bytes", "many", "--image", p.image], ["--image-nonsense", "1"]):
        r = s.run(c, [], [], raw=[s.hutch, "run", *words])
        assert r.status == 125 and "image" in r.err, str(r)


def case_helper(s, c):
    """The unpacker is found by the command's own place: never by PATH, never where everybody may write."""
    p = Place(s, c)
    image(s, p, CONFIG)
    fake = os.path.join(s.scratch, "fake")
    os.mkdir(fake)
    with open(os.path.join(fake, "hutch-image"), "w") as f:
        f.write("#!/bin/sh\necho called >%s/victim\n" % p.outside)
    os.chmod(os.path.join(fake, "hutch-image"), 0o755)
    good, s_hutch = s.hutch, s.hutch
    try:
        def there(*parts):
            path = os.path.join(s.scratch, *parts)
            os.makedirs(path, exist_ok=True)
            return path
        env = dict(c.environ(), PATH=fake + ":" + c.environ()["PATH"], LD_LIBRARY_PATH=fake, LD_PRELOAD=fake + "/x.so")
        s.hutch = shutil.copy(good, there("alone"))
        refused(run(s, c, p, [], env=env, cwd=fake), "E0840", "neither in")
        s.hutch = shutil.copy(good, there("prefix", "bin"))
        shutil.copy(s.helper, there("prefix", "libexec", "hutch"))
        must(run(s, c, p, ["--image-owners", "own"], env=env, cwd=fake))
        os.chmod(there("prefix", "libexec", "hutch"), 0o777)
        refused(run(s, c, p, ["--image-owners", "own"], env=env), "E0840")
        os.chmod(there("prefix", "libexec", "hutch"), 0o755)
        os.chmod(os.path.join(there("prefix", "libexec", "hutch"), "hutch-image"), 0o777)
        refused(run(s, c, p, ["--image-owners", "own"], env=env), "E0840")
        shutil.copy(os.path.join(fake, "hutch-image"), there("alone"))
        os.unlink(os.path.join(there("alone"), "hutch-image"))
        os.symlink(os.path.join(fake, "hutch-image"), os.path.join(there("alone"), "hutch-image"))
        s.hutch = os.path.join(there("alone"), "hutch")
        refused(run(s, c, p, [], env=env), "E0840")
    finally:
        s.hutch = s_hutch
    with open(os.path.join(p.outside, "victim")) as f:
        assert f.read() == "before", "what PATH or a link names was executed"


def case_debian(s, c):
    """A Debian of mmdebstrap as an image: its programs run, as its root."""
    if "--full" not in sys.argv:
        raise Skip("a Debian is made in the long form only (FULL=1)")
    if not c.root:
        raise Skip("the archive is made by root")
    if not shutil.which("mmdebstrap"):
        raise Skip("mmdebstrap is missing")
    p = Place(s, c)
    made = os.path.join(s.base, "debian.tar")
    subprocess.run(["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", "--aptopt=Acquire::Check-Valid-Until \"false\"", "bookworm", made],
                   check=True, stdout=subprocess.DEVNULL, timeout=600)
    with open(made, "rb") as f:
        data = f.read()
    p.layout.add(p.layout.manifest([p.layout.layer(data, "zstd")], config={"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["cat", "/etc/debian_version"]}))
    r = must(run(s, c, p, ["--image-owners", "own"], timeout=200))
    assert r.out.startswith("12"), str(r)
    r = must(run(s, c, p, ["--image-owners", "own"], ["apt-get", "--version"]))
    assert r.out.startswith("apt "), str(r)
    for other in s.callers:
        if not other.root:
            shutil.rmtree(p.store)
            os.mkdir(p.store, 0o700)
            other.own(p.store)
            r = must(run(s, other, p, [], ["sh", "-c", "dpkg --version && id && stat -c %g /etc/shadow"], timeout=200))
            assert "uid=0(root)" in r.out, str(r)


def cases(s, c, name):
    for function in (case_config, case_user, case_ranges, case_read_only, case_explain, case_failure, case_helper, case_debian):
        s.case("%s: run: %s" % (name, function.__name__[5:]), function, s, c)
