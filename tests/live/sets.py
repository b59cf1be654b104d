"""Live: the sets @secrets and @autorun, hide and protect; each with what happens without the rule.
Runs in: the test process."""
import json
import os
import re
import shutil
import tempfile

import never


def put(path, text="x", mode=0o666):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def open_up(c, top):
    for base, _, _ in os.walk(top):
        os.chmod(base, 0o777)
    c.own(top)


def environment(c, home, **more):
    return dict(c.environ(), HOME=home, **more)


def hide(s, c):
    """What is hidden can't be read under any name that a rule gives it; its neighbours can."""
    top = os.path.join(s.scratch, "project")
    for name in (".env", ".env.local", ".env.example", "a/plain", "tls.key", "keys/id"):
        put(os.path.join(top, name), "S3CRET")
    os.symlink("keys/id", top + "/.netrc")
    open_up(c, s.scratch)
    names = [top + "/" + n for n in (".env", ".env.local", ".env.example", "a/plain", "tls.key", ".netrc")]
    r = s.see(c, ["--rw", top], ["read", *names], cwd=top)
    assert all(r.one("read:" + n) == "ok" for n in names), "the control can't read: %s" % r
    for access in ("--ro", "--rw", "--cow"):
        r = s.see(c, [access, top, "--hide", "@secrets"], ["read", *names], cwd=top)
        got = [r.one("read:" + n) for n in names]
        assert [g == "EACCES" for g in got] == [True, True, False, False, True, True], (access, got)
    # By its path on the host, and under another name.
    r = s.see(c, ["--rw", top + ":/other", "--rw", top, "--hide", top + "/a"], ["read", "/other/a/plain", top + "/a/plain", "/other/.env"], cwd="/")
    assert r.one("read:/other/a/plain") == r.one("read:%s/a/plain" % top) == "EACCES" and r.one("read:/other/.env") == "ok", r
    # A rule that names it wins over a set, where the set hides nothing else of that file; else it is a contradiction.
    r = s.see(c, ["--ro", top + "/.env:/settings", "--hide", "@secrets", "--cwd-access=none"], ["read", "/settings"], cwd=top)
    assert r.one("read:/settings") == "ok", r
    for rules in (["--ro", top, "--hide", "@secrets"], ["--hide", top + "/.env"]):
        r = s.run(c, ["--ro", top + "/.env:/settings", *rules], ["true"], cwd=top)
        assert r.status == 125 and "E0411" in r.err, r
    # What isn't there, and what no rule shows, needs nothing.
    r = s.see(c, ["--ro", top, "--hide", top + "/none", "--hide", s.scratch + "/elsewhere"], ["read", top + "/a/plain"], cwd="/")
    assert r.one("read:%s/a/plain" % top) == "ok", r
    if never.privilege.landlock_abi():
        r = s.run(c, [*never.NEVER, "--ro", top, "--hide", top + "/.env"], ["true"], cwd="/")
        assert r.status == 125 and "argv[3]" in r.err, "Landlock alone can't take it away: %s" % r
        s.see(c, [*never.NEVER, "--ro", top + "/a", "--hide", top + "/.env"], ["read", top + "/a/plain"], cwd="/")
    for name in ("@nothing", "@autorun2"):
        r = s.run(c, ["--hide", name], ["true"], cwd="/")
        assert r.status == 125 and "E0110" in r.err and "@secrets" in r.err, r


