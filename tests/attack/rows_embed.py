"""Rows of group N, and what groups B, E, F, G and H say of sandboxes inside other programs: the library's doors.

A program with libhutch in it (hutch_spawn, hutch_enter, hutch_narrow), and an unchanged one behind
libhutch-preload.so. Probes of the other files run through these doors as they do through the command.
Runs in: the test process.
"""
import copy
import os
import shutil
import subprocess
import sys

import harness
import rows_process
from engine import Custom, Row

LIBRARY = "libhutch-preload.so"
KERNEL = "the policy is the kernel's, not the library's"
# By the command's probes, through each door.
SAME = ["B01.leak", "B02.directory", "B02.secret", "B03.cwd", "B04.exe", "B10.getfd-host", "B15.kinds", "E01.effective", "F01.keyctl",
        "F05.clone3", "F08.mount", "F11.trace-host", "F12.vmread", "F17.io_uring_setup", "F31.filtered", "F32.refilter", "G01.signal",
        "G01.scope", "G11.trace", "G11.mem", "H01.stream", "H03.path"]
LIVES = ["G04.daemon", "G05.signals", "G09.launcher", "G08.cloneparent", "G12.forge"]


# ---- what the rows start ----
def build(e, name, source, *flags):
    out = os.path.join(e.bin, name)
    if not os.path.exists(out):
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE=", "-O1", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(harness.TOP, "include"), "-o", out,
                        *([os.path.join(harness.TOP, "tests/attack", s) for s in source] if isinstance(source, list) else [source]),
                        *flags], check=True, env=dict(os.environ, TMPDIR=e.s.base))
    return out


def built(name):
    return os.path.join(harness.TOP, os.environ.get("BUILD", "build"), name)


def host(e):
    return build(e, "embed-host", ["../embed/host.c"], built("libhutch.a"), "-pthread")


def victim(e):
    return build(e, "embed-victim", ["../embed/victim.c"], "-pthread", "-ldl")


def library(e):
    path = os.path.join(e.bin, LIBRARY)          # beside the command, where it looks first
    if not os.path.exists(path):
        shutil.copy(built(LIBRARY), path)
        os.chmod(path, 0o644)
    return path


def spawn(e):
    return [host(e), "spawn"], e.probe


def thread(e):
    return [host(e), "thread"], e.probe


def enter(e):
    return [host(e), "enter"], e.probe


def preload(e):
    library(e)
    dynamic = build(e, "probe-dynamic", sorted(f for f in os.listdir(os.path.join(harness.TOP, "tests/attack")) if f.endswith(".c")),
                    "-Wno-unused-result", "-Wno-missing-field-initializers")
    return [e.s.hutch, "run", "--door=preload"], dynamic


DOORS = {"spawn": spawn, "enter": enter, "preload": preload}


# ---- the command's rows, through other doors ----
def again(rows):
    by_id = {r.id: r for r in rows}
    out = []
    for name, door in DOORS.items():
        for id in SAME:
            r = copy.copy(by_id[id])
            r.id, r.door = "%s-%s" % (id, name), door
            r.what += {"spawn": ", by hutch_spawn", "enter": ", after hutch_enter", "preload": ", behind the preload library"}[name]
            out.append(r)
    return out


def lives(rows):
    """Lifetime: of a run that a program started, or of a program that confined itself."""
    by_id = {r.id: r for r in rows}
    out = []
    for name, door in {"spawn": spawn, "enter": enter}.items():
        for id in LIVES:
            r = copy.copy(by_id[id])
            r.id, r.function = "%s-%s" % (id, name), through(door, r.function)
            r.what += {"spawn": ", by hutch_spawn", "enter": ", after hutch_enter"}[name]
            if name == "enter" and id == "G09.launcher":
                # In place nobody stays outside.
                r.modes = ["root", "user"]
            out.append(r)
    return out


def through(door, function):
    def run(e, caller, opts):
        with e.through(door):
            return function(e, caller, opts)
    return run


