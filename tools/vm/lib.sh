# Shared by the scripts of this folder; read with ".", from the top of the tree.
# Everything they keep is below $cache, and everything they fetch comes from the archive that this machine's own
# apt sources name: no address is written down here.
# shellcheck shell=sh disable=SC2034

cache=${HUTCH_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hutch-vm}
PATH=$PATH:/usr/sbin:/sbin

fail() {
	echo "hutch vm: $*" >&2
	exit 1
}

[ "$(uname -m)" = x86_64 ] || fail "the machine to test on has this machine's programs in it, and its kernels are for x86-64"
mkdir -p "$cache"

# Runs a command as root: really, or as the root of a user namespace with the caller's id ranges.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		unshare -m --propagation private "$@"
	else
		unshare --map-root-user --map-auto --setuid 0 --setgid 0 "$@"
	fi
}

# "URI RELEASE COMPONENT" of each Debian source that this machine installs from.
sources() {
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | grep -E '/debian[^ ]*/ ' | sort -u
}

codename() {
	# shellcheck disable=SC1091
	(. /etc/os-release && echo "${VERSION_CODENAME:?}")
}

# The archive that a suite comes from: suites for security have one of their own.
archive_of() {
	case $1 in
	*-security) sources | sed -n 's/^\([^ ]*\) [^ ]*-security .*/\1/p' ;;
	*) sources | grep -v -e '-security ' | sed 's/ .*//' ;;
	esac | head -n 1
}
