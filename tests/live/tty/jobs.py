"""Live: terminals and job control, by typing at a shell that has hutch as its job.
Runs in: the test process."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import Skip, patient, pause, proc_text, processes, status_field, status_of, wait_until

PROMPT = b"OUTER> "


class Terminal:
    """A pseudo terminal with a program on it: what a person sees (text) and types (type)."""

    def __init__(self, s, c, argv, size=(24, 80), owned=True):
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        if owned:
            os.fchown(self.slave, c.uid, -1)
            os.fchmod(self.slave, 0o620)
        self.text = b""
        env = dict(c.environ(), PS1=PROMPT.decode(), HISTFILE="/dev/null", INPUTRC="/dev/null", BASH_SILENCE_DEPRECATION_WARNING="1")
        self.p = s.popen(c, [], [], raw=argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env,
                         before=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def read(self, seconds):
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return False
        try:
            more = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += more
        return bool(more)

    def expect(self, what, seconds=10):
        """Waits for the pattern; what came up to its end, with plain line ends."""
        end = time.monotonic() + patient(seconds)
        pattern = re.compile(what if isinstance(what, bytes) else what.encode())
        while not pattern.search(self.text):
            assert self.read(end - time.monotonic()) or time.monotonic() < end, \
                "%r didn't come: %r" % (pattern.pattern, self.text[-600:])
        at = pattern.search(self.text).end()
        got, self.text = self.text[:at], self.text[at:]
        return re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", got).decode(errors="replace").replace("\r", "")

    def shell(self, line, seconds=10):
        """Types a line at the outer shell; what it printed until the next prompt."""
        self.type(line + "\n")
        return self.expect(PROMPT, seconds)

    def modes(self):
        return self.shell("stty -g").split("stty -g\n", 1)[1].splitlines()[0]

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def wait_raw(self, raw=True):
        assert wait_until(lambda: self.is_raw() == raw, 10), "the outer terminal is %sraw: %r" % ("not " if raw else "", self.text)

    def close(self):
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.master = self.slave = -1
        try:
            self.p.wait(timeout=10)
        finally:
            if self.p.poll() is None:
                os.killpg(self.p.pid, signal.SIGKILL)
                self.p.wait()


def at_shell(function):
    """The case gets an outer bash at its prompt, with the modes that it began with."""
    def case(s, c):
        t = Terminal(s, c, ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        try:
            t.expect(PROMPT)
            t.shell("H=%s" % s.hutch)
            before = t.modes()
            function(s, c, t)
            assert t.modes() == before, "the outer terminal's modes changed"
            t.type("exit\n")
            t.p.wait(timeout=10)
        finally:
            t.close()
    case.__name__ = function.__name__
    return case


def stopped(t):
    return t.expect(rb"Stopped[^\n]*\n(.*\n)*?" + PROMPT)


@at_shell
def cat_stopped_and_resumed(s, c, t):
    before = t.modes()
    t.type("$H run -- cat\n")
    t.wait_raw()
    t.type("one\n")
    t.expect("one\r\none\r\n")
    for word in ("two", "three"):
        t.type(b"\x1a")
        stopped(t)
        assert t.modes() == before, "not given back at the stop"
        t.type("fg\n")
        t.wait_raw()
        t.type(word + "\n")
        t.expect("%s\r\n%s\r\n" % (word, word))
    t.type(b"\x04")
    t.expect(PROMPT)
    assert "status=0" in t.shell("echo status=$?")


@at_shell
def resumed_in_the_background(s, c, t):
    before = t.modes()
    t.type("$H run -- cat\n")
    t.wait_raw()
    t.type(b"\x1a")
    stopped(t)
    t.shell("bg")
    pause(0.5)
    assert t.modes() == before, "a job in the background took the terminal"
    assert "Running" in t.shell("jobs")
    t.type("fg\n")
    t.wait_raw()
    t.type("again\n")
    t.expect("again\r\nagain\r\n")
    t.type(b"\x03")
    t.expect(PROMPT)
    assert "status=130" in t.shell("echo status=$?")


@at_shell
def started_in_the_background(s, c, t):
    """It runs and prints; the keyboard is its own only after fg."""
    if "begun=42" not in t.shell("$H run -- sh -c 'echo begun=$((40+2)); read line; echo got=$line' &"):
        t.expect("begun=42")
    out = t.shell("jobs; stty -a")
    assert "Running" in out and " icanon" in out, out
    t.type("fg\n")
    t.wait_raw()
    t.type("typed\n")
    t.expect("got=typed")
    t.expect(PROMPT)


@at_shell
def inner_bash(s, c, t):
    t.type("$H run -- bash --norc --noprofile --noediting -i\n")
    t.wait_raw()
    t.type("PS1='INNER''> '\n")
    t.expect("INNER> ")
    t.type("sleep 100\n")
    t.expect("sleep 100\r\n")
    pause(0.3)
    t.type(b"\x1a")
    t.expect(r"Stopped(.|\n)*INNER> ")
    t.type("fg\n")
    t.expect("fg\r\nsleep 100\r\n")
    pause(0.2)
    t.type(b"\x03")
    t.expect("INNER> ")
    t.type("echo status=$?\n")
    t.expect("status=130")
    t.type("tty; stty size\n")
    t.expect("24 80")
    t.resize(33, 77)
    t.type("trap 'echo changed' WINCH; sleep 0.2; stty size\n")
    t.expect("33 77\r\nINNER> ")
    pause(0.2)
    t.resize(34, 78)
    pause(0.3)
    t.type(":\n")
    t.expect("\nchanged")
    t.type("stty size\n")
    t.expect("34 78")
    t.type("suspend\n")     # the program stops itself: the outer shell gets the terminal
    stopped(t)
    t.type("fg\n")
    t.wait_raw()
    t.type("echo ba''ck\n")     # in pieces: the echo of the line isn't the answer
    t.expect("back")
    t.resize(24, 80)
    t.type("stty raw -echo; exit 7\n")
    t.expect(PROMPT)
    assert "status=7" in t.shell("echo status=$?")


@at_shell
def pipeline_into_it(s, c, t):
    out = t.shell("echo through | $H run -- cat")
    assert "\nthrough\n" in out, out
    out = t.shell("echo x | $H run -- sh -c 'test -t 0; echo in=$?; cat'")
    assert "in=1" in out and "\nx\n" in out, out


@at_shell
def keyboard_of_a_pipeline(s, c, t):
    """Where only its output is a terminal, the program can neither read what is typed there nor change its modes."""
    t.type("echo x | $H run -- bash -c 'echo begun=$((40+2)); stty raw -echo <&1; read -t 2 y <&1; echo got=$y.'\n")
    t.expect("begun=42")
    t.type("secret\n")
    assert "got=secret" not in t.expect(r"got=[^$].*\n")
    t.expect("secret: command not found")       # the shell has it: the positive control
    t.expect(PROMPT)


@at_shell
def shared_with_the_caller(s, c, t):
    """--tty=inherit: one ^C is one SIGINT, and ^Z stops the job."""
    t.type("$H run --tty=inherit -- bash -c 'trap \"echo int=\\$((40+2))\" INT; echo begun=$((40+2)); sleep 100; sleep 1; echo over'\n")
    t.expect("begun=42")
    pause(0.3)
    t.type(b"\x03")
    assert t.expect("over\r").count("int=42") == 1
    t.expect(PROMPT)
    t.type("$H run --tty=inherit -- cat\n")
    pause(0.5)
    t.type(b"\x1a")
    stopped(t)
    t.type("fg\n")
    t.expect(r"fg\r\n[^\n]*cat\r\n")
    pause(0.3)
    t.type("word\n")
    t.expect("word\r\nword\r\n")
    t.type(b"\x03")
    t.expect(PROMPT)


@at_shell
def pipeline_out_of_it(s, c, t):
    """^Z stops the whole pipeline, so that the shell notices."""
    t.type("$H run -- sh -c 'test -t 1; echo out=$? >&2; cat' | tr a-z A-Z\n")
    t.expect("out=1")
    t.wait_raw()
    pause(0.3)         # between vfork and exec of cat a ^Z would hang the shell inside, as in any terminal
    t.type(b"\x1a")
    stopped(t)
    t.type("fg\n")
    t.wait_raw()
    t.type("word\n")
    t.expect("WORD")        # it may well come before the echo
    t.type(b"\x04")
    t.expect(PROMPT)


@at_shell
def inside_a_script(s, c, t):
    """The script that started hutch stops with it; else the shell would wait for it for ever."""
    t.type("sh -c '%s run -- cat; echo after=$?'\n" % s.hutch)
    t.wait_raw()
    t.type(b"\x1a")
    stopped(t)
    t.type("fg\n")
    t.wait_raw()
    t.type(b"\x04")
    t.expect("after=0")
    t.expect(PROMPT)


def hutch_below(t):
    """The launcher: the shell's child, or the pipeline's member, that is hutch."""
    return [pid for pid, (_, state, parent, name) in processes().items() if parent == t.p.pid and name == "hutch" and state not in "ZX"]


@at_shell
def stopped_from_outside(s, c, t):
    t.type("$H run -- cat\n")
    t.wait_raw()
    launcher = wait_until(lambda: hutch_below(t))[0]
    os.kill(launcher, signal.SIGTSTP)
    stopped(t)
    inner = [pid for pid, (_, _, _, name) in processes().items() if name == "cat" and b"cat" == proc_text(pid, "cmdline").rstrip(b"\0")]
    assert [p for p in inner if status_field(p, "State").startswith("T")], "the program wasn't stopped"
    t.type("fg\n")
    t.wait_raw()
    t.type("go\n")
    t.expect("go\r\ngo\r\n")
    os.kill(launcher, signal.SIGTERM)
    t.expect(PROMPT)
    assert "status=143" in t.shell("echo status=$?")


@at_shell
def nobody_asked_to_stop(s, c, t):
    """SIGSTOP can't be foreseen: the shell takes the terminal back by itself, and fg gives it again."""
    t.type("$H run -- cat\n")
    t.wait_raw()
    os.kill(wait_until(lambda: hutch_below(t))[0], signal.SIGSTOP)
    stopped(t)
    t.type("fg\n")
    t.wait_raw()
    t.type("go\n")
    t.expect("go\r\ngo\r\n")
    t.type(b"\x03")
    t.expect(PROMPT)


