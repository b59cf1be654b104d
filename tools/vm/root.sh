#!/bin/sh
# The test machine's disk, in the cache: this machine's Debian release with systemd, an ordinary user whose manager
# runs from the start and has cgroup controllers, and what the suites need. Prints its path.
# usage: tools/vm/root.sh
set -eu
cd "$(dirname "$0")/../.."
. tools/vm/lib.sh

packages='systemd systemd-sysv dbus dbus-user-session libpam-systemd kmod udev iproute2 iputils-ping nftables procps uidmap
	libcap2-bin apparmor strace python3 git sqlite3 redis-server redis-tools gcc libc6-dev make busybox-static bubblewrap
	libcmocka0 libseccomp2 file'

exec 8>"$cache/root.lock"
flock 8
release=$(codename)
image=$cache/root-$release-$(sha256sum <tools/vm/root.sh | cut -c1-12).ext4
if [ -f "$image" ]; then
	echo "$image"
	exit 0
fi
echo "hutch vm: making the disk ($release; some minutes, 150 MB)" >&2
rm -f "$cache"/root-*
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'as_root rm -rf "$work"' EXIT
log=$cache/root.log

sources | sed -n "s/^\([^ ]*\) \(${release}[^ ]*\) \([^ ]*\)\$/deb \1 \2 \3/p" >"$work/sources"
[ -s "$work/sources" ] || fail "this machine's apt sources name no Debian archive with $release"
# An archive that this machine takes although it is past its date is taken here too.
apt-config dump | grep -E '^Acquire::Check-(Valid-Until|Date) ' >"$work/apt.conf" || true

mode=unshare
[ "$(id -u)" != 0 ] || mode=root
# As root its mounts stay in a namespace of their own.
isolated=
[ $mode != root ] || isolated='unshare -mpf --propagation private --mount-proc'
# shellcheck disable=SC2086 # a list of words
$isolated mmdebstrap --mode=$mode --variant=minbase --include="$(echo $packages | tr ' ' ',')" \
	--aptopt="$work/apt.conf" \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --skip=cleanup/reproducible --format=tar \
	"$release" "$work/root.tar" - <"$work/sources" >"$log" 2>&1 || { tail -n 30 "$log" >&2; fail "mmdebstrap failed"; }

# What makes it this machine. Written as root of the tree: owners count.
cat >"$work/make" <<'END'
set -eu
tree=$1/tree image=$1/root.ext4
mkdir "$tree"
tar -xf "$1/root.tar" -C "$tree" --exclude='./dev/*' --xattrs --xattrs-include='*'
rm "$1/root.tar"
echo hutch-vm >"$tree/etc/hostname"
printf '127.0.0.1 localhost hutch-vm\n::1 localhost ip6-localhost\n' >"$tree/etc/hosts"
: >"$tree/etc/fstab"
: >"$tree/etc/machine-id"
chroot "$tree" useradd -m -u 1000 -s /bin/bash user
grep -q '^user:' "$tree/etc/subuid" || echo user:100000:65536 >>"$tree/etc/subuid"
grep -q '^user:' "$tree/etc/subgid" || echo user:100000:65536 >>"$tree/etc/subgid"
mkdir -p "$tree/var/lib/systemd/linger" "$tree/etc/systemd/system/user@.service.d" "$tree/usr/lib/modules"
: >"$tree/var/lib/systemd/linger/user"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$tree/etc/systemd/system/user@.service.d/delegate.conf"
# Nothing that only costs time here.
for unit in getty@tty1.service serial-getty@ttyS0.service getty-static.service redis-server.service apt-daily.timer \
	apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer logrotate.timer \
	systemd-random-seed.service systemd-update-utmp.service nftables.service networking.service \
	systemd-networkd-wait-online.service systemd-pstore.service; do
	ln -sfn /dev/null "$tree/etc/systemd/system/$unit"
done
rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/*
truncate -s 3G "$image"
mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$tree" "$image"
END
as_root sh "$work/make" "$work" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; fail "could not make the disk"; }
mv "$work/root.ext4" "$image"
echo "$image"
