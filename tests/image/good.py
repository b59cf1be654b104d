"""Images that are right: trees in both forms, kinds of compression, choices, what the config says.

Runs in: the test process.
"""
import os
import stat

from common import Place, names, read
from harness import Skip
from layout import MACHINE, DOCKER, OCI, Layout, entry, tar

BASE = (entry("etc", "dir"), entry("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n"),
        entry("etc/group", data=b"root:x:0:\nweb:x:33:\nlogs:x:44:a,web,b\n"))


def case_forms(s, c):
    """Whiteouts, opaque directories, links, modes and times, in overlay form and as one tree."""
    p = Place(s, c)
    first = tar(entry("./", "dir", mode=0o700), entry("gone", data=b"1"), entry("stays", data=b"2", mode=0o4751), entry("d", "dir"),
                entry("d/below", data=b"3"), entry("d/deep", "dir"), entry("d/deep/x", data=b"x"), entry("hard", "hard", link="stays"),
                entry("link", "symlink", link="/outside/victim"), entry("file-to-dir", data=b"f"), entry("dir-to-file", "dir"),
                entry("dir-to-file/y", data=b"y"), entry("gone-dir", "dir"), entry("gone-dir/z", data=b"z"), entry("sticky", "dir", mode=0o3777))
    second = tar(entry(".wh.gone"), entry("d", "dir", mode=0o700, mtime=1234567890), entry("d/new", data=b"4"), entry("d/.wh..wh..opq"),
                 entry("file-to-dir", "dir"), entry("file-to-dir/q", data=b"q"), entry("dir-to-file", data=b"now a file"),
                 entry(".wh.gone-dir"), entry(".wh..wh.plnk", "dir"), entry(".wh..wh.aufs"))
    third = tar(entry("./", "dir", mode=0o711), entry("gone-dir", "dir"), entry("gone-dir/back", data=b"b"), entry(".wh.link"))
    p.layout.simple(first, second, third)
    flat = p.tree(p.good("--owners=own", "--flatten"))
    assert names(flat) == sorted(["d", "d/new", "dir-to-file", "file-to-dir", "file-to-dir/q", "gone-dir", "gone-dir/back", "hard",
                                  "stays", "sticky"]), names(flat)
    assert read(flat, "dir-to-file") == b"now a file" and read(flat, "d/new") == b"4"
    st, hard, d = (os.lstat(os.path.join(flat, n)) for n in ("stays", "hard", "d"))
    assert st.st_ino == hard.st_ino, "the hard link became a copy"
    assert stat.S_IMODE(st.st_mode) == 0o751, "setuid is taken off, the rest stays: %o" % st.st_mode
    assert int(st.st_mtime) == 1000000000 and int(d.st_mtime) == 1234567890 and stat.S_IMODE(d.st_mode) == 0o700
    assert stat.S_IMODE(os.lstat(os.path.join(flat, "sticky")).st_mode) == 0o3777
    assert stat.S_IMODE(os.lstat(flat).st_mode) == 0o711
    layers = p.tree(p.good("--owners=own"), "layer")
    assert len(layers) == 3
    assert [a for a in os.listxattr(layers[0]) if a.startswith("user.")] == []
    for name in ("gone", "gone-dir"):
        w = os.lstat(os.path.join(layers[1], name))
        assert stat.S_ISCHR(w.st_mode) and w.st_rdev == 0, "no whiteout at " + name
    assert os.getxattr(os.path.join(layers[1], "d"), "user.overlay.opaque") == b"y"
    assert os.listxattr(os.path.join(layers[0], "d")) == [] and names(layers[1]) == sorted(
        ["d", "d/new", "dir-to-file", "file-to-dir", "file-to-dir/q", "gone", "gone-dir"])


def case_order(s, c):
    """A whiteout is about the layers below, wherever it stands among the entries."""
    p = Place(s, c)
    first = tar(entry("a", "dir"), entry("a/old", data=b"o"), entry("b", "dir"), entry("b/old", data=b"o"), entry("f", data=b"o"), entry("g", data=b"o"))
    second = tar(entry("a", "dir"), entry("a/new", data=b"n"), entry(".wh.a"), entry(".wh.b"), entry("b/new", data=b"n"),
                 entry("f", data=b"n"), entry(".wh.f"), entry(".wh.g"), entry("g", data=b"n"))
    p.layout.simple(first, second)
    flat = p.tree(p.good("--owners=own", "--flatten"))
    assert names(flat) == ["a", "a/new", "b", "b/new", "f", "g"], names(flat)
    assert read(flat, "f") == b"n" and read(flat, "g") == b"n"


