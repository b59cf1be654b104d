"""Rows of groups E, G, H: identity, lifetime, other programs.
Runs in: the test process.
"""
import os
import signal
import socket
import subprocess
import time

import harness
from engine import Custom, Row
from rows_file import core_left, set_id_left

NS = ["unshare", "-Ur"]


# ---- lifetime: the verdict is the host's ----
def start(e, caller, opts, words, ready=True, hutch=True):
    """A run with a tag of its own that with_tag() finds: (process, tag)."""
    w = e.work(caller)
    tag = "life%d-%s" % (e.count, e.canaries.tag)
    argv = [*e.head, "--cwd-access=none", "--ro=" + e.bin, "--rw=" + w, "--env=LIFE=" + tag, *opts, "--"] if hutch else []
    p = subprocess.Popen(argv + [e.probe, *[x.replace("TAG", tag) for x in words]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         cwd=w, env=dict(caller.environ(), LIFE=tag), start_new_session=True, **caller.popen_args())
    if ready and p.stdout.readline() != b"READY\n":
        err = p.stderr.read()[:300]
        p.kill()
        p.wait()
        raise RuntimeError("did not start: %r" % err)
    return p, tag


def ended(e, p, tag, seconds=1.0):
    left = harness.wait_until(lambda: not (e.s.reap() or harness.with_tag(tag)), seconds)
    survivors = [] if left else harness.with_tag(tag)
    for pid in survivors:                    # ours: they carry this run's tag
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    for f in (p.stdout, p.stderr):
        f.close()
    return ("ESCAPED", "%d processes live on" % len(survivors)) if survivors else ("HELD", "all gone")


def daemon(e, caller, opts, hutch=True):
    p, tag = start(e, caller, opts, ["daemon", "TAG"], ready=False, hutch=hutch)
    p.wait(timeout=15)
    return ended(e, p, tag)


def launcher_killed(words, number=signal.SIGKILL):
    def function(e, caller, opts, hutch=True):
        p, tag = start(e, caller, opts, words, hutch=hutch)
        time.sleep(0.1)
        os.kill(p.pid, number)
        p.wait(timeout=10)
        return ended(e, p, tag)
    return function


def status(e, caller, opts, hutch=True):
    p, tag = start(e, caller, opts, ["forge"], ready=False, hutch=hutch)
    out, err = p.communicate(timeout=15)
    if b"wrote" in out:
        return "ESCAPED", "a descriptor took the forged words: %r" % out
    return ("HELD", "status 7") if p.returncode == 7 else ("ESCAPED", "status %d %r" % (p.returncode, err))


def clone_parent(e, caller, opts, hutch=True):
    p, tag = start(e, caller, opts, ["cloneparent"], ready=False, hutch=hutch)
    out, err = p.communicate(timeout=15)
    return ("HELD", "status 0") if p.returncode == 0 and b"HELD" in out else ("ESCAPED", "status %d: %r" % (p.returncode, err))


def squat(e, caller, opts, hutch=True):
    name = "@squat%d%s" % (e.count, e.canaries.tag)
    p, tag = start(e, caller, opts, ["locallisten", name], ready=False, hutch=hutch)
    first = p.stdout.readline()
    if first != b"READY\n":
        out, err = p.communicate(timeout=15)
        return ("HELD" if first.startswith(b"HELD") else "ERROR"), (first + out + err).decode(errors="replace").strip()
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect("\0" + name[1:])
        verdict = "ESCAPED", "the host connected"
    except OSError as err:
        verdict = "HELD", str(err)
    s.close()
    p.communicate(timeout=15)
    return verdict


def bare(function):
    return lambda e: function(e, e.user, [], hutch=False)


def lifetime():
    pid = "pid namespace ends with its init"
    never = "without a pid namespace a process that leaves its session lives on"
    own = "without a pid namespace init, as subreaper, ends what it finds when the program ends"
    return [
        Custom("G04.daemon", "a daemon (two forks, new session) outlives the run", daemon, pid, control=bare(daemon), mutate=own, never=never),
        Custom("G05.signals", "the same with all signals ignored", daemon, pid, control=bare(daemon), mutate=own, never=never),
        Custom("G06.stopped", "a stopped child outlives SIGTERM of the launcher", launcher_killed(["stay", "TAG", "stop"], signal.SIGTERM), pid,
               control=bare(launcher_killed(["stay", "TAG", "stop"], signal.SIGTERM)), mutate=own, never=never),
        Custom("G09.launcher", "the run outlives its killed launcher", launcher_killed(["stay", "TAG", "sleep"]), "parent-death signal",
               control=bare(launcher_killed(["stay", "TAG", "sleep"])), mutate=["--die-with-launcher=no"], never=never),
        Custom("G07.storm", "a storm of forks outlives its killed launcher", launcher_killed(["forkstorm", "TAG"]), pid,
               why="without the sandbox the storm ends itself", mutate="see G04", never=never),
        Custom("G12.forge", "a forged status", status, "the status comes from the kernel", why="own check: nothing to forge without hutch", mutate="no option"),
        Custom("G08.cloneparent", "CLONE_PARENT confuses the supervisor", clone_parent, "pid namespace; init reaps", why="own check: no supervisor without hutch",
               mutate="no option"),
        Custom("H02.squat", "an abstract name that the host connects to", squat, "network namespace", control=bare(squat), mutate=["--net=host"],
               never="abstract names belong to the network namespace: the host can connect to a name bound inside"),
    ]


def group_e(e):
    rows = [
        Row("E01.caps", "capabilities", ["caps"], "all sets emptied", mutate=["--caps=chown"],
            never="a user without namespaces can't empty the bounding set; no_new_privs makes it worthless: see E01.effective"),
        Row("E01.effective", "effective or permitted capabilities", ["effective"], "all sets emptied", control=NS, mutate=["--caps=chown"]),
        Row("E02.nnp", "no_new_privs is off", ["nnp"], "no_new_privs", mutate="only root may turn it off"),
        Row("E09.setid", "a set-id file is left for the host", ["setid", "{W}"], "system call filter", mutate=["--seccomp=none"], check=set_id_left),
        Row("E09.openat2", "the same by openat2", ["setid-openat2", "{W}"], "system call filter", mutate=["--seccomp=none"], check=set_id_left),
        Row("E10.filecaps", "file capabilities are left for the host", ["filecaps", "{W}/f"], "no CAP_SETFCAP", control=NS, mutate="no capability"),
        Row("E12.core", "a core file in a shown directory", ["core", "{W}"], "RLIMIT_CORE 0", mutate=["--rlimit-core=unlimited"], check=core_left),
        Row("E13.regain", "capabilities are taken back", ["regain"], "empty bounding set, locked securebits", control=NS, mutate=["--caps=chown"]),
        Row("E15.map", "the id map is written again", ["map", "{UID} {UID} 1\n"], "written once, before", own=["mapfresh", "{UID} {UID} 1\n"],
            mutate="the kernel takes one map"),
        Row("E11.root", "the outer root is in the map", ["notroot"], "id map", own=["notroot"], modes=["root", "user"], mutate="only root may map it"),
    ]
    if os.geteuid() == 0:
        suid, capped = os.path.join(e.bin, "suid"), os.path.join(e.bin, "capped")
        for path in (suid, capped):
            subprocess.run(["cp", e.probe, path], check=True)
        # Set-id of nobody, not of root: proves as much, and is worth nothing to whoever finds it.
        os.chown(suid, 65534, 65534)
        os.chmod(suid, 0o4755)
        rows.append(Row("E03.setuid", "a set-uid program changes the id", ["{BIN}/suid", "ids"], "no_new_privs; nosuid", modes=["user", "never"],
                        mutate="no_new_privs always holds for a user"))
        try:
            os.setxattr(capped, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
            rows.append(Row("E04.filecaps", "a program with file capabilities", ["{BIN}/capped", "effective"], "no_new_privs; nosuid", modes=["user", "never"],
                            mutate="no_new_privs always holds for a user"))
        except OSError:
            pass
    for r in rows:
        r.own = r.own and [w.replace("{UID}", str(e.user.uid)) for w in r.own]
        r.probe = [w.replace("{UID}", str(e.user.uid)) for w in r.probe]
    return rows


def group_g():
    return [
        Row("G01.signal", "a signal to the host's process", ["signal", "{PID}"], "pid namespace; Landlock scope", mutate=["--pidns=host", "--landlock=off"]),
        Row("G01.scope", "the same in the host's pid namespace", ["signal", "{PID}"], "Landlock scope", opts=["--pidns=host"], mutate=["--landlock=off"],
            user="this kernel has no Landlock scopes (6.12): explain says what their lack leaves open" if harness.landlock_abi() < 6 else None),
        Row("G01.all", "kill -9 -1", ["killall", "{PIDNS}"], "pid namespace", control=None, why="it would end the suite's own processes; see G01.signal",
            modes=["root", "user"], mutate="see G01.signal"),
        Row("G02.init", "a storm of signals to init", ["storminit", "{PIDNS}"], "init of a pid namespace", control=None, why="own check: no init without hutch",
            modes=["root", "user"], mutate="kernel rule"),
        Row("G10.orphans", "500 orphans", ["orphans"], "init reaps", control=None, why="own check: the host's init reaps too", mutate="no option"),
        Row("G11.trace", "ptrace of init", ["trace", "1"], "init can't be inspected", own=["trace", "{PID}"], mutate="init is never dumpable, with any option"),
        Row("G11.mem", "memory of init", ["openany", "/proc/1/mem", "/proc/1/environ"], "init can't be inspected", own=["openany", "/proc/{PID}/mem"],
            mutate="init is never dumpable, with any option"),
        Row("G13.priority", "higher priority", ["priority"], "no CAP_SYS_NICE", mutate="no capability in the initial user namespace"),
    ]


def group_h():
    both = ["--net=host", "--landlock=off"]
    rows = []
    for name, kind in (("stream", "1"), ("dgram", "2"), ("seq", "5")):
        rows.append(Row("H01." + name, "the host's abstract socket (%s)" % name, ["local", "@{TAG}" + name, kind], "network namespace; Landlock scope", mutate=both))
        rows.append(Row("H01.scope-" + name, "the same in the host's network", ["local", "@{TAG}" + name, kind], "Landlock scope", opts=["--net=host"],
                        mutate=["--landlock=off"]))
    return rows + [
        Row("H03.path", "the host's path socket", ["local", "{SOCK}", "1"], "mount namespace", mutate=["--rw={HOST}"],
            never="Landlock doesn't check connect() to path sockets on this kernel; file modes hold"),
        Row("H03.any", "any path socket", ["sockets", "/"], "mount namespace", own=["sockets", "{HOST}"], mutate=["--ro={HOST}"],
            never="names are visible; Landlock limits what opens"),
        Row("H04.dgram", "a datagram to the host's path socket", ["localsend", "{DGRAM}"], "mount namespace", mutate=["--rw={HOST}"],
            never="Landlock doesn't check sendto() to path sockets on this kernel; file modes hold"),
        Row("H04.abstract", "a datagram to the host's abstract socket", ["localsend", "@{TAG}dgram"], "network namespace; Landlock scope", mutate=both),
        Row("H05.sysv", "System V objects of the host", ["sysv", "{KEY}"], "ipc namespace", mutate=["--ipcns=host"],
            never="there is no ipc namespace: modes of the objects hold"),
        Row("H06.mq", "POSIX queue of the host", ["mq", "/{TAG}"], "ipc namespace", mutate=["--ipcns=host"],
            never="there is no ipc namespace: modes of the objects hold"),
        Row("H07.keyring", "the user's keyring", ["keyring", "{TAG}"], "system call filter", mutate=["--seccomp=none"]),
        Row("H10.inotify", "watching a shown read-only file", ["watch", "{BIN}"], "–", user="the kernel allows watches on readable files: see SCOPE.md"),
    ]


def make_ipc(e):
    """A System V segment, a POSIX queue, and a key of the user."""
    code = ("import ctypes\nl=ctypes.CDLL(None)\nl.shmget(%d,4096,0o1666)\n"
            "r=ctypes.CDLL('librt.so.1')\nr.mq_open(b'/%s',0o100|2,0o666,None)\n"
            "l.syscall(%d,b'user',b'%s',b'x',1,-4)\n" % (e.canaries.key, e.canaries.tag, 248 if os.uname().machine == "x86_64" else 217, e.canaries.tag))
    subprocess.run(["python3", "-c", code], **e.user.popen_args())


def drop_ipc(e):
    code = ("import ctypes\nl=ctypes.CDLL(None)\ni=l.shmget(%d,0,0)\nl.shmctl(i,0,None)\n"
            "r=ctypes.CDLL('librt.so.1')\nr.mq_unlink(b'/%s')\n" % (e.canaries.key, e.canaries.tag))
    subprocess.run(["python3", "-c", code], **e.user.popen_args())


def rows(e):
    import atexit
    make_ipc(e)
    atexit.register(drop_ipc, e)
    return group_e(e) + group_g() + group_h() + lifetime()
