"""Rows of group A that take a peer or the host's hand: races, moved directories, mounts that come later, copy-on-write,
names that must not be made; two sandboxes with each other (H12); rules and odd names (L08, L10).
Runs in: the test process.
"""
import os
import select
import stat
import subprocess
import sys
import time

import harness
import race
from engine import Custom, Row

sys.path.insert(0, os.path.join(harness.TOP, "tests", "live"))
import paths              # noqa: E402

LAUNCHES = 240 if os.environ.get("FULL") else 24


def wait_for(p, word, seconds=15):
    """Reads p's output up to a line with the word; False = it ended or said nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([p.stdout], [], [], 0.5)[0]:
            continue
        line = p.stdout.readline().decode(errors="replace")
        if word in line:
            return True
        if not line:
            return False
    return False


def start(e, caller, argv, **kw):
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=caller.environ(),
                            start_new_session=True, **caller.popen_args(), **kw)


def end(p):
    """What it said to its end."""
    try:
        return p.communicate(timeout=20)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        return p.communicate()[0].decode(errors="replace")


def verdict(text):
    return ("ESCAPED" if "ESCAPED" in text else "HELD" if "HELD" in text else "ERROR"), " ".join(text.split())[:200]


# ---- races ----
def raced(kinds):
    """Launches against a swapping peer until each way out was seen: some ran, some were refused by the plan, and some by
    the launch, which is where links are resolved without following them."""
    def run(e, caller, opts):
        f = race.Field(e.s, caller, e.work(caller))
        try:
            with f:
                for i in range(LAUNCHES * 20):
                    f.launch(kinds[i % len(kinds)], opts)
                    total = [sum(v[k] for v in f.count.values()) for k in ("ran", "by the plan", "at the launch")]
                    if i + 1 >= LAUNCHES and total[0] and total[2]:
                        break
            f.end()
        except AssertionError as error:
            return "ESCAPED", str(error)[:300]
        if not total[0] or not total[2]:
            return "ERROR", "nothing raced: %s" % f.count
        return "HELD", "%d launches: %d ran, %d refused by the plan, %d at the launch" % (i + 1, *total)
    return run


def race_control(which):
    def control(e):
        f = race.Field(e.s, e.user, e.work(e.user))
        with f:
            lost = f.control()[which]
        return ("ESCAPED", "lost %d times" % lost) if lost else ("HELD", "the naive launcher lost nothing")
    return control


# ---- a directory that is moved away, a mount that comes later ----
MOVED = "cd d && echo ready; while [ ! -e %s/go ]; do sleep 0.02; done; cat ../secret 2>/dev/null | grep -q %s && echo ESCAPED the secret of the new parent || echo HELD"


def moved(e, w, caller, argv):
    os.mkdir(w + "/d")
    caller.own(w)
    p = start(e, caller, [*argv, "sh", "-c", MOVED % (w, e.canaries.tag)], cwd=w)
    there = os.path.join(e.canaries.dir, "d")
    try:
        if not wait_for(p, "ready"):
            return "ERROR", "it didn't get ready: %s" % end(p)
        os.rename(w + "/d", there)
        open(w + "/go", "w").close()
        return verdict(end(p))
    finally:
        if os.path.isdir(there):
            os.rmdir(there)


def move_out(e, caller, opts):
    w = e.work(caller)
    return moved(e, w, caller, [e.s.hutch, "run", "--cwd-access=none", "--rw=" + w, "--cwd=" + w, *opts, "--"])


LATER = "echo ready; while [ ! -e %s/go ]; do sleep 0.02; done; grep -q %s %s/d/late 2>/dev/null && echo ESCAPED the later mount || echo HELD"


def later(e, w, caller, argv):
    os.mkdir(w + "/d")
    caller.own(w)
    # In the suite's own mount namespace, and shared, as the machine's is.
    subprocess.run(["mount", "--bind", w, w], check=True)
    try:
        subprocess.run(["mount", "--make-shared", w], check=True)
        p = start(e, caller, [*argv, "sh", "-c", LATER % (w, e.canaries.tag, w)], cwd=w)
        if not wait_for(p, "ready"):
            return "ERROR", "it didn't get ready: %s" % end(p)
        subprocess.run(["mount", "-t", "tmpfs", "late", w + "/d"], check=True)
        with open(w + "/d/late", "w") as f:
            f.write(e.canaries.tag)
        os.chmod(w + "/d/late", 0o644)
        open(w + "/go", "w").close()
        return verdict(end(p))
    finally:
        subprocess.run(["umount", "-R", w], check=True)


def mount_later(e, caller, opts):
    w = e.work(caller)
    return later(e, w, caller, [e.s.hutch, "run", "--cwd-access=none", "--rw=" + w, "--cwd=" + w, *opts, "--"])


def own_mounts(e, w, caller, argv):
    """What is mounted in the run's own tree, as the host sees it: nothing."""
    os.mkdir(w + "/d")
    caller.own(w)
    subprocess.run(["mount", "--bind", w, w], check=True)
    try:
        subprocess.run(["mount", "--make-shared", w], check=True)
        p = start(e, caller, [*argv, "sh", "-c", "echo ready; sleep 0.3"], cwd=w)
        ready = wait_for(p, "ready")
        there = os.path.ismount(w + "/d")
        said = end(p)
        if there or os.path.ismount(w + "/d"):
            return "ESCAPED", "a mount of the run's is on the host's directory"
        return ("HELD", "") if ready else ("ERROR", "it didn't get ready: %s" % said)
    finally:
        subprocess.run(["umount", "-R", w], check=True)


