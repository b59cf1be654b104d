"""Rows of group F (and the calls of E and I): the system call filter.
Runs in: the test process.
"""
import os
import subprocess

from engine import Row

NS = ["unshare", "-Ur"]
FILTER = "system call filter"
CAPS = "without the filter: no capability in the initial user namespace"
OPEN = ["--seccomp=none"]
NONE = OPEN + ["--nest=allow"]

# call -> (id, control, mutation). The control of what needs privilege even to be reached is a user namespace;
# what only the machine's root reaches has none that is safe: VACUOUS unless it escapes.
CALLS = [
    ("F05", "clone3", [], OPEN), ("F07", "setns", [], OPEN),
    ("F08", "mount", [], OPEN), ("F08", "umount2", [], OPEN), ("F08", "pivot_root", ["unshare", "-Urm"], CAPS),
    ("F09", "open_tree", [], OPEN), ("F09", "move_mount", ["unshare", "-Urm"], CAPS), ("F09", "fsopen", ["unshare", "-Urm"], CAPS), ("F09", "fsconfig", [], OPEN),
    ("F09", "fsmount", ["unshare", "-Urm"], CAPS), ("F09", "fspick", ["unshare", "-Urm"], CAPS), ("F09", "mount_setattr", [], OPEN), ("F09", "open_tree_attr", [], OPEN),
    ("F10", "chroot", [], OPEN),
    ("F12", "process_madvise", [], OPEN), ("F12", "process_mrelease", [], OPEN),
    ("F13", "kcmp", [], OPEN), ("F13", "pidfd_getfd", [], OPEN),
    ("F14", "bpf", [], OPEN), ("F15", "perf_event_open", [], OPEN), ("F16", "userfaultfd", [], OPEN),
    ("F17", "io_uring_setup", [], OPEN), ("F17", "io_uring_enter", [], OPEN), ("F17", "io_uring_register", [], OPEN),
    ("F19", "keyctl", [], OPEN), ("F19", "add_key", [], OPEN), ("F19", "request_key", [], OPEN),
    ("F20", "init_module", NS, CAPS), ("F20", "finit_module", NS, CAPS), ("F20", "delete_module", NS, CAPS), ("F20", "kexec_load", NS, CAPS),
    ("F20", "kexec_file_load", NS, CAPS),
    ("F21", "reboot", ["unshare", "-Urpf"], CAPS), ("F21", "swapon", [], OPEN), ("F21", "swapoff", NS, CAPS), ("F21", "acct", NS, CAPS),
    ("F21", "quotactl", [], OPEN), ("F21", "quotactl_fd", [], OPEN), ("F21", "sethostname", ["unshare", "-Uru"], CAPS),
    ("F21", "setdomainname", ["unshare", "-Uru"], CAPS),
    ("F22", "settimeofday", [], OPEN), ("F22", "clock_settime", [], OPEN), ("F22", "adjtimex", [], OPEN), ("F22", "clock_adjtime", [], OPEN),
    ("F23", "iopl", [], OPEN), ("F23", "ioperm", [], OPEN), ("F23", "modify_ldt", [], OPEN),
    ("F24", "name_to_handle_at", [], OPEN), ("F24", "open_by_handle_at", [], OPEN),
    ("F26", "move_pages", [], OPEN), ("F26", "migrate_pages", [], OPEN),
    ("F29", "memfd_secret", [], OPEN), ("F29", "map_shadow_stack", [], OPEN), ("F29", "lsm_set_self_attr", [], OPEN),
    ("F29", "statmount", [], OPEN), ("F29", "listmount", [], OPEN),
    ("H10", "fanotify_init", [], OPEN), ("C21", "syslog", [], OPEN), ("E14", "personality", [], OPEN),
]
NEWNS = [("mnt", 0x20000), ("cgroup", 0x2000000), ("uts", 0x4000000), ("ipc", 0x8000000), ("user", 0x10000000), ("pid", 0x20000000), ("net", 0x40000000)]
COMPAT = ["keyctl", "mount", "bpf", "perf_event_open", "clone-newuser", "unshare-newuser", "socket-vsock", "userfaultfd", "setns", "chroot",
          "personality", "open_by_handle_at", "io_uring_setup", "clone3", "modify_ldt"]


