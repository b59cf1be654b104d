"""Where the limits of a run come from: three callers and their cgroups; one run and its record.
Runs in: the test process."""
import os
import re

import cgroups
import harness
from harness import parse_json
from schema import Schema

# What a run without --full tries, by caller: each way to end once, and for the others what differs there.
QUICK = {
    "root": r"ends|record: (processor|grandchildren|tasks|throttled|text form)|leftovers: (forking|launcher killed any time)",
    "user with a cgroup": r"ends: (exited|cpu$|memory$)|record: peak|leftovers: (foreign cgroup|launcher killed$)|neighbours: memory",
    "user": r"ends: (cpu$|memory$|pids|setup failed|limit refused)|record: (effective|pid max)|forged|leftovers: (daemons|stopped|output held)|neighbours: forks",
}


class Place:
    """exact: a cgroup counts and holds. Otherwise the stand-ins do."""

    def __init__(self, s, name, caller, exact, opts=(), before=None):
        self.s, self.name, self.caller, self.exact, self.opts, self.before = s, name, caller, exact, list(opts), before
        self.records = caller.own(s.dir("records-" + name.replace(" ", "-")))
        self.count = 0

    def case(self, name, function, *args):
        if self.s.full or self.s.only or re.match(QUICK[self.name], name):
            self.s.case("%s: %s" % (self.name, name), function, self.s, self, *args)

    def report_path(self):
        self.count += 1
        return os.path.join(self.records, "%d.json" % self.count)

    def words(self, opts, cmd, report, preset="judge"):
        return [*(["--preset", preset] if preset else []), "--report", report, *self.opts, "--ro=" + self.s.bin, *opts], cmd

    def run(self, opts, cmd, preset="judge", report=None, **kw):
        """-> (Result, record). The record is checked against the schema, and against the exit status."""
        report = report or self.report_path()
        cmd = [self.s.bomb, *map(str, cmd)] if not str(cmd[0]).startswith("/") else cmd
        opts, cmd = self.words(opts, cmd, report, preset)
        r = self.s.run(self.caller, opts, cmd, before=self.before, **kw)
        with open(report) as f:
            text = f.read()
        rec = parse_json(text)
        check(self.s, r, rec, text)
        r.rec = rec
        return r, rec

    def start(self, opts, cmd, preset="judge", **kw):
        report = self.report_path()
        cmd = [self.s.bomb, *map(str, cmd)] if not str(cmd[0]).startswith("/") else cmd
        opts, cmd = self.words(opts, cmd, report, preset)
        p = self.s.popen(self.caller, opts, cmd, before=self.before, **kw)
        p.report = report
        return p

    def finish(self, p, timeout=25):
        out, err = p.communicate(timeout=timeout)
        r = harness.Result(p.args, harness.status_of(p.returncode), out.decode(errors="replace"), err.decode(errors="replace"))
        with open(p.report) as f:
            text = f.read()
        r.rec = parse_json(text)
        check(self.s, r, r.rec, text)
        return r, r.rec


def check(s, r, rec, text):
    wrong = s.schema.errors(rec)
    assert not wrong, "the record isn't what docs/report.schema.json says: %s\n%s" % (wrong[:5], text)
    assert text.endswith("}\n") and text.count("\n") == 1, text
    s.seen.add(rec["end"])
    if rec["end"] == "setup-failed":
        assert r.status in (125, 126, 127), r
        return
    status = 128 + rec["signal"] if rec["signal"] else rec["exit_code"]
    assert (rec["signal"] is None) != (rec["exit_code"] is None) and r.status == status, (r, rec)


def places(s):
    """The settings that this machine has; a missing one is a skip."""
    found, name = [], os.environ.get(cgroups.NAME)
    root = next((c for c in s.callers if c.root), None)
    user = next((c for c in s.callers if not c.root), None)
    if root and name:
        found.append(Place(s, "root", root, True, ["--cgroup-parent=/" + name]))
    if user and name:
        cgroups.give(name, user.uid, user.gid)
        found.append(Place(s, "user with a cgroup", user, True, before=lambda: cgroups.join(name)))
    if user:
        found.append(Place(s, "user", user, False, ["--limits=prefer", "--cgroup=no"]))
    return found


def schema():
    return Schema(os.path.join(harness.TOP, "docs/report.schema.json"))
