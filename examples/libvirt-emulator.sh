#!/usr/bin/env bash
# usage: libvirt-emulator.sh QEMU-OPTION...
# stands in for QEMU in a domain of libvirt's, see libvirt.xml: the domain's disk is verified. Which one it is, and its
# shadow, the domain says by BLKVERIFY_TARGET and BLKVERIFY_SHADOW. Without these it is QEMU itself: libvirt also asks
# what its emulators can do.
#
# To be executable for the user that runs QEMU (libvirt-qemu), and outside of home directories: /usr/local/bin.
#
# Expect the guest to run as always, and in the domain's log (/var/log/libvirt/qemu/NAME.log), when it has ended, a line
# that tells what was verified. A mismatch is there too. What becomes of the guest then is BLKVERIFY_ON_MISMATCH's to
# say.
set -eu

emulator=qemu-system-x86_64
[ -n "${BLKVERIFY_TARGET:-}" ] || exec "$emulator" "$@"
exec blkverify run -- "$emulator" "$@"
