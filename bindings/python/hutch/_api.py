"""The objects that the package shows.

Runs in: any.
"""
import ctypes
import json
import os
import select
import time

from . import _lib

CAPTURE_MAX = 16 << 20


class Error(Exception):
    """What the library says. id: the number of hutch-errors(7); errno, layer, subject, detail, remedy as there."""

    def __init__(self, e):
        room = ctypes.create_string_buffer(4096)
        _lib.error_text(ctypes.byref(e), room, len(room))
        super().__init__(room.value.decode("utf-8", "replace").rstrip())
        self.id, self.errno = e.id, e.errnum
        for name in ("layer", "step", "call", "subject", "origin", "detail", "remedy"):
            setattr(self, name, getattr(e, name).decode("utf-8", "replace"))


def must(function, *arguments):
    e = _lib.ErrorStruct()
    result = function(*arguments, ctypes.byref(e))
    if result is not None and result < 0:
        raise Error(e)
    return result


def value_text(value):
    if value is True or value is False:
        return "yes" if value else "no"
    return os.fsencode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def as_bytes(text):
    text = value_text(text)
    data = text if isinstance(text, bytes) else text.encode()
    if b"\0" in data:
        raise ValueError("a value holds a NUL byte")
    return data


class Policy:
    """Lines of a policy. Policy(net="none", ro=["/srv/a", "/srv/b"])"""

    def __init__(self, **settings):
        self._p = _lib.policy_new()
        if not self._p:
            raise MemoryError
        for name, value in settings.items():
            self.set(name, value)

    def set(self, name, value):
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not None:
                must(_lib.policy_set, self._p, as_bytes(name.replace("_", "-")), as_bytes(one))
        return self

    def load(self, path):
        must(_lib.policy_load, self._p, as_bytes(path))
        return self

    def plan(self, argv, full=False):
        return Plan(self, argv, full)

    def __del__(self):
        if getattr(self, "_p", None):
            _lib.policy_free(self._p)
            self._p = None


class Plan:
    """What would be done: str(plan) tells. One plan may be spawned many times."""

    def __init__(self, policy, argv, full=False):
        if isinstance(argv, (str, bytes)):
            raise TypeError("argv is a list of words")
        words = (ctypes.c_char_p * (len(argv) + 1))(*[as_bytes(w) for w in argv], None)
        must(_lib.policy_command, policy._p, words)
        plan = ctypes.c_void_p()
        must(_lib.plan_new, policy._p, full, ctypes.byref(plan))
        self._p = plan.value

    def text(self):
        return _lib.take_text(_lib.plan_text(self._p, False))

    def json(self):
        return json.loads(_lib.take_text(_lib.plan_text(self._p, True)))

    __str__ = text

    def spawn(self, fds=None):
        """Starts it. fds: {inside: outside}, each of which the policy's key fd must name."""
        return Run(self, fds or {})

    def __del__(self):
        if getattr(self, "_p", None):
            _lib.plan_free(self._p)
            self._p = None


class Report:
    """How a run ended: end, exit_code, signal, exit_status and the measures as attributes; stdout, stderr where captured."""

    def __init__(self, facts, exit_status):
        self.facts, self.exit_status = facts, exit_status
        self.exit_code = self.signal = self.stdout = self.stderr = None
        self.truncated = self.timed_out = False
        for name, value in facts.items():
            setattr(self, name.replace("-", "_"), value)

    def __repr__(self):
        return "<hutch.Report %s>" % ", ".join("%s=%r" % i for i in self.facts.items())


