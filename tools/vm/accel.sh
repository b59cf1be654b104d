#!/bin/sh
# How QEMU runs the machine: in hardware where that really works, else interpreted. /dev/kvm can open and still be of
# no use (inside some virtual machines), so a kernel is started once for each boot of this machine.
# usage: tools/vm/accel.sh KERNEL-FOLDER|slow      prints QEMU's arguments, or the factor for time limits
set -eu
cd "$(dirname "$0")/../.."
. tools/vm/lib.sh

# This QEMU's interpreter gets cmpxchg16b wrong: 6.12 doesn't start with it. With icount the machine's clock counts its
# instructions (4 ns each), so that time limits hold however busy the host is.
interpreted='-accel tcg -cpu max,-cx16 -icount shift=2'
verdict=$cache/kvm-$(cat /proc/sys/kernel/random/boot_id)

kvm_works() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	if [ ! -f "$verdict" ] && [ -d "$1" ]; then
		rm -f "$cache"/kvm-*
		cp "$1/modules.cpio" "$verdict.cpio"
		mkdir -p "$verdict.d"
		cp tools/vm/guest/initrd "$verdict.d/init"
		(cd "$verdict.d" && find . | busybox cpio -o -H newc 2>/dev/null) >>"$verdict.cpio"
		timeout -k 1 15 qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults -display none -monitor none \
			-no-reboot -nic none -serial stdio -kernel "$1/vmlinuz" -initrd "$verdict.cpio" \
			-append "console=ttyS0 quiet panic=-1 vm.probe" </dev/null 2>/dev/null | grep -q hutch-vm-up &&
			echo yes >"$verdict" || echo no >"$verdict"
		rm -rf "$verdict.d" "$verdict.cpio"
	fi
	[ "$(cat "$verdict" 2>/dev/null)" = yes ]
}

case $1 in
slow) if kvm_works /nonexistent; then echo 2; else echo 8; fi ;;
*) if kvm_works "$1"; then echo "-accel kvm -cpu host"; else echo "$interpreted"; fi ;;
esac
