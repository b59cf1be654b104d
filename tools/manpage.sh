#!/bin/sh
# Makes a manual page: a line @WORD@ is replaced by what `gendocs WORD` prints, @version@ by the version.
# usage: tools/manpage.sh GENDOCS PAGE.in PAGE VERSION
set -eu
awk -v gendocs="$1" -v version="$4" '
/^@[a-z]+@$/ {
	command = gendocs " " substr($0, 2, length($0) - 2)
	n = 0
	while ((command | getline line) > 0) { print line; n++ }
	if (close(command) != 0 || n == 0) { print "manpage.sh: nothing from: " command > "/dev/stderr"; failed = 1; exit }
	next
}
{ gsub(/@version@/, version); print }
END { exit failed }
' "$2" >"$3.new"
mv "$3.new" "$3"