def case_opaque_root(s, c):
    """An overlay takes no notice of an opaque root: the layers below aren't named."""
    p = Place(s, c)
    p.layout.simple(tar(entry("old", data=b"o")), tar(entry(".wh..wh..opq"), entry("mid", data=b"m")), tar(entry("top", data=b"t")))
    assert len(p.tree(p.good("--owners=own"), "layer")) == 2
    assert names(p.tree(p.good("--owners=own", "--flatten"))) == ["mid", "top"]


def case_implicit(s, c):
    """A directory that a layer has no entry for stays as the layers below have it: then all is made one tree."""
    p = Place(s, c)
    base = tar(entry("./", "dir", mode=0o755), entry("d", "dir", mode=0o1701, mtime=1111111111), entry("e", "dir", mode=0o700))
    p.layout.simple(base, tar(entry("d/f", data=b"f")), tar(entry("e/f", data=b"f"), entry("e", "dir", mode=0o750)))
    r = p.good("--owners=own")
    flat = p.tree(r)
    assert "layer" not in [k for k, _ in r.records]
    d, e = (os.lstat(os.path.join(flat, n)) for n in "de")
    assert stat.S_IMODE(d.st_mode) == 0o1701 and int(d.st_mtime) == 1111111111 and stat.S_IMODE(e.st_mode) == 0o750, (d, e)
    # With its own entry, before or after what lies in it, the layers stay what they are.
    other = Layout(os.path.join(s.scratch, "other"))
    other.simple(base, tar(entry("e/f", data=b"f"), entry("e", "dir", mode=0o750)), tar(entry("top", data=b"t")))
    assert len(p.tree(p.good("--owners=own", image=other.path), "layer")) == 3
    # A root of a mode of its own, and none in the layer above.
    odd = Layout(os.path.join(s.scratch, "odd"))
    odd.simple(tar(entry("./", "dir", mode=0o711), entry("x", data=b"")), tar(entry("y", data=b"")))
    assert stat.S_IMODE(os.lstat(p.tree(p.good("--owners=own", image=odd.path))).st_mode) == 0o711


def case_compression(s, c):
    """Plain, gzip of two members, zstd; OCI's and Docker's names for them."""
    p = Place(s, c)
    import gzip
    two = tar(entry("two", data=b"2" * 5000))
    members = gzip.compress(two[:700]) + gzip.compress(two[700:])
    layers = [p.layout.layer(tar(entry("plain", data=b"p")), ""), p.layout.layer(two, packed=members), p.layout.layer(tar(entry("z", data=b"z")), "zstd"),
              p.layout.layer(tar(entry("dg", data=b"d")), media=DOCKER + "image.rootfs.diff.tar.gzip"),
              p.layout.layer(tar(entry("dt", data=b"d")), "", media=DOCKER + "image.rootfs.diff.tar")]
    p.layout.add(p.layout.manifest(layers, docker=True))
    assert names(p.tree(p.good("--owners=own", "--flatten"))) == ["dg", "dt", "plain", "two", "z"]
    for _, diff in layers:
        assert diff[7:] in p.entries(), "stored under another name than the diff_id"


def case_formats(s, c):
    """GNU and ustar archives, long names and links, names that are no UTF-8, sparse files."""
    import subprocess
    import tarfile
    p = Place(s, c)
    long = "/".join(["n" * 200] * 3)
    gnu = tar(entry(long, data=b"long"), entry("l", "symlink", link="t" * 300), entry("h", "hard", link=long), form=tarfile.GNU_FORMAT)
    pax = tar(entry("ü/" + long, data=b"pax"), entry("caf\udce9", data=b"latin"))
    made = os.path.join(s.scratch, "made")
    os.mkdir(made)
    with open(os.path.join(made, "sparse"), "wb") as f:
        f.truncate(50 << 20)
        f.seek(20 << 20)
        f.write(b"middle")
    sparse = [subprocess.run(["tar", "-C", made, "--sparse", "--format", form, "-c", "sparse"], stdout=subprocess.PIPE, check=True).stdout
              for form in ("gnu", "pax")]
    assert len(sparse[0]) < 1 << 20, "the test's archive isn't sparse"
    p.layout.simple(gnu, pax, *sparse)
    flat = p.tree(p.good("--owners=own", "--flatten"))
    assert read(flat, long) == b"long" and read(flat, "h") == b"long" and read(flat, "ü/" + long) == b"pax"
    assert os.readlink(os.path.join(flat, "l")) == "t" * 300
    assert b"caf\xe9" in os.listdir(os.fsencode(flat)), os.listdir(flat)
    with open(os.path.join(flat, "sparse"), "rb") as f:
        assert os.fstat(f.fileno()).st_size == 50 << 20 and os.fstat(f.fileno()).st_blocks * 512 < 4 << 20
        f.seek(20 << 20)
        assert f.read(7) == b"middle\0"