def hide_home(s, c):
    """The rows of the home, of a variable, and where the home is itself a link."""
    home = os.path.join(s.scratch, "real")
    for name in (".ssh/id_ed25519", ".aws/credentials", ".bash_history", ".config/gh/hosts.yml", ".config/other", "agent/socket"):
        put(os.path.join(home, name), "S3CRET")
    os.symlink("real", s.scratch + "/home")
    open_up(c, s.scratch)
    secret = [home + "/" + n for n in (".ssh/id_ed25519", ".aws/credentials", ".bash_history", ".config/gh/hosts.yml", "agent/socket")]
    for h in (home, s.scratch + "/home"):
        env = environment(c, h, SSH_AUTH_SOCK=home + "/agent/socket")
        r = s.see(c, ["--ro", home], ["read", *secret], cwd="/", env=env)
        assert all(r.one("read:" + n) == "ok" for n in secret), r
        r = s.see(c, ["--ro", home, "--hide", "@secrets"], ["read", *secret, home + "/.config/other"], cwd="/", env=env)
        assert [r.one("read:" + n) for n in secret] == ["EACCES"] * 5 and r.one("read:%s/.config/other" % home) == "ok", r
    plan = json.loads(s.run(c, ["--json", "--ro", home, "--hide", "@secrets"], ["true"], verb="explain", cwd="/", env=environment(c, home)).out)
    rows = {row["what"]: row for row in plan["effective"]}
    ssh = rows[re.sub("^/var/tmp/", "/tmp/", home) + "/.ssh"]       # its name inside: /var/tmp is a link there
    assert ssh["means"] == "empty read-only tmpfs" and "@secrets" in ssh["origin"] and "argv[3]" in ssh["origin"], ssh
    assert rows[home + "/.kube"]["why"] == "nothing is there" and rows["/etc/shadow"]["got"] == "hidden", rows[home + "/.kube"]
    listed = s.run(c, [], [], raw=[s.hutch, "help", "@secrets"]).out
    assert "~/.ssh" in listed and "./.env" in listed, listed


def close(s, c):
    """@autorun with protect-new = close: what is there stays, what isn't can't be made by any way."""
    top = os.path.join(s.scratch, "project")
    for name in (".vscode/tasks.json", ".git/config", ".git/hooks/pre-commit", ".git/HEAD", "x", "sub/x"):
        put(os.path.join(top, name))
    open_up(c, s.scratch)
    present = [top + "/" + n for n in (".vscode/tasks.json", ".git/config", ".git/hooks/pre-commit")]
    missing = [top + "/" + n for n in (".envrc", ".git/commondir", ".vscode/new", ".git/hooks/new")]
    r = s.see(c, ["--rw", top], *(["plant", m, top + "/x"] for m in missing), ["rights", *present], cwd=top)
    assert all("cdslru" in r.one("plant:" + m) for m in missing) and all("w" in r.one("rights:" + p) for p in present), r
    r = s.see(c, ["--rw", top, "--protect", "@autorun"], *(["plant", m, top + "/x"] for m in missing), ["rights", *present], ["write", top + "/x"],
              ["create", top + "/sub"], cwd=top)
    assert all(r.one("plant:" + m) == "" for m in missing), r
    assert all("w" not in r.one("rights:" + p) and "n" not in r.one("rights:" + p) for p in present), r
    assert r.one("write:%s/x" % top) == r.one("create:%s/sub" % top) == "ok", r
    # Where nothing is writable nothing needs a mount; a rule that names a path wins.
    s.see(c, ["--ro", top, "--protect", "@autorun"], ["read", top + "/x"], cwd=top)
    r = s.see(c, ["--rw", top, "--protect", "@autorun", "--rw", top + "/.vscode"], ["write", present[0]], cwd=top)
    assert r.one("write:" + present[0]) == "ok", r
    # A copy-on-write tree: what is made stays in the changes, and the host's own files aren't written to.
    r = s.see(c, ["--cow", top, "--protect", "@autorun"], ["plant", missing[0], top + "/x"], ["write", top + "/x"], ["rights", present[0]], cwd=top)
    assert r.one("plant:" + missing[0]) and "w" not in r.one("rights:" + present[0]), r
    r = s.run(c, ["--cow", top, "--protect", missing[0]], ["true"], cwd=top)
    assert r.status == 125 and "E0431" in r.err and "copy-on-write" in r.err, r