def filter_rows():
    rows = []
    for id, name, control, mutate in CALLS:
        rows.append(Row("%s.%s" % (id, name), "%s is reached" % name, ["call", name], FILTER, control=control, mutate=mutate))
    for name, flag in NEWNS:
        control = [] if name == "user" else NS
        # Without the filter a right in the sandbox's user namespace is still missing, for all but a user namespace.
        rows.append(Row("F04.clone-" + name, "a new %s namespace by clone" % name, ["clone", hex(flag)], FILTER, control=control,
                        mutate=NONE if name == "user" else CAPS))
        rows.append(Row("F06.unshare-" + name, "a new %s namespace by unshare" % name, ["unshare", hex(flag)], FILTER, control=control,
                        mutate=NONE if name == "user" else CAPS))
    rows += [
        Row("F04.clone-or", "namespaces together with a user namespace", ["clone", hex(0x10000000 | 0x20000 | 0x40000000)], FILTER, mutate=NONE),
        Row("F04.clone-high", "upper half of the flags set", ["clone", hex(0x10000000 | 1 << 33)], FILTER, mutate=NONE),
        Row("F06.unshare-time", "a new time namespace", ["unshare", "0x80"], FILTER, control=NS, mutate=CAPS),
        Row("F06.unshare-high", "upper half of the flags set", ["wide", "unshare-newuser"], FILTER, mutate=OPEN),
        Row("E06.unshare", "a user namespace of its own", ["unshare", "0x10000000"], FILTER + "; limit of namespaces", mutate=["--nest=allow"]),
        Row("E06.limit", "a user namespace where only the limit stands", ["unshare", "0x10000000"], "limit of namespaces", opts=OPEN,
            mutate=["--nest=allow"], never="without a user namespace there is no limit of ours"),
        Row("F25.dead", "system calls that are long dead", ["dead"], FILTER, mutate="the kernel has none of them"),
        Row("F28.unknown", "numbers that the filter doesn't know", ["unknown"], FILTER, mutate="the kernel has none of them"),
        Row("F31.filtered", "the filter is gone after fork and exec", ["filtered"], FILTER, mutate=OPEN),
        Row("F32.refilter", "a permissive filter on top", ["refilter", "keyctl"], FILTER, mutate=OPEN),
        Row("F32.listener", "a listener of its own", ["listener"], FILTER, mutate=OPEN),
        Row("F33.socket", "socket family with upper bits", ["wide", "socket-vsock"], FILTER, mutate=OPEN),
        Row("F33.netlink", "netlink protocol with upper bits", ["wide", "socket-uevent"], FILTER, mutate=OPEN),
        Row("F33.personality", "personality with upper bits", ["wide", "personality"], FILTER, mutate=OPEN),
        Row("F30.flip", "a name that changes while it is checked", ["flip", "{W}/allowed", "{SECRET}", "{REV}"], "mount namespace; nothing is decided on memory",
            mutate=["--ro={HOST}"]),
        Row("B09.handle", "open_by_handle_at", ["call", "open_by_handle_at"], FILTER, mutate=OPEN),
        Row("B10.getfd-child", "pidfd_getfd on another process", ["getfd", "0"], FILTER, mutate=OPEN),
        Row("B10.getfd-host", "pidfd_getfd on the host's process", ["getfd", "{PID}"], FILTER + "; pid namespace",
            mutate="without the filter: the process has no number inside"),
        Row("F11.trace-host", "ptrace of the host's process", ["trace", "{PID}"], "pid namespace; Landlock domain",
            mutate="without the filter: the process has no number inside"),
        Row("F12.vmread", "process_vm_readv of the host's process", ["vmread", "{PID}"], "pid namespace; Landlock domain",
            mutate="without the filter: the process has no number inside"),
        Row("F12.vmwrite", "process_vm_writev of the host's process", ["vmwrite", "{PID}"], "pid namespace; Landlock domain",
            mutate="without the filter: the process has no number inside"),
        Row("F13.signal", "pidfd_send_signal to the host's process", ["signal", "{PID}"], "pid namespace; Landlock scope",
            mutate="without one the other holds: see G01.signal"),
        Row("F02.x32", "the x32 interface", ["x32", "keyctl"], FILTER, mutate=OPEN),
        Row("F20.autoload", "module loading by a socket family", ["families", "38", "40", "44"], FILTER, mutate=OPEN),
        Row("E07.setns", "setns to the namespaces of init", ["setns", "/proc/1/ns/user", "0"], FILTER + "; init can't be inspected",
            own=["setns", "/proc/self/ns/user", "0"], mutate="without the filter: init can't be inspected"),
        Row("E07.setns-self", "setns to its own", ["setns", "/proc/self/ns/user", "0"], FILTER, mutate=OPEN),
        Row("F29.fchmodat2", "set-id bits through newer calls", ["setid", "{W}"], FILTER, mutate=OPEN),
        Row("F29.openat2", "set-id bits through openat2", ["setid-openat2", "{W}"], FILTER, mutate=OPEN),
    ]
    return rows