def outlives_thread(e, caller, opts):
    """The thread that called hutch_spawn has ended: the run must go on (its parent-death signal hangs on a thread)."""
    with e.through(thread):
        p, tag = rows_process.start(e, caller, opts, ["stay", "TAG", "sleep"])
    alive = not harness.wait_until(lambda: not harness.with_tag(tag) or p.poll() is not None, 0.5)
    p.kill()
    p.wait()
    verdict = rows_process.ended(e, p, tag)
    return verdict if alive else ("ESCAPED", "the run ended with the thread that started it")


# ---- N ----
def run(e, caller, argv, env=None):
    """Verdict of one start: what it printed, else the status."""
    w = e.work(caller)
    p = subprocess.run([x.replace("{W}", w) for x in argv], cwd=w, env=dict(caller.environ(), **(env or {})), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=harness.patient(250), **caller.popen_args())
    for line in p.stdout.decode(errors="replace").splitlines():
        for word in ("ESCAPED", "HELD", "ERROR"):
            if line.startswith(word + " "):
                return word, line[len(word) + 1:]
    why = " ".join(p.stderr.decode(errors="replace").split())[:300]
    if harness.status_of(p.returncode) == 125:
        return "HELD", "main was not reached: " + why
    return "ERROR", "status %d: %s" % (p.returncode, why)


def door_words(e, opts):
    library(e)
    return [e.s.hutch, "run", "--door=preload", "--cwd-access=none", "--ro=" + e.bin, *opts, "--"]


def tries(verb, file="SECRET", env=None):
    """The victim does it behind the door; alone as the control."""
    def function(e, caller, opts):
        extra = ["--env=%s=%s" % kv for kv in (env or {}).items()]
        return run(e, caller, [*door_words(e, [*extra, *opts]), victim(e), verb, e.fill(["{%s}" % file], "")[0]])

    def control(e):
        return run(e, e.user, [victim(e), verb, e.fill(["{%s}" % file], "")[0]], env)
    return function, control


def unfit(make):
    """A program into which no library goes: the door refuses; LD_PRELOAD alone lets it run."""
    def function(e, caller, opts):
        v, d = run(e, caller, [*door_words(e, opts), make(e), "{W}/mark"])
        return v, d

    def control(e):
        return run(e, e.user, [make(e), "x"], {"LD_PRELOAD": library(e), "HUTCH_POLICY": "/no/such/policy"})
    return function, control


def static(e, *flags):
    name = "embed-static" + "".join(flags)
    path = os.path.join(e.s.base, name + ".c")
    with open(path, "w") as f:
        f.write('#include <stdio.h>\nint main(void) { puts("ESCAPED main was reached"); return 10; }\n')
    return build(e, name, path, *flags)


def musl(e):
    out = os.path.join(e.bin, "embed-musl")
    if not os.path.exists(out):
        static(e, "-static")
        # Its own loader, and a C library that isn't ours.
        subprocess.run(["musl-gcc", "-o", out, os.path.join(e.s.base, "embed-static-static.c")], check=True, env=dict(os.environ, TMPDIR=e.s.base))
    return out


def broken_library(change):
    """The command with a spoilt library beside it. The same by LD_PRELOAD: the loader says so and goes on."""
    def place(e):
        d = os.path.join(e.s.base, "broken-%s" % change.__name__)
        if not os.path.isdir(d):
            os.mkdir(d)
            shutil.copy(e.s.hutch, d + "/hutch")
            with open(built(LIBRARY), "rb") as f:
                data = change(bytearray(f.read()))
            if data is not None:
                with open(os.path.join(d, LIBRARY), "wb") as f:
                    f.write(data)
        return d

    def function(e, caller, opts):
        words = door_words(e, opts)
        return run(e, caller, [place(e) + "/hutch", *words[1:], victim(e), "present", "x"])

    def control(e):
        return run(e, e.user, [victim(e), "present", "x"], {"LD_PRELOAD": os.path.join(place(e), LIBRARY), "HUTCH_POLICY": "default"})
    return function, control