def case_tags(s, c):
    """DIR:TAG, with colons in both; without a tag where there is one image only."""
    p = Place(s, c)
    odd = os.path.join(s.scratch, "a:b")
    layout = Layout(odd)
    one = layout.manifest([layout.layer(tar(entry("one", data=b"1")))])
    two = layout.manifest([layout.layer(tar(entry("two", data=b"2")))])
    layout.add(one, "1")
    assert names(p.tree(p.good("--owners=own", image=odd))) == ["one"]
    layout.add(two, "example.org/x:2")
    for image, name in ((odd + ":1", "one"), (odd + ":example.org/x:2", "two")):
        assert names(p.tree(p.good("--owners=own", image=image))) == [name]
    r = p.bad("E0844", "2 fit", "example.org/x:2", image=odd)
    assert "--image DIR:TAG" in r.err
    p.bad("E0844", "no image named 3", image=odd + ":3")
    p.bad("E0842", "No such file", image=odd + "x:3")


def case_platforms(s, c):
    """A nested index: this machine's image, or the one that was asked for."""
    p = Place(s, c)
    made = {}
    for arch in ("amd64", "arm64", "riscv64"):
        d = p.layout.manifest([p.layout.layer(tar(entry("for-" + arch, data=b"1")))], arch=arch)
        made[arch] = dict(d, platform={"os": "linux", "architecture": arch})
    attestation = dict(p.layout.manifest([p.layout.layer(tar(entry("no", data=b"")))]), platform={"os": "unknown", "architecture": "unknown"})
    p.layout.add(p.layout.nested(list(made.values()) + [attestation]), "multi")
    p.layout.add(p.layout.nested([made["riscv64"]], docker=True), "other")
    assert names(p.tree(p.good("--owners=own", image=p.image + ":multi"))) == ["for-" + MACHINE]
    r = p.good("--owners=own", "--platform=linux/riscv64", image=p.image + ":multi")
    assert names(p.tree(r)) == ["for-riscv64"] and ["platform", "linux/riscv64"] in r.records
    p.bad("E0844", "none is for linux/" + MACHINE, "linux/riscv64", image=p.image + ":other")
    p.bad("E0841", options=["--platform=linux"], image=p.image + ":other")
    lie = Layout(os.path.join(s.scratch, "lie"))
    lie.add(lie.manifest([lie.layer(tar(entry("x", data=b"")))], arch="s390x"))
    p.bad("E0844", "is for linux/s390x", image=lie.path)


def case_config(s, c):
    """Environment, words, directory and user come out as they are, escapes undone."""
    p = Place(s, c)
    config = {"Env": ["A=1", "B=two words", "C=é\n\"\\\t😀", "D="], "Entrypoint": ["/bin/x", "-a"], "Cmd": ["", "last"], "WorkingDir": "/srv", "User": "web"}
    p.layout.simple(tar(*BASE), config=config)
    raw = p.unpack("--owners=own", "--records").out.split("\0")
    for wanted in ("env A=1", "env B=two words", "env C=é\n\"\\\t😀", "env D=", "entrypoint /bin/x", "entrypoint -a", "cmd ", "cmd last",
                   "cwd /srv", "user web", "uid 33", "gid 33", "group 44", "home /srv/web", "end "):
        assert wanted in raw, "%r isn't in %r" % (wanted, raw)


