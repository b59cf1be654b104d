"""Images that lie, attack or burst: each is refused (or made harmless), nothing of it is kept, nothing outside is touched.

Runs in: the test process.
"""
import gzip
import io
import json
import os
import stat
import tarfile

from common import Place, names, read
from layout import OCI, Layout, entry, sha, tar


# ---- archives ----
def archives(outside):
    """name -> (words of the refusal, entries). None instead of words: taken, see after()."""
    up = "../" * 12
    return {
        "absolute name": (["absolute name"], [entry(outside + "/evil", data=b"e")]),
        "absolute directory": (["absolute name"], [entry(outside + "/evil", "dir")]),
        "dotdot": (["leads upwards"], [entry(up + outside[1:] + "/evil", data=b"e")]),
        "dotdot in the middle": (["leads upwards"], [entry("a/../../" + up + outside[1:] + "/evil", data=b"e")]),
        "dotdot at the end": (["leads upwards"], [entry("a/..", "dir")]),
        "hard link, absolute": (["a hard link to"], [entry("h", "hard", link=outside + "/victim")]),
        "hard link, dotdot": (["a hard link to"], [entry("h", "hard", link=up + outside[1:] + "/victim")]),
        "hard link through a symbolic link": (["symbolic link"], [entry("s", "symlink", link=outside), entry("h", "hard", link="s/victim")]),
        "hard link to nothing": (["isn't an earlier file"], [entry("h", "hard", link="none")]),
        "hard link to a directory": (["isn't an earlier file"], [entry("d", "dir"), entry("h", "hard", link="d")]),
        "hard link to a whiteout": (["isn't an earlier file"], [entry(".wh.w"), entry("h", "hard", link="w")]),
        "hard link to the root": (["a hard link to"], [entry("h", "hard", link=".")]),
        "file below a symbolic link": (["symbolic link"], [entry("s", "symlink", link=outside), entry("s/evil", data=b"e")]),
        "directory below a symbolic link": (["symbolic link"], [entry("s", "symlink", link=outside), entry("s/evil", "dir")]),
        "deep below a symbolic link": (["symbolic link"], [entry("a", "dir"), entry("a/s", "symlink", link=outside), entry("a/s/x/y/evil", data=b"e")]),
        "below a chain of links": (["symbolic link"], [entry("s", "symlink", link="t"), entry("t", "symlink", link=outside), entry("s/evil", data=b"e")]),
        "below a link that stays inside": (["symbolic link"], [entry("d", "dir"), entry("s", "symlink", link="d"), entry("s/f", data=b"e")]),
        "below a link to the root": (["symbolic link"], [entry("s", "symlink", link="/"), entry("s" + outside + "/evil", data=b"e")]),
        "whiteout below a symbolic link": (["symbolic link"], [entry("s", "symlink", link=outside), entry("s/.wh.victim")]),
        "opaque below a symbolic link": (["symbolic link"], [entry("s", "symlink", link=outside), entry("s/.wh..wh..opq")]),
        "whiteout of dot": (["whiteout of no name"], [entry(".wh..")]),
        "whiteout of dotdot": (["whiteout of no name"], [entry(".wh...")]),
        "whiteout of nothing": (["whiteout of no name"], [entry(".wh.")]),
        "whiteout as a directory": (["name of a whiteout"], [entry(".wh.x/evil", data=b"e")]),
        "below a file": (["a file of the archive"], [entry("f", data=b"f"), entry("f/evil", data=b"e")]),
        "root as a file": (["root is no directory"], [entry(".", data=b"f")]),
        "root as a link": (["root is no directory"], [entry("./", "symlink", link=outside)]),
        "long component": (["too long"], [entry("n" * 256, data=b"e")]),
        "long path": (["--image-max-path"], [entry("/".join(["n" * 200] * 25), data=b"e")]),
        "deep path": (["too deep"], [entry("d/" * 129 + "f", data=b"e")]),
        "long link": (["too long"], [entry("s", "symlink", link="t/" * 2500)]),
        "link replaced by a file": (None, [entry("s", "symlink", link=outside + "/victim"), entry("s", data=b"evil")]),
        "link replaced by a directory": (None, [entry("s", "symlink", link=outside), entry("s", "dir", mode=0o777), entry("s/evil", data=b"e")]),
        "directory's mode through a link": (None, [entry("s", "dir", mode=0o700), entry("s", "symlink", link=outside)]),
        "file through a hard link": (None, [entry("s", "symlink", link=outside + "/victim"), entry("h", "hard", link="s"), entry("h", data=b"evil")]),
        "link into itself": (None, [entry("f", data=b"keep"), entry("f", "hard", link="f")]),
        "the same name again": (None, [entry("x", data=b"1"), entry("x", "dir"), entry("x/y", data=b"2"), entry("x", data=b"3"), entry("x", "symlink", link="q")]),
        "devices": (None, [entry("null", "char", dev=(1, 3), mode=0o666), entry("disk", "block", dev=(8, 0), mode=0o666),
                           entry("white", "char", dev=(0, 0)), entry("fifo", "fifo"), entry("f", data=b"f")]),
        "setuid": (None, [entry("su", data=b"#!", mode=0o6755), entry("sg", data=b"#!", mode=0o2755)]),
        "attributes of an overlay": (None, [entry("d", "dir", pax={"SCHILY.xattr.user.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y",
                                            "SCHILY.xattr.user.overlay.opaque": "y", "LIBARCHIVE.xattr.security.capability": "AAAA"}),
                                            entry("f", data=b"f", pax={"SCHILY.xattr.user.overlay.metacopy": "x"})]),
    }


