#!/bin/sh
# Turns a static archive into one whose only global names are hutch_*.
# usage: tools/localize.sh IN.a OUT.a
set -eu
object=$(dirname "$2")/libhutch-all.o
ld -r -o "$object" --whole-archive "$1"
objcopy --wildcard --keep-global-symbol='hutch_*' "$object"
rm -f "$2"
ar rcs "$2" "$object"
rm -f "$object"
