#!/bin/sh
# Configures the build folder when needed and builds in it.
# usage: tools/build.sh FOLDER [ninja arguments…]; PREFIX and MESONFLAGS are taken from the environment
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift

for tool in meson ninja; do
	command -v "$tool" >/dev/null || {
		echo "hutch: the build needs $tool; 'tools/deps.sh build' installs what is missing" >&2
		exit 1
	}
done
mkdir -p "$folder"
# Two builds in one folder would overwrite each other's files.
exec 9>"$folder/.lock"
flock 9

# Configured again when a file or a library was added or removed, or other flags are asked for.
wanted="prefix=${PREFIX:-/usr/local} $(command -v musl-gcc || true) ${MESONFLAGS:-}
$(ls /usr/include/cmocka.h /usr/include/seccomp.h /usr/include/archive.h /usr/include/nettle/sha2.h /usr/include/gumbo.h /usr/include/cairo/cairo-ft.h /usr/include/jpeglib.h 2>/dev/null || true)
$(tools/sources.sh all)"
if [ ! -f "$folder/build.ninja" ] || [ "$wanted" != "$(cat "$folder/.configured" 2>/dev/null)" ]; then
	again=
	[ ! -f "$folder/build.ninja" ] || again=--reconfigure
	# shellcheck disable=SC2086 # flags are words
	if ! meson setup $again -Dprefix="${PREFIX:-/usr/local}" ${MESONFLAGS:-} "$folder" >"$folder/.setup.log" 2>&1; then
		cat "$folder/.setup.log" >&2
		exit 1
	fi
	grep -E 'WARNING: (musl-gcc is missing|hutch-image is not built)' "$folder/.setup.log" >&2 || true
	printf '%s\n' "$wanted" >"$folder/.configured"
fi
exec ninja -C "$folder" "$@" 9>&-