def after(name, flat, layer):
    """What became of an archive that is taken."""
    kind = {n: stat.S_IFMT(os.lstat(os.path.join(flat, n)).st_mode) for n in names(flat)}
    if name == "devices":
        assert kind == {"f": stat.S_IFREG}, kind
    elif name == "setuid":
        assert all(os.lstat(os.path.join(flat, n)).st_mode & 0o7000 == 0 for n in ("su", "sg"))
    elif name == "attributes of an overlay":
        for n in ("d", "f"):
            found = [a for a in os.listxattr(os.path.join(layer, n)) if not a.startswith("security.selinux")]
            assert found == [], found
    elif name == "the same name again":
        assert os.readlink(os.path.join(flat, "x")) == "q"
    elif name == "link into itself":
        assert read(flat, "f") == b"keep"
    elif name == "link replaced by a file":
        assert read(flat, "s") == b"evil" and kind["s"] == stat.S_IFREG
    elif name == "link replaced by a directory":
        assert kind == {"s": stat.S_IFDIR, "s/evil": stat.S_IFREG}
    elif name == "file through a hard link":
        assert kind == {"s": stat.S_IFLNK, "h": stat.S_IFREG}, kind
    else:
        assert name == "directory's mode through a link" and kind == {"s": stat.S_IFLNK}, (name, kind)


def case_archive(s, c, name):
    p = Place(s, c)
    words, entries = archives(p.outside)[name]
    data = tar(*entries)
    p.layout.simple(tar(entry("good", data=b"g")), data)
    mode = os.lstat(p.outside).st_mode
    if words is None:
        # Alone, so that the tree holds nothing else.
        alone = Layout(os.path.join(s.scratch, "alone"))
        alone.simple(data)
        flat = p.tree(p.good("--owners=own", "--flatten", image=alone.path))
        after(name, flat, os.path.join(p.store, "sha256", sha(data), "tree"))
    else:
        p.bad("E0846", *words, options=["--owners=own"])
        # The layer below was verified by itself; of the hostile one nothing is there.
        assert sha(data) not in p.entries(), "a refused layer is in the store"
    assert os.lstat(p.outside).st_mode == mode and sorted(os.listdir(p.outside)) == ["second", "victim"]
    assert read(p.outside, "victim") == b"before"


def case_damaged(s, c):
    """Archives that end too early or aren't any."""
    whole = tar(entry("a", data=b"a" * 5000), entry("b", data=b"b" * 5000))
    for number, (data, words) in enumerate(((whole[:3000], "damaged"), (b"no archive at all" * 100, "damaged"), (whole[:512] + b"\xff" * 2000, "damaged"))):
        p = Place2(s, c, number)
        p.layout.simple(data)
        p.bad("E0846", words, options=["--owners=own"])
        assert p.entries() == []