class Run:
    """A started sandbox. fileno() is for poll(2): readable when something is to be stepped."""

    def __init__(self, plan, fds):
        run = ctypes.c_void_p()
        places = (_lib.FdStruct * max(len(fds), 1))(*[(i, o if isinstance(o, int) else o.fileno()) for i, o in fds.items()])
        must(_lib.spawn_fds, plan._p, places, len(fds), ctypes.byref(run))
        self._plan, self._p, self._report = plan, run.value, None   # the plan must outlive the run
        self._capture = {}

    @property
    def pid(self):
        return _lib.run_pid(self._p)

    def _pollfds(self):
        fds = (_lib.PollFd * 16)()
        return fds, _lib.run_pollfds(self._p, fds, 16)

    def pollfds(self):
        """[(fd, events)] for an event loop; call poll() when one is ready."""
        fds, n = self._pollfds()
        return [(f.fd, f.events) for f in fds[:n] if f.fd >= 0]

    def poll(self, timeout=0):
        """Waits up to timeout seconds (None = for ever) for something to do, and does it. The report, or None."""
        if self._report:
            return self._report
        fds, n = self._pollfds()
        poller = select.poll()
        for f in fds[:n]:
            if f.fd >= 0:
                poller.register(f.fd, f.events)
        ready = dict(poller.poll(None if timeout is None else timeout * 1000))
        for f in fds[:n]:
            f.revents = ready.get(f.fd, 0)
        return self._finish() if must(_lib.run_step, self._p, fds, n) == 1 else None

    def wait(self, timeout=None):
        """The report; TimeoutError when it goes on after timeout seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._report:
            left = None if end is None else end - time.monotonic()
            if left is not None and left < 0:
                raise TimeoutError("the program goes on after %s s" % timeout)
            self.poll(left)
        return self._report

    def _finish(self):
        room = ctypes.create_string_buffer(_lib.REPORT_ROOM)
        must(_lib.run_wait, self._p, room)
        self._report = Report(json.loads(_lib.take_text(_lib.report_json(room))), _lib.report_exit_status(room))
        return self._report

    def signal(self, number):
        must(_lib.run_signal, self._p, number)

    def kill(self):
        """Ends every process in it."""
        if not self._report:
            must(_lib.run_kill, self._p)

    def close(self):
        """Kills what still runs."""
        if getattr(self, "_p", None):
            _lib.run_free(self._p)
            self._p = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    __del__ = close


def make_policy(settings):
    policy = Policy()
    path = settings.pop("policy", None)
    if path is not None:
        policy.load(path)
    for name, value in settings.items():
        policy.set(name, value)
    return policy


def spawn(argv, fds=None, **keys):
    """Starts argv and returns the Run. fds: {inside: outside}."""
    fds = fds or {}
    return make_policy(dict(keys, fd=[*as_list(keys.get("fd")), *place_lines(fds)])).plan(argv).spawn(fds)


def as_list(value):
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def place_lines(fds):
    return ["%d=%d" % (i, o if isinstance(o, int) else o.fileno()) for i, o in fds.items()]


def feed(fd, data):
    try:
        return data[os.write(fd, data[:65536]):]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return b""


class Pipes:
    """Standard descriptors of a run as pipes, read and written while it goes on."""

    def __init__(self, capture, input, most):
        self.outputs, self.fds, self.most, self.truncated = {}, {}, most, False
        self.input, self.feeder = input, None
        if input is not None:
            self.fds[0], self.feeder = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self.feeder, False)
        for number in (1, 2) if capture else ():
            reader, self.fds[number] = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(reader, False)
            self.outputs[reader] = (number, bytearray())
        self.readers = set(self.outputs)

    def started(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}

    def register(self, poller):
        for fd in self.readers:
            poller.register(fd, select.POLLIN)
        if self.feeder is not None:
            poller.register(self.feeder, select.POLLOUT)

    def serve(self, ready):
        for fd in list(self.readers):
            if fd in ready:
                self.read(fd)
        if self.feeder is not None and self.feeder in ready:
            self.input = feed(self.feeder, self.input) if not ready[self.feeder] & select.POLLERR else b""
            if not self.input:
                os.close(self.feeder)
                self.feeder = None

    def read(self, fd):
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        kept = self.outputs[fd][1]
        room = self.most - len(kept)
        self.truncated |= len(data) > room
        kept += data[:room]        # what is over the bound is read and dropped: the program isn't to block on it
        if not data:
            self.readers.discard(fd)

    def rest(self):
        """After the end: what still lies in the pipes."""
        poller = select.poll()
        self.register(poller)
        for fd in list(self.readers):
            before = -1
            while fd in self.readers and before != len(self.outputs[fd][1]):
                before = len(self.outputs[fd][1])
                self.read(fd)

    def close(self):
        for fd in [*self.outputs, *self.fds.values(), *([] if self.feeder is None else [self.feeder])]:
            os.close(fd)

    def text(self, number):
        for n, data in self.outputs.values():
            if n == number:
                return bytes(data)
        return None


def run(argv, capture=False, input=None, timeout=None, capture_max=CAPTURE_MAX, fds=None, **keys):
    """Runs argv and returns the Report.

    capture: its standard output and error as report.stdout and report.stderr, at most capture_max bytes of each.
    input: bytes for its standard input. timeout: seconds after which all of it is killed (report.timed_out)."""
    pipes = Pipes(capture, input, capture_max)
    try:
        with spawn(argv, fds={**(fds or {}), **pipes.fds}, **keys) as r:
            pipes.started()
            timed_out = serve(r, pipes, None if timeout is None else time.monotonic() + timeout)
            report = r.wait()
            pipes.rest()
        report.stdout, report.stderr = pipes.text(1), pipes.text(2)
        report.truncated, report.timed_out = pipes.truncated, timed_out
        return report
    finally:
        pipes.close()


def serve(r, pipes, end):
    """Until the run's end. True: it had to be killed."""
    timed_out = False
    while True:
        poller = select.poll()
        pipes.register(poller)
        for fd, events in r.pollfds():
            poller.register(fd, events)
        left = None if end is None or timed_out else max(0, end - time.monotonic())
        ready = dict(poller.poll(None if left is None else left * 1000))
        pipes.serve(ready)
        if r.poll():
            return timed_out
        if end is not None and not timed_out and time.monotonic() >= end:
            timed_out = True
            r.kill()


def explain(argv, full=True, **keys):
    """The plan as a dict: its operations and the effective table. Runs nothing."""
    return make_policy(keys).plan(argv, full).json()


def check():
    """What this host offers, as a dict."""
    e = _lib.ErrorStruct()
    address = _lib.check_text(True, ctypes.byref(e))
    if not address:
        raise Error(e)
    return json.loads(_lib.take_text(address))


def keys():
    """{name: {type, default, range, group, help, list}} of every key."""
    found, row = {}, _lib.KeyStruct()
    while _lib.key(len(found), ctypes.byref(row)):
        text = {n: (getattr(row, n) or b"").decode() or None for n in ("type", "default", "range", "group", "help")}
        found[row.name.decode()] = dict(text, list=row.list)
    return found


def version():
    return _lib.version().decode()
