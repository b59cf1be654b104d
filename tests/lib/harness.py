"""Shared by the suites that run the real command: callers, runs, oracles, counting.

A suite that is started by root works inside a mount and pid namespace of its own, so that neither a
bug of the command under test nor of a test can reach the machine. The ordinary user it needs is made
before and removed afterwards. Standard library only.
Runs in: the test process.
"""
import atexit
import ctypes
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = "hutcht"          # of the users that a suite makes
BASE = "/srv"              # no place that hutch replaces by one of its own
KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
SLOW = float(os.environ.get("HUTCH_TEST_SLOW", "1"))      # how much slower than usual this machine is: limits grow with it


def patient(seconds):
    """A time limit that fits this machine."""
    return seconds * SLOW


def pause(seconds):
    """Gives others that long to do something that can't be seen."""
    time.sleep(patient(seconds))


class Process(subprocess.Popen):
    """Its limits are those of this machine."""

    def communicate(self, input=None, timeout=None):
        return super().communicate(input, timeout and patient(timeout))

    def wait(self, timeout=None):
        return super().wait(timeout and patient(timeout))


class Skip(Exception):
    """The surroundings can't show this; printed and counted."""


def landlock_abi():
    """The version that this kernel's Landlock has; below 1: none."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


class Result:
    """What a finished run left: status as a shell says it, both texts, and the helper's facts."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        self.facts = {}
        for line in out.splitlines():
            key, sep, value = line.partition("=")
            if sep:
                self.facts.setdefault(key, []).append(value)

    def all(self, key):
        return self.facts.get(key, [])

    def one(self, key):
        values = self.all(key)
        if len(values) != 1:
            raise AssertionError("the helper said %d times %r; %s" % (len(values), key, self))
        return values[0]

    def __repr__(self):
        return str(self)

    def __str__(self):
        return "status %s, argv %s\n    out: %s\n    err: %s" % (
            self.status, " ".join(map(repr, self.argv[1:])), self.out[-700:].replace("\n", "\n         "),
            self.err[-900:].replace("\n", "\n         "))


class Caller:
    """Who starts hutch: root, or an ordinary user. work is a directory of theirs that others can read."""

    def __init__(self, name, uid, gid, home, work):
        self.name, self.uid, self.gid, self.home, self.work = name, uid, gid, home, work
        self.root = uid == 0
        self.switch = uid != os.geteuid()
        self.runtime = work + "-runtime"      # the list of runs: none of the machine's own
        os.makedirs(self.runtime, mode=0o700, exist_ok=True)
        if self.switch:
            os.chown(self.runtime, uid, gid)

    def popen_args(self):
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def environ(self):
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.home,
                "USER": self.name, "LOGNAME": self.name, "LANG": "C.UTF-8", "TERM": "xterm", "SHELL": "/bin/sh", "XDG_RUNTIME_DIR": self.runtime}

    def own(self, path):
        if self.switch:
            for base, dirs, files in os.walk(path):
                for name in dirs + files:
                    os.lchown(os.path.join(base, name), self.uid, self.gid)
            os.lchown(path, self.uid, self.gid)
        return path


def status_of(returncode):
    return 128 - returncode if returncode < 0 else returncode


def tree_hash(top, skip=()):
    """One hash over names, kinds, modes, owners and content of everything below top."""
    h = hashlib.sha256()
    for base, dirs, files in os.walk(top):
        dirs.sort()
        for name in sorted(dirs + files, key=os.fsencode):
            path = os.path.join(base, name)
            if path in skip:
                continue
            s = os.lstat(path)
            h.update(os.fsencode(path) + b"|%o|%d|%d|" % (s.st_mode, s.st_uid, s.st_gid))
            if stat.S_ISLNK(s.st_mode):
                h.update(os.fsencode(os.readlink(path)))
            elif stat.S_ISREG(s.st_mode):
                try:
                    with open(path, "rb") as f:
                        h.update(hashlib.sha256(f.read()).digest())
                except PermissionError:
                    h.update(b"unreadable")
    return h.hexdigest()


def remove_tree(top):
    """Directories that a test closed to all included (an overlay's work directory is one)."""
    for folder, folders, _ in os.walk(top):
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                try:
                    os.chmod(path, 0o700)
                except OSError:
                    pass        # another user's
    shutil.rmtree(top, ignore_errors=True)


def mountinfo():
    with open("/proc/self/mountinfo") as f:
        return f.read()


