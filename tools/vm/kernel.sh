#!/bin/sh
# A kernel of Debian's and an archive with busybox and the modules that the test machine needs, in the cache: the
# first part of its initrd (tools/vm/run adds the second). Prints the folder.
# usage: tools/vm/kernel.sh 5.10|6.1|6.12|7.3
set -eu
cd "$(dirname "$0")/../.."
. tools/vm/lib.sh

version=$1
case $version in
5.10) suite=bullseye-security ;;
6.1) suite=bookworm-security ;;
6.12) suite=bookworm-backports ;;
7.3) suite=trixie-backports ;;
*) fail "no such kernel: $version (5.10 6.1 6.12 7.3)" ;;
esac

# What the initrd loads, and what the tests may want loaded; a kernel has some of them built in.
load='virtio_pci virtio_blk ext4 overlay'
more='tun veth bridge dummy macvlan ipvlan fuse loop squashfs nf_tables nft_ct nft_nat nft_masq nft_chain_nat nft_reject_inet
	nf_conntrack nf_nat ip_tables binfmt_misc vsock vsock_loopback'

exec 8>"$cache/kernel-$version.lock"
flock 8
folder=$cache/kernel-$version-$(sha256sum <tools/vm/kernel.sh | cut -c1-12)
if [ -f "$folder/ready" ]; then
	echo "$folder"
	exit 0
fi
echo "hutch vm: fetching kernel $version ($suite)" >&2
rm -rf "$cache/kernel-$version"-*
mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$folder/tree"
log=$folder/log

archive=$(archive_of "$suite")
[ -n "$archive" ] || fail "this machine's apt sources name no Debian archive that could have $suite"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -e $keys ] || signed="[signed-by=$keys]"
echo "deb ${signed:-} $archive $suite main" >"$folder/apt/sources.list"
: >"$folder/apt/status"

# An apt of its own: neither the machine's lists nor its packages are touched.
private_apt() {
	command=$1
	shift
	"$command" -q -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=/nonexistent \
		-o Dir::State="$folder/apt" -o Dir::State::lists="$folder/apt/lists" -o Dir::State::status="$folder/apt/status" \
		-o Dir::Cache="$folder/apt" -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}
private_apt apt-get update >"$log" 2>&1 || { cat "$log" >&2; fail "could not read the package list of $suite"; }

names=$(private_apt apt-cache pkgnames linux-)
newest() { echo "$names" | grep -E "^linux-$1-$(echo "$version" | sed 's/\./\\./g')[.+~-][^ ]*cloud-amd64\$" | sort -V | tail -n 1; }
image=$(newest image)
packages="$image $(newest modules)"
binary=$(newest binary)
# Newer packages are split: the image is in linux-binary-*, and linux-image-* only depends on it.
[ -z "$binary" ] || packages="$binary $(newest modules)"
[ "$packages" != ' ' ] || fail "$suite has no kernel $version now; it has: $(echo "$names" | grep -E '^linux-(image|binary)-[0-9].*cloud-amd64$' | tr '\n' ' ')"

(
	cd "$folder/apt/archives"
	# shellcheck disable=SC2086 # a list of words
	private_apt apt-get download $packages >>"$log" 2>&1
) || { cat "$log" >&2; fail "could not fetch $packages"; }
for deb in "$folder"/apt/archives/*.deb; do
	dpkg-deb -x "$deb" "$folder/tree"
done
rm -rf "$folder/apt"

tree=$folder/tree
[ -d "$tree/lib/modules" ] || ln -sfn usr/lib "$tree/lib"
release=$(ls "$tree/lib/modules")
mv "$tree/boot/vmlinuz-$release" "$folder/vmlinuz" 2>/dev/null ||
	mv "$(find "$tree/" -name "vmlinuz*" -type f | head -n 1)" "$folder/vmlinuz"

# Busybox, and the modules; they go on to the disk, which is the same for all kernels.
initrd=$folder/initrd.d
mkdir -p "$initrd/bin" "$initrd/dev" "$initrd/proc" "$initrd/new" "$initrd/lib/modules/$release"
depmod -b "$tree" "$release" 2>>"$log"
for module in $load $more; do
	modprobe -d "$tree" -S "$release" --show-depends "$module" 2>>"$log" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | sort -u | while read -r file; do
	file=${file#"$tree"}
	file=${file#/}
	file=${file#usr/}
	mkdir -p "$initrd/$(dirname "$file")"
	cp "$tree/$file" "$initrd/$file"
	case $file in
	*.xz) xz -d "$initrd/$file" ;;
	*.zst) zstd -q -d --rm "$initrd/$file" ;;
	esac
done
# Split packages have no lists of what is built in: then a module that isn't found is taken for built in.
find "$tree/lib/modules/$release" -maxdepth 1 \( -name 'modules.builtin*' -o -name modules.order \) \
	-exec cp {} "$initrd/lib/modules/$release/" \;
depmod -b "$initrd" "$release" 2>>"$log"
echo "$load" >"$initrd/load"
cp "$(command -v busybox)" "$initrd/bin/busybox"
(cd "$initrd" && find . | busybox cpio -o -H newc 2>>"$log") >"$folder/modules.cpio"
rm -rf "$tree" "$initrd"
echo "$release" >"$folder/ready"
echo "$folder"
