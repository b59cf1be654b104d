"""What a run that uses too much costs others: the host's heartbeat, and a second sandbox.
Runs in: the test process."""
import re
import subprocess
import time

BEAT_MS = 1000

BOMBS = {
    "memory": (["--memory=32M", "--wall-time=1s"], ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do %s memory 200 private; done"]),
    "forks": (["--pids=40", "--wall-time=1s"], ["%s storm 3000"]),
    "processor": (["--wall-time=1s", "--cpu-time=60s"], ["/bin/sh", "-c", "%s cpu 3000 self & %s cpu 3000 self & %s cpu 3000 self & wait"]),
    "output": (["--output-max=16M", "--wall-time=1s"], ["/bin/sh", "-c", "while :; do %s out 1 200000; done"]),
    "disk": (["--tmp-size=16M", "--wall-time=1s"], ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do %s file /tmp/$i 20000000; done"]),
}


def heartbeat(s, milliseconds):
    return subprocess.Popen([s.bomb, "tick", str(milliseconds)], stdout=subprocess.PIPE, text=True)


def ticks(p):
    """Ticks in a second, of a ticker that wants ten."""
    m = re.match(r"ticks (\d+) most (\d+) ms (\d+)", p.communicate(timeout=20)[0])
    return int(m.group(1)) * 1000 / int(m.group(3))


def disturbed(s, p, name):
    opts, cmd = BOMBS[name]
    words = [w.replace("%s", s.bomb) for w in cmd]
    words = words if len(words) > 1 else words[0].split()
    quiet = ticks(heartbeat(s, BEAT_MS))
    beat = heartbeat(s, BEAT_MS)
    bomb = p.start(opts, words)
    r, rec = p.run([], ["/bin/sh", "-c", "echo neighbour"])
    assert rec["end"] == "exited" and rec["exit_code"] == 0 and r.out == "neighbour\n", r
    _, loud = p.finish(bomb)
    assert loud["end"] != "setup-failed", loud
    with_bomb = ticks(beat)
    if s.verbose:
        print("# heartbeat: %.2f a second, %.2f with the bomb (%s)" % (quiet, with_bomb, loud["end"]))
    assert with_bomb >= quiet / 2, "%.2f ticks a second instead of %.2f" % (with_bomb, quiet)


def cases(s, p):
    for name in BOMBS:
        p.case("neighbours: " + name, disturbed, name)
