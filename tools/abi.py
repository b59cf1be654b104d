#!/usr/bin/env python3
"""The binary interface of the public headers as text: sizes, offsets, values, prototypes.

usage: tools/abi.py FOLDER      prints what a program that was compiled with the headers FOLDER/hutch/*.h relies on: of each
                                struct its size, alignment and members; of each enum and number its value; of each function its types
A compiler says the numbers: a small program is made from the headers, and run. tests/docs/abi.txt is the recorded text (x86-64 and
arm64 agree); tests/docs/suite compares. A change of it breaks programs that exist, unless it only adds a function, an
enumerator at the end, or a type.
Runs in: the build.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

STRUCT = re.compile(r"^struct (\w+) \{(.*?)\n?\};", re.S | re.M)
ENUM = re.compile(r"^enum (\w+) \{(.*?)\};", re.S | re.M)
FUNCTION = re.compile(r"^HUTCH_API\s+(.*?)\b(hutch_\w+)\(((?:[^()]|\([^()]*\))*)\)\s*(?:__attribute__\(\(\w+\)\))?;", re.S | re.M)
NUMBER = re.compile(r"^#define (HUTCH_\w+)[ \t]+([0-9]\S*)", re.M)
OPAQUE = re.compile(r"^typedef struct (\w+) (\w+);", re.M)


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def words(text):
    return re.sub(r"\s+", " ", text).strip()


def parameters(text):
    """The types alone: names of parameters are no part of the interface."""
    out = []
    for p in re.split(r",(?![^()]*\))", words(text)):
        p = re.sub(r"\(\*\w+\)", "(*)", p.strip())
        if "(" not in p:
            p = re.sub(r"(?<=[\s*])(?!int\b|void\b|char\b)\w+(\[\w*\])?$", r"\1", p) if re.search(r"[\s*]\w+(\[\w*\])?$", p) else p
        out.append(re.sub(r"\s*\*\s*", " *", p).strip())
    return ", ".join(out)


def members(body):
    """(declared type, name) of each member."""
    for declaration in filter(None, (words(d) for d in body.split(";"))):
        first, *more = re.split(r",(?![^\[]*\])", declaration)
        kind, name = re.match(r"(.*?[\s*])(\w+(?:\[\w+\])?)$", first).groups()
        base = kind.split("*")[0]
        for d in [kind + name] + [base + m.strip() for m in more]:
            kind, name = re.match(r"(.*?[\s*])(\w+(?:\[\w+\])?)$", d).groups()
            yield re.sub(r"\s*\*\s*", " *", kind).strip(), re.sub(r"\[.*", "", name), re.sub(r"^\w+", "", name)


def collect(folder):
    """Lines for printing, and the C statements that print the numbers, in one order."""
    lines, headers = [], sorted(glob.glob(os.path.join(folder, "hutch", "*.h")))
    for header in headers:
        with open(header, encoding="utf-8") as f:
            text = without_comments(f.read())
        for name, value in NUMBER.findall(text):
            lines.append('printf("number %s %%lld\\n", (long long)(%s));' % (name, name))
        for name, body in ENUM.findall(text):
            lines.append('printf("enum %s: %%zu bytes\\n", sizeof(enum %s));' % (name, name))
            for e in re.findall(r"(\w+)\s*(?:=[^,]*)?(?:,|$)", words(body)):
                lines.append('printf("  %s = %%lld\\n", (long long)%s);' % (e, e))
        for name, body in STRUCT.findall(text):
            lines.append('printf("struct %s: %%zu bytes, aligned to %%zu\\n", sizeof(struct %s), _Alignof(struct %s));' % (name, name, name))
            for kind, member, array in members(body):
                lines.append('printf("  %%zu+%%zu %s %s%s\\n", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));' % (
                    kind, member, array, name, member, name, member))
        for name, alias in OPAQUE.findall(text):
            lines.append('puts("opaque struct %s, called %s");' % (name, alias))
        for result, name, given in FUNCTION.findall(text):
            lines.append('puts("%s %s(%s)");' % (re.sub(r"\s*\*\s*$", " *", words(result)), name, parameters(given)))
        declared = len(re.findall(r"^HUTCH_API\b", text, re.M))
        if declared != len(FUNCTION.findall(text)):
            sys.exit("tools/abi.py: %s: %d functions, of which %d could be read" % (header, declared, len(FUNCTION.findall(text))))
        if len(re.findall(r"^(?:struct|enum) \w+ \{", text, re.M)) != len(STRUCT.findall(text)) + len(ENUM.findall(text)):
            sys.exit("tools/abi.py: %s: a struct or enum can't be read" % header)
    return headers, lines


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    headers, lines = collect(sys.argv[1])
    includes = "".join("#include <hutch/%s>\n" % os.path.basename(h) for h in headers)
    code = "#include <stdio.h>\n" + includes + "int main(void)\n{\n\t" + "\n\t".join(lines) + "\n\treturn 0;\n}\n"
    with tempfile.TemporaryDirectory() as d:
        source, program = os.path.join(d, "abi.c"), os.path.join(d, "abi")
        with open(source, "w") as f:
            f.write(code)
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-I", sys.argv[1], "-o", program, source], check=True)
        sys.stdout.write(subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.replace("* *", "**").replace("* *", "**").replace("( *)", "(*)"))


main()
