"""What the suite doesn't probe, and why.
Runs in: the test process.
"""
PROXY = "the feature doesn't exist yet: rules per host name (proxy)"
OCI = "the feature doesn't exist yet: OCI runtime"
SKIPS = [
    ("A07", "documented in SCOPE.md: the source's end is what is shown; what an earlier run can write isn't to be trusted"),
    ("A24", "documented in paths.md: hide takes the names that are there at the start"),
    ("B05", OCI), ("B06", "covered by H01 and H03: no socket can be connected"), ("B11", "no policy key forbids execution from memory"),
    ("B12", "documented: noexec doesn't stop interpreters"),
    ("C04", "covered by C02 in mode never"), ("C13", "documented: source paths stand in mountinfo"), ("C18", "needs CAP_CHECKPOINT_RESTORE: covered by E01"),
    ("C22", OCI), ("C23", "no policy forbids self-modification"),
    ("D06", "documented in SCOPE.md: output isn't examined"), ("D07", "covered by the live suite's terminal cases"), ("D13", OCI),
    ("E05", OCI), ("E08", "documented: supplementary groups stay in a map of one id"), ("E16", "hutch refuses AT_SECURE: unit suite"),
    ("E17", "covered by C01, G01, H01 with the canary as the other"), ("E18", "needs subuid ranges on the test machine"),
    ("F18", "io_uring can't be granted: F17 holds"), ("F27", "fixed in all supported kernels"), ("F34", "no policy is about time stamps"),
    ("F35", "only the program itself fails"), ("F36", "no notifier in the default policy"),
    ("G07b", "covered by the limits suite"), ("G15", "covered by the live suite"), ("G16", "covered by G05: accounting is by pid namespace"),
    ("H08", "needs a D-Bus session: covered by H03"), ("H09", PROXY), ("H11", "documented in SCOPE.md: locks on shown files"),
    ("H13", "covered by D14 and H05"), ("H14", "the launcher reads no file that the program writes"),
] + [("I%02d" % n, PROXY) for n in (11, 12, 13, 14, 15, 16, 17, 21, 22, 23)] + [
    ("I18", "covered by I01: the namespaces differ"), ("I19", "covered by E06 and F06"), ("I20", "needs CAP_NET_ADMIN: covered by E01"),
    ("J11", "covered by J03, J15, J19: kernel objects are charged to the memory limit and counted by inodes and descriptors"),
    ("J12", "RLIMIT_MEMLOCK is the caller's; the memory limit holds what is locked: J03"), ("J13", "there is no swap on the machine that runs this; swap = 0 is in the plan"),
    ("J14", "documented in SCOPE.md: a writable directory of the host has its file system's limits alone"),
    ("J21", "documented in SCOPE.md: counters of the host's user are shared; started by root each run has an id of its own"),
    ("J23", "covered by F06, F08: no user namespace, no mount"), ("J24", "the filter answers with an error, and logs nothing"),
    ("J25", "covered by J03: the launcher lives and writes the record"),
    ("K06", "covered by A01 and B01: only what was named is shown"), ("K11", "a figure, not a probe: examples/judge/README.md"),
]