def compat_rows(e):
    rows = []
    for name in COMPAT:
        rows.append(Row("F01." + name, "%s through the 32-bit gate" % name, ["gate32", name], FILTER, mutate=OPEN))
    if e.elf32:
        numbers = subprocess.run([e.probe, "number32", "keyctl"], stdout=subprocess.PIPE, text=True).stdout.split()
        script = ('r=$("$@") || exec echo "HELD doesn\'t run: $r"; case $r in -1|-38) echo "HELD $r";; *) echo "ESCAPED $r";; esac')
        rows.append(Row("F03.elf32", "a 32-bit program calls keyctl", ["/bin/sh", "-c", script, "sh", "{BIN}/elf32", *numbers[:6]], FILTER, mutate=OPEN))
    return rows


def net_rows():
    NETNS = ["unshare", "-Urn"]
    host = ["--net=host"]
    never = "without a network namespace only Landlock's port rules limit the network (--tcp-connect); UDP is not covered"
    rows = []
    for address, port in (("127.0.0.1", "{TCP4}"), ("::1", "{TCP6}")):
        rows.append(Row("I01." + address, "TCP to the host's %s" % address, ["reach", address, port, "1", "0"], "network namespace", mutate=host, never=never))
        rows.append(Row("I02." + address, "UDP to the host's %s" % address, ["reach", address, port, "2", "0"], "network namespace", mutate=host, never=never))
    rows += [
        # Connecting a datagram socket looks up the route and sends nothing.
        Row("I03.route", "a route to elsewhere (no packet is sent)", ["reach", "192.0.2.1", "9", "2", "0"], "network namespace", mutate=host, never=never),
        Row("I04.raw", "raw IP socket", ["socket", "2", "3", "1"], FILTER, control=NETNS, mutate="without the filter: no CAP_NET_RAW"),
        Row("I04.ping", "ping socket", ["socket", "2", "2", "1"], FILTER, mutate="without the filter: ping_group_range of the network namespace",
            control=NETNS + ["sh", "-c", "echo 0 0 > /proc/sys/net/ipv4/ping_group_range; exec \"$0\" \"$@\""]),
        Row("I05.packet", "packet socket", ["socket", "17", "3", "0"], FILTER, control=NETNS, mutate="without the filter: no CAP_NET_RAW"),
        Row("I07.vsock", "virtual machine socket", ["socket", "40", "1", "0"], FILTER, mutate=OPEN),
        Row("I08.families", "any other family", ["families"], FILTER, own=["families", "38", "40"], mutate=OPEN),
        Row("I10.fastopen", "TCP Fast Open round a port rule", ["fastopen", "127.0.0.1", "{TCP4}"], FILTER, opts=["--net=host", "--tcp-connect=none"],
            mutate=OPEN),
        Row("I10.connect", "TCP connect against a port rule", ["reach", "127.0.0.1", "{TCP4}", "1", "0"], "Landlock", opts=["--net=host", "--tcp-connect=none"],
            mutate="the rule is the layer: see I01"),
        Row("I10.listen", "listen without bind round a port rule", ["nobind"], "Landlock", opts=["--net=host", "--tcp-bind=none"],
            user="Landlock doesn't check listen() on an unbound socket; the default is no network at all"),
        Row("I09.mptcp-rule", "MPTCP round a port rule", ["reach", "127.0.0.1", "{TCP4}", "1", "262"], FILTER, opts=["--net=host", "--tcp-connect=none"], mutate=OPEN),
    ]
    for name, proto in (("uevent", 15), ("audit", 9), ("nfnetlink", 12), ("generic", 16), ("sock_diag", 4), ("connector", 11), ("xfrm", 6)):
        rows.append(Row("I06." + name, "netlink %s" % name, ["socket", "16", "3", str(proto)], FILTER, mutate=OPEN))
    for name, type, proto in (("mptcp", 1, 262), ("sctp", 1, 132), ("udplite", 2, 136), ("dccp", 6, 33)):
        rows.append(Row("I09." + name, "%s socket" % name, ["socket", "2", str(type), str(proto)], FILTER, mutate=OPEN))
    return rows


def rows(e):
    return filter_rows() + compat_rows(e) + net_rows()
