"""Makes OCI image layouts, good and hostile ones, without any tool of images.

Runs in: the test process.
"""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def sha(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, kind="file", data=b"", mode=None, uid=0, gid=0, link="", dev=(0, 0), mtime=1000000000, pax=None):
    types = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
             "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE, "contiguous": tarfile.CONTTYPE}
    t = tarfile.TarInfo(name)
    t.type, t.linkname, t.mtime, t.uid, t.gid = types[kind], link, mtime, uid, gid
    t.mode = mode if mode is not None else 0o755 if kind == "dir" else 0o644
    t.devmajor, t.devminor = dev
    t.pax_headers = pax or {}
    if kind == "file":
        t.size = len(data)
    return t, data


def tar(*entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for t, data in entries:
            archive.addfile(t, io.BytesIO(data) if t.size else None)
    return out.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACK = {"": lambda d: d, "gzip": lambda d: gzip.compress(d, 1), "zstd": zstd}


class Layout:
    """A directory; what a test wants to be wrong it overrides on the way."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        os.makedirs(os.path.join(path, "blobs", "sha256"))
        self.write("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')

    def write(self, name, data):
        with open(os.path.join(self.path, name), "wb") as f:
            f.write(data)

    def blob_path(self, digest):
        return os.path.join(self.path, "blobs", "sha256", digest.split(":")[1])

    def blob(self, data, media, **more):
        digest = "sha256:" + sha(data)
        with open(self.blob_path(digest), "wb") as f:
            f.write(data)
        return dict({"mediaType": media, "digest": digest, "size": len(data)}, **more)

    def layer(self, data, pack="gzip", media=None, packed=None):
        """(descriptor, diff_id) of a tar."""
        blob = PACK[pack](data) if packed is None else packed
        return self.blob(blob, media or OCI + "layer.v1.tar" + ("+" + pack if pack else "")), "sha256:" + sha(data)

    def manifest(self, layers, config=None, docker=False, arch=MACHINE, diff_ids=None, change=None, change_config=None):
        """Descriptor of a manifest with its config."""
        document = {"architecture": arch, "os": "linux", "config": config or {},
                    "rootfs": {"type": "layers", "diff_ids": diff_ids or [d for _, d in layers]}}
        (change_config or (lambda d: None))(document)
        conf = self.blob(json.dumps(document).encode(), DOCKER + "container.image.v1+json" if docker else OCI + "config.v1+json")
        media = DOCKER + "distribution.manifest.v2+json" if docker else OCI + "manifest.v1+json"
        document = {"schemaVersion": 2, "mediaType": media, "config": conf, "layers": [b for b, _ in layers]}
        (change or (lambda d: None))(document)
        return self.blob(json.dumps(document).encode(), media)

    def nested(self, manifests, docker=False):
        media = DOCKER + "distribution.manifest.list.v2+json" if docker else OCI + "index.v1+json"
        return self.blob(json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": manifests}).encode(), media)

    def add(self, descriptor, tag=None, platform=None):
        if tag is not None:
            descriptor = dict(descriptor, annotations={"org.opencontainers.image.ref.name": tag})
        if platform:
            descriptor = dict(descriptor, platform=platform)
        self.entries.append(descriptor)
        return self.finish()

    def finish(self, **more):
        self.write("index.json", json.dumps(dict({"schemaVersion": 2, "manifests": self.entries}, **more)).encode())
        return self

    def simple(self, *tars, **kw):
        """One image without a name, of these archives."""
        return self.add(self.manifest([self.layer(t) for t in tars], **kw))
