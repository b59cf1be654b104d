"""Live: real programs under the default policy, unmodified.
Runs in: the test process."""
import os
import shutil
import subprocess

from harness import Skip


def need(*names):
    for n in names:
        if not shutil.which(n, path="/usr/local/bin:/usr/bin:/bin"):
            raise Skip("%s isn't installed" % n)


def text(path, content, mode=0o644):
    with open(path, "w") as f:
        f.write(content)
    os.chmod(path, mode)
    return path


def finish(r, needle=""):
    assert r.status == 0 and needle in r.out, r
    return r


def ls(s, c):
    r = finish(s.run(c, [], ["ls", "/"]))
    names = set(r.out.split())
    assert {"usr", "bin", "etc", "proc", "dev", "tmp"} <= names, r
    assert not names & {"root", "boot", "mnt", "media", "srv", "opt"} or "boot" not in names, r


def python(s, c):
    need("python3")
    finish(s.run(c, [], ["python3", "-c", "import json,ssl,threading; t=threading.Thread(target=print,args=('thread',)); t.start(); t.join(); print(6*7)"]), "42")


def gcc(s, c):
    need("gcc")
    text(os.path.join(s.scratch, "a.c"), '#include <stdio.h>\nint main(void){puts("compiled inside");return 0;}\n')
    c.own(s.scratch)
    finish(s.run(c, ["--rw", "."], ["gcc", "-O1", "-o", "a.out", "a.c"], writes=True))
    assert os.path.exists(os.path.join(s.scratch, "a.out")), "the program isn't there on the host"
    finish(s.run(c, ["--rw", "."], ["./a.out"]), "compiled inside")
    owner = os.stat(os.path.join(s.scratch, "a.out")).st_uid
    assert owner == c.uid or c.root, "the file belongs to %d on the host" % owner


def git(s, c):
    need("git")
    repo = os.path.join(s.scratch, "repo")
    run = lambda *a: subprocess.run(["git", "-C", repo, *a], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    env=dict(c.environ(), GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null"))
    os.mkdir(repo)
    run("init")
    text(os.path.join(repo, "f"), "content\n")
    run("add", "f")
    run("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-m", "m")
    c.own(s.scratch)
    r = finish(s.run(c, ["--ro", repo], ["sh", "-c", "git clone -q file://%s /tmp/clone && cat /tmp/clone/f" % repo], cwd="/"))
    assert r.out == "content\n", r


def node(s, c):
    need("node")
    finish(s.run(c, [], ["node", "-e", "setTimeout(()=>console.log(1+1),10); require('fs').readdirSync('/')"]), "2")


def sqlite(s, c):
    need("sqlite3")
    finish(s.run(c, [], ["sqlite3", "/tmp/x.db", "create table t(a); insert into t values(41); select a+1 from t;"]), "42")


def redis(s, c):
    need("redis-server", "redis-benchmark", "redis-cli")
    script = ("redis-server --port 6379 --save '' --dir /tmp --daemonize no >/tmp/log 2>&1 & "
              "for i in $(seq 100); do redis-cli ping >/dev/null 2>&1 && break; sleep 0.05; done; "
              "redis-benchmark -q -n 2000 -t set,get; redis-cli shutdown nosave; wait")
    r = s.run(c, [], ["sh", "-c", script], timeout=60)
    assert r.status == 0 and "SET:" in r.out and "requests per second" in r.out, r


def make(s, c):
    need("make", "gcc")
    text(os.path.join(s.scratch, "Makefile"), "all: p\np: m.o f.o\n\tcc -o $@ m.o f.o\n%.o: %.c\n\tcc -c -o $@ $<\n")
    text(os.path.join(s.scratch, "m.c"), "int f(void);int main(void){return f();}\n")
    text(os.path.join(s.scratch, "f.c"), "int f(void){return 7;}\n")
    c.own(s.scratch)
    finish(s.run(c, ["--rw", "."], ["make", "-j2"], writes=True, timeout=60))
    r = s.run(c, [], ["./p"])
    assert r.status == 7, r


def strace(s, c):
    need("strace")
    r = s.run(c, [], ["strace", "-o", "/tmp/t", "true"])
    assert r.status == 0, r
    r = finish(s.run(c, [], ["sh", "-c", "strace -f -o /tmp/t true && grep -c execve /tmp/t"]))
    assert int(r.out.split()[-1]) >= 1, r


def script(s, c):
    text(os.path.join(s.scratch, "s.sh"), "#!/bin/sh\necho \"script $1 $0\"\nexit 9\n", 0o755)
    c.own(s.scratch)
    r = s.run(c, [], ["./s.sh", "arg"])
    assert r.status == 9 and r.out.startswith("script arg"), r
    r = s.run(c, [], [os.path.join(s.scratch, "s.sh"), "arg"], cwd="/")
    assert r.status == 9 and r.out.startswith("script arg"), "by its full path from elsewhere: %s" % r


def shell_tools(s, c):
    r = finish(s.run(c, [], ["sh", "-c", "id -u; whoami; echo ~; mktemp; date >/dev/null; df /tmp | tail -1; ps ax 2>/dev/null | wc -l; getent hosts localhost"]))
    assert len(r.out.splitlines()) >= 6, r


def pipes(s, c):
    r = s.run(c, [], ["tr", "a-z", "A-Z"], input=b"through a pipe")
    assert r.status == 0 and r.out == "THROUGH A PIPE", r
    r = s.run(c, [], ["sh", "-c", "head -c 3000000 /dev/zero | wc -c; cat >/dev/null; yes | head -c 100000 | cksum"], input=b"x" * 500000)
    assert r.status == 0 and r.out.startswith("3000000"), r


def demo(s, c):
    """Side by side, and its own checks hold, whatever standard input is."""
    file = text(s.scratch + "/input", "x")
    os.chmod(s.scratch, 0o755)
    for stdin in ("/dev/null", file):
        with open(stdin) as f:
            r = s.run(c, [], [], raw=[s.hutch, "demo"], cwd="/", stdin=f)
        finish(r, "12 of 12 checks hold")


def cases(s, c, who):
    for f in (ls, python, gcc, git, node, sqlite, redis, make, strace, script, shell_tools, pipes, demo):
        s.case("%s/program/%s" % (who, f.__name__.replace("_", "-")), f, s, c)
