#!/usr/bin/env python3
"""Rules of the source that no compiler knows.

usage: tools/check_source.py [BUILD]

- a source file says what it is for and where it runs in its first comment, and has at most 800 lines
- headers are included in one direction only (docs/design/overview.md)
- no machine's own paths in files of the repository
- with BUILD: libhutch.so keeps no writable data, and calls nothing that prints, exits or installs a handler
Runs in: the build.
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAY_INCLUDE = {
    "base": "base",
    "sys": "base sys",
    "host": "base sys host",
    "policy": "base policy",
    "front": "base policy front",
    "cow": "base sys policy plan cow",
    "plan": "base sys host policy plan layer",   # compile.c calls the layers in order
    "layer": "base sys host policy plan layer run",  # x_child.c: the child's own header
    "run": "base sys host policy plan layer cow run",
    "lib": "base sys host policy front plan layer cow run lib",
    "cli": "base sys inspect cli image preload",     # preload.h: what both sides agree on
    "helper": "base sys plan layer run",
    "inspect": "base sys inspect",
    "image": "base sys host image",
    "preload": "preload",
}
# Of the unpacker the command knows its table of options. Of a layer's files only those that run in the child know run/, and of plan/ only compile.c and print.c know the layers.
ONLY = {("layer", "run"): re.compile(r"_child\.c$"), ("cli", "image"): re.compile(r"/image\.c$"), ("plan", "layer"): re.compile(r"/(compile|print)\.c$")}
FORBIDDEN_CALLS = set("""exit _exit abort printf puts putchar fprintf fputs perror vprintf vfprintf stdout stderr signal
sigaction sigprocmask setenv putenv unsetenv system popen atexit""".split())


def files(*folders):
    for folder in folders:
        for path, folders_below, names in os.walk(os.path.join(TOP, folder)):
            for name in sorted(names):
                yield os.path.relpath(os.path.join(path, name), TOP)


def check_file(path, complain):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        text = f.read()
    if path.endswith((".c", ".h")):
        first = text[:text.find("*/")] if text.startswith("/*") else ""
        if "Runs in:" not in first:
            complain("%s: the first comment must say the purpose and 'Runs in:'" % path)
    if text.count("\n") > 800:
        complain("%s: %d lines" % (path, text.count("\n")))
    part = path.split("/")[1]
    for target, name in re.findall(r'^#\s*include\s+"([a-z]+)/([^"]+)"', text, re.M):
        if path.startswith("src/") and target not in MAY_INCLUDE.get(part, "").split():
            complain("%s: %s may not include %s/" % (path, part, target))
        only = ONLY.get((part, target))
        if only and not only.search(path):
            complain("%s: may not include %s/" % (path, target))


def check_paths(complain):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else \
        [n for n in files(".") if not re.match(r"(build|\.git)\b", n)]     # an unpacked archive
    here = re.escape(TOP)
    for name in filter(None, names):
        full = os.path.join(TOP, name)
        if not os.path.isfile(full) or os.path.islink(full):
            continue
        with open(full, "rb") as f:
            data = f.read()
        if len(TOP) > 4 and re.search(here.encode() + rb"(/|\b)", data):
            complain("%s: names this machine's folder %s" % (name, TOP))


def check_library(build, complain):
    so = os.path.join(build, "libhutch.so")
    undefined = subprocess.run(["nm", "-D", "--undefined-only", so], check=True, stdout=subprocess.PIPE, text=True).stdout
    names = {line.split()[-1].split("@")[0] for line in undefined.splitlines()}
    if "memcpy" not in names:
        complain("%s: its needs can't be read" % so)
    for name in sorted(names & FORBIDDEN_CALLS):
        complain("libhutch.so calls %s" % name)
    table = subprocess.run(["objdump", "-t", os.path.join(build, "libhutch-core.a")], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    for line in table.splitlines():
        # address, flags, section, size, name; data that only the loader writes (.data.rel.ro) is constant
        m = re.match(r"[0-9a-f]{16} .{7} (\S+)\s+([0-9a-f]+) (?:\.hidden )?(\S+)$", line)
        if m and re.match(r"\.(data|bss)(?!\.rel\.ro)", m.group(1)) and int(m.group(2), 16) and m.group(3) != m.group(1):
            complain("libhutch has writable data: %s" % m.group(3))


def main():
    problems = []
    seen = 0
    for path in files("src", "include", "tools"):
        if path.endswith((".c", ".h", ".def")):
            check_file(path, problems.append)
            seen += 1
    check_paths(problems.append)
    if len(sys.argv) > 1:
        check_library(sys.argv[1], problems.append)
    for p in problems:
        print("check_source: %s" % p)
    if not problems:
        print("check_source: %d files hold to the rules" % seen)
    sys.exit(1 if problems or not seen else 0)


main()
