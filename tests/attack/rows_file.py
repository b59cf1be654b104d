"""Rows of groups A to D: set-up, descriptors, /proc and /sys, devices.
Runs in: the test process.
"""
import os
import signal
import stat
import subprocess
import time

import harness
from engine import Custom, Row

MOUNTS = "mount namespace"
NEST = "without the filter: mounts belong to a user namespace in which the program has no right"
INIT = "init can't be inspected (not dumpable, no environment, no descriptors)"
NEVER_PROC = "the host's processes are visible; what they hold is not readable"


# The tree that was named is shown, and no other.
LITERAL = "[ -e /out/shadow ] && echo ESCAPED another tree || { [ -e /out/marker ] && echo HELD literal || echo ERROR not shown; }"


def link_to(target, name="a"):
    def setup(e, w, caller):
        os.symlink(e.fill([target], w)[0], os.path.join(w, name))
        caller.own(w)
    return setup


def host_unchanged(e, w, verdict, detail):
    new = sorted(os.listdir(e.canaries.dir))
    return "the host's directory holds %s" % new if new != ["dgram", "secret", "sock"] else None


def git_tree(e, w, caller):
    os.makedirs(os.path.join(w, ".git/hooks"))
    caller.own(w)


def hook_planted(e, w, verdict, detail):
    return "a hook was planted" if os.path.exists(os.path.join(w, ".git/hooks/pre-commit")) else None


def odd_names(e, w, caller):
    for name in ("a,upperdir=etc", "a:b", "a b", "a\nb", "a\\054b", "-o", "#x"):
        os.mkdir(os.path.join(w, name))
        open(os.path.join(w, name, "marker"), "w").close()
    caller.own(w)


def set_id_left(e, w, verdict, detail):
    for base, dirs, files in os.walk(w):
        for name in dirs + files:
            mode = os.lstat(os.path.join(base, name)).st_mode
            if mode & (stat.S_ISUID | stat.S_ISGID) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                return "the host sees %s with mode %o" % (name, mode)
    return None


def core_left(e, w, verdict, detail):
    return "the host sees a core file" if any(n.startswith("core") for n in os.listdir(w)) else None


def residue(e, caller, opts):
    """A21: hutch is killed at once, and some time later, 20 times; the tree must come out the same."""
    w = e.work(caller)
    os.mkdir(os.path.join(w, "t"))
    caller.own(w)
    before = harness.tree_hash(w)
    for i in range(20):
        argv = [e.s.hutch, "run", "--cwd-access=none", "--ro=" + e.bin, "--rw=" + w, "--mask=" + w + "/t", *opts, "--", e.probe, "stay", "x", "sleep"]
        p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd=w, env=caller.environ(),
                             start_new_session=True, **caller.popen_args())
        time.sleep(0.002 * i)
        p.kill()
        p.wait()
    time.sleep(0.1)
    if harness.tree_hash(w) != before:
        return "ESCAPED", "the tree changed: %s" % os.listdir(w)
    return "HELD", "20 kills, tree unchanged"


def residue_control(e):
    """What the naive way leaves: a mount point made on the host's side."""
    w = e.work(e.user)
    before = harness.tree_hash(w)
    subprocess.run(["unshare", "-Urm", "sh", "-c", "mkdir t && mount -t tmpfs x t && kill -9 $$"], cwd=w, stderr=subprocess.DEVNULL, **e.user.popen_args())
    return ("ESCAPED", "mount point left") if harness.tree_hash(w) != before else ("HELD", "")


