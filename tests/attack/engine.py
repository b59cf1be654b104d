"""How an attack is judged: control, sandboxed run, host's own view, mutation.

A row is one probe. Its verdict in a mode:
  HELD        the probe says so, and nothing of the host changed
  ESCAPED     the probe or the host's own view says so: the suite fails
  documented  the mode doesn't promise it; the reason is printed
  VACUOUS     the attack doesn't work here without the sandbox either: counted as skipped
Runs in: the test process.
"""
import array
import contextlib
import fcntl
import os
import random
import shutil
import socket
import subprocess
import termios
import threading
import time

import harness

MODES = {"root": [], "user": [], "never": ["--userns=never"]}
VERDICTS = {0: "HELD", 10: "ESCAPED", 20: "ERROR"}


class Row:
    """id, what: as in the corpus. probe: verb and arguments, or {mode: …}. opts: of every run.
    control: argv prefix ([] = the bare user), None = there can be none (why says the reason).
    own: what the control gets instead of probe. mutate: options that take the layer away, or the text that
    names the second layer which holds then. never: why the mode without namespaces doesn't promise it.
    door: function(engine) -> (words in front of the options, the probe's program); None = hutch run."""

    def __init__(self, id, what, probe, layer, opts=(), control=(), own=None, mutate=None, never=None, root=None,
                 stdin=None, cwd=None, check=None, modes=None, user=None, sandbox=True, setup=None, why=None, tty=False, fds=(), door=None):
        self.__dict__.update(locals())
        del self.__dict__["self"]


class Custom:
    """An attack that needs more than one run. function(engine, caller, opts) -> (verdict, detail)."""

    def __init__(self, id, what, function, layer, control=None, mutate=None, never=None, why=None, modes=None, user=None):
        self.__dict__.update(locals())
        del self.__dict__["self"]


class Canaries:
    """What of the host an attack could reach; all of it belongs to the ordinary user."""

    def __init__(self, base, caller):
        self.tag = "sbx%08x" % random.SystemRandom().getrandbits(32)
        self.rev = self.tag[::-1]
        self.dir = os.path.join(base, "host-" + self.tag)
        os.mkdir(self.dir)
        self.secret = os.path.join(self.dir, "secret")
        with open(self.secret, "w") as f:
            f.write("secret %s\n" % self.tag)
        self.key = random.randrange(1 << 20, 1 << 30)
        self.path = os.path.join(self.dir, "sock")
        self.dgram = os.path.join(self.dir, "dgram")
        self.hits = []
        caller.own(self.dir)
        self.process = subprocess.Popen(["sleep", "600", ], executable="/bin/sleep", env={"SBX_CANARY": self.tag}, start_new_session=True,
                                        **caller.popen_args())
        self.named = subprocess.Popen(["/bin/sh", "-c", "while :; do sleep 5; done # " + self.tag], start_new_session=True,
                                      env={"SBX_CANARY": self.tag}, **caller.popen_args())
        self.ports, self.socks = {}, []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                self.listen(family, address)
            except OSError:
                pass
        for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "dgram"), (socket.SOCK_SEQPACKET, "seq")):
            s = socket.socket(socket.AF_UNIX, kind)
            s.bind("\0" + self.tag + name)
            self.serve(s, kind != socket.SOCK_DGRAM, "abstract " + name)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(self.path)
        os.chmod(self.path, 0o666)
        self.serve(s, True, "path")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(self.dgram)
        os.chmod(self.dgram, 0o666)
        self.serve(s, False, "path dgram")

    def listen(self, family, address):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.bind((address, 0))
        self.ports[address] = s.getsockname()[1]
        self.serve(s, True, "tcp " + address)
        u = socket.socket(family, socket.SOCK_DGRAM)
        u.bind((address, self.ports[address]))
        self.serve(u, False, "udp " + address)

    def serve(self, s, stream, name):
        if stream:
            s.listen(16)
        self.socks.append(s)

        def loop():
            while True:
                try:
                    if stream:
                        s.accept()[0].close()
                    else:
                        _, peer = s.recvfrom(100)
                        if peer:
                            s.sendto(b"y", peer)
                    self.hits.append(name)
                except OSError:
                    return
        threading.Thread(target=loop, daemon=True).start()

    def state(self):
        return (harness.tree_hash(self.dir), self.process.poll(), self.named.poll())

    def restore(self):
        """After a control that did what it could."""
        for name in set(os.listdir(self.dir)) - {"secret", "sock", "dgram"}:
            path = os.path.join(self.dir, name)
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        if open(self.secret).read() != "secret %s\n" % self.tag:
            with open(self.secret, "w") as f:
                f.write("secret %s\n" % self.tag)

    def stop(self):
        for p in (self.process, self.named):
            p.kill()
            p.wait()
        for s in self.socks:
            s.close()


