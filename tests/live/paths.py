"""Live: rules for paths against a model of them, over random trees; in the namespaces, and with Landlock alone.

The seed is printed; SEED=N repeats a run, TREES=N says how many trees. For every file and directory of a tree the program
inside tries to read, list, write, execute, create, rename and link, and the model says which of these must go well.
That the test can fail is shown in each run: one rule is kept from hutch, and the answers must then differ.
Runs in: the test process."""
import os
import random

import never
from harness import Skip

SCRIPT = "#!/usr/bin/true\n"


def below(path, top):
    return path == top or path.startswith(top + "/")


class Tree:
    """Directories and files below base, and at most one rule for each path."""

    def __init__(self, rng, base, kinds):
        self.base = base
        self.dirs, self.files = [base], []
        for i in range(rng.randint(5, 9)):
            parent = rng.choice(self.dirs)
            self.dirs.append("%s/d%d" % (parent, i))
        for i in range(rng.randint(6, 10)):
            self.files.append("%s/f%d" % (rng.choice(self.dirs), i))
        self.rules = {base: rng.choice([k for k in kinds if k[0] in "r" and "file" not in k])}
        for path in rng.sample(self.dirs[1:] + self.files, rng.randint(2, 5)):
            kind = rng.choice(kinds)
            if kind == "tmpfs" and path in self.files:
                kind = "mask"
            self.rules[path] = kind if kind in kinds else "ro"

    def only_wider(self):
        """Most random trees hold a rule that Landlock can't keep; these hold none."""
        self.rules[self.base] = "ro:noexec" if len(self.rules) % 2 else "ro"
        for path in sorted(self.rules, key=len, reverse=True):
            if path != self.base and refused(self, True):
                del self.rules[path]

    def make(self):
        for d in self.dirs:
            os.makedirs(d, exist_ok=True)
        for f in self.files:
            with open(f, "w") as out:
                out.write(SCRIPT)
        for d in self.dirs:
            os.chmod(d, 0o777)
        for f in self.files:
            os.chmod(f, 0o777)

    def options(self, rng, without=None):
        words = []
        for path, kind in rng.sample(sorted(self.rules.items()), len(self.rules)):
            if path == without:
                continue
            key, _, extra = kind.partition(":")
            words.append(["--" + key, path + (":%s:%s" % (path, extra) if extra else "")])
        return sum(words, [])

    def above(self, path):
        """The path of the nearest rule strictly above."""
        best = None
        for p in self.rules:
            if p != path and below(path, p) and (best is None or len(p) > len(best)):
                best = p
        return best

    def deciding(self, path):
        return path if path in self.rules else self.above(path)

    def within(self, path):
        return [p for p in self.rules if below(p, path)]


def refused(tree, landlock):
    """Must hutch refuse these rules?"""
    for path, kind in tree.rules.items():
        up = tree.rules.get(tree.above(path))
        if landlock and kind in ("mask", "tmpfs"):
            return True
        # What is hidden has nothing to mount on; Landlock can't take away what a rule above gives.
        if up == "mask":
            return True
        for p, k in tree.rules.items():
            if landlock and p != path and below(path, p):
                if (k.startswith("rw") and kind.startswith("ro")) or ("noexec" not in k and "noexec" in kind):
                    return True
    return False


def expected(tree, path, directory, landlock):
    rule = tree.deciding(path)
    kind = tree.rules[rule]
    up = tree.above(path)
    parent = tree.rules[up] if up else None
    inside_hidden = path != rule and kind in ("mask", "tmpfs")
    if inside_hidden and kind == "mask":
        return ""
    if up and parent == "tmpfs" and path in tree.rules and kind == "mask":
        return ""                                   # nothing is there to be hidden
    if inside_hidden:                               # a directory on the way to something shown, else nothing
        shown = [p for p in tree.within(path) if tree.rules[p] != "mask"]
        return "ercn" if shown else ""
    may_write = kind.startswith("rw") or kind == "tmpfs"
    letters = "e"
    if kind != "mask":
        letters += "r"
        if not directory:
            letters += ("w" if may_write else "") + ("" if "noexec" in kind else "x")
        elif may_write:
            letters += "c"
    # A change of the parent: what is mounted there, and what leads to a mount, stays where it is.
    if parent and (parent.startswith("rw") or parent == "tmpfs"):
        pinned = bool(tree.within(path)) and not landlock
        if parent == "tmpfs" and path not in tree.rules:
            pinned = False
        if not pinned:
            letters += "n" + ("" if directory else "l")
    return letters