@at_shell
def ends_give_the_terminal_back(s, c, t):
    for end, status in (("kill -KILL $$", 137), ("kill -TERM $$", 143), ("stty raw -echo; exit 3", 3), ("kill -SEGV $$", 139)):
        out = t.shell("$H run -- sh -c '%s'; echo status=$?; stty -a" % end)
        assert "status=%d" % status in out and " icanon" in out and " echo " in out, (end, out)
    out = t.shell("$H run -- no-such-program; echo status=$?; stty -a")
    assert "status=127" in out and " icanon" in out, out


@at_shell
def last_output_is_whole(s, c, t):
    out = t.shell("$H run -- sh -c 'seq 1 20000; printf the-end'", 30)
    numbers = out.split("\n")
    assert "the-end" in out and [str(n) for n in range(1, 20001)] == [n for n in numbers if n.isdigit()], out[-200:]


@at_shell
def interrupts_a_flood(s, c, t):
    t.type("$H run -- yes\n")
    t.expect("y\r\ny\r\n")
    start = time.monotonic()
    t.type(b"\x03")
    t.expect(rb"\^C(.|\n)*" + PROMPT)
    assert time.monotonic() - start < patient(5), "^C took %.1f s" % (time.monotonic() - start)


@at_shell
def reopens_its_terminal(s, c, t):
    """A program that has closed every descriptor of its terminal can ask there for a password all the same."""
    t.type("$H run -- sh -c 'exec </dev/null >/dev/null 2>&1; sleep 0.5; exec </dev/tty >/dev/tty; echo ask:; read x; echo got=$x'\n")
    t.expect("ask:\r\n")
    t.type("secret\n")
    t.expect("got=secret")
    t.expect(PROMPT)