class Engine:
    def __init__(self, suite, user):
        self.s, self.user = suite, user
        self.bin = suite.bin
        self.probe = suite.compile("probe", "tests/attack", sorted(
            f for f in os.listdir(os.path.join(harness.TOP, "tests/attack")) if f.endswith(".c")), ["-Wno-unused-result"])
        self.head = [suite.hutch, "run"]
        self.canaries = Canaries(suite.base, user)
        self.ns = {k: os.readlink("/proc/self/ns/" + k) for k in harness.KINDS if os.path.exists("/proc/self/ns/" + k)}
        self.table, self.controls, self.mutations, self.count = {}, {}, {}, 0
        self.fds = self.make_fds()
        self.elf32 = self.compile32()

    def make_fds(self):
        """Inherited descriptors 9 = /, 10 = the secret, 11 = O_PATH of the canary's directory."""
        opened = {9: os.open("/", os.O_RDONLY | os.O_DIRECTORY), 10: os.open(self.canaries.secret, os.O_RDONLY),
                  11: os.open(self.canaries.dir, os.O_PATH | os.O_DIRECTORY)}
        return {n: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300) for n, fd in opened.items()}

    def compile32(self):
        out = os.path.join(self.bin, "elf32")
        r = subprocess.run(["cc", "-m32", "-O1", "-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector",
                            "-fno-asynchronous-unwind-tables", "-o", out, "-x", "c", os.path.join(harness.TOP, "tests/attack/elf32.h")],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return out if r.returncode == 0 else None

    # ---- one run ----
    @contextlib.contextmanager
    def through(self, door):
        """What is started meanwhile is confined by this door."""
        usual = self.head, self.probe
        if door:
            self.head, self.probe = door(self)
        try:
            yield
        finally:
            self.head, self.probe = usual

    def work(self, caller):
        """A fresh directory that the sandbox may write."""
        self.count += 1
        path = os.path.join(self.s.base, "w%d" % self.count)
        os.mkdir(path)
        with open(os.path.join(path, "allowed"), "w") as f:
            f.write("allowed\n")
        return caller.own(path)

    def fill(self, words, w):
        c = self.canaries
        values = {"W": w, "SECRET": c.secret, "HOST": c.dir, "REV": c.rev, "TAG": c.tag, "PID": str(c.process.pid), "KEY": str(c.key),
                  "MNT": self.ns["mnt"], "PIDNS": self.ns["pid"], "SOCK": c.path, "DGRAM": c.dgram, "BIN": self.bin,
                  "TCP4": str(c.ports.get("127.0.0.1", 1)), "TCP6": str(c.ports.get("::1", 1)), "BASE": self.s.base,
                  "PTS": str(os.stat("/dev/pts").st_dev) if os.path.isdir("/dev/pts") else "0", "HOSTNAME": os.path.basename(c.dir)}
        out = []
        for word in words:
            for k, v in values.items():
                word = word.replace("{%s}" % k, v)
            out.append(word)
        return out

    def spawn(self, argv, caller, w, stdin=None, cwd=None, tty=False, fds=()):
        env = dict(caller.environ(), SBX_CANARY=self.canaries.tag)
        keep = {self.fds[n]: n for n in fds}
        slave = None

        def before():
            for have, want in keep.items():
                os.dup2(have, want, inheritable=True)
            if tty:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        kw = dict(caller.popen_args())
        source = subprocess.DEVNULL
        if tty:
            master, slave = os.openpty()
            os.fchown(slave, caller.uid, caller.gid)
            source = slave
        elif stdin:
            path = self.fill([stdin], w)[0]
            source = os.open(path, os.O_RDONLY)
        if keep or tty:
            # dup2 onto fixed numbers happens in the child, after the fork
            kw["preexec_fn"] = before
            kw["close_fds"] = False if keep else True
            if tty and not keep:
                kw["pass_fds"] = (slave,)
        try:
            p = subprocess.Popen(argv, cwd=self.fill([cwd], w)[0] if cwd else w, env=env, stdin=source, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, start_new_session=True, **kw)
            try:
                out, err = p.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, 9)
                out, err = p.communicate()
                return "ERROR", "out of time"
            typed = None
            if tty:
                import array
                a = array.array("i", [0])
                fcntl.ioctl(slave, termios.FIONREAD, a)
                typed = a[0]
        finally:
            if tty:
                os.close(master)
                os.close(slave)
            elif stdin:
                os.close(source)
        text = out.decode(errors="replace")
        for line in text.splitlines():
            for word in ("ESCAPED", "HELD", "ERROR"):
                if line.startswith(word + " "):
                    if typed:
                        return "ESCAPED", "%d bytes were typed into the caller's terminal" % typed
                    return word, line[len(word) + 1:][:300]
        status = harness.status_of(p.returncode)
        detail = " ".join(err.decode(errors="replace").split())[:400]
        if status in (159, 139) or "SIGSYS" in detail or "SIGSEGV" in detail:
            return "HELD", "killed by the system call (%d)" % status
        if status == 125:
            return "REFUSED", detail
        return "ERROR", "status %d, out %r, err %s" % (status, text[:200], detail)

    def sandboxed(self, row, caller, mode, more=()):
        w = self.work(caller)
        if row.setup:
            row.setup(self, w, caller)
        before = self.canaries.state()
        opts = ["--cwd-access=none", "--ro=" + self.bin, "--rw=" + w, *MODES[mode], *row.opts, *more]
        program = row.probe[mode] if isinstance(row.probe, dict) else row.probe
        with self.through(row.door):
            binary = [] if program[0].startswith("/") or program[0].startswith("{") else [self.probe]
            argv = [*self.head, *self.fill(opts, w), "--", *binary, *self.fill(program, w)]
        if row.id[0] in "HI":
            time.sleep(0.03)                # what an earlier run sent is logged by now
        hits = len(self.canaries.hits)
        verdict, detail = self.spawn(argv, caller, w, row.stdin, row.cwd, row.tty, row.fds)
        if row.id[0] in "HI":
            time.sleep(0.03)
        if self.canaries.state() != before:
            left = sorted(os.listdir(self.canaries.dir))
            self.canaries.restore()
            return "ESCAPED", "the host's canaries changed: %s (%s)" % (left, detail)
        if len(self.canaries.hits) != hits and verdict == "HELD":
            return "ESCAPED", "a canary was reached: %s" % self.canaries.hits[hits:]
        if row.check:
            wrong = row.check(self, w, verdict, detail)
            if wrong:
                return "ESCAPED", wrong
        return verdict, detail

    def control(self, row):
        if row.control is None:
            return None, row.why or "none possible"
        if row.id not in self.controls:
            w = self.work(self.user)
            if row.setup:
                row.setup(self, w, self.user)
            program = row.own or (row.probe["user"] if isinstance(row.probe, dict) else row.probe)
            binary = [] if program[0].startswith(("/", "{")) else [self.probe]
            argv = self.fill(list(row.control), w) + binary + self.fill(program, w)
            v, d = self.spawn(argv, self.user, w, row.stdin, row.cwd, row.tty, row.fds)
            if v != "ESCAPED" and row.check and row.check(self, w, v, d):
                v, d = "ESCAPED", "as the host sees it"
            self.canaries.restore()
            self.controls[row.id] = (v, d)
        return self.controls[row.id]

    # ---- judging ----
    def judge(self, row, mode, caller):
        if isinstance(row, Custom):
            return self.judge_custom(row, mode, caller)
        control = self.control(row)
        verdict, detail = self.sandboxed(row, caller, mode)
        if verdict == "ESCAPED" and mode == "never" and row.never:
            return "documented", row.never
        if verdict == "ESCAPED" and row.user:
            return "documented", row.user
        if verdict == "REFUSED":
            verdict = "HELD"
            detail = "refused before the start: " + detail
            if row.sandbox is not None and row.sandbox != "refuses" and not (mode == "never" and row.never):
                return "ERROR", detail
        if verdict == "HELD" and control[0] is not None and control[0] != "ESCAPED":
            return "VACUOUS", "without the sandbox: %s %s" % control
        if verdict == "HELD" and mode == "user" and isinstance(row.mutate, (list, tuple)) and row.id not in self.mutations:
            v, d = self.sandboxed(row, caller, mode, row.mutate)
            self.mutations[row.id] = (v, d)
            if v != "ESCAPED":
                return "ERROR", "the mutation %s says %s %s" % (" ".join(row.mutate), v, d)
        return verdict, detail

    def judge_custom(self, row, mode, caller):
        if row.control and row.id not in self.controls:
            self.controls[row.id] = row.control(self)
        before = self.canaries.state()
        verdict, detail = row.function(self, caller, MODES[mode])
        if self.canaries.state() != before:
            verdict, detail = "ESCAPED", "the host's canaries changed (%s)" % detail
        if verdict == "ESCAPED" and ((mode == "never" and row.never) or row.user):
            return "documented", (mode == "never" and row.never) or row.user
        if verdict == "HELD" and row.control and self.controls[row.id][0] != "ESCAPED":
            return "VACUOUS", "without the sandbox: %s %s" % self.controls[row.id]
        if verdict == "HELD" and mode == "user" and isinstance(row.mutate, (list, tuple)) and row.id not in self.mutations:
            v, d = row.function(self, caller, MODES[mode] + list(row.mutate))
            self.mutations[row.id] = (v, d)
            if v != "ESCAPED":
                return "ERROR", "the mutation %s says %s %s" % (" ".join(row.mutate), v, d)
        return verdict, detail

    def case(self, row, mode, caller):
        started = time.monotonic()
        name = row.id + ("" if mode == "user" else " (%s)" % mode)
        try:
            verdict, detail = self.judge(row, mode, caller)
        except Exception as e:      # a broken row must not hide the others
            t = e.__traceback__
            while t.tb_next:
                t = t.tb_next
            verdict, detail = "ERROR", "%s: %s (%s:%d)" % (type(e).__name__, e, os.path.basename(t.tb_frame.f_code.co_filename), t.tb_lineno)
        self.table.setdefault(row.id, (row, {}))[1][mode] = (verdict, detail)
        if verdict == "HELD":
            self.s.ok("%s %s" % (name, row.what))
        elif verdict == "documented":
            self.s.ok("%s %s: documented limit: %s" % (name, row.what, detail))
        elif verdict == "VACUOUS":
            self.s.skip(name, "vacuous here: " + detail)
        else:
            self.s.bad(name, "%s: %s: %s" % (row.what, verdict, detail))
        if self.s.verbose:
            print("# %.2f s, %s; control %s; mutation %s" % (time.monotonic() - started, detail, self.controls.get(row.id),
                                                            self.mutations.get(row.id)), flush=True)

    def write(self, path, skips):
        with open(path, "w") as f:
            f.write("# Attacks and verdicts\n\nWritten by `tests/attack/suite --full --write`; each line is one probe of the suite. "
                    "HELD: the probe fails inside, and the host is unchanged. VACUOUS: it doesn't work on the machine that wrote this "
                    "without the sandbox either. documented: the mode doesn't promise it. Modes: started by root, by an ordinary user, "
                    "and by an ordinary user with `--userns never`. Control: the same probe without the sandbox. "
                    "Mutation: options that take the layer away, and the probe succeeds.\n\n"
                    "| id | attack | root | user | never | what stops it | control | mutation |\n|---|---|---|---|---|---|---|---|\n")
            for row, verdicts in self.table.values():
                words = []
                for mode in MODES:
                    v, d = verdicts.get(mode, ("–", ""))
                    words.append("documented: " + d if v == "documented" else v)
                c = self.controls.get(row.id, (None, ""))[0] or "none: " + (row.why or "not possible")
                m = "`%s`" % " ".join(row.mutate) if isinstance(row.mutate, (list, tuple)) else row.mutate or "–"
                line = [row.id, row.what, *words, row.layer, c, m]
                f.write("| %s |\n" % " | ".join(x.replace("|", "\\|").replace(self.s.base, "BASE").replace(self.canaries.tag, "TAG").replace("\n", " ") for x in line))
            f.write("\n## Not probed\n\n| id | why |\n|---|---|\n")
            for id, why in skips:
                f.write("| %s | %s |\n" % (id, why))