def Place2(s, c, number):
    """Another image in the same case."""
    import shutil
    shutil.rmtree(os.path.join(s.scratch, "outside"), ignore_errors=True)
    shutil.rmtree(os.path.join(s.scratch, "image"), ignore_errors=True)
    assert number >= 0
    return Place(s, c)


# ---- documents and blobs ----
def lies():
    """name -> (error, words, what is done to a good layout). The image is in parts: layer, config, manifest."""
    def overwrite(which, change):
        def act(layout, parts):
            path = layout.blob_path(parts[which]["digest"])
            with open(path, "rb") as f:
                data = f.read()
            with open(path, "wb") as f:
                f.write(change(data))
        return act

    def flip(data):
        return data[:-1] + bytes([data[-1] ^ 1])

    def place(which, make):
        def act(layout, parts):
            path = layout.blob_path(parts[which]["digest"])
            os.rename(path, os.path.join(layout.path, "moved"))
            make(path)
        return act

    def index(text):
        return lambda layout, parts: layout.write("index.json", text.encode() if isinstance(text, str) else text(layout, parts).encode())

    def twice(layout, parts):
        good = json.dumps(parts["manifest"])
        return '{"schemaVersion": 2, "manifests": [%s], "manifests": [%s]}' % (good, good)

    rows = {}
    for which in ("layer", "config", "manifest"):
        rows[which + " changed"] = ("E0845", ["digest"], overwrite(which, flip))
        rows[which + " truncated"] = ("E0845", ["size"], overwrite(which, lambda d: d[:-7]))
        rows[which + " appended to"] = ("E0845", ["size"], overwrite(which, lambda d: d + b"\n"))
        rows[which + " empty"] = ("E0845", ["size"], overwrite(which, lambda d: b""))
        rows[which + " missing"] = ("E0842", ["No such file"], place(which, lambda path: None))
        rows[which + " a fifo"] = ("E0842", ["isn't a regular file"], place(which, os.mkfifo))
        rows[which + " a directory"] = ("E0842", ["isn't a regular file"], place(which, os.mkdir))
        rows[which + " a link out"] = ("E0842", ["symbolic link"], place(which, lambda path: os.symlink("../../moved", path)))
    rows["index: no JSON"] = ("E0843", ["isn't a JSON object"], index("{"))
    rows["index: a list"] = ("E0843", ["isn't a JSON object"], index("[]"))
    rows["index: empty"] = ("E0843", [], index(""))
    rows["index: no manifests"] = ("E0844", ["nothing"], index('{"schemaVersion": 2, "manifests": []}'))
    rows["index: a key twice"] = ("E0843", ["there twice"], index(twice))
    rows["index: an escaped key"] = ("E0843", ["escape in a key"], index(lambda lay, parts: '{"m\\u0061nifests": [%s]}' % json.dumps(parts["manifest"])))
    rows["index: also a manifest"] = ("E0843", ["at once"], index(lambda lay, parts: '{"manifests": [%s], "layers": []}' % json.dumps(parts["manifest"])))
    rows["index: more behind it"] = ("E0843", [], index(lambda lay, parts: '{"manifests": [%s]} {}' % json.dumps(parts["manifest"])))
    rows["index: too large"] = ("E0847", ["at most"], index(lambda lay, parts: '{"manifests": [%s], "x": "%s"}' % (json.dumps(parts["manifest"]), "x" * (5 << 20))))
    rows["index: too deep"] = ("E0843", [], index('{"a":' * 100 + "1" + "}" * 100))
    rows["index: many commas"] = ("E0844", ["nothing"], index('{"manifests": [], %s}' % ", ".join('"k%d": 1' % i for i in range(200000))))
    rows["index: digest of another kind"] = ("E0843", ["another kind"], index(lambda lay, parts: json.dumps({"manifests": [dict(parts["manifest"], digest="sha512:" + "0" * 128)]})))
    rows["index: digest with a path"] = ("E0843", ["malformed"], index(lambda lay, parts: json.dumps({"manifests": [dict(parts["manifest"], digest="sha256:" + "../" * 21 + "x")]})))
    rows["index: size below nothing"] = ("E0843", ["whole number"], index(lambda lay, parts: json.dumps({"manifests": [dict(parts["manifest"], size=-1)]})))
    rows["index: size a text"] = ("E0843", ["wrong type"], index(lambda lay, parts: json.dumps({"manifests": [dict(parts["manifest"], size="12")]})))
    rows["index: something else"] = ("E0843", ["neither an index nor a manifest"], index(lambda lay, parts: json.dumps({"manifests": [dict(parts["manifest"], mediaType="application/x")]})))
    rows["layout: no oci-layout"] = ("E0842", ["oci-layout"], lambda layout, parts: os.unlink(os.path.join(layout.path, "oci-layout")))
    rows["layout: another version"] = ("E0842", ["version"], lambda layout, parts: layout.write("oci-layout", b'{"imageLayoutVersion": "2.0.0"}'))
    return rows