def compare(s, c, tree, rng, landlock, without=None):
    """Paths whose rights differ from the model's: (path, model, found). None = refused."""
    opts = (never.NEVER if landlock else []) + tree.options(rng, without)
    paths = tree.dirs + tree.files
    r = s.run(c, opts, [s.inside, "rights", *paths], cwd="/", writes=True, timeout=60)
    if r.status == 125:
        return None, r
    assert r.status == 0, r
    wrong = []
    for path in paths:
        want, got = expected(tree, path, path in tree.dirs, landlock), r.one("rights:" + path)
        if sorted(want) != sorted(got):
            wrong.append((path[len(tree.base):] or "/", want, got))
    return wrong, r


def agree(s, c, landlock):
    if landlock:
        never.ready()
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    count = int(os.environ.get("TREES") or (120 if os.environ.get("FULL") else 12))
    print("# paths: SEED=%d TREES=%d %s" % (seed, count, "Landlock" if landlock else "namespaces"), flush=True)
    kinds = ["ro", "ro", "rw", "rw", "ro:noexec", "rw:noexec"] + ([] if landlock else ["mask", "tmpfs"])
    ran = noticed = 0
    for i in range(count):
        rng = random.Random("%d/%d" % (seed, i))
        tree = Tree(rng, os.path.join(s.scratch, "t%d" % i), kinds)
        if landlock and rng.random() < 0.7:
            tree.only_wider()
        tree.make()
        c.own(tree.base)
        told = "SEED=%d tree %d of %s: %s" % (seed, i, "Landlock" if landlock else "namespaces",
                                              {p[len(tree.base):] or "/": k for p, k in tree.rules.items()})
        wrong, r = compare(s, c, tree, rng, landlock)
        if refused(tree, landlock):
            assert wrong is None, "not refused: %s %s" % (told, r)
            assert any("argv[%d]" % n in r.err for n in range(40)), "the refusal names no rule: %s" % r
            continue
        assert wrong is not None, "refused: %s %s" % (told, r)
        assert not wrong, "%s\n  (path, model, found): %s" % (told, wrong)
        ran += 1
        # The mutation: a rule that decides something is kept from hutch.
        for path in tree.rules:
            if path != tree.base and tree.rules[path] != tree.rules[tree.above(path)] and tree.rules[tree.above(path)] != "tmpfs":
                lacking, _ = compare(s, c, tree, rng, landlock, without=path)
                noticed += bool(lacking) or lacking is None
                break
    assert ran >= 1 and noticed >= 1, "SEED=%d: %d trees ran, a missing rule was noticed %d times" % (seed, ran, noticed)
    print("# paths: %d trees ran, %d missing rules noticed" % (ran, noticed), flush=True)


def namespaces(s, c):
    agree(s, c, False)


def landlock(s, c):
    agree(s, c, True)


def other_names(s, c):
    """A bind mount of the host's is another name for its tree."""
    if not c.root:
        raise Skip("making a bind mount needs root")
    import subprocess
    top = s.scratch
    for d in ("a/sub/deep", "b", "c/sub"):
        os.makedirs(os.path.join(top, d))
    for f in ("a/sub/x", "a/sub/deep/s", "c/sub/x"):
        with open(os.path.join(top, f), "w") as out:
            out.write(f)
        os.chmod(os.path.join(top, f), 0o666)
    for base, _, _ in os.walk(top):
        os.chmod(base, 0o777)
    a, b = os.path.join(top, "a"), os.path.join(top, "b")
    subprocess.run(["mount", "--bind", a + "/sub", b], check=True)
    try:
        r = s.see(c, ["--rw", a, "--ro", b + "/x"], ["write", a + "/sub/x", b + "/x"], cwd="/")
        assert r.one("write:%s/sub/x" % a) == r.one("write:%s/x" % b) == "EROFS", r
        r = s.run(c, ["--rw", a + "/sub", "--ro", b], ["true"], cwd="/")
        assert r.status == 125 and "E0411" in r.err and "argv[0]" in r.err and "argv[2]" in r.err, r
        r = s.see(c, ["--rw", a, "--ro", b, "--mask", b + "/deep"], ["ls", a + "/sub/deep", b + "/deep"], cwd="/")
        assert r.one("ls:%s/sub/deep" % a) == r.one("ls:%s/deep" % b) == "!EACCES", r
        r = s.see(c, ["--rw", a, "--ro", b + ":/other", "--tmpfs", a + "/sub/deep"], ["ls", a + "/sub/deep", "/other/deep"], cwd="/")
        assert r.one("ls:%s/sub/deep" % a) == "" and r.one("ls:/other/deep") == "!EACCES", r
        # Another mount covers the place: what the rule means isn't there under that name.
        subprocess.run(["mount", "--bind", top + "/c/sub", a + "/sub"], check=True)
        try:
            r = s.see(c, ["--rw", a, "--ro", b + "/x"], ["write", a + "/sub/x", b + "/x"], cwd="/")
            assert r.one("write:%s/sub/x" % a) == "ok" and r.one("write:%s/x" % b) == "EROFS", r
        finally:
            subprocess.run(["umount", a + "/sub"], check=True)
        if never.privilege.landlock_abi() > 0:
            r = s.run(c, [*never.NEVER, "--rw", a, "--ro", b + "/x"], ["true"], cwd="/")
            assert r.status == 125 and "argv[3]" in r.err, r
    finally:
        subprocess.run(["umount", b], check=True)