def cut(data):
    return data[:100]


def machine(data):
    data[18:20] = b"\xf3\x00"
    return data


def narrow_class(data):
    data[4] = 1
    return data


def late(e, caller, opts):
    """dlopen of the library in a process that has threads: it ends."""
    policy = os.path.join(e.s.base, "late.hutch")
    with open(policy, "w") as f:
        f.write("".join("%s = %s\n" % tuple(o[2:].split("=", 1)) for o in opts if o.startswith("--")) + "include = default\n")
    os.chmod(policy, 0o644)
    return run(e, caller, [victim(e), "late", library(e)], {"HUTCH_POLICY": policy})


def late_control(e):
    return run(e, e.user, [victim(e), "late", "libm.so.6"])


def shared(e, name, text, *flags):
    source = os.path.join(e.s.base, name + ".c")
    with open(source, "w") as f:
        f.write(text)
    return build(e, name + ".so", source, "-shared", "-fPIC", *flags)


READS_EARLY = ("#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
               "%s { const char *f = \"%s\"; if (open(f, O_RDONLY) >= 0) { const char t[] = \"ESCAPED a constructor came first\\n\";"
               " if (write(1, t, sizeof t - 1) < 0) _exit(10); } %s }\n")


def audit(e):
    text = READS_EARLY % ("unsigned la_version(unsigned v)", e.canaries.secret, "return v;")
    return shared(e, "libaudit", text)


def auditing(e, caller, opts):
    return run(e, caller, [*door_words(e, opts), victim(e), "read", e.canaries.secret], {"LD_AUDIT": audit(e)})


def auditing_control(e):
    return run(e, e.user, [victim(e), "present", "x"], {"LD_AUDIT": audit(e)})


def needed(e):
    lib = shared(e, "libneeded", READS_EARLY % ("__attribute__((constructor)) static void first(void)", e.canaries.secret, ""))
    return build(e, "embed-needs", ["../embed/victim.c"], "-pthread", "-Wl,--no-as-needed", lib)


def constructor(e, caller, opts):
    return run(e, caller, [*door_words(e, opts), needed(e), "read", e.canaries.secret])


def constructor_control(e):
    return run(e, e.user, [needed(e), "read", e.canaries.secret])


def crew(door):
    def function(e, caller, opts):
        more = ["--user=4242:4242"] if caller.root else []
        return run(e, caller, [host(e), door, "--userns=never", *more, *[o for o in opts if not o.startswith("--userns")], "--", e.canaries.secret])
    return function


def bare(door):
    return lambda e: run(e, e.user, [host(e), door, "--", e.canaries.secret])


def compat_child(e):
    """A program that starts a 32-bit one, for which there is no such library."""
    return ["/bin/sh", "-c", 'r=$({BIN}/elf32 288 0 -3 0 0 0 0 2>/dev/null); case "$r" in -1|-38|"") echo "HELD keyctl says $r";; *) echo "ESCAPED keyctl says $r";; esac']