def group_a():
    rows = []
    for n, target in enumerate(("{HOST}", "/oldroot{HOST}", "../{HOSTNAME}", "/newroot{HOST}", "/proc/self/root{HOST}", "/proc/1/root{HOST}")):
        rows.append(Row("A01.%d" % n, "a link (-> %s) leads set-up onto the host" % target.replace("{HOST}", "/HOST").replace("{HOSTNAME}", "HOST"), ["true"], "the plan refuses a link on the way (the launch too: A01.resolver)", setup=link_to(target),
                        opts=["--tmpfs={W}/a/new/x"], check=host_unchanged, control=["sh", "-c", "mkdir -p a/new/x; exec \"$0\" \"$@\""] if n in (0, 2, 4) else None,
                        why="only a sandbox with such a staging directory falls for it", sandbox="refuses",
                        modes=["root", "user"], mutate="there is no other resolver to choose"))
    rows += [
        Row("A02.link", "a protected name that is a link is replaced", ["relink", "{W}/a"], MOUNTS, setup=link_to("{HOST}"), opts=["--ro={W}/a"],
            check=lambda e, w, v, d: host_unchanged(e, w, v, d) or (None if os.path.islink(w + "/a") else "the link was replaced"),
            sandbox="refuses", modes=["root", "user"], mutate="without the rule nothing is protected"),
        Row("A04.dangling", "the target of a mask is a dangling link", ["true"], "the plan refuses a link at the end (the launch too: A03)", setup=link_to("{HOST}/none"), opts=["--mask={W}/a"],
            check=host_unchanged, control=["sh", "-c", "> a; exec \"$0\" \"$@\""], sandbox="refuses", modes=["root", "user"],
            mutate="there is no other resolver to choose"),
        Row("A06.dotdot", ".. behind a link", ["true"], "openat2 RESOLVE_IN_ROOT", setup=link_to("{HOST}/"), opts=["--dir={W}/a/../x"],
            check=lambda e, w, v, d: "made %s/x on the host" % e.s.base if os.path.exists(e.s.base + "/x") and not os.rmdir(e.s.base + "/x") else host_unchanged(e, w, v, d),
            control=None, why="the suite's directory belongs to root", sandbox="refuses", modes=["root", "user"], mutate="there is no other resolver to choose"),
        Row("A08.link", "a hard link from a read-only to a writable tree", ["link", "{HOST}/secret", "{W}/x"], MOUNTS, opts=["--ro={HOST}"], mutate="one writable mount of both is no attack"),
        Row("A09.append", "a file of a read-only tree is written", ["append", "{HOST}/secret"], "read-only mounts, recursively", opts=["--ro={HOST}"],
            mutate="--rw is the right itself"),
        Row("A10.remount", "a read-only tree is mounted read-write", ["remount", "{MNT}", "{HOST}"], FILTER_AND_LOCK, opts=["--ro={HOST}"],
            control=["unshare", "-Urm", "sh", "-c", "mount --bind {HOST} {HOST} && mount -o remount,bind,ro {HOST} && exec \"$0\" \"$@\""],
            modes=["root", "user"], mutate=NEST),
        Row("A10.remount-nested", "the same where nesting is allowed", ["remount", "{MNT}", "{HOST}"], "mounts of the parent user namespace are locked",
            opts=["--ro={HOST}", "--nest=allow", "--seccomp=none"],
            control=["unshare", "-Urm", "sh", "-c", "mount --bind {HOST} {HOST} && mount -o remount,bind,ro {HOST} && exec \"$0\" \"$@\""],
            modes=["root", "user"], mutate="the kernel's lock can't be taken away"),
        Row("A11.unmask", "a mask is unmounted", ["umount", "{MNT}", "{HOST}/secret", "{HOST}/secret", "{REV}"], FILTER_AND_LOCK,
            opts=["--ro={HOST}", "--mask={HOST}/secret"], modes=["root", "user"], mutate=NEST,
            control=["unshare", "-Urm", "sh", "-c", "mount --bind /dev/null {HOST}/secret && exec \"$0\" \"$@\""]),
        Row("A11.unmask-nested", "the same where nesting is allowed", ["umount", "{MNT}", "{HOST}/secret", "{HOST}/secret", "{REV}"],
            "mounts of the parent user namespace are locked", opts=["--ro={HOST}", "--mask={HOST}/secret", "--nest=allow", "--seccomp=none"],
            modes=["root", "user"], mutate="the kernel's lock can't be taken away",
            control=["unshare", "-Urm", "sh", "-c", "mount --bind /dev/null {HOST}/secret && exec \"$0\" \"$@\""]),
        Row("A11.masked", "what a mask hides is read", ["read", "{HOST}/secret", "{REV}"], MOUNTS, opts=["--ro={HOST}", "--mask={HOST}/secret"],
            mutate="without --mask: see A16", sandbox="refuses"),
        Row("A12.oldroot", "the old root under the new one is uncovered", ["umount", "{MNT}", "/", "{SECRET}", "{REV}"], "pivot_root, old root unmounted",
            modes=["root", "user"], own=["umount", "{MNT}", "{W}", "{SECRET}", "{REV}"], mutate="there is no old root to uncover, with any option",
            control=["unshare", "-Urm", "sh", "-c", "mount -t tmpfs x {W} && exec \"$0\" \"$@\""]),
        Row("A12.oldroot-nested", "the same where nesting is allowed", ["umount", "{MNT}", "/", "{SECRET}", "{REV}"], "pivot_root, old root unmounted",
            opts=["--nest=allow", "--seccomp=none"], own=["umount", "{MNT}", "{W}", "{SECRET}", "{REV}"],
            modes=["root", "user"], mutate="there is no old root to uncover, with any option",
            control=["unshare", "-Urm", "sh", "-c", "mount -t tmpfs x {W} && exec \"$0\" \"$@\""]),
        Row("A13.chroot", "the classic way out of a changed root", ["chrootbreak", "{W}/q", "{SECRET}", "{REV}"], "system call filter; pivot_root",
            control=["unshare", "-Ur"], mutate="without the filter: no CAP_SYS_CHROOT, and the root is the mount tree's"),
        Row("A16.alias", "one directory under two names, one of them masked", ["read", "/two/secret", "{REV}"], "compared by device and inode",
            opts=["--ro={HOST}:/one", "--ro={HOST}:/two", "--mask=/one/secret"], modes=["root", "user"], sandbox="refuses",
            own=["read", "{SECRET}", "{REV}"], mutate="the comparison can't be turned off"),
        Row("A23.rename", "a parent of a protected name is moved away", ["moveparent", "{W}/.git", "hooks", "pre-commit"], "ancestors are mount points",
            setup=git_tree, opts=["--ro={W}/.git/hooks"], check=hook_planted, modes=["root", "user"], mutate="without --ro nothing is protected"),
        Row("A23.mask", "a parent of a masked name is moved away", ["moveparent", "{W}/.git", "hooks", "pre-commit"], "ancestors are mount points",
            setup=git_tree, opts=["--mask={W}/.git/hooks"], check=hook_planted, modes=["root", "user"], mutate="without --mask nothing is protected"),
        Custom("A21.residue", "mount points stay on the host after kill -9", residue, "no mount point is made on the host", control=residue_control,
               modes=["root", "user"], mutate="hutch has no option that makes mount points on the host"),
    ]
    for i, name in enumerate(("a,upperdir=etc", "a b", "a\nb", "a\\054b", "-o", "#x", "a:b")):
        rows.append(Row("A19.%d" % i, "option text in a path name: %r" % name, ["/bin/sh", "-c", LITERAL], "fsconfig, separate strings",
                        setup=odd_names, opts=["--ro={W}/%s:/out" % name.replace("a:b", "a\\:b")], modes=["root", "user"],
                        control=None, why="own check: hutch takes the text literally or refuses", mutate="options are never one text"))
    return rows


