#!/usr/bin/env python3
"""Turns a file into C: an array of its bytes and their number.

usage: tools/embed.py NAME FILE OUT.c
Runs in: the build.
"""
import sys

name, path, out = sys.argv[1:]
with open(path, "rb") as f:
    data = f.read()
with open(out, "w") as f:
    f.write("/* %d bytes of the program %s, made by the build.\n * Runs in: parent. */\n#include <stddef.h>\n" % (len(data), name))
    f.write("extern const unsigned char %s[];\nextern const size_t %s_size;\n" % (name, name))
    f.write("const size_t %s_size = %d;\nconst unsigned char %s[] = {\n" % (name, len(data), name))
    for i in range(0, len(data), 24):
        f.write("\t%s,\n" % ",".join("%d" % b for b in data[i:i + 24]))
    f.write("};\n")