def case_users(s, c):
    """Numbers and names, of user and group; passwd of the topmost layer that has it, or of none that hides it."""
    p = Place(s, c)
    other = tar(entry("etc/passwd", data=b"web:x:77:78::/w:/bin/sh\n"))
    hidden = tar(entry("etc/.wh.passwd"))
    opaque = tar(entry("etc", "dir"), entry("etc/.wh..wh..opq"))
    link = tar(entry("etc/passwd", "symlink", link="/etc/shadow"))
    for number, (user, layers, uid, gid) in enumerate((
            ("", [], 0, 0), ("web", [], 33, 33), ("33", [], 33, 33), ("web:logs", [], 33, 44), ("5", [], 5, 0), ("5:6", [], 5, 6), ("5:web", [], 5, 33),
            ("web", [other], 77, 78), ("nobody", [], None, None), ("web", [hidden], None, None), ("web", [opaque], None, None),
            ("web", [link], None, None), ("web:nogroup", [], None, None), ("4294967295", [], None, None), ("-1", [], None, None))):
        layout = Layout(os.path.join(s.scratch, "i%d" % number))
        layout.simple(tar(*BASE), *layers, config={"User": user})
        said = dict(p.good("--owners=own", image=layout.path).records)
        if uid is None:
            assert "uid" not in said and said["user-unknown"] == user, (user, said)
        else:
            assert (said["uid"], said["gid"]) == (str(uid), str(gid)), (user, said)


def case_ranges(s, c):
    """With ranges the owners are the image's; one outside of them is an error."""
    p = Place(s, c)
    if c.root and os.environ.get("HUTCH_TEST_INNER") == "1":
        with_root_range(s, check_ranges, s, c, p)
    else:
        check_ranges(s, c, p)


def with_root_range(s, function, *args):
    """Root has no range on most systems: one is shown, in the mount namespace of the suite."""
    import subprocess
    mounted = []
    try:
        for name in ("subuid", "subgid"):
            made = os.path.join(s.base, name)
            with open(made, "w") as f:
                f.write("root:700000:65536\n")
            subprocess.run(["mount", "--bind", made, "/etc/" + name], check=True)
            mounted.append("/etc/" + name)
        function(*args)
    finally:
        for path in mounted:
            subprocess.run(["umount", path], check=True)


def check_ranges(s, c, p):
    p.layout.simple(tar(*BASE, entry("w", "dir", uid=33, gid=33, mode=0o2750), entry("w/f", uid=33, gid=44, data=b"x", mode=0o600), entry("r", data=b"r")),
                    tar(entry("w/h", uid=1, gid=2, data=b"y")))
    with open("/etc/subuid") as f:
        rows = [line.strip().split(":") for line in f if line.startswith(c.name + ":")]
    if not rows:
        r = p.bad("E0850", "has none for uid", options=["--owners=ranges"])
        raise Skip("no range in /etc/subuid for %s (that it is refused then was seen)" % c.name)
    if os.geteuid() != 0:
        raise Skip("what the ranges' ids own only root can look into and take away: seen where root runs the suite")
    start = int(rows[0][1])
    r = p.good("--flatten")
    assert ["owners", "ranges"] in r.records, str(r)
    flat = p.tree(r)
    # Seen from here: root of the ranges is the caller (root: the first of the range), the others follow.
    base = start if c.root else start - 1
    for name, uid, gid in (("w", 33, 33), ("w/f", 33, 44), ("w/h", 1, 2)):
        st = os.lstat(os.path.join(flat, name))
        assert (st.st_uid, st.st_gid) == (base + uid, base + gid), (name, st)
    assert stat.S_IMODE(os.lstat(os.path.join(flat, "w")).st_mode) == 0o2750
    assert os.lstat(os.path.join(flat, "r")).st_uid == (start if c.root else c.uid)
    own = p.tree(p.good("--flatten", "--owners=own"))
    assert own != flat and os.lstat(os.path.join(own, "w/f")).st_uid == c.uid
    far = Layout(os.path.join(s.scratch, "far"))
    far.simple(tar(entry("x", uid=3000000, data=b"")))
    p.bad("E0850", "3000000", "--image-owners own", image=far.path)
    p.good("--owners=own", image=far.path)


def cases(s, c, name):
    for function in (case_forms, case_order, case_opaque_root, case_implicit, case_compression, case_formats, case_tags, case_platforms, case_config, case_users, case_ranges):
        s.case("%s: %s" % (name, function.__name__[5:]), function, s, c)
    assert OCI