FILTER_AND_LOCK = "system call filter; mounts of the parent user namespace are locked"


def group_b():
    kept = ["--fd=9", "--fd=10", "--fd=11", "--fd-any-kind"]
    return [
        Row("B01.leak", "inherited descriptors", ["fdscan"], "close_range", fds=(9, 10, 11), mutate=kept),
        Row("B02.directory", "inherited directories", ["fddirs", "boot"], "close_range", fds=(9, 10, 11), mutate=kept),
        Row("B02.secret", "an inherited open file", ["fd10", "{REV}"], "close_range", fds=(9, 10, 11), mutate=["--fd=10"]),
        Row("B13.climb", ".. behind the descriptors that are kept", ["fddirs", "boot"], "descriptors are examined", opts=["--fd=9"],
            fds=(9,), sandbox="refuses", mutate=["--fd-any-kind"]),
        Row("B15.kinds", "an inherited directory is asked for", ["fdscan"], "descriptors are examined", opts=["--fd=11"], fds=(11,), sandbox="refuses",
            mutate=["--fd-any-kind"]),
        Row("B03.cwd", "the working directory stays on the host", ["cwd", "secret", "{HOST}"], "cwd is set after the root", cwd="{HOST}",
            mutate=["--ro={HOST}"], never="names and sizes are visible to stat(): Landlock limits what opens"),
        Row("B03.procfd", "--cwd through a descriptor's link", ["cwd", "secret", "{HOST}"], "cwd is set after the root", cwd="{HOST}", opts=["--cwd=/proc/self/fd/9"],
            fds=(9,), sandbox="refuses", mutate="see B03.cwd"),
        Row("B04.exe", "the launcher's file is opened through /proc/1/exe", ["exew"], INIT, own=["openany", "/proc/self/exe"],
            mutate="init is never dumpable, with any option"),
        Row("B07.stdin", "standard input is reopened for writing", ["stdinw"], "standard input is made unable to be reopened", stdin="{SECRET}",
            mutate="it can't be turned off"),
        Row("B08.stdin", "standard input is a directory", ["stdindir", "secret"], "descriptors are examined", stdin="{HOST}", sandbox="refuses",
            mutate="see B15"),
        Row("B14.tmpfile", "a file planted in a read-only tree with O_TMPFILE", ["tmpfile", "{HOST}/d"], "read-only mounts", opts=["--ro={HOST}/d"],
            setup=lambda e, w, c: None, own=["tmpfile", "{W}"], mutate="--rw is the right itself"),
    ]


