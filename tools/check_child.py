#!/usr/bin/env python3
"""Proves that what runs between clone and exec, and the sandbox's init, needs no lock, heap or stdio.

usage: tools/check_child.py BUILD       BUILD: a build folder (build)

All objects of the engine are linked from the entry child_main with unreachable sections dropped: what is
left undefined is what the child can ever call outside of our own code. Only names of a short list may be
there. The host program may have had other threads at the clone, so a lock of the C library may be held
for ever in the child.
Runs in: the build.
"""
import os
import re
import subprocess
import sys
import tempfile

# Pure memory and string functions, and what the compiler itself adds.
ALLOWED = set("""memcpy memmove memset memcmp memchr strlen strnlen strcmp strncmp strchr strrchr strcpy strncpy
__memcpy_chk __memmove_chk __memset_chk __strcpy_chk __strncpy_chk __stack_chk_fail __chk_fail
_GLOBAL_OFFSET_TABLE_ __tls_get_addr""".split())


def main():
    build = sys.argv[1]
    archive = os.path.join(build, "libhutch-core.a")
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "child.o")
        subprocess.run(["ld", "-r", "--gc-sections", "--entry", "child_main", "-o", out,
                        "--whole-archive", archive], check=True)
        symbols = subprocess.run(["nm", out], check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
        relocations = subprocess.run(["readelf", "-rW", out], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [line.split() for line in symbols if line]
    # The symbol table still lists what only dropped sections named; the relocations name what is in use.
    used = set(re.findall(r"^[0-9a-f]{16}\s+[0-9a-f]{16}\s+\S+\s+[0-9a-f]{16}\s+([\w.]+)", relocations, re.M))
    undefined = {r[-1] for r in rows if r[-2] in "Uw"} & used
    defined = {r[-1] for r in rows if r[-2] in "tT"}
    for needed in ("child_main", "child_op_EXEC", "child_op_SECCOMP", "init_main"):
        if needed not in defined:
            sys.exit("check_child: %s isn't reached from child_main: the check is vacuous" % needed)
    if "hutch_spawn" in defined or "policy_freeze" in defined:
        sys.exit("check_child: the launcher's code is still there: the check is vacuous")
    if "__stack_chk_fail" not in undefined:
        sys.exit("check_child: the child's needs can't be read: the check is vacuous")
    bad = sorted(undefined - ALLOWED)
    if bad:
        sys.exit("check_child: the child can reach: %s" % " ".join(bad))
    print("check_child: %d functions reachable from child_main, outside of them only: %s" % (
        len(defined), " ".join(sorted(undefined - {"_GLOBAL_OFFSET_TABLE_"}))))


main()