PLANT = """
echo x > .envrc; mkdir .husky; echo x > .husky/pre-commit; ln -s /etc .devcontainer; echo x > keep
mkdir -p .github/workflows; echo x > .github/workflows/ci.yml; echo x > .github/ISSUE.md
ln -s elsewhere .yarn; echo 1 > .gitmodules; rm .gitmodules; echo x > .env.new
"""


def check(s, c):
    """protect-new = check: the directory takes new names; at the end the protected ones are out of the way."""
    top = os.path.join(s.scratch, "project")
    put(top + "/x")
    put(top + "/.envrc.hutch-aside", "mine")
    put(top + "/.tool-versions", "python 3")
    os.symlink("x", top + "/.npmrc")
    open_up(c, s.scratch)
    report = os.path.join(s.scratch, "report.json")
    opts = ["--rw", top, "--protect", "@autorun", "--protect-new=check"]
    r = s.run(c, ["--rw", top], ["sh", "-c", PLANT + "rm -rf .envrc .husky .devcontainer .github .yarn keep .env.new"], cwd=top, writes=True)
    assert r.status == 0, "the ways are no ways: %s" % r
    before = sorted(os.listdir(top))
    r = s.run(c, [*opts, "--report", report], ["sh", "-c", PLANT + "echo evil > .tool-versions"], cwd=top, writes=True)
    left = set(os.listdir(top)) - set(before)
    assert left == {".envrc.hutch-aside-2", ".husky.hutch-aside", ".devcontainer.hutch-aside", ".github", ".yarn.hutch-aside", "keep", ".env.new"}, (left, r)
    assert sorted(os.listdir(top + "/.github")) == ["ISSUE.md", "workflows.hutch-aside"], r
    assert open(top + "/.tool-versions").read() == "python 3" and open(top + "/.envrc.hutch-aside").read() == "mine", r
    assert os.readlink(top + "/.npmrc") == "x", "a link that was there is as it was"
    assert r.err.count("hutch: protect:") == 5 and "can't" not in r.err, r
    told = json.load(open(report))["aside"]
    assert {(a["path"], a["errno"]) for a in told} == {(top + "/" + n, 0) for n in (".envrc", ".husky", ".devcontainer", ".github/workflows", ".yarn")}, told
    # A link that was there is replaced; the program is killed; both are told.
    r = s.run(c, opts, ["sh", "-c", "rm .npmrc; echo x > .npmrc; echo x > .mise.toml; kill -9 $$"], cwd=top, writes=True)
    assert os.path.exists(top + "/.npmrc.hutch-aside") and os.path.exists(top + "/.mise.toml.hutch-aside") and not os.path.exists(top + "/.npmrc"), r
    r = s.run(c, opts, ["true"], cwd=top)
    assert r.status == 0 and "protect" not in r.err, r


def below_var_tmp(s, c):
    """A project there has another name inside, where /var/tmp is a link: the set holds all the same."""
    top = tempfile.mkdtemp(prefix="hutch-sets-", dir="/var/tmp")
    try:
        os.chmod(top, 0o755)
        for name in (".git/HEAD", ".git/config", ".git/hooks/pre-commit", ".envrc", "code"):
            put(os.path.join(top, name), "old\n")
        c.own(top)
        r = s.run(c, ["--rw", ".", "--protect", "@autorun"], ["sh", "-c", "for f in .git/config .git/hooks/pre-commit .envrc; do echo new >>$f; done; echo new >>code"], cwd=top, writes=True)
        assert r.status == 0 and r.err.count("Read-only") == 3, r
        for name, text in ((".git/config", "old\n"), (".git/hooks/pre-commit", "old\n"), (".envrc", "old\n"), ("code", "old\nnew\n")):
            with open(os.path.join(top, name)) as f:
                assert f.read() == text, name
    finally:
        shutil.rmtree(top)


def cases(s, c, who):
    for f in (hide, hide_home, close, check, below_var_tmp):
        s.case("%s/sets/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
