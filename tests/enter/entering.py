"""hutch_enter: with namespaces and one thread, without and with many.

Runs in: the test process.
"""
import os
import re
import signal
import subprocess
import time

import harness
import host


def facts(r, key):
    return r.all(key)


# ---- with namespaces, in a child ----

def namespaces(s, c):
    """The application is in new namespaces, as an ordinary process, and its exit status is the caller's."""
    secret = host.private(s, "secret")
    r = host.run(s, c, "try read " + secret, "pid", "enter", "pid", "try read " + secret, "try read /usr/bin/env", "try umount",
                 "tasks", "dumpable", "fds", "exit 7", status=7, cwd="/")
    assert r.all("read") == ["ok", "ENOENT", "ok"], r
    assert r.one("enter") == "ok" and r.all("pid")[1] != r.all("pid")[0], r
    assert int(r.all("pid")[1]) == 2, "not the first process after init: %s" % r
    assert r.one("NoNewPrivs") == "1" and r.one("Seccomp") == "2" and set(r.one("CapPrm")) == {"0"} and set(r.one("CapBnd")) == {"0"}, r
    assert r.one("umount") == "EPERM" and r.one("dumpable") == "1" and r.all("fd") == ["0", "1", "2"], r


def outside_view(s, c):
    """Seen from outside: other namespaces than the caller's, all of them, and nobody else's descriptors."""
    p = host.start(s, c, "enter", "sleep 3000", "exit 0", cwd="/")
    try:
        assert p.stdout.readline() == b"enter=ok\n"
        def inner():
            found = [q for q, (_, _, parent, _) in harness.processes().items() if parent == p.pid]
            return [q for q, (_, _, parent, _) in harness.processes().items() if found and parent == found[0]]
        program = harness.wait_until(inner)
        assert program, "there is no child of the caller's child"
        for kind in harness.KINDS:
            if os.path.exists("/proc/self/ns/" + kind):
                assert os.readlink("/proc/%d/ns/%s" % (program[0], kind)) != os.readlink("/proc/%d/ns/%s" % (p.pid, kind)), kind
        def quiet():
            return {os.readlink("/proc/%d/fd/%s" % (p.pid, n)) for n in ("0", "1", "2")} == {"/dev/null"}
        harness.wait_until(quiet)
        links = {os.readlink("/proc/%d/fd/%s" % (p.pid, n)) for n in ("0", "1", "2")}
        assert links == {"/dev/null"}, "the supervisor holds %s" % links
    finally:
        p.kill()
        p.wait()
    assert harness.wait_until(lambda: not os.path.exists("/proc/%d" % program[0])), "the application outlives its supervisor"


def relays(s, c):
    """A signal to the caller reaches the handler that the application had installed before."""
    p = host.start(s, c, "handler 15", "enter", "wait-signal", "exit 5", cwd="/")
    assert p.stdout.readline() == b"enter=ok\n"
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=20)
    assert b"caught=15" in out and p.returncode == 5, (out, err, p.returncode)


def dies_alike(s, c):
    """Ended by a signal: so is the caller, by the same."""
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1):
        p = host.start(s, c, "enter", "raise %d" % number, cwd="/")
        p.communicate(timeout=20)
        assert p.returncode == -number, "%s: %s" % (number, p.returncode)


def stops_alike(s, c):
    """Stopped: so is the caller; continued: so is the application."""
    p = host.start(s, c, "enter", "raise %d" % signal.SIGSTOP, "say again", "exit 3", cwd="/")
    assert harness.wait_until(lambda: (harness.processes().get(p.pid) or ("", ""))[1] == "T", 10), "the caller isn't stopped"
    p.send_signal(signal.SIGCONT)
    out, _ = p.communicate(timeout=20)
    assert b"again" in out and p.returncode == 3, (out, p.returncode)


def environment(s, c):
    """Only the policy's variables are left, also in what the kernel shows."""
    env = dict(c.environ(), SECRET="hunter2", KEPT="yes")
    for more in ([], ["set userns never", "set ro /proc", *host.user(c)]):
        r = host.run(s, c, "set env KEPT", *more, "enter", "environ", ["try", "exec", "cat /proc/$PPID/environ /proc/self/environ | tr '\\0' '\\n'"],
                     env=env, cwd="/")
        assert "SECRET" not in r.out and "hunter2" not in r.out, r
        assert "variable=KEPT=yes" in r.out and r.out.count("KEPT=yes") >= 2, r


