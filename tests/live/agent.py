"""Live: the preset agent at work in a git repository, a worktree of it and a submodule; and what it must not reach.
Runs in: the test process."""
import json
import os
import shutil
import subprocess

from harness import Skip

AGENT = ["--preset", "agent"]


def git(c, cwd, home, *words):
    r = subprocess.run(["git", *words], cwd=cwd, env=dict(c.environ(), HOME=home, PATH=os.environ["PATH"]), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, **c.popen_args())
    assert r.returncode == 0, "git %s: %s" % (" ".join(words), r.stdout)
    return r.stdout.strip()


def put(path, text="x\n"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


class Project:
    """A repository p with a submodule p/sub/lib, a worktree wt, passwords, and a home with keys and a cache."""

    def __init__(self, s, c):
        if not shutil.which("git"):
            raise Skip("git isn't installed")
        self.s, self.c, self.base = s, c, s.scratch
        self.home, self.top, self.wt = (os.path.join(self.base, n) for n in ("home", "p", "wt"))
        put(self.home + "/.ssh/id_ed25519", "S3CRET")
        put(self.home + "/.cache/pip/wheel", "S3CRET\n")
        put(self.home + "/.gitconfig", "[user]\n\tname = o\n\temail = o@x\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n")
        put(self.base + "/lib/l")
        put(self.top + "/a")
        c.own(self.base)
        for tree in (self.base + "/lib", self.top):
            for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
                git(c, tree, self.home, *words)
        git(c, self.top, self.home, "submodule", "--quiet", "add", self.base + "/lib", "sub/lib")
        git(c, self.top, self.home, "commit", "-qm", "sub")
        git(c, self.top, self.home, "worktree", "add", "-q", self.wt, "-b", "wt")
        put(self.top + "/.env", "S3CRET")
        c.own(self.top)

    def env(self):
        return dict(self.c.environ(), HOME=self.home, TOKEN="S3CRET")

    def sh(self, script, cwd=None, opts=(), status=0):
        r = self.s.run(self.c, [*AGENT, *opts], ["sh", "-ec", script], cwd=cwd or self.top, env=self.env(), writes=True, timeout=60)
        assert r.status == status, r
        return r

    def git(self, *words, cwd=None):
        return git(self.c, cwd or self.top, self.home, *words)


def works(s, c):
    """What a project's daily work needs."""
    p = Project(s, c)
    r = p.sh("echo b > b; git add b; git commit -qm second; git status --short; git checkout -qb topic; echo c >> a; git commit -qam third;"
             "git checkout -q main; git merge -q topic; git stash list; git worktree add -q wt2 -b two; ls wt2; git branch -qd topic;"
             "cd sub/lib; echo z >> l; git commit -qam in-sub; cd ../..; git submodule status; git add sub; git rebase -q main || true")
    assert p.git("log", "--format=%s") .split() == ["third", "second", "sub", "first"], r
    assert p.git("log", "-1", "--format=%an %ae") == "user user@hutch.invalid" and "wt2" in os.listdir(p.top), r
    assert p.git("log", "-1", "--format=%s", "--all", cwd=p.top + "/sub/lib") == "in-sub", r
    assert "protect:" not in r.err, "nothing was made that has to be moved aside: %s" % r
    # The project is a worktree, a submodule, a directory of a repository.
    p.sh("git status --short; echo q > q; git add q; git commit -qm in-worktree", cwd=p.wt)
    assert p.git("log", "-1", "--format=%s", "wt") == "in-worktree"
    p.sh("echo q > q; git add q; git commit -qm in-sub-2; git status", cwd=p.top + "/sub/lib")
    assert p.git("log", "-1", "--format=%s", cwd=p.top + "/sub/lib") == "in-sub-2"
    r = p.sh("echo q > new; cat l", cwd=p.top + "/sub/lib", opts=["--git=no"])
    r = p.sh("git status", cwd=p.wt, opts=["--git=no"], status=128)
    # A name for commits, and one of the protected paths, by name.
    os.makedirs(p.top + "/.github/workflows")
    c.own(p.top)
    p.sh("echo q > .github/workflows/x.yml; echo e > e; git add e; git commit -qm mine", opts=["--ro", p.home + "/.gitconfig", "--rw", "./.github/workflows"])
    assert p.git("log", "-1", "--format=%an") == "o" and os.path.exists(p.top + "/.github/workflows/x.yml")
    # A repository that is made inside: git works in it, and what it would run unasked is out of the way afterwards.
    new = os.path.join(p.base, "empty")
    os.mkdir(new)
    c.own(new)
    r = p.sh("git init -q; echo a > a; git add a; git commit -qm inside", cwd=new)
    assert p.git("log", "-1", "--format=%s", cwd=new) == "inside" and "hooks.hutch-aside" in os.listdir(new + "/.git") and "config" not in os.listdir(new + "/.git"), r


def holds(s, c):
    """Git's hooks and config, there or not, by every way; the same ways work without the preset."""
    p = Project(s, c)
    shutil.rmtree(p.top + "/.git/modules/sub/lib/hooks")
    g = p.top + "/.git"
    targets = [g + "/hooks/x", g + "/modules/sub/lib/config", p.top + "/sub/lib/.git", g + "/config", g + "/worktrees/wt/commondir", g + "/hooks"]
    ways = []
    for t in targets[:1]:
        ways.append(["plant", t, p.top + "/a"])
    r = s.see(c, ["--rw", p.top], *ways, ["rights", *targets[1:5]], ["rename", g, p.top + "/.g"], ["rename", p.top + "/.g", g], cwd=p.top, env=p.env(), writes=True)
    assert r.one("plant:" + targets[0]) == "cdslruax" and all("w" in r.one("rights:" + t) and "n" in r.one("rights:" + t) for t in targets[1:5]), "the ways are no ways: %s" % r
    r = s.see(c, AGENT, *ways, ["rights", *targets[1:5]], ["plant", g + "/new", p.top + "/a"], ["rename", g, p.top + "/.g"],
              ["rename", p.top + "/sub", p.top + "/s"], cwd=p.top, env=p.env(), writes=True)
    assert r.one("plant:" + targets[0]) == "", r
    assert all(r.one("rights:" + t).strip("l") == "er" for t in targets[1:5]), r
    assert "cds" in r.one("plant:%s/new" % g), "the rest of .git isn't as before: %s" % r
    assert os.path.isdir(g) and os.path.isdir(p.top + "/sub"), r
    bad = ("git config a.b c", "git remote add x y", "git submodule add -q ./x y", "git submodule update", "echo > .git/hooks/x", "echo > .git/hooks/pre-commit.sample", "echo >> .git/config",
           "mv .git .g", "mv .git/config .git/c", "rm -f .git/config", "rm -f sub/lib/.git", "ln -sfn /tmp .git/hooks", "ln -f a .git/config", "mv a .git/config",
           "echo x > sub/lib/.git", "git -C sub/lib config a.b c", "cat .env", "cat %s/.ssh/id_ed25519" % p.home, "test -n \"$TOKEN\"", "ls %s/lib" % p.base)
    r = s.run(c, AGENT, ["sh", "-c", "for way; do sh -ec \"$way\" && echo \"WENT: $way\"; done; echo tried $#", "-", *bad], cwd=p.top, env=p.env(), writes=True, timeout=60)
    assert r.status == 0 and "WENT" not in r.out and "S3CRET" not in r.out and "tried %d" % len(bad) in r.out, r
    # What isn't there yet is moved aside.
    r = p.sh("mkdir .git/modules/sub/lib/hooks; echo > .git/commondir; echo > .git/worktrees/wt/config.worktree; echo > .git/info/attributes; echo > .envrc")
    assert r.err.count("hutch: protect:") == 5 and not os.path.exists(g + "/commondir") and not os.path.exists(g + "/modules/sub/lib/hooks"), r
    # Closed altogether: it can't even be made.
    r = s.run(c, [*AGENT, "--protect-new=close"], ["sh", "-c", "echo > .git/commondir; echo > .envrc; git log --oneline | wc -l; echo x >> a"], cwd=p.top, env=p.env(), writes=True)
    assert r.status == 0 and r.out.strip() == "2" and not os.path.exists(g + "/commondir") and not os.path.exists(p.top + "/.envrc"), r


def lies(s, c):
    """A .git file is the word of whoever wrote to the project: what it leads to must lead back."""
    p = Project(s, c)
    put(p.base + "/secret/HEAD", "ref: refs/heads/main\n")
    put(p.base + "/secret/objects/x", "S3CRET")
    project = os.path.join(p.base, "evil")
    for text in ("gitdir: %s/secret\n" % p.base, "gitdir: ../p/.git\n", "gitdir: ../p/.git/worktrees/wt\n", "gitdir: ../home/.ssh\n", "gitdir: \n", "", "gitdir: .git\n", "\0"):
        put(project + "/.git", text)
        c.own(p.base)
        r = s.run(c, AGENT, ["sh", "-c", "ls %s %s %s/.git; echo ran" % (p.base + "/secret", p.home + "/.ssh", p.top)], cwd=project, env=p.env(), writes=True)
        assert r.status == 0 and r.out.strip() == "ran", (text, r)
        assert open(project + "/.git").read() == text, "the .git file was moved"
    why = json.loads(s.run(c, ["--json", *AGENT], ["true"], verb="explain", cwd=project, env=p.env()).out)["effective"]
    assert any(row["state"] == "missing" and "lead back" in (row["why"] or "") for row in why), why


def caches(s, c):
    """A cache is read; what is written to it is gone afterwards. What the statement says is what explain says."""
    p = Project(s, c)
    r = p.sh("cat ~/.cache/pip/wheel; echo evil > ~/.cache/pip/wheel; echo evil > ~/.cache/pip/new; cat ~/.cache/pip/wheel; ls -A ~; grep -c : /proc/net/dev")
    if "copy-on-write" not in r.err:
        assert r.out.split()[:2] == ["S3CRET", "evil"] and r.out.split()[-1] == "1", r
    assert os.listdir(p.home + "/.cache/pip") == ["wheel"] and open(p.home + "/.cache/pip/wheel").read() == "S3CRET\n", r
    r = s.run(c, AGENT, ["true"], verb="explain", cwd=p.top, env=p.env())
    assert "# Protects from:" in r.out and "# Does not protect from:" in r.out and "mask-file" in r.out and "@autorun" in r.out, r
    # Without a home, and in the home, it still starts.
    bare = {k: v for k, v in p.env().items() if k != "HOME"}
    r = s.run(c, AGENT, ["cat", ".env"], cwd=p.top, env=bare)
    assert r.status == 1 and "Permission denied" in r.err, r
    r = s.run(c, AGENT, ["ls", "-A", "."], cwd=p.home, env=p.env())
    assert r.status == 0 and ".ssh" not in r.out, r


def cases(s, c, who):
    for f in (works, holds, lies, caches):
        s.case("%s/agent/%s" % (who, f.__name__), f, s, c)