def group_n(e):
    rows = []

    def custom(id, what, pair, layer, **kw):
        function, control = pair
        rows.append(Custom(id, what, function, layer, control=control, **kw))

    before = "refused before the start"
    custom("N01.static", "a static program ignores the library", unfit(lambda e: static(e, "-static")), before, mutate="the command door confines it")
    custom("N07.static-pie", "a static position-independent program", unfit(lambda e: static(e, "-static-pie")), before,
           mutate="the command door confines it")
    if shutil.which("musl-gcc"):
        rows.append(Custom("N07.musl", "a program with another C library and loader", unfit(musl)[0], before,
                           why="musl's loader stops at a library that isn't made for it", mutate="the command door confines it"))
    show = ["--ro={HOST}"]
    custom("N02.instruction", "a system call by the instruction itself", tries("instruction"), KERNEL, mutate=filled(e, show))
    rows.append(Row("N02.call", "a denied system call by number", ["call", "keyctl"], KERNEL, mutate=["--seccomp=none"], door=preload))
    custom("N03.exec", "exec with an empty environment, and children without the C library", tries("children"), KERNEL, mutate=filled(e, show))
    custom("N05.missing", "the library isn't there", broken_library(gone), "nothing counts but the library's word", mutate="no word, no run")
    custom("N05.cut", "the library is cut short", broken_library(cut), "nothing counts but the library's word", mutate="no word, no run")
    custom("N05.machine", "the library is another processor's", broken_library(machine), "nothing counts but the library's word", mutate="no word, no run")
    custom("N05.class", "the library is of 32 bits", broken_library(narrow_class), "nothing counts but the library's word", mutate="no word, no run")
    custom("N06.audit", "LD_AUDIT runs code before the library", (auditing, auditing_control), "–",
           user="what the loader runs first isn't confined by any library: hutch-preload(7); the command door is")
    custom("N06.needed", "a library of the program runs its constructor first", (constructor, constructor_control), "the loader's order",
           user="constructors of the program's own libraries come before: hutch-preload(7); the command door confines them")
    custom("N07.dlmopen", "a second C library in its own namespace", tries("other-libc"), KERNEL, mutate=filled(e, show))
    custom("N08.late", "the library is loaded late, where there are threads", (late, late_control), "it counts the threads; the process ends", mutate="no option")
    rows.append(Custom("N08.enter", "threads from before hutch_enter stay free", crew("enter-crew"), "TSYNC; each thread confines itself", control=bare("bare-crew"),
                       mutate=filled(e, show)))
    rows.append(Custom("N08.narrow", "threads from before hutch_narrow stay free", crew("narrow-crew"), "TSYNC; each thread confines itself",
                       control=bare("bare-crew"), mutate="what is listed is the right itself"))
    rows.append(Custom("N09.widen", "hutch_narrow is called again, for more", crew("widen"), "filters and Landlock domains only add up", control=bare("bare-widen"),
                       mutate="what the first call lists is the right itself"))
    custom("N09.unhook", "the library is overwritten in memory", tries("unhook"), KERNEL, mutate=filled(e, show))
    if e.elf32:
        rows.append(Row("N11.elf32", "a 32-bit child, for which there is no library", compat_child(e), KERNEL, mutate=["--seccomp=none"], door=preload))
    custom("N12.filter", "the program's own filter allows write and exit alone", tries("own-filter"), "the library is done before main", mutate=filled(e, show))
    custom("N13.forks", "forks while threads hold the allocator's locks", tries("forks", env={"EMBED_FORKS": "2000" if "--full" in sys.argv else "100"}),
           "no function is replaced", mutate=filled(e, show))
    if os.geteuid() == 0:
        for what in ("setuid", "capable"):
            path = os.path.join(e.bin, "embed-" + what)
            shutil.copy(victim(e), path)
            if what == "setuid":
                os.chown(path, 65534, 65534)
                os.chmod(path, 0o4755)
            else:
                os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
            custom("N04." + what, "a program with raised privileges (%s)" % what, raised(path), before, modes=["user", "never"], mutate="the loader drops the library")
        # As a child of a confined one.
        rows.append(Row("N04.child", "a set-uid child", ["/bin/sh", "-c", "exec {BIN}/suid ids"], "no_new_privs; nosuid", modes=["user", "never"], door=preload,
                        mutate="no_new_privs always holds for a user"))
    return rows


def gone(data):
    return None


def filled(e, words):
    return e.fill(words, "")


def raised(path):
    def function(e, caller, opts):
        return run(e, caller, [*door_words(e, opts), path, "present", "x"])

    def control(e):
        return run(e, e.user, [path, "present", "x"], {"LD_PRELOAD": library(e), "HUTCH_POLICY": "/no/such/policy"})
    return function, control


def rows(e, others):
    return again(others) + lives(others) + group_n(e) + [
        Custom("G09.thread", "the run ends with the thread that started it", outlives_thread, "the parent-death signal isn't a thread's",
               why="own check: nothing to end without hutch", mutate="no option"),
    ]