def group_c():
    info = ["/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/sched_debug", "/proc/acpi/event", "/proc/scsi/scsi", "/proc/latency_stats"]
    triggers = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/poweroff_cmd", "/proc/sys/kernel/hotplug"]
    upcalls = ["/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run", "/sys/module/kernel/parameters/panic"]
    unshare = ["unshare", "-Urmn", "--mount-proc", "-pf"]
    rows = [
        Row("C01.cmdline", "the host's processes are seen", ["findproc", "{REV}", "cmdline"], "pid namespace, own /proc", mutate=["--pidns=host", "--proc=bind"],
            never="the host's processes are visible in /proc"),
        Row("C02.environ", "environment of the host's processes", ["findproc", "{REV}", "environ"], "pid namespace, own /proc",
            mutate="without a pid namespace: another user namespace, and Landlock's domain"),
        Row("C02.root", "the host's tree through /proc/PID/root", ["findproc", "{REV}", "root{SECRET}", "cwd/secret"], "pid namespace, own /proc",
            mutate="without a pid namespace: another user namespace, and Landlock's domain"),
        Row("C02.inspect", "links and memory of the host's process", ["inspect", "{PID}"], "pid namespace, own /proc",
            mutate="without a pid namespace: another user namespace, and Landlock's domain"),
        Row("C03.init", "links, environment, memory of init", ["inspect", "1"], INIT, own=["inspect", "{PID}"], mutate="init is never dumpable, with any option"),
        Row("C03.environ", "the caller's variables arrive", ["environ", "{REV}"], "environment is built anew", mutate=["--env=SBX_CANARY"]),
        Row("C05.sysctl", "sysctls open for writing", ["writable", "/proc/sys"], "read-only /proc/sys", control=unshare, mutate="no option makes them writable",
            never="the machine's sysctls belong to root: only an unprivileged file mode holds"),
        Row("C06.triggers", "core_pattern and its like open for writing", ["openw", *triggers], "read-only /proc/sys", mutate="file modes: not the owner"),
        Row("C07.sysrq", "sysrq-trigger opens for writing", ["openw", "/proc/sysrq-trigger"], "masked", mutate="file modes: not the owner"),
        Row("C08.upcalls", "upcalls of /sys open for writing", ["openw", *upcalls], "no /sys", mutate="file modes: not the owner"),
        Row("C08.sys", "upcalls of a shown /sys open for writing", ["openw", *upcalls], "read-only /sys", opts=["--sys=ro"], modes=["root", "user"],
            mutate="file modes: not the owner"),
        Row("C10.limits", "its own cgroup limits open for writing", ["writable", "/sys/fs/cgroup"], "no /sys", mutate="file modes: not the owner"),
        Row("C10.paths", "cgroup paths of the host", ["cgroup"], "cgroup namespace", mutate=["--cgroupns=host"], never="there is no cgroup namespace"),
        Row("C12.info", "information about the kernel", ["readany", *info], "masked", mutate=["--proc=bind", "--pidns=host"],
            never="/proc is the host's"),
        Row("C12.keys", "names of the user's keys in /proc/keys", ["read", "/proc/keys", "{REV}"], "masked", mutate="masks of /proc have no option"),
        Row("C14.ids", "the host's namespaces", ["namespaces", "{NSIDS}"], "namespaces", mutate=["--pidns=host"],
            never="there are no namespaces in this mode"),
        Row("C16.oom", "protection against the memory killer", ["oom"], "no CAP_SYS_RESOURCE", mutate="no capability in the initial user namespace"),
        Row("C17.pagemap", "page frame numbers", ["pagemap"], "no CAP_SYS_ADMIN", mutate="no capability in the initial user namespace"),
        Row("C20.writable", "anything in /proc or /sys opens for writing", ["writable", "/proc", "/sys"], "read-only parts of /proc", control=unshare,
            mutate="no option makes them writable", opts=["--sys=ro"], never="file modes alone hold"),
        Row("C21.kmsg", "the kernel's log", ["openany", "/dev/kmsg", "/proc/kmsg"], "own /dev", mutate="file modes: not the owner"),
    ]
    mounts = {"C09.cgroup": ("cgroup2", ["unshare", "-UrmC"]), "C09.v1": ("cgroup", ["unshare", "-UrmC"]), "C11.binfmt": ("binfmt_misc", ["unshare", "-Urm"]),
              "C15.proc": ("proc", ["unshare", "-Urmpf"]), "C19.tmpfs": ("tmpfs", ["unshare", "-Urm"]), "C19.mqueue": ("mqueue", ["unshare", "-Urmi"]),
              "C19.sysfs": ("sysfs", ["unshare", "-Urmn"])}
    for fs in ("debugfs", "tracefs", "securityfs", "bpf", "configfs", "efivarfs", "fuse", "overlay"):
        mounts["C19." + fs] = (fs, ["unshare", "-Urm"])
    for id, (fs, control) in mounts.items():
        rows.append(Row(id, "%s is mounted" % fs, ["mountfs", "{MNT}", fs, "{W}"], "system call filter; no nested namespaces", control=control, modes=["root", "user"],
                        mutate=["--nest=allow"] if fs == "tmpfs" else "no capability in the sandbox's user namespace (C19.tmpfs takes that away)"))
    return rows


