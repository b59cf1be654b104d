#!/bin/sh
# Makes the Debian tree that the long form of the live suite uses as a root. Prints its path.
# usage: tools/testroot.sh [apt]      apt: another one, with apt in it
set -eu
variant=essential
dir=/var/tmp/hutch-test-debian
if [ "${1:-}" = apt ]; then
	variant=apt
	dir=$dir-apt
fi
if [ ! -e "$dir/etc/debian_version" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	# Its mounts stay in a namespace of their own. A tree for tests may be of a mirror that lags behind.
	$sudo unshare -m --propagation private mmdebstrap --quiet --mode=root --variant="$variant" \
		--aptopt='Acquire::Check-Valid-Until "false"' bookworm "$dir.new" >&2
	$sudo mv "$dir.new" "$dir"
fi
echo "$dir"
