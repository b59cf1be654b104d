#!/bin/sh
# Installs what is missing of the packages that a part of the work needs (Debian, Ubuntu). Says nothing,
# and needs no rights, when all is there.
# usage: tools/deps.sh [-n] build|test|full|lint|bench|fuzz|vm|examples…     -n: only lists what is missing
set -eu

# package:how one sees that it is there (a command, or a file by its absolute path)
build='gcc:gcc libc6-dev:/usr/include/stdio.h linux-libc-dev:/usr/include/linux/seccomp.h make:make meson:meson
	ninja-build:ninja musl-tools:musl-gcc libjsmn-dev:/usr/include/jsmn.h libsystemd-dev:/usr/include/systemd/sd-bus.h
	libarchive-dev:/usr/include/archive.h nettle-dev:/usr/include/nettle/sha2.h libseccomp-dev:/usr/include/seccomp.h
	python3:python3 pkg-config:pkg-config'
test='libcmocka-dev:/usr/include/cmocka.h libseccomp-dev:/usr/include/seccomp.h g++:g++ git:git strace:strace
	sqlite3:sqlite3 redis-server:redis-server redis-tools:redis-benchmark nodejs:node uidmap:newuidmap
	busybox-static:busybox zstd:zstd mandoc:mandoc libcap2-bin:capsh procps:ps'
full='mmdebstrap:mmdebstrap'
lint='clang:clang clang-tidy:clang-tidy cppcheck:cppcheck shellcheck:shellcheck'
bench='bubblewrap:bwrap'
examples='libgumbo-dev:/usr/include/gumbo.h libcairo2-dev:/usr/include/cairo/cairo-ft.h libpng-dev:/usr/include/png.h
	libjpeg62-turbo-dev:/usr/include/jpeglib.h fonts-dejavu-core:/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf'
vm='mmdebstrap:mmdebstrap kmod:modprobe busybox-static:busybox e2fsprogs:mke2fs qemu-system-x86:qemu-system-x86_64
	seabios:/usr/share/seabios/bios-256k.bin uidmap:newuidmap xz-utils:xz zstd:zstd'
fuzz='clang:clang libclang-rt-14-dev:/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'

exists() {
	set +f
	# shellcheck disable=SC2086 # a pattern
	set -- $1
	[ -e "$1" ]
}

list_only=no
[ "${1:-}" != -n ] || { list_only=yes; shift; }
[ $# -gt 0 ] || { echo "usage: $0 [-n] build|test|full|lint|bench|fuzz|vm|examples..." >&2; exit 2; }

PATH=$PATH:/usr/sbin:/sbin
missing=
for group; do
	case $group in
	build) rows=$build ;; test) rows=$test ;; full) rows=$full ;; lint) rows=$lint ;; bench) rows=$bench ;; fuzz) rows=$fuzz ;;
	vm) rows=$vm ;; examples) rows=$examples ;;
	*) echo "$0: no such group: $group (build test full lint bench fuzz vm examples)" >&2; exit 2 ;;
	esac
	set -f # a sign may be a pattern of a path: not yet
	for row in $rows; do
		sign=${row#*:}
		case $sign in
		/*) exists "$sign" || missing="$missing ${row%%:*}" ;;
		*) command -v "$sign" >/dev/null || missing="$missing ${row%%:*}" ;;
		esac
	done
	set +f
done
missing=${missing# }
[ -n "$missing" ] || exit 0
if [ $list_only = yes ]; then
	echo "$missing"
	exit 0
fi

cannot() {
	echo "hutch: these packages are missing: $missing" >&2
	echo "  $1" >&2
	exit 1
}
command -v apt-get >/dev/null ||
	cannot "there is no apt-get here: install what your system calls them, then run this again"
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || cannot "run as root: apt-get install $missing"
	sudo=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A server that comes with a package is wanted for its program, not as a service: RUNLEVEL=1 keeps it from starting.
apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
		</dev/null >>"$log" 2>&1
}
redis_runs() { [ -d /run/systemd/system ] && systemctl is-active --quiet redis-server 2>/dev/null; }

echo "hutch: installing $missing" >&2
redis_ran=no
if redis_runs; then redis_ran=yes; fi
# shellcheck disable=SC2086 # a list of words
if ! apt install --no-install-recommends $missing; then
	# Package lists that are absent or older than the archive.
	apt update || { cat "$log" >&2; cannot "apt-get update failed, see above"; }
	apt install --no-install-recommends $missing || {
		tail -n 40 "$log" >&2
		cannot "apt-get could not install them, see above"
	}
fi
if [ $redis_ran = no ] && redis_runs; then
	$sudo systemctl disable --now redis-server >/dev/null 2>&1 || true
fi
exit 0
