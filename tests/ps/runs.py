"""Shared by the ps suite: started runs, the commands that look at them, cgroups of the suite's own.
Runs in: the test process."""
import fcntl
import glob
import json
import os
import signal
import subprocess
import time

from harness import Skip, wait_until

TOP = "/sys/fs/cgroup"
PURE_V2 = os.path.exists(TOP + "/cgroup.controllers")
# Directories below TOP, one for each hierarchy.
HIERARCHIES = ("",) if PURE_V2 else ("memory", "pids", "cpu", "cpuacct", "freezer")


class Cgroups:
    """One top cgroup in each hierarchy, of version 1 the ordinary user's to fill; never another one is touched."""

    def __init__(self, suite):
        self.name = "hutch-test-%d-%x" % (os.getpid(), time.monotonic_ns())
        self.made, self.locks = [], []
        self.users = [c for c in suite.callers if not c.root]

    def __enter__(self):
        try:
            for hierarchy in HIERARCHIES if os.geteuid() == 0 else ():
                path = os.path.join(TOP, hierarchy, self.name)
                os.mkdir(path)
                self.made.append(path)
                # As a launcher does: an empty directory of such a name without a lock is swept by other runs.
                self.locks.append(os.open(path, os.O_RDONLY))
                fcntl.flock(self.locks[-1], fcntl.LOCK_EX)
        except OSError:
            self.__exit__()
        return self

    def thaw(self):
        """After a case that failed: what stands still can't end, and keeps every one of its cgroups."""
        for path in self.made:
            for below in os.listdir(path):
                for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                    state = os.path.join(path, below, name)
                    if os.path.exists(state):
                        with open(state, "w") as f:
                            f.write(word)

    def __exit__(self, *_):
        self.thaw()

        def remove():
            for path in list(self.made):
                for below in os.listdir(path):
                    if os.path.isdir(os.path.join(path, below)):
                        os.rmdir(os.path.join(path, below))
                os.rmdir(path)
                self.made.remove(path)
            return True

        def tried():
            try:
                return remove()
            except OSError:
                return False
        if not wait_until(tried, 5):
            print("# cgroups that couldn't be removed: %s" % self.made)

    def options(self, c):
        if not self.made:
            raise Skip("no cgroups that this suite could make")
        if PURE_V2 and not c.root:
            return self.scope(c)
        for path in self.made if not PURE_V2 else ():
            for name in (".", "cgroup.procs"):
                os.chown(os.path.join(path, name), c.uid, c.gid)
        return ["--cgroup=yes", "--cgroup-parent=/" + self.name]

    def scope(self, c):
        """Version 2 lets a user move nothing into a cgroup from outside of what is delegated: their manager does."""
        bus, shown = "/run/user/%d/bus" % c.uid, os.path.join(c.runtime, "bus")
        if not os.path.exists(bus):
            raise Skip("no user manager of systemd here")
        if not os.path.lexists(shown):
            os.symlink(bus, shown)
        return ["--cgroup=yes"]

    def left(self):
        """Cgroups of runs that are there now."""
        places = self.made or []
        found = [os.path.join(p, d) for p in places for d in os.listdir(p) if os.path.isdir(os.path.join(p, d))]
        return found + (glob.glob(TOP + "/**/hutch-*.scope", recursive=True) if PURE_V2 else [])


def tool(s, c, *words, env=None, expect=0, cwd=None):
    """A sub-command; its status must be the expected one (None: any)."""
    r = s.run(c, [], [], raw=[s.hutch, *words], writes=True, env=env, cwd=cwd)
    assert expect is None or r.status == expect, r
    return r


def listed(s, c, env=None):
    return json.loads(tool(s, c, "ps", "--json", env=env).out)


def names(s, c, env=None):
    return sorted(n["name"] for n in listed(s, c, env))


def entry_file(c, name):
    return os.path.join(c.runtime, "hutch", name)


class Started:
    """A run in the background. Ends with the block, whatever happens."""

    def __init__(self, s, c, opts, cmd, name=None, **kw):
        self.s, self.c, self.name = s, c, name
        opts = list(opts) + (["--name=" + name] if name else [])
        self.p = s.popen(c, opts, cmd, **kw)

    def __enter__(self):
        def there():
            if self.p.poll() is not None:
                raise AssertionError("the run didn't start: status %s: %s" % (self.p.returncode, self.p.stderr.read().decode()))
            mine = [n for n in listed(self.s, self.c) if n["launcher"] == self.p.pid]
            return mine[0] if mine else None
        try:
            self.facts = wait_until(there, 10)
            assert self.facts, "it isn't listed: %s" % listed(self.s, self.c)
        except BaseException:
            self.stop()
            raise
        self.id, self.pid = self.facts["id"], self.facts["pid"]
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(2)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.p.stdout.close()
        self.p.stderr.close()

    def wait(self, seconds=10):
        self.p.wait(seconds)
        return 128 - self.p.returncode if self.p.returncode < 0 else self.p.returncode

    def now(self):
        return next((n for n in listed(self.s, self.c) if n["id"] == self.id), None)


def counter(s, c):
    """Command that lets a file of the case's folder grow, and how to read its size."""
    path = os.path.join(s.scratch, "count")
    with open(path, "w"):
        pass
    c.own(s.scratch)
    code = "while :; do echo >> %s; sleep 0.02; done" % path
    return ["--rw=" + s.scratch], ["sh", "-c", code], lambda: os.path.getsize(path)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def start_time(pid):
    with open("/proc/%d/stat" % pid) as f:
        return int(f.read().rsplit(")", 1)[1].split()[19])
