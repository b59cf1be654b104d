"""Runs the host program with its verbs.

Runs in: the test process.
"""
import os
import shutil

import harness


def copy(s, name):
    """The built program where an ordinary user reaches it."""
    path = os.path.join(s.bin, name)
    if not os.path.exists(path):
        shutil.copy(os.path.join(s.build, "tests", name), path)
        os.chmod(path, 0o755)
    return path


def words(verbs):
    out = []
    for v in verbs:
        out += [","] if out else []
        out += v.split() if isinstance(v, str) else [os.fspath(w) for w in v]
    return out


def start(s, c, *verbs, program=None, **kw):
    return s.popen(c, [], [], raw=[program or copy(s, "enter-host"), *words(verbs)], **kw)


def run(s, c, *verbs, program=None, status=0, **kw):
    kw.setdefault("writes", True)
    r = s.run(c, [], [], raw=[program or copy(s, "enter-host"), *words(verbs)], **kw)
    if status is not None and r.status != status:
        raise AssertionError("status %s instead of %s: %s" % (r.status, status, r))
    return r


def user(c):
    """Ids for a policy without namespaces: root must name some."""
    return ["set user 4242:4242"] if c.root else []


def private(s, name, text="secret\n", mode=0o666):
    path = os.path.join(s.scratch, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def free_scratch(s):
    os.chmod(s.scratch, 0o777)
    return s.scratch


Skip = harness.Skip