def proc_text(pid, name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def processes():
    """pid -> (start time, state, parent, name) of everything that /proc shows."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        text = proc_text(pid, "stat").decode("ascii", "replace")
        if not text:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        found[int(pid)] = (rest[19], rest[0], int(rest[1]), name)
    return found


def with_tag(tag):
    """Live processes with these bytes in their arguments or environment: the host's own word."""
    tag = tag.encode()
    me = {os.getpid(), os.getppid()}
    return [pid for pid, (_, state, _, _) in processes().items() if pid not in me and state not in "ZX"
            and (tag in proc_text(pid, "cmdline") or tag in proc_text(pid, "environ"))]


def wait_until(condition, seconds=3.0, step=0.02):
    end = time.monotonic() + patient(seconds)
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def status_field(pid, field):
    m = re.search(r"^%s:\s*(.*)$" % field, proc_text(pid, "status").decode(), re.M)
    return m.group(1) if m else None


class Suite:
    def __init__(self, name, private=True):
        """private: what root runs is put into namespaces of its own. Not where the machine is ours to spoil."""
        self.private = private
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0
        self.only = os.environ.get("ONLY")
        self.verbose = "-v" in sys.argv
        self.base = None
        self.scratch = None
        self.masked = []
        self.watch_procs = os.geteuid() != 0 or os.environ.get("HUTCH_TEST_INNER") == "1"

    # ---- set-up ----
    def start(self):
        """Prepares (and re-executes inside private namespaces when root). Call first."""
        if self.private and os.geteuid() == 0 and os.environ.get("HUTCH_TEST_INNER") != "1":
            sys.exit(outer(self.name))
        os.umask(0o022)
        self.base = tempfile.mkdtemp(prefix="hutch-%s-" % self.name, dir=BASE if os.access(BASE, os.W_OK) else "/var/tmp")
        os.chmod(self.base, 0o755)
        atexit.register(self.finish)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.bin = os.path.join(self.base, "bin")
        os.mkdir(self.bin)
        hutch = os.environ.get("HUTCH") or os.path.join(TOP, "build", "hutch")
        if not os.path.exists(hutch):
            print("%s: there is no %s: build first (make)" % (self.name, hutch), file=sys.stderr)
            sys.exit(1)
        self.hutch = shutil.copy(hutch, os.path.join(self.bin, "hutch"))
        os.chmod(self.hutch, 0o755)
        scope = os.path.join(os.path.dirname(hutch), "hutch-scope")
        if os.path.exists(scope):                       # found beside the command only
            shutil.copy(scope, self.bin)
        self.mask_tmp()
        built = os.environ.get("HUTCH_TEST_INSIDE")     # a compiler takes half a minute in an interpreted machine
        self.inside = shutil.copy(built, self.bin) if built else \
            self.compile("inside", "tests/inside", ["main.c", "state.c", "files.c", "acts.c"])
        self.callers = self.make_callers()
        os.environ.pop("HUTCH", None)

    def mask_tmp(self):
        """A /tmp of our own, so that what a run leaves there can be told from what others put there."""
        if os.environ.get("HUTCH_TEST_INNER") != "1":
            return
        for place in ("/tmp", "/dev/shm"):
            if not (TOP + "/").startswith(place + "/") and os.path.isdir(place):
                subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", place], check=True)
                self.masked.append(place)
        if (os.getcwd() + "/").startswith("/tmp/"):
            os.chdir("/")

    def compile(self, name, directory, sources, flags=()):
        out = os.path.join(self.bin, name)
        cc = os.environ.get("CC", "cc").split()
        r = subprocess.run(cc + ["-std=gnu11", "-O1", "-Wall", "-static", "-o", out, *flags,
                                 *[os.path.join(TOP, directory, s) for s in sources]],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, TMPDIR=self.base))
        if r.returncode != 0:
            print(r.stdout, file=sys.stderr)
            sys.exit(1)
        return out

    def make_callers(self):
        callers = []
        user = os.environ.get("HUTCH_TEST_USER")
        if os.geteuid() == 0:
            callers.append(Caller("root", 0, 0, os.environ.get("HOME", "/root"), self.dir("root")))
        if os.geteuid() != 0:
            p = pwd.getpwuid(os.geteuid())
            callers.append(Caller(p.pw_name, p.pw_uid, p.pw_gid, p.pw_dir, self.dir("user")))
        elif user:
            p = pwd.getpwnam(user)
            c = Caller(p.pw_name, p.pw_uid, p.pw_gid, p.pw_dir, self.dir("user"))
            callers.append(c)
        for c in callers:
            c.own(c.work)
        return callers

    def caller(self, root):
        for c in self.callers:
            if c.root == root:
                return c
        raise Skip("no root here" if root else "no ordinary user here (needs root to make one)")

    def dir(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path, exist_ok=True)
        return path

    def finish(self):
        if self.base:
            remove_tree(self.base)
            self.base = None

    # ---- running ----
    def argv(self, opts, cmd, verb="run"):
        return [self.hutch, verb, *map(os.fspath, opts), "--", *map(os.fspath, cmd)]

    def popen(self, c, opts, cmd, verb="run", cwd=None, env=None, stdin=subprocess.DEVNULL, fds=(), before=None, raw=None, **kw):
        argv = raw if raw is not None else self.argv(opts, cmd, verb)
        extra = c.popen_args()
        if before:
            extra["preexec_fn"] = before
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        return Process(argv, cwd=cwd or self.scratch or c.work, env=c.environ() if env is None else env,
                       stdin=stdin, pass_fds=fds, start_new_session=True, **extra, **kw)

    def run(self, c, opts, cmd, verb="run", timeout=25, input=None, writes=False, **kw):
        """Starts hutch as c and waits. Unless writes, the case's own files must come out unchanged."""
        before = None if writes or not self.scratch else tree_hash(self.scratch)
        if input is not None:
            kw["stdin"] = subprocess.PIPE
        p = self.popen(c, opts, cmd, verb, **kw)
        try:
            out, err = p.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, err = p.communicate()
            raise AssertionError("not ended after %s s: %s" % (timeout, Result(
                p.args, None, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))))
        r = Result(p.args, status_of(p.returncode), (out or b"").decode("utf-8", "surrogateescape"),
                   (err or b"").decode("utf-8", "replace"))
        if before and tree_hash(self.scratch) != before:
            raise AssertionError("the run changed files of the host: %s" % r)
        return r

    def see(self, c, opts, *verbs, **kw):
        """Runs the helper inside with these verbs; it must end with 0. A verb is a string or a list."""
        words = []
        for v in verbs:
            words += [","] if words else []
            words += v.split() if isinstance(v, str) else [os.fspath(w) for w in v]
        r = self.run(c, opts, [self.inside, *words], **kw)
        if r.status != 0:
            raise AssertionError("the run failed: %s" % r)
        return r

    # ---- cases ----
    def case(self, name, function, *args):
        if self.only and not re.search(self.only, name):
            return
        self.scratch = os.path.join(self.base, "case")
        remove_tree(self.scratch)
        os.mkdir(self.scratch)
        for a in args:
            if isinstance(a, Caller):
                a.own(self.scratch)
        before, started = self.surroundings(), time.monotonic()
        try:
            function(*args)
            self.check_residue(before)
        except Skip as e:
            self.skip(name, str(e))
        except AssertionError as e:
            self.bad(name, str(e) or "line %d" % e.__traceback__.tb_next.tb_lineno)
            self.sweep(before)
        except Exception as e:
            line = e.__traceback__
            while line.tb_next:
                line = line.tb_next
            self.bad(name, "%s: %s (%s:%d)" % (type(e).__name__, e, os.path.basename(line.tb_frame.f_code.co_filename), line.tb_lineno))
            self.sweep(before)
        else:
            self.ok(name)
        if self.verbose:
            print("# %.2f s %s" % (time.monotonic() - started, name), flush=True)
        self.scratch = None

    def surroundings(self):
        # Only where nobody else writes.
        names = {p: sorted(os.listdir(p)) for p in self.masked}
        return {"mounts": mountinfo(), "procs": self.own_processes(), "names": names}

    def own_processes(self):
        """Live processes that a run may have left: everything in our pid namespace, else the caller's own."""
        uid, inner = os.geteuid(), os.environ.get("HUTCH_TEST_INNER") == "1"
        live = set()
        for pid, (start, state, _, name) in processes().items():
            if state in "ZX" or pid == os.getpid():
                continue
            if not inner and uid != 0 and (status_field(pid, "Uid") or "x").split()[0] != str(uid):
                continue
            if not inner and self.base.encode() not in proc_text(pid, "cmdline") + proc_text(pid, "environ"):
                continue
            live.add((pid, start))
        return live

    def reap(self):
        """As PID 1 of our namespace: a zombie that came to us keeps the pid namespace that it was in from ending."""
        if os.getpid() == 1:
            for pid, (_, state, parent, _) in processes().items():
                if state == "Z" and parent == 1:
                    try:
                        os.waitpid(pid, os.WNOHANG)
                    except ChildProcessError:
                        pass

    def check_residue(self, before):
        def gone():
            self.reap()
            return not self.own_processes() - before["procs"]
        left = wait_until(gone, 2.0)
        if not left:
            new = self.own_processes() - before["procs"]
            raise AssertionError("processes left behind: %s" % [
                (p, proc_text(p, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:160]) for p, _ in new])
        now = self.surroundings()
        if now["mounts"] != before["mounts"]:
            raise AssertionError("the mount table of the surroundings changed: %s" % sorted(
                set(now["mounts"].splitlines()) ^ set(before["mounts"].splitlines())))
        if now["names"] != before["names"]:
            raise AssertionError("files left behind: %s" % {p: sorted(set(now["names"][p]) ^ set(before["names"][p]))
                                                            for p in now["names"]})

    def sweep(self, before):
        """After a failure: ends the processes that this case started, so that the next one is judged alone."""
        for pid, start in self.own_processes() - before["procs"]:
            if processes().get(pid, ("",))[0] == start:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        for line in mountinfo().splitlines():
            point = line.split()[4]
            if self.scratch and point.startswith(self.scratch + "/"):
                subprocess.run(["umount", "-l", point], check=False)

    def ok(self, name):
        self.passed += 1
        print("ok %s" % name, flush=True)

    def bad(self, name, why):
        self.failed += 1
        print("not ok %s: %s" % (name, why), flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print("SKIP %s: %s" % (name, why), flush=True)

    def result(self):
        self.finish()
        print("RESULT %s passed=%d failed=%d skipped=%d" % (self.name, self.passed, self.failed, self.skipped), flush=True)
        sys.exit(1 if self.failed else 0)


# ---- the outer half, as root: user, namespaces, removal ----
def user_add(name):
    for _ in range(20):
        r = subprocess.run(["useradd", "-m", "-s", "/bin/sh", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode == 0:
            return True
        time.sleep(0.3)      # another suite holds the lock of the user data base
    print("useradd: %s" % r.stdout.strip(), file=sys.stderr)
    return False


def user_delete(name):
    for _ in range(20):
        r = subprocess.run(["userdel", "-r", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if r.returncode in (0, 6, 12):   # 6: unknown, 12: no mail box or home
            return
        time.sleep(0.3)


def user_lock(name):
    """Held for as long as the suite lives that made this user. A pid would say nothing across pid namespaces."""
    fd = os.open("/run/lock/hutch-test-" + name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        os.close(fd)
        return None


def user_drop(name, lock):
    user_delete(name)
    os.unlink("/run/lock/hutch-test-" + name)
    os.close(lock)


def stale_users():
    """Users of suites that were killed before they could clean up: nobody holds their lock."""
    for entry in os.listdir("/run/lock"):
        if not entry.startswith("hutch-test-" + PREFIX):
            continue
        lock = user_lock(entry[len("hutch-test-"):])
        if lock is not None:
            user_drop(entry[len("hutch-test-"):], lock)


def outer(name):
    user = lock = None
    if shutil.which("useradd"):
        os.makedirs("/run/lock", exist_ok=True)
        stale_users()
        user = PREFIX + "-" + os.urandom(4).hex()
        lock = user_lock(user)
        if not user_add(user):
            user = None
    child = None

    def stop(number, _):
        if child:
            child.terminate()
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, stop)
    try:
        env = dict(os.environ, HUTCH_TEST_INNER="1")
        env.pop("HUTCH_TEST_USER", None)
        if user:
            env["HUTCH_TEST_USER"] = user
        child = subprocess.Popen(["unshare", "-mpf", "--kill-child", "--propagation", "private", "--mount-proc", "--",
                                  sys.executable, *sys.argv], env=env)
        return status_of(child.wait())
    finally:
        if child and child.poll() is None:
            child.kill()
            child.wait()
        if user:
            user_drop(user, lock)
        for left in os.listdir(BASE) if os.path.isdir(BASE) else []:      # of a suite that was killed
            path = os.path.join(BASE, left)
            if left.startswith("hutch-%s-" % name) and (os.stat(path).st_mtime < time.time() - 3600 or child and child.returncode < 0):
                shutil.rmtree(path, ignore_errors=True)


def parse_json(text):
    try:
        return json.loads(text)
    except ValueError as e:
        raise AssertionError("not JSON (%s): %s" % (e, text[:300]))