def mask_spreads(e, caller, opts):
    w = e.work(caller)
    return own_mounts(e, w, caller, [e.s.hutch, "run", "--cwd-access=none", "--rw=" + w, "--mask=" + w + "/d", "--cwd=" + w, *opts, "--"])


def mask_spreads_control(e):
    root = e.s.caller(True)
    return own_mounts(e, e.work(root), root, ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", 'mount -t tmpfs x d && exec "$@"', "sh"])


# ---- copy-on-write ----
def upper_of(e):
    return os.path.join(e.s.base, "upper")


def upper_seen(e, caller, opts):
    """The directory of the changes, while they are made: is there a second name of the program's new file?"""
    w, up = e.work(caller), upper_of(e)
    subprocess.run(["rm", "-rf", up], check=True)
    os.mkdir(up, 0o700)
    caller.own(up)
    script = "echo x > /w/%s; find / -name %s -not -path '/w/*' 2>/dev/null | grep . && echo ESCAPED || echo HELD" % (e.canaries.rev, e.canaries.rev)
    r = e.s.run(caller, ["--cwd-access=none", "--cow=" + w + ":/w", "--cow-upper=" + up, *opts], ["sh", "-c", script], cwd="/", writes=True)
    if r.status != 0:
        return "ERROR", str(r)
    if not os.path.isfile(os.path.join(up, "0/upper", e.canaries.rev)):
        return "ERROR", "the change isn't where it should be: nothing was looked for"
    return verdict(r.out)


def upper_seen_control(e):
    """Without a sandbox the directory of the changes is as visible as any other."""
    return upper_seen(e, e.user, ["--ro=" + upper_of(e)])


HOSTILE = """
cd /w || exit 3
ln -s {HOST} dir; ln -s {HOST}/secret file; rm -r sub; ln -s {HOST} sub; mkdir -p deep/er; ln -s ../../../../../..{HOST} deep/er/up
mkfifo fifo; cp /bin/sh set; chmod 6755 set
python3 - <<'P'
import os
def xattr(path, name):
    try: os.setxattr(path, name, b"y")
    except OSError: pass
os.mkdir("white")
for name in ("user.overlay.opaque", "user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.opaque"):
    xattr("white", name)
try: os.mknod("white/out", 0o600 | 0o020000, os.makedev(0, 0))
except OSError: pass
try: os.mknod("device", 0o666 | 0o020000, os.makedev(1, 5))
except OSError: pass
P
i=0; d=tree; while [ $i -lt 60 ]; do d=$d/d; i=$((i+1)); done; mkdir -p $d
i=0; while [ $i -lt 400 ]; do : > tree/f$i; i=$((i+1)); done
truncate -s 1T sparse
echo end
"""


def hostile_upper(e, caller, opts):
    """A program leaves links, set-id files, devices, whiteouts, a deep and a wide tree; the caller then looks at them and
    commits all. Nothing may be written through a link, and no trap may be committed without being named."""
    w = e.work(caller)
    up = w + "-up"
    os.makedirs(w + "/low/sub")
    for name in ("sub/x", "keep"):
        with open(w + "/low/" + name, "w") as f:
            f.write("old")
    os.mkdir(up, 0o700)
    caller.own(w)
    caller.own(up)
    r = e.s.run(caller, ["--cwd-access=none", "--seccomp=none", "--cow=" + w + "/low:/w", "--cow-upper=" + up, *opts],
                ["sh", "-c", e.fill([HOSTILE], w)[0]], cwd="/", writes=True, timeout=60)
    if r.status != 0 or "end" not in r.out:
        return "ERROR", "the attacker didn't get through: %s" % r
    before = harness.tree_hash(w + "/low")
    seen = []
    # A second hand, on the host, with the caller's own right: the store itself is altered between run and commit.
    for words in (["diff", up], ["diff", "--unified", up], ["commit", up]):
        c = e.s.run(caller, [], [], raw=[e.s.hutch, *words], writes=True, timeout=60)
        if c.status not in (0, 1, 125):
            return "ESCAPED", "%s ended with %s: %s" % (words[0], c.status, c.err[-200:])
        if e.canaries.tag in c.out:
            return "ESCAPED", "%s followed a link and shows the secret" % words[0]
        seen.append("%s %d" % (words[0], c.status))
    if c.status != 125 or "E0426" not in c.err or harness.tree_hash(w + "/low") != before:
        return "ESCAPED", "a trap was committed without being named: %s" % c
    os.unlink(up + "/0/upper/set")
    for name in ("device", "white"):
        path = up + "/0/upper/" + name
        if os.path.lexists(path):
            subprocess.run(["rm", "-rf", path], check=True)
    c = e.s.run(caller, [], [], raw=[e.s.hutch, "commit", up], writes=True, timeout=60)
    if c.status != 0:
        return "ERROR", "the rest can't be committed: %s" % c
    links = [os.path.islink(w + "/low/" + n) for n in ("dir", "file", "sub", "deep/er/up")]
    if not all(links) or os.path.isdir(w + "/low/sub/x"):
        return "ESCAPED", "links aren't links any longer: %s" % links
    for base, _, files in os.walk(w + "/low"):
        for name in files:
            mode = os.lstat(os.path.join(base, name)).st_mode
            if mode & 0o6000 or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                return "ESCAPED", "the host has %s with mode %o" % (name, mode)
    return "HELD", ", ".join(seen)


def swapped_lower(e, caller, opts):
    """The tree that a commit writes to was exchanged with a link to the host's directory after the run."""
    w = e.work(caller)
    up = w + "-up"
    os.mkdir(w + "/low")
    os.mkdir(up, 0o700)
    caller.own(w)
    caller.own(up)
    r = e.s.run(caller, ["--cwd-access=none", "--cow=" + w + "/low:/w", "--cow-upper=" + up, *opts], ["sh", "-c", "mkdir /w/in; echo evil > /w/in/evil; echo evil > /w/evil"],
                cwd="/", writes=True)
    if r.status != 0:
        return "ERROR", str(r)
    os.rename(w + "/low", w + "/old")
    os.symlink(e.canaries.dir, w + "/low")
    before = harness.tree_hash(e.canaries.dir)
    c = e.s.run(caller, [], [], raw=[e.s.hutch, "commit", up], writes=True)
    changed = harness.tree_hash(e.canaries.dir) != before
    e.canaries.restore()
    if changed:
        return "ESCAPED", "written through the link: %s" % c
    return ("HELD", "refused: " + " ".join(c.err.split())[:120]) if c.status == 125 else ("ERROR", str(c))


def naive_commit(e):
    """What copying the changes with cp does."""
    w = e.work(e.user)
    os.mkdir(w + "/up")
    open(w + "/up/evil", "w").close()
    os.symlink(e.canaries.dir, w + "/low")
    e.user.own(w)
    before = harness.tree_hash(e.canaries.dir)
    subprocess.run(["cp", "-r", w + "/up/.", w + "/low/"], **e.user.popen_args())
    changed = harness.tree_hash(e.canaries.dir) != before
    e.canaries.restore()
    return ("ESCAPED", "cp wrote through it") if changed else ("HELD", "")


# ---- two sandboxes ----
GIVE = """
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1].replace("@", "\\0"))
s.listen(1)
s.settimeout(8)
print("ready", flush=True)
try:
    c, _ = s.accept()
    c.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [os.open("/", os.O_PATH | os.O_DIRECTORY)]).tobytes())])
except OSError:
    pass
"""
TAKE = """
import array, socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1].replace("@", "\\0"))
    _, anc, _, _ = s.recvmsg(1, 64)
    print("ESCAPED got a descriptor" if anc else "HELD nothing came")
except OSError as e:
    print("HELD", e.strerror)
"""


def pass_on(name, sandboxed=True):
    """One sandbox offers a descriptor of its tree, the other takes it."""
    def run(e, caller, opts):
        w = e.work(caller)
        place = name % {"W": w, "TAG": e.canaries.tag}
        base = [e.s.hutch, "run", "--cwd-access=none", "--rw=" + w, *opts, "--"] if sandboxed else []
        p = start(e, caller, [*base, race.PYTHON, "-c", GIVE, place], cwd="/")
        if not wait_for(p, "ready"):
            return "ERROR", "the giver didn't get ready: %s" % end(p)
        q = start(e, caller, [*base, race.PYTHON, "-c", TAKE, place], cwd="/")
        text = end(q)
        os.killpg(p.pid, 9)
        end(p)
        return verdict(text)
    return run


def bare_pass(name):
    return lambda e: pass_on(name, False)(e, e.user, [])


# ---- rules ----
def precedence(e, caller, opts):
    """Random trees of rules, every leaf compared with the model; a rule that is kept from hutch must be noticed."""
    e.s.scratch = e.work(caller)
    try:
        paths.agree(e.s, caller, "--userns=never" in opts)
    except AssertionError as error:
        return "ESCAPED", str(error)[:300]
    finally:
        e.s.scratch = None
    return "HELD", "as the model says"


TWINS = (b"a b", b"a\\040b"), (b"n\nl", b"n\\012l"), (b"\\", b"\\134"), (b"\xff\xfe", b"?"), (b"x" * 255, b"x" * 254), (b"c:d", b"c"), (b"#h", b"h"), (b"-o", b"o"), (b" ", b"_")


def odd(e, w, caller, mask):
    """Of two names that could be taken for each other the first is masked: it can't be read, and the other can."""
    held = []
    for name, twin in TWINS:
        top = os.fsencode(w) + b"/t"
        subprocess.run([b"rm", b"-rf", top], check=True)
        os.mkdir(top)
        for n in (name, twin):
            with open(os.path.join(top, n), "w") as f:
                f.write("content")
        caller.own(w)
        for slash in (b"/", b"//"):
            words = [b"--mask=" + top + slash + name.replace(b":", b"\\:")] if mask else []
            r = subprocess.run([os.fsencode(e.s.hutch), b"run", b"--cwd-access=none", b"--ro=" + os.fsencode(w), *words, b"--", b"/bin/sh", b"-c",
                                b'cat "$1" >/dev/null 2>&1 && echo read; cat "$2" >/dev/null && echo other', b"sh", os.path.join(top, name), os.path.join(top, twin)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/", env=caller.environ(), **caller.popen_args())
            if b"read" in r.stdout.split():
                return "ESCAPED", "%r was read" % name
            if r.returncode != 0 or b"other" not in r.stdout.split():
                return "ERROR", "%r beside %r: %s %s" % (twin, name, r.returncode, r.stderr[-200:])
            held.append(name)
    return "HELD", "%d names" % len(held)


def odd_names(e, caller, opts):
    return odd(e, e.work(caller), caller, "--view" not in opts)


PLANT = """
cd {W}
(mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit
mkdir -p t/hooks; echo evil > t/hooks/pre-commit; mv t .git; ln -s t .git; ln t/hooks/pre-commit .git; mkfifo .git; echo evil > .git) 2>/dev/null
[ -e .git ] && echo ESCAPED made || echo HELD nothing made
"""


def git_made(e, w, v, d):
    return "the host has .git" if os.path.lexists(w + "/.git") else None


def rows(e):
    own = ["root", "user"]
    result = [
        Custom("A01.resolver", "a place turns into a link between plan and launch", raced(["destination"]), "openat2 RESOLVE_IN_ROOT, no links",
               control=race_control(1), modes=own, mutate="there is no other resolver to choose; the row fails where no launch has got as far as that"),
        Custom("A03.race", "a peer swaps destinations, protected and masked names with links", raced(["destination", "protected", "masked"]),
               "descriptors, openat2 without links", control=race_control(1), modes=own, mutate="there is no other resolver to choose"),
        Custom("A05.race", "a peer swaps sources with links to a secret", raced(["source", "writable source", "writable file", "copy-on-write"]),
               "the file that was looked at is the one that is shown (device and inode)", control=race_control(0), modes=own,
               mutate="the comparison can't be turned off"),
        Custom("A14.moved", "the directory that it holds is moved out of the tree", move_out, "the kernel's look-up in a bind mount; Landlock",
               control=lambda e: moved(e, e.work(e.user), e.user, []), mutate="the kernel's own check can't be taken away"),
        Custom("A17.upper", "the directory where changes go is reached by another name", upper_seen, "it lies outside of the view",
               control=upper_seen_control, modes=own, mutate=["--ro=" + upper_of(e)]),
        Custom("A18.hostile", "links, set-id files, devices, whiteouts, deep and wide trees are left for the commit", hostile_upper,
               "commit looks at nothing through links; traps must be named", modes=own, control=naive_commit, mutate="a trap that is named is committed: live suite, cow/planted"),
        Custom("A18.swapped", "the tree of the commit is exchanged with a link", swapped_lower, "commit compares device and inode", control=naive_commit, modes=own,
               mutate="the comparison can't be turned off"),
        Row("A20.fail", "a mask that can't be applied", ["/bin/sh", "-c", "echo x > {W}/ran; echo ESCAPED ran without the mask"], "what can't be enforced doesn't start",
            opts=["--mask={W}/allowed/x"], sandbox="refuses", modes=own, mutate="without the mask it runs: the control",
            check=lambda e, w, v, d: "the program ran" if os.path.exists(w + "/ran") else None),
        Row("A22.plant", "a protected name that isn't there is made", ["/bin/sh", "-c", PLANT], "the directory above takes no new names",
            opts=["--protect={W}/.git"], check=git_made, cwd="{W}", modes=own, mutate="without --protect it is made: the control"),
        Custom("H12.abstract", "two sandboxes pass a descriptor by an abstract socket", pass_on("@%(TAG)spass"), "network namespace; Landlock scope",
               control=bare_pass("@%(TAG)sbare"), mutate=["--net=host", "--landlock=off"], modes=own),
        Custom("H12.shared", "two sandboxes pass a descriptor by a socket in a directory that both may write", pass_on("%(W)s/pass"), "none: it is shared by name",
               control=bare_pass("%(W)s/pass"), modes=own, user="a directory that two runs may write is a channel between them, for descriptors too: SCOPE.md",
               mutate="a directory of its own for each"),
        Custom("L08.fuzz", "random rules against the model", precedence, "the most specific rule wins", control=None, why="it holds a mutation of its own: a rule is left out, and must be missed",
               modes=own, mutate="a rule is left out of every tree: noticed"),
        Custom("L10.odd", "odd names are taken for others", odd_names, "paths are bytes; options are never one text",
               control=lambda e: odd(e, e.work(e.user), e.user, False), modes=own, mutate="without --mask it is read: the control"),
    ]
    if os.geteuid() == 0:
        result.append(Custom("A15.own", "a mask appears in the host's tree, whose mounts are shared", mask_spreads, "propagation is private", modes=own,
                             control=mask_spreads_control, mutate="propagation has no option"))
        result.append(Custom("A15.later", "a mount that the host makes later appears inside", mount_later, "propagation is private", modes=own,
                             control=lambda e: later(e, e.work(e.user), e.user, ["unshare", "-Urm", "--propagation", "unchanged"]),
                             mutate="propagation has no option"))
    return result