def group_d():
    nodes = ["fuse", "kvm", "net/tun", "vsock", "userfaultfd", "loop-control", "mem", "vcs1", "input/event0", "dri/card0", "uinput", "hidraw0", "snapshot", "vda"]
    tty = ["--seccomp=none", "--tty=inherit"]

    def node(e, w, caller):
        path = os.path.join(w, "zero")
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        os.chmod(path, 0o666)
    return [
        Row("D01.tiocsti", "typing into the caller's terminal", ["ioctl", "0x5412"], "private terminal; filter", tty=True, mutate=tty),
        Row("D01.private", "the private terminal alone", ["true"], "private terminal", tty=True, opts=["--seccomp=none"], own=["ioctl", "0x5412"],
            mutate="see D01.tiocsti"),
        Row("D02.high", "the same with upper bits", ["ioctl", "0x100005412"], "private terminal; filter", tty=True, mutate=tty),
        Row("D03.tioclinux", "the console's selection", ["ioctl", "0x541c"], "filter", tty=True, mutate=tty),
        Row("D04.tty", "the caller's terminal itself", ["samedev", "{PTS}", "0"], "private terminal", tty=True, mutate=["--tty=inherit"],
            never="a private terminal is made from the host's /dev/pts"),
        Row("D05.pts", "other users' terminals", ["samedev", "{PTS}", "/dev/pts"], "own devpts", mutate=["--dev=host"], never="/dev is the host's; file modes hold"),
        Row("D12.ptmx", "the host's pty multiplexer", ["samedev", "{PTS}", "/dev/pts/ptmx"], "own devpts", mutate=["--dev=host"],
            never="/dev is the host's; file modes hold"),
        Row("D08.mknod", "a device node is made", ["mknod", "{W}/node"], "filter; no CAP_MKNOD", mutate=["--seccomp=none"], check=set_id_left),
        Row("D09.list", "devices beyond the list", ["devices"], "own /dev", mutate=["--dev=host"], never="/dev is the host's; Landlock limits what opens"),
        Row("D10.nodev", "a device node on a shown file system", ["openany", "{W}/zero"], "nodev", setup=node, own=["openany", "/dev/zero"],
            mutate="nodev always holds", never="a mode without mounts has no nodev: Landlock lets files of the tree be opened"),
        Row("D11.nodes", "powerful device nodes", ["openany", *["/dev/" + n for n in nodes]], "own /dev", mutate=["--dev=host"]),
        Row("D14.shm", "the host's /dev/shm", ["listed", "/dev/shm", "{REV}"], "own /dev/shm", mutate=["--dev=host"], setup=shm,
            never="names are visible: Landlock limits what opens"),
    ]


def shm(e, w, caller):
    path = "/dev/shm/" + e.canaries.tag
    if not os.path.exists(path):
        open(path, "w").close()


def rows(e):
    all_rows = group_a() + group_b() + group_c() + group_d()
    for r in all_rows:
        if r.id == "C14.ids":
            r.probe = ["namespaces", *[v for v in e.ns.values()]]
        if r.id == "B14.tmpfile":
            r.probe, r.opts = ["tmpfile", "{HOST}"], ["--ro={HOST}"]
        if r.id == "D10.nodev" and os.geteuid() != 0:
            r.modes = []
    return [r for r in all_rows if r.modes != []]