def case_lie(s, c, name):
    p = Place(s, c)
    error, words, act = lies()[name]
    layer = p.layout.layer(tar(entry("a", data=b"a" * 1000)))
    kept = {}
    manifest = p.layout.manifest([layer], change=lambda d: kept.update(config=d["config"]))
    p.layout.add(manifest)
    act(p.layout, {"layer": layer[0], "config": kept["config"], "manifest": manifest})
    p.bad(error, *words, options=["--owners=own"], timeout=20)
    assert p.entries() == [], "the store holds something of it: %s" % p.entries()


def case_contents(s, c):
    """Documents that are what their digests say, and nonetheless wrong."""
    data = tar(entry("a", data=b"a"))
    rows = [
        ("content that the config doesn't promise", "E0845", "diff_id", {"diff_ids": ["sha256:" + sha(b"else")]}),
        ("more layers in the config", "E0843", "list", {"diff_ids": ["sha256:" + sha(data)] * 2}),
        ("no diff_ids", "E0843", "rootfs", {"change_config": lambda d: d["rootfs"].pop("diff_ids")}),
        ("rootfs of another kind", "E0843", "rootfs", {"change_config": lambda d: d["rootfs"].update(type="x")}),
        ("an index as a manifest", "E0843", "at once", {"change": lambda d: d.update(manifests=[])}),
        ("another kind than the index says", "E0843", "mediaType", {"change": lambda d: d.update(mediaType=OCI + "index.v1+json")}),
        ("an old schema", "E0843", "schemaVersion", {"change": lambda d: d.update(schemaVersion=1)}),
        ("no layers", "E0843", "without layers", {"change": lambda d: d.update(layers=[]), "diff_ids": []}),
        ("a layer of an unknown kind", "E0843", "unknown kind", {"change": lambda d: d["layers"][0].update(mediaType="application/x")}),
        ("a config that is none", "E0843", "none of an image", {"change": lambda d: d["config"].update(mediaType="application/vnd.oci.empty.v1+json")}),
        ("a variable without a name", "E0843", "variable", {"config": {"Env": ["=x"]}}),
        ("a variable without a value", "E0843", "variable", {"config": {"Env": ["PATH"]}}),
        ("a zero byte", "E0843", "escape", {"config": {"Env": ["A=x\0y"]}}),
        ("a list of numbers", "E0843", "something else than texts", {"config": {"Cmd": [1]}}),
        ("a text for a list", "E0843", "wrong type", {"config": {"Cmd": "sh"}}),
        ("a directory that isn't absolute", "E0843", "absolute", {"config": {"WorkingDir": "../x"}}),
        ("gzip that is called zstd", "E0845", "isn't compressed as", {"change": lambda d: d["layers"][0].update(mediaType=OCI + "layer.v1.tar+zstd")}),
        ("gzip that is called plain", "E0846", "damaged", {"change": lambda d: d["layers"][0].update(mediaType=OCI + "layer.v1.tar")}),
    ]
    for number, (name, error, word, more) in enumerate(rows):
        p = Place2(s, c, number)
        p.layout.simple(data, **more)
        try:
            p.bad(error, word, options=["--owners=own"])
            assert p.entries() == [], p.entries()
        except AssertionError as e:
            raise AssertionError("%s: %s" % (name, e))
    p = Place2(s, c, 99)
    broken = gzip.compress(data)
    p.layout.add(p.layout.manifest([p.layout.layer(data, packed=broken[:len(broken) // 2])]))
    p.bad("E080", options=["--owners=own"])
    inner = p.layout.entries[0]
    for _ in range(6):
        inner = p.layout.nested([inner])
    p.layout.entries = []
    p.layout.add(inner)
    p.bad("E0843", "more than 4 deep", options=["--owners=own"])


# ---- too much ----
def zeros(size):
    """A gzip of an archive of one file of zeros, and the archive's digest, without holding it."""
    import hashlib
    out, h = io.BytesIO(), hashlib.sha256()
    t = tarfile.TarInfo("zeros")
    t.size = size
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as z:
        def put(data):
            h.update(data)
            z.write(data)
        put(t.tobuf(tarfile.USTAR_FORMAT if size < 1 << 33 else tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            put(b"\0" * (1 << 20))
        put(b"\0" * 1024)
    return out.getvalue(), "sha256:" + h.hexdigest()


def case_ratio(s, c):
    """A bomb of one gzip: stopped soon after it grew beyond the ratio, whatever the size limit."""
    p = Place(s, c)
    blob, diff = zeros(96 << 20)
    p.layout.add(p.layout.manifest([(p.layout.blob(blob, OCI + "layer.v1.tar+gzip"), diff)]))
    p.bad("E0847", "--image-max-ratio", options=["--owners=own"])
    assert p.entries() == []
    p.good("--owners=own", "--max-ratio=2000")


def case_limits(s, c):
    """Each limit ends it with the limit's name; one more or less is the border."""
    small = [entry("f%d" % i, data=b"x" * 1000) for i in range(10)]
    huge = tarfile.TarInfo("huge")
    huge.size = 1 << 40
    lying = huge.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096
    sparse = tar((lambda t: (t, b""))(sparse_info()))
    rows = [
        (tar(*small), "--max-bytes=9999", "--max-bytes=10000", "--image-max-bytes"),
        (tar(*small), "--max-entries=9", "--max-entries=10", "--image-max-entries"),
        (tar(entry("a/b/c/d", data=b"")), "--max-depth=3", "--max-depth=4", "--image-max-depth"),
        (tar(entry("a" * 50, data=b"")), "--max-path=49", "--max-path=50", "--image-max-path"),
        (lying, "--max-bytes=16G", None, "--image-max-bytes"),
        (sparse, "--max-bytes=1G", None, "--image-max-bytes"),
    ]
    for number, (data, low, enough, word) in enumerate(rows):
        p = Place2(s, c, number)
        p.layout.simple(data)
        p.bad("E080", word, options=["--owners=own", low])
        assert p.entries() == []
        if enough:
            p.good("--owners=own", enough)
    p = Place2(s, c, 50)
    p.layout.simple(*[tar(entry("l%d" % i, data=b"")) for i in range(5)])
    p.bad("E0847", "--image-max-layers", options=["--owners=own", "--max-layers=4"])
    p.good("--owners=own", "--max-layers=5")
    p = Place2(s, c, 51)
    p.layout.simple(tar(*small[:6]), tar(*small[6:]))
    p.bad("E0847", "--image-max-bytes", options=["--owners=own", "--max-bytes=9999"])


def sparse_info():
    """A sparse file of 8 TiB without any data, as GNU tar's extended headers say it."""
    t = tarfile.TarInfo("holes")
    t.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "holes", "GNU.sparse.size": str(8 << 40),
                     "GNU.sparse.realsize": str(8 << 40), "GNU.sparse.numblocks": "1", "GNU.sparse.map": "%d,0" % (8 << 40)}
    return t


def case_many_layers(s, c):
    """120 layers: more than an overlay is asked to take are made one tree."""
    p = Place(s, c)
    p.layout.simple(*[tar(entry("f%d" % i, data=b"x")) for i in range(120)])
    r = p.good("--owners=own")
    assert len(names(p.tree(r))) == 120 and "layer" not in [k for k, _ in r.records]


def cases(s, c, name):
    for kind in archives("/outside"):
        s.case("%s: archive: %s" % (name, kind), case_archive, s, c, kind)
    for kind in lies():
        s.case("%s: lie: %s" % (name, kind), case_lie, s, c, kind)
    for function in (case_damaged, case_contents, case_ratio, case_limits, case_many_layers):
        s.case("%s: %s" % (name, function.__name__[5:]), function, s, c)
