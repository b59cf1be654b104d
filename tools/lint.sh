#!/bin/sh
# Every static check, and the unit tests under sanitizers. Ends with a list of what failed.
# usage: tools/lint.sh [STEP…]      steps: gcc clang analyzer sanitize threads tidy cppcheck shell headers child source api
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
mkdir -p "$build/lint"
failed=
steps=${*:-gcc clang analyzer sanitize threads tidy cppcheck shell headers child source api}

# Builds with another compiler or flags in a folder of its own: NAME CC MESONFLAGS
build_with() {
	CC=$2 MESONFLAGS="$3" tools/build.sh "$build/lint/$1" -k0 --quiet
}

gcc_step() { build_with gcc gcc ''; }
clang_step() { build_with clang clang '-Dstatic=false'; }

# gcc's own path analysis, for the engine and the command.
analyze() {
	wrong=$(sed -n "s|^$1 ||p" tools/analyzer.txt)
	# shellcheck disable=SC2086 # flags are words
	gcc -std=gnu11 -D_GNU_SOURCE= '-DHUTCH_VERSION="lint"' -O2 -Wall -Wextra -Werror -fanalyzer $wrong \
		-Iinclude -Isrc -o /dev/null -c "$1"
}
analyzer_step() {
	tools/sources.sh lib >"$build/lint/files"
	tools/sources.sh cli >>"$build/lint/files"
	status=0
	while read -r file; do
		analyze "$file" || status=1
	done <"$build/lint/files"
	return $status
}

sanitize_step() {
	build_with sanitize gcc '-Dstatic=false -Db_sanitize=address,undefined -Db_lundef=false' &&
		BUILD="$build/lint/sanitize" ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 tests/run unit host
}

# Races: every host program, then programs that confine themselves with many threads (FULL: the whole library is
# instrumented there too, but for what runs in a signal's handler). Last the proof that a race would have been seen.
threads_step() {
	build_with threads gcc '-Dstatic=false -Db_sanitize=thread -Db_lundef=false' || return 1
	BUILD="$build/lint/threads" HUTCH_TEST_SLOW=4 TSAN_OPTIONS=halt_on_error=1 tests/run host &&
		BUILD="$build/lint/threads" FULL=1 ONLY=embed-thread TSAN_OPTIONS=halt_on_error=1 tests/run enter &&
		race_is_seen
}
race_is_seen() {
	if TSAN_OPTIONS=halt_on_error=1 timeout 60 "$build/lint/threads/tests/host-race" >"$build/lint/race" 2>&1; then
		echo "a planted race was not seen"
		return 1
	fi
	for word in 'WARNING: ThreadSanitizer: data race' ' hutch_policy_set '; do
		grep -q "$word" "$build/lint/race" || { cat "$build/lint/race"; return 1; }
	done
	echo "a planted race was seen"
}

tidy_step() {
	[ -f "$build/lint/clang/compile_commands.json" ] || clang_step
	{ tools/sources.sh lib && tools/sources.sh cli; } | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$build/lint/clang" 2>"$build/lint/tidy.err" ||
		{ grep -v 'warnings generated' "$build/lint/tidy.err"; return 1; }
}

cppcheck_step() {
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppressions-list=tools/cppcheck.txt -D_GNU_SOURCE= -D__x86_64__ -D__linux__ -DHUTCH_VERSION='""' \
		-Iinclude -Isrc -j "$(nproc)" src tools
}

shell_step() { shellcheck -s sh tools/*.sh tools/vm/*.sh tools/vm/run tools/vm/guest/[!h]* tests/vm/run tests/vm/inside tests/vm/record .ci/run; }

# Each header compiles alone, the public ones in C++ too.
headers_step() {
	status=0
	for h in $(find include src -name '*.h' | LC_ALL=C sort); do
		printf '#include "%s"\n' "${h#*/}" |
			gcc -std=gnu11 -D_GNU_SOURCE= -Wall -Wextra -Werror -Iinclude -Isrc -fsyntax-only -x c - || status=1
	done
	for h in include/hutch/*.h; do
		printf '#include <%s>\n' "${h#include/}" |
			g++ -Wall -Wextra -Werror -pedantic -Iinclude -fsyntax-only -x c++ - || status=1
	done
	return $status
}

child_step() {
	[ -f "$build/lint/gcc/build.ninja" ] || gcc_step
	ninja -C "$build/lint/gcc" --quiet libhutch-core.a && tools/check_child.py "$build/lint/gcc"
}
source_step() {
	[ -f "$build/lint/gcc/build.ninja" ] || gcc_step
	ninja -C "$build/lint/gcc" --quiet libhutch-core.a libhutch.so.0.1.0 && tools/check_source.py "$build/lint/gcc"
}

# The command needs nothing of the engine but the public header and the leaf helpers.
api_step() {
	# shellcheck disable=SC2046
	for f in $(tools/sources.sh cli); do
		gcc -std=gnu11 -D_GNU_SOURCE= '-DHUTCH_VERSION="lint"' -Iinclude -Isrc -MM "$f"
	done | tr ' ' '\n' | grep -v '^src/image/options.def$' | sed -n 's|^src/\([a-z]*\)/.*|\1|p' | sort -u >"$build/lint/api"
	if grep -Evx 'base|cli|inspect|preload|sys' "$build/lint/api"; then
		echo "the command includes internal headers of these folders"
		return 1
	fi
}

for step in $steps; do
	log=$build/lint/$step.log
	if "${step}_step" >"$log" 2>&1; then
		echo "lint $step: clean"
	else
		echo "lint $step: FAILED"
		tail -n 80 "$log"
		failed="$failed $step"
	fi
done
if [ -n "$failed" ]; then
	echo "lint failed:$failed"
	exit 1
fi
