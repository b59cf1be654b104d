"""Live: a package manager as root inside, with ranges of ids: apt-get install in a Debian tree, from a repository of the test's own.

HUTCH_TEST_APT names a tree with apt (tools/testroot.sh apt); without one the cases are skipped.
Runs in: the test process."""
import gzip
import hashlib
import os
import shutil
import subprocess

import spaces
from harness import Skip

CAPS = "chown,dac_override,fowner,fsetid,setuid,setgid"
# What packages do: owners and modes of their own, a set-id program, scripts that make users' directories, a dependency.
POSTINST = """#!/bin/sh
set -e
chown games:games /var/lib/hutch-test; chmod 2750 /var/lib/hutch-test
ln -sf /usr/bin/hutch-test /usr/local/bin/ht; rm -f /var/lib/hutch-test/fifo; mkfifo /var/lib/hutch-test/fifo
echo configured > /dev/null; ls /proc/self/fd > /dev/null
chown -h games /usr/local/bin/ht
"""


def build(tree, name, depends, files, script=None):
    """A .deb by the tree's own dpkg-deb, as root of the test machine."""
    top = os.path.join(tree, "tmp", name)
    os.makedirs(top + "/DEBIAN")
    with open(top + "/DEBIAN/control", "w") as f:
        f.write("Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n%sDescription: test\n" % (
            name, "Depends: %s\n" % depends if depends else ""))
    for path, mode, group in files:
        full = top + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if path.endswith("/"):
            os.makedirs(full, exist_ok=True)
        else:
            with open(full, "w") as f:
                f.write("#!/bin/sh\necho installed\n")
        os.chown(full, 0, group)
        os.chmod(full, mode)
    if script:
        with open(top + "/DEBIAN/postinst", "w") as f:
            f.write(script)
        os.chmod(top + "/DEBIAN/postinst", 0o755)
    subprocess.run(["chroot", tree, "dpkg-deb", "-b", "/tmp/" + name, "/repo/%s.deb" % name], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(top)


def repository(tree):
    os.makedirs(tree + "/repo")
    build(tree, "hutch-test-lib", None, [("/usr/share/hutch-test/data", 0o644, 0)])
    build(tree, "hutch-test", "hutch-test-lib", [("/usr/bin/hutch-test", 0o755, 0), ("/usr/bin/hutch-setid", 0o4755, 0), ("/usr/bin/hutch-setgid", 0o2755, 43),
                                                 ("/var/lib/hutch-test/", 0o755, 0)], POSTINST)
    entries = []
    for name in ("hutch-test-lib", "hutch-test"):
        deb = "%s/repo/%s.deb" % (tree, name)
        with open(deb, "rb") as f:
            data = f.read()
        fields = subprocess.run(["chroot", tree, "dpkg-deb", "-f", "/repo/%s.deb" % name], check=True, stdout=subprocess.PIPE, text=True).stdout
        entries.append(fields + "Filename: ./%s.deb\nSize: %d\nSHA256: %s\n" % (name, len(data), hashlib.sha256(data).hexdigest()))
    with gzip.open(tree + "/repo/Packages.gz", "wt") as f:
        f.write("\n".join(entries))
    for left in os.listdir(tree + "/etc/apt/sources.list.d"):
        os.unlink(tree + "/etc/apt/sources.list.d/" + left)
    with open(tree + "/etc/apt/sources.list", "w") as f:
        f.write("deb [trusted=yes] file:/repo ./\n")


def archive(s):
    """The tree with the repository as an archive, made once."""
    source = os.environ.get("HUTCH_TEST_APT")
    if not source:
        raise Skip("HUTCH_TEST_APT names no Debian tree with apt (tools/testroot.sh apt)")
    if os.geteuid() != 0:
        raise Skip("making the archive needs root")
    path = os.path.join(s.base, "apt.tar")
    if not os.path.exists(path):
        tree = os.path.join(s.base, "apt-tree")
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", source, tree], check=True)
        repository(tree)
        subprocess.run(["tar", "--numeric-owner", "--exclude=./dev/*", "--exclude=./var/lib/apt/lists/*", "-cf", path, "-C", tree, "."], check=True)
        shutil.rmtree(tree)
    return path


def mapping(s, c):
    """Options for ranges, and the ids on the host of root, games and group 43 inside."""
    if c.root:
        return ["--uid-map=0:300000:65536", "--gid-map=0:300000:65536"], (300000, 300005, 300060, 300043)
    spaces.has_ranges(c)
    start, group = (next(int(l.split(":")[1]) for l in open(f) if l.split(":")[0] == c.name) for f in ("/etc/subuid", "/etc/subgid"))
    return ["--map=auto"], (c.uid, start + 4, group + 59, group + 42)


INSTALL = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y install hutch-test
hutch-test
dpkg -s hutch-test | grep Status
stat -c '%a %U %G' /var/lib/hutch-test /usr/bin/hutch-setid /usr/bin/hutch-setgid
apt-get -q -y purge hutch-test-lib
test ! -e /usr/bin/hutch-test
"""


def apt(s, c):
    tar = archive(s)
    ranges, (root, games, games_group, shadow) = mapping(s, c)
    tree = os.path.join(s.scratch, "tree")
    os.mkdir(tree)
    os.chown(tree, root, root if c.root else c.gid)
    r = s.run(c, [*ranges, "--caps", CAPS, "--rw", tree + ":/tree", "--ro", tar + ":/a.tar"], ["tar", "--numeric-owner", "-xpf", "/a.tar", "-C", "/tree"],
              cwd="/", timeout=120, writes=True)
    assert r.status == 0 and not r.err, r
    opts = [*ranges, "--rootfs", tree, "--rootfs-access=rw"]
    # Without the word for it nothing can be given away: the control.
    r = s.run(c, opts, ["sh", "-c", "chown games /etc/motd || echo refused"], cwd="/", writes=True)
    assert "refused" in r.out, r
    r = s.run(c, [*opts, "--caps", CAPS.replace("fsetid,", "")], ["sh", "-c", "chmod 4755 /usr/bin/env || echo refused"], cwd="/", writes=True)
    assert "refused" in r.out, r
    r = s.run(c, [*opts, "--caps", CAPS], ["sh", "-c", INSTALL.split("apt-get -q -y purge")[0]], cwd="/", timeout=120, writes=True)
    assert r.status == 0 and "\ninstalled\n" in r.out and "install ok installed" in r.out, r
    assert "2750 games games" in r.out and "4755 root root" in r.out and "2755 root " in r.out, r
    # The oracle: what the host sees.
    seen = os.stat(tree + "/var/lib/hutch-test")
    assert (seen.st_uid, seen.st_gid) == (games, games_group) and os.stat(tree + "/usr/bin/hutch-setid").st_uid == root, (seen, games, games_group)
    assert os.stat(tree + "/usr/bin/hutch-setgid").st_gid == shadow and os.lstat(tree + "/usr/local/bin/ht").st_uid == games
    r = s.run(c, [*opts, "--caps", CAPS], ["sh", "-ec", "apt-get -q -y purge hutch-test-lib; test ! -e /usr/bin/hutch-test"], cwd="/", timeout=120, writes=True)
    assert r.status == 0, r
    # Read-only with changes in memory: the tree stays as it is. (Root's copy-on-write maps one owner, not ranges.)
    if c.root:
        return
    r = s.run(c, [*ranges, "--rootfs", tree, "--rootfs-access=cow", "--caps", CAPS], ["sh", "-c", INSTALL], cwd="/", timeout=120, writes=True)
    assert r.status == 0 and "\ninstalled\n" in r.out and not os.path.exists(tree + "/usr/bin/hutch-test"), r


def cases(s, c, who):
    s.case(who + "/packages/apt", apt, s, c)
