#!/bin/sh
# Lists source files for the build, one a line, so that a new file needs no edit of a list.
# usage: tools/sources.sh lib|cli|image|parse|helper|inside|programs SUITE|helpers SUITE|all
set -eu
cd "$(dirname "$0")/.."

# C files of the named folders, in an order that doesn't depend on the machine.
c_files() {
	for folder; do
		[ ! -d "$folder" ] || find "$folder" -name '*.c' -type f
	done | LC_ALL=C sort
}

has_main='^(int[[:space:]]+)?main[[:space:]]*\('

case ${1:-} in
lib) c_files src/base src/sys src/host src/policy src/front src/plan src/layer src/cow src/run src/lib ;;
cli) c_files src/cli src/inspect ;;
image) c_files src/image ;;
# What of it is pure, for tests that link no archive library.
parse) c_files src/image | grep '/parse_' ;;
# What is linked into the launching helper: all that runs after the clone, and what that calls.
helper)
	c_files src/helper
	for f in src/run/child.c src/run/init.c src/run/sync.c src/run/threads.c src/sys/sys.c src/base/error.c; do echo "$f"; done
	c_files src/layer | grep '_child\.c$'
	;;
inside) c_files tests/inside ;;
# A file with main() is a program of its suite; the suite's other files are linked into each of them.
programs) for f in $(c_files "tests/$2"); do if grep -Eq "$has_main" "$f"; then echo "$f"; fi; done ;;
helpers) for f in $(c_files "tests/$2"); do if ! grep -Eq "$has_main" "$f"; then echo "$f"; fi; done ;;
all)
	c_files src tests tools examples
	for f in $(c_files tests); do if grep -Eq "$has_main" "$f"; then echo "program $f"; fi; done
	find include docs/man src/policy -name '*.h' -o -name '*.in' -o -name '*.policy' 2>/dev/null | LC_ALL=C sort
	;;
*) echo "usage: $0 lib|cli|image|parse|helper|inside|programs SUITE|helpers SUITE|all" >&2; exit 2 ;;
esac
