#!/usr/bin/env python3
"""Makes the manual pages of section 3 from the public headers: what stands above a declaration is its contract.

usage: tools/man3.py --list HEADER…            the names of all pages, one a line
       tools/man3.py VERSION FOLDER HEADER…    writes them: one page for each header, and for each function one that leads there
                                                unless docs/man has its own
Runs in: the build.
"""
import os
import re
import sys

PART = re.compile(r"/\*(?P<comment>.*?)\*/|(?P<line>^#[^\n]*(?:\\\n[^\n]*)*)|(?P<code>(?:[^{};/]|/(?!\*)|\{(?:[^{}])*\})+;)", re.S | re.M)
WRITTEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "man")
API = re.compile(r"^HUTCH_API\s+")


def page_name(header):
    base = os.path.splitext(os.path.basename(header))[0]
    return "hutch" if base == "hutch" else "hutch_" + base


def clean(comment):
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in comment.strip().split("\n")]
    return "\n".join(lines).strip()


def parse(path):
    """[(kind, code, text)]: "head", "section", "function", "type", in the order of the file."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.S)
    found, above, first = [], "", True
    for m in PART.finditer(text):
        if m.group("comment") is not None:
            same_line = "\n" not in text[max(text.rfind("\n", 0, m.start()), 0):m.start()].lstrip("\n") and \
                text[text.rfind("\n", 0, m.start()) + 1:m.start()].strip()
            comment = clean(m.group("comment"))
            if first:
                found.append(("head", "", comment))
                first = False
            elif same_line and found and found[-1][0] in ("function", "type"):
                kind, code, before = found[-1]
                found[-1] = (kind, code, (before + "\n" + comment).strip())
            elif comment.startswith("----"):
                found.append(("section", "", comment.strip("- ")))
                above = ""
            else:
                above = comment
        elif m.group("line") is not None:
            name = re.match(r"#define\s+(HUTCH_(?!API|\w+_H\b)\w+)\s", m.group("line"))
            if name:
                found.append(("type", re.sub(r"\s*/\*.*", "", m.group("line")), above))
                above = ""
        else:
            code = re.sub(r"[ \t]*\n[ \t]*", "\n", m.group("code").strip())
            kind = "function" if API.match(code) else "type"
            found.append((kind, API.sub("", m.group("code").strip()), above))
            above = ""
    return found


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("…", "...").replace("→", "->")
    return "\n".join("\\&" + line if line.startswith((".", "\\(aq")) else line for line in text.split("\n"))


def code(text):
    text = re.sub(r"\t", "    ", text)
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return ".nf\n" + roff("\n".join(lines)) + "\n.fi\n"


def function_name(declaration):
    return re.search(r"\b(hutch_\w+)\(", declaration).group(1)


def page(header, version):
    items = parse(header)
    title, intro = items[0][2].split("\n", 1) if "\n" in items[0][2] else (items[0][2], "")
    intro = re.sub(r"\n?Runs in:.*$", "", intro).strip()
    name = page_name(header)
    out = ['.TH %s 3 2026-11-25 "hutch %s" "Library calls"\n.SH NAME\n%s \\- %s\n' % (name.upper(), version, name, roff(title.rstrip(".:")))]
    out.append(".SH SYNOPSIS\n.nf\n#include <hutch/%s>\n.fi\n.PP\nLink with\n.BR \"cc app.c $(pkg\\-config \\-\\-cflags \\-\\-libs hutch)\" .\n" % os.path.basename(header))
    out.append(".SH DESCRIPTION\n" + (roff(intro) or roff(title)) + "\n")
    for kind, declaration, text in items[1:]:
        if kind == "section":
            out.append(".SH %s\n" % roff(text.split(":")[0].upper()))
            out += [roff(text.split(":", 1)[1].strip().capitalize()) + ".\n"] if ":" in text else []
        elif kind == "function":
            out.append(".SS %s\n" % roff(function_name(declaration)) + code(declaration) + (".PP\n" + roff(text) + "\n" if text else ""))
        else:
            out.append(".PP\n" + code(declaration) + (".PP\n" + roff(text) + "\n" if text else ""))
    out.append(".SH SEE ALSO\n.BR hutch (1),\n.BR hutch (3),\n.BR hutch_channel (3),\n.BR hutch_entry (3),\n.BR hutch_enter (3),\n.BR hutch_error (3),\n.BR hutch_narrow (3),\n.BR hutch\\-policy (5),\n.BR hutch\\-errors (7)\n")
    text = re.sub(r"(\n\.PP)+\n", "\n.PP\n", re.sub(r"\n\n+", "\n.PP\n", "".join(out)))
    return re.sub(r"^(\.SH [^\n]*\n)\.PP\n", r"\1", text, flags=re.M)


def functions(header):
    """Those without a page that was written for them."""
    names = [function_name(c) for kind, c, _ in parse(header) if kind == "function"]
    return [n for n in names if not os.path.exists(os.path.join(WRITTEN, n + ".3.in"))]


def main():
    if sys.argv[1] == "--list":
        headers = sys.argv[2:]
        names = [page_name(h) for h in headers] + [f for h in headers for f in functions(h)]
        print("\n".join(n + ".3" for n in names))
        return
    version, folder, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
    for header in headers:
        pages = {page_name(header): page(header, version)}
        pages.update({f: ".so man3/%s.3\n" % page_name(header) for f in functions(header)})
        for name, text in pages.items():
            with open(os.path.join(folder, name + ".3"), "w", encoding="utf-8") as f:
                f.write(text)


main()