def protect(s, c):
    """A name that isn't there can't be made by any way; by every way without the rule."""
    top = os.path.join(s.scratch, "project")
    os.makedirs(top + "/repo/.git/objects")
    for f in ("repo/.git/config", "repo/file", "x"):
        with open(os.path.join(top, f), "w") as out:
            out.write("x")
        os.chmod(os.path.join(top, f), 0o666)
    os.symlink("repo", top + "/link")
    for base, _, _ in os.walk(s.scratch):
        os.chmod(base, 0o777)
    c.own(s.scratch)
    git, hooks, objects = top + "/repo/.git", top + "/repo/.git/hooks", top + "/repo/.git/objects"
    r = s.see(c, ["--rw", top], ["plant", hooks, git + "/config"], cwd="/")
    assert r.one("plant:" + hooks) == "cdslruax", "the ways are no ways: %s" % r
    for name in (hooks, hooks + "/pre-commit"):
        r = s.see(c, ["--rw", top, "--protect", name], ["plant", hooks, git + "/config"], ["plant", objects + "/new", git + "/config"],
                  ["write", git + "/config"], ["create", top + "/repo", objects], ["rights", top + "/repo", git], cwd="/")
        assert r.one("plant:" + hooks) == "", r
        assert r.one("plant:%s/new" % objects) in ("cdsu", "cdslu"), "the other names aren't as before: %s" % r
        assert r.one("write:%s/config" % git) == r.one("create:%s/repo" % top) == r.one("create:" + objects) == "ok", r
        assert r.one("rights:%s/repo" % top) == "erc" and r.one("rights:" + git) == "er", r
    # Another name of the same tree, and a second rule in the same directory.
    other = "/other" + git[len(top):]
    r = s.see(c, ["--rw", top, "--rw", top + ":/other", "--protect", hooks, "--protect", git + "/info"], ["plant", other + "/hooks", other + "/config"],
              ["plant", git + "/info", git + "/config"], cwd="/")
    assert r.one("plant:%s/hooks" % other) == r.one("plant:%s/info" % git) == "", r
    # What is there is read-only, with what leads to it.
    r = s.see(c, ["--rw", top, "--protect", git + "/config"], ["rights", git + "/config", git], ["create", git], cwd="/")
    assert r.one("rights:%s/config" % git) == "er" and r.one("rights:" + git) == "erc" and r.one("create:" + git) == "ok", r
    # The top of the writable tree itself.
    r = s.see(c, ["--rw", top, "--protect", top + "/.envrc"], ["plant", top + "/.envrc", top + "/x"], ["write", top + "/x"], ["create", top + "/repo"], cwd="/")
    assert r.one("plant:%s/.envrc" % top) == "" and r.one("write:%s/x" % top) == r.one("create:%s/repo" % top) == "ok", r
    for name in ("/link", "/link/new"):
        r = s.run(c, ["--rw", top, "--protect", top + name], ["true"], cwd="/")
        assert r.status == 125 and "E0431" in r.err and "symbolic link" in r.err and "argv[2]" in r.err, r
    r = s.run(c, ["--tmpfs", "/p", "--protect", "/p/x"], ["true"], cwd="/")
    assert r.status == 125 and "E0431" in r.err, r
    if never.privilege.landlock_abi() > 0:
        r = s.see(c, [*never.NEVER, "--rw", top, "--protect", top + "/.envrc"], ["plant", top + "/.envrc", top + "/x"], ["create", top + "/repo"], cwd="/")
        assert r.one("plant:%s/.envrc" % top) == "" and r.one("create:%s/repo" % top) == "ok", r
        r = s.run(c, [*never.NEVER, "--rw", top, "--protect", hooks], ["true"], cwd="/")
        assert r.status == 125 and "argv[3]" in r.err, r
    # Behind a link of hutch's own: the tree and the name in it are both where /var/tmp leads.
    r = s.see(c, ["--rw", top + ":/var/tmp/w", "--protect", "/var/tmp/w/.envrc"], ["plant", "/var/tmp/w/.envrc", "/var/tmp/w/x"], cwd="/")
    assert r.one("plant:/var/tmp/w/.envrc") == "", r
    assert sorted(os.listdir(git)) == ["config", "objects"] and sorted(os.listdir(top)) == ["link", "repo", "x"], "something was left on the host"


def cases(s, c, who):
    s.case(who + "/paths/namespaces", namespaces, s, c)
    s.case(who + "/paths/landlock", landlock, s, c)
    s.case(who + "/paths/protect", protect, s, c)
    s.case(who + "/paths/other-names", other_names, s, c)