def without_a_shell(s, c):
    """Nobody could continue it: ^Z must not stop hutch for ever."""
    t = Terminal(s, c, s.argv([], ["cat"]))
    try:
        t.wait_raw()
        t.type("one\n")
        t.expect("one\r\none\r\n")
        t.type(b"\x1a")
        pause(0.3)
        t.type("two\n")
        t.expect("two\r\n(.|\n)*two\r\n")
        assert not status_field(t.p.pid, "State").startswith("T")
        t.type(b"\x04")
        assert t.p.wait(timeout=10) == 0
    finally:
        t.close()


def terminal_of_another(s, c):
    """After su the terminal's file belongs to somebody else: it can't be opened anew, only used."""
    if os.geteuid() != 0:
        raise Skip("only root can give a terminal away")
    t = Terminal(s, c, s.argv([], ["sh", "-c", "read x; echo got=$x; seq 1 3000; echo whole"]), owned=False)
    try:
        os.fchown(t.slave, 0, -1)
        os.fchmod(t.slave, 0o600)
        t.wait_raw()
        t.type("word\n")
        t.expect("got=word")
        t.expect("\n3000\r\nwhole", 20)
        assert t.p.wait(timeout=10) == 0
        assert not t.is_raw()
    finally:
        t.close()


def terminal_goes_away(s, c):
    """The window is closed: the program gets SIGHUP, and nothing stays behind (the suite looks)."""
    t = Terminal(s, c, s.argv([], ["cat"]))
    t.wait_raw()
    t.close()
    assert status_of(t.p.returncode) == 128 + signal.SIGHUP, t.p.returncode


def ignored_stays_ignored(s, c):
    """nohup: a signal that the caller ignores isn't passed on by hutch either."""
    for number in (signal.SIGHUP, signal.SIGINT):
        p = s.popen(c, [], ["sh", "-c", "echo up; read x; echo on"], stdin=subprocess.PIPE,
                    before=lambda: signal.signal(number, signal.SIG_IGN))
        assert p.stdout.readline() == b"up\n"
        p.send_signal(number)
        pause(0.3)
        out, err = p.communicate(b"x\n", timeout=10)
        assert p.returncode == 0 and out == b"on\n", (number, p.returncode, out, err)


def cases(s, c, who):
    for f in (cat_stopped_and_resumed, resumed_in_the_background, started_in_the_background, inner_bash, pipeline_into_it, keyboard_of_a_pipeline,
              shared_with_the_caller, pipeline_out_of_it,
              inside_a_script, stopped_from_outside, nobody_asked_to_stop, ends_give_the_terminal_back, last_output_is_whole,
              interrupts_a_flood, reopens_its_terminal, without_a_shell, terminal_of_another, terminal_goes_away, ignored_stays_ignored):
        s.case("%s/tty/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
