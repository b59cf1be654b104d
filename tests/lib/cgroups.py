"""Cgroups of a suite's own, on a host with controllers of version 1: made by root outside, used inside.

Runs in: the test process.
"""
import fcntl
import os
import re

TREE = "/sys/fs/cgroup"
CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "cpuset", "freezer")
NAME = "HUTCH_TEST_CGROUP"


def v1(controller, *names):
    return os.path.join(TREE, controller, *names)


def has_v1():
    return all(os.path.exists(v1(c, "cgroup.clone_children")) for c in CONTROLLERS)


def make_tree(name):
    """A top cgroup of ours in each controller, and one below it that will be a user's."""
    for c in CONTROLLERS:
        for path in (v1(c, name), v1(c, name, "user")):
            os.mkdir(path)
            for f in ("cpuset.cpus", "cpuset.mems") if c == "cpuset" else ():
                with open(v1(c, f)) as have, open(os.path.join(path, f), "w") as want:
                    want.write(have.read())


def remove_tree(name):
    """Directories only: what still has a process stays, and is an error of the test that left it."""
    left = []
    for c in CONTROLLERS:
        for base, dirs, _ in os.walk(v1(c, name), topdown=False):
            try:
                os.rmdir(base)
            except OSError as e:
                left.append("%s: %s" % (base, e.strerror))
    return left


def hold(name):
    """The lock of a living suite, held as long as the descriptor is open. None = another has it, or it is gone."""
    try:
        fd = os.open(v1("memory", name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        os.close(fd)
        return None


def stale_trees():
    """Of suites that were killed: nobody holds their lock."""
    for entry in os.listdir(v1("memory")):
        fd = hold(entry) if re.fullmatch(r"hutch-test-[0-9a-f]{8}", entry) else None
        if fd is not None:
            remove_tree(entry)
            os.close(fd)


def below(name):
    """Every cgroup that runs made below our own."""
    return sorted(os.path.join(base, d) for c in CONTROLLERS for base, dirs, _ in os.walk(v1(c, name)) for d in dirs if d.startswith("hutch-"))


def join(name):
    """For preexec: this process goes into the user's cgroup of each controller."""
    for c in CONTROLLERS:
        with open(v1(c, name, "user", "cgroup.procs"), "w") as f:
            f.write("0")


def outer():
    """As root, outside of the private namespaces: the cgroup, whose name the inner half finds in the environment."""
    if os.geteuid() != 0 or os.environ.get("HUTCH_TEST_INNER") == "1" or not has_v1():
        return None
    stale_trees()
    name = "hutch-test-" + os.urandom(4).hex()
    try:
        make_tree(name)
        hold(name)          # until our end
    except OSError as e:
        print("# no cgroup of our own: %s" % e)
        remove_tree(name)
        return None
    os.environ[NAME] = name
    return name


def done(name):
    for left in remove_tree(name) if name else []:
        print("# left behind: %s" % left)


def give(name, uid, gid):
    """The lower one becomes a user's."""
    for c in CONTROLLERS:
        for f in ("", "cgroup.procs", "tasks"):
            os.chown(v1(c, name, "user", f), uid, gid)
