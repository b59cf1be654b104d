#!/bin/sh
# Makes the Debian tree that the long form of the live suite uses as a root. Prints its path.
set -eu
dir=/var/tmp/hutch-test-debian
if [ ! -e "$dir/etc/debian_version" ]; then
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	# Its mounts stay in a namespace of their own. A tree for tests may be of a mirror that lags behind.
	$sudo unshare -m --propagation private mmdebstrap --quiet --mode=root --variant=essential \
		--aptopt='Acquire::Check-Valid-Until "false"' bookworm "$dir.new" >&2
	$sudo mv "$dir.new" "$dir"
fi
echo "$dir"