def keeps_fds(s, c):
    read, write = os.pipe()
    try:
        r = host.run(s, c, "set fd %d" % write, "enter", "fds", fds=(write, read), cwd="/")
        assert r.all("fd") == ["0", "1", "2", str(write)], r
    finally:
        os.close(read)
        os.close(write)


def fds_in_place(s, c):
    """Set-up leaves no descriptor behind, with one thread and with many."""
    for before in ([], ["threads 3"]):
        r = host.run(s, c, *before, "set userns never", *host.user(c), "enter", "fds", cwd="/")
        assert r.one("enter") == "ok" and r.all("fd") == ["0", "1", "2"], r


def writable(s, c):
    """A directory that the policy shows for writing: the host sees what the application wrote, and its owner."""
    d = os.path.join(s.scratch, "work")
    os.mkdir(d)
    os.chmod(d, 0o777)
    host.run(s, c, ["set", "rw", d], "enter", "file %s/made" % d, "try read /etc/hostname", cwd="/")
    # root's sandboxes run under an id of their own, which the mount turns into the directory's owner
    assert os.stat(d + "/made").st_uid == (os.stat(d).st_uid if c.root else c.uid), os.stat(d + "/made")


def atfork_and_heap(s, c):
    """The C library knows the process that goes on: threads, processes and the heap work in it."""
    r = host.run(s, c, "enter", "try thread", "try fork", "threads 4", "each fstat x", "busy 3", "try thread", "try fork", cwd="/")
    assert r.all("thread") == ["ok"] * 6 and r.all("fork") == ["ok"] * 2, r


# ---- in place ----

def threads_8(s, c):
    """Eight threads and the main one: each is confined, whoever looks."""
    secret = host.private(s, "secret")
    r = host.run(s, c, "threads 8", "each read " + secret, "set userns never", "set ro /proc", *host.user(c), "enter", "each read " + secret,
                 "each inet", "tasks", "try read /usr/bin/env", cwd="/")
    assert r.one("enter") == "ok", r
    assert r.all("thread") == ["ok"] * 8 + ["EACCES"] * 16, r
    assert r.one("tasks") == "9" and r.one("read") == "ok", r
    for key, value in (("NoNewPrivs", "1"), ("Seccomp", "2"), ("CapEff", "0" * 16), ("CapPrm", "0" * 16)):
        assert r.all(key) == [value] * 9, (key, r)
    if c.root:
        assert r.all("Uid") == ["4242\t4242\t4242\t4242"] * 9 and r.all("CapBnd") == ["0" * 16] * 9, r


def threads_seen_outside(s, c):
    """The same from outside: the kernel's own word on each task."""
    p = host.start(s, c, "threads 8", "set userns never", *host.user(c), "enter", "sleep 2000", cwd="/")
    try:
        assert p.stdout.readline() == b"enter=ok\n"
        tasks = os.listdir("/proc/%d/task" % p.pid)
        assert len(tasks) == 9, tasks
        for t in tasks:
            with open("/proc/%d/task/%s/status" % (p.pid, t)) as f:
                status = f.read()
            for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t" + "0" * 16):
                assert line in status, (t, line, status)
    finally:
        p.kill()
        p.wait()


def threads_breeding(s, c):
    """Threads that come and go all the time: those made meanwhile are confined as well."""
    secret = host.private(s, "secret")
    for _ in range(5):
        r = host.run(s, c, "threads 4", "breed", "busy 2", "set userns never", "set ro /proc", *host.user(c), "enter", "breed-stop", "tasks",
                     "each read " + secret, cwd="/")
        assert r.one("enter") == "ok" and r.one("bred") == "1" and r.one("free") == "0", r
        assert set(r.all("NoNewPrivs")) == {"1"} and set(r.all("Seccomp")) == {"2"} and set(r.all("CapEff")) == {"0" * 16}, r
        assert r.all("thread") == ["EACCES"] * 4, r


def handler_put_back(s, c):
    """The signal that was borrowed has its old disposition: the C library's own setuid over all threads works."""
    r = host.run(s, c, "threads 3", "set userns never", *host.user(c), "enter", "each setuid", "try setuid", cwd="/")
    assert r.all("thread") == ["ok"] * 3 and r.one("setuid") == "ok", r


def one_thread_in_place(s, c):
    secret = host.private(s, "secret")
    r = host.run(s, c, "pid", "set userns never", *host.user(c), "enter", "pid", "try read " + secret, "try fork", "exit 9", status=9, cwd="/")
    assert r.all("pid")[0] == r.all("pid")[1] and r.one("read") == "EACCES" and r.one("fork") == "ok", r


def tries(s, c):
    """userns = try: namespaces with one thread, none with two."""
    more = host.user(c) if c.root else []
    one = host.run(s, c, "set userns try", *([] if not c.root else []), "enter", "pid", cwd="/")
    two = host.run(s, c, "threads 1", "set userns try", *more, "pid", "enter", "pid", cwd="/")
    assert one.one("enter") == "ok" and one.one("pid") == "2", one
    assert two.one("enter") == "ok" and len(set(two.all("pid"))) == 1, two


def limits(s, c):
    r = host.run(s, c, "set rlimit-nofile 50", "set userns never", "set ro /proc", *host.user(c), "enter",
                 ["try", "exec", "ulimit -n; umask"], "say x", cwd="/")
    assert "50\n0022" in r.out, r


# ---- refusals: an error that says why, and a process as it was ----

def refused(s, c, id, *verbs, says=None):
    secret = host.private(s, "secret")
    r = host.run(s, c, *verbs, "enter", "try read " + secret, "tasks", "try inet", cwd="/")
    assert r.one("enter") == id, r
    assert "partially" not in r.out, r
    assert r.one("read") == "ok" and r.one("inet") == "ok" and set(r.all("NoNewPrivs")) == {"0"} and set(r.all("Seccomp")) == {"0"} | set(r.all("Seccomp")) - {"2"}, r
    assert says is None or re.search(says, r.out), r


def refused_threads(s, c):
    refused(s, c, "E0820", "threads 1", says="2 threads")


def refused_tty(s, c):
    refused(s, c, "E0821", "set tty private", says="tty")


def refused_init(s, c):
    refused(s, c, "E0821", "set init no", says="init")


def refused_deaf(s, c):
    refused(s, c, "E0823", "deaf", "set userns never", *host.user(c), says="blocks all")


def refused_fd(s, c):
    refused(s, c, "E0550", "set fd 77", says="77")
    refused(s, c, "E0550", "set fd 77", "set userns never", *host.user(c), says="77")


def refused_limit(s, c):
    if c.root:
        raise harness.Skip("root may raise a limit")
    refused(s, c, "E0500", "set rlimit-nofile 100000000", "set userns never", says="nofile")


def refused_root(s, c):
    if not c.root:
        raise harness.Skip("concerns root alone")
    refused(s, c, "E0822", "set userns never")


def refused_mounts(s, c):
    refused(s, c, "E0415", "set userns never", "set tmpfs /x", *host.user(c), says="/x")


def partial(s, c):
    """A thread with a filter of its own is found by the kernel only: the error says that the process must end."""
    r = host.run(s, c, "filtered", "set userns never", *host.user(c), "enter", "try inet", cwd="/")
    assert r.one("enter") == "E0823" and "partially confined; exit" in r.out, r


def failing_in_child(s, c):
    """What fails in the child leaves the caller as it was: the filter file is no filter the kernel takes."""
    bad = os.path.join(s.scratch, "missing")
    refused(s, c, "E0403", "set ro " + bad)


def setuid_caller(s, c):
    if not c.root:
        raise harness.Skip("root makes the file")
    other = [o for o in s.callers if not o.root]
    if not other:
        raise harness.Skip("no ordinary user here")
    path = os.path.join(s.scratch, "setuid")
    subprocess.run(["cp", host.copy(s, "enter-host"), path], check=True)
    os.chmod(path, 0o4755)
    r = host.run(s, other[0], "enter", program=path, cwd="/")
    assert r.one("enter").startswith("E0"), r


def plan_text(s, c):
    """What would be done can be read before: the same operations, no effect."""
    r = host.run(s, c, "threads 2", "set userns never", *host.user(c), "plan", "tasks", cwd="/")
    assert "each-thread 2 others, by signal 33" in r.out and set(r.all("NoNewPrivs")) == {"0"}, r
    r = host.run(s, c, "plan", cwd="/")
    assert "pivot-root" in r.out and "exec" not in [line.split()[0] for line in r.out.splitlines() if line.strip()], r


CASES = [namespaces, outside_view, relays, dies_alike, stops_alike, environment, keeps_fds, fds_in_place, writable, atfork_and_heap, threads_8,
         threads_seen_outside, threads_breeding, handler_put_back, one_thread_in_place, tries, limits, refused_threads, refused_tty,
         refused_init, refused_deaf, refused_fd, refused_limit, refused_root, refused_mounts, partial, failing_in_child, setuid_caller,
         plan_text]


def cases(s, c, who):
    for f in CASES:
        s.case("enter-%s-%s" % (f.__name__.replace("_", "-"), who), f, s, c)
